"""A stream in memory, a function that is a Python function, and real mappings in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloudlet.call import ANONYMOUS, Caller, Cloud, Params
from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.functions import positions, stream_mappings
from cloudlet.functions.mappings import Mappings
from cloudlet.functions.running import Running
from cloudlet.functions.schema import SCHEMA
from cloudlet.functions.worker_process import Answer
from cloudlet.store.blobs import Blobs
from cloudlet.store.database import Database, Transaction, View

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-01-01T00:00:00.000"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:reads"
BUCKET = {"OnFailure": {"Destination": "arn:aws:s3:::dead"}}
Event = dict[str, Any]
Respond = Callable[[Event], Any]


@dataclass
class Record:
    sequence_number: str
    key: str
    document: dict[str, Any]
    created_ms: int


@dataclass
class Shard:
    id: str
    parents: tuple[str, ...] = ()
    closed: bool = False


class Memory:
    """A stream source: shards of records in memory."""

    def __init__(self, arn: str = STREAM) -> None:
        self.arn = arn
        self.records: dict[str, list[Record]] = {"s1": []}
        self._staged: dict[str, list[Record]] = {}
        self.known = [Shard("s1")]
        self.reads = 0

    def add(
        self, tx: Transaction, now_ms: int, value: Any, shard: str = "s1", key: Any = None
    ) -> None:
        records = self._staged.setdefault(shard, [])
        number = f"{len(records) + 1:06d}"
        document = {"eventID": number, "value": value, "dynamodb": {"SequenceNumber": number}}
        if ":kinesis:" in self.arn:
            document["kinesis"] = {"sequenceNumber": number, "data": value}
        records.append(Record(number, json.dumps(key or value), document, now_ms))
        # all of a transaction's records are there at once
        tx.after_commit(lambda: self.records.update({shard: list(records)}))
        tx.touch(f"stream:{self.arn}")

    def end(self, tx: Transaction, shard: str, *children: str) -> None:
        self.known = [replace(s, closed=True) if s.id == shard else s for s in self.known]
        for child in children:
            others = [s for s in self.known if s.id == child]
            parents = (*others[0].parents, shard) if others else (shard,)
            self.known = [s for s in self.known if s.id != child] + [Shard(child, parents)]
            self.records.setdefault(child, [])
        tx.touch(f"stream:{self.arn}")

    def shards(self, view: View, stream_arn: str) -> list[Shard]:
        assert stream_arn == self.arn
        return self.known

    def read(
        self, view: View, stream_arn: str, shard_id: str, after: str, limit: int
    ) -> list[Record]:
        self.reads += 1
        return [r for r in self.records[shard_id] if r.sequence_number > after][:limit]

    def latest(self, view: View, stream_arn: str, shard_id: str) -> str:
        return self.at(view, stream_arn, shard_id, 1 << 62)

    def at(self, view: View, stream_arn: str, shard_id: str, moment_ms: int) -> str:
        before = [r for r in self.records[shard_id] if r.created_ms < moment_ms]
        return before[-1].sequence_number if before else ""


class StreamBed:
    def __init__(self, folder: Path, source: Memory, respond: Respond, **settings: Any) -> None:
        self.source = source
        self.respond = respond
        self.config = Config(data=folder)
        self.database = Database(folder)
        for schema in (outbox.SCHEMA, SCHEMA):
            self.database.prepare(schema)
        self.cloud = Cloud(self.config, self.database, Blobs(folder / "b", str), self._call)
        self.cloud.meter = self
        self.events: list[Event] = []
        self.objects: dict[str, Event] = {}  # what is in the bucket
        self.measured: dict[str, float] = {}
        self.refusals: list[Exception] = []  # of the bucket
        self.back_off_s = 0.001
        self.mappings = self._new()
        if self.database.view().value("SELECT count(*) FROM event_source_mappings") == 0:
            document = {"State": "Enabled", "StartingPosition": "TRIM_HORIZON", **settings}
            row = ("u", FUNCTION, source.arn, json.dumps(stream_mappings.SETTINGS | document))
            sql = "INSERT INTO event_source_mappings (uuid, function_arn, source_arn, config)"
            self.database.write_now(lambda tx: tx.run(f"{sql} VALUES (?, ?, ?, ?)", row))

    def add(
        self, namespace: str, name: str, dimensions: Any, value: float = 1, unit: str = ""
    ) -> None:
        """The meter's."""
        self.measured[name] = self.measured.get(name, 0) + value

    def _new(self) -> Mappings:
        kind = self.source.arn.split(":")[2]
        return Mappings(self.cloud, {kind: self.source}, self._invoke, self.back_off_s)

    async def _call(
        self, service: str, operation: str, params: Params, caller: Caller | None = None
    ) -> Any:
        assert (operation, params["Bucket"]) == ("PutObject", "dead")
        if self.refusals:
            raise self.refusals.pop()
        body = b"".join([chunk async for chunk in params["Body"]])
        self.objects[params["Key"]] = json.loads(body)

    async def _invoke(self, arn: str, data: bytes, trace_id: str) -> Answer:
        event = json.loads(data)
        self.events.append(event)
        try:
            answer = self.respond(event)
            answer = await answer if isinstance(answer, Awaitable) else answer
        except ValueError:
            return Answer(b'{"errorType": "ValueError"}', is_error=True)
        return Answer(json.dumps(answer).encode(), is_error=False)

    @property
    def batches(self) -> list[list[Any]]:
        return [[record["value"] for record in event["Records"]] for event in self.events]

    async def write(self, *values: Any, shard: str = "s1", ms: int | None = None) -> None:
        """Values that are pairs are a key and a value."""
        now_ms = self.config.now_ms() if ms is None else ms
        pairs = [value if isinstance(value, tuple) else (value, value) for value in values]
        await self.database.write(
            lambda tx: [self.source.add(tx, now_ms, v, shard, k) for k, v in pairs]
        )

    async def end(self, shard: str, *children: str) -> None:
        await self.database.write(lambda tx: self.source.end(tx, shard, *children))

    async def change(self, **settings: Any) -> None:
        def patch(tx: Transaction) -> None:
            sql = "UPDATE event_source_mappings SET config = json_patch(config, ?)"
            tx.run(sql, (json.dumps(settings),))
            tx.touch(positions.TOPIC)

        await self.database.write(patch)

    async def crash(self) -> None:
        """All ends in the middle of what it does, then starts again from the store."""
        tasks = [work.task for work in self.mappings._works.values()]
        assert self.mappings._main is not None
        for task in (self.mappings._main, *tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.mappings = self._new()
        self.mappings.start()

    def position(self, shard: str = "s1") -> str:
        sql = "SELECT after FROM mapping_positions WHERE shard = ?"
        return self.database.view().value(sql, (shard,)) or ""

    def result(self) -> str:
        return str(self.database.view().value("SELECT last_result FROM event_source_mappings"))


@asynccontextmanager
async def streaming(
    folder: Path, respond: Respond = lambda _: None, source: Memory | None = None, **settings: Any
) -> AsyncIterator[StreamBed]:
    bed = StreamBed(folder, source or Memory(), respond, **settings)
    bed.mappings.start()
    try:
        yield bed
    finally:
        await bed.mappings.stop()
        bed.database.close()


async def role(_: Running) -> Caller:
    return ANONYMOUS
