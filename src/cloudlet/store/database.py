"""The database of one data directory: many readers, one writer thread with group commit.

Changes are functions that take a `Transaction`. They queue up for the writer thread, which runs
all that wait inside one SQLite transaction, each in its own savepoint, and commits once (WAL,
`synchronous=FULL`): a change that was answered is on the disk, one that raised left nothing.
Where one client alone writes, the way to that thread and back takes longer than the work: then the
event loop commits by itself, in turn with the thread, which keeps all that may take long.
Readers are plain connections, one per thread, that see the last committed state.

Each service brings its tables as SQL text (`CREATE TABLE IF NOT EXISTS …`); columns that came
later are `ALTER TABLE … ADD COLUMN …` in the same text, passed over where they are there already.
See https://www.sqlite.org/wal.html.
"""

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cloudlet.errors import AwsError
from cloudlet.store.memory import Memory
from cloudlet.store.pulse import WATCHED, Pulse

T = TypeVar("T")
Row = sqlite3.Row
Parameters = Sequence[Any] | dict[str, Any]
_GROUP_MAX = 256  # changes per commit
_ROUND = 64  # commits, of which one at least is the writer thread's
_SLOW_S = 0.002  # for commits on the event loop
_CHECKPOINT_FRAMES = 4000
_RESERVED_BYTES, _RESERVED_AT_ONCE = 16 << 20, 1 << 20  # of the WAL
_log = logging.getLogger(__name__)


class View:
    """Reads from one connection."""

    connection: sqlite3.Connection

    def __init__(self, connection: sqlite3.Connection, memory: Memory) -> None:
        self.connection = connection
        self.memory = memory

    def remembered(self, key: Hashable, read: Callable[[], T]) -> T:
        """What `read` makes of watched tables (see `memory`). Shared: text or a tuple."""
        self.memory.refresh()
        return self.memory.of(key, read)

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held: each statement is by itself."""

    def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        row: Row | None = self.connection.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return self.connection.execute(sql, parameters).fetchall()

    def rows(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        return iter(self.connection.execute(sql, parameters))

    def value(self, sql: str, parameters: Parameters = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def version(self) -> int:
        """Another one after each commit of others; https://www.sqlite.org/pragma.html#pragma_data_version"""
        number: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        return number


class Snapshot(View):
    """A thread's reads on one state, as a context manager; SQLite's transaction begins with the
    first statement, and there is none where all that is asked for is remembered."""

    def __init__(self, view: View) -> None:
        self.memory = view.memory
        self._real = view.connection
        self._depth = 0
        self._is_begun = False

    @property
    def connection(self) -> sqlite3.Connection:  # type: ignore[override]
        if not self._is_begun:
            self._real.execute("BEGIN")
            self._is_begun = True
        return self._real

    def remembered(self, key: Hashable, read: Callable[[], T]) -> T:
        return self.memory.of(key, read)  # refreshed when it began: this state may be older by now

    def __enter__(self) -> "Snapshot":
        if self._depth == 0:
            self.memory.refresh()
            self.memory.is_held = True
        self._depth += 1  # nested: the outer one serves
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.memory.is_held = False
            if self._is_begun:
                self._is_begun = False
                self._real.execute("COMMIT")


