"""Roles, policies, users, sessions, and what their credentials may do."""

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from cloudlet.auth import guard
from cloudlet.call import Call, Caller
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.iam import attachments, credentials, entities, policies, roles, root, sessions, users
from cloudlet.iam.credentials import Credential, Credentials
from cloudlet.iam.schema import SCHEMA
from cloudlet.iam.service import service
from tests.harness import ROOT, Bench

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "000000000000", "Service": "lambda.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    ],
}
READ = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
}
LAMBDA = Caller("service", "lambda.amazonaws.com", "000000000000")
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
ROLE_ARN = "arn:aws:iam::000000000000:role/app/worker"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA)
    bench.state = Credentials(bench.config, bench.database)
    yield bench
    bench.close()


def make_role(cloud: Bench, **more: Any) -> dict[str, Any]:
    given = {"Path": "/app/", "AssumeRolePolicyDocument": json.dumps(TRUST), **more}
    role: dict[str, Any] = cloud.call(roles.create_role, RoleName="worker", **given)["Role"]
    return role


def assume(cloud: Bench, caller: Caller = LAMBDA, **more: Any) -> dict[str, Any]:
    given = {"RoleArn": ROLE_ARN, "RoleSessionName": "s", **more}
    output: dict[str, Any] = cloud.call(sessions.assume_role, caller=caller, **given)
    return output


def find(cloud: Bench, key: str) -> Credential:
    found = cloud.state.find(key)
    assert found is not None
    return found  # type: ignore[no-any-return]


def refusal(cloud: Bench, operation: Any, caller: Caller = ROOT, **params: Any) -> str:
    with pytest.raises(AwsError) as caught:
        cloud.call(operation, caller=caller, **params)
    return caught.value.code


def test_role_life(cloud: Bench) -> None:
    role = make_role(cloud, Description="d", Tags=[{"Key": "k", "Value": "v"}])
    assert role["Arn"] == ROLE_ARN and role["RoleId"].startswith("AROA")
    assert len(role["RoleId"]) == 21
    assert json.loads(unquote(role["AssumeRolePolicyDocument"])) == TRUST
    assert (
        refusal(
            cloud, roles.create_role, RoleName="WORKER", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        == "EntityAlreadyExists"
    )
    cloud.call(roles.update_role, RoleName="worker", MaxSessionDuration=7200)
    cloud.call(roles.update_role_description, RoleName="worker", Description="e")
    cloud.call(roles.update_assume_role_policy, RoleName="worker", PolicyDocument=json.dumps(TRUST))
    cloud.call(entities.tag_role, RoleName="worker", Tags=[{"Key": "l", "Value": "w"}])
    cloud.call(entities.untag_role, RoleName="worker", TagKeys=["k"])
    tags = [{"Key": "l", "Value": "w"}]
    assert cloud.call(entities.list_role_tags, RoleName="worker")["Tags"] == tags
    shown = cloud.call(roles.get_role, RoleName="worker")["Role"]
    assert (shown["Description"], shown["MaxSessionDuration"], shown["Tags"]) == ("e", 7200, tags)
    assert len(cloud.call(roles.list_roles, PathPrefix="/app/")["Roles"]) == 1
    assert cloud.call(roles.list_roles, PathPrefix="/x/")["Roles"] == []
    cloud.call(roles.delete_role, RoleName="worker")
    assert refusal(cloud, roles.get_role, RoleName="worker") == "NoSuchEntity"


def test_policies_of_a_role(cloud: Bench) -> None:
    make_role(cloud)
    document = json.dumps(READ)
    put = {"RoleName": "worker", "PolicyName": "read", "PolicyDocument": document}
    cloud.call(attachments.put_role_policy, **put)
    got = cloud.call(attachments.get_role_policy, RoleName="worker", PolicyName="read")
    assert json.loads(unquote(got["PolicyDocument"])) == READ
    assert cloud.call(attachments.list_role_policies, RoleName="worker")["PolicyNames"] == ["read"]
    cloud.call(attachments.attach_role_policy, RoleName="worker", PolicyArn=BASIC)
    assert cloud.call(attachments.list_attached_role_policies, RoleName="worker")[
        "AttachedPolicies"
    ] == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}]
    caller = find(cloud, assume(cloud)["Credentials"]["AccessKeyId"]).caller
    assert len(caller.policies) == 2
    assert refusal(cloud, roles.delete_role, RoleName="worker") == "DeleteConflict"
    cloud.call(attachments.detach_role_policy, RoleName="worker", PolicyArn=BASIC)
    assert refusal(cloud, roles.delete_role, RoleName="worker") == "DeleteConflict"
    cloud.call(attachments.delete_role_policy, RoleName="worker", PolicyName="read")
    assert find(cloud, caller.access_key).caller.policies == ()  # at once
    cloud.call(roles.delete_role, RoleName="worker")
    assert cloud.state.find(caller.access_key) is None


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        (attachments.get_role_policy, {"PolicyName": "x"}),
        (attachments.delete_role_policy, {"PolicyName": "x"}),
        (attachments.attach_role_policy, {"PolicyArn": "arn:aws:iam::aws:policy/None"}),
        (attachments.detach_role_policy, {"PolicyArn": BASIC}),
    ],
)
def test_policies_that_are_not_there(cloud: Bench, operation: Any, params: Any) -> None:
    make_role(cloud)
    assert refusal(cloud, operation, RoleName="worker", **params) == "NoSuchEntity"


