"""Code of functions and layers: zips unpacked under the data directory, folders used in place.

A zip is untrusted: names stay inside, sizes are counted while unpacking. An unpacked zip lives in
`<data>/functions/<sha256 hex>` and never changes; a folder's digest follows its files.
"""

import base64
import ctypes
import hashlib
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from cloudlet.errors import AwsError
from cloudlet.functions.names import invalid

ZIP_BYTES_MAX = 50 << 20  # direct upload
UNPACKED_BYTES_MAX = 250 << 20
_FILES_MAX = 100_000
_CHUNK = 1 << 20
_NO_ZIP = "Could not unzip uploaded file. Please check your file, then try again."
FOLDER_BUCKET = "cloudlet-folder"
_SKIPPED = {"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@dataclass(frozen=True, slots=True)
class Code:
    folder: str
    digest: str  # base64 of SHA-256, as CodeSha256
    size_bytes: int
    in_place: bool = False

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of_json(cls, text: str) -> "Code":
        return cls(**orjson.loads(text))


def of_zip(data: bytes, store: Path, new_id: str) -> Code:
    """Unpacks durably; the same zip is stored once. Blocking: call in a thread."""
    digest = hashlib.sha256(data)
    folder = store / digest.hexdigest()
    if not folder.is_dir():
        store.mkdir(parents=True, exist_ok=True)
        partial = store / f"tmp-{new_id}"
        try:
            unpack(data, partial)
            _sync(partial)
            partial.rename(folder)
            _sync(store)
        except OSError as error:
            if not folder.is_dir():  # else: somebody else unpacked the same zip meanwhile
                raise AwsError("ServiceException", f"Cannot store the code: {error}", 500) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Code(str(folder), base64.b64encode(digest.digest()).decode(), len(data))


def of_folder(path: Path) -> Code:
    """A folder used where it is, for deployments from the same machine."""
    if not path.is_dir():
        raise invalid(f"The folder {path} does not exist.")
    path = path.resolve()
    digest, size_bytes = hashlib.sha256(), 0
    for name, file, status in _files(path):
        digest.update(f"{name}\0{status.st_mode & 0o111}\0{status.st_size}\0".encode())
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
        size_bytes += status.st_size
    return Code(str(path), base64.b64encode(digest.digest()).decode(), size_bytes, True)


def fingerprint(path: Path) -> int:
    """Changes when a file of the folder does; cheap (names, sizes and times only)."""
    return hash(
        tuple((name, status.st_mtime_ns, status.st_size) for name, _, status in _files(path))
    )


def _files(folder: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(names):
            file = Path(root) / name
            try:
                status = file.stat()
            except OSError:
                continue  # a dangling link, or gone since
            if stat.S_ISREG(status.st_mode) and not name.endswith(".pyc"):
                yield file.relative_to(folder).as_posix(), file, status


def unpack(data: bytes, target: Path) -> None:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise invalid(_NO_ZIP) from None
    if len(members) > _FILES_MAX:
        raise invalid(f"The zip holds more than {_FILES_MAX} files.")
    target.mkdir(parents=True)
    left = UNPACKED_BYTES_MAX
    for member in members:
        left = _extract(archive, member, target, left)
    # Links last: no file is ever written through one.
    for member in members:
        if stat.S_ISLNK(member.external_attr >> 16):
            _link(archive, member, target)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or not name.parts:
        raise invalid(f"The zip holds a file outside of its root: {member.filename!r}")
    path = target / name
    mode = member.external_attr >> 16
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return left
    if stat.S_ISLNK(mode):
        return left
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(member) as source, path.open("xb") as file:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise invalid(f"Unzipped size must be smaller than {UNPACKED_BYTES_MAX} bytes")
                file.write(chunk)
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, FileExistsError):
        raise invalid(_NO_ZIP) from None
    path.chmod(0o755 if mode & 0o111 else 0o644)
    return left


def _link(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    path = target / member.filename
    destination = archive.open(member).read(4096).decode(errors="replace")
    root = os.path.realpath(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_inside = os.path.realpath(path.parent / destination).startswith(root + "/")
        if not is_inside or not f"{path.parent.resolve()}/".startswith(root + "/"):
            raise invalid(f"The zip holds a link that leads outside: {member.filename!r}")
        path.symlink_to(destination)
    except (OSError, ValueError):
        raise invalid(f"The zip holds a link that cannot be: {member.filename!r}") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        libc: Any = ctypes.CDLL(None)
        if not hasattr(libc, "syncfs") or libc.syncfs(descriptor):
            os.sync()
    finally:
        os.close(descriptor)


def collect(store: Path, known: set[str]) -> None:
    """Deletes unpacked code that nothing refers to. At start only."""
    if store.is_dir():
        for folder in store.iterdir():
            if str(folder) not in known:
                shutil.rmtree(folder, ignore_errors=True)
