"""The policy simulator answers what a call would meet."""

from typing import Any

import pytest

from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.iam.simulation import _position
from tests.unit.iam.conftest import ACCOUNT, Iam, allow, policy, refused, trust

BUCKET = "arn:aws:s3:::photos/cat.jpg"


def decide(cloud: Iam, *documents: str, **params: Any) -> list[dict[str, Any]]:
    given = {"PolicyInputList": list(documents), **params}
    results: list[dict[str, Any]] = cloud.iam("SimulateCustomPolicy", **given)["EvaluationResults"]
    return results


def test_decisions_and_the_statements_behind_them(cloud: Iam) -> None:
    deny = {**allow("s3:DeleteObject"), "Effect": "Deny"}
    actions = ["s3:GetObject", "s3:DeleteObject", "sqs:SendMessage"]
    get, delete, send = decide(cloud, policy(allow("s3:*")), policy(deny), ActionNames=actions)
    assert get["EvalDecision"] == "allowed" and get["EvalResourceName"] == "*"
    assert [each["SourcePolicyId"] for each in get["MatchedStatements"]] == ["PolicyInputList.1"]
    assert get["MatchedStatements"][0]["SourcePolicyType"] == "none"
    assert delete["EvalDecision"] == "explicitDeny"
    sources = [each["SourcePolicyId"] for each in delete["MatchedStatements"]]
    assert sources == ["PolicyInputList.2"]  # the deny alone is told
    assert send["EvalDecision"] == "implicitDeny" and send["MatchedStatements"] == []
    assert "ResourceSpecificResults" not in get and "OrganizationsDecisionDetail" not in get


def test_resources_have_results_of_their_own(cloud: Iam) -> None:
    other = "arn:aws:s3:::other/k"
    document = policy(allow("s3:GetObject", "arn:aws:s3:::photos/*"))
    given = {"ActionNames": ["s3:GetObject"], "ResourceArns": [BUCKET, other]}
    first, second = decide(cloud, document, **given)
    assert first["ResourceSpecificResults"][0]["EvalResourceName"] == BUCKET
    assert first["ResourceSpecificResults"][0]["EvalResourceDecision"] == "allowed"
    assert second["EvalDecision"] == "implicitDeny"


def test_missing_context_values(cloud: Iam) -> None:
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    document = policy(allow("s3:GetObject", "arn:aws:s3:::${aws:username}/*", Condition=condition))
    given: dict[str, Any] = {"ActionNames": ["s3:GetObject"]}
    (result,) = decide(cloud, document, **given)
    assert result["EvalDecision"] == "implicitDeny"
    assert result["MissingContextValues"] == ["aws:SourceIp", "aws:username"]
    given["ResourceArns"] = ["arn:aws:s3:::ann/k"]
    (result,) = decide(cloud, document, **given)
    missing = result["ResourceSpecificResults"][0]["MissingContextValues"]
    assert result["MissingContextValues"] == [] and missing == ["aws:SourceIp", "aws:username"]
    given["ContextEntries"] = [
        {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": kind}
        for name, value, kind in (
            ("aws:sourceip", "10.1.2.3", "ip"),
            ("aws:username", "ann", "string"),
        )
    ]
    (result,) = decide(cloud, document, **given)
    assert result["EvalDecision"] == "allowed"


def test_lists_of_context_values(cloud: Iam) -> None:
    condition = {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["a", "b"]}}
    document = policy(allow("dynamodb:GetItem", Condition=condition))
    for values, word in ((["a", "b"], "allowed"), (["a", "c"], "implicitDeny")):
        entry = {"ContextKeyName": "dynamodb:Attributes", "ContextKeyType": "stringList"}
        entries = [{**entry, "ContextKeyValues": values}]
        given = {"ActionNames": ["dynamodb:GetItem"], "ContextEntries": entries}
        assert decide(cloud, document, **given)[0]["EvalDecision"] == word