def statement(**more: Any) -> str:
    document = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", **more}
    kept = {key: value for key, value in document.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": kept})


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        "{}",
        '{"Statement":[]}',
        '{"Statement":["x"]}',
        '{"Version":"2020-01-01","Statement":[]}',
        '{"Odd":1,"Statement":[]}',
        statement(Effect="Maybe"),
        statement(Action=None),
        statement(Action="get"),
        statement(Action=[1]),
        statement(Resource=None),
        statement(Resource="bucket"),
        statement(Principal="*"),
        statement(Odd=1),
        statement(Condition=[]),
        statement(Condition={"StringOdd": {}}),
        statement(Condition={"StringEquals": []}),
    ],
)
def test_malformed_policies(cloud: Bench, document: str) -> None:
    params = {"PolicyName": "p", "PolicyDocument": document}
    assert refusal(cloud, policies.create_policy, **params) == "MalformedPolicyDocument"


@pytest.mark.parametrize(
    "document",
    [
        statement(Principal="*"),
        statement(Resource=None),
        statement(Resource=None, Principal="*"),
    ],
)
def test_malformed_trust(cloud: Bench, document: str) -> None:
    params = {"RoleName": "r", "AssumeRolePolicyDocument": document}
    assert refusal(cloud, roles.create_role, **params) == "MalformedPolicyDocument"


def test_managed_policies_and_versions(cloud: Bench) -> None:
    made = cloud.call(policies.create_policy, PolicyName="p", PolicyDocument=json.dumps(READ))
    arn = made["Policy"]["Arn"]
    assert arn == "arn:aws:iam::000000000000:policy/p"
    version = {"PolicyArn": arn, "PolicyDocument": statement(), "SetAsDefault": True}
    for number in range(2, 6):
        made = cloud.call(policies.create_policy_version, **version)
        assert made["PolicyVersion"]["VersionId"] == f"v{number}"
    assert refusal(cloud, policies.create_policy_version, **version) == "LimitExceeded"
    assert refusal(cloud, policies.delete_policy, PolicyArn=arn) == "DeleteConflict"
    last = {"PolicyArn": arn, "VersionId": "v5"}
    assert refusal(cloud, policies.delete_policy_version, **last) == "DeleteConflict"
    cloud.call(policies.set_default_policy_version, PolicyArn=arn, VersionId="v1")
    for number in range(2, 6):
        cloud.call(policies.delete_policy_version, PolicyArn=arn, VersionId=f"v{number}")
    assert refusal(cloud, policies.get_policy_version, **last) == "NoSuchEntity"
    shown = cloud.call(policies.get_policy_version, PolicyArn=arn, VersionId="v1")
    assert json.loads(unquote(shown["PolicyVersion"]["Document"])) == READ
    assert len(cloud.call(policies.list_policy_versions, PolicyArn=arn)["Versions"]) == 1
    assert cloud.call(policies.get_policy, PolicyArn=arn)["Policy"]["AttachmentCount"] == 0
    listed = cloud.call(policies.list_policies, Scope="Local")["Policies"]
    assert [policy["Arn"] for policy in listed] == [arn]
    cloud.call(policies.delete_policy, PolicyArn=arn)
    assert refusal(cloud, policies.get_policy, PolicyArn=arn) == "NoSuchEntity"


