"""The store: what is answered is kept, what failed left nothing, readers see whole commits."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.store.blobs import Blobs, Segment
from cloudlet.store.database import Database, Transaction
from tests.harness import Bench

TABLE = "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT);"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path)
    database.prepare(TABLE)
    return database


def test_a_change_that_raises_leaves_nothing_and_spoils_no_other(database: Database) -> None:
    def bad(tx: Transaction) -> None:
        tx.run("INSERT INTO t VALUES (1, 'bad')")
        raise AwsError("No", "no")

    barrier = threading.Barrier(9)
    errors: list[Exception] = []

    def writer(number: int) -> None:
        barrier.wait()
        try:
            if number % 3 == 0:
                database.write_now(bad)
            database.write_now(lambda tx: tx.run("INSERT INTO t VALUES (?, 'x')", (100 + number,)))
        except AwsError as error:
            errors.append(error)

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 3
    assert database.view().value("SELECT count(*) FROM t") == 6
    database.close()


def test_changes_that_come_meanwhile_are_committed_along(tmp_path: Path) -> None:
    commits: list[int] = []

    class Follower:
        def check(self) -> None: ...

        def committed(self) -> None:
            commits.append(len(commits))

        def closed(self) -> None: ...

    database = Database(tmp_path, Follower())
    database.prepare(TABLE)
    commits.clear()
    later = threading.Thread(
        target=lambda: database.write_now(lambda tx: tx.run("INSERT INTO t VALUES (2, 'b')"))
    )

    def first(tx: Transaction) -> None:
        later.start()
        while database._queue.empty():
            threading.Event().wait(0.001)
        tx.run("INSERT INTO t VALUES (1, 'a')")

    database.write_now(first)
    later.join()
    assert database.view().value("SELECT count(*) FROM t") == 2
    assert len(commits) == 1
    database.close()


def _kept(tx: Transaction) -> str:
    tx.run("INSERT INTO t (v) VALUES ('x')")
    return threading.current_thread().name


def test_who_writes_alone_is_answered_at_once_but_for_what_takes_long(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(tx: Transaction) -> None:
        _kept(tx)
        raise AwsError("No", "no")

    async def again() -> str:
        while database._turn.locked():
            await asyncio.sleep(0.001)
        return await database.write(_kept, is_alone=True)

    async def write() -> None:
        monkeypatch.setattr("cloudlet.store.database._SLOW_S", 60)
        threads = [await again() for _ in range(256)]
        assert set(threads) == {"MainThread", "writer"}
        assert 4 <= threads.count("writer") <= 5  # it moves the log into the database
        with pytest.raises(AwsError):
            await database.write(bad, is_alone=True)
        monkeypatch.setattr("cloudlet.store.database._SLOW_S", 0)
        threads = [await again() for _ in range(3)]
        assert threads.count("MainThread") <= 1  # the disk is slow: nobody waits for it

    asyncio.run(write())
    assert database.view().value("SELECT count(*) FROM t") == 259
    database.close()


def test_who_is_alone_does_not_wait_for_others(database: Database) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def long(tx: Transaction) -> None:
        begun.set()
        goes_on.wait(10)

    async def write() -> None:
        waiting = database.write(long)
        await asyncio.to_thread(begun.wait)
        writing = database.write(_kept, is_alone=True)
        assert not writing.done()
        goes_on.set()
        assert await writing == "writer"
        await waiting

    asyncio.run(write())
    database.close()


def test_space_of_the_log_that_is_reserved_is_no_part_of_it(
    database: Database, tmp_path: Path
) -> None:
    for _ in range(130):
        database.write_now(_kept)
    log = tmp_path / "cloudlet.db-wal"
    assert log.stat().st_size > 1 << 20
    assert log.read_bytes().endswith(bytes(1 << 19))
    killed = tmp_path / "killed"
    killed.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"cloudlet.db{suffix}", killed)
    after = Database(killed)
    assert after.view().value("SELECT count(*) FROM t") == 130
    after.write_now(_kept)
    assert after.view().value("PRAGMA integrity_check") == "ok"
    after.close()
    database.close()


def test_settings_that_promise_durability(database: Database) -> None:
    assert database._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    database.close()


def test_nothing_is_told_as_done_in_a_folder_that_went(tmp_path: Path) -> None:
    """Writing would go on, into files that nobody finds."""
    folder = tmp_path / "data"
    database = Database(folder)
    database.prepare(TABLE)
    database.write_now(lambda tx: tx.run("INSERT INTO t (k) VALUES (1)"))
    folder.rename(tmp_path / "moved")
    with pytest.raises(AwsError, match="was moved or removed"):
        database.write_now(lambda tx: tx.run("INSERT INTO t (k) VALUES (2)"))
    (tmp_path / "moved").rename(folder)
    database.write_now(lambda tx: tx.run("INSERT INTO t (k) VALUES (3)"))
    assert [row[0] for row in database.view().all("SELECT * FROM t")] == [1, 3]
    database.close()


def test_subscribers_hear_of_commits_only(database: Database) -> None:
    heard: list[str] = []
    database.subscribe("a:", heard.append)

    def touched(tx: Transaction) -> None:
        tx.touch("a:1")
        tx.touch("b:1")

    def failed(tx: Transaction) -> None:
        tx.touch("a:2")
        raise AwsError("No", "no")

    database.write_now(touched)
    with pytest.raises(AwsError):
        database.write_now(failed)
    database.write_now(lambda tx: None)
    assert heard == ["a:1"]
    database.close()


def test_a_snapshot_is_one_state(database: Database) -> None:
    database.write_now(lambda tx: tx.run("INSERT INTO t VALUES (1, 'a')"))
    with database.snapshot() as view:
        assert view.value("SELECT count(*) FROM t") == 1
        database.write_now(lambda tx: tx.run("INSERT INTO t VALUES (2, 'b')"))
        assert view.value("SELECT count(*) FROM t") == 1
    assert database.view().value("SELECT count(*) FROM t") == 2
    database.close()


def test_blobs_appear_whole_or_not_at_all(tmp_path: Path, bench: Bench) -> None:
    blobs = Blobs(tmp_path / "b", bench.config.new_id)
    writer = blobs.create()
    writer.write(b"half")
    assert [file for file in (tmp_path / "b").rglob("*") if file.is_file()] == [
        blobs.temporary(writer.draft)
    ]
    writer.discard()
    writer = blobs.create()
    writer.write(b"hello ")
    writer.write(b"world")
    blob = writer.finish()
    reader = blobs.reader([Segment(blob, 6, 5), Segment(blob, 0, 2)])
    blobs.delete([blob])  # waits for the reader
    assert reader.read() + reader.read() + reader.read() == b"worldhe"
    reader.close()
    assert not blobs.path(blob).exists()


def test_orphans_are_collected(tmp_path: Path, bench: Bench) -> None:
    blobs = Blobs(tmp_path / "b", bench.config.new_id)
    kept, orphan = blobs.create(), blobs.create()
    kept.finish()
    orphan.finish()
    assert blobs.collect(lambda blob: blob == kept.blob) == 1
    assert blobs.path(kept.blob).exists() and not blobs.path(orphan.blob).exists()


def test_keyed_facts_come_one_by_one_in_order(bench: Bench) -> None:
    def change(tx: Transaction) -> None:
        for number in range(3):
            for key in ("", "k"):
                outbox.put(tx, "arn:t", b"%d" % number, source="s", now_ms=0, key=key)

    bench.database.write_now(change)
    due = outbox.due(bench.database.view(), 1, 0, 10)
    assert [(fact["key"], fact["payload"]) for fact in due] == [
        ("", b"0"),
        ("k", b"0"),
        ("", b"1"),
        ("", b"2"),
    ]
    first = next(fact["id"] for fact in due if fact["key"])
    bench.database.write_now(lambda tx: outbox.postpone(tx, first, 50))
    assert all(not fact["key"] for fact in outbox.due(bench.database.view(), 1, 0, 10))
    bench.database.write_now(lambda tx: outbox.remove(tx, first))
    due = outbox.due(bench.database.view(), 1, 0, 10)
    assert [fact["payload"] for fact in due if fact["key"]] == [b"1"]
