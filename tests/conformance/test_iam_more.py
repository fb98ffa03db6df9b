"""IAM and STS through boto3: groups, the simulator, sessions of every kind, templates of IAM."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.building import ACCOUNT, allow, policy
from tests.conformance.test_iam import client_of, make_user, refusal
from tests.server import Server

TEMPLATE = Path(__file__).with_name("iam.yaml").read_text()


@pytest.fixture
def name(names: Iterator[str]) -> str:
    return next(names)


def deploy(server: Server, name: str, verb: str, **parameters: str) -> dict[str, str]:
    """Creates or updates the stack; its outputs."""
    cloudformation = server.client("cloudformation")
    given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
    getattr(cloudformation, f"{verb}_stack")(
        StackName=name,
        TemplateBody=TEMPLATE.replace("STACK", name),
        Parameters=given,
        Capabilities=["CAPABILITY_IAM"],
    )
    settings = {"Delay": 0.2, "MaxAttempts": 450}
    cloudformation.get_waiter(f"stack_{verb}_complete").wait(StackName=name, WaiterConfig=settings)
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def test_a_template_of_all_iam_types(server: Server, name: str) -> None:
    iam = server.client("iam")
    out = deploy(server, name, "create")
    assert out["UserArn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/{out['User']}"
    key = {"AccessKeyId": out["KeyId"], "SecretAccessKey": out["Secret"]}
    identity = client_of(server, key, "sts").get_caller_identity()
    assert identity["Arn"] == out["UserArn"]
    assert client_of(server, key, "sqs").list_queues()
    assert len(iam.get_group(GroupName=out["Group"])["Users"]) == 2
    inline = iam.list_user_policies(UserName=out["User"])["PolicyNames"]
    assert inline == ["inline", "p"]
    assert iam.list_role_policies(RoleName=out["Role"])["PolicyNames"] == ["p"]
    entities = iam.list_entities_for_policy(PolicyArn=out["Shared"])
    assert [role["RoleName"] for role in entities["PolicyRoles"]] == [out["Role"]]
    assert [group["GroupName"] for group in entities["PolicyGroups"]] == [out["Group"]]
    profiles = iam.list_instance_profiles_for_role(RoleName=out["Role"])["InstanceProfiles"]
    assert [each["Arn"] for each in profiles] == [out["Profile"]]
    assert iam.get_role(RoleName=out["Linked"])["Role"]["Path"].startswith("/aws-service-role/")

    deploy(server, name, "update", Action="sns:*", Owner="Second")
    users = iam.get_group(GroupName=out["Group"])["Users"]
    assert out["User"] not in [user["UserName"] for user in users]
    shown = iam.get_policy(PolicyArn=out["Shared"])["Policy"]
    version = iam.get_policy_version(PolicyArn=out["Shared"], VersionId=shown["DefaultVersionId"])[
        "PolicyVersion"
    ]
    assert version["Document"]["Statement"]["Action"] == "sns:*"

    server.client("cloudformation").delete_stack(StackName=name)
    waiter = server.client("cloudformation").get_waiter("stack_delete_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 450})
    for call, params in (
        (iam.get_user, {"UserName": out["User"]}),
        (iam.get_group, {"GroupName": out["Group"]}),
        (iam.get_role, {"RoleName": out["Linked"]}),
        (iam.get_policy, {"PolicyArn": out["Shared"]}),
    ):
        assert refusal(call, **params)["Code"] == "NoSuchEntity"


def test_groups_open_what_they_open(server: Server, name: str) -> None:
    iam, key = server.client("iam"), make_user(server, name, allow("iam:GetUser"))
    sqs = client_of(server, key, "sqs")
    iam.create_group(GroupName=name)
    document = policy(allow("sqs:ListQueues"))
    iam.put_group_policy(GroupName=name, PolicyName="p", PolicyDocument=document)
    assert "AccessDenied" in refusal(sqs.list_queues)["Code"]
    iam.add_user_to_group(GroupName=name, UserName=name)
    assert "ResponseMetadata" in sqs.list_queues()
    iam.remove_user_from_group(GroupName=name, UserName=name)
    assert "AccessDenied" in refusal(sqs.list_queues)["Code"]


def test_the_simulator_says_what_calls_meet(server: Server, bucket: str, name: str) -> None:
    iam, objects = server.client("iam"), f"arn:aws:s3:::{bucket}/*"
    key = make_user(server, name, allow("s3:GetObject", objects))
    s3 = client_of(server, key, "s3")
    server.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    results = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/{name}",
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=[f"arn:aws:s3:::{bucket}/k"],
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in results] == ["allowed", "implicitDeny"]
    statement = results[0]["MatchedStatements"][0]
    assert statement["SourcePolicyId"] == f"user_{name}_own"
    assert statement["StartPosition"]["Line"] == 1
    assert s3.get_object(Bucket=bucket, Key="k")
    assert refusal(s3.put_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"


def test_a_federated_user_and_the_key_behind(server: Server, bucket: str, name: str) -> None:
    objects = f"arn:aws:s3:::{bucket}/*"
    key = make_user(server, name, allow("sts:GetFederationToken"), allow("s3:*", objects))
    narrow = policy(allow("s3:PutObject", objects))
    made = client_of(server, key, "sts").get_federation_token(Name="guest", Policy=narrow)
    s3 = client_of(server, made["Credentials"], "s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    error = refusal(s3.get_object, Bucket=bucket, Key="k")
    assert "no session policy allows the s3:GetObject action" in error["Message"]
    used = server.client("iam").get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert used["UserName"] == name and used["AccessKeyLastUsed"]["ServiceName"] == "sts"


def test_tags_and_a_source_identity_over_the_wire(server: Server, name: str) -> None:
    iam, actions = (
        server.client("iam"),
        ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
    )
    key = make_user(server, name, allow(actions))
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": actions}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    same = {
        "StringEquals": {"aws:PrincipalTag/team": "a", "aws:SourceIdentity": name},
        "Bool": {"aws:MultiFactorAuthPresent": "false"},
    }
    document = policy({**allow("sqs:ListQueues"), "Condition": same})
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    sts = client_of(server, key, "sts")

    def session(**more: Any) -> Any:
        made = sts.assume_role(RoleArn=role, RoleSessionName="session", **more)
        return client_of(server, made["Credentials"], "sqs")

    tags = [{"Key": "team", "Value": "a"}]
    known = session(Tags=tags, TransitiveTagKeys=["team"], SourceIdentity=name)
    assert "ResponseMetadata" in known.list_queues()
    assert "AccessDenied" in refusal(session(Tags=tags).list_queues)["Code"]
    error = refusal(sts.decode_authorization_message, EncodedMessage="x")
    assert error["Code"] == "AccessDenied"
    root = server.client("sts")
    error = refusal(root.decode_authorization_message, EncodedMessage="x")
    assert error["Code"] == "InvalidAuthorizationMessageException"


def test_the_account_in_one_answer(server: Server, name: str) -> None:
    iam = server.client("iam")
    make_user(server, name, allow("s3:*"))
    pages = iam.get_paginator("get_account_authorization_details").paginate(
        Filter=["User"], PaginationConfig={"PageSize": 2}
    )
    users = {user["UserName"]: user for page in pages for user in page["UserDetailList"]}
    document = users[name]["UserPolicyList"][0]["PolicyDocument"]
    assert document["Statement"][0]["Action"] == "s3:*"
    assert iam.get_account_summary()["SummaryMap"]["Users"] == len(users)
    given = policy(allow("s3:*", "arn:aws:s3:::${aws:userid}"))
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=[given])["ContextKeyNames"]
    assert keys == ["aws:userid"]


def test_called_via_cloudformation(server: Server, name: str) -> None:
    """Some things a user may do through a service alone."""
    through = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["cloudformation.amazonaws.com"]}}
    queue = {**allow("sqs:*"), "Condition": {**through, "Bool": {"aws:ViaAWSService": "true"}}}
    key = make_user(server, name, allow("cloudformation:*"), queue)
    error = refusal(client_of(server, key, "sqs").create_queue, QueueName=name)
    assert "AccessDenied" in error["Code"]
    cloudformation = client_of(server, key, "cloudformation")
    body = {"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}}}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(body))
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 450})
    assert server.client("sqs").get_queue_url(QueueName=name)
