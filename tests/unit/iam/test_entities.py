"""Groups, instance profiles, renames, tags, boundaries, service-linked roles, the whole account."""

import asyncio
import json
from dataclasses import replace
from urllib.parse import unquote

import pytest

from cloudlet.iam import managed
from cloudlet.iam.identifiers import access_key_id, account_of_key
from tests.unit.iam.conftest import ACCOUNT, Iam, allow, policy, refused, trust

LAMBDA = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
TRUST = policy({**LAMBDA, "Action": "sts:AssumeRole"})
ADMIN = f"{managed.PREFIX}AdministratorAccess"


def test_members_have_their_groups_policies_at_once(cloud: Iam) -> None:
    ann = cloud.user("ann")
    group = cloud.iam("CreateGroup", GroupName="staff", Path="/a/")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/a/staff"
    assert group["GroupId"].startswith("AGPA")
    document = policy(allow("iam:ListUsers"))
    inline = {"GroupName": "staff", "PolicyName": "p"}
    cloud.iam("PutGroupPolicy", PolicyDocument=document, **inline)
    cloud.iam("AttachGroupPolicy", GroupName="staff", PolicyArn=ADMIN)
    assert "AccessDenied" in refused(cloud.iam, "ListUsers", ann)
    cloud.iam("AddUserToGroup", GroupName="staff", UserName="ann")
    ann = cloud.caller({"AccessKeyId": ann.access_key})
    assert len(ann.policies) == 2
    assert cloud.iam("ListUsers", ann)["Users"][0]["UserName"] == "ann"
    shown = cloud.iam("GetGroup", GroupName="staff")
    assert [user["UserName"] for user in shown["Users"]] == ["ann"]
    listed = cloud.iam("ListGroupsForUser", UserName="ann")["Groups"]
    assert [each["GroupName"] for each in listed] == ["staff"]
    assert "DeleteConflict" in refused(cloud.iam, "DeleteGroup", GroupName="staff")
    assert "DeleteConflict" in refused(cloud.iam, "DeleteUser", UserName="ann")
    cloud.iam("RemoveUserFromGroup", GroupName="staff", UserName="ann")
    assert cloud.caller({"AccessKeyId": ann.access_key}).policies == ()
    again = {"GroupName": "staff", "UserName": "ann"}
    assert "NoSuchEntity" in refused(cloud.iam, "RemoveUserFromGroup", **again)
    assert "DeleteConflict" in refused(cloud.iam, "DeleteGroup", GroupName="staff")
    cloud.iam("DetachGroupPolicy", GroupName="staff", PolicyArn=ADMIN)
    assert cloud.iam("ListGroupPolicies", GroupName="staff")["PolicyNames"] == ["p"]
    cloud.iam("DeleteGroupPolicy", **inline)
    cloud.iam("DeleteGroup", GroupName="staff")
    assert cloud.iam("ListGroups")["Groups"] == []


def test_ten_groups_for_a_user(cloud: Iam) -> None:
    cloud.iam("CreateUser", UserName="ann")
    for number in range(11):
        cloud.iam("CreateGroup", GroupName=f"g{number}")
    for number in range(10):
        cloud.iam("AddUserToGroup", GroupName=f"g{number}", UserName="ann")
    error = refused(cloud.iam, "AddUserToGroup", GroupName="g10", UserName="ann")
    assert error == "LimitExceeded: Cannot exceed quota for GroupsPerUser: 10"
    assert len(cloud.iam("ListGroupsForUser", UserName="ann")["Groups"]) == 10


def test_everything_follows_a_new_name(cloud: Iam) -> None:
    ann = cloud.user("ann", allow("iam:GetUser"))
    cloud.iam("AttachUserPolicy", UserName="ann", PolicyArn=ADMIN)
    cloud.iam("CreateGroup", GroupName="old")
    cloud.iam("PutGroupPolicy", GroupName="old", PolicyName="p", PolicyDocument=policy(allow("*")))
    cloud.iam("AddUserToGroup", GroupName="old", UserName="ann")
    cloud.iam("CreateUser", UserName="bob")
    taken = {"UserName": "ann", "NewUserName": "BOB"}
    assert "EntityAlreadyExists" in refused(cloud.iam, "UpdateUser", **taken)
    cloud.iam("UpdateUser", UserName="ann", NewUserName="anna", NewPath="/x/")
    cloud.iam("UpdateGroup", GroupName="old", NewGroupName="new", NewPath="/y/")
    anna = cloud.caller({"AccessKeyId": ann.access_key})
    assert anna.arn == f"arn:aws:iam::{ACCOUNT}:user/x/anna"
    assert len(anna.policies) == 3
    keys = cloud.iam("ListAccessKeys", UserName="anna")["AccessKeyMetadata"]
    assert keys[0]["UserName"] == "anna"
    groups = cloud.iam("ListGroupsForUser", UserName="anna")["Groups"]
    assert [group["Arn"] for group in groups] == [f"arn:aws:iam::{ACCOUNT}:group/y/new"]
    assert "NoSuchEntity" in refused(cloud.iam, "GetUser", UserName="ann")


