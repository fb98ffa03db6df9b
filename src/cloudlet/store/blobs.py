"""Contents too big for a database row: files written once, named by a random id.

A blob is written under a temporary name, fsynced, then renamed and its folder fsynced, all before
the metadata that refers to it commits. So a crash leaves at most an orphan, which `collect` deletes
at the next start; nothing half-written ever has a final name. Readers pin blobs, and a deletion
waits for the last pin. Blobs are sealed under data keys (`sealing`); plain ones, older than that,
stay readable.

A blob's name ends in the CRC64NVME of its file, so that whoever has the name can tell whether the
file is whole, without any key (`integrity`). With a second directory (`replica`) each blob is in
both before its name is told; a reader that meets damage takes the other's.
"""

import contextlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from awscrt.checksums import crc64nvme

from cloudlet.errors import AwsError
from cloudlet.store import holding, integrity, sealing
from cloudlet.store.integrity import Damaged
from cloudlet.store.replica import Replica
from cloudlet.store.sealing import DataKey, Master, Wrapper

READ_BYTES = 1 << 20
_BUFFER = bytearray()  # reused: fresh memory costs more than what is done with it
_log = logging.getLogger(__name__)
_NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)  # Linux


class Segment(NamedTuple):
    """A run of bytes in a blob; objects of several uploaded parts have several. Offsets count
    bytes before sealing; `key` is the blob's wrapped data key, "" where it is plain."""

    blob: str
    offset: int
    length: int
    key: str = ""


class Blobs:
    def __init__(
        self, directory: Path, new_id: Callable[[], str], replica: Replica | None = None
    ) -> None:
        self.directory = directory
        self.replica = replica
        self.on_damage: Callable[[str, str, bool], None] = _tell
        self.master = Master(directory.parent / "master-key")
        self._temporary = directory / "tmp"
        self._new_id = new_id
        self._pins: Counter[str] = Counter()
        self._doomed: set[str] = set()
        self._lock = threading.Lock()
        self._temporary.mkdir(parents=True, exist_ok=True)
        for leftover in self._temporary.iterdir():
            leftover.unlink()

    def create(self, key: DataKey | None = None) -> "BlobWriter":
        return BlobWriter(self, self._new_id().replace("-", ""), key)

    def path(self, blob: str) -> Path:
        return integrity.place(self.directory, blob)

    def temporary(self, blob: str) -> Path:
        return self._temporary / blob

    def reader(self, segments: Sequence[Segment], wrapper: Wrapper | None = None) -> "BlobReader":
        """`wrapper` opens the segments' keys; by default they are the master key's."""
        with self._lock:
            self._pins.update(segment.blob for segment in segments)
        return BlobReader(self, segments, wrapper or self.master.wrapper)

    def unpin(self, blobs: Iterable[str]) -> None:
        gone = []
        with self._lock:
            for blob in blobs:
                self._pins[blob] -= 1
                if self._pins[blob] <= 0:
                    del self._pins[blob]
                    if blob in self._doomed:
                        self._doomed.discard(blob)
                        gone.append(blob)
        for blob in gone:
            self._unlink(blob)

    def _unlink(self, blob: str) -> None:
        self.path(blob).unlink(missing_ok=True)
        if self.replica is not None:
            self.replica.unlink(blob)

    def keep_folder(self, folder: Path) -> None:
        """A folder of code beside the blobs, which never changes: in the replica, too."""
        if self.replica is not None:
            self.replica.keep_folder(folder)

    def heal(self, blob: str, how: str) -> bool:
        """Whether the blob, met damaged, was brought back from the other directory."""
        is_healed = self.replica is not None and self.replica.heal(blob)
        self.on_damage(blob, how, is_healed)
        return is_healed

    def delete(self, blobs: Iterable[str]) -> None:
        """Call after the metadata's deletion is durable (`tx.after_commit`)."""
        for blob in blobs:
            with self._lock:
                if self._pins.get(blob):
                    self._doomed.add(blob)
                    continue
            self._unlink(blob)

    def collect(self, is_known: Callable[[str], bool]) -> int:
        """Deletes blobs no metadata knows (a crash between rename and commit). At start only."""
        count = 0
        for folder in self.directory.iterdir():
            if folder != self._temporary and folder.is_dir():
                for file in folder.iterdir():
                    if not is_known(file.name):
                        file.unlink()
                        count += 1
        return count


def _tell(blob: str, how: str, is_healed: bool) -> None:
    """What is said of a damaged blob where nobody else listens."""
    outcome = "healed from the replica" if is_healed else "refused"
    _log.error("blob %s %s: %s", blob, how, outcome)


