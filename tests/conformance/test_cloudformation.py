"""CloudFormation's API through boto3: stacks, change sets, failures, exports, nested stacks."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.building import eventually
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
        waiter.wait(StackName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 1800})
        return self.describe(name)

    def until(self, name: str, status: str) -> dict[str, Any]:
        """For states that botocore has no waiter for."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            found = self.describe(name)
            if not found["StackStatus"].endswith("_IN_PROGRESS"):
                break
            time.sleep(0.05)
        assert found["StackStatus"] == status
        return found

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


def changes(described: dict[str, Any]) -> list[tuple[Any, ...]]:
    found = [each["ResourceChange"] for each in described["Changes"]]
    return [(each["Action"], each["LogicalResourceId"], each.get("Replacement")) for each in found]


def test_change_sets(cf: Stacks, name: str) -> None:
    client = cf.client
    both = {"StackName": name, "ChangeSetName": "first"}
    body = template({"Queue": QUEUE})
    made = client.create_change_set(**both, TemplateBody=body, ChangeSetType="CREATE")
    assert cf.describe(name)["StackStatus"] == "REVIEW_IN_PROGRESS"
    described = client.describe_change_set(ChangeSetName=made["Id"])
    assert (described["Status"], described["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert changes(described) == [("Add", "Queue", None)]
    (listed,) = client.list_change_sets(StackName=name)["Summaries"]
    assert listed["ChangeSetId"] == made["Id"]
    client.execute_change_set(**both)
    assert cf.wait(name)["ChangeSetId"] == made["Id"]
    assert client.get_template(StackName=name)["TemplateBody"] == json.loads(body)

    same = {"StackName": name, "ChangeSetName": "same"}
    client.create_change_set(**same, TemplateBody=body)
    described = client.describe_change_set(**same)
    assert described["Status"] == "FAILED"
    assert described["StatusReason"].startswith("The submitted information didn't contain changes.")
    assert refused(client.execute_change_set, **same)[0] == "InvalidChangeSetStatus"
    client.delete_change_set(**same)
    assert refused(client.describe_change_set, **same)[0] == "ChangeSetNotFound"

    named = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-named"}}
    other = {"StackName": name, "ChangeSetName": "other"}
    seconds = [{"ParameterKey": "Seconds", "ParameterValue": "30"}]
    body = template({"Queue": QUEUE, "Named": named})
    client.create_change_set(**other, TemplateBody=body, Parameters=seconds)
    assert changes(client.describe_change_set(**other)) == [
        ("Modify", "Queue", "False"),
        ("Add", "Named", None),
    ]
    client.execute_change_set(**other)
    cf.wait(name, "stack_update_complete")
    named["Properties"] = {"QueueName": f"{name}-other"}
    body = template({"Named": named})
    client.create_change_set(StackName=name, ChangeSetName="third", TemplateBody=body)
    assert changes(client.describe_change_set(StackName=name, ChangeSetName="third")) == [
        ("Modify", "Named", "True"),
        ("Remove", "Queue", None),
    ]
    assert refused(client.create_change_set, **both, TemplateBody=body, ChangeSetType="CREATE")[
        1
    ].startswith(f"Stack [{name}] already exists and cannot be created again")


ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": []}}}


def test_capabilities_are_asked_for(cf: Stacks, name: str) -> None:
    assert refused(cf.client.create_stack, StackName=name, TemplateBody=template({"R": ROLE})) == (
        "InsufficientCapabilitiesException",
        "Requires capabilities : [CAPABILITY_IAM]",
    )
    named = {**ROLE, "Properties": {**ROLE["Properties"], "RoleName": "r"}}
    body = template({"R": named})
    given = {"StackName": name, "Capabilities": ["CAPABILITY_IAM"]}
    assert refused(cf.client.create_stack, **given, TemplateBody=body)[1].endswith(
        "[CAPABILITY_NAMED_IAM]"
    )
    body = template(
        {"Q": {"Type": "AWS::Serverless::SimpleTable"}}, Transform="AWS::Serverless-2016-10-31"
    )
    assert refused(cf.client.create_stack, **given, TemplateBody=body) == (
        "InsufficientCapabilitiesException",
        "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
    )
    validated = cf.client.validate_template(TemplateBody=template({"R": ROLE}))
    assert validated["Capabilities"] == ["CAPABILITY_IAM"]
    assert validated["Parameters"][0]["DefaultValue"] == "10"
    summary = cf.client.get_template_summary(TemplateBody=template({"R": ROLE}))
    assert summary["ResourceTypes"] == ["AWS::IAM::Role"]
    assert summary["Parameters"][0]["ParameterType"] == "Number"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            template({"A": {"Type": "AWS::EC2::Instance"}, "B": {"Type": "AWS::No::Thing"}}),
            "error: Unrecognized resource types: [AWS::EC2::Instance, AWS::No::Thing]",
        ),
        ("{", "Template format error: "),
        (template({}), "Template format error: At least one Resources member must be defined."),
        (
            template({"A": {"Type": "AWS::SQS::Queue", "DependsOn": "A"}}),
            "Circular dependency between resources: [A]",
        ),
        (
            template({"A": QUEUE}, Parameters={"Seconds": {"Type": "Number"}}),
            "Parameters: [Seconds] must have values",
        ),
        (
            template({"A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "X"}}}}),
            "Template format error: Unresolved resource dependencies [X] in the Resources block",
        ),
        (
            template({"A": QUEUE}, Outputs={"O": {"Value": {"Fn::GetAtt": ["B", "Arn"]}}}),
            "Template format error: Unresolved resource dependencies [B] in the Outputs block",
        ),
    ],
)
def test_bad_templates_are_refused_before_there_is_a_stack(
    cf: Stacks, name: str, body: str, message: str
) -> None:
    code, text = refused(cf.client.create_stack, StackName=name, TemplateBody=body)
    assert code == "ValidationError" and message in text
    assert refused(cf.client.describe_stacks, StackName=name)[0] == "ValidationError"


BAD = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "not a name"}}


