"""What services measure of themselves: DynamoDB, SQS, S3."""

import asyncio
from typing import Any

import pytest

from cloudlet.call import Call, Params
from cloudlet.dynamodb.schema import SCHEMA as DYNAMODB
from cloudlet.dynamodb.service import service as dynamodb
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.front.dispatcher import Dispatcher
from cloudlet.messaging import metrics as sqs_metrics
from cloudlet.messaging.schema import SCHEMA as MESSAGING
from cloudlet.messaging.service import service as messaging
from cloudlet.s3 import metrics as s3_metrics
from cloudlet.s3.schema import SCHEMA as S3
from tests.harness import ROOT, Bench
from tests.unit.monitoring.conftest import points


@pytest.fixture
def cloud(logs: Bench) -> Bench:
    for schema in (DYNAMODB, MESSAGING, S3):
        logs.database.prepare(schema)
    return logs


def perform(bench: Bench, service: str, *calls: tuple[str, Params]) -> None:
    """Through the dispatcher, as requests go; errors are part of it."""

    async def run() -> None:
        dispatcher = Dispatcher()
        dispatcher.cloud = bench.cloud
        dispatcher.add(*dynamodb(), *messaging())
        for operation, params in calls:
            request = Request("POST", "/", "", {}, Body.of(b""))
            call = Call(bench.cloud, service, operation, params, ROOT, request)
            try:
                await dispatcher.perform(call, trusted=True)
            except AwsError as error:
                assert error.status == 400

    asyncio.run(run())


def measured(bench: Bench) -> dict[tuple[str, str], float]:
    return {(name, dims): total for _, name, dims, _, total, _ in points(bench)}


def test_dynamodb_measures_units_items_and_errors(cloud: Bench) -> None:
    table = {
        "TableName": "tab", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("k", "g")],
        "GlobalSecondaryIndexes": [{
            "IndexName": "i", "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}],
    }  # fmt: skip
    item: dict[str, Any] = {"k": {"S": "a"}, "g": {"S": "x"}, "v": {"S": "v" * 1500}}
    perform(
        cloud,
        "dynamodb",
        ("CreateTable", table),
        ("PutItem", {"TableName": "tab", "Item": item}),
        ("GetItem", {"TableName": "tab", "Key": {"k": {"S": "a"}}, "ConsistentRead": True}),
        ("Scan", {"TableName": "tab"}),
        ("BatchGetItem", {"RequestItems": {"tab": {"Keys": [{"k": {"S": "a"}}]}}}),
        ("GetItem", {"TableName": "tab", "Key": {"x": {"S": "a"}}}),
        ("PutItem", {"TableName": "tab", "Item": item,
                     "ConditionExpression": "attribute_not_exists(k)"}),
    )  # fmt: skip
    found = measured(cloud)
    own = '[["TableName","tab"]]'
    assert found["ConsumedWriteCapacityUnits", own] == 2
    index = '[["GlobalSecondaryIndexName","i"],["TableName","tab"]]'
    assert found["ConsumedWriteCapacityUnits", index] == 2
    # a scan asks all four partitions of a new table (dynamodb-054)
    assert found["ConsumedReadCapacityUnits", own] == 1 + 4 * 0.5 + 0.5
    assert found["UserErrors", "[]"] == 1
    assert found["ConditionalCheckFailedRequests", own] == 1
    scan = '[["Operation","Scan"],["TableName","tab"]]'
    assert found["ReturnedItemCount", scan] == 1
    assert found["SuccessfulRequestLatency", scan] > 0


def test_sqs_measures_calls_and_what_queues_hold(cloud: Bench) -> None:
    queue = {"QueueUrl": "http://127.0.0.1:4566/000000000000/q"}
    entries = [{"Id": str(n), "MessageBody": "héllo"} for n in range(3)]
    perform(
        cloud,
        "sqs",
        ("CreateQueue", {"QueueName": "q"}),
        ("ReceiveMessage", queue),
        ("SendMessageBatch", {**queue, "Entries": entries}),
        ("SendMessage", {**queue, "MessageBody": "later", "DelaySeconds": 60}),
        ("ReceiveMessage", {**queue, "MaxNumberOfMessages": 1}),
    )
    cloud.clock.advance(5)
    asyncio.run(sqs_metrics.measure(cloud.cloud))
    found = {name: total for (name, _), total in measured(cloud).items()}
    assert found == {
        "NumberOfEmptyReceives": 1, "NumberOfMessagesSent": 4, "NumberOfMessagesReceived": 1,
        "SentMessageSize": 3 * 6 + 5, "ApproximateNumberOfMessagesVisible": 2,
        "ApproximateNumberOfMessagesNotVisible": 1, "ApproximateNumberOfMessagesDelayed": 1,
        "ApproximateAgeOfOldestMessage": 5,
    }  # fmt: skip


def test_s3_measures_what_buckets_hold(cloud: Bench) -> None:
    def fill(tx: Any) -> None:
        tx.run("INSERT INTO s3_bucket (id, name, region, created_ms) VALUES (1, 'full', '', 0)")
        tx.run("INSERT INTO s3_bucket (id, name, region, created_ms) VALUES (2, 'empty', '', 0)")
        for size in (3, 4):
            tx.run(
                "INSERT INTO s3_object (bucket, key, size, etag, modified_ms, version, checksum,"
                " tags, headers, metadata, parts, segments)"
                " VALUES (1, ?, ?, '', 0, 1, '', '', '', '', '', '')",
                (str(size), size),
            )

    cloud.database.write_now(fill)
    asyncio.run(s3_metrics.measure(cloud.cloud))
    found = {(name, "full" in dims): total for (name, dims), total in measured(cloud).items()}
    assert found == {
        ("BucketSizeBytes", True): 7, ("NumberOfObjects", True): 2,
        ("BucketSizeBytes", False): 0, ("NumberOfObjects", False): 0,
    }  # fmt: skip
