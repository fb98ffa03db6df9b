"""Temporary credentials: chains of roles, tags that go on, who stands behind them, how they end."""

from typing import Any

import pytest

from cloudlet.call import Caller, Requirement
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.policy.context import condition_keys
from tests.unit.iam.conftest import ACCOUNT, Iam, allow, policy, refused, trust

ALL = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
CHAIN = allow(ALL)


def keys_of(cloud: Iam, caller: Caller) -> dict[str, Any]:
    request = Request("POST", "/", "", {}, Body.of(b""))
    return condition_keys(cloud.config, caller, request, Requirement("a:b", "*"))


def assume(cloud: Iam, caller: Caller, role: str, **more: Any) -> Caller:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    given = {"RoleArn": arn, "RoleSessionName": "session", **more}
    return cloud.caller(cloud.sts("AssumeRole", caller, **given)["Credentials"])


def test_transitive_tags_go_through_a_chain(cloud: Iam) -> None:
    for name in ("one", "two", "three"):
        cloud.role(name, trust(ALL), CHAIN)
    ann = cloud.user("ann", CHAIN)
    tags = [{"Key": "project", "Value": "x"}, {"Key": "task", "Value": "y"}]
    one = assume(cloud, ann, "one", Tags=tags, TransitiveTagKeys=["project"])
    assert keys_of(cloud, one)["aws:principaltag/task"] == "y"
    two = assume(cloud, one, "two", Tags=[{"Key": "own", "Value": "z"}])
    found = keys_of(cloud, two)
    assert found["aws:principaltag/project"] == "x" and found["aws:principaltag/own"] == "z"
    assert "aws:principaltag/task" not in found
    three = keys_of(cloud, assume(cloud, two, "three"))
    assert three["aws:principaltag/project"] == "x" and "aws:principaltag/own" not in three
    arn = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/three", "RoleSessionName": "session"}
    over = [{"Key": "Project", "Value": "other"}]
    assert "conflicts with a transitive" in refused(cloud.sts, "AssumeRole", two, Tags=over, **arn)
    twice = [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]
    assert "Duplicate tag keys" in refused(cloud.sts, "AssumeRole", ann, Tags=twice, **arn)
    lone = {"TransitiveTagKeys": ["b"], **arn}
    assert "must be included" in refused(cloud.sts, "AssumeRole", ann, **lone)


def test_tagging_a_session_needs_both_sides(cloud: Iam) -> None:
    cloud.role("plain", trust())
    cloud.role("tagged", trust(ALL))
    ann, bob = cloud.user("ann", CHAIN), cloud.user("bob", allow("sts:AssumeRole"))
    tags = [{"Key": "a", "Value": "b"}]
    for caller, role in ((ann, "plain"), (bob, "tagged")):
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        given = {"RoleArn": arn, "RoleSessionName": "session"}
        assert "sts:TagSession" in refused(cloud.sts, "AssumeRole", caller, Tags=tags, **given)
        source = {"SourceIdentity": "ann@example", **given}
        assert "sts:SetSourceIdentity" in refused(cloud.sts, "AssumeRole", caller, **source)


