"""Mappings of streams: batches, failures, destinations, filters, changes while they run."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.functions.running import Running
from tests.unit.functions.cloud import run, until
from tests.unit.functions.stream_bed import (
    BUCKET,
    Memory,
    Shard,
    StreamBed,
    role,
    streaming,
)

QUEUE = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:dead"}}
KINESIS = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
REPORTS = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


def refuse(event: Any) -> None:
    if any(record["value"] == "poison" for record in event["Records"]):
        raise ValueError


def facts(bed: StreamBed) -> list[Any]:
    rows = bed.database.view().all("SELECT target, payload FROM outbox ORDER BY id")
    return [json.loads(row["payload"]) for row in rows]


def test_bisecting_isolates_poison_at_once(tmp_path: Path) -> None:
    """Splitting is no retry: nothing waits, nothing is counted."""

    async def test() -> None:
        settings: dict[str, Any] = {
            "BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 1,
            "DestinationConfig": QUEUE,
        }  # fmt: skip
        async with streaming(tmp_path, refuse, **settings) as bed:
            await bed.write("a", "b", "poison", "c")
            await until(lambda: bed.position() == "000004")
            (document,) = facts(bed)
            assert bed.batches == [
                ["a", "b", "poison", "c"], ["a", "b"], ["poison", "c"], ["poison"], ["poison"],
                ["c"],
            ]  # fmt: skip
            info = document["DDBStreamBatchInfo"]
            assert (info["startSequenceNumber"], info["batchSize"]) == ("000003", 1)
            context = document["requestContext"]
            assert context["condition"] == "RetryAttemptsExhausted"
            assert context["approximateInvokeCount"] == 2
            assert "payload" not in document and bed.result() == "OK"

    run(test)


def test_a_bucket_gets_the_records_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the mapping goes on; a bucket that is busy is asked again."""
    monkeypatch.setattr(Running, "role", role)

    async def test() -> None:
        source = Memory(KINESIS)
        settings = {"MaximumRetryAttempts": 0, "DestinationConfig": BUCKET}
        settings |= {"MetricsConfig": {"Metrics": ["EventCount"]}}
        async with streaming(tmp_path, refuse, source, **settings) as bed:
            bed.refusals = [AwsError("SlowDown", "later", 503)] * 2
            await bed.write("a", "poison")
            await until(lambda: bed.position() == "000002")
            ((key, document),) = bed.objects.items()
            assert key.startswith("aws/lambda/u/s1/20") and key.count("/") == 7
            records = json.loads(document["payload"])["Records"]
            assert [record["value"] for record in records] == ["a", "poison"]
            assert document["KinesisBatchInfo"]["streamArn"] == KINESIS
            assert document["responseContext"]["functionError"] == "Unhandled"
            assert bed.measured == {
                "IteratorAge": bed.measured["IteratorAge"],
                "PolledEventCount": 2,
                "InvokedEventCount": 2,
                "FailedInvokeEventCount": 2,
                "OnFailureDestinationDeliveredEventCount": 2,
            }
            assert bed.result() == "PROBLEM: Function call failed"

    run(test)


def test_what_a_bucket_refuses_for_good_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Running, "role", role)

    async def test() -> None:
        settings = {"MaximumRetryAttempts": 0, "DestinationConfig": BUCKET}
        async with streaming(tmp_path, refuse, **settings) as bed:
            bed.refusals = [AwsError("NoSuchBucket", "gone", 404)]
            await bed.write("poison")
            await until(lambda: bed.position() == "000001")
            assert bed.measured["DestinationDeliveryErrors"] == 1 and not bed.objects

    run(test)


def test_old_records_are_not_handed_on(tmp_path: Path) -> None:
    async def test() -> None:
        settings = {"MaximumRecordAgeInSeconds": 60, "DestinationConfig": QUEUE}
        async with streaming(tmp_path, **settings) as bed:
            now_ms = bed.config.now_ms()
            await bed.write("old", ms=now_ms - 61_000)
            await bed.write("new")
            await until(lambda: bed.position() == "000002")
            assert bed.batches == [["new"]]
            (document,) = facts(bed)
            assert document["requestContext"]["condition"] == "RecordAgeExceeded"
            assert document["requestContext"]["approximateInvokeCount"] == 1
            assert "." not in document["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"]
            assert "responseContext" not in document

    run(test)


def test_a_restart_remembers_failures(tmp_path: Path) -> None:
    """Of four attempts two were before it."""
    asked: list[int] = []

    def respond(event: Any) -> None:
        asked.append(len(event["Records"]))
        raise ValueError

    async def test() -> None:
        settings = {"MaximumRetryAttempts": 3, "DestinationConfig": QUEUE}
        async with streaming(tmp_path, respond, **settings) as bed:
            bed.back_off_s = 3600
            await bed.crash()
            await bed.write("a", "b")
            attempts = "SELECT attempts FROM mapping_lanes"
            await until(lambda: bed.database.view().value(attempts) == '[["000002",1]]')
            await bed.write("c")
            bed.back_off_s = 0.001
            await bed.crash()
            await until(lambda: facts(bed))
            document = facts(bed)[0]  # that of the third record may be there, too
            assert document["DDBStreamBatchInfo"]["batchSize"] == 2
            assert document["requestContext"]["approximateInvokeCount"] == 4
            assert asked[:4] == [2, 2, 2, 2]

    run(test)