def test_a_failed_creation_is_rolled_back_kept_or_deleted(cf: Stacks, name: str) -> None:
    body = template({"Queue": QUEUE, "Bad": {**BAD, "DependsOn": "Queue"}})
    cf.client.create_stack(StackName=name, TemplateBody=body)
    status = cf.until(name, "ROLLBACK_COMPLETE")
    assert ("Bad", "CREATE_FAILED") in cf.events(name)
    assert ("Queue", "DELETE_COMPLETE") in cf.events(name)
    assert cf.client.describe_stack_resources(StackName=name)["StackResources"] == []
    text = f"Stack:{status['StackId']} is in ROLLBACK_COMPLETE state and can not be updated."
    assert refused(cf.client.update_stack, StackName=name, TemplateBody=body)[1] == text

    kept = f"{name}-kept"
    cf.client.create_stack(StackName=kept, TemplateBody=body, OnFailure="DO_NOTHING")
    found = cf.until(kept, "CREATE_FAILED")
    assert found["StackStatusReason"].startswith(
        "The following resource(s) failed to create: [Bad]"
    )
    rows = cf.client.list_stack_resources(StackName=kept)["StackResourceSummaries"]
    statuses = {each["LogicalResourceId"]: each["ResourceStatus"] for each in rows}
    assert statuses == {"Queue": "CREATE_COMPLETE", "Bad": "CREATE_FAILED"}
    cf.client.update_stack(StackName=kept, TemplateBody=template({"Queue": QUEUE}))
    cf.wait(kept, "stack_update_complete")

    gone = f"{name}-gone"
    made = cf.client.create_stack(StackName=gone, TemplateBody=body, OnFailure="DELETE")
    cf.wait(made["StackId"], "stack_delete_complete")


