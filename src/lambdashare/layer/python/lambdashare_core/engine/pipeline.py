"""Feeds every lane with every block, in a few threads that keep all cores busy.

Algorithms are grouped so that no group takes longer than MD5 or SHA-512, the slowest: the whole
runs at their speed where there are cores enough. Queues are short, so memory stays at a few
blocks. States are taken by a token that travels through the queues with the blocks: nothing
stops for a checkpoint.
"""

import queue
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future

from lambdashare_core.engine.lanes import ALGORITHMS, Lane, lane

# SHA-1 with SHA-256, and the fast ones with the composite, cost about what MD5 costs
_GROUPS = (("sha512",), ("md5",), ("sha1", "sha256"), ("blake3", "crc64nvme", "crc32"))
_DEPTH = 3

States = dict[str, bytes | None]
_Token = bytes | Future[States] | None  # a block, "your states, please", or the end


class Worker(threading.Thread):
    """One group of lanes and the queue that feeds it."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        super().__init__(daemon=True, name="+".join(lanes))
        self.lanes = lanes
        self.failure: BaseException | None = None
        self._queue: queue.Queue[_Token] = queue.Queue(_DEPTH)

    def put(self, token: _Token) -> None:
        if self.failure:
            raise self.failure
        self._queue.put(token)

    def run(self) -> None:
        while (token := self._queue.get()) is not None:
            if self.failure:
                self._refuse(token)
                continue
            try:
                self._take(token)
            except BaseException as error:
                self.failure = error
                self._refuse(token)

    def _take(self, token: bytes | Future[States]) -> None:
        if isinstance(token, Future):
            token.set_result({name: each.state() for name, each in self.lanes.items()})
            return
        for each in self.lanes.values():
            each.update(token)

    def _refuse(self, token: bytes | Future[States]) -> None:
        if isinstance(token, Future) and self.failure and not token.done():
            token.set_exception(self.failure)


class Pipeline:
    """All sums of one stream. Feed blocks, take states at any time, finish."""

    def __init__(
        self,
        states: Mapping[str, bytes | None] | None = None,
        extra: Iterable[str] = (),
        without: Iterable[str] = (),
    ) -> None:
        """`states` of lanes to take over; `extra` lanes beside the seven (`composite:<size>`)."""
        known = states or {}
        groups = [[name for name in group if name not in without] for group in _GROUPS]
        groups[-1].extend(extra)
        self._workers = [
            Worker({name: lane(name, known.get(name)) for name in group}) for group in groups
        ]
        for worker in self._workers:
            worker.start()

    def feed(self, block: bytes) -> None:
        for worker in self._workers:
            worker.put(block)

    def feed_only(self, name: str, block: bytes) -> None:
        """One lane alone, before the others start: how BLAKE3 catches up."""
        for worker in self._workers:
            if name in worker.lanes:
                worker.lanes[name].update(block)

    def states(self) -> Future[States]:
        """The states after all that was fed so far; done when the slowest lane is there."""
        asked: list[Future[States]] = []
        for worker in self._workers:
            future: Future[States] = Future()
            worker.put(future)
            asked.append(future)
        return _gathered(asked)

    def finish(self) -> dict[str, str]:
        """Hex sums by name."""
        self.close()
        for worker in self._workers:
            if worker.failure:
                raise worker.failure
        return {
            name: each.hexdigest()
            for worker in self._workers
            for name, each in worker.lanes.items()
        }

    def close(self) -> None:
        for worker in self._workers:
            if worker.is_alive():
                worker._queue.put(None)
        for worker in self._workers:
            worker.join()


def _gathered(asked: list[Future[States]]) -> Future[States]:
    """One future of many; the last one to be done sets it."""
    whole: Future[States] = Future()
    lock = threading.Lock()
    left = len(asked)

    def arrived(future: Future[States]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if whole.done():
                return
            if error := future.exception():
                whole.set_exception(error)
            elif left == 0:
                whole.set_result({k: v for each in asked for k, v in each.result().items()})

    for future in asked:
        future.add_done_callback(arrived)
    return whole


def sums(data: bytes) -> dict[str, str]:
    """All sums of bytes at hand."""
    lanes = {name: lane(name) for name in ALGORITHMS}
    for each in lanes.values():
        each.update(data)
    return {name: each.hexdigest() for name, each in lanes.items()}