def test_aws_managed_policies(cloud: Bench) -> None:
    policy = cloud.call(policies.get_policy, PolicyArn=BASIC)["Policy"]
    assert (policy["PolicyName"], policy["Path"]) == (
        "AWSLambdaBasicExecutionRole",
        "/service-role/",
    )
    assert cloud.call(policies.list_policy_versions, PolicyArn=BASIC)["Versions"]
    assert cloud.call(policies.get_policy_version, PolicyArn=BASIC, VersionId="v1")
    assert refusal(cloud, policies.delete_policy, PolicyArn=BASIC) == "ValidationError"
    first = cloud.call(policies.list_policies, Scope="AWS", MaxItems=5)
    assert first["IsTruncated"] and len(first["Policies"]) == 5
    rest = cloud.call(policies.list_policies, Scope="AWS", Marker=first["Marker"])["Policies"]
    assert rest[0]["Arn"] > first["Policies"][-1]["Arn"]
    assert cloud.call(policies.list_policies, OnlyAttached=True)["Policies"] == []
    assert refusal(cloud, policies.list_policies, Marker="é") == "ValidationError"


def test_users_and_access_keys(cloud: Bench) -> None:
    user = cloud.call(users.create_user, UserName="ann")["User"]
    assert user["Arn"] == "arn:aws:iam::000000000000:user/ann"
    key = cloud.call(users.create_access_key, UserName="ann")["AccessKey"]
    assert key["AccessKeyId"].startswith("AKIA") and len(key["SecretAccessKey"]) == 40
    found = find(cloud, key["AccessKeyId"])
    assert (found.secret, found.caller.kind) == (key["SecretAccessKey"], "user")
    mine = cloud.call(users.get_user, caller=found.caller)["User"]
    assert mine["UserName"] == "ann"
    cloud.call(users.create_access_key, caller=found.caller)
    assert refusal(cloud, users.create_access_key, UserName="ann") == "LimitExceeded"
    named = {"UserName": "ann", "AccessKeyId": key["AccessKeyId"]}
    cloud.call(users.update_access_key, Status="Inactive", **named)
    assert cloud.state.find(key["AccessKeyId"]) is None
    assert len(cloud.call(users.list_access_keys, UserName="ann")["AccessKeyMetadata"]) == 2
    assert refusal(cloud, users.delete_user, UserName="ann") == "DeleteConflict"
    for shown in cloud.call(users.list_access_keys, UserName="ann")["AccessKeyMetadata"]:
        key_id = shown["AccessKeyId"]
        cloud.call(users.delete_access_key, UserName="ann", AccessKeyId=key_id)
    put = {"UserName": "ann", "PolicyName": "p"}
    cloud.call(attachments.put_user_policy, PolicyDocument=json.dumps(READ), **put)
    assert cloud.call(attachments.list_user_policies, UserName="ann")["PolicyNames"] == ["p"]
    assert cloud.call(attachments.get_user_policy, **put)["UserName"] == "ann"
    cloud.call(attachments.delete_user_policy, **put)
    cloud.call(attachments.attach_user_policy, UserName="ann", PolicyArn=BASIC)
    assert cloud.call(attachments.list_attached_user_policies, UserName="ann")["AttachedPolicies"]
    cloud.call(attachments.detach_user_policy, UserName="ann", PolicyArn=BASIC)
    assert len(cloud.call(users.list_users)["Users"]) == 1
    cloud.call(users.delete_user, UserName="ann")
    assert refusal(cloud, users.get_user, UserName="ann") == "NoSuchEntity"
    assert cloud.call(users.get_user)["User"]["Arn"].endswith(":root")
    assert refusal(cloud, users.list_access_keys) == "ValidationError"


