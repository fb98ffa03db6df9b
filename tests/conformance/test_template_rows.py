"""Types that are rows of a table, made, changed and deleted by CloudFormation."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": ["lambda.amazonaws.com", "scheduler.amazonaws.com"]},
        "Action": "sts:AssumeRole",
    }
}


def resources(minutes: int, age_s: int | None, tag: str) -> dict[str, Any]:
    function = {
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"ZipFile": "def handler(event, context): pass"},
    }
    schedule = {
        "GroupName": {"Ref": "Group"},
        "ScheduleExpression": f"rate({minutes} minutes)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": {"Fn::GetAtt": ["Function", "Arn"]},
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        },
    }
    invoked = {"FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST"}
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Sid": tag}]}
    found: dict[str, Any] = {
        "Role": ("IAM::Role", {"AssumeRolePolicyDocument": TRUST}),
        "Function": ("Lambda::Function", function),
        "Group": ("Scheduler::ScheduleGroup", {"Tags": [{"Key": "of", "Value": tag}]}),
        "Schedule": ("Scheduler::Schedule", schedule),
        "Invoked": (
            "Lambda::EventInvokeConfig",
            invoked | ({"MaximumEventAgeInSeconds": age_s} if age_s else {}),
        ),
        "Queue": ("SQS::Queue", {}),
        "Policy": (
            "SQS::QueuePolicy",
            {"Queues": [{"Ref": "Queue"}], "PolicyDocument": policy},
        ),
    }
    return {
        name: {"Type": f"AWS::{kind}", "Properties": properties}
        for name, (kind, properties) in found.items()
    }


def told(server: Server, ids: dict[str, str]) -> tuple[Any, ...]:
    """What the services say of the resources."""
    scheduler, functions = server.client("scheduler"), server.client("lambda")
    group = scheduler.get_schedule_group(Name=ids["Group"])["Arn"]
    tags = scheduler.list_tags_for_resource(ResourceArn=group)["Tags"]
    schedule = scheduler.get_schedule(GroupName=ids["Group"], Name=ids["Schedule"])
    config = functions.get_function_event_invoke_config(FunctionName=ids["Function"])
    attributes = server.client("sqs").get_queue_attributes(
        QueueUrl=ids["Queue"], AttributeNames=["Policy"]
    )["Attributes"]
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    own = [tag["Value"] for tag in tags if tag["Key"] == "of"]
    return (
        *(schedule["ScheduleExpression"], config.get("MaximumEventAgeInSeconds"), own),
        statement["Sid"],
    )


def test_rows_are_made_changed_and_deleted(server: Server, names: Iterator[str]) -> None:
    stacks, name = server.client("cloudformation"), next(names)

    def settle(what: str) -> dict[str, str]:
        waiter = stacks.get_waiter(f"stack_{what}_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1800})
        found = stacks.list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    given = {"StackName": name, "Capabilities": ["CAPABILITY_IAM"]}
    body = json.dumps({"Resources": resources(5, 60, "one")})
    made = stacks.create_stack(**given, TemplateBody=body)["StackId"]
    ids = settle("create")
    assert told(server, ids) == ("rate(5 minutes)", 60, ["one"], "one")
    assert ids["Invoked"] == f"{ids['Function']}|$LATEST"
    body = json.dumps({"Resources": resources(7, 120, "two")})
    stacks.update_stack(**given, TemplateBody=body)
    assert settle("update") == ids
    assert told(server, ids) == ("rate(7 minutes)", 120, ["two"], "two")
    stacks.delete_stack(StackName=name)
    name = made
    settle("delete")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        server.client("scheduler").get_schedule_group(Name=ids["Group"])
