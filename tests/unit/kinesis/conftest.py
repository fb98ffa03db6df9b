"""A cloud with data streams."""

from typing import Any

import pytest

from cloudlet.kinesis import lookup, reading, shards, streams, writing
from cloudlet.kinesis.schema import SCHEMA
from cloudlet.kinesis.state import Kinesis
from cloudlet.store.database import Row
from tests.harness import Bench

HASH_KEYS = 1 << 128


class Streams:
    """One stream, "s", and short words for what tests do to it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.database.prepare(SCHEMA)
        self.state = bench.state = Kinesis(bench.cloud)

    def make(self, shard_count: int = 1, name: str = "s", **params: Any) -> str:
        self.bench.call(streams.create_stream, StreamName=name, ShardCount=shard_count, **params)
        return self.bench.config.arn("kinesis", f"stream/{name}")

    def put(self, data: bytes, key: str = "k", **params: Any) -> dict[str, Any]:
        params = {"StreamName": "s", "PartitionKey": key, **params}
        found: dict[str, Any] = self.bench.call(writing.put_record, Data=data, **params)
        return found

    def iterator(self, kind: str = "TRIM_HORIZON", shard: int = 0, **params: Any) -> str:
        params = {"StreamName": "s", "ShardId": f"shardId-{shard:012d}", **params}
        made = self.bench.call(reading.get_shard_iterator, ShardIteratorType=kind, **params)
        return str(made["ShardIterator"])

    def get(self, iterator: str, **params: Any) -> dict[str, Any]:
        self.bench.clock.advance(0.2)  # five a second
        found: dict[str, Any] = self.bench.call(
            reading.get_records, ShardIterator=iterator, **params
        )
        return found

    def read(self, kind: str = "TRIM_HORIZON", shard: int = 0, **params: Any) -> list[bytes]:
        return [each["Data"] for each in self.get(self.iterator(kind, shard, **params))["Records"]]

    def shards(self, **params: Any) -> list[dict[str, Any]]:
        params = params if "NextToken" in params else {"StreamName": "s", **params}
        return list(self.bench.call(shards.list_shards, **params)["Shards"])

    def row(self, name: str = "s") -> Row:
        view = self.bench.database.view()
        found = lookup.find(view, self.bench.config.arn("kinesis", f"stream/{name}"))
        assert found is not None
        return found


@pytest.fixture
def kinesis(bench: Bench) -> Streams:
    return Streams(bench)