def test_a_failed_update_restores_what_was(cf: Stacks, name: str) -> None:
    outputs = {"Url": {"Value": {"Ref": "Queue"}}}
    made = cf.create(name, template({"Queue": QUEUE}, Outputs=outputs))
    url = made["Outputs"][0]["OutputValue"]
    seconds = [{"ParameterKey": "Seconds", "ParameterValue": "20"}]
    body = template({"Queue": QUEUE, "New": QUEUE, "Bad": {**BAD, "DependsOn": ["Queue", "New"]}})
    cf.client.update_stack(StackName=name, TemplateBody=body, Parameters=seconds)
    found = cf.wait(name, "stack_rollback_complete")
    assert found["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert found["Parameters"][0]["ParameterValue"] == "10"
    assert found["Outputs"] == made["Outputs"]
    sqs = cf.server.client("sqs")
    names = ["VisibilityTimeout"]
    (value,) = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    assert value == "10"
    assert len(sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]) == 1
    assert json.dumps(cf.client.get_template(StackName=name)["TemplateBody"]).count("Bad") == 0
    cf.client.update_stack(
        StackName=name, TemplateBody=body, Parameters=seconds, DisableRollback=True
    )
    cf.until(name, "UPDATE_FAILED")
    cf.client.rollback_stack(StackName=name)
    cf.wait(name, "stack_rollback_complete")
    assert len(sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]) == 1


def test_deletion_policies_and_what_cannot_be_deleted(cf: Stacks, name: str) -> None:
    s3 = cf.server.client("s3")
    kept = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "RetainExceptOnCreate"}
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"{name}-full"}}
    made = cf.create(name, template({"Kept": kept, "Bucket": bucket}))
    s3.put_object(Bucket=f"{name}-full", Key="a", Body=b"a")
    cf.client.update_termination_protection(StackName=name, EnableTerminationProtection=True)
    message = f"Stack [{name}] cannot be deleted while TerminationProtection is enabled"
    assert refused(cf.client.delete_stack, StackName=name) == ("ValidationError", message)
    cf.client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    cf.client.delete_stack(StackName=name)
    found = cf.until(name, "DELETE_FAILED")
    assert "failed to delete: [Bucket]" in found["StackStatusReason"]
    cf.client.delete_stack(StackName=name, RetainResources=["Bucket"])
    cf.wait(made["StackId"], "stack_delete_complete")
    assert s3.get_object(Bucket=f"{name}-full", Key="a")["Body"].read() == b"a"
    assert len(cf.server.client("sqs").list_queues(QueueNamePrefix=name)["QueueUrls"]) == 1
    rows = cf.client.describe_stack_resources(StackName=made["StackId"])["StackResources"]
    assert {each["ResourceStatus"] for each in rows} == {"DELETE_SKIPPED"}

    failing = f"{name}-failing"
    body = template({"Kept": kept, "Bad": {**BAD, "DependsOn": "Kept"}})
    cf.client.create_stack(StackName=failing, TemplateBody=body)
    cf.until(failing, "ROLLBACK_COMPLETE")
    assert ("Kept", "DELETE_COMPLETE") in cf.events(failing)


