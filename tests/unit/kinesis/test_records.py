"""Records: puts, iterators, reads, limits, retention."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.kinesis import sequences, shards, streams, writing
from tests.harness import Bench
from tests.unit.kinesis.conftest import HASH_KEYS, Streams


def refused(code: str) -> Any:
    return pytest.raises(AwsError, match=f"^{code}")


def test_sequence_numbers(kinesis: Streams) -> None:
    kinesis.make(2)
    made = [kinesis.put(b"x", str(number)) for number in range(20)]
    by_shard: dict[str, list[str]] = {}
    for each in made:
        assert len(each["SequenceNumber"]) == 56
        by_shard.setdefault(each["ShardId"], []).append(each["SequenceNumber"])
    assert len(by_shard) == 2
    assert all(numbers == sorted(set(numbers)) for numbers in by_shard.values())
    assert len({each["SequenceNumber"] for each in made}) == 20
    starts = {s["ShardId"]: s["SequenceNumberRange"]["StartingSequenceNumber"]
              for s in kinesis.shards()}  # fmt: skip
    assert all(starts[shard] < numbers[0] for shard, numbers in by_shard.items())
    for text in ("0", "1" * 56, "4" + "9" * 55, "", "x" * 56, starts["shardId-000000000000"] + "0"):
        assert sequences.parsed(text) is None


def test_where_a_key_goes(kinesis: Streams) -> None:
    """The MD5 of the partition key, or the key that is given."""
    kinesis.make(2)
    half = HASH_KEYS // 2
    assert sequences.hash_key("a") == 0x0CC175B9C0F1B6A831C399E269772661
    assert kinesis.put(b"", "a")["ShardId"] == "shardId-000000000000"
    for key, shard in ((0, 0), (half - 1, 0), (half, 1), (HASH_KEYS - 1, 1)):
        put = kinesis.put(b"", "a", ExplicitHashKey=str(key))
        assert put["ShardId"] == sequences.shard_id(shard)
    with refused("InvalidArgumentException"):
        kinesis.put(b"", "a", ExplicitHashKey=str(HASH_KEYS))


def test_what_a_put_refuses(kinesis: Streams, bench: Bench) -> None:
    arn = kinesis.make()
    with refused("ValidationException"):
        bench.call(writing.put_record, StreamName="s", Data=b"")
    with refused("ResourceNotFoundException"):
        kinesis.put(b"", StreamName="t")
    kinesis.put(bytes((1 << 20) - 1))
    with refused("ValidationException"):
        kinesis.put(bytes(1 << 20))
    with refused("InvalidArgumentException"):
        kinesis.put(b"", SequenceNumberForOrdering="4")
    last = kinesis.shards()[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    bench.clock.advance(5)
    kinesis.put(b"", SequenceNumberForOrdering=last)
    bench.call(streams.update_max_record_size, StreamARN=arn, MaxRecordSizeInKiB=10_240)
    bench.clock.advance(5)
    kinesis.put(bytes(5 << 20))
    bench.clock.advance(10)
    many = [{"Data": bytes(4 << 20), "PartitionKey": "k"}] * 3
    with refused("InvalidArgumentException"):
        bench.call(writing.put_records, StreamName="s", Records=many)


def test_every_kind_of_iterator(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    numbers, moments = [], []
    for number in range(5):
        moments.append(datetime.fromtimestamp(bench.clock.now_ms / 1000, UTC))
        numbers.append(kinesis.put(b"%d" % number)["SequenceNumber"])
        bench.clock.advance(1)
    assert kinesis.read() == [b"0", b"1", b"2", b"3", b"4"]
    assert kinesis.read("LATEST") == []
    for number in range(5):
        later = [b"%d" % each for each in range(number, 5)]
        given = {"StartingSequenceNumber": numbers[number]}
        assert kinesis.read("AT_SEQUENCE_NUMBER", **given) == later
        assert kinesis.read("AFTER_SEQUENCE_NUMBER", **given) == later[1:]
        assert kinesis.read("AT_TIMESTAMP", Timestamp=moments[number]) == later
    start = kinesis.shards()[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert len(kinesis.read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=start)) == 5
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    assert len(kinesis.read("AT_TIMESTAMP", Timestamp=long_ago)) == 5
    for kind, params in (
        ("AT_SEQUENCE_NUMBER", {}),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": "0"}),
        ("AT_TIMESTAMP", {}),
        ("AT_TIMESTAMP", {"Timestamp": datetime(2100, 1, 1, tzinfo=UTC)}),
    ):
        with refused("InvalidArgumentException"):
            kinesis.iterator(kind, **params)
    with refused("ResourceNotFoundException"):
        kinesis.iterator(shard=1)


def test_an_iterator_belongs_to_its_stream(kinesis: Streams, bench: Bench) -> None:
    """Sequence numbers, shards and iterators of one stream open nothing of another."""
    kinesis.make()
    bench.clock.advance(2)
    other = kinesis.make(name="t")
    put = kinesis.put(b"mine", StreamName="t")
    with refused("InvalidArgumentException"):
        kinesis.iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber=put["SequenceNumber"])
    mine = kinesis.iterator()
    with refused("InvalidArgumentException"):
        kinesis.get(mine, StreamARN=other)
    from base64 import urlsafe_b64decode, urlsafe_b64encode

    raw = bytearray(urlsafe_b64decode(mine))
    forged = raw[:16] + raw[16:].replace(b"[1,", b"[2,", 1)
    assert forged != raw
    for wrong in (urlsafe_b64encode(forged).decode(), mine[:-8], "x", "AAAA", "é"):
        with refused("InvalidArgumentException"):
            kinesis.get(wrong)
    with refused("InvalidArgumentException"):  # a token is not an iterator
        kinesis.shards(NextToken=mine)


def test_reading_on(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    for number in range(5):
        kinesis.put(b"%d" % number)
        bench.clock.advance(1)
    first = kinesis.get(kinesis.iterator(), Limit=2)
    assert [r["Data"] for r in first["Records"]] == [b"0", b"1"]
    assert first["MillisBehindLatest"] == 4200  # of a record that was put four seconds ago
    second = kinesis.get(first["NextShardIterator"])
    assert [r["Data"] for r in second["Records"]] == [b"2", b"3", b"4"]
    assert second["MillisBehindLatest"] == 0
    record = second["Records"][0]
    assert record["PartitionKey"] == "k"
    assert record["ApproximateArrivalTimestamp"] == (1_795_000_000_000 + 2000) / 1000
    assert kinesis.get(second["NextShardIterator"])["Records"] == []
    kinesis.put(b"5")
    assert [r["Data"] for r in kinesis.get(second["NextShardIterator"])["Records"]] == [b"5"]
    bench.clock.advance(301)
    with refused("ExpiredIteratorException"):
        kinesis.get(second["NextShardIterator"])


def test_at_a_closed_shards_end(kinesis: Streams, bench: Bench) -> None:
    """No next iterator, but the children; what is written goes to them."""
    kinesis.make()
    kinesis.put(b"before")
    half = str(HASH_KEYS // 2)
    split = {"StreamName": "s", "ShardToSplit": "shardId-000000000000"}
    latest = kinesis.iterator("LATEST")
    bench.call(shards.split_shard, NewStartingHashKey=half, **split)
    assert kinesis.put(b"after", "a")["ShardId"] == "shardId-000000000001"
    end = kinesis.get(kinesis.iterator())
    assert [r["Data"] for r in end["Records"]] == [b"before"]
    assert "NextShardIterator" not in end
    assert [(c["ShardId"][-1], c["ParentShards"]) for c in end["ChildShards"]] == [
        ("1", ["shardId-000000000000"]), ("2", ["shardId-000000000000"]),
    ]  # fmt: skip
    assert "NextShardIterator" not in kinesis.get(latest)
    part = kinesis.get(kinesis.iterator(), Limit=1)
    assert "ChildShards" in part


def test_what_a_shard_takes_in_a_second(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    put = {"StreamName": "s", "Records": [{"Data": b"x", "PartitionKey": "k"}] * 500}
    assert bench.call(writing.put_records, **put)["FailedRecordCount"] == 0
    bench.clock.advance(0.1)  # a hundred more
    second = bench.call(writing.put_records, **put)
    assert second["FailedRecordCount"] == 0
    third = bench.call(writing.put_records, **put)
    assert third["FailedRecordCount"] == 400
    failed = third["Records"][-1]
    assert failed["ErrorCode"] == "ProvisionedThroughputExceededException"
    assert failed["ErrorMessage"] == (
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000."
    )
    with refused("ProvisionedThroughputExceededException"):
        kinesis.put(b"x")
    bench.clock.advance(1)
    kinesis.put(bytes(1_000_000))
    kinesis.put(bytes(1_000_000))  # into debt
    with refused("ProvisionedThroughputExceededException"):
        kinesis.put(b"x")
    bench.call(streams.update_stream_mode, StreamARN=bench.config.arn("kinesis", "stream/s"),
               StreamModeDetails={"StreamMode": "ON_DEMAND"})  # fmt: skip
    kinesis.put(b"x")


def test_what_a_shard_gives_in_a_second(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    iterator = kinesis.iterator()
    kinesis.get(iterator)
    with refused("ProvisionedThroughputExceededException"):
        for _ in range(6):
            bench.clock.advance(-0.2)
            kinesis.get(iterator)
    for _ in range(8):
        bench.clock.advance(1)
        kinesis.put(bytes(1_000_000))
    assert len(kinesis.get(iterator)["Records"]) == 8
    with refused("ProvisionedThroughputExceededException"):
        kinesis.get(iterator)
    bench.clock.advance(5)
    kinesis.get(iterator)


def test_records_go_after_the_retention(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    for number in range(3):
        kinesis.put(b"%d" % number)
        bench.clock.advance(3600)
    split = {"StreamName": "s", "ShardToSplit": "shardId-000000000000"}
    bench.call(shards.split_shard, NewStartingHashKey="9", **split)
    bench.clock.advance(21.5 * 3600)  # the first is over 24 hours old
    assert kinesis.read() == [b"1", b"2"]
    asyncio.run(kinesis.state.sweep())
    count = "SELECT count(*) FROM kinesis_records"
    assert bench.database.view().value(count) == 2
    assert kinesis.read() == [b"1", b"2"]
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    assert kinesis.read("AT_TIMESTAMP", Timestamp=long_ago) == [b"1", b"2"]
    assert len(kinesis.shards()) == 3
    waiting = kinesis.iterator()
    bench.clock.advance(3 * 3600)
    asyncio.run(kinesis.state.sweep())
    assert bench.database.view().value(count) == 0
    assert [s["ShardId"][-1] for s in kinesis.shards()] == ["1", "2"]  # children know their parent
    assert kinesis.shards()[0]["ParentShardId"] == "shardId-000000000000"
    with pytest.raises(AwsError):
        kinesis.get(waiting)


def test_an_expired_closed_shard_ends(kinesis: Streams, bench: Bench) -> None:
    """What is too old but not swept yet keeps nobody waiting."""
    kinesis.make()
    kinesis.put(b"old")
    split = {"StreamName": "s", "ShardToSplit": "shardId-000000000000"}
    bench.call(shards.split_shard, NewStartingHashKey="9", **split)
    bench.clock.advance(25 * 3600)
    found = kinesis.get(kinesis.iterator())
    assert found["Records"] == [] and "NextShardIterator" not in found


def test_times_never_fall(kinesis: Streams, bench: Bench) -> None:
    """A clock that is set back does not confuse the search by time."""
    kinesis.make()
    kinesis.put(b"a")
    bench.clock.advance(-60)
    kinesis.put(b"b")
    records = kinesis.get(kinesis.iterator())["Records"]
    assert len({r["ApproximateArrivalTimestamp"] for r in records}) == 1