class BlobWriter:
    """Writes one blob. All methods block: call them off the event loop. Abandon with `discard`.
    `size_bytes` counts what was written, before sealing. `blob` is the name after `finish`."""

    def __init__(self, blobs: Blobs, draft: str, key: DataKey | None) -> None:
        self.blob = ""
        self.size_bytes = 0
        self.draft = draft
        self._sum = 0
        self._key = key
        self._chunks = 0
        self._waiting = bytearray()  # for the rest of a chunk
        self._blobs = blobs
        self._file = holding.opened(blobs.temporary(draft), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self._twin = blobs.replica.twin(draft) if blobs.replica is not None else None

    @property
    def segment(self) -> Segment:
        """The whole blob."""
        return Segment(self.blob, 0, self.size_bytes, self._key.wrapped if self._key else "")

    def write(self, data: bytes | memoryview) -> None:
        self.size_bytes += len(data)
        if self._key is None:
            self._put(data)
            return
        view = memoryview(data)
        if self._waiting:
            missing = sealing.CHUNK_BYTES - len(self._waiting)
            self._waiting += view[:missing]
            view = view[missing:]
            if len(self._waiting) < sealing.CHUNK_BYTES:
                return
            self._seal(memoryview(self._waiting))
            self._waiting = bytearray()
        while len(view) >= sealing.CHUNK_BYTES:
            self._seal(view[: sealing.CHUNK_BYTES])
            view = view[sealing.CHUNK_BYTES :]
        self._waiting += view

    def _seal(self, chunk: memoryview) -> None:
        assert self._key is not None
        self._put(self._key.seal(self._chunks, chunk))
        self._chunks += 1

    def _put(self, data: bytes | memoryview) -> None:
        self._sum = crc64nvme(data, self._sum)
        try:
            integrity.write(self._file, data)
        except OSError as error:
            raise AwsError("ServiceUnavailable", f"The store is full: {error}.", 503) from error
        if self._twin is not None:
            self._twin.write(data)

    def finish(self) -> str:
        """Makes the blob durable under its final name and returns it."""
        if self._waiting:
            self._seal(memoryview(self._waiting))
            self._waiting = bytearray()
        self.blob = integrity.name(self.draft, self._sum)
        try:
            os.fsync(self._file)
            self._close()
            integrity.install(self._blobs.temporary(self.draft), self._blobs.path(self.blob))
        except OSError as error:
            raise AwsError("ServiceUnavailable", f"The store is full: {error}.", 503) from error
        if self._twin is not None:
            self._twin.finish(self.blob)
        return self.blob

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        self._blobs.temporary(self.draft).unlink(missing_ok=True)
        if self._twin is not None:
            self._twin.discard()
        if self.blob:
            self._blobs.delete([self.blob])

    def _close(self) -> None:
        """Once only: the number may belong to another file afterwards."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class BlobReader:
    """Reads segments one after the other; blocking `read`, b"" at the end."""

    def __init__(self, blobs: Blobs, segments: Sequence[Segment], wrapper: Wrapper) -> None:
        self._blobs = blobs
        self._wrapper = wrapper
        self._segment = Segment("", 0, 0)  # that is read, and its key
        self._key: DataKey | None = None
        self._names = [segment.blob for segment in segments]
        self._waiting = list(reversed(segments))
        self._file: int | None = None
        self._position = 0
        self._left = 0

    def read(self, size_bytes: int = READ_BYTES) -> bytes:
        try:
            return self._read(size_bytes)
        except Damaged as damage:
            blob = self._segment.blob
            if not self._blobs.heal(blob, damage.how):
                raise
        self._close_file()
        self._file = self._opened_file(blob)
        return self._read(size_bytes)

    def _read(self, size_bytes: int) -> bytes:
        while self._left == 0:
            self._close_file()
            if not self._waiting:
                return b""
            self._segment = segment = self._waiting.pop()
            self._position, self._left = segment.offset, segment.length
            self._key = self._wrapper.unwrap(segment.key) if segment.key else None
            self._file = self._opened_file(segment.blob)
        assert self._file is not None
        if self._key is None:
            return self._taken(os.pread(self._file, min(size_bytes, self._left), self._position))
        place = self._position // sealing.CHUNK_BYTES * sealing.SEALED_BYTES
        return self._opened(os.pread(self._file, sealing.SEALED_BYTES, place))

    def _opened_file(self, blob: str) -> int:
        try:
            return holding.opened(self._blobs.path(blob), os.O_RDONLY)
        except FileNotFoundError as error:
            raise Damaged("is not there") from error

    def _taken(self, data: bytes) -> bytes:
        if not data:
            raise Damaged("is shorter than its metadata")
        self._position += len(data)
        self._left -= len(data)
        return data

    def _opened(self, sealed: bytes | memoryview) -> bytes:
        """What is wanted of the chunk at the position."""
        assert self._key is not None
        number, offset = divmod(self._position, sealing.CHUNK_BYTES)
        chunk = self._key.open(number, sealed)
        wanted = min(len(chunk) - offset, self._left)
        return self._taken(chunk if wanted == len(chunk) else chunk[offset : offset + wanted])

    def read_cached(self, size_bytes: int) -> bytes | None:
        """The next bytes if they are in the page cache; None where `read` would wait. For the event
        loop alone: all readers share a buffer."""
        if not _NO_WAIT or self._file is None or self._left == 0:
            return None
        place, wanted = self._position, min(size_bytes, self._left)
        if self._key is not None:
            place = self._position // sealing.CHUNK_BYTES * sealing.SEALED_BYTES
            wanted = min(sealing.SEALED_BYTES, os.fstat(self._file).st_size - place)
        if len(_BUFFER) < wanted:
            _BUFFER.extend(bytes(wanted - len(_BUFFER)))
        buffer = memoryview(_BUFFER)[: max(0, wanted)]
        try:
            got = os.preadv(self._file, [buffer], place, _NO_WAIT)
        except OSError:  # not cached, or a file system that can't tell
            return None
        if self._key is not None:
            return self._opened_now(buffer) if got == wanted > 0 else None
        return self._taken(bytes(buffer[:got])) if got > 0 else None

    def _opened_now(self, sealed: memoryview) -> bytes | None:
        """Damage is for `read` to deal with: healing waits."""
        try:
            return self._opened(sealed)
        except Damaged:
            return None

    def close(self) -> None:
        self._close_file()
        names, self._names = self._names, []
        self._blobs.unpin(names)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
