"""kill -9 in the middle of a stream: nothing is lost, every key stays in order, poison ends."""

import base64
import json
from pathlib import Path

import pytest

from tests.conformance.building import allow, arn, eventually, make_function
from tests.server import Server

pytestmark = pytest.mark.fault
RECORDS = 400
KEYS = 8
POISON = 250
# Notes each record once it is done, and how often: the table is the witness. What is asked for
# again was written already, or comes behind what failed.
NOTES = """
import base64, boto3
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        kinesis = record["kinesis"]
        number = int(base64.b64decode(kinesis["data"]))
        first = table.update_item(
            TableName="seen", Key={"k": {"S": f"tries-{number}"}}, ReturnValues="UPDATED_NEW",
            UpdateExpression="ADD tries :one", ExpressionAttributeValues={":one": {"N": "1"}},
        )["Attributes"]["tries"]["N"] == "1"
        if number == %d or (number %% 50 == 7 and first):
            return {"batchItemFailures": [{"itemIdentifier": kinesis["sequenceNumber"]}]}
        table.update_item(
            TableName="seen", Key={"k": {"S": kinesis["partitionKey"]}},
            UpdateExpression="SET seen = list_append(if_not_exists(seen, :none), :one)",
            ExpressionAttributeValues={":one": {"L": [{"N": str(number)}]}, ":none": {"L": []}},
        )
    return {"batchItemFailures": []}
"""


def test_no_record_is_lost(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    server.client("dynamodb").create_table(
        TableName="seen", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
    )  # fmt: skip
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(
        StreamName="s", WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    server.client("s3").create_bucket(Bucket="dead")
    make_function(server, "notes", NOTES % POISON, allow(["kinesis:*", "dynamodb:*", "s3:*"]))
    server.client("lambda").create_event_source_mapping(
        FunctionName="notes", EventSourceArn=arn("kinesis", "stream/s"), BatchSize=10,
        StartingPosition="TRIM_HORIZON", ParallelizationFactor=4, MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True, FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::dead"}},
    )  # fmt: skip
    for start in range(0, RECORDS, 100):
        numbers = range(start, start + 100)
        kinesis.put_records(
            StreamName="s",
            Records=[{"Data": str(n).encode(), "PartitionKey": f"key-{n % KEYS}"} for n in numbers],
        )

    def seen() -> dict[str, list[int]]:
        items = server.client("dynamodb").scan(TableName="seen", ConsistentRead=True)["Items"]
        lists = {item["k"]["S"]: item["seen"]["L"] for item in items if "seen" in item}
        return {key: [int(each["N"]) for each in found] for key, found in lists.items()}

    def dead() -> set[int]:
        s3 = server.client("s3")
        found = s3.list_objects_v2(Bucket="dead").get("Contents", [])
        bodies = [s3.get_object(Bucket="dead", Key=each["Key"])["Body"].read() for each in found]
        records = [r for body in bodies for r in json.loads(json.loads(body)["payload"])["Records"]]
        return {int(base64.b64decode(record["kinesis"]["data"])) for record in records}

    for part in (5, 2):
        eventually(lambda part=part: sum(map(len, seen().values())) >= RECORDS / part)
        server.kill()
        server.start()
    everything = set(range(RECORDS)) - {POISON}
    eventually(lambda: {n for found in seen().values() for n in found} == everything)
    assert eventually(dead) == {POISON}
    again = 0
    for key, found in seen().items():
        firsts = list(dict.fromkeys(found))
        assert firsts == sorted(firsts), f"{key} is out of order: {found}"
        again += len(found) - len(firsts)
    assert again <= 2 * 4 * 10  # what was under way at each kill, and nothing else
    assert server.stop() == 0
