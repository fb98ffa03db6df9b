"""What two of our own processes tell each other: messages, some with an open connection.

Over a pair of Unix sockets: a length, a JSON head, bytes, and perhaps one descriptor. Neither side
ever waits for the other: what does not go at once waits in order. What is said in one turn of the
loop goes together.
See https://man7.org/linux/man-pages/man7/unix.7.html (SCM_RIGHTS).
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

_PIECE_BYTES = 256 << 10
_DESCRIPTORS_MAX = 64
_LENGTHS = struct.Struct("!II")  # of the head and of the bytes behind it
Document = dict[str, Any]
# the head, the bytes, and the descriptor, which is the receiver's to close
Heard = Callable[[Document, bytes, int | None], None]


class Channel:
    """One end. `on_message` and `on_end` are called on the loop."""

    def __init__(self, end: socket.socket, on_message: Heard, on_end: Callable[[], None]) -> None:
        end.setblocking(False)
        self._end = end
        self._on_message = on_message
        self._on_end = on_end
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._is_due = self._is_full = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end.fileno(), self._receive)
        self.is_open = True

    @property
    def is_clear(self) -> bool:
        """Whether what is said now goes at once."""
        return self.is_open and not self._is_full

    def say(self, head: Document, data: bytes = b"", descriptor: int | None = None) -> None:
        """The descriptor is ours to close, and closed once it went."""
        text = orjson.dumps(head)
        message = _LENGTHS.pack(len(text), len(data)) + text + data
        self._waiting.append((message, [] if descriptor is None else [descriptor]))
        if not (self._is_due or self._is_full):
            self._is_due = True
            self._loop.call_soon(self._send)

    def close(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._end.fileno())
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        for _, descriptors in (*self._waiting, (b"", self._descriptors)):
            for descriptor in descriptors:
                os.close(descriptor)
        self._waiting.clear()
        self._descriptors.clear()

    def _send(self) -> None:
        self._is_due = False
        while self.is_open and self._waiting:
            data, descriptors = self._gathered()
            try:
                sent = socket.send_fds(self._end, [data], descriptors)
            except OSError as error:
                self._waiting.appendleft((data, descriptors))
                if not isinstance(error, BlockingIOError):
                    self._ended()
                elif not self._is_full:
                    self._is_full = True
                    self._loop.add_writer(self._end.fileno(), self._send)
                return
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(data):
                self._waiting.appendleft((data[sent:], []))
        if self._is_full and self.is_open:
            self._is_full = False
            self._loop.remove_writer(self._end.fileno())

    def _gathered(self) -> tuple[bytes, list[int]]:
        """The next messages, as many as go together."""
        data, descriptors = self._waiting.popleft()
        pieces, size_bytes = [data], len(data)
        while self._waiting and size_bytes < _PIECE_BYTES and len(descriptors) < _DESCRIPTORS_MAX:
            data, more = self._waiting.popleft()
            pieces.append(data)
            descriptors += more
            size_bytes += len(data)
        return b"".join(pieces), descriptors

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, _PIECE_BYTES, _DESCRIPTORS_MAX)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors += descriptors
        if not data:
            self._ended()
            return
        self._received += data
        while self.is_open and self._next():
            pass

    def _next(self) -> bool:
        """Hands on one message, if it is whole."""
        if len(self._received) < _LENGTHS.size:
            return False
        head_bytes, data_bytes = _LENGTHS.unpack_from(self._received)
        start, end = _LENGTHS.size + head_bytes, _LENGTHS.size + head_bytes + data_bytes
        if len(self._received) < end:
            return False
        head: Document = orjson.loads(self._received[_LENGTHS.size : start])
        data = bytes(self._received[start:end])
        del self._received[:end]
        self._on_message(head, data, self._descriptors.popleft() if head.get("opens") else None)
        return True

    def _ended(self) -> None:
        if self.is_open:
            self.close()
            self._on_end()
