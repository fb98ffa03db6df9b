"""Rounds over all that is kept: what they find, how they go on, and what readers get of damage."""

import base64
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import copying, default_encryption, scrub
from cloudlet.s3.scrub import Scrubber
from cloudlet.store import integrity
from cloudlet.store.scrub import Pace, Stopped
from tests.unit.s3.conftest import Shelf, drained

BIG = os.urandom(300_000)
DAYS_S = 86_400


class Heard:
    """Stands in for CloudWatch."""

    def __init__(self, shelf: Shelf) -> None:
        self.lines: list[str] = []
        self.sums: dict[str, float] = {}
        shelf.cloud.journal = shelf.cloud.meter = self

    def line(self, group: str, stream: str, message: str) -> None:
        self.lines.append(message)

    def write(self, *_: object) -> None: ...

    def add(self, _: str, name: str, __: Any, value: float = 1.0, ___: str = "") -> None:
        self.sums[name] = self.sums.get(name, 0) + value


@pytest.fixture
def heard(shelf: Shelf) -> Heard:
    return Heard(shelf)


def unhurried() -> Pace:
    return Pace(1.0, threading.Event())


def flip(file: Path, place: int = 1000) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 4
    file.write_bytes(data)


def file_of(shelf: Shelf, key: str) -> Path:
    row = shelf.database.view().one("SELECT segments FROM s3_object WHERE key = ?", (key,))
    assert row is not None
    return next(file for file in shelf.files() if file.name in row["segments"])


def spoil_content(shelf: Shelf) -> None:
    shelf.database.write_now(lambda tx: tx.run("UPDATE s3_content SET data = zeroblob(20)"))


def test_a_round_finds_what_is_damaged_and_names_it(shelf: Shelf, heard: Heard) -> None:
    for key in ("a", "b", "c"):
        shelf.put(key, BIG)
    shelf.put("small", b"small")
    flip(file_of(shelf, "b"))
    file_of(shelf, "c").unlink()
    Scrubber(shelf.cloud).round(unhurried())
    assert heard.sums == {"BlobsScrubbed": 4, "BlobsDamaged": 2}
    assert sorted(line.rpartition("s3://")[2] for line in heard.lines) == ["shelf/b", "shelf/c"]
    where = scrub.position(shelf.database.view())
    assert where.checked == 4 and len(where.damaged) == 2 and where.ended_ms


def test_small_contents_are_verified_too(shelf: Shelf, heard: Heard) -> None:
    """s3-071: one in a row is refused like one in a file."""
    shelf.put("small", b"small")
    spoil_content(shelf)
    Scrubber(shelf.cloud).round(unhurried())
    assert heard.sums["BlobsDamaged"] == 1 and heard.lines[0].endswith("s3://shelf/small")
    with pytest.raises(AwsError) as refused:
        shelf.get("small")
    assert (refused.value.code, refused.value.status) == ("InternalError", 500)


def test_damage_that_a_reader_meets_is_told(shelf: Shelf, heard: Heard) -> None:
    """s3-073: what is deleted is no damage."""
    shelf.put("a", BIG)
    file = file_of(shelf, "a")
    flip(file)
    with pytest.raises(AwsError):
        shelf.get("a")
    scrub.report(shelf.cloud, file.name, "is damaged", False)
    scrub.report(shelf.cloud, "deleted", "is not there", False)
    assert heard.lines == [f"blob {file.name} is damaged: refused to readers"]
    assert heard.sums == {"BlobsDamaged": 1}


def test_the_next_round_comes_a_week_later(shelf: Shelf, heard: Heard) -> None:
    shelf.put("a", BIG)
    scrubber = Scrubber(shelf.cloud)
    for days, count in ((0, 1), (1, 1), (5, 1), (2, 2)):
        shelf.clock.advance(days * DAYS_S)
        scrubber.round(unhurried())
        assert heard.sums["BlobsScrubbed"] == count


