"""kill -9 in the middle of a queue: every message is handled at least once, none is lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.building import allow, arn, eventually, make_function, make_queue
from tests.server import Server

pytestmark = pytest.mark.fault
MESSAGES = 200
NOTES = """
import boto3, json
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        table.put_item(TableName="seen", Item={"k": {"S": record["body"]}})
"""


def _reach(seen: Callable[[], int], wanted: int) -> None:
    eventually(lambda: seen() >= wanted)


def test_no_message_is_lost(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    server.client("dynamodb").create_table(
        TableName="seen", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
    )  # fmt: skip

    def seen() -> int:
        return int(server.client("dynamodb").scan(TableName="seen", Select="COUNT")["Count"])

    policy = {"deadLetterTargetArn": make_queue(server, "dead")[1], "maxReceiveCount": 100}
    url, _ = make_queue(server, "jobs")
    attributes = {"VisibilityTimeout": "5", "RedrivePolicy": json.dumps(policy)}
    server.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)
    for start in range(0, MESSAGES, 10):
        entries = [{"Id": str(n), "MessageBody": str(start + n)} for n in range(10)]
        server.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
    make_function(server, "notes", NOTES, allow(["sqs:*", "dynamodb:*"]), Timeout=5)
    server.client("lambda").create_event_source_mapping(
        FunctionName="notes", EventSourceArn=arn("sqs", "jobs"), BatchSize=4
    )
    for wanted in (MESSAGES // 5, MESSAGES // 2):
        _reach(seen, wanted)
        server.kill()
        server.start()
    eventually(lambda: seen() == MESSAGES)

    def left() -> int:
        sqs = server.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return sum(int(value) for name, value in found.items() if name.startswith("Approx"))

    eventually(lambda: not left())
    assert server.stop() == 0
