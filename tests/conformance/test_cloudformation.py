"""CloudFormation's API through boto3: stacks, change sets, failures, exports, nested stacks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": {"Ref": "Seconds"}}}
PARAMETERS = {"Seconds": {"Type": "Number", "Default": 10}}


def template(resources: dict[str, Any], **sections: Any) -> str:
    return json.dumps({"Parameters": PARAMETERS, "Resources": resources, **sections})


class Stacks:
    """The client with waiting built in."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = server.client("cloudformation")

    def wait(self, name: str, what: str = "stack_create_complete") -> dict[str, Any]:
        waiter = self.client.get_waiter(what)
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
        return self.describe(name)

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_stacks(StackName=name)["Stacks"][0]
        return found

    def create(self, name: str, body: str, **more: Any) -> dict[str, Any]:
        self.client.create_stack(StackName=name, TemplateBody=body, **more)
        return self.wait(name)

    def events(self, name: str) -> list[tuple[str, str]]:
        events = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in reversed(events)]


@pytest.fixture
def cf(server: Server) -> Stacks:
    return Stacks(server)


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


def refused(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_life_of_a_stack(cf: Stacks, name: str) -> None:
    outputs = {"Url": {"Value": {"Ref": "Queue"}, "Description": "where"}}
    made = cf.create(
        name, template({"Queue": QUEUE}, Outputs=outputs), Tags=[{"Key": "a", "Value": "b"}]
    )
    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert made["Parameters"] == [{"ParameterKey": "Seconds", "ParameterValue": "10"}]
    url = made["Outputs"][0]["OutputValue"]
    assert made["Outputs"] == [{"OutputKey": "Url", "OutputValue": url, "Description": "where"}]
    assert cf.events(name) == [
        (name, "CREATE_IN_PROGRESS"),
        ("Queue", "CREATE_IN_PROGRESS"),
        ("Queue", "CREATE_IN_PROGRESS"),
        ("Queue", "CREATE_COMPLETE"),
        (name, "CREATE_COMPLETE"),
    ]
    sqs = cf.server.client("sqs")
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b"}
    same = {"StackName": name, "UsePreviousTemplate": True}
    assert refused(cf.client.update_stack, **same) == (
        "ValidationError",
        "No updates are to be performed.",
    )
    seconds = [{"ParameterKey": "Seconds", "ParameterValue": "20"}]
    cf.client.update_stack(**same, Parameters=seconds)
    assert cf.wait(name, "stack_update_complete")["Parameters"][0]["ParameterValue"] == "20"
    (attribute,) = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])[
        "Attributes"
    ].values()
    assert attribute == "20"
    cf.client.delete_stack(StackName=name)
    gone = cf.wait(made["StackId"], "stack_delete_complete")
    assert gone["StackStatus"] == "DELETE_COMPLETE" and gone["DeletionTime"]
    assert refused(cf.client.describe_stacks, StackName=name) == (
        "ValidationError",
        f"Stack with id {name} does not exist",
    )