def test_assumed_role(cloud: Bench) -> None:
    role = make_role(cloud, Tags=[{"Key": "team", "Value": "a"}])
    session = statement(Action="s3:GetObject")
    output = assume(cloud, Policy=session, Tags=[{"Key": "job", "Value": "1"}])
    arn = "arn:aws:sts::000000000000:assumed-role/worker/s"
    assert output["AssumedRoleUser"] == {"AssumedRoleId": f"{role['RoleId']}:s", "Arn": arn}
    assert output["PackedPolicySize"] > 0
    found = find(cloud, output["Credentials"]["AccessKeyId"])
    assert found.session_token == output["Credentials"]["SessionToken"]
    assert found.expires_ms == cloud.clock.now_ms + 3_600_000
    assert found.caller.arn == arn
    assert found.caller.context == {
        "aws:PrincipalArn": ROLE_ARN,
        "aws:PrincipalTag/team": "a",
        "aws:PrincipalTag/job": "1",
        "aws:TokenIssueTime": "2026-11-18T11:06:40Z",
        "aws:MultiFactorAuthPresent": "false",
    }
    assert found.caller.limits[0][0] == "session policy"
    identity = cloud.call(sessions.get_caller_identity, caller=found.caller)
    assert identity == {"UserId": f"{role['RoleId']}:s", "Account": "000000000000", "Arn": arn}
    too_long = {"RoleArn": ROLE_ARN, "RoleSessionName": "s", "DurationSeconds": 3601}
    assert refusal(cloud, sessions.assume_role, LAMBDA, **too_long) == "ValidationError"
    cloud.call(roles.update_role, RoleName="worker", MaxSessionDuration=7200)
    assume(cloud, DurationSeconds=3601)
    assert refusal(cloud, sessions.assume_role, found.caller, **too_long) == "ValidationError"
    short = too_long | {"DurationSeconds": 899}
    assert refusal(cloud, sessions.assume_role, LAMBDA, **short) == "ValidationError"
    assert refusal(cloud, sessions.assume_role, **too_long) == "AccessDenied"  # root
    other = too_long | {"RoleArn": "arn:aws:iam::000000000000:role/worker"}  # without its path
    assert refusal(cloud, sessions.assume_role, LAMBDA, **other) == "AccessDenied"
    other = too_long | {"RoleArn": "worker"}
    assert refusal(cloud, sessions.assume_role, LAMBDA, **other) == "AccessDenied"
    with pytest.raises(NotImplementedByCloudlet):
        assume(cloud, SerialNumber="x")
    managed = {"PolicyArns": [{"arn": BASIC}]}
    key = assume(cloud, **managed)["Credentials"]["AccessKeyId"]
    assert len(find(cloud, key).caller.limits[0][1]) == 1
    none = {"PolicyArns": [{"arn": BASIC + "x"}], "RoleArn": ROLE_ARN, "RoleSessionName": "s"}
    assert refusal(cloud, sessions.assume_role, LAMBDA, **none) == "NoSuchEntity"
    long = {"RoleArn": ROLE_ARN, "RoleSessionName": "s", "Policy": " " * 2049}
    assert refusal(cloud, sessions.assume_role, LAMBDA, **long) == "ValidationError"


def test_boundaries(cloud: Bench) -> None:
    arn = cloud.call(policies.create_policy, PolicyName="b", PolicyDocument=json.dumps(READ))[
        "Policy"
    ]["Arn"]
    role = make_role(cloud, PermissionsBoundary=arn)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    caller = find(cloud, assume(cloud)["Credentials"]["AccessKeyId"]).caller
    assert caller.limits == (("permissions boundary", (READ,)),)
    assert refusal(cloud, policies.delete_policy, PolicyArn=arn) == "DeleteConflict"
    cloud.call(entities.delete_role_permissions_boundary, RoleName="worker")
    assert find(cloud, caller.access_key).caller.limits == ()
    put = {"RoleName": "worker", "PermissionsBoundary": arn}
    cloud.call(entities.put_role_permissions_boundary, **put)
    assert find(cloud, caller.access_key).caller.limits