def test_principals_with_groups_boundaries_and_more(cloud: Iam) -> None:
    cloud.user("ann", allow("s3:GetObject"))
    cloud.iam("CreateGroup", GroupName="staff")
    document = policy(allow("sqs:*"))
    cloud.iam("PutGroupPolicy", GroupName="staff", PolicyName="queues", PolicyDocument=document)
    cloud.iam("AddUserToGroup", GroupName="staff", UserName="ann")
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    cloud.role("r", trust())
    cloud.iam("AttachRolePolicy", RoleName="r", PolicyArn=admin)
    ann = f"arn:aws:iam::{ACCOUNT}:user/ann"

    def simulate(arn: str, action: str, **more: Any) -> dict[str, Any]:
        given = {"PolicySourceArn": arn, "ActionNames": [action], **more}
        (result,) = cloud.iam("SimulatePrincipalPolicy", **given)["EvaluationResults"]
        return dict(result)

    (own,) = simulate(ann, "s3:GetObject")["MatchedStatements"]
    assert (own["SourcePolicyId"], own["SourcePolicyType"]) == ("user_ann_own", "user")
    (group,) = simulate(ann, "sqs:SendMessage")["MatchedStatements"]
    assert (group["SourcePolicyId"], group["SourcePolicyType"]) == ("group_staff_queues", "group")
    role = simulate(f"arn:aws:iam::{ACCOUNT}:role/r", "ec2:RunInstances")["MatchedStatements"]
    assert role[0]["SourcePolicyId"] == "AdministratorAccess"
    assert role[0]["SourcePolicyType"] == "aws-managed"
    assert simulate(ann, "sns:Publish", PolicyInputList=[policy(allow("sns:*"))])[
        "EvalDecision"
    ] == ("allowed")
    bound = cloud.iam("CreatePolicy", PolicyName="b", PolicyDocument=document)["Policy"]["Arn"]
    cloud.iam("PutUserPermissionsBoundary", UserName="ann", PermissionsBoundary=bound)
    for action, allowed in (("s3:GetObject", False), ("sqs:SendMessage", True)):
        result = simulate(ann, action)
        assert result["EvalDecision"] == ("allowed" if allowed else "implicitDeny")
        detail = result["PermissionsBoundaryDecisionDetail"]
        assert detail == {"AllowedByPermissionsBoundary": allowed}
    nobody = {
        "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/none",
        "ActionNames": ["s3:GetObject"],
    }
    assert "NoSuchEntity" in refused(cloud.iam, "SimulatePrincipalPolicy", **nobody)
    bad = nobody | {"PolicySourceArn": "arn:aws:s3:::bucket"}
    assert "InvalidInput" in refused(cloud.iam, "SimulatePrincipalPolicy", **bad)


def test_resource_policies_and_other_accounts(cloud: Iam) -> None:
    ann, owner = f"arn:aws:iam::{ACCOUNT}:user/ann", "arn:aws:iam::123456789012:root"
    grant = policy({**allow("s3:GetObject", BUCKET), "Principal": {"AWS": ann}})
    given = {
        "ActionNames": ["s3:GetObject"],
        "ResourceArns": [BUCKET],
        "ResourcePolicy": grant,
    }
    nothing = policy(allow("sqs:*"))
    assert "CallerArn is required" in refused(
        cloud.iam, "SimulateCustomPolicy", PolicyInputList=[nothing], **given
    )
    (result,) = decide(cloud, nothing, CallerArn=ann, **given)
    assert result["EvalDecision"] == "allowed"  # one side suffices within an account
    assert result["MatchedStatements"][0]["SourcePolicyType"] == "resource"
    (result,) = decide(cloud, nothing, CallerArn=ann, ResourceOwner=owner, **given)
    assert result["EvalDecision"] == "implicitDeny"
    sides = {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    assert result["EvalDecisionDetails"] == sides
    (result,) = decide(cloud, policy(allow("s3:*")), CallerArn=ann, ResourceOwner=owner, **given)
    assert result["EvalDecision"] == "allowed"


def test_context_keys(cloud: Iam) -> None:
    condition = {"StringLike": {"s3:prefix": "${aws:username}/*", "aws:Referer": "x"}}
    document = policy(
        allow("s3:ListBucket", Condition=condition), allow("s3:*", "arn:aws:s3:::${*}")
    )
    found = cloud.iam("GetContextKeysForCustomPolicy", PolicyInputList=[document])
    assert found["ContextKeyNames"] == ["s3:prefix", "aws:Referer", "aws:username"]
    cloud.user("ann", allow("s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    source = {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/ann", "PolicyInputList": [document]}
    found = cloud.iam("GetContextKeysForPrincipalPolicy", **source)
    assert found["ContextKeyNames"][0] == "aws:SecureTransport"
    assert len(found["ContextKeyNames"]) == 4


def test_iam_001_positions_of_statements() -> None:
    text = '{\n    "Version": "2012-10-17",\n    "Statement": [\n'
    text += '        {\n            "a": "]"\n        },\n        {"b": 1}\n    ]\n}\n'
    assert _position(text, 0) == {
        "StartPosition": {"Line": 3, "Column": 19},
        "EndPosition": {"Line": 6, "Column": 10},
    }
    assert _position(text, 1) == {
        "StartPosition": {"Line": 6, "Column": 11},
        "EndPosition": {"Line": 7, "Column": 17},
    }
    single = '{"Statement":{"Effect":"Allow"}}'
    assert _position(single, 0)["StartPosition"] == {"Line": 1, "Column": 14}


def test_pages_and_what_is_not_here(cloud: Iam) -> None:
    given = {"PolicyInputList": [policy(allow("s3:*"))], "ActionNames": ["s3:Get", "s3:Put", "a:b"]}
    first = cloud.iam("SimulateCustomPolicy", MaxItems=2, **given)
    assert first["IsTruncated"] and len(first["EvaluationResults"]) == 2
    rest = cloud.iam("SimulateCustomPolicy", Marker=first["Marker"], **given)
    assert [each["EvalActionName"] for each in rest["EvaluationResults"]] == ["a:b"]
    with pytest.raises(NotImplementedByCloudlet):
        cloud.iam("SimulateCustomPolicy", ResourceHandlingOption="EC2-VPC", **given)
    broken = {"PolicyInputList": ["{"], "ActionNames": ["s3:GetObject"]}
    assert "MalformedPolicyDocument" in refused(cloud.iam, "SimulateCustomPolicy", **broken)