class Transaction(View):
    """A change in the making: sees its own writes; nobody else does before the commit."""

    def __init__(self, connection: sqlite3.Connection, memory: Memory) -> None:
        super().__init__(connection, memory)
        self.topics: set[str] = set()
        self.committed: list[Callable[[], None]] = []

    def run(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        return self.connection.execute(sql, parameters)

    def run_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        self.connection.executemany(sql, rows)

    def touch(self, topic: str) -> None:
        """Wakes the topic's subscribers once the change is durable."""
        self.topics.add(topic)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Runs in the writer thread once the change is durable; must be quick and not raise."""
        self.committed.append(action)


Change = Callable[[Transaction], Any]


class Follower(Protocol):
    """Keeps a copy of the database: nobody hears of a commit before it returned."""

    def check(self) -> None:
        """Before a commit. Raises AwsError while the copy lacks the last one."""

    def committed(self) -> None: ...

    def closed(self) -> None: ...


class Reads:
    """Each thread's reading of `directory/cloudlet.db`, which is there."""

    def __init__(self, directory: Path, pulse: Pulse) -> None:
        self.path = directory / "cloudlet.db"
        self.pulse = pulse
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._subscribers: list[tuple[str, Callable[[str], None]]] = []

    def view(self) -> View:
        """The calling thread's view; each statement sees the then last commit."""
        return self._own()[0]

    def snapshot(self) -> Snapshot:
        """Several statements on one consistent state. Not to be held across an await."""
        return self._own()[1]

    def _own(self) -> tuple[View, Snapshot]:
        own: tuple[View, Snapshot] | None = getattr(self._local, "own", None)
        if own is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=1")
            with self._lock:
                self._readers.append(connection)
            view = View(connection, Memory(self._generation))
            own = self._local.own = view, Snapshot(view)
        return own

    def _generation(self) -> int | None:
        return self.pulse.of(WATCHED)

    def subscribe(self, prefix: str, wake: Callable[[str], None]) -> None:
        """Calls `wake(topic)` in the writer thread after commits that touched such a topic."""
        self._subscribers.append((prefix, wake))

    def close(self) -> None:
        with self._lock:
            for connection in self._readers:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("PRAGMA foreign_keys=1")
        connection.execute("PRAGMA cache_size=-16384")
        connection.execute("PRAGMA temp_store=MEMORY")
        return connection


class Database(Reads):
    """Opens (and creates) `directory/cloudlet.db`. Close it last."""

    def __init__(self, directory: Path, follower: Follower | None = None) -> None:
        super().__init__(directory, Pulse())
        self._follower = follower
        directory.mkdir(parents=True, exist_ok=True)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._is_watching = self._is_closing = False
        self._turn = threading.Lock()  # whose the writing connection is
        self._commits = self._frames = 0  # `_frames`: so many make a checkpoint
        self._pace_s = 0.0  # what a commit takes, lately
        # The writer's own: it forgets as it changes.
        self._memory = Memory(lambda: 0 if self._is_watching else None)
        self._connection = self._connect()
        self._connection.create_function("watched_change", 0, self._memory.forget)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._checkpoint_at(_CHECKPOINT_FRAMES)
        self._inode = self.path.stat().st_ino
        self._thread = threading.Thread(target=self._write_groups, name="writer", daemon=True)
        self._thread.start()

    def prepare(self, schema: str) -> None:
        """Creates a service's tables, or brings older ones up to date."""
        self.write_now(lambda tx: _prepare(tx, schema))
        self._is_watching = self._is_watching or "watched_change" in schema

    def write(
        self, change: Callable[[Transaction], T], *, is_alone: bool = False
    ) -> "asyncio.Future[T]":
        """Runs the change in the writer thread; gives its value when it is on the disk. `is_alone`:
        it is quick, and nobody else waits for the loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not (is_alone and self._commits_here(_Waiting(change, future))):
            self._queue.put(_Waiting(change, future, loop))
        return future

    def _commits_here(self, waiting: "_Waiting") -> bool:
        """On the loop, unless that may take long."""
        is_due = self._commits % _ROUND == 0 or self._follower is not None
        if is_due or self._pace_s > _SLOW_S or not self._queue.empty():
            return False
        if not self._turn.acquire(blocking=False):
            return False
        try:
            self._checkpoint_at(0)
            self._commit([waiting], is_here=True)
        finally:
            self._turn.release()
        return True

    def write_now(self, change: Callable[[Transaction], T]) -> T:
        """The same, blocking: for start-up and for threads; never on the event loop."""
        future: Future[T] = Future()
        self._queue.put(_Waiting(change, future))
        return future.result()

    def _generation(self) -> int | None:
        return super()._generation() if self._is_watching else None

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        super().close()
        self._connection.close()
        if self._follower is not None:
            self._follower.closed()

    def _write_groups(self) -> None:
        while not self._is_closing and (first := self._queue.get()) is not None:
            with self._turn:
                self._checkpoint_at(_CHECKPOINT_FRAMES)
                self._commit([first])
                if self._commits % _ROUND == 1:
                    self._reserve()

    def _reserve(self) -> None:
        """The WAL's file grows ahead of its contents: what is written where there were zeros is on
        the disk sooner than what makes the file longer. SQLite takes them for no frames."""
        with suppress(OSError), Path(f"{self.path}-wal").open("r+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) < _RESERVED_BYTES:
                file.write(bytes(_RESERVED_AT_ONCE))
                os.fdatasync(file)

    def _join(self, group: list["_Waiting"]) -> None:
        """Who came in the meantime goes along."""
        while len(group) < _GROUP_MAX and not self._is_closing and not self._queue.empty():
            waiting = self._queue.get()
            if waiting is None:
                self._is_closing = True
            else:
                group.append(waiting)

    def _commit(self, group: list["_Waiting"], *, is_here: bool = False) -> None:
        done: list[Transaction] = []
        began_s = time.monotonic()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._check_folders()
            for waiting in group:  # it grows
                if not waiting.future.cancelled():
                    self._apply(waiting, done)
                if not is_here:
                    self._join(group)
            self._connection.execute("COMMIT")
            self._note_watched()
            if self._follower is not None:
                self._follower.committed()
        except (sqlite3.Error, AwsError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._memory.forget()
            for waiting in group:
                waiting.error = waiting.error or _store_error(error)
            done = []
        for tx in done:
            self._follow(tx)
        _settle(group)
        for topic in set[str]().union(*(tx.topics for tx in done)):
            for prefix, wake in self._subscribers:
                if topic.startswith(prefix):
                    with suppress(RuntimeError):  # the loop is closed: nobody sleeps any more
                        wake(topic)
        self._commits += 1
        self._pace_s += (time.monotonic() - began_s - self._pace_s) / 8

    def _checkpoint_at(self, frames: int) -> None:
        """0: never; they take long."""
        if frames != self._frames:
            self._frames = frames
            self._connection.execute(f"PRAGMA wal_autocheckpoint={frames}")

    def _check_folders(self) -> None:
        """Writing goes on into a file that was moved away, or deleted: nobody would find it."""
        is_there = False
        with suppress(OSError):
            is_there = self.path.stat().st_ino == self._inode
        if not is_there:
            raise AwsError("ServiceUnavailable", f"{self.path} was moved or removed.", 503)
        if self._follower is not None:
            self._follower.check()

    def _note_watched(self) -> None:
        """Before anybody is told of the commit: whoever asks afterwards reads anew."""
        if self._memory.was_changed:
            self._memory.was_changed = False
            self.pulse.beat(WATCHED)

    def _apply(self, waiting: "_Waiting", done: list[Transaction]) -> None:
        tx = Transaction(self._connection, self._memory)
        self._connection.execute("SAVEPOINT change")
        try:
            waiting.value = waiting.change(tx)
        except BaseException as error:
            waiting.error = _store_error(error)
            if not self._connection.in_transaction:  # SQLite rolled everything back (disk full)
                raise sqlite3.OperationalError(str(error)) from error
            self._memory.forget()
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")
        else:
            self._connection.execute("RELEASE change")
            done.append(tx)

    def _follow(self, tx: Transaction) -> None:
        for action in tx.committed:
            try:
                action()
            except Exception:
                _log.exception("after-commit action failed")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A change in the queue, who waits for it, and what came of it."""

    change: Change
    future: "Future[Any] | asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop | None = None  # of an asyncio future
    value: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        if self.future.done():  # cancelled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


def _settle(group: list[_Waiting]) -> None:
    """Tells all who wait; a loop is woken once for all of its."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in group:
        if waiting.loop is None:
            waiting.tell()
        else:
            by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, some in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_tell_all, some)


def _tell_all(group: list[_Waiting]) -> None:
    for waiting in group:
        waiting.tell()


def _statements(schema: str) -> Iterator[str]:
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _prepare(tx: Transaction, schema: str) -> None:
    for statement in _statements(schema):
        try:
            tx.run(statement)
        except sqlite3.OperationalError as error:
            if "duplicate column name" not in str(error):
                raise


def _store_error(error: BaseException) -> BaseException:
    """A full or failing disk becomes an error that clients understand and retry."""
    if isinstance(error, sqlite3.OperationalError) and (
        "full" in str(error) or "disk I/O" in str(error)
    ):
        return AwsError("ServiceUnavailable", f"The store cannot write: {error}.", 503)
    return error


async def settle(value: T | Awaitable[T]) -> T:
    """Awaits what needs awaiting; lets callers treat both kinds of operation alike."""
    return await value if isinstance(value, Awaitable) else value
