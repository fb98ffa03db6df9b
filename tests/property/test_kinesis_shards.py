"""Shards that split and merge between puts and reads, against plain lists of keys' records."""

import itertools
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.kinesis import shards
from tests.harness import Bench
from tests.unit.kinesis.conftest import HASH_KEYS, Streams

KEYS = [f"machine-{number}" for number in range(6)]
places = st.integers(0, 1 << 30)  # of a shard, of a hash key: taken modulo what there is
actions = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS)),
    st.tuples(st.just("put"), st.sampled_from(KEYS)),
    st.tuples(st.just("split"), places, st.integers(1, 99)),
    st.tuples(st.just("merge"), places),
    st.tuples(st.just("scale"), st.integers(1, 9)),
    st.tuples(st.just("read"), places, st.integers(1, 3)),
)


class Run:
    """A stream, what was put by key, and a reader that takes parents before their children."""

    def __init__(self, bench: Bench, name: str, count: int) -> None:
        self.bench, self.name = bench, name
        self.kinesis = Streams(bench)
        self.arn = self.kinesis.make(count, name)
        self.source = self.kinesis.state.source
        self.put: dict[str, list[bytes]] = defaultdict(list)
        self.got: dict[str, list[bytes]] = defaultdict(list)
        self.after: dict[str, str] = {}
        self.numbers: dict[str, list[str]] = defaultdict(list)
        self.data = itertools.count()

    def do(self, action: tuple[Any, ...]) -> None:
        getattr(self, f"do_{action[0]}")(*action[1:])

    def do_put(self, key: str) -> None:
        data = b"%d" % next(self.data)
        self.put[key].append(data)
        self.kinesis.put(data, key, StreamName=self.name)

    def open(self) -> list[dict[str, Any]]:
        found = self.kinesis.shards(StreamName=self.name, ShardFilter={"Type": "AT_LATEST"})
        return sorted(found, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def do_split(self, place: int, percent: int) -> None:
        some = self.open()
        shard = some[place % len(some)]
        first, last = (
            int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending")
        )
        start = first + (last - first) * percent // 100
        if first + 1 < start < last:
            names = {"StreamName": self.name, "ShardToSplit": shard["ShardId"]}
            self.bench.call(shards.split_shard, NewStartingHashKey=str(start), **names)

    def do_merge(self, place: int) -> None:
        some = self.open()
        if len(some) > 1:
            pair = [shard["ShardId"] for shard in some[place % (len(some) - 1) :][:2]]
            names = {"ShardToMerge": pair[place % 2], "AdjacentShardToMerge": pair[1 - place % 2]}
            self.bench.call(shards.merge_shards, StreamName=self.name, **names)

    def do_scale(self, target: int) -> None:
        count = len(self.open())
        if count <= target * 2 and target <= count * 2:
            wanted = {"StreamName": self.name, "TargetShardCount": target}
            self.bench.call(shards.update_shard_count, ScalingType="UNIFORM_SCALING", **wanted)

    def do_read(self, place: int, limit: int) -> None:
        with self.bench.database.snapshot() as view:
            ready = [each for each in self.source.shards(view, self.arn) if self.is_ready(each)]
            if ready:
                self.read(view, ready[place % len(ready)], limit)

    def is_ready(self, shard: Any) -> bool:
        is_done = self.after.get(shard.id) == "done"
        return not is_done and all(self.after.get(parent) == "done" for parent in shard.parents)

    def read(self, view: Any, shard: Any, limit: int) -> int:
        after = self.after.get(shard.id, "")
        found = self.source.read(view, self.arn, shard.id, after, limit)
        for record in found:
            self.got[record.key].append(record.document["kinesis"]["data"])
            self.numbers[shard.id].append(record.sequence_number)
        if found:
            self.after[shard.id] = found[-1].sequence_number
        elif shard.closed:
            self.after[shard.id] = "done"
        return len(found)

    def drain(self) -> None:
        """Until neither a record nor the end of a shard comes any more."""
        before = None
        while before != (before := dict(self.after)):
            with self.bench.database.snapshot() as view:
                for shard in self.source.shards(view, self.arn):
                    if self.is_ready(shard):
                        self.read(view, shard, 100)

    def check(self) -> None:
        wanted = {
            key: [b64encode(data).decode() for data in all_] for key, all_ in self.put.items()
        }
        assert dict(self.got) == wanted
        starts = [int(shard["HashKeyRange"]["StartingHashKey"]) for shard in self.open()]
        ends = [int(shard["HashKeyRange"]["EndingHashKey"]) + 1 for shard in self.open()]
        assert [*starts, HASH_KEYS] == [0, *ends]
        for shard in self.kinesis.shards(StreamName=self.name):
            span = shard["SequenceNumberRange"]
            end = span.get("EndingSequenceNumber", "9" * 56)
            within = [span["StartingSequenceNumber"], *self.numbers[shard["ShardId"]], end]
            assert within == sorted(set(within))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("kinesis"))
    yield bench
    bench.close()


numbers = itertools.count()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.lists(actions, max_size=40))
def test_every_record_once_and_in_order(
    bench: Bench, count: int, steps: list[tuple[Any, ...]]
) -> None:
    run = Run(bench, f"s{next(numbers)}", count)
    for step in steps:
        run.do(step)
    run.drain()
    run.check()
