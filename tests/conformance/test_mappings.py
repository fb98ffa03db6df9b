"""Event source mappings of streams, by real clients."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
    policy,
)
from tests.server import Server

READING = allow(
    ["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator",
     "kinesis:GetRecords", "dynamodb:DescribeStream", "dynamodb:GetShardIterator",
     "dynamodb:GetRecords"]
)  # fmt: skip
PRINTS = """
import json
def handler(event, context):
    print("SEEN " + json.dumps(event))
    if any(r.get("kinesis", {}).get("partitionKey") == "poison" for r in event["Records"]):
        raise ValueError("poison")
    return {"state": {"count": event.get("state", {}).get("count", 0) + len(event["Records"])}}
"""


@pytest.fixture
def name(server: Server, names: Iterator[str]) -> str:
    """Of a stream and of a function that may read it."""
    name = next(names)
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    make_function(server, name, PRINTS, READING, allow(["s3:PutObject", "s3:ListBucket"]),
                  allow(["sqs:SendMessage", "sns:Publish"]))  # fmt: skip
    return name


def stream(name: str) -> str:
    return arn("kinesis", f"stream/{name}")


def put(server: Server, name: str, key: str, value: Any = None) -> Any:
    data = json.dumps(value).encode()
    return server.client("kinesis").put_record(StreamName=name, Data=data, PartitionKey=key)


def connect(server: Server, name: str, **settings: Any) -> Any:
    options = {"StartingPosition": "TRIM_HORIZON", "EventSourceArn": stream(name), **settings}
    return server.client("lambda").create_event_source_mapping(FunctionName=name, **options)


def events(server: Server, name: str) -> list[Any]:
    """What the function was given, as it told its log."""
    found = server.client("logs").filter_log_events(
        logGroupName=f"/aws/lambda/{name}", filterPattern="SEEN"
    )
    return [json.loads(each["message"][5:]) for each in found["events"]]


def keys(server: Server, name: str) -> list[str]:
    try:
        found = events(server, name)
    except ClientError:  # no log yet
        return []
    return [record["kinesis"]["partitionKey"] for event in found for record in event["Records"]]


def table_stream(server: Server, name: str) -> str:
    made = server.client("dynamodb").create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )  # fmt: skip
    return str(made["TableDescription"]["LatestStreamArn"])


def test_records_of_kinesis(server: Server, name: str) -> None:
    made = connect(server, name)
    assert (made["State"], made["LastProcessingResult"]) == ("Creating", "No records processed")
    put(server, name, "a", {"n": 1})
    eventually(lambda: keys(server, name) == ["a"])
    (record,) = events(server, name)[0]["Records"]
    number = record["kinesis"]["sequenceNumber"]
    assert record["eventID"] == f"shardId-000000000000:{number}"
    assert record["eventSourceARN"] == stream(name)
    assert record["invokeIdentityArn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}-role"

    def found() -> Any:
        return server.client("lambda").get_event_source_mapping(UUID=made["UUID"])

    eventually(lambda: found()["LastProcessingResult"] == "OK")
    assert found()["State"] == "Enabled" and found()["TumblingWindowInSeconds"] == 0
    assert found()["DestinationConfig"] == {"OnFailure": {}}


def test_latest_is_the_moment_of_creation(server: Server, name: str) -> None:
    put(server, name, "before")
    connect(server, name, StartingPosition="LATEST")
    put(server, name, "after")
    eventually(lambda: keys(server, name) == ["after"])


def test_a_stream_made_anew_is_read_from_its_beginning(server: Server, name: str) -> None:
    kinesis = server.client("kinesis")
    connect(server, name)
    put(server, name, "old")
    eventually(lambda: keys(server, name) == ["old"])
    kinesis.delete_stream(StreamName=name)
    kinesis.get_waiter("stream_not_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    put(server, name, "new")
    eventually(lambda: keys(server, name) == ["old", "new"])


def test_a_moment_to_start_from(server: Server, name: str) -> None:
    put(server, name, "before")
    time.sleep(0.05)
    moment = datetime.now(UTC)
    put(server, name, "after")
    connect(server, name, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=moment)
    eventually(lambda: keys(server, name) == ["after"])


def test_children_follow_their_parents(server: Server, name: str) -> None:
    """A shard is split, its children are merged again; every key stays in order."""
    kinesis = server.client("kinesis")
    waiter = kinesis.get_waiter("stream_exists")
    put(server, name, "1")
    kinesis.split_shard(
        StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 127)
    )
    waiter.wait(StreamName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900})
    put(server, name, "2")
    kinesis.merge_shards(
        StreamName=name, ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge="shardId-000000000002",
    )  # fmt: skip
    waiter.wait(StreamName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900})
    put(server, name, "3")
    connect(server, name, ParallelizationFactor=2)
    eventually(lambda: keys(server, name) == ["1", "2", "3"])


def test_poison_goes_to_a_bucket(server: Server, name: str, bucket: str) -> None:
    made = connect(
        server, name, MaximumRetryAttempts=1, BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}},
    )  # fmt: skip
    put(server, name, "poison", {"bad": True})
    put(server, name, "good")
    s3 = server.client("s3")
    (found,) = eventually(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
    start = f"aws/lambda/{made['UUID']}/shardId-000000000000/{datetime.now(UTC):%Y/}"
    assert found["Key"].startswith(start)
    document = json.loads(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    (record,) = json.loads(document["payload"])["Records"]
    assert record["kinesis"]["partitionKey"] == "poison"
    assert (
        document["KinesisBatchInfo"]["startSequenceNumber"] == record["kinesis"]["sequenceNumber"]
    )
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    eventually(lambda: keys(server, name)[-1] == "good")


def test_a_window_is_ended_by_the_clock(server: Server, name: str) -> None:
    connect(server, name, TumblingWindowInSeconds=1)
    put(server, name, "a")
    last = eventually(
        lambda: (
            keys(server, name) and [e for e in events(server, name) if e["isFinalInvokeForWindow"]]
        )
    )[0]
    assert last["state"] == {"count": 1} and last["Records"] == []
    assert last["window"]["start"] < last["window"]["end"]


def test_a_consumer_takes_its_own_permission(server: Server, name: str) -> None:
    kinesis = server.client("kinesis")
    made = kinesis.register_stream_consumer(StreamARN=stream(name), ConsumerName="c")["Consumer"]
    place = {"StreamARN": stream(name), "ConsumerName": "c"}
    eventually(
        lambda: (
            kinesis.describe_stream_consumer(**place)["ConsumerDescription"]["ConsumerStatus"]
            == "ACTIVE"
        )
    )
    consumer = made["ConsumerARN"]
    with pytest.raises(ClientError, match="SubscribeToShard"):
        connect(server, name, EventSourceArn=consumer)
    document = {"Version": "2012-10-17", "Statement": [allow("kinesis:SubscribeToShard")]}
    server.client("iam").put_role_policy(
        RoleName=f"{name}-role", PolicyName="more", PolicyDocument=json.dumps(document)
    )
    connect(server, name, EventSourceArn=consumer)
    put(server, name, "a")
    eventually(lambda: keys(server, name) == ["a"])
    assert events(server, name)[0]["Records"][0]["eventSourceARN"] == consumer


def test_what_is_refused(server: Server, name: str) -> None:
    """mappings-001: a pattern's data is JSON."""
    source = table_stream(server, name)
    moment = datetime.now(UTC)
    pattern = {"Filters": [{"Pattern": '{"data": ["text"]}'}]}
    fifo = {"OnFailure": {"Destination": arn("sqs", "dead.fifo")}}
    bus = {"OnFailure": {"Destination": arn("events", "event-bus/default")}}
    at: dict[str, Any] = {"StartingPosition": "AT_TIMESTAMP"}
    for settings, told in (
        ({"TumblingWindowInSeconds": 60, "ParallelizationFactor": 2}, "not supported with"),
        (at, "Need to specify a timestamp"),
        (at | {"StartingPositionTimestamp": moment + timedelta(days=1)}, "future"),
        (
            at | {"StartingPositionTimestamp": moment, "EventSourceArn": source},
            "Unsupported starting position for arn type",
        ),
        ({"StartingPositionTimestamp": moment}, "AT_TIMESTAMP alone"),
        ({"FilterCriteria": pattern}, r"Invalid filter pattern definition\.$"),
        ({"DestinationConfig": fifo}, "FIFO"),
        ({"DestinationConfig": bus}, "is invalid"),
        ({"MetricsConfig": {"Metrics": ["ErrorCount"]}}, "Kafka"),
        ({"EventSourceArn": stream("missing")}, "Stream not found"),
        ({"KMSKeyArn": arn("kms", "key/1")}, "KMSKeyArn"),
        ({"ScalingConfig": {"MaximumConcurrency": 2}}, "SQS event sources alone"),
        ({"MaximumRecordAgeInSeconds": 5}, "MaximumRecordAgeInSeconds"),
    ):
        with pytest.raises(ClientError, match=told):
            connect(server, name, **settings)
    server.client("iam").delete_role_policy(RoleName=f"{name}-role", PolicyName="own")
    for each in (stream(name), source):
        with pytest.raises(ClientError, match="Please ensure the role can perform the GetRecords"):
            connect(server, name, EventSourceArn=each)


