"""Splits, merges, scaling, listings."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.kinesis import shards, streams
from tests.harness import Bench
from tests.unit.kinesis.conftest import HASH_KEYS, Streams


def split(bench: Bench, shard: int, start: int) -> None:
    name = f"shardId-{shard:012d}"
    bench.call(shards.split_shard, StreamName="s", ShardToSplit=name, NewStartingHashKey=str(start))


def merge(bench: Bench, one: int, other: int) -> None:
    names = [f"shardId-{number:012d}" for number in (one, other)]
    pair = {"ShardToMerge": names[0], "AdjacentShardToMerge": names[1]}
    bench.call(shards.merge_shards, StreamName="s", **pair)


def open_ranges(kinesis: Streams) -> list[tuple[int, int]]:
    found = kinesis.shards(ShardFilter={"Type": "AT_LATEST"})
    ranges = [s["HashKeyRange"] for s in found]
    return sorted((int(r["StartingHashKey"]), int(r["EndingHashKey"])) for r in ranges)


def covers_all(ranges: list[tuple[int, int]]) -> bool:
    starts = [0, *(last + 1 for _, last in ranges)]
    return starts == [*(first for first, _ in ranges), HASH_KEYS]


def test_split_and_merge(kinesis: Streams, bench: Bench) -> None:
    kinesis.make()
    split(bench, 0, 100)
    parent, low, high = kinesis.shards()
    assert parent["SequenceNumberRange"].keys() >= {"EndingSequenceNumber"}
    assert low["ParentShardId"] == high["ParentShardId"] == parent["ShardId"]
    assert low["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": "99"}
    assert (
        low["SequenceNumberRange"]["StartingSequenceNumber"]
        > parent["SequenceNumberRange"]["EndingSequenceNumber"]
    )
    merge(bench, 2, 1)
    merged = kinesis.shards()[-1]
    assert (merged["ParentShardId"][-1], merged["AdjacentParentShardId"][-1]) == ("2", "1")
    assert open_ranges(kinesis) == [(0, HASH_KEYS - 1)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda bench: split(bench, 0, 5), "InvalidArgumentException"),  # closed
        (lambda bench: split(bench, 1, 1), "InvalidArgumentException"),
        (lambda bench: split(bench, 1, 99), "InvalidArgumentException"),
        (lambda bench: split(bench, 1, 5000), "InvalidArgumentException"),
        (lambda bench: split(bench, 9, 5), "ResourceNotFoundException"),
        (lambda bench: merge(bench, 0, 1), "InvalidArgumentException"),
        (lambda bench: merge(bench, 1, 4), "InvalidArgumentException"),  # not adjacent
        (lambda bench: merge(bench, 1, 1), "InvalidArgumentException"),
        (lambda bench: merge(bench, 1, 9), "ResourceNotFoundException"),
    ],
)
def test_what_is_refused(kinesis: Streams, bench: Bench, change: Any, code: str) -> None:
    kinesis.make()
    split(bench, 0, 100)
    split(bench, 2, 1000)
    before = kinesis.shards()
    with pytest.raises(AwsError) as refused:
        change(bench)
    assert refused.value.code == code
    assert kinesis.shards() == before


@pytest.mark.parametrize("counts", [(4, 8, 6, 3, 5, 9), (2, 1, 2, 3), (7, 4, 5)])
def test_uniform_scaling(kinesis: Streams, bench: Bench, counts: tuple[int, ...]) -> None:
    kinesis.make(counts[0])
    for count, target in pairwise(counts):
        done = bench.call(shards.update_shard_count, StreamName="s", TargetShardCount=target,
                          ScalingType="UNIFORM_SCALING")  # fmt: skip
        assert (done["CurrentShardCount"], done["TargetShardCount"]) == (count, target)
        ranges = open_ranges(kinesis)
        assert [first for first, _ in ranges] == shards.uniform(target) and covers_all(ranges)


def test_scaling_has_limits(kinesis: Streams, bench: Bench) -> None:
    kinesis.make(4)
    for target in (1, 9):
        with pytest.raises(AwsError) as refused:
            bench.call(shards.update_shard_count, StreamName="s", TargetShardCount=target)
        assert refused.value.code == "InvalidArgumentException"
    arn = bench.config.arn("kinesis", "stream/s")
    mode = {"StreamMode": "ON_DEMAND"}
    bench.call(streams.update_stream_mode, StreamARN=arn, StreamModeDetails=mode)
    with pytest.raises(AwsError, match="capacity mode is ON_DEMAND"):
        bench.call(shards.update_shard_count, StreamName="s", TargetShardCount=5)


def test_filters(kinesis: Streams, bench: Bench) -> None:
    """One shard, split an hour later, its second child another hour later."""
    kinesis.make()
    moments = []
    for shard, start in ((0, 100), (2, 1000)):
        moments.append(datetime.fromtimestamp(bench.clock.now_ms / 1000, UTC))
        bench.clock.advance(3600)
        split(bench, shard, start)
    moments.append(datetime.fromtimestamp(bench.clock.now_ms / 1000, UTC))

    def listed(kind: str, **params: Any) -> str:
        found = kinesis.shards(ShardFilter={"Type": kind, **params})
        return "".join(shard["ShardId"][-1] for shard in found)

    assert listed("AT_LATEST") == "134"
    assert listed("AT_TRIM_HORIZON") == "0"
    assert listed("FROM_TRIM_HORIZON") == "01234"
    assert [listed("AT_TIMESTAMP", Timestamp=moment) for moment in moments] == ["0", "12", "134"]
    assert [listed("FROM_TIMESTAMP", Timestamp=m) for m in moments] == ["01234", "1234", "134"]
    assert listed("AFTER_SHARD_ID", ShardId="shardId-000000000002") == "34"
    for kind in ("AT_TIMESTAMP", "AFTER_SHARD_ID"):
        with pytest.raises(AwsError) as refused:
            listed(kind)
        assert refused.value.code == "InvalidArgumentException"


def test_pages(kinesis: Streams, bench: Bench) -> None:
    kinesis.make(5)
    page = bench.call(shards.list_shards, StreamName="s", MaxResults=2)
    found = page["Shards"]
    while token := page.get("NextToken"):
        page = bench.call(shards.list_shards, NextToken=token, MaxResults=2)
        found += page["Shards"]
    assert found == kinesis.shards()
    after = kinesis.shards(ExclusiveStartShardId=found[2]["ShardId"])
    assert after == found[3:]
    with pytest.raises(AwsError) as refused:
        bench.call(shards.list_shards, StreamName="s", NextToken=token or "x")
    assert refused.value.code == "InvalidArgumentException"
    when = datetime.fromtimestamp(bench.clock.now_ms // 1000, UTC)
    assert kinesis.shards(StreamCreationTimestamp=when) == found
    with pytest.raises(AwsError):
        kinesis.shards(StreamCreationTimestamp=datetime(2000, 1, 1, tzinfo=UTC))
