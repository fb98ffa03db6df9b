"""Event source mappings: streams → functions, with a durable position per shard.

Theory of operation. Every enabled mapping has a task per open shard. It reads a batch after its
position, invokes the function and moves the position on, in the store, only when the batch is
done with: taken, filtered out, or handed to the on-failure destination. In between it sleeps until
the stream's topic is touched. A batch that fails is tried again from the same position, so order
holds; what was tried and how often is stored with the position, so that a restart forgets
nothing. A source is anything that looks like `StreamSource`. Queues: see `queue_reader`.
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-create.html
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.events.patterns import compile_pattern
from cloudlet.functions import names
from cloudlet.functions.batches import Batch, failed_from, failure_document
from cloudlet.functions.destinations import put_result
from cloudlet.functions.positions import (
    TOPIC,
    Mapping,
    done_shards,
    is_enabled,
    load_all,
    load_position,
    save_position,
    settings_of,
)
from cloudlet.functions.queue_reader import Invoke, QueueReader
from cloudlet.functions.sources import StreamRecord, StreamSource
from cloudlet.functions.worker_process import Answer
from cloudlet.store.database import Transaction

_AGE_MAX_S = 86_400  # what a stream keeps: older records are gone
_BACK_OFF_MAX_S = 60.0
_PAYLOAD_BYTES_MAX = 6 * 1024 * 1024 - 1024
_log = logging.getLogger(__name__)
_UNCOUNTED = {"TooManyRequestsException", "ServiceException", "ResourceNotFoundException"}


class Mappings:
    """Runs the enabled mappings; changes of the table are noticed by themselves."""

    def __init__(
        self,
        cloud: Cloud,
        sources: dict[str, StreamSource],
        invoke: Invoke,
        back_off_s: float = 1.0,
    ) -> None:
        self.sources = sources
        self.back_off_s = back_off_s
        self._cloud = cloud
        self._invoke = invoke
        self._tasks: dict[str, tuple[Mapping, asyncio.Task[None]]] = {}
        self._batches: set[asyncio.Task[None]] = set()  # of queues
        self._wakes: dict[str, set[asyncio.Event]] = {}  # by source ARN
        self._changed = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def wake(topic: str) -> None:
            with suppress(RuntimeError):  # the loop is closed: we have stopped
                loop.call_soon_threadsafe(self._touched, topic)

        self._cloud.database.subscribe("stream:", wake)
        self._cloud.database.subscribe(TOPIC, wake)
        self._main = loop.create_task(self._reconcile())

    async def stop(self) -> None:
        tasks = [*(task for _, task in self._tasks.values()), *self._batches]
        if self._main is not None:
            tasks.append(self._main)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _touched(self, topic: str) -> None:
        if topic == TOPIC:
            self._changed.set()
        for event in self._wakes.get(topic.removeprefix("stream:"), ()):
            event.set()

    async def _reconcile(self) -> None:
        while True:
            self._changed.clear()
            wanted = {m.uuid: m for m in load_all(self._cloud.database.view()) if is_enabled(m)}
            for uuid, (mapping, task) in list(self._tasks.items()):
                if settings_of(wanted.get(uuid)) != settings_of(mapping):
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    del self._tasks[uuid]
            for uuid, mapping in wanted.items():
                if uuid not in self._tasks and mapping.source_kind in ("sqs", *self.sources):
                    task = asyncio.create_task(self._run(mapping))
                    self._tasks[uuid] = (mapping, task)
            await self._changed.wait()

    async def _run(self, mapping: Mapping) -> None:
        if mapping.source_kind in self.sources:
            return await self._run_stream(mapping)
        batches, back_off_s = self._batches, self.back_off_s
        await QueueReader(self._cloud, mapping, self._invoke, batches, back_off_s).run()

    async def _run_stream(self, mapping: Mapping) -> None:
        """Keeps a task per shard that is to be read: parents before their children."""
        source, database = self.sources[mapping.source_kind], self._cloud.database
        readers: dict[str, asyncio.Task[None]] = {}
        wake = self._wake_of(mapping)
        try:
            while True:
                wake.clear()
                with database.snapshot() as view:
                    shards = source.shards(view, mapping.source_arn)
                    done = done_shards(view, mapping.uuid)
                known = {shard.id for shard in shards}
                for shard in shards:
                    is_blocked = (known & {*shard.parents}) - done
                    reader = readers.get(shard.id)
                    if shard.id in done or is_blocked or (reader and not reader.done()):
                        continue
                    reading = ShardReader(self, mapping, shard.id)
                    readers[shard.id] = asyncio.create_task(reading.run())
                    readers[shard.id].add_done_callback(lambda _: wake.set())
                await wake.wait()
        finally:
            self._wakes[mapping.source_arn].discard(wake)
            for reader in readers.values():
                reader.cancel()
            await asyncio.gather(*readers.values(), return_exceptions=True)

    def _wake_of(self, mapping: Mapping) -> asyncio.Event:
        event = asyncio.Event()
        self._wakes.setdefault(mapping.source_arn, set()).add(event)
        return event


class ShardReader:
    """Reads one shard for one mapping, batch by batch, to its end."""

    def __init__(self, mappings: Mappings, mapping: Mapping, shard: str) -> None:
        self.mappings = mappings
        self.mapping = mapping
        self.shard = shard
        self.source = mappings.sources[mapping.source_kind]
        self.cloud = mappings._cloud
        self.invoke = mappings._invoke
        self.after, self.pending = load_position(self.cloud.database.view(), mapping.uuid, shard)
        filters = (mapping.config.get("FilterCriteria") or {}).get("Filters") or []
        self.filters = [compile_pattern(item["Pattern"]) for item in filters]
        self.wake = mappings._wake_of(mapping)
        self.back_off_s = 0.0

    async def run(self) -> None:
        try:
            while await self._step():
                pass
        except Exception:
            _log.exception("mapping %s stumbled on shard %s", self.mapping.uuid, self.shard)
            await asyncio.sleep(self.mappings.back_off_s)  # then it is started again
        finally:
            self.mappings._wakes[self.mapping.source_arn].discard(self.wake)

    async def _step(self) -> bool:
        """One batch, or one wait for records. False at the end of the shard."""
        self.wake.clear()
        records = self._read()
        if not records:
            if self._is_closed():
                await self._save(is_done=True)
                return False
            await self.wake.wait()
            return True
        if not self.pending:
            records = await self._gather(records)
            self.pending = [[records[-1].sequence_number, 0]]
        batch = Batch.of(self._pending_part(records), self.pending[0][1])
        await self._process(batch)
        return True

    def _read(self) -> Sequence[StreamRecord]:
        size = self.mapping.config["BatchSize"]
        with self.cloud.database.snapshot() as view:
            return self.source.read(view, self.mapping.source_arn, self.shard, self.after, size)

    def _is_closed(self) -> bool:
        with self.cloud.database.snapshot() as view:
            shards = self.source.shards(view, self.mapping.source_arn)
        found = [shard for shard in shards if shard.id == self.shard]
        return not found or found[0].closed

    async def _gather(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        """Waits for a fuller batch as long as the batching window allows."""
        window_s = self.mapping.config.get("MaximumBatchingWindowInSeconds") or 0
        loop = asyncio.get_running_loop()
        end_s = loop.time() + window_s
        while len(records) < self.mapping.config["BatchSize"] and loop.time() < end_s:
            self.wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end_s):
                    await self.wake.wait()
            records = self._read()
        return records

    def _pending_part(self, records: Sequence[StreamRecord]) -> list[StreamRecord]:
        last = self.pending[0][0]
        for number, record in enumerate(records):
            if record.sequence_number == last:
                return list(records[: number + 1])
        return list(records)  # the end of it was trimmed meanwhile

    async def _process(self, batch: Batch) -> None:
        old = batch.older_than(self.cloud.config.now_ms() - self._age_max_s() * 1000)
        if old:
            await self._discard(batch.first(old), "RecordAgeExceeded", None)
            return
        wanted = [r for r in batch.records if self._is_wanted(r.document)]
        if not wanted:
            await self._advance(batch)
            return
        payload = orjson.dumps({"Records": [record.document for record in wanted]})
        if len(payload) > _PAYLOAD_BYTES_MAX and len(batch.records) > 1:
            self._bisect(batch, batch.failures)
            return
        age_ms = self.cloud.config.now_ms() - batch.records[-1].created_ms
        name = names.parse(self.mapping.function_arn).name
        self.cloud.meter.add(
            "AWS/Lambda", "IteratorAge", (("FunctionName", name),), float(age_ms), "Milliseconds"
        )
        try:
            answer = await self.invoke(self.mapping.function_arn, payload, "")
        except AwsError as error:
            if error.code in _UNCOUNTED:
                await self._pause()
                return
            document = {"errorType": error.code, "errorMessage": error.message}
            answer = Answer(orjson.dumps(document), is_error=True)
        await self._judge(batch, answer)

    def _is_wanted(self, document: dict[str, Any]) -> bool:
        return not self.filters or any(matches(document) for matches in self.filters)

    def _age_max_s(self) -> int:
        wanted: int = self.mapping.config.get("MaximumRecordAgeInSeconds", -1)
        return _AGE_MAX_S if wanted < 0 else min(wanted, _AGE_MAX_S)

    async def _judge(self, batch: Batch, answer: Answer) -> None:
        reports = "ReportBatchItemFailures" in (
            self.mapping.config.get("FunctionResponseTypes") or []
        )
        failed = 0 if answer.is_error else failed_from(batch, answer.payload) if reports else None
        if failed is None:
            self.back_off_s = 0.0
            await self._advance(batch)
            return
        if failed:  # the records before it are done with
            done = batch.first(failed)
            batch = batch.rest(failed)
            self.after = done.last
        retries = self.mapping.config.get("MaximumRetryAttempts", -1)
        failures = batch.failures + 1
        if self.mapping.config.get("BisectBatchOnFunctionError") and len(batch.records) > 1:
            self._bisect(batch, batch.failures)
        elif 0 <= retries < failures:
            await self._discard(batch, "RetryAttemptsExhausted", answer)
            return
        else:
            self.pending[0] = [batch.last, failures]
        await self._save()
        await self._pause()

    def _bisect(self, batch: Batch, failures: int) -> None:
        middle = batch.records[len(batch.records) // 2 - 1].sequence_number
        self.pending[:1] = [[middle, failures], [batch.last, failures]]

    async def _pause(self) -> None:
        self.back_off_s = min(_BACK_OFF_MAX_S, max(self.mappings.back_off_s, self.back_off_s * 2))
        await asyncio.sleep(self.back_off_s)

    async def _advance(self, batch: Batch) -> None:
        self.after = batch.last
        if self.pending and self.pending[0][0] == batch.last:
            self.pending.pop(0)
        await self._save()

    async def _discard(self, batch: Batch, condition: str, answer: Answer | None) -> None:
        """Hands the batch to the on-failure destination and goes on behind it, at once."""
        self.back_off_s = 0.0
        target = ((self.mapping.config.get("DestinationConfig") or {}).get("OnFailure") or {}).get(
            "Destination"
        )
        if not target:
            _log.error("mapping %s discards %d records: %s", self.mapping.uuid,
                       len(batch.records), condition)  # fmt: skip
            await self._advance(batch)
            return
        document = failure_document(self.cloud.config, self.mapping, self.shard, batch, answer)
        document["requestContext"]["condition"] = condition
        self.after = batch.last
        if self.pending and self.pending[0][0] == batch.last:
            self.pending.pop(0)

        def change(tx: Transaction) -> None:
            put_result(tx, self.cloud.config.now_ms(), target, self.mapping.function_arn, document)
            self._store(tx, False)

        await self.cloud.database.write(change)

    async def _save(self, is_done: bool = False) -> None:
        await self.cloud.database.write(lambda tx: self._store(tx, is_done))

    def _store(self, tx: Transaction, is_done: bool) -> None:
        save_position(tx, self.mapping.uuid, self.shard, self.after)
        tx.run(
            "UPDATE mapping_positions SET is_done = ?, attempts = ? WHERE uuid = ? AND shard = ?",
            (is_done, orjson.dumps(self.pending).decode(), self.mapping.uuid, self.shard),
        )
