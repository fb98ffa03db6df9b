"""Events between services: buckets, tables, rules and schedules into queues and functions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import (
    ACCOUNT,
    allow,
    arn,
    eventually,
    make_function,
    make_queue,
    message,
)
from tests.conformance.test_buses import make_role, make_rule, put
from tests.server import Server

# Writes what it is called with into a bucket: {bucket}/{first thing that tells events apart}
RECORDER = """
import json, os, boto3

def handler(event, context):
    key = context.aws_request_id
    boto3.client("s3").put_object(Bucket=os.environ["TO"], Key=key, Body=json.dumps(event))
"""
STREAM = """
import json, os, boto3

def handler(event, context):
    words = [record["dynamodb"]["Keys"]["k"]["S"] for record in event["Records"]]
    if "bad" in words:
        raise RuntimeError(f"cannot take {words}")
    for record in event["Records"]:
        key = record["dynamodb"]["SequenceNumber"]
        body = json.dumps([record["eventName"], record["dynamodb"]["Keys"]["k"]["S"]])
        boto3.client("s3").put_object(Bucket=os.environ["TO"], Key=key, Body=body)
"""


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


@pytest.fixture
def target(server: Server, names: Iterator[str]) -> str:
    """A bucket into which functions write what they see."""
    made = f"{next(names)}-seen"
    server.client("s3").create_bucket(Bucket=made)
    return made


def seen(server: Server, bucket: str) -> list[Any]:
    s3 = server.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]


def test_objects_into_a_queue(server: Server, bucket: str, name: str) -> None:
    url, queue = make_queue(server, name, "s3.amazonaws.com")
    s3 = server.client("s3")
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".txt"}]
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "Id": "mine",
                    "QueueArn": queue,
                    "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"],
                    "Filter": {"Key": {"FilterRules": rules}},
                }
            ]
        },
    )
    test_event = json.loads(message(server, url)["Body"])
    assert test_event["Event"] == "s3:TestEvent" and test_event["Bucket"] == bucket
    s3.put_object(Bucket=bucket, Key="out/a.txt", Body=b"")
    etag = s3.put_object(Bucket=bucket, Key="in/ä b.txt", Body=b"four")["ETag"]
    (record,) = json.loads(message(server, url)["Body"])["Records"]
    assert record["eventName"] == "ObjectCreated:Put" and record["eventSource"] == "aws:s3"
    assert record["s3"]["object"]["key"] == "in/%C3%A4+b.txt"
    assert record["s3"]["object"]["size"] == 4 and record["s3"]["configurationId"] == "mine"
    assert record["s3"]["object"]["eTag"] == etag.strip('"')
    s3.delete_object(Bucket=bucket, Key="in/ä b.txt")
    (record,) = json.loads(message(server, url)["Body"])["Records"]
    assert record["eventName"] == "ObjectRemoved:Delete"


def test_destinations_that_are_not_there_are_refused(server: Server, bucket: str) -> None:
    queue = {"QueueArn": arn("sqs", "nobody"), "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as refused:
        server.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]}
        )
    assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    assert "Unable to validate" in refused.value.response["Error"]["Message"]


def test_objects_into_a_function(server: Server, bucket: str, name: str, target: str) -> None:
    function = make_function(
        server, name, RECORDER, allow("s3:PutObject", f"arn:aws:s3:::{target}/*"),
        Environment={"Variables": {"TO": target}},
    )  # fmt: skip
    server.client("lambda").add_permission(
        FunctionName=name,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}",
        SourceAccount=ACCOUNT,
    )
    s3 = server.client("s3")
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    (event,) = eventually(lambda: seen(server, target))
    assert event["Records"][0]["eventName"] == "ObjectCreated:CompleteMultipartUpload"


def test_rules_match_patterns(server: Server, name: str) -> None:
    url, queue = make_queue(server, name, "events.amazonaws.com")
    events = server.client("events")
    pattern = {"source": ["shop"], "detail": {"price": [{"numeric": [">", 10]}]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    failed = events.put_targets(
        Rule=name,
        Targets=[
            {"Id": "whole", "Arn": queue},
            {
                "Id": "part",
                "Arn": queue,
                "InputTransformer": {
                    "InputPathsMap": {"price": "$.detail.price"},
                    "InputTemplate": '"costs <price>"',
                },
            },
        ],
    )["FailedEntryCount"]
    assert failed == 0
    entry = {"Source": "shop", "DetailType": "sold"}
    answer = events.put_events(
        Entries=[{**entry, "Detail": json.dumps({"price": price})} for price in (5, 50)]
    )
    assert answer["FailedEntryCount"] == 0
    bodies = [message(server, url)["Body"], message(server, url)["Body"]]
    whole = next(json.loads(body) for body in bodies if body.startswith("{"))
    assert whole["detail"] == {"price": 50} and whole["detail-type"] == "sold"
    assert whole["id"] == answer["Entries"][1]["EventId"]
    assert '"costs 50"' in bodies
    for expression in ("rate(0 minutes)", "rate(1 minutes)", "cron(0 12 * * *)", "every day"):
        with pytest.raises(ClientError) as refused:
            events.put_rule(Name=f"{name}-bad", ScheduleExpression=expression)
        assert refused.value.response["Error"]["Code"] == "ValidationException"
    events.put_rule(Name=f"{name}-cron", ScheduleExpression="cron(15 10 ? * MON-FRI *)")
    assert events.describe_rule(Name=f"{name}-cron")["State"] == "ENABLED"


def test_streams_into_a_function_around_a_bad_record(
    server: Server, name: str, target: str
) -> None:
    url, queue = make_queue(server, f"{name}-failures")
    dynamodb = server.client("dynamodb")
    table = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    reading = ["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"]
    make_function(
        server, name, STREAM,
        allow("s3:PutObject", f"arn:aws:s3:::{target}/*"),
        allow([*reading, "dynamodb:ListStreams"], arn("dynamodb", f"table/{name}/stream/*")),
        allow("sqs:SendMessage", queue),
        Environment={"Variables": {"TO": target}},
    )  # fmt: skip
    words = ["one", "two", "bad", "three", "four", "five"]
    for word in words:
        dynamodb.put_item(TableName=name, Item={"k": {"S": word}})
    server.client("lambda").create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=table["LatestStreamArn"],
        StartingPosition="TRIM_HORIZON",
        BatchSize=100,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=3,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )
    good = [["INSERT", word] for word in words if word != "bad"]
    eventually(lambda: seen(server, target) == good)  # in order, each once
    failure = json.loads(message(server, url)["Body"])
    assert failure["requestContext"]["condition"] == "RetryAttemptsExhausted"
    batch = failure["DDBStreamBatchInfo"]
    assert batch["batchSize"] == 1 and batch["streamArn"] == table["LatestStreamArn"]
    dynamodb.delete_item(TableName=name, Key={"k": {"S": "one"}})
    eventually(lambda: ["REMOVE", "one"] in seen(server, target))


def test_an_event_goes_from_bus_to_bus_once(server: Server, name: str) -> None:
    """messaging-042: two buses that send to each other come to an end."""
    events = server.client("events")
    role = make_role(server, name, "events.amazonaws.com", allow("events:PutEvents"))
    url, dead = make_queue(server, name, "events.amazonaws.com")
    second = events.create_event_bus(Name=name)["EventBusArn"]
    grave = {"RoleArn": role, "DeadLetterConfig": {"Arn": dead}}
    make_rule(server, name, {"Arn": second, **grave})
    back = {"Arn": arn("events", "event-bus/default"), **grave}
    rule = make_rule(server, name, back, EventBusName=name)
    (event,) = put(server, name, {"n": 1})
    letter = message(server, url)
    assert json.loads(letter["Body"])["id"] == event
    told = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert told["ERROR_CODE"] == "THIRD_ACCOUNT_HOP_DETECTED" and told["RULE_ARN"] == rule
    assert f"for event {event} because an event can be sent" in told["ERROR_MESSAGE"]
