"""Asynchronous invocations and stream mappings: nothing is lost, nothing blocks for ever."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.events import outbox
from tests.unit.functions.cloud import run as run_async
from tests.unit.functions.cloud import running, until
from tests.unit.functions.stream_bed import STREAM, Memory

QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
FAILS = "def handler(e, c):\n    raise ValueError('no')"


def test_retries_then_destination_and_dead_letter(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("fails", FAILS, DeadLetterConfig={"TargetArn": QUEUE})
            destination = {"OnFailure": {"Destination": QUEUE}}
            await bed.operate("PutFunctionEventInvokeConfig", FunctionName="fails",
                              DestinationConfig=destination)  # fmt: skip
            answer = await bed.run("fails", b'{"a": 1}', InvocationType="Event")
            assert answer["StatusCode"] == 202
            await until(lambda: len(bed.delivered) == 2)
            record, letter = (json.loads(fact.payload) for fact in bed.delivered)
            assert record["requestContext"]["condition"] == "RetriesExhausted"
            assert record["requestContext"]["approximateInvokeCount"] == 3
            assert record["requestPayload"] == letter == {"a": 1}
            assert record["responsePayload"]["errorType"] == "ValueError"
            attributes = bed.delivered[1].attributes["message_attributes"]
            assert attributes["ErrorMessage"]["StringValue"] == "no"
            starts = [line for line in await bed.log("fails") if line.startswith("START")]
            assert len(starts) == 3 and len(set(starts)) == 1  # one request id for all attempts

    run_async(test)


def test_success_goes_to_its_destination(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("works", "def handler(e, c):\n    return 'fine'")
            bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
            await bed.operate("PutFunctionEventInvokeConfig", FunctionName="works",
                              DestinationConfig={"OnSuccess": {"Destination": bus}})  # fmt: skip
            await bed.run("works", InvocationType="Event")
            await until(lambda: bed.delivered)
            entry = json.loads(bed.delivered[0].payload)
            assert entry["Source"] == "lambda" and entry["DetailType"].endswith("Success")
            assert json.loads(entry["Detail"])["responsePayload"] == "fine"

    run_async(test)


def test_a_service_needs_the_functions_permission(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            created = await bed.create("called", "def handler(e, c):\n    print('got', e['n'])")
            arn = created["FunctionArn"]
            await bed.operate("AddPermission", FunctionName="called", StatementId="s3",
                              Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                              SourceArn="arn:aws:s3:::mine")  # fmt: skip

            async def tell(number: int, **attributes: str) -> None:
                payload = json.dumps({"n": number}).encode()
                await bed.write(lambda tx: outbox.put(
                    tx, arn, payload, source="s3", now_ms=bed.config.now_ms(),
                    attributes=attributes))  # fmt: skip

            await tell(1, principal="sns.amazonaws.com", source_arn="arn:aws:s3:::mine")
            await tell(2, principal="s3.amazonaws.com", source_arn="arn:aws:s3:::other")
            await tell(3, principal="s3.amazonaws.com", source_arn="arn:aws:s3:::mine")
            count = "SELECT count(*) FROM outbox"
            await until(lambda: bed.database.view().value(count) == 0)
            assert [line for line in await bed.log("called") if "got" in line] == ["got 3"]

    run_async(test)


async def got(bed: Any, name: str) -> list[Any]:
    """What the function printed: one list of values per batch."""
    lines = await bed.log(name)
    return [json.loads(line) for line in lines if line[0] == "[" and not line.startswith("[ERR")]


PRINTS = """
import json
def handler(event, context):
    values = [record["value"] for record in event["Records"]]
    print(json.dumps(values))
    if "poison" in values:
        raise ValueError("poison")
