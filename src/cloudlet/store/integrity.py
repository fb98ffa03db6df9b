"""What makes files of the store durable and tells whether they are whole: no keys are needed.

A blob's name is `<id>-<CRC64NVME of its file>`, so metadata that name a blob say what it must be.
Names without a sum are from before; only their seals tell.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from awscrt.checksums import crc64nvme

from cloudlet.errors import AwsError

_BLOCK_BYTES = 1 << 20
_SUM = re.compile(r".+-([0-9a-f]{16})")


class Damaged(AwsError):
    """Bytes that are not what was stored: they are never served."""

    def __init__(self, how: str) -> None:
        super().__init__("InternalError", f"A stored object {how}.", 500)
        self.how = how


def name(draft: str, crc: int) -> str:
    return f"{draft}-{crc:016x}"


def expected(blob: str) -> int | None:
    """The sum that its name tells."""
    found = _SUM.fullmatch(blob)
    return int(found.group(1), 16) if found else None


def place(directory: Path, blob: str) -> Path:
    return directory / blob[:2] / blob


def fault(path: Path, blob: str, pace: Callable[[], None] = lambda: None) -> str:
    """What is wrong with a blob's file, "" if nothing is. Read from the disk, not the cache."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return "is not there" if isinstance(error, FileNotFoundError) else _unreadable(error)
    wanted, found = expected(blob), 0
    try:
        _uncache(file)
        while data := os.read(file, _BLOCK_BYTES):
            found = crc64nvme(data, found)
            pace()
        _uncache(file)
    except OSError as error:
        return _unreadable(error)
    finally:
        os.close(file)
    return "" if wanted in (None, found) else "is damaged"


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"


def _uncache(file: int) -> None:
    if hasattr(os, "posix_fadvise"):  # Linux
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


def folders(directory: Path) -> list[str]:
    """Blobs lie in folders by the first two letters of their names."""
    if not directory.is_dir():
        return []
    return sorted(each.name for each in directory.iterdir() if len(each.name) == 2)


def listing(directory: Path, folder: str) -> set[str]:
    """What lies behind a link, or is called otherwise, is not the store's, and never deleted."""
    place = directory / folder
    if place.is_symlink():
        raise OSError(f"{place} is a link")
    names = (file.name for file in place.iterdir()) if place.is_dir() else ()
    return {name for name in names if name.startswith(folder)}


def missing(here: Path, there: Path) -> Iterator[str]:
    """The blobs that are there, but not here; what appears meanwhile may be either."""
    for folder in folders(there):
        candidates = listing(there, folder)
        yield from sorted(candidates - listing(here, folder))


def write(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def create(path: Path) -> int:
    """A new file in the place of what was there; never what a link points to."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def install(draft: Path, final: Path) -> None:
    """Gives a file its name, durably; the file itself is synced already."""
    if not final.parent.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(final.parent.parent)
    draft.rename(final)
    sync_folder(final.parent)


def save(path: Path, text: str) -> None:
    """Writes a small file of our own durably, for its owner alone."""
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(create(draft), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    install(draft, path)


def copy(source: Path, target: Path) -> int:
    """Copies a file durably, under its name only when it is whole; returns the copy's sum."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    crc = 0
    try:
        with source.open("rb") as read, os.fdopen(create(draft), "wb") as written:
            os.fchmod(written.fileno(), os.fstat(read.fileno()).st_mode & 0o777)
            while data := read.read(_BLOCK_BYTES):
                crc = crc64nvme(data, crc)
                written.write(data)
            written.flush()
            os.fsync(written.fileno())
        install(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return crc


def copy_blob(source: Path, target: Path, blob: str) -> bool:
    """Whether the blob was whole where it was, and now is in the other directory, too."""
    if fault(place(source, blob), blob):
        return False
    copy(place(source, blob), place(target, blob))
    return True


def sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