def test_a_round_goes_on_after_a_restart(
    shelf: Shelf, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "_PAGE", 2)
    for key in "abcde":
        shelf.put(key, BIG)
    pages = iter([None, None, None])  # a page and a half: each blob is one block

    def pace() -> None:
        try:
            next(pages)
        except StopIteration:
            raise Stopped from None

    with pytest.raises(Stopped):
        Scrubber(shelf.cloud).round(pace)  # type: ignore[arg-type]
    assert scrub.position(shelf.database.view()).checked == 2
    Scrubber(shelf.cloud).round(unhurried())
    assert scrub.position(shelf.database.view()).checked == 5
    assert heard.sums["BlobsScrubbed"] == 5


def test_a_stop_does_not_wait_for_the_rest() -> None:
    stop = threading.Event()
    pace = Pace(0.0001, stop)
    stop.set()
    with pytest.raises(Stopped):
        while True:
            pace()


def older(shelf: Shelf, key: str) -> Path:
    """As it was before names told sums."""
    file = file_of(shelf, key)
    new, old = file.name, file.name.partition("-")[0]
    for table, column in (("s3_object", "segments"), ("s3_blob", "blob")):
        change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
        shelf.database.write_now(lambda tx, change=change: tx.run(change, (new, old)))  # type: ignore[misc]
    return file.rename(file.with_name(old))


def test_blobs_from_before_are_verified_by_their_seals(shelf: Shelf, heard: Heard) -> None:
    shelf.put("old", BIG)
    shelf.put("whole", BIG)
    older(shelf, "whole")
    flip(older(shelf, "old"))
    Scrubber(shelf.cloud).round(unhurried())
    assert heard.sums["BlobsDamaged"] == 1 and heard.lines[-1].endswith("s3://shelf/old")
    assert shelf.get("whole")["Body"] == BIG


def test_names_tell_the_sum_of_the_file(shelf: Shelf) -> None:
    shelf.put("a", BIG)
    (file,) = shelf.files()
    assert integrity.expected(file.name) is not None
    assert integrity.fault(file, file.name) == ""
    flip(file)
    assert integrity.fault(file, file.name) == "is damaged"
    assert integrity.fault(file.with_name("x"), "x") == "is not there"


@pytest.mark.parametrize("place", [0, 100_000, 280_000])
def test_no_copy_is_made_of_damage(shelf: Shelf, place: int) -> None:
    """s3-072: neither by reading it for another checksum nor for another key."""
    unblock(shelf)
    shelf.put("a", BIG)
    flip(file_of(shelf, "a"), place)
    ways: list[dict[str, Any]] = [{"ChecksumAlgorithm": "SHA256"}, _customer()]
    for more in ways:
        with pytest.raises(AwsError) as refused:
            shelf.call(copying.copy_object, Bucket="shelf", Key="b", CopySource="shelf/a", **more)
        assert refused.value.code == "InternalError"
    assert len(shelf.files()) == 1


def unblock(shelf: Shelf) -> None:
    """Clients may bring keys of their own."""
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BlockedEncryptionTypes": {"EncryptionType": ["NONE"]},
    }
    rules = {"Rules": [rule]}
    put = default_encryption.put_bucket_encryption
    shelf.call(put, Bucket="shelf", ServerSideEncryptionConfiguration=rules)


def _customer() -> dict[str, str]:
    key = b"k" * 32
    return {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(key).decode(),
        "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


def test_a_range_that_is_whole_is_served(shelf: Shelf) -> None:
    shelf.put("a", BIG)
    flip(file_of(shelf, "a"), 280_000)
    got = shelf.get("a", Range="bytes=0-99")
    assert got["Body"] == BIG[:100]
    with pytest.raises(AwsError):
        shelf.get("a", Range="bytes=290000-290001")
    with pytest.raises(AwsError):
        drained(shelf.get("a")["Body"])
