"""A second directory, on another disk, that holds all that cannot be made again.

While it is *whole*, what is acknowledged is durable in both: blobs before their names are told,
commits before anybody hears of them, keys and code before they are used. A directory that cannot
be written falls *behind*: that is written down here first (`lineage`), then the store goes on
alone, says so, and a thread copies what is missing until the other one is whole again. Blobs are
written to it meanwhile (it is *fed*), so that there is an end to it.

Nothing of the other directory that is still good is given up before its successor is in place.
"""

import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cloudlet.config import ACCOUNTS, REMOTES
from cloudlet.errors import AwsError
from cloudlet.store import integrity, lineage
from cloudlet.store.database import Database
from cloudlet.store.lineage import DATABASE, Lineage
from cloudlet.store.shipping import Shipper

_CHECKPOINT_FRAMES = 4000
_RETRY_S = 10.0
_OWN = (DATABASE, "lock", "endpoint.json", lineage.FILE)  # not to be copied as they are
_TREES = ("functions",)
_log = logging.getLogger(__name__)
Told = Callable[[str], None]  # why the replica is behind; "" = it is whole


class Replica:
    """Of one account's folder. Any thread may call it."""

    def __init__(self, data: Path, other: Path, new_run: Callable[[], str]) -> None:
        self.data, self.other = data, other
        self.why = "it was not compared yet"
        self.is_fed = self.is_whole = False
        self.on_change: Told = lambda why: None
        self.settled = threading.Event()  # after the first attempt
        self._new_run = new_run
        self._is_compared = False  # all that lies beside the database
        self._shipper = Shipper(data, other, self._folded)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._is_ending = False
        self._thread: threading.Thread | None = None
        self._database: Database | None = None
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lineage.check(data, other)
        self._open()

    def _open(self) -> None:
        """Goes on where the last run ended, in order or killed; else all is compared first."""
        ours = lineage.read(self.data) or Lineage()
        self._lineage = ours.then(self._new_run(), self.other)
        with suppress(OSError, sqlite3.Error):
            theirs = lineage.read(self.other) or Lineage()
            is_same = bool(ours.run) and ours.run == theirs.run
            is_clean = ours.is_clean and theirs.is_clean
            if is_same and is_clean:
                is_alike = ours.is_as_left(self.data) and theirs.is_as_left(self.other)
                is_same = is_alike and not _has_wal(self.data) and not _has_wal(self.other)
            elif is_same:
                is_same = self._shipper.resume(theirs.is_as_left(self.other))
            lineage.write(self.data, self._lineage)
            if is_same:
                self.is_fed = self.is_whole = True
                self._is_compared = is_clean
                self._folded()
            return
        lineage.write(self.data, self._lineage)

    def _folded(self) -> None:
        """The replica's database is as it will be until its next WAL is moved into it."""
        with self._lock:
            if self.is_whole:
                lineage.write(self.other, self._lineage.marked(self.other))

    # What the database does (`database.Follower`)

    def check(self) -> None:
        """The other is never more than one commit behind while it is taken for whole."""
        if self._shipper.is_missing:
            self.committed()

    def committed(self) -> None:
        if self.is_whole:
            try:
                self._shipper.ship()
            except (OSError, sqlite3.Error) as error:
                self.fall_behind(error)

    def closed(self) -> None:
        """The database is closed: if all went well, both say so."""
        try:
            if self.is_whole and self._is_compared and not _has_wal(self.data):
                self._shipper.fold()
                for folder in (self.other, self.data):
                    lineage.write(folder, replace(self._lineage.marked(folder), is_clean=True))
        except (OSError, sqlite3.Error) as error:
            _log.error("the replica %s was not closed in order: %s", self.other, error)
        self._shipper.close()

    # What blobs do

    def twin(self, draft: str) -> "Twin":
        return Twin(self, self.other / "blobs" / "tmp" / draft)

    def copy_blob(self, blob: str) -> None:
        """For one that appeared while the other directory was behind."""
        ours, theirs = (integrity.place(each / "blobs", blob) for each in (self.data, self.other))
        with suppress(FileNotFoundError):
            integrity.copy(ours, theirs)
        if not ours.exists():  # deleted meanwhile
            theirs.unlink(missing_ok=True)

    def unlink(self, blob: str) -> None:
        if self.is_whole:  # one that is behind may still need it
            with suppress(OSError):  # an orphan
                integrity.place(self.other / "blobs", blob).unlink(missing_ok=True)

    def heal(self, blob: str) -> bool:
        try:
            return integrity.copy_blob(self.other / "blobs", self.data / "blobs", blob)
        except OSError:
            return False

    def keep_folder(self, folder: Path) -> None:
        """Copies a folder of code, which never changes under its name."""
        if self.is_fed and folder.is_relative_to(self.data):
            try:
                _copy_folder(folder, self.other / folder.relative_to(self.data))
            except OSError as error:
                self.fall_behind(error)

    # Behind, and whole again

    def fall_behind(self, error: Exception) -> None:
        """Returns when this directory has it in writing that it goes on alone."""
        with self._lock:
            if not self.is_fed:
                return
            try:
                self._lineage = self._lineage.then(self._new_run(), self.other)
                lineage.write(self.data, self._lineage)
            except OSError as failure:
                raise AwsError(
                    "ServiceUnavailable", f"Neither directory can be written: {failure}.", 503
                ) from failure
            self.is_fed = self.is_whole = self._is_compared = False
        self._tell(str(error))
        self._wake.set()

    def _tell(self, why: str) -> None:
        if why != self.why:
            self.why = why
            if why:
                _log.error("the replica %s is behind: %s", self.other, why)
            self.on_change(why)

    def start(self, database: Database) -> None:
        self._database = database
        if self.is_whole:
            self._tell("")
        self._thread = threading.Thread(target=self._run, name="replica", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._is_ending:
            try:
                self._copy_small()
                if not (self.is_whole and self._is_compared):
                    self._catch_up()
                    self._check_fed()
                    self._is_compared = True
                    self._tell("")
            except (OSError, sqlite3.Error, AwsError) as error:
                with suppress(AwsError):  # neither can be written: the next commit tells
                    self.fall_behind(error)
                self._tell(str(error))
            self.settled.set()
            self._wake.wait(_RETRY_S)
            self._wake.clear()

    def _catch_up(self) -> None:
        assert self._database is not None
        (self.other / "blobs" / "tmp").mkdir(parents=True, exist_ok=True)
        self.is_fed = True
        for name in _TREES:
            for folder in _folders(self.data / name):
                self.keep_folder(folder)
        ours, theirs = self.data / "blobs", self.other / "blobs"
        for blob in integrity.missing(theirs, ours):
            self._check_fed()
            self.copy_blob(blob)
        if not self.is_whole:
            self._copy_database(self._database)
        for blob in integrity.missing(ours, theirs):
            self._check_fed()
            integrity.place(theirs, blob).unlink(missing_ok=True)

    def _check_fed(self) -> None:
        if not self.is_fed or self._is_ending:
            raise OSError(self.why or "cloudlet stops")

    def _copy_database(self, database: Database) -> None:
        def take(draft: Path) -> None:
            with self._lock:
                self._check_fed()
                self._shipper.take(draft)
                self.is_whole = True
                self._folded()

        database.write_now(lambda tx: tx.run("PRAGMA wal_autocheckpoint=0"))
        try:
            draft = self._shipper.copy_database()
            database.write_now(lambda tx: take(draft))
        finally:
            frames = f"PRAGMA wal_autocheckpoint={_CHECKPOINT_FRAMES}"
            database.write_now(lambda tx: tx.run(frames))

    def _copy_small(self) -> None:
        """Keys and what else lies beside the database; also of accounts that sleep."""
        lineage.check(self.data, self.other)  # nobody else's are overwritten
        self.other.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.data, *_folders(self.data / ACCOUNTS)):
            with suppress(FileNotFoundError):  # an account that goes
                for file in sorted(folder.iterdir()):
                    if not _is_own(file.name):
                        self._copy_file(file)
                self._mirror(folder / REMOTES)

    def _copy_file(self, file: Path) -> None:
        target = self.other / file.relative_to(self.data)
        if file.is_file() and not _is_same(file, target):
            integrity.copy(file, target)

    def _mirror(self, folder: Path) -> None:
        """What it has, and no more than that; one that is lost was never emptied."""
        if not folder.is_dir():
            return
        twin = self.other / folder.relative_to(self.data)
        if twin.is_symlink():
            raise OSError(f"{twin} is a link")
        for file in folder.glob("*.json"):
            self._copy_file(file)
        for file in twin.glob("*.json"):
            if not (folder / file.name).exists():
                file.unlink(missing_ok=True)