def test_session_tokens_and_their_end(cloud: Bench) -> None:
    key = cloud.call(sessions.get_session_token, DurationSeconds=7200)["Credentials"]
    found = find(cloud, key["AccessKeyId"])
    assert found.caller.kind == "root"
    assert found.expires_ms == cloud.clock.now_ms + 3_600_000  # an hour for root
    assert refusal(cloud, sessions.get_session_token, found.caller) == "AccessDenied"
    cloud.call(users.create_user, UserName="ann")
    made = cloud.call(users.create_access_key, UserName="ann")["AccessKey"]
    ann = find(cloud, made["AccessKeyId"]).caller
    token = cloud.call(sessions.get_session_token, caller=ann)["Credentials"]
    assert find(cloud, token["AccessKeyId"]).caller.arn == ann.arn
    assert refusal(cloud, sessions.get_session_token, ann, DurationSeconds=1) == "ValidationError"
    cloud.clock.advance(3600 + 24 * 3600 + 1)
    assert asyncio.run(cloud.state.collect()) == 1
    assert cloud.state.find(key["AccessKeyId"]) is None
    assert cloud.state.find(token["AccessKeyId"]) is not None


def test_root_key(cloud: Bench, caplog: pytest.LogCaptureFixture) -> None:
    key = cloud.state.root
    path = cloud.config.data / root.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert root.root_key(cloud.config) == key
    assert find(cloud, key.access_key).caller.kind == "root"
    path.chmod(0o644)
    assert root.root_key(cloud.config) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "readable by others" in caplog.text
    assert [file.name for file in path.parent.glob(".root*")] == []
    path.write_text("{}")
    with pytest.raises(root.DamagedRootKey):
        root.root_key(cloud.config)
    assert credentials.open_credential(cloud.config, "any").caller.kind == "root"


def assume_guarded(cloud: Bench, caller: Caller, **params: Any) -> None:
    sts = service(cloud.state)[1]
    request = Request("POST", "/", "", {}, Body.of(b""))
    given = {"RoleArn": ROLE_ARN, "RoleSessionName": "s", **params}
    call = Call(cloud.cloud, "sts", "AssumeRole", given, caller, request)
    with cloud.database.snapshot() as view:
        guard.authorize(call, sts, view)


def test_who_may_assume_a_role(cloud: Bench) -> None:
    make_role(cloud)
    user = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000", "AIDA")
    allowed = Caller(
        *("user", user.arn, user.account, "AIDA", ""),
        ({"Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": ROLE_ARN}},),
    )
    assume_guarded(cloud, LAMBDA)
    assume_guarded(cloud, allowed, Tags=[{"Key": "a", "Value": "b"}])
    other = Caller("service", "s3.amazonaws.com", "")
    for caller, params in ((user, {}), (other, {}), (allowed, {"RoleArn": ROLE_ARN + "x"})):
        with pytest.raises(AwsError, match="not authorized to perform: sts:AssumeRole"):
            assume_guarded(cloud, caller, **params)


def test_what_iam_calls_need(cloud: Bench) -> None:
    make_role(cloud)
    iam = service(cloud.state)[0]
    request = Request("POST", "/", "", {}, Body.of(b""))
    account = "arn:aws:iam::000000000000"
    for operation, params, resource in (
        ("GetRole", {"RoleName": "worker"}, ROLE_ARN),
        ("CreateRole", {"RoleName": "n", "Path": "/p/"}, f"{account}:role/p/n"),
        ("AttachRolePolicy", {"RoleName": "worker", "PolicyArn": BASIC}, ROLE_ARN),
        ("ListRoles", {}, f"{account}:role/"),
        ("GetPolicy", {"PolicyArn": BASIC}, BASIC),
        ("CreatePolicy", {"PolicyName": "p"}, f"{account}:policy/p"),
        ("GetUser", {"UserName": "u"}, f"{account}:user/u"),
        ("GetUser", {}, f"{account}:user/*"),
    ):
        call = Call(cloud.cloud, "iam", operation, params, ROOT, request)
        (needed,) = iam.requirements(call)
        assert (needed.action, needed.resource) == (f"iam:{operation}", resource)
