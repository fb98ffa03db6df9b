"""Subscriptions, what becomes of facts for streams, and streams as mappings read them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from cloudlet.call import Call, Caller
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.events.delivery import DONE, Later
from cloudlet.events.outbox import Fact
from cloudlet.exchange import Body, Request
from cloudlet.kinesis import consumers, fanout, shards, streams
from cloudlet.kinesis.deliveries import Deliveries
from tests.harness import ROOT, Bench
from tests.unit.kinesis.conftest import Streams

Open = Callable[[], Coroutine[Any, Any, AsyncIterator[dict[str, Any]]]]


@pytest.fixture
def subscribe(kinesis: Streams, bench: Bench) -> Open:
    made = bench.call(
        consumers.register_stream_consumer, StreamARN=kinesis.make(), ConsumerName="c"
    )
    params = {
        "ConsumerARN": made["Consumer"]["ConsumerARN"],
        "ShardId": "shardId-000000000000",
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    }

    async def opened() -> AsyncIterator[dict[str, Any]]:
        request = Request("POST", "/", "", {}, Body.of(b""))
        call = Call(bench.cloud, "kinesis", "SubscribeToShard", params, ROOT, request, bench.state)
        kinesis.state.subscriptions.start(bench.database)
        output = await fanout.subscribe_to_shard(call)
        return (event["SubscribeToShardEvent"] async for event in output["EventStream"])

    return opened


def test_a_subscription_lasts_five_minutes(kinesis: Streams, bench: Bench, subscribe: Open) -> None:
    async def run() -> None:
        events = await subscribe()
        assert (await anext(events))["Records"] == []
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(kinesis.put, b"x")
        assert [each["Data"] for each in (await waiting)["Records"]] == [b"x"]
        bench.clock.advance(301)
        assert [event async for event in events] == []

    asyncio.run(run())


def test_quiet_shards_send_empty_events(monkeypatch: pytest.MonkeyPatch, subscribe: Open) -> None:
    monkeypatch.setattr(fanout, "_QUIET_S", 0.01)

    async def run() -> None:
        events = await subscribe()
        assert [(await anext(events))["Records"] for _ in range(3)] == [[]] * 3

    asyncio.run(run())


def test_a_later_subscription_takes_over(bench: Bench, subscribe: Open) -> None:
    async def run() -> None:
        events = await subscribe()
        await anext(events)
        with pytest.raises(AwsError, match="ResourceInUseException"):
            await subscribe()
        bench.clock.advance(5)
        others = await subscribe()
        with pytest.raises(AwsError, match="ResourceInUseException"):
            await anext(events)
        assert (await anext(others))["Records"] == []

    asyncio.run(run())


def test_the_end_of_a_stream_and_of_the_process(
    kinesis: Streams, bench: Bench, subscribe: Open
) -> None:
    async def run() -> None:
        events = await subscribe()
        await anext(events)
        kinesis.state.subscriptions.hang_up()
        assert [event async for event in events] == []
        bench.clock.advance(5)
        events = await subscribe()
        await anext(events)
        gone = {"StreamName": "s", "EnforceConsumerDeletion": True}
        await asyncio.to_thread(lambda: bench.call(streams.delete_stream, **gone))
        with pytest.raises(AwsError, match="ResourceNotFoundException"):
            await anext(events)

    asyncio.run(run())


def fact(bench: Bench, **attributes: str) -> Fact:
    target = bench.config.arn("kinesis", "stream/s")
    now_ms = bench.clock.now_ms
    return Fact(7, target, "test", "", b"data", attributes, now_ms, now_ms, 0)


def test_a_fact_becomes_a_record(bench: Bench) -> None:
    """In whose name: cloudlet's own, a service's, or a role's that trusts the service."""
    told: list[Caller | None] = []
    answer: list[Any] = [{}]

    async def invoke(service: str, name: str, params: Any, caller: Caller | None = None) -> Any:
        if name == "AssumeRole":
            return {"Credentials": {"AccessKeyId": "AK"}}
        told.append(caller)
        bench.invoked.append((service, name, params))
        if isinstance(answer[0], AwsError):
            raise answer[0]
        return answer[0]

    acting = Caller("role", "arn:aws:sts::000000000000:assumed-role/r/x", "000000000000")
    bench.cloud.invoke = invoke
    bench.cloud.caller_of = lambda key: acting
    handler = Deliveries(bench.cloud)

    def deliver(given: Fact) -> Any:
        return asyncio.run(handler.deliver(given))

    assert deliver(fact(bench)) is DONE
    arn = bench.config.arn("kinesis", "stream/s")
    record = {"StreamARN": arn, "Data": b"data", "PartitionKey": "7"}
    assert bench.invoked[-1] == ("kinesis", "PutRecord", record)
    deliver(fact(bench, principal="s3.amazonaws.com", source_arn="arn:b", partition_key="p"))
    assert bench.invoked[-1][2]["PartitionKey"] == "p"
    deliver(fact(bench, principal="logs.amazonaws.com", role="arn:aws:iam::000000000000:role/r"))
    none, service, role = told
    assert none is None and role is acting
    assert service is not None and service.context["aws:SourceArn"] == "arn:b"
    answer[0] = AwsError("ProvisionedThroughputExceededException", "")
    old = fact(bench)
    assert isinstance(deliver(old), Later)
    bench.clock.advance(86_401)
    assert deliver(old) is DONE
    answer[0] = AwsError("ResourceNotFoundException", "")
    assert deliver(fact(bench)) is DONE
    assert outbox.next_due_ms(bench.database.view(), 0) is None


def test_positions_of_mappings(kinesis: Streams, bench: Bench) -> None:
    arn, source, began_ms = kinesis.make(), kinesis.state.source, bench.clock.now_ms
    shard = "shardId-000000000000"
    with bench.database.snapshot() as view:
        assert source.latest(view, arn, shard) == source.at(view, arn, shard, began_ms) == ""
    numbers = []
    for number in range(3):
        numbers.append(kinesis.put(b"%d" % number, f"k{number}")["SequenceNumber"])
        bench.clock.advance(1)
    split = {"StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": "9"}
    bench.call(shards.split_shard, **split)
    with bench.database.snapshot() as view:
        assert source.latest(view, arn, shard) == numbers[-1]
        assert source.at(view, arn, shard, began_ms + 1000) == numbers[0]
        assert source.at(view, arn, shard, began_ms + 1001) == numbers[1]
        found = source.read(view, f"{arn}/consumer/c:1", shard, numbers[0], 1)
        assert [(each.key, each.sequence_number) for each in found] == [("k1", numbers[1])]
        assert found[0].document["eventID"] == f"{shard}:{numbers[1]}"
        assert [(each.parents, each.closed) for each in source.shards(view, arn)] == [
            ((), True), ((shard,), False), ((shard,), False),
        ]  # fmt: skip
        assert source.shards(view, arn + "x") == source.read(view, arn, "x", "", 9) == []