def test_exports_are_held_by_their_imports(cf: Stacks, name: str) -> None:
    export = {"Value": {"Ref": "Seconds"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-s"}}}
    source = template({"Queue": QUEUE}, Outputs={"S": export})
    cf.create(name, source)
    timeout = {"VisibilityTimeout": {"Fn::ImportValue": f"{name}-s"}}
    user = template({"Queue": {"Type": "AWS::SQS::Queue", "Properties": timeout}})
    made = cf.create(f"{name}-user", user)
    exports = {each["Name"]: each["Value"] for each in cf.client.list_exports()["Exports"]}
    assert exports[f"{name}-s"] == "10"
    assert cf.client.list_imports(ExportName=f"{name}-s")["Imports"] == [f"{name}-user"]
    assert refused(cf.client.delete_stack, StackName=name) == (
        "ValidationError",
        f"Export {name}-s cannot be deleted as it is in use by {name}-user",
    )
    seconds = [{"ParameterKey": "Seconds", "ParameterValue": "11"}]
    cf.client.update_stack(StackName=name, UsePreviousTemplate=True, Parameters=seconds)
    found = cf.wait(name, "stack_rollback_complete")
    reasons = cf.client.describe_stack_events(StackName=name)["StackEvents"]
    text = f"Export {name}-s cannot be updated as it is in use by {name}-user"
    assert any(text in each.get("ResourceStatusReason", "") for each in reasons), found
    cf.client.delete_stack(StackName=f"{name}-user")
    cf.wait(made["StackId"], "stack_delete_complete")
    cf.client.update_stack(StackName=name, UsePreviousTemplate=True, Parameters=seconds)
    cf.wait(name, "stack_update_complete")
    _, text = refused(
        cf.client.create_stack,
        StackName=f"{name}-late",
        TemplateBody=template(
            {
                "Queue": {
                    "Type": "AWS::SQS::Queue",
                    "Properties": {"QueueName": {"Fn::ImportValue": "none"}},
                }
            }
        ),
    )
    assert "No export named none found" in text


def test_nested_stacks(cf: Stacks, name: str, bucket: str) -> None:
    s3 = cf.server.client("s3")
    inner = template({"Queue": QUEUE}, Outputs={"Seconds": {"Value": {"Ref": "Seconds"}}})
    s3.put_object(Bucket=bucket, Key="inner.json", Body=inner.encode())
    nested = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {
            "TemplateURL": f"{cf.server.endpoint}/{bucket}/inner.json",
            "Parameters": {"Seconds": {"Ref": "Seconds"}},
        },
    }
    outputs = {"Inner": {"Value": {"Fn::GetAtt": ["Nested", "Outputs.Seconds"]}}}
    body = template({"Nested": nested}, Outputs=outputs)
    s3.put_object(Bucket=bucket, Key="outer.json", Body=body.encode())
    url = f"https://{bucket}.s3.us-east-1.amazonaws.com/outer.json"
    cf.client.create_stack(StackName=name, TemplateURL=url)
    made = cf.wait(name)
    assert made["Outputs"][0]["OutputValue"] == "10"
    (child,) = cf.client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    found = cf.describe(child["PhysicalResourceId"])
    assert (found["ParentId"], found["RootId"]) == (made["StackId"], made["StackId"])
    seconds = [{"ParameterKey": "Seconds", "ParameterValue": "12"}]
    cf.client.update_stack(StackName=name, UsePreviousTemplate=True, Parameters=seconds)
    assert cf.wait(name, "stack_update_complete")["Outputs"][0]["OutputValue"] == "12"
    seconds[0]["ParameterValue"] = "-1"  # the inner stack fails, and both go back
    cf.client.update_stack(StackName=name, UsePreviousTemplate=True, Parameters=seconds)
    found = cf.until(name, "UPDATE_ROLLBACK_COMPLETE")
    assert found["Outputs"][0]["OutputValue"] == "12"
    reasons = cf.client.describe_stack_events(StackName=name)["StackEvents"]
    text = "was not successfully updated: Queue: "
    assert any(text in each.get("ResourceStatusReason", "") for each in reasons)
    cf.client.delete_stack(StackName=name)
    cf.wait(made["StackId"], "stack_delete_complete")
    assert cf.describe(child["PhysicalResourceId"])["StackStatus"] == "DELETE_COMPLETE"


def test_parameters_of_the_store_secrets_rules_and_loops(cf: Stacks, name: str) -> None:
    ssm = cf.server.client("ssm")
    ssm.put_parameter(Name=f"/{name}/seconds", Type="String", Value="33")
    parameters = {
        "Seconds": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": f"/{name}/seconds"},
        "Secret": {"Type": "String", "NoEcho": True},
        "Names": {"Type": "CommaDelimitedList", "Default": "One,Two"},
    }
    loop = [
        "Name",
        {"Ref": "Names"},
        {
            "Queue${Name}": {
                **QUEUE,
                "Properties": {
                    "VisibilityTimeout": {"Ref": "Seconds"},
                    "MessageRetentionPeriod": f"{{{{resolve:ssm:/{name}/kept}}}}",
                    "QueueName": {"Fn::Sub": f"{name}-${{Name}}-x"},
                },
            }
        },
    ]
    rules = {
        "Short": {
            "Assertions": [
                {
                    "Assert": {"Fn::Not": [{"Fn::Contains": [["forbidden"], {"Ref": "Secret"}]}]},
                    "AssertDescription": "choose another",
                }
            ]
        }
    }
    body = template(
        {"Fn::ForEach::Queues": loop}, Parameters=parameters, Rules=rules,
        Transform="AWS::LanguageExtensions",
        Outputs={"Count": {"Value": {"Fn::Length": {"Ref": "Names"}}}},
    )  # fmt: skip
    given = {"StackName": name, "TemplateBody": body, "Capabilities": ["CAPABILITY_AUTO_EXPAND"]}
    secret = [{"ParameterKey": "Secret", "ParameterValue": "forbidden"}]
    assert "choose another" in refused(cf.client.create_stack, **given, Parameters=secret)[1]
    secret[0]["ParameterValue"] = "s3cret"
    _, text = refused(cf.client.create_stack, **given, Parameters=secret)
    assert f"[/{name}/kept] from parameter store" in text
    ssm.put_parameter(Name=f"/{name}/kept", Type="String", Value="120")
    cf.client.create_stack(**given, Parameters=secret)
    made = cf.wait(name)
    shown = {each["ParameterKey"]: each for each in made["Parameters"]}
    assert shown["Secret"]["ParameterValue"] == "****"
    assert shown["Seconds"]["ResolvedValue"] == "33"
    assert made["Outputs"][0]["OutputValue"] == "2"
    sqs = cf.server.client("sqs")
    urls = sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]
    assert sorted(url.rpartition("/")[2] for url in urls) == [f"{name}-One-x", f"{name}-Two-x"]
    found = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found["MessageRetentionPeriod"]) == ("33", "120")
    processed = cf.client.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    assert sorted(processed["Resources"]) == ["QueueOne", "QueueTwo"]


