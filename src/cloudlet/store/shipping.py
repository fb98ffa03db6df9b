"""The second directory's database: commits follow as the bytes that SQLite appended to its WAL.

The writer thread is the only writer, so after each commit the shared index (`cloudlet.db-shm`)
says how many frames the WAL has; those that are new are written to the same place of the replica's
WAL and synced. When SQLite begins the WAL anew (its salts change), the replica's is moved into its
database by SQLite itself. Thus each directory is at any time a database that SQLite opens.
https://www.sqlite.org/walformat.html

After a kill the two WALs tell how far the replica came: it is at most one commit behind.

The files are opened once: closing a descriptor would drop SQLite's own locks on the file.
"""

import os
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

from cloudlet.store import integrity
from cloudlet.store.lineage import DATABASE

_INDEX = struct.Struct("=14xHI12x8s")  # page size, frames, salts
_WAL_HEAD = struct.Struct(">12xI8s8x")  # how many WALs were before, salts
_WAL_HEAD_BYTES, _FRAME_HEAD_BYTES = 32, 24
_BLOCK_BYTES = 4 << 20


class Shipper:
    """Of the writer thread, but for `copy_database`. Any method raises OSError or sqlite3.Error
    when the replica cannot follow; it has to be copied anew then."""

    def __init__(self, data: Path, other: Path, on_fold: Callable[[], None]) -> None:
        self._data, self._other, self._on_fold = data, other, on_fold
        self._files: dict[str, int] = {}  # ours, open until the end
        self._wal: int | None = None  # the replica's
        self._salts = b""
        self._shipped = 0  # frames
        self.is_missing = False  # something of the last commit, perhaps

    def resume(self, is_folded: bool) -> bool:
        """Whether the replica could follow the WAL that a killed run left, which nobody has opened
        since. `is_folded`: the replica's database is as it was when this WAL began."""
        ours, theirs = (folder / f"{DATABASE}-wal" for folder in (self._data, self._other))
        head, other_head = _head(ours), _head(theirs)
        if head is None:
            return False
        if other_head is None:
            if not is_folded:
                return False
        elif head[0] == other_head[0] + 1:  # it has all of the one before
            self.fold()
        elif head != other_head or ours.stat().st_size < theirs.stat().st_size:
            return False
        self._open(head[1])
        assert self._wal is not None
        with ours.open("rb") as file:
            start, end = _alike(file.fileno(), self._wal), ours.stat().st_size
            _copy_bytes(file.fileno(), self._wal, start, end)
        os.fdatasync(self._wal)
        return True

    def ship(self) -> None:
        was_missing, self.is_missing = self.is_missing, True
        size, frames, salts = _INDEX.unpack_from(os.pread(self._file("-shm"), _INDEX.size, 0))
        if frames and salts != self._salts:
            if was_missing:
                raise OSError("what the replica lacks is no longer in the WAL")
            self._begin(salts)
        frame_bytes = _FRAME_HEAD_BYTES + (65536 if size == 1 else size)
        position = _WAL_HEAD_BYTES + self._shipped * frame_bytes if self._shipped else 0
        end = _WAL_HEAD_BYTES + frames * frame_bytes
        if frames and position < end:
            assert self._wal is not None
            _copy_bytes(self._file("-wal"), self._wal, position, end)
            os.fdatasync(self._wal)
            self._shipped = frames
            there = (self._other / f"{DATABASE}-wal").stat()
            if not os.path.samestat(os.fstat(self._wal), there):
                raise OSError(f"{self._other / DATABASE}-wal was replaced")
        self.is_missing = False

    def _begin(self, salts: bytes) -> None:
        self.fold()
        self._on_fold()
        self._open(salts)

    def _open(self, salts: bytes) -> None:
        path = self._other / f"{DATABASE}-wal"
        self._wal = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        integrity.sync_folder(self._other)
        self._salts, self._shipped = salts, 0

    def fold(self) -> None:
        """Moves the replica's WAL into its database; there is no WAL then."""
        if self._wal is not None:
            os.close(self._wal)
        self._wal, self._salts, self._shipped = None, b"", 0
        fold(self._other)

    def copy_database(self) -> Path:
        """A copy beside the replica's database, which stays as it is. Nobody may move the WAL into
        the database meanwhile (`wal_autocheckpoint=0`)."""
        self._other.mkdir(parents=True, exist_ok=True)
        draft = self._other / f"{DATABASE}.new"
        source = self._file("")
        target = integrity.create(draft)
        try:
            _copy_bytes(source, target, 0, os.fstat(source).st_size)
            os.fsync(target)
        finally:
            os.close(target)
        return draft

    def take(self, draft: Path) -> None:
        """The copy in the place of the replica's database, and what was committed since."""
        try:
            self.fold()
        except sqlite3.DatabaseError:  # it is damaged, and goes
            for suffix in ("-wal", "-shm"):
                (self._other / f"{DATABASE}{suffix}").unlink(missing_ok=True)
        integrity.install(draft, self._other / DATABASE)
        self.is_missing = False
        self.ship()

    def close(self) -> None:
        for file in (*self._files.values(), *([self._wal] if self._wal is not None else [])):
            os.close(file)
        self._files, self._wal = {}, None

    def _file(self, suffix: str) -> int:
        if suffix not in self._files:
            self._files[suffix] = os.open(self._data / f"{DATABASE}{suffix}", os.O_RDONLY)
        return self._files[suffix]


def fold(folder: Path) -> None:
    """Lets SQLite move a WAL that nobody uses into its database."""
    for suffix in ("", "-wal", "-shm"):
        if (folder / f"{DATABASE}{suffix}").is_symlink():
            raise OSError(f"{folder / DATABASE}{suffix} is a link")
    if (folder / f"{DATABASE}-wal").exists():
        connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise OSError(f"somebody reads {folder / DATABASE}")
        finally:
            connection.close()
        integrity.sync_folder(folder)


def _head(wal: Path) -> tuple[int, bytes] | None:
    """Which one of its database it is, by number and salts."""
    if wal.is_symlink() or not wal.is_file() or wal.stat().st_size < _WAL_HEAD_BYTES:
        return None
    with wal.open("rb") as file:
        return _WAL_HEAD.unpack(file.read(_WAL_HEAD_BYTES))


def _alike(one: int, other: int) -> int:
    """How many bytes two files have in common, in whole blocks."""
    at = 0
    while (block := os.pread(one, _BLOCK_BYTES, at)) and block == os.pread(other, len(block), at):
        at += len(block)
    return at


def _copy_bytes(source: int, target: int, start: int, end: int) -> None:
    os.lseek(target, start, os.SEEK_SET)
    while start < end:
        data = os.pread(source, min(_BLOCK_BYTES, end - start), start)
        if not data:
            raise OSError(f"{end - start} bytes of the database cannot be read")
        integrity.write(target, data)
        start += len(data)