def test_children_are_read_after_all_their_parents(tmp_path: Path) -> None:
    async def test() -> None:
        source = Memory()
        source.known.append(Shard("s2"))
        source.records["s2"] = []
        failing = True

        def respond(event: Any) -> None:
            if failing and event["Records"][0]["value"] == "b":
                raise ValueError

        async with streaming(tmp_path, respond, source) as bed:
            await bed.write("a")
            await bed.write("b", shard="s2")
            await bed.end("s1", "s3")
            await bed.end("s2", "s3")
            await bed.write("c", shard="s3")
            done = "SELECT group_concat(shard) FROM mapping_positions WHERE is_done"
            await until(lambda: bed.database.view().value(done) == "s1")
            await until(lambda: bed.batches.count(["b"]) > 2)
            assert ["c"] not in bed.batches
            failing = False
            await until(lambda: ["c"] in bed.batches)
            assert bed.batches[-2:] == [["b"], ["c"]]

    run(test)


def test_filters_see_what_is_in_data(tmp_path: Path) -> None:
    """mappings-001: what is no JSON matches no pattern on data; without one it is not looked at."""

    def data(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    values = [data(text) for text in ('{"n": 1}', '{"n": 2}', "text", "[]")]

    async def test(pattern: str, wanted: list[str], folder: Path) -> None:
        settings = {"FilterCriteria": {"Filters": [{"Pattern": pattern}]}}
        async with streaming(folder, source=Memory(KINESIS), **settings) as bed:
            await bed.write(*values)
            await until(lambda: bed.position() == "000004")
            assert [value for batch in bed.batches for value in batch] == wanted

    run(lambda: test('{"data": {"n": [2]}}', values[1:2], tmp_path / "1"))
    pattern = '{"sequenceNumber": ["000001", "000003"]}'
    run(lambda: test(pattern, [values[0], values[2]], tmp_path / "2"))


def test_a_consumers_records_name_it(tmp_path: Path) -> None:
    async def test() -> None:
        source = Memory(KINESIS)
        bed = StreamBed(tmp_path, source, lambda _: None)
        consumer = f"{KINESIS}/consumer/c:1"
        sql = "UPDATE event_source_mappings SET source_arn = ?"
        bed.database.write_now(lambda tx: tx.run(sql, (consumer,)))
        bed.mappings.start()
        await bed.write("YQ==")
        await until(lambda: bed.events)
        assert bed.events[0]["Records"][0]["eventSourceARN"] == consumer
        await bed.mappings.stop()
        bed.database.close()

    run(test)


def test_changes_lose_and_double_nothing(tmp_path: Path) -> None:
    """A change waits for the batch that runs, and is in force for the next."""
    gate = asyncio.Event()

    async def respond(event: Any) -> None:
        await gate.wait()

    async def test() -> None:
        async with streaming(tmp_path, respond, BatchSize=1) as bed:
            await bed.write("a", "b", "c")
            await until(lambda: bed.events)
            await bed.change(BatchSize=10, State="Enabled")
            gate.set()
            await until(lambda: bed.position() == "000003")
            assert bed.batches == [["a"], ["b", "c"]]
            await bed.change(State="Disabled")
            await until(lambda: not bed.mappings._works)
            await bed.write("d")
            await bed.change(State="Enabled")
            await until(lambda: bed.position() == "000004")
            assert bed.batches == [["a"], ["b", "c"], ["d"]]

    run(test)


def test_an_idle_mapping_does_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        source = Memory()
        async with streaming(tmp_path, source=source, ParallelizationFactor=10) as bed:
            await bed.write("a")
            await until(lambda: bed.position() == "000001")
            reads = -1
            while reads != source.reads:  # soon nobody reads any more
                reads = source.reads
                await asyncio.sleep(0.2)

    run(test)


def test_payloads_keep_to_lambdas_limit(tmp_path: Path) -> None:
    async def test() -> None:
        async with streaming(tmp_path, DestinationConfig=QUEUE) as bed:
            await bed.write(*(str(n) * 1_500_000 for n in range(6)), "x" * 7_000_000, "y")
            await until(lambda: bed.position() == "000008")
            assert [len(batch) for batch in bed.batches] == [4, 2, 1]
            assert facts(bed)[0]["DDBStreamBatchInfo"]["startSequenceNumber"] == "000007"

    run(test)


def test_a_partial_answer_goes_on_behind_what_was_taken(tmp_path: Path) -> None:
    failed = {"batchItemFailures": [{"itemIdentifier": "000003"}, {"itemIdentifier": "000002"}]}
    answers = [failed, failed, None]

    async def test() -> None:
        async with streaming(tmp_path, lambda _: answers.pop(0), **REPORTS) as bed:
            await bed.write("a", "b", "c")
            await until(lambda: bed.position() == "000003")
            assert bed.batches == [["a", "b", "c"], ["b", "c"], ["b", "c"]]

    run(test)
