"""An object's bytes as they are sent to other buckets: whole, or in the parts it consists of.

A piece can be read by a thread like a file, or by the loop; nothing is held in memory but a block.
"""

import asyncio
import io
from typing import Any

from cloudlet.s3 import ranges, records
from cloudlet.s3.records import Record
from cloudlet.store.blobs import BlobReader, Blobs
from cloudlet.store.database import View
from cloudlet.store.sealing import Wrapper

_WHOLE_BYTES_MAX = 64 << 20  # beyond it objects go in parts of this size, if they have none
_BLOCK_BYTES = 256 << 10


class Piece(io.RawIOBase):
    """A range of an object. Reads from wherever `seek` goes; `close` gives the blobs free."""

    def __init__(self, blobs: Blobs, wrapper: Wrapper, source: Record | bytes) -> None:
        self._blobs, self._wrapper, self._source = blobs, wrapper, source
        self._start = self._position = 0
        self.size = source.size if isinstance(source, Record) else len(source)
        self.checksum = ""
        self._reader: BlobReader | None = None

    def cut(self, start: int, size: int, checksum: str) -> "Piece":
        piece = Piece(self._blobs, self._wrapper, self._source)
        piece._start, piece.size, piece.checksum = start, size, checksum
        return piece

    def __len__(self) -> int:
        return self.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset != self._position:
            self._let_go()
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self.size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            self._let_go()
            return b""
        data = bytearray()
        while len(data) < wanted and (more := self._some(wanted - len(data))):
            data += more
            self._position += len(more)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _some(self, wanted: int) -> bytes:
        place = self._start + self._position
        if isinstance(self._source, bytes):
            return self._source[place : place + wanted]
        if self._reader is None:
            segments = ranges.cut(self._source.segments, (place, self._start + self.size))
            self._reader = self._blobs.reader(segments, self._wrapper)
            self._ahead = b""
        data = self._ahead or self._reader.read(min(wanted, _BLOCK_BYTES))
        self._ahead = data[wanted:]  # sealed chunks come whole
        return data[:wanted]

    async def receive(self) -> bytes:
        """The next block, for `exchange.Body`."""
        return await asyncio.to_thread(self.read, _BLOCK_BYTES)

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def close(self) -> None:
        self._let_go()
        super().close()


def pieces(blobs: Blobs, view: View, record: Record) -> list[Piece]:
    """The parts of an upload as they were, so that ETag and checksums stay the same."""
    wrapper = blobs.master.wrapper
    if "SSEKMSKeyId" in record.encryption:
        wrapper = blobs.master.derived(record.encryption["SSEKMSKeyId"])
    source: Any = record if record.segments else records.data(view, record, wrapper)
    whole = Piece(blobs, wrapper, source)
    sizes = [(size, checksum) for _, size, checksum in record.parts]
    if not sizes and record.size > _WHOLE_BYTES_MAX:
        count, rest = divmod(record.size, _WHOLE_BYTES_MAX)
        sizes = [(_WHOLE_BYTES_MAX, "")] * count + ([(rest, "")] if rest else [])
    if not sizes:
        return [whole]
    found, start = [], 0
    for size, checksum in sizes:
        found.append(whole.cut(start, size, checksum))
        start += size
    return found