def test_the_role_must_reach_the_destination(server: Server, name: str, bucket: str) -> None:
    """Of mappings and of asynchronous invocations; a trial writes nothing."""
    own = f"{name}-role"
    url, queue = make_queue(server, f"{name}-dead")
    topic = server.client("sns").create_topic(Name=name)["TopicArn"]
    client, iam = server.client("lambda"), server.client("iam")
    uuid = connect(server, name)["UUID"]
    rights = {
        queue: "sqs:SendMessage", topic: "sns:Publish",
        f"arn:aws:s3:::{bucket}": "s3:PutObject",
        arn("events", "event-bus/default"): "events:PutEvents",
        arn("lambda", f"function:{name}"): "lambda:InvokeFunction",
    }  # fmt: skip

    def ask(target: str) -> None:
        wanted = {"OnFailure": {"Destination": target}}
        if ":events:" in target or ":lambda:" in target:
            client.put_function_event_invoke_config(FunctionName=name, DestinationConfig=wanted)
        else:
            client.update_event_source_mapping(UUID=uuid, DestinationConfig=wanted)

    statements = [READING]
    iam.put_role_policy(RoleName=own, PolicyName="own", PolicyDocument=policy(*statements))
    for target, action in rights.items():
        with pytest.raises(ClientError, match="execution role does not have permissions to call"):
            ask(target)
        statements.append(allow(action))
        iam.put_role_policy(RoleName=own, PolicyName="own", PolicyDocument=policy(*statements))
        ask(target)
    with pytest.raises(ClientError, match=r"DestinationArn .* is invalid"):
        ask(f"{queue}-missing")
    assert "Messages" not in server.client("sqs").receive_message(QueueUrl=url)
    assert "Contents" not in server.client("s3").list_objects_v2(Bucket=bucket)


