"""`cloudlet scrub`: verifies a data directory and its replica, in use or not, and mends them.

All accounts, one after the other. What is damaged or missing in one directory is taken from the
other; a replica that fell behind is brought up to date (by the cloudlet that runs, if one does); a
data directory that was lost is made again from its replica.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cloudlet.config import ACCOUNTS
from cloudlet.errors import AwsError
from cloudlet.store import integrity, lineage
from cloudlet.store.holding import hold
from cloudlet.store.lineage import DATABASE

Say = Callable[[str], None]
_REPAIRS_S = 3600 * 24


@dataclass(frozen=True, slots=True)
class _Pair:
    """The folders of one account. `is_used`: a cloudlet runs on them."""

    data: Path
    other: Path | None
    is_used: bool

    @property
    def is_whole(self) -> bool:
        """Whether the replica has all that is acknowledged."""
        if self.other is None or not (self.other / DATABASE).exists():
            return False
        ours, theirs = lineage.read(self.data), lineage.read(self.other)
        return bool(ours and theirs and ours.run == theirs.run)


def inspect(data: Path, replica: Path | None, repair: bool, say: Say) -> int:
    """How much damage there is (left)."""
    if replica is not None:
        lineage.check_apart(data, replica)
    if repair and replica is not None and not (data / DATABASE).exists():
        _restore(data, replica, say)
    if not (data / DATABASE).exists():
        raise AwsError("NoStore", f"there is no store in {data}", 404)
    if replica is None:
        replica = lineage.other(data)
    with _held(data, replica) as is_used:
        return sum(
            _account(_Pair(folder, other, is_used), repair, say)
            for folder, other in _accounts(data, replica)
        )


def _accounts(data: Path, replica: Path | None) -> Iterator[tuple[Path, Path | None]]:
    yield data, replica
    for folder in sorted((data / ACCOUNTS).glob("[0-9]*")):
        if (folder / DATABASE).exists():
            yield folder, replica and replica / ACCOUNTS / folder.name


@contextmanager
def _held(*folders: Path | None) -> Iterator[bool]:
    """Keeps others from starting meanwhile; True if one runs already."""
    held, is_used = [], False
    for folder in folders:
        if folder is not None and folder.is_dir():
            try:
                held.append(hold(folder))
            except AwsError:
                is_used = True
    try:
        yield is_used
    finally:
        for file in held:
            os.close(file)


def _account(pair: _Pair, repair: bool, say: Say) -> int:
    """How much damage is left."""
    bad = 0
    if pair.other is not None and not pair.is_whole:
        is_mended = repair and _caught_up(pair, say)
        if not is_mended:
            bad += 1
            say(f"replica {pair.other} {_state(pair, repair)}")
    bad += _database(pair, say)
    with closing(_view(pair.data)) as connection:
        return bad + _contents(pair, connection, repair, say)


def _state(pair: _Pair, repair: bool) -> str:
    """Of one that is not whole, and what helps."""
    known = lineage.other(pair.data)
    if pair.is_used and pair.other == known:
        return "is behind: the cloudlet that runs brings it up to date when it can be written"
    is_there = pair.other is not None and (pair.other / DATABASE).exists()
    state = "is behind" if is_there else "does not exist"
    if pair.is_used:
        where = f"its replica in {known}" if known else "none"
        return f"{state}: the cloudlet that runs has {where}"
    helps = "brings it up to date" if is_there else "makes it"
    return state if repair else f"{state}: --repair {helps}"


def _caught_up(pair: _Pair, say: Say) -> bool:
    """Whether the replica could be made whole here and now."""
    from cloudlet.store.database import Database
    from cloudlet.store.replica import Replica

    if pair.is_used or pair.other is None:
        return False
    replica = Replica(pair.data, pair.other, lambda: secrets.token_hex(8))
    database = Database(pair.data, replica)
    try:
        replica.start(database)
        replica.settled.wait(_REPAIRS_S)
        replica.stop()
    finally:
        database.close()
    say(f"replica {pair.other} {replica.why or 'is whole again'}")
    return replica.is_whole


def _view(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA query_only=1")
    return connection


def _database(pair: _Pair, say: Say) -> int:
    """The metadata's own structure; of the replica's only while nobody writes it."""
    bad = 0
    folders = [pair.data]
    if pair.other is not None and pair.is_whole and not pair.is_used:
        folders.append(pair.other)
    for folder in folders:
        with closing(_view(folder)) as connection:
            try:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            except sqlite3.DatabaseError as error:
                found = str(error)
        if found != "ok":
            bad += 1
            say(f"database in {folder}: {found}")
    return bad


def _contents(pair: _Pair, connection: sqlite3.Connection, repair: bool, say: Say) -> int:
    from cloudlet.s3 import records
    from cloudlet.s3 import scrub as s3
    from cloudlet.store.database import View
    from cloudlet.store.memory import Memory
    from cloudlet.store.scrub import Scrub

    view = View(connection, Memory(lambda: None))
    folders = [pair.data, *([pair.other] if pair.other is not None and pair.is_whole else [])]
    scrub = Scrub(*(folder / "blobs" for folder in folders), heals=repair, pace=lambda: None)
    count = small = bad = healed = 0
    for blob in s3.all_blobs(view):
        count += 1
        for finding in scrub.blob(blob):
            if not records.known_blobs(view)(blob):  # deleted meanwhile
                break
            bad, healed = bad + (not finding.is_healed), healed + finding.is_healed
            say(f"{s3.told(finding)}: {', '.join(s3.owners(view, blob))}")
    after = 0
    while page := s3.contents(view, after):
        after, small = page[-1][0], small + len(page)
        for content, how in page:
            if how:
                bad += 1
                say(f"content {content} {how}: {', '.join(s3.owners(view, content=content))}")
    beside = f" and {pair.other}" if len(folders) > 1 else ""
    say(f"{pair.data}{beside}: {count} blobs, {small} small contents verified, {bad} damaged")
    if healed:
        say(f"{healed} healed")
    return bad


def _restore(data: Path, replica: Path, say: Say) -> None:
    """A data directory that is gone, from its replica; the databases come last."""
    from cloudlet.store.shipping import fold

    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(data, replica) as is_used:
        if is_used:
            raise AwsError("DataDirectoryInUse", f"{replica} is in use", 409)
        if not (replica / DATABASE).exists():
            raise AwsError("NoStore", f"there is no store in {replica}", 404)
        for database in replica.rglob(DATABASE):
            fold(database.parent)
        files = [file for file in replica.rglob("*") if file.is_file() or file.is_symlink()]
        for file in sorted(files, key=lambda each: each.name in (DATABASE, lineage.FILE)):
            target = data / file.relative_to(replica)
            if file.name == "lock" or target.exists():
                continue
            if file.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    target.symlink_to(file.readlink())
            else:
                integrity.copy(file, target)
        say(f"{data} was made again from {replica}")