def test_included_templates(cf: Stacks, name: str, bucket: str) -> None:
    part = json.dumps({"Queue": QUEUE})
    cf.server.client("s3").put_object(Bucket=bucket, Key="part.json", Body=part.encode())
    include = {"Name": "AWS::Include", "Parameters": {"Location": f"s3://{bucket}/part.json"}}
    cf.create(name, template({"Fn::Transform": include}))
    rows = cf.client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    assert [each["LogicalResourceId"] for each in rows] == ["Queue"]


def test_a_stack_is_made_in_the_name_of_its_deployer_or_its_role(cf: Stacks, name: str) -> None:
    iam = cf.server.client("iam")
    iam.create_user(UserName=name)
    allowed = {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"}
    iam.put_user_policy(
        UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [allowed]})
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    client = cf.server.client("cloudformation", **own)
    body = template({"Queue": QUEUE})
    client.create_stack(StackName=name, TemplateBody=body)
    cf.until(name, "ROLLBACK_COMPLETE")
    reasons = cf.client.describe_stack_events(StackName=name)["StackEvents"]
    assert any(
        "sqs:createqueue" in each.get("ResourceStatusReason", "").lower() for each in reasons
    ), reasons
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudformation.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
    )
    arn = role["Role"]["Arn"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(
        RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [everything]})
    )
    given = {"StackName": f"{name}-role", "TemplateBody": body, "RoleARN": arn}
    assert "iam:PassRole" in refused(client.create_stack, **given)[1]
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn}
    document = json.dumps({"Statement": [allowed, passing]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    made = client.create_stack(**given)
    assert cf.wait(f"{name}-role")["RoleARN"] == arn
    client.delete_stack(StackName=f"{name}-role")
    cf.wait(made["StackId"], "stack_delete_complete")


def test_what_is_not_there_is_said(cf: Stacks, name: str) -> None:
    body = template({"Queue": QUEUE})
    given = {"StackName": name, "TemplateBody": body}
    minutes = {"TimeoutInMinutes": 1}
    assert refused(cf.client.create_stack, **given, **minutes)[0] == "NotImplemented"
    wrong = {"NotificationARNs": ["topic"]}
    assert refused(cf.client.create_stack, **given, **wrong)[0] == "ValidationError"
    assert refused(cf.client.detect_stack_drift, StackName=name)[0] == "NotImplemented"
    assert (
        refused(cf.client.create_stack, StackName="1x", TemplateBody=body)[0] == "ValidationError"
    )
    cf.create(name, body)
    assert refused(cf.client.create_stack, **given)[0] == "AlreadyExistsException"
    assert cf.client.get_stack_policy(StackName=name).get("StackPolicyBody") is None


SOURCE = """
import cfnresponse

def handler(event, context):
    wanted = event["ResourceProperties"]["Mode"]
    is_update = event["RequestType"] == "Update"
    if is_update and wanted == "silent":
        return
    status = cfnresponse.FAILED if is_update and wanted == "never" else cfnresponse.SUCCESS
    cfnresponse.send(event, context, status, {"Mode": wanted}, "custom")
"""


def custom(mode: str, *, is_bad: bool = False) -> str:
    """A custom resource that never says it became silent, and won't become what it never was."""
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ]
            }
        },
    }
    function = {
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"ZipFile": SOURCE},
        "Timeout": 60,
    }
    properties = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Mode": mode}
    resources: dict[str, Any] = {
        "Role": role,
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        "Custom": {"Type": "Custom::Mode", "Properties": properties},
        "Last": {"Type": "AWS::SQS::Queue", "DependsOn": "Custom"},
    }
    if is_bad:
        resources["Bad"] = {**BAD, "DependsOn": "Last"}
    return template(resources, Outputs={"Mode": {"Value": {"Fn::GetAtt": ["Custom", "Mode"]}}})


