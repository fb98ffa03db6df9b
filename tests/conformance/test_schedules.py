"""EventBridge Scheduler over HTTP: targets of every kind, windows, groups, dead letters."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import allow, arn, eventually, make_queue, message
from tests.conformance.test_buses import make_role, refusal
from tests.server import Server

OFF = {"Mode": "OFF"}


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


@pytest.fixture(scope="module")
def role(server: Server) -> str:
    may = allow(["sqs:SendMessage", "events:PutEvents", "dynamodb:PutItem", "s3:PutObject"])
    return make_role(server, "schedules", "scheduler.amazonaws.com", may)


def soon(seconds: float = 0.0) -> str:
    return f"at({datetime.now(UTC) + timedelta(seconds=seconds + 1):%Y-%m-%dT%H:%M:%S})"


def create(server: Server, name: str, target: dict[str, Any], **settings: Any) -> str:
    made = server.client("scheduler").create_schedule(
        Name=name,
        Target=target,
        **{"ScheduleExpression": soon(), "FlexibleTimeWindow": OFF, **settings},
    )
    return str(made["ScheduleArn"])


def test_a_queue_hears_of_its_turn(server: Server, name: str, role: str) -> None:
    url, queue = make_queue(server, name)
    text = json.dumps({"of": "<aws.scheduler.schedule-arn>", "at": "<aws.scheduler.scheduled-time>",
                       "n": "<aws.scheduler.attempt-number>"})  # fmt: skip
    when = soon()
    made = create(
        server, name, {"Arn": queue, "RoleArn": role, "Input": text},
        ScheduleExpression=when, ActionAfterCompletion="DELETE",
    )  # fmt: skip
    told = json.loads(message(server, url)["Body"])
    assert told == {"of": made, "at": f"{when[3:-1]}Z", "n": "1"}
    scheduler = server.client("scheduler")
    assert refusal(scheduler.get_schedule, Name=name) == "ResourceNotFoundException"


def test_events_and_groups_of_queues(server: Server, name: str, role: str) -> None:
    url = server.client("sqs").create_queue(
        QueueName=f"{name}.fifo",
        Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"},
    )["QueueUrl"]
    target = {"Arn": arn("sqs", f"{name}.fifo"), "RoleArn": role, "Input": "in order"}
    with pytest.raises(ClientError):
        create(server, name, target)
    create(server, name, {**target, "SqsParameters": {"MessageGroupId": "g"}})
    bus_url, queue = make_queue(server, name, "events.amazonaws.com")
    events = server.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue}])
    bus = {"Arn": arn("events", "event-bus/default"), "RoleArn": role, "Input": '{"n": 1}'}
    settings = {"EventBridgeParameters": {"Source": name, "DetailType": "turn"}}
    create(server, f"{name}-event", {**bus, **settings})
    assert message(server, url)["Body"] == "in order"
    event = json.loads(message(server, bus_url)["Body"])
    assert (event["detail-type"], event["detail"]) == ("turn", {"n": 1})


def test_any_operation_is_a_target(server: Server, name: str, role: str, bucket: str) -> None:
    url, _ = make_queue(server, name)
    server.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    calls = {
        "sqs:sendMessage": {"QueueUrl": url, "MessageBody": "hello"},
        "dynamodb:putItem": {
            "TableName": name,
            "Item": {"k": {"S": "<aws.scheduler.execution-id>"}},
        },
        "s3:putObject": {"Bucket": bucket, "Key": "k", "Body": "text"},
    }
    for number, (operation, params) in enumerate(calls.items()):
        target = {"Arn": f"arn:aws:scheduler:::aws-sdk:{operation}", "RoleArn": role}
        create(server, f"{name}-{number}", {**target, "Input": json.dumps(params)})
    assert message(server, url)["Body"] == "hello"
    eventually(lambda: server.client("dynamodb").scan(TableName=name)["Count"] == 1)
    s3 = server.client("s3")
    eventually(lambda: s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
    for operation in ("s3:getObject", "s3:makeCoffee", "coffee:make"):
        with pytest.raises(ClientError) as refused:
            create(
                server, name, {"Arn": f"arn:aws:scheduler:::aws-sdk:{operation}", "RoleArn": role}
            )
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_what_fails_is_buried(server: Server, name: str) -> None:
    """messaging-040: the role may do nothing but bury it."""
    may = allow(["sqs:SendMessage"])
    role = make_role(server, f"{name}-nothing", "scheduler.amazonaws.com", may)
    url, grave = make_queue(server, f"{name}-grave")
    absent = "arn:aws:lambda:us-east-1:000000000000:function:absent"
    made = create(
        server,
        name,
        {"Arn": absent, "RoleArn": role, "Input": "1", "DeadLetterConfig": {"Arn": grave}},
    )
    dead = message(server, url)
    assert dead["Body"] == "1"
    said = {key: value["StringValue"] for key, value in dead["MessageAttributes"].items()}
    assert (said["SCHEDULE_ARN"], said["TARGET_ARN"]) == (made, absent)
    assert said["ERROR_CODE"].startswith("AccessDenied") and said["RETRY_ATTEMPTS"] == "0"
    assert said["IS_PAYLOAD_TRUNCATED"] == "false" and said["EXECUTION_ID"]


def test_groups_tags_and_lists(server: Server, name: str, role: str) -> None:
    scheduler = server.client("scheduler")
    _, queue = make_queue(server, name)
    group = scheduler.create_schedule_group(Name=name, Tags=[{"Key": "a", "Value": "1"}])
    resource = group["ScheduleGroupArn"]
    scheduler.tag_resource(ResourceArn=resource, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=resource, TagKeys=["a"])
    tags = scheduler.list_tags_for_resource(ResourceArn=resource)["Tags"]
    assert tags == [{"Key": "b", "Value": "2"}]
    target, later = {"Arn": queue, "RoleArn": role}, soon(3600)
    for number in range(3):
        state = "DISABLED" if number == 1 else "ENABLED"
        settings = {"GroupName": name, "ScheduleExpression": later, "State": state}
        create(server, f"s{number}", target, **settings)
    pages = scheduler.get_paginator("list_schedules").paginate(
        GroupName=name, PaginationConfig={"PageSize": 2}
    )
    assert [[each["Name"] for each in page["Schedules"]] for page in pages] == [
        ["s0", "s1"],
        ["s2"],
    ]
    (disabled,) = scheduler.list_schedules(GroupName=name, State="DISABLED")["Schedules"]
    assert disabled["Name"] == "s1" and disabled["Target"] == {"Arn": queue}
    code = refusal(scheduler.list_schedules, GroupName=f"{name}-none")
    assert code == "ResourceNotFoundException"
    scheduler.delete_schedule_group(Name=name)
    assert refusal(scheduler.get_schedule, GroupName=name, Name="s0") == code


def test_the_same_token_creates_once(server: Server, name: str, role: str) -> None:
    _, queue = make_queue(server, name)
    target, later = {"Arn": queue, "RoleArn": role}, {"ScheduleExpression": soon(3600)}
    made = create(server, name, target, ClientToken="t", **later)
    assert create(server, name, target, ClientToken="t", **later) == made
    with pytest.raises(ClientError) as conflict:
        create(server, name, target, ClientToken="other", **later)
    assert conflict.value.response["Error"]["Code"] == "ConflictException"
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}
    server.client("scheduler").update_schedule(
        Name=name, Target=target, FlexibleTimeWindow=window, State="DISABLED", **later
    )
    found = server.client("scheduler").get_schedule(Name=name)
    assert (found["FlexibleTimeWindow"], found["State"]) == (window, "DISABLED")


@pytest.mark.parametrize(
    "wrong",
    [
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
        {"ScheduleExpression": "cron(0 3 * * *)"},
        {"ScheduleExpressionTimezone": "Mars/Olympus"},
        {
            "StartDate": datetime(2030, 1, 2, tzinfo=UTC),
            "EndDate": datetime(2030, 1, 1, tzinfo=UTC),
        },
    ],
)
def test_what_is_wrong_is_refused(
    server: Server, name: str, role: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as refused:
        create(server, name, {"Arn": arn("sqs", "x"), "RoleArn": role}, **wrong)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
