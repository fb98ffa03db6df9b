"""A second directory: each of the two has all that was acknowledged, and is a store by itself."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import pytest

from cloudlet.errors import AwsError
from cloudlet.store import integrity, lineage
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database, Transaction
from cloudlet.store.replica import Replica
from cloudlet.store.shipping import Shipper

TABLE = "CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v BLOB);"


class Pair:
    """A database and blobs over two directories, running."""

    def __init__(self, data: Path, other: Path) -> None:
        self.replica = Replica(data, other, lambda: token_hex(4))
        self.was_whole = self.replica.is_whole
        self.database = Database(data, self.replica)
        self.database.prepare(TABLE)
        self.blobs = Blobs(data / "blobs", lambda: token_hex(16), self.replica)
        self.replica.start(self.database)
        assert self.replica.settled.wait(60)

    def put(self, key: int, size: int = 10) -> None:
        def change(tx: Transaction) -> None:
            tx.run("INSERT OR REPLACE INTO t VALUES (?, ?)", (key, os.urandom(size)))

        self.database.write_now(change)

    def blob(self, data: bytes) -> str:
        writer = self.blobs.create()
        writer.write(data)
        return writer.finish()


@contextmanager
def running(data: Path, other: Path) -> Iterator[Pair]:
    pair = Pair(data, other)
    try:
        yield pair
    finally:
        pair.replica.stop()
        pair.database.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return tmp_path / "other"


def rows(folder: Path, scratch: Path) -> list[tuple[int, bytes]]:
    """What a copy of the folder's database has, as it would be after a crash of everything."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copy(folder / f"cloudlet.db{suffix}", scratch / f"cloudlet.db{suffix}")
    with closing(sqlite3.connect(scratch / "cloudlet.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT * FROM t ORDER BY k").fetchall()


def look_again(pair: Pair) -> None:
    """Returns when all that lies beside the database was looked at once more."""
    for _ in range(2):
        pair.replica._wake.set()
        eventually(lambda: not pair.replica._wake.is_set())


def eventually(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(2000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it does not come true")


def test_each_commit_is_in_both_before_it_is_told(data: Path, other: Path, tmp_path: Path) -> None:
    with running(data, other) as pair:
        assert pair.replica.is_whole and not pair.replica.why
        for key in range(300):  # several WALs
            pair.put(key, 100_000)
            if key % 50 == 0:
                assert rows(other, tmp_path / "x") == rows(data, tmp_path / "y")
    assert (data / "cloudlet.db").read_bytes() == (other / "cloudlet.db").read_bytes()
    assert len(rows(other, tmp_path / "x")) == 300


def test_it_is_never_more_than_one_commit_behind(
    data: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither directory can be written but the WAL's file has room: then nothing is."""

    def refuse(*_: object) -> None:
        raise OSError("No space left on device")

    with running(data, other) as pair:
        pair.put(0)
        with monkeypatch.context() as full:
            full.setattr("cloudlet.store.shipping._copy_bytes", refuse)
            full.setattr(lineage, "write", refuse)
            for key in range(1, 5):
                with pytest.raises(AwsError, match="Neither directory"):
                    pair.put(key)
            read = pair.database.view().all("SELECT k FROM t ORDER BY k")
            assert [row["k"] for row in read] == [0, 1]
        pair.put(5)
        assert pair.replica.is_whole
    for folder in (data, other):
        assert [key for key, _ in rows(folder, tmp_path / "copy")] == [0, 1, 5]


def test_a_reader_that_keeps_the_wal_from_ending_loses_nothing(
    data: Path, other: Path, tmp_path: Path
) -> None:
    with running(data, other) as pair:
        with pair.database.snapshot():
            for key in range(80):
                pair.put(key, 300_000)
        for key in range(80, 120):
            pair.put(key, 300_000)
        assert len(rows(other, tmp_path / "x")) == 120


def test_blobs_are_in_both_and_go_from_both(data: Path, other: Path) -> None:
    with running(data, other) as pair:
        blob = pair.blob(b"data" * 1000)
        paths = [integrity.place(folder / "blobs", blob) for folder in (data, other)]
        assert [path.read_bytes() for path in paths] == [b"data" * 1000] * 2
        pair.blobs.delete([blob])
        assert not any(path.exists() for path in paths)


def test_a_run_that_ended_in_order_is_not_copied_again(data: Path, other: Path) -> None:
    with running(data, other) as pair:
        pair.put(1)
    with running(data, other) as pair:
        assert pair.was_whole
        pair.put(2)
    assert (data / "cloudlet.db").read_bytes() == (other / "cloudlet.db").read_bytes()


KILLED = """
import os, sys
from itertools import count
from pathlib import Path
from cloudlet.store import shipping
from tests.unit.test_replica import Pair

def dying(name, moment):
    real, calls = getattr(shipping, name), count(1)
    def wrapped(*given):
        if next(calls) == moment:
            os._exit(9)
        return real(*given)
    return wrapped

name, moment, data, other = sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:])
pair = Pair(data, other)
pair.blob(b"x" * 100_000)
if name:
    setattr(shipping, name, dying(name, moment))
for key in range(60):  # several WALs
    pair.put(key, 700_000)
    print(key, flush=True)
os._exit(9)
"""


def run_and_kill(name: str, moment: int, data: Path, other: Path) -> list[str]:
    """Which rows were told as done."""
    killed = [sys.executable, "-c", KILLED, name, str(moment), str(data), str(other)]
    ended = subprocess.run(killed, capture_output=True, text=True)
    assert ended.returncode == 9, ended.stderr
    return ended.stdout.split()


def test_what_was_put_in_place_after_a_kill_is_no_replica(
    data: Path, other: Path, tmp_path: Path
) -> None:
    run_and_kill("", 0, data, other)
    (other / "cloudlet.db-wal").unlink()
    shutil.copy(other / "cloudlet.db", tmp_path / "older")
    shutil.copy(tmp_path / "older", other / "cloudlet.db")
    with running(data, other) as pair:
        assert not pair.was_whole and pair.replica.is_whole
        assert rows(other, tmp_path / "x") == rows(data, tmp_path / "y")


@pytest.mark.parametrize(
    ("name", "moment"),
    [("", 0), ("_copy_bytes", 1), ("_copy_bytes", 20), ("fold", 1), ("fold", 2)],
)
def test_a_killed_run_leaves_little_to_copy(
    data: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, moment: int
) -> None:
    """At whatever moment: the database itself is not copied, what was told as done is in both."""
    told = run_and_kill(name, moment, data, other)
    (tmp_path / "orphan").write_text("of an upload that was under way")
    integrity.install(tmp_path / "orphan", integrity.place(data / "blobs", "ab-orphan"))
    monkeypatch.setattr(Shipper, "copy_database", lambda *_: pytest.fail("copied"))
    with running(data, other) as pair:
        assert pair.was_whole and pair.replica.is_whole
        assert rows(other, tmp_path / "x") == rows(data, tmp_path / "y")
        assert (other / "blobs" / "ab" / "ab-orphan").exists()
        pair.put(1000)
        kept = [key for key, _ in rows(other, tmp_path / "x")]
        assert kept[: len(told)] == [int(key) for key in told] and kept[-1] == 1000
    assert (data / "cloudlet.db").read_bytes() == (other / "cloudlet.db").read_bytes()


def test_an_older_store_gets_a_replica(data: Path, other: Path, tmp_path: Path) -> None:
    database = Database(data)
    database.prepare(TABLE)
    database.write_now(lambda tx: tx.run("INSERT INTO t VALUES (7, 'old')"))
    blobs = Blobs(data / "blobs", lambda: token_hex(16))
    writer = blobs.create()
    writer.write(b"old")
    blob = writer.finish()
    database.close()
    (data / "functions" / "abc").mkdir(parents=True)
    (data / "functions" / "abc" / "app.py").write_text("code")
    (data / "root-key.json").write_text("key")
    with running(data, other):
        assert rows(other, tmp_path / "x") == [(7, "old")]
    assert integrity.place(other / "blobs", blob).read_bytes() == b"old"
    for name in ("master-key", "root-key.json", "functions/abc/app.py"):
        assert (other / name).read_bytes() == (data / name).read_bytes()


def test_a_replica_that_is_lost_is_made_again(data: Path, other: Path, tmp_path: Path) -> None:
    with running(data, other) as pair:
        pair.put(1)
        before = pair.blob(b"before")
        shutil.rmtree(other)
        pair.put(2)
        pair.blob(b"after")
        assert lineage.read(other) is None or pair.replica.is_whole
        eventually(lambda: pair.replica.is_whole)
        pair.put(3)
        assert [key for key, _ in rows(other, tmp_path / "x")] == [1, 2, 3]
        assert integrity.fault(integrity.place(other / "blobs", before), before) == ""
        assert not list(integrity.missing(other / "blobs", data / "blobs"))


def test_what_was_written_alone_is_never_overwritten(data: Path, other: Path) -> None:
    with running(data, other) as pair:
        pair.put(1)
    lineage.alone(other, lambda: "apart")  # somebody went on with the replica
    with pytest.raises(AwsError, match="newer than"):
        Replica(data, other, lambda: "run")
    lineage.alone(data, lambda: "also")
    with pytest.raises(AwsError, match="each used on their own"):
        Replica(data, other, lambda: "run")


def test_strangers_and_empty_folders_are_refused(data: Path, other: Path) -> None:
    with running(data, other) as pair:
        pair.put(1)
    with pytest.raises(AwsError, match="is empty"):
        Replica(data.with_name("new"), other, lambda: "run")
    stranger = data.with_name("stranger")
    Database(stranger).close()
    with pytest.raises(AwsError, match="no replica of"):
        Replica(data, stranger, lambda: "run")


def test_the_directories_change_places(data: Path, other: Path, tmp_path: Path) -> None:
    with running(data, other) as pair:
        pair.put(1)
    shutil.rmtree(data)
    with running(other, data) as pair:
        pair.put(2)
    assert [key for key, _ in rows(data, tmp_path / "x")] == [1, 2]


def test_a_database_that_was_put_back_is_copied_again(
    data: Path, other: Path, tmp_path: Path
) -> None:
    with running(data, other) as pair:
        pair.put(1)
    shutil.copytree(other, tmp_path / "before")
    with running(data, other) as pair:
        pair.put(2)
    shutil.copy(tmp_path / "before" / "cloudlet.db", other / "cloudlet.db")
    with running(data, other) as pair:
        assert not pair.was_whole and pair.replica.is_whole
        pair.put(3)
        assert rows(other, tmp_path / "copy") == rows(data, tmp_path / "first")


def test_a_directory_in_the_place_of_the_other_is_noticed(
    data: Path, other: Path, tmp_path: Path
) -> None:
    with running(data, other) as pair:
        pair.put(1)
        other.rename(tmp_path / "away")
        other.mkdir()
        pair.put(2)
        eventually(lambda: pair.replica.is_whole and (other / "cloudlet.db").exists())
        pair.put(3)
        assert rows(other, tmp_path / "copy") == rows(data, tmp_path / "first")


def test_a_strangers_keys_are_never_overwritten(data: Path, other: Path, tmp_path: Path) -> None:
    """Another store comes into its place, as when another disk is mounted."""
    with running(tmp_path / "theirs", tmp_path / "away"):
        (tmp_path / "theirs" / "master-key").write_text("theirs")
    with running(data, other) as pair:
        (data / "master-key").write_text("ours")
        other.rename(tmp_path / "gone")
        (tmp_path / "theirs").rename(other)
        pair.replica._wake.set()
        eventually(lambda: "were each used on their own" in pair.replica.why)
        assert (other / "master-key").read_text() == "theirs"


@pytest.mark.parametrize("account", ["", "accounts/123456789012"])
def test_files_of_buckets_elsewhere_are_mirrored(data: Path, other: Path, account: str) -> None:
    """Also of accounts that sleep, whatever the buckets' names; no more than there are."""
    ours, theirs = data / account / "remotes", other / account / "remotes"
    ours.mkdir(parents=True)
    for name in ("a", "lock", "cloudlet.db"):
        (ours / f"{name}.json").write_text(name)
        (ours / f"{name}.json").chmod(0o600)
    with running(data, other) as pair:
        files = sorted(theirs.iterdir())
        assert [each.name for each in files] == ["a.json", "cloudlet.db.json", "lock.json"]
        assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
        assert theirs.stat().st_mode & 0o777 == 0o700
        (ours / "a.json").unlink()
        look_again(pair)
        assert not (theirs / "a.json").exists()
        shutil.rmtree(ours)  # lost: nobody has removed them
        look_again(pair)
        assert len(list(theirs.iterdir())) == 2


@pytest.mark.parametrize("name", ["cloudlet.db.new", "lineage.json.new", "cloudlet.db"])
def test_nothing_is_written_through_links(data: Path, other: Path, name: str) -> None:
    other.mkdir()
    victim = other.with_name("victim")
    victim.write_text("precious")
    (other / name).symlink_to(victim)
    victims = other.with_name("victims")
    victims.mkdir()
    (other / "remotes").symlink_to(victims)
    (data / "remotes").mkdir(parents=True)
    (data / "remotes" / "a.json").touch()
    with suppress(AwsError), running(data, other) as pair:
        pair.put(1)
        pair.blob(b"x" * 100_000)
    assert victim.read_text() == "precious" and not list(victims.iterdir())


def test_nothing_behind_links_is_deleted(data: Path, other: Path) -> None:
    victims = other.with_name("victims")
    victims.mkdir()
    for name in ("zztop", "other"):
        (victims / name).write_text("precious")
    with running(data, other) as pair:
        pair.blob(b"x" * 100_000)
    (other / "blobs" / "zz").symlink_to(victims)
    (other / "lineage.json").write_text((other / "lineage.json").read_text().replace("true", "0"))
    with running(data, other) as pair:
        assert not pair.replica.is_whole and "is a link" in pair.replica.why
        (other / "blobs" / "zz").unlink()
        pair.replica._wake.set()
        eventually(lambda: pair.replica.is_whole)
    assert sorted(each.name for each in victims.iterdir()) == ["other", "zztop"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": 1, "other": "", "is_clean": true}'])
def test_a_lineage_that_cannot_be_read_is_refused(data: Path, other: Path, text: str) -> None:
    with running(data, other) as pair:
        pair.put(1)
    (other / "lineage.json").write_text(text)
    with pytest.raises(AwsError, match="is damaged"), running(data, other):
        pass


def test_pipes_hold_up_nobody(data: Path, other: Path) -> None:
    with running(data, other) as pair:
        blob = pair.blob(b"x" * 100_000)
        (data / "key").write_text("k")
        place = integrity.place(other / "blobs", blob)
        place.unlink()
        os.mkfifo(place)
        os.mkfifo(other / "key")
        assert integrity.fault(place, blob)
        pair.replica._wake.set()
        eventually(lambda: (other / "key").is_file())
    assert (other / "key").read_text() == "k"
