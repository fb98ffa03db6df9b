"""Reads a range of something ahead of its consumer, several requests at a time, in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

BLOCK_BYTES = 8 << 20  # a multiple of every algorithm's block
AHEAD = 4

Fetch = Callable[[int, int], bytes]  # (first, end) → the bytes in [first, end)


def read_ahead(
    fetch: Fetch, start: int, end: int, block: int = BLOCK_BYTES
) -> Iterator[tuple[int, bytes]]:
    """(offset after the block, block), in order. Memory: AHEAD + 1 blocks."""
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    position = start
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="range") as pool:
        try:
            while position < end or waiting:
                while position < end and len(waiting) < AHEAD:
                    stop = min(position + block, end)
                    waiting.append((stop, pool.submit(_whole, fetch, position, stop)))
                    position = stop
                stop, future = waiting.popleft()
                yield stop, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _whole(fetch: Fetch, first: int, end: int) -> bytes:
    data = fetch(first, end)
    if len(data) != end - first:
        raise EOFError(f"asked for {end - first} bytes, got {len(data)}")
    return data