def test_an_update_is_cancelled_and_a_rollback_continued(cf: Stacks, name: str) -> None:
    given = {"StackName": name, "Capabilities": ["CAPABILITY_IAM"]}
    cf.client.create_stack(**given, TemplateBody=custom("never"))
    assert cf.wait(name)["Outputs"][0]["OutputValue"] == "never"
    assert refused(cf.client.cancel_update_stack, StackName=name)[0] == "ValidationError"
    cf.client.update_stack(**given, TemplateBody=custom("silent"))
    assert (
        "UPDATE_IN_PROGRESS state and can not be updated"
        in refused(cf.client.update_stack, **given, TemplateBody=custom("other"))[1]
    )
    eventually(lambda: ("Custom", "UPDATE_IN_PROGRESS") in cf.events(name))
    cf.client.cancel_update_stack(StackName=name)
    found = cf.until(name, "UPDATE_ROLLBACK_FAILED")
    assert "Received response status [FAILED]" in found["StackStatusReason"]
    skipped = ["Custom"]
    cf.client.continue_update_rollback(StackName=name, ResourcesToSkip=skipped)
    cf.until(name, "UPDATE_ROLLBACK_COMPLETE")
    cf.client.update_stack(**given, TemplateBody=custom("quick"))
    assert cf.wait(name, "stack_update_complete")["Outputs"][0]["OutputValue"] == "quick"
    cf.client.update_stack(**given, TemplateBody=custom("other", is_bad=True))
    cf.until(name, "UPDATE_ROLLBACK_COMPLETE")
    assert cf.describe(name)["Outputs"][0]["OutputValue"] == "quick"
    made = cf.describe(name)["StackId"]
    cf.client.delete_stack(StackName=name)
    cf.wait(made, "stack_delete_complete")


def test_a_deletion_does_not_wait_for_what_never_answers(cf: Stacks, name: str) -> None:
    body = custom("silent").replace("cfnresponse.send", "print")
    made = cf.client.create_stack(
        StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"]
    )
    eventually(lambda: ("Custom", "CREATE_IN_PROGRESS") in cf.events(name))
    cf.client.delete_stack(StackName=name)
    cf.wait(made["StackId"], "stack_delete_complete")
    functions = cf.server.client("lambda").get_paginator("list_functions").paginate()
    names = [each["FunctionName"] for page in functions for each in page["Functions"]]
    assert not [each for each in names if each.startswith(f"{name}-Function")]