"""


async def wait_for(bed: Any, name: str, wanted: list[Any]) -> None:
    async with asyncio.timeout(60):
        while [value for batch in await got(bed, name) for value in batch] != wanted:
            await asyncio.sleep(0.02)


def test_a_mapping_keeps_its_position_over_a_restart(tmp_path: Path) -> None:
    source = Memory()
    wanted = {"Pattern": '{"value": ["a", "b"]}'}

    async def first() -> None:
        async with running(tmp_path, {"dynamodb": source}) as bed:
            await bed.create("reads", PRINTS)
            await bed.write(lambda tx: source.add(tx, bed.config.now_ms(), "before"))
            await bed.operate("CreateEventSourceMapping", FunctionName="reads",
                              EventSourceArn=STREAM, StartingPosition="LATEST",
                              FilterCriteria={"Filters": [wanted]})  # fmt: skip
            for value in ("a", "ignored"):
                await bed.write(lambda tx, v=value: source.add(tx, bed.config.now_ms(), v))
            await wait_for(bed, "reads", ["a"])
            position = "SELECT max(after) FROM mapping_positions"
            await until(lambda: bed.database.view().value(position) == "000003")

    async def second() -> None:
        async with running(tmp_path, {"dynamodb": source}) as bed:
            await bed.write(lambda tx: source.add(tx, bed.config.now_ms(), "b"))
            await wait_for(bed, "reads", ["a", "b"])

    run_async(first)
    run_async(second)


def test_poison_is_bisected_and_handed_on(tmp_path: Path) -> None:
    source = Memory()

    async def test() -> None:
        async with running(tmp_path, {"dynamodb": source}) as bed:
            await bed.create("reads", PRINTS)
            now_ms = bed.config.now_ms()
            values = ["a", "b", "poison", "c"]
            await bed.write(lambda tx: [source.add(tx, now_ms, value) for value in values])
            await bed.operate("CreateEventSourceMapping", FunctionName="reads",
                              EventSourceArn=STREAM, StartingPosition="TRIM_HORIZON",
                              BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
                              DestinationConfig={"OnFailure": {"Destination": QUEUE}})  # fmt: skip
            await until(lambda: bed.delivered)
            document = json.loads(bed.delivered[0].payload)
            assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
            assert document["DDBStreamBatchInfo"]["startSequenceNumber"] == "000003"
            assert document["DDBStreamBatchInfo"]["batchSize"] == 1
            position = "SELECT max(after) FROM mapping_positions"
            await until(lambda: bed.database.view().value(position) == "000004")
            assert [batch for batch in await got(bed, "reads") if "poison" not in batch] == [
                ["a", "b"],
                ["c"],
            ]

    run_async(test)


def test_partial_failures_are_tried_again_from_the_failed_record(tmp_path: Path) -> None:
    source = Memory()
    code = """
import json, os
def handler(event, context):
    print(json.dumps([record["value"] for record in event["Records"]]))
    if len(event["Records"]) == 3:
        number = event["Records"][1]["dynamodb"]["SequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": number}]}
"""

    async def test() -> None:
        async with running(tmp_path, {"dynamodb": source}) as bed:
            await bed.create("reads", code)
            now_ms = bed.config.now_ms()
            await bed.write(lambda tx: [source.add(tx, now_ms, value) for value in (1, 2, 3)])
            await bed.operate("CreateEventSourceMapping", FunctionName="reads",
                              EventSourceArn=STREAM, StartingPosition="TRIM_HORIZON",
                              FunctionResponseTypes=["ReportBatchItemFailures"])  # fmt: skip
            await wait_for(bed, "reads", [1, 2, 3, 2, 3])

    run_async(test)


def test_a_mapping_needs_a_role_that_may_read_the_stream(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, {"dynamodb": Memory()}) as bed:
            await bed.create("reads", PRINTS)
            bed.may_read = False
            with pytest.raises(AwsError, match="Cannot access stream"):
                await bed.operate("CreateEventSourceMapping", FunctionName="reads",
                                  EventSourceArn=STREAM, StartingPosition="LATEST")  # fmt: skip

    run_async(test)