def test_instance_profiles(cloud: Iam) -> None:
    cloud.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    made = cloud.iam("CreateInstanceProfile", InstanceProfileName="p")["InstanceProfile"]
    assert made["InstanceProfileId"].startswith("AIPA") and made["Roles"] == []
    both = {"InstanceProfileName": "p", "RoleName": "r"}
    cloud.iam("AddRoleToInstanceProfile", **both)
    error = refused(cloud.iam, "AddRoleToInstanceProfile", **both)
    assert error.endswith("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    shown = cloud.iam("GetInstanceProfile", InstanceProfileName="p")["InstanceProfile"]
    assert [role["RoleName"] for role in shown["Roles"]] == ["r"]
    assert len(cloud.iam("ListInstanceProfilesForRole", RoleName="r")["InstanceProfiles"]) == 1
    assert len(cloud.iam("ListInstanceProfiles")["InstanceProfiles"]) == 1
    assert "DeleteConflict" in refused(cloud.iam, "DeleteRole", RoleName="r")
    name = {"InstanceProfileName": "p"}
    assert "DeleteConflict" in refused(cloud.iam, "DeleteInstanceProfile", **name)
    cloud.iam("RemoveRoleFromInstanceProfile", **both)
    assert "NoSuchEntity" in refused(cloud.iam, "RemoveRoleFromInstanceProfile", **both)
    cloud.iam("DeleteInstanceProfile", **name)
    error = refused(cloud.iam, "GetInstanceProfile", **name)
    assert error == "NoSuchEntity: Instance Profile p cannot be found."


def test_tags_of_every_kind(cloud: Iam) -> None:
    cloud.iam("CreateUser", UserName="u")
    cloud.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    cloud.iam("CreateInstanceProfile", InstanceProfileName="i")
    document = policy(allow("*"))
    arn = cloud.iam("CreatePolicy", PolicyName="p", PolicyDocument=document)["Policy"]["Arn"]
    for title, name in (
        ("User", {"UserName": "u"}),
        ("Role", {"RoleName": "r"}),
        ("InstanceProfile", {"InstanceProfileName": "i"}),
        ("Policy", {"PolicyArn": arn}),
    ):
        tags = [{"Key": key, "Value": "v"} for key in "abc"]
        cloud.iam(f"Tag{title}", Tags=tags, **name)
        cloud.iam(f"Untag{title}", TagKeys=["b"], **name)
        page = cloud.iam(f"List{title}Tags", MaxItems=1, **name)
        assert page["Tags"] == tags[:1] and page["IsTruncated"]
        rest = cloud.iam(f"List{title}Tags", Marker=page["Marker"], **name)
        assert rest["Tags"] == tags[2:] and not rest["IsTruncated"]


def test_conditions_on_tags(cloud: Iam) -> None:
    """Who may tag, may touch only what has the tag, and only with keys of a list."""
    same = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    known = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
    ann = cloud.user(
        "ann",
        allow("iam:GetUser", Condition=same),
        allow("iam:TagUser", Condition=known),
    )
    cloud.iam("TagUser", UserName="ann", Tags=[{"Key": "team", "Value": "a"}])
    cloud.iam("CreateUser", UserName="bob", Tags=[{"Key": "team", "Value": "b"}])
    ann = cloud.caller({"AccessKeyId": ann.access_key})
    assert cloud.iam("GetUser", ann, UserName="ann")["User"]["Tags"]
    assert "AccessDenied" in refused(cloud.iam, "GetUser", ann, UserName="bob")
    cloud.iam("TagUser", ann, UserName="bob", Tags=[{"Key": "team", "Value": "a"}])
    assert cloud.iam("GetUser", ann, UserName="bob")
    other = {"UserName": "bob", "Tags": [{"Key": "admin", "Value": "1"}]}
    assert "AccessDenied" in refused(cloud.iam, "TagUser", ann, **other)


def test_a_users_boundary(cloud: Iam) -> None:
    document = policy(allow("iam:ListUsers"))
    arn = cloud.iam("CreatePolicy", PolicyName="b", PolicyDocument=document)["Policy"]["Arn"]
    ann = cloud.user("ann", allow("iam:*"))
    cloud.iam("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=arn)
    ann = cloud.caller({"AccessKeyId": ann.access_key})
    assert cloud.iam("ListUsers", ann)
    error = refused(cloud.iam, "ListRoles", ann)
    assert "because no permissions boundary allows the iam:ListRoles action" in error
    bounded = cloud.iam("ListEntitiesForPolicy", PolicyArn=arn)
    assert [user["UserName"] for user in bounded["PolicyUsers"]] == ["ann"]
    usage = {"PolicyArn": arn, "PolicyUsageFilter": "PermissionsPolicy"}
    assert cloud.iam("ListEntitiesForPolicy", **usage)["PolicyUsers"] == []
    cloud.iam("DeleteUserPermissionsBoundary", UserName="ann")
    error = refused(cloud.iam, "DeleteUserPermissionsBoundary", UserName="ann")
    assert error.startswith("NoSuchEntity")


def test_service_linked_roles_are_their_services(cloud: Iam) -> None:
    made = cloud.iam("CreateServiceLinkedRole", AWSServiceName="ops.apigateway.amazonaws.com")
    role = made["Role"]
    assert role["Path"] == "/aws-service-role/ops.apigateway.amazonaws.com/"
    document = json.loads(unquote(role["AssumeRolePolicyDocument"]))
    assert document["Statement"][0]["Principal"] == {"Service": "ops.apigateway.amazonaws.com"}
    name = {"RoleName": role["RoleName"]}
    again = {"AWSServiceName": "ops.apigateway.amazonaws.com"}
    assert "has been taken" in refused(cloud.iam, "CreateServiceLinkedRole", **again)
    assert "UnmodifiableEntity" in refused(cloud.iam, "DeleteRole", **name)
    trusting = {**name, "PolicyDocument": TRUST}
    assert "UnmodifiableEntity" in refused(cloud.iam, "UpdateAssumeRolePolicy", **trusting)
    cloud.iam("UpdateRoleDescription", Description="d", **name)
    task = cloud.iam("DeleteServiceLinkedRole", **name)["DeletionTaskId"]
    status = cloud.iam("GetServiceLinkedRoleDeletionStatus", DeletionTaskId=task)
    assert status["Status"] == "SUCCEEDED"
    assert "NoSuchEntity" in refused(cloud.iam, "GetRole", **name)


def test_when_a_key_and_a_role_were_used_last(cloud: Iam) -> None:
    arn = cloud.role("r", trust())
    ann = cloud.user("ann", allow("sts:AssumeRole"))
    key = {"AccessKeyId": ann.access_key}
    never = cloud.iam("GetAccessKeyLastUsed", **key)["AccessKeyLastUsed"]
    assert never == {"ServiceName": "N/A", "Region": "N/A"}
    assert cloud.iam("GetRole", RoleName="r")["Role"]["RoleLastUsed"] == {}
    cloud.state.note(ann, "s3")
    session = cloud.sts("AssumeRole", ann, RoleArn=arn, RoleSessionName="ss")["Credentials"]
    cloud.state.note(cloud.caller(session), "sqs")
    for _ in range(2):  # noted, then kept
        last = cloud.iam("GetAccessKeyLastUsed", **key)
        assert last["UserName"] == "ann"
        assert last["AccessKeyLastUsed"]["ServiceName"] == "s3"
        assert last["AccessKeyLastUsed"]["LastUsedDate"] == cloud.clock.now_ms // 1000
        used = cloud.iam("GetRole", RoleName="r")["Role"]["RoleLastUsed"]
        assert used == {"LastUsedDate": cloud.clock.now_ms // 1000, "Region": "us-east-1"}
        asyncio.run(cloud.state.keep_uses())


def test_the_whole_account_in_one_answer(cloud: Iam) -> None:
    cloud.user("ann", allow("s3:*"))
    cloud.iam("CreateGroup", GroupName="staff")
    cloud.iam("AddUserToGroup", GroupName="staff", UserName="ann")
    cloud.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    cloud.iam("AttachRolePolicy", RoleName="r", PolicyArn=ADMIN)
    cloud.iam("CreateInstanceProfile", InstanceProfileName="p")
    cloud.iam("AddRoleToInstanceProfile", InstanceProfileName="p", RoleName="r")
    cloud.iam("CreatePolicy", PolicyName="mine", PolicyDocument=policy(allow("s3:*")))
    details = cloud.iam(
        "GetAccountAuthorizationDetails", Filter=["User", "Role", "Group", "LocalManagedPolicy"]
    )
    (user,), (role,) = details["UserDetailList"], details["RoleDetailList"]
    assert user["GroupList"] == ["staff"]
    assert user["UserPolicyList"][0]["PolicyName"] == "own"
    assert role["AttachedManagedPolicies"] == [
        {"PolicyName": "AdministratorAccess", "PolicyArn": ADMIN}
    ]
    assert role["InstanceProfileList"][0]["InstanceProfileName"] == "p"
    assert details["GroupDetailList"][0]["GroupName"] == "staff"
    (mine,) = details["Policies"]
    assert json.loads(unquote(mine["PolicyVersionList"][0]["Document"]))["Statement"]
    first = cloud.iam("GetAccountAuthorizationDetails", MaxItems=1)
    assert first["UserDetailList"] and not first["RoleDetailList"]
    marker = first["Marker"]
    second = cloud.iam("GetAccountAuthorizationDetails", MaxItems=2, Marker=marker)
    assert second["RoleDetailList"] and second["GroupDetailList"]
    counts = cloud.iam("GetAccountSummary")["SummaryMap"]
    assert (counts["Users"], counts["Groups"], counts["Roles"], counts["Policies"]) == (1, 1, 1, 1)


def test_account_aliases(cloud: Iam) -> None:
    assert cloud.iam("ListAccountAliases")["AccountAliases"] == []
    cloud.iam("CreateAccountAlias", AccountAlias="first")
    cloud.iam("CreateAccountAlias", AccountAlias="second")
    assert cloud.iam("ListAccountAliases")["AccountAliases"] == ["second"]
    assert "NoSuchEntity" in refused(cloud.iam, "DeleteAccountAlias", AccountAlias="first")
    cloud.iam("DeleteAccountAlias", AccountAlias="second")


@pytest.mark.parametrize("account", ["000000000000", "123456789012", "999999999999"])
def test_keys_tell_their_account(cloud: Iam, account: str) -> None:
    config = replace(cloud.config, account=account)
    for prefix in ("AKIA", "ASIA"):
        key = access_key_id(config, prefix)
        assert len(key) == 20 and account_of_key(key) == account
    assert account_of_key("AKIAIOSFODNN7EXAMPLE") is None  # from before accounts were in keys
    for odd in ("", "test", "AKIA", "AKIA!!!!!!!!!!!!!!!!"):
        assert account_of_key(odd) is None


def test_managed_policies_are_awss(cloud: Iam) -> None:
    names = {arn.removeprefix(managed.PREFIX) for arn in managed.policies()}
    assert {"PowerUserAccess", "service-role/AWSLambdaVPCAccessExecutionRole"} < names
    for policy_ in managed.policies().values():
        assert policy_.document["Version"] == "2012-10-17" and policy_.document["Statement"]
    power = managed.document(f"{managed.PREFIX}PowerUserAccess")
    assert power is not None and "iam:*" in power["Statement"][0]["NotAction"]


def test_what_nobody_has_here(cloud: Iam) -> None:
    ann = {"UserName": "ann"}
    assert "NoSuchEntity" in refused(cloud.iam, "ListMFADevices", **ann)
    cloud.iam("CreateUser", **ann)
    assert cloud.iam("ListMFADevices", **ann)["MFADevices"] == []
    assert cloud.iam("ListSSHPublicKeys", **ann)["SSHPublicKeys"] == []
    assert "NoSuchEntity" in refused(cloud.iam, "GetLoginProfile", **ann)
    assert "NoSuchEntity" in refused(cloud.iam, "GetAccountPasswordPolicy")
