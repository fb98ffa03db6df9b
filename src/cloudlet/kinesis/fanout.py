"""SubscribeToShard: records of a shard are pushed as they come, over an event stream.

A subscription lasts five minutes at most. A newer one for the same consumer and shard takes over.
Quiet shards send empty events, by which clients see that the connection lives.
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kinesis import lookup, metrics, reading, records, shards
from cloudlet.kinesis.consumers import require_consumer
from cloudlet.kinesis.records import Place
from cloudlet.kinesis.sequences import sequence
from cloudlet.kinesis.writing import check_dry_run
from cloudlet.store.database import Database

_LIFE_MS = 300_000
_QUIET_S = 5.0
_HOLD_MS = 5_000  # nobody takes over earlier
_EVENT_BYTES = 1 << 20
_EVENT_RECORDS = 10_000


class Subscriptions:
    """Those that run, by consumer and shard. `start` it on the event loop."""

    def __init__(self) -> None:
        self.running: dict[tuple[str, str], Subscription] = {}

    def start(self, database: Database) -> None:
        loop = asyncio.get_running_loop()

        def wake(topic: str) -> None:
            loop.call_soon_threadsafe(self._wake, topic.removeprefix("stream:"))

        database.subscribe("stream:arn:aws:kinesis:", wake)

    def _wake(self, stream_arn: str) -> None:
        for subscription in self.running.values():
            if subscription.stream_arn == stream_arn:
                subscription.news.set()

    def hang_up(self) -> None:
        """Ends all: a listener that stops waits for its answers."""
        for subscription in self.running.values():
            subscription.end(None)


async def subscribe_to_shard(call: Call) -> Output:
    running: dict[tuple[str, str], Subscription] = call.state.subscriptions.running
    with call.cloud.database.snapshot() as view:
        consumer = require_consumer(call, view)
        stream = lookup.find(view, consumer["arn"])
        assert stream is not None, "consumers go with their stream"
        shard = shards.find(view, stream, call.params["ShardId"])
        after = reading.start(call, view, (stream, shard), call.params["StartingPosition"])
    check_dry_run(call)
    key = (consumer["arn"], call.params["ShardId"])
    error = AwsError(
        "ResourceInUseException",
        f"Another active subscription exists for this consumer: {consumer['name']}",
    )
    if earlier := running.get(key):
        if call.now_ms - earlier.made_ms < _HOLD_MS:
            raise error
        earlier.end(error)
    running[key] = Subscription(call, key, after)
    return {"EventStream": running[key]}


class Subscription:
    """One connection; the front closes it when its client is gone."""

    def __init__(self, call: Call, key: tuple[str, str], after: int) -> None:
        self.stream_arn = key[0].partition("/consumer/")[0]
        self.made_ms = call.now_ms
        self.news = asyncio.Event()
        self._call = call
        self._key = key
        self._after = after
        self._is_over = False
        self._error: AwsError | None = None

    def end(self, error: AwsError | None) -> None:
        self._is_over, self._error = True, error
        self.news.set()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        call, is_quiet = self._call, True
        while (left_ms := self.made_ms + _LIFE_MS - call.now_ms) > 0 and not self._is_over:
            self.news.clear()
            event = self._next()
            if event["Records"] or "ChildShards" in event or is_quiet:
                metrics.pushed(call, self._key[0], event)
                yield {"SubscribeToShardEvent": event}
            if "ChildShards" in event:
                return
            is_quiet = False
            if event["Records"]:
                continue
            try:
                async with asyncio.timeout(min(_QUIET_S, left_ms / 1000)):
                    await self.news.wait()
            except TimeoutError:
                is_quiet = True
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        running = self._call.state.subscriptions.running
        if running.get(self._key) is self:
            del running[self._key]

    def _next(self) -> Output:
        call, (arn, shard_id) = self._call, self._key
        with call.cloud.database.snapshot() as view:
            stream = lookup.find(view, arn)
            if stream is None or not view.one(
                "SELECT 1 FROM kinesis_consumers WHERE arn = ?", (arn,)
            ):
                name = arn.rpartition("/")[2]
                raise lookup.missing(f"Consumer {name}, account {call.config.account} not found.")
            shard = shards.find(view, stream, shard_id)
            oldest_ms = records.horizon_ms(stream, call.now_ms)
            place = Place(self._after, _EVENT_RECORDS, _EVENT_BYTES, oldest_ms)
            found = call.state.records.read(view, shard, place)
            self._after = found[-1].number if found else self._after
            event: Output = {
                "Records": [reading.described(shard, each) for each in found],
                "MillisBehindLatest": reading.behind_ms(call.now_ms, shard, found),
            }
            if shards.is_open(shard) or (found and self._after < shard["last"]):
                event["ContinuationSequenceNumber"] = sequence(shard, self._after)
            else:
                event["ChildShards"] = shards.children(view, stream, shard)
        return event