def test_states_and_changes(server: Server, name: str) -> None:
    """Disabling keeps the position; settings change while it runs."""
    client = server.client("lambda")
    uuid = connect(server, name, Tags={"a": "b"}, BatchSize=10_000)["UUID"]
    put(server, name, "1")
    eventually(lambda: keys(server, name) == ["1"])
    changed = client.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert changed["State"] == "Disabling"
    assert client.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    put(server, name, "2")
    changed = client.update_event_source_mapping(
        UUID=uuid, Enabled=True, ParallelizationFactor=10, BatchSize=1, MaximumRetryAttempts=3,
        MetricsConfig={"Metrics": ["EventCount"]},
    )  # fmt: skip
    assert (changed["State"], changed["ParallelizationFactor"]) == ("Enabling", 10)
    eventually(lambda: keys(server, name) == ["1", "2"])
    changed = client.update_event_source_mapping(UUID=uuid, ParallelizationFactor=1)
    assert changed["State"] == "Updating"
    put(server, name, "3")
    eventually(lambda: keys(server, name) == ["1", "2", "3"])
    assert client.list_tags(Resource=changed["EventSourceMappingArn"])["Tags"] == {"a": "b"}
    assert client.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"


def test_a_queue_hears_of_what_is_given_up(server: Server, name: str) -> None:
    url, queue = make_queue(server, f"{name}-dead")
    connect(
        server, name, MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )  # fmt: skip
    put(server, name, "poison")
    assert json.loads(message(server, url)["Body"])["KinesisBatchInfo"]["batchSize"] == 1


def test_a_topic_hears_of_what_is_given_up(server: Server, name: str) -> None:
    url, queue = make_queue(server, f"{name}-dead", "sns.amazonaws.com")
    sns = server.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    connect(
        server, name, MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": topic}},
    )  # fmt: skip
    put(server, name, "poison")
    told = json.loads(json.loads(message(server, url)["Body"])["Message"])
    assert told["KinesisBatchInfo"]["streamArn"] == stream(name)
