"""What makes events for `bench.events`: each source wired to the function, sent by boto3 one at a
time and as signed requests by the load generator."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bench import load
from bench.contenders import Contender

FUNCTION = "listener"
_NAME = "bench-events"
_DATE = {"Content-Type": "application/x-amz-json-1.0"}


@dataclass(frozen=True)
class Source:
    """`wire(contender, function_arn)` returns what the other two need to know of the source."""

    name: str
    wire: Callable[[Contender, str], str]
    send: Callable[[Contender, str, str], Any]  # contender, what `wire` told, the event's id
    request: Callable[[Contender, str, str], load.Request]


def allow(contender: Contender, principal: str) -> None:
    contender.client("lambda").add_permission(
        FunctionName=FUNCTION,
        StatementId=principal.split(".")[0],
        Action="lambda:InvokeFunction",
        Principal=principal,
    )


def _map(contender: Contender, source_arn: str, batch: int, **settings: Any) -> None:
    contender.client("lambda").create_event_source_mapping(
        FunctionName=FUNCTION, EventSourceArn=source_arn, BatchSize=batch, **settings
    )


def _json(contender: Contender, service: str, target: str, body: dict[str, Any]) -> load.Request:
    headers = {**_DATE, "X-Amz-Target": target}
    data = json.dumps(body).encode()
    return load.signed(
        contender.endpoint, contender.key, service, "POST", "/", body=data, headers=headers
    )


def _wire_bucket(contender: Contender, function: str) -> str:
    client = contender.client("s3")
    client.create_bucket(Bucket=_NAME)
    allow(contender, "s3.amazonaws.com")
    target = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
    client.put_bucket_notification_configuration(
        Bucket=_NAME, NotificationConfiguration={"LambdaFunctionConfigurations": [target]}
    )
    return _NAME


def _put(contender: Contender, bucket: str, event_id: str) -> load.Request:
    path = f"/{bucket}/{event_id}"
    return load.signed(contender.endpoint, contender.key, "s3", "PUT", path, body=b"x" * 1024)


def _wire_table(contender: Contender, function: str) -> str:
    client = contender.client("dynamodb")
    made = client.create_table(
        TableName=_NAME,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]
    _map(contender, made["LatestStreamArn"], 100, StartingPosition="LATEST")
    return _NAME


def _item(event_id: str) -> dict[str, Any]:
    return {"pk": {"S": event_id}, "text": {"S": "x" * 100}}


def _wire_queue(contender: Contender, function: str) -> str:
    client = contender.client("sqs")
    url: str = client.create_queue(QueueName=_NAME)["QueueUrl"]
    asked = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    _map(contender, asked["Attributes"]["QueueArn"], 10)
    return url


def _wire_topic(contender: Contender, function: str) -> str:
    client = contender.client("sns")
    arn: str = client.create_topic(Name=_NAME)["TopicArn"]
    allow(contender, "sns.amazonaws.com")
    client.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function)
    return arn


def _publish(contender: Contender, topic: str, event_id: str) -> load.Request:
    members = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": event_id}
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return load.signed(
        contender.endpoint, contender.key, "sns", "POST", "/",
        body=urlencode(members).encode(), headers=headers,
    )  # fmt: skip


def _wire_bus(contender: Contender, function: str) -> str:
    client = contender.client("events")
    pattern = json.dumps({"source": ["bench"]})
    client.put_rule(Name=_NAME, EventPattern=pattern)
    allow(contender, "events.amazonaws.com")
    client.put_targets(Rule=_NAME, Targets=[{"Id": "one", "Arn": function}])
    return "default"


def _entry(event_id: str) -> dict[str, Any]:
    return {"Source": "bench", "DetailType": "event", "Detail": json.dumps({"id": event_id})}


def _wire_kinesis(contender: Contender, function: str) -> str:
    client = contender.client("kinesis")
    client.create_stream(StreamName=_NAME, ShardCount=1)
    client.get_waiter("stream_exists").wait(StreamName=_NAME)
    described = client.describe_stream(StreamName=_NAME)["StreamDescription"]
    _map(contender, described["StreamARN"], 100, StartingPosition="LATEST")
    return _NAME


def _record(contender: Contender, stream: str, event_id: str) -> load.Request:
    data = base64.b64encode(event_id.encode()).decode()
    body = {"StreamName": stream, "PartitionKey": event_id, "Data": data}
    return _json(contender, "kinesis", "Kinesis_20131202.PutRecord", body)


SOURCES = (
    Source(
        "S3 PUT", _wire_bucket,
        lambda c, name, i: c.client("s3").put_object(Bucket=name, Key=i, Body=b"x"),
        _put,
    ),
    Source(
        "DynamoDB stream", _wire_table,
        lambda c, name, i: c.client("dynamodb").put_item(TableName=name, Item=_item(i)),
        lambda c, name, i: _json(
            c, "dynamodb", "DynamoDB_20120810.PutItem", {"TableName": name, "Item": _item(i)}
        ),
    ),
    Source(
        "SQS queue", _wire_queue,
        lambda c, url, i: c.client("sqs").send_message(QueueUrl=url, MessageBody=i),
        lambda c, url, i: _json(
            c, "sqs", "AmazonSQS.SendMessage", {"QueueUrl": url, "MessageBody": i}
        ),
    ),
    Source(
        "SNS topic", _wire_topic,
        lambda c, arn, i: c.client("sns").publish(TopicArn=arn, Message=i),
        _publish,
    ),
    Source(
        "EventBridge bus", _wire_bus,
        lambda c, bus, i: c.client("events").put_events(Entries=[_entry(i)]),
        lambda c, bus, i: _json(c, "events", "AWSEvents.PutEvents", {"Entries": [_entry(i)]}),
    ),
    Source(
        "Kinesis stream", _wire_kinesis,
        lambda c, name, i: c.client("kinesis").put_record(
            StreamName=name, PartitionKey=i, Data=i.encode()
        ),
        _record,
    ),
)  # fmt: skip