def test_a_source_identity_stays(cloud: Iam) -> None:
    named = {"StringEquals": {"sts:SourceIdentity": "ann"}}
    cloud.role("one", trust(ALL, Condition=named), CHAIN)
    cloud.role("two", trust(ALL), CHAIN)
    ann = cloud.user("ann", CHAIN)
    given = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/one", "RoleSessionName": "session"}
    assert "AccessDenied" in refused(cloud.sts, "AssumeRole", ann, SourceIdentity="eve", **given)
    made = cloud.sts("AssumeRole", ann, SourceIdentity="ann", **given)
    assert made["SourceIdentity"] == "ann"
    one = cloud.caller(made["Credentials"])
    two = assume(cloud, one, "two")
    assert keys_of(cloud, two)["aws:sourceidentity"] == "ann"
    other = {**given, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/two", "SourceIdentity": "eve"}
    assert "AccessDenied" in refused(cloud.sts, "AssumeRole", two, **other)


def test_the_external_id_is_the_trust_policys(cloud: Iam) -> None:
    agreed = {"StringEquals": {"sts:ExternalId": "agreed"}}
    arn = cloud.role("partner", trust(Condition=agreed))
    ann = cloud.user("ann", CHAIN)
    given = {"RoleArn": arn, "RoleSessionName": "session"}
    for wrong in ({}, {"ExternalId": "other"}):
        assert "AccessDenied" in refused(cloud.sts, "AssumeRole", ann, **given, **wrong)
    assert cloud.sts("AssumeRole", ann, ExternalId="agreed", **given)


def test_how_long_sessions_last(cloud: Iam) -> None:
    cloud.role("one", trust(), CHAIN)
    arn = cloud.role("two", trust())
    for name in ("one", "two"):
        cloud.iam("UpdateRole", RoleName=name, MaxSessionDuration=7200)
    ann = cloud.user("ann", CHAIN)
    given = {"RoleArn": arn, "RoleSessionName": "session"}
    assert cloud.sts("AssumeRole", ann, DurationSeconds=7200, **given)
    assert "ValidationError" in refused(cloud.sts, "AssumeRole", ann, DurationSeconds=7201, **given)
    one = assume(cloud, ann, "one")
    error = refused(cloud.sts, "AssumeRole", one, DurationSeconds=3601, **given)
    assert "1 hour session limit for roles assumed by role chaining" in error
    token = cloud.sts("GetSessionToken", ann, DurationSeconds=129_600)["Credentials"]
    assert "ValidationError" in refused(cloud.sts, "GetSessionToken", ann, DurationSeconds=129_601)
    moment = token["Expiration"].timestamp() * 1000
    assert moment == (cloud.clock.now_ms // 1000 + 129_600) * 1000


def test_session_policies_only_take_away(cloud: Iam) -> None:
    cloud.role("r", trust(), allow(["iam:ListUsers", "iam:ListRoles"]))
    ann = cloud.user("ann", CHAIN)
    narrow = policy(allow(["iam:ListUsers", "iam:ListGroups"]))
    session = assume(cloud, ann, "r", Policy=narrow)
    assert cloud.iam("ListUsers", session)
    error = refused(cloud.iam, "ListRoles", session)
    assert "because no session policy allows the iam:ListRoles action" in error
    assert "no identity-based policy allows" in refused(cloud.iam, "ListGroups", session)
    managed = [{"arn": "arn:aws:iam::aws:policy/IAMReadOnlyAccess"}]
    session = assume(cloud, ann, "r", PolicyArns=managed)
    assert cloud.iam("ListRoles", session)


def test_a_federated_user_has_what_both_allow(cloud: Iam) -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    ann = cloud.user("ann", allow("sts:GetFederationToken", arn), allow("s3:*"))
    narrow = policy(allow("s3:GetObject"))
    made = cloud.sts("GetFederationToken", ann, Name="guest", Policy=narrow)
    assert made["FederatedUser"] == {"FederatedUserId": f"{ACCOUNT}:guest", "Arn": arn}
    assert made["PackedPolicySize"] >= 1
    guest = cloud.caller(made["Credentials"])
    assert (guest.kind, guest.arn) == ("federated", arn)
    assert guest.limits[-1][0] == "session policy" and guest.policies == ann.policies
    assert keys_of(cloud, guest)["aws:principaltype"] == "FederatedUser"
    assert cloud.sts("GetCallerIdentity", guest)["Arn"] == arn
    for operation in ("ListUsers", "ListRoles"):
        assert "InvalidClientTokenId" in refused(cloud.iam, operation, guest)
    assert "InvalidClientTokenId" in refused(cloud.sts, "GetFederationToken", guest, Name="more")
    assert "AccessDenied" in refused(cloud.sts, "GetFederationToken", ann, Name="other")
    bare = cloud.caller(cloud.sts("GetFederationToken", ann, Name="guest")["Credentials"])
    assert bare.limits == (("session policy", ()),)  # nothing but what resources grant
    token = cloud.caller(cloud.sts("GetSessionToken", ann)["Credentials"])
    assert "InvalidClientTokenId" in refused(cloud.iam, "ListUsers", token)


def test_what_sessions_say_in_conditions(cloud: Iam) -> None:
    cloud.role("r", trust())
    ann = cloud.user("ann", CHAIN)
    session = keys_of(cloud, assume(cloud, ann, "r"))
    assert session["aws:tokenissuetime"] == "2026-11-18T11:06:40Z"
    assert session["aws:multifactorauthpresent"] == "false"
    assert session["aws:principalarn"] == f"arn:aws:iam::{ACCOUNT}:role/r"
    own = keys_of(cloud, ann)  # a long-term key has no such keys
    assert not {"aws:tokenissuetime", "aws:multifactorauthpresent"} & set(own)
    issued = {"DateGreaterThan": {"aws:TokenIssueTime": "2026-11-18T11:06:40Z"}}
    document = policy(allow("iam:ListUsers"), {**allow("*", Condition=issued), "Effect": "Deny"})
    cloud.iam("PutRolePolicy", RoleName="r", PolicyName="own", PolicyDocument=document)
    assert cloud.iam("ListUsers", assume(cloud, ann, "r"))
    cloud.clock.advance(1)
    late = assume(cloud, ann, "r")
    assert "explicit deny" in refused(cloud.iam, "ListUsers", late)


def test_sessions_end_exactly_when_they_say(cloud: Iam) -> None:
    cloud.role("r", trust())
    ann = cloud.user("ann", CHAIN)
    caller = assume(cloud, ann, "r", DurationSeconds=900)
    found = cloud.state.find(caller.access_key)
    assert found is not None
    assert found.expires_ms == cloud.clock.now_ms + 900_000


def test_what_is_not_here_says_so(cloud: Iam) -> None:
    ann = cloud.user("ann", allow("*"))
    for params in ({"SerialNumber": "s"}, {"TokenCode": "123456"}):
        with pytest.raises(NotImplementedByCloudlet):
            cloud.sts("GetSessionToken", ann, **params)
    error = refused(cloud.sts, "DecodeAuthorizationMessage", ann, EncodedMessage="x")
    assert error == "InvalidAuthorizationMessageException: Message is not valid"
    info = cloud.sts("GetAccessKeyInfo", ann, AccessKeyId=ann.access_key)
    assert info == {"Account": ACCOUNT}
    long = [{"Key": f"{n:03}" * 40, "Value": "v" * 200} for n in range(20)]
    cloud.role("r", trust(ALL))
    given = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "RoleSessionName": "session"}
    assert "PackedPolicyTooLarge" in refused(cloud.sts, "AssumeRole", ann, Tags=long, **given)
