"""What AWS refuses to store as a policy, in its words, and how long policies may be."""

import json
from typing import Any

import pytest

from tests.unit.iam.conftest import Iam, allow, policy, refused, trust


def statement(**more: Any) -> str:
    return policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*", **more})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "This policy contains invalid Json"),
        ('{"Statement": []}', "Policy document must contain a statement."),
        (statement(Action="get"), "Actions/Conditions must be prefaced by a vendor, e.g."),
        (statement(Resource="x"), 'Resource x must be in ARN format or "*".'),
        (statement(Resource="arn:aws:s3"), "The policy failed legacy parsing"),
        (statement(Resource="arn:mars:s3:::b"), 'Partition "mars" is not valid for resource'),
        (statement(Resource="arn:aws:iam:eu-west-1:1:role/r"), "cannot contain region"),
        (statement(Sid="a b"), "Statement IDs (SID) must be alpha-numeric."),
        (policy(allow("s3:*", Sid="a"), allow("s3:*", Sid="a")), "(SID) in a single policy"),
        (statement(Condition={"NullIfExists": {"a": "true"}}), "Invalid Condition type"),
        (statement(Principal="*"), "Policy document should not specify a principal."),
    ],
)
def test_refused_documents_say_why(cloud: Iam, document: str, message: str) -> None:
    error = refused(cloud.iam, "CreatePolicy", PolicyName="p", PolicyDocument=document)
    assert error.startswith("MalformedPolicyDocument: ") and message in error


def test_sizes_of_documents(cloud: Iam) -> None:
    cloud.iam("CreateUser", UserName="u")
    cloud.iam("CreateGroup", GroupName="g")
    cloud.iam("CreateRole", RoleName="r", AssumeRolePolicyDocument=policy(trust()))
    for title, name, limit in (("User", "u", 2048), ("Group", "g", 5120), ("Role", "r", 10_240)):
        owner = {f"{title}Name": name}
        empty = len(json.dumps(json.loads(policy(allow("s3:*", [""]))), separators=(",", ":")))
        fitting = policy(allow("s3:*", ["arn:aws:s3:::" + "b" * (limit - empty - 13)]))
        put = {**owner, "PolicyName": "p", "PolicyDocument": fitting}
        cloud.iam(f"Put{title}Policy", **put)
        error = refused(cloud.iam, f"Put{title}Policy", **put | {"PolicyName": "q"})
        text = f"Maximum policy size of {limit} bytes exceeded for {title.lower()} {name}"
        assert error == f"LimitExceeded: {text}"
    long = policy(allow("s3:*", "arn:aws:s3:::" + "b" * 6144))
    error = refused(cloud.iam, "CreatePolicy", PolicyName="p", PolicyDocument=long)
    assert error == "LimitExceeded: Cannot exceed quota for PolicySize: 6144"
    long_trust = policy(trust(Condition={"StringEquals": {"aws:PrincipalTag/x": "v" * 2048}}))
    update = {"RoleName": "r", "PolicyDocument": long_trust}
    error = refused(cloud.iam, "UpdateAssumeRolePolicy", **update)
    assert error == "LimitExceeded: Cannot exceed quota for ACLSizePerRole: 2048"
    wrong = {"RoleName": "r", "PolicyDocument": policy({**trust(), "Principal": {"AWS": "ann"}})}
    assert 'Invalid principal in policy: "AWS":"ann"' in refused(
        cloud.iam, "UpdateAssumeRolePolicy", **wrong
    )