class Twin:
    """A blob on its way to the other directory. Never fails: the replica falls behind instead."""

    def __init__(self, replica: Replica, path: Path) -> None:
        self._replica = replica
        self._path = path
        self._file = -1
        if replica.is_fed:
            with self._careful():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes | memoryview) -> None:
        if self._file >= 0:
            with self._careful():
                integrity.write(self._file, data)

    def finish(self, blob: str) -> None:
        """The blob has its name in the first directory."""
        with self._careful():
            if self._file >= 0:
                os.fsync(self._file)
                self._close()
                integrity.install(self._path, integrity.place(self._path.parent.parent, blob))
            elif self._replica.is_fed:  # again, since the blob was begun
                self._replica.copy_blob(blob)

    def discard(self) -> None:
        with suppress(OSError):
            self._close()
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _careful(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._replica.fall_behind(error)
            self.discard()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from sorted(
            each for each in parent.iterdir() if each.is_dir() and not each.name.startswith(".")
        )


def _is_own(name: str) -> bool:
    """Written by each directory for itself, or not finished."""
    return name.startswith((*_OWN, ".")) or name.endswith((".new", ".log"))


def _is_same(file: Path, target: Path) -> bool:
    is_file = target.is_file() and not target.is_symlink()
    return is_file and target.read_bytes() == file.read_bytes()


def _has_wal(folder: Path) -> bool:
    path = folder / f"{DATABASE}-wal"
    return path.exists() and path.stat().st_size > 0


def _copy_folder(source: Path, target: Path) -> None:
    if target.exists() or source.name.startswith("tmp-"):
        return
    draft = target.with_name(f"tmp-{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft, symlinks=True)
    os.sync()
    integrity.install(draft, target)
