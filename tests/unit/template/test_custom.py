"""Lambda-backed custom resources, step by step as CloudFormation does them."""

import json
from typing import Any

import pytest

from cloudlet.call import Params
from cloudlet.errors import AwsError
from cloudlet.template.problems import TemplateError
from tests.unit.template.fakes import FakeCloud

TEMPLATE = """
Resources:
  Seed:
    Type: Custom::Seed
    Properties:
      ServiceToken: arn:aws:lambda:us-east-1:000000000000:function:seed
      ServiceTimeout: 1
      Count: %s
      Deep: {Flag: true, List: [1, two]}
Outputs: {Answer: {Value: !GetAtt Seed.Answer}, Id: {Value: !Ref Seed}}
"""


class Function:
    """Answers each event as a function with cfn-response would; keeps the events."""

    def __init__(self, fake: FakeCloud) -> None:
        self.fake = fake
        self.events: list[dict[str, Any]] = []
        self.answer: dict[str, Any] | None = {"Status": "SUCCESS", "PhysicalResourceId": "one"}
        fake.answers["Invoke"] = self.invoke

    def invoke(self, params: Params) -> Params:
        assert params["InvocationType"] == "Event"
        event = json.loads(params["Payload"])
        self.events.append(event)
        if self.answer is not None:
            path = event["ResponseURL"].split("?")[0]
            key = path.split("/", 4)[4]
            document = {"Data": {"Answer": len(self.events)}, **self.answer}
            self.fake.objects[key] = json.dumps(document).encode()
        return {"StatusCode": 202}


@pytest.fixture
def function(fake: FakeCloud) -> Function:
    return Function(fake)


def test_create_update_delete(fake: FakeCloud, function: Function) -> None:
    deployment = fake.deploy(TEMPLATE % 1)
    (event,) = function.events
    assert event["RequestType"] == "Create" and "PhysicalResourceId" not in event
    assert event["LogicalResourceId"] == "Seed" and event["ResourceType"] == "Custom::Seed"
    assert event["StackId"].startswith("arn:aws:cloudformation:us-east-1:000000000000:stack/app/")
    assert event["ResourceProperties"] == {
        "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:seed",
        "Count": "1",
        "Deep": {"Flag": "true", "List": ["1", "two"]},
    }
    assert "/cloudformation-custom-resource-response-us-east-1/" in event["ResponseURL"]
    assert deployment.outputs == {"Answer": "1", "Id": "one"}
    assert "DeleteObject" in fake.operations(), "the answer is not kept"

    fake.deploy(TEMPLATE % 2)
    update = function.events[1]
    assert update["RequestType"] == "Update" and update["PhysicalResourceId"] == "one"
    assert update["OldResourceProperties"]["Count"] == "1"
    assert update["RequestId"] != event["RequestId"]

    assert fake.delete() == []
    assert function.events[2]["RequestType"] == "Delete"
    assert function.events[2]["PhysicalResourceId"] == "one"


def test_another_physical_id_replaces_the_resource(fake: FakeCloud, function: Function) -> None:
    fake.deploy(TEMPLATE % 1)
    function.answer = {"Status": "SUCCESS", "PhysicalResourceId": "two"}
    assert fake.deploy(TEMPLATE % 2).outputs["Id"] == "two"
    last = function.events[-1]
    assert (last["RequestType"], last["PhysicalResourceId"]) == ("Delete", "one")
    assert last["ResourceProperties"]["Count"] == "1"
    assert fake.rows() == [("Seed", "ready")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"Status": "FAILED", "Reason": "no luck"}, "Message returned: no luck"),
        ({"Status": "PERHAPS"}, "Status must be SUCCESS or FAILED"),
        ({"Status": "SUCCESS"}, "Invalid PhysicalResourceId"),
        (None, "did not receive a response from your Custom Resource"),
        ({"Status": "SUCCESS", "Reason": "x" * 5000}, "Response is too long"),
    ],
)
def test_failures(
    fake: FakeCloud, function: Function, answer: dict[str, Any] | None, message: str
) -> None:
    function.answer = answer
    with pytest.raises(TemplateError) as caught:
        fake.deploy(TEMPLATE % 1)
    assert message in caught.value.message and "Seed (Custom::Seed)" in caught.value.message
    assert fake.rows() == []


def test_the_bucket_for_answers_is_made_when_needed(fake: FakeCloud, function: Function) -> None:
    def head(params: Params) -> Params:
        raise AwsError("NotFound", "Not Found", 404)

    fake.answers["HeadBucket"] = head
    fake.deploy(TEMPLATE % 1)
    (created,) = fake.params("CreateBucket")
    assert created["Bucket"] == "cloudformation-custom-resource-response-us-east-1"
