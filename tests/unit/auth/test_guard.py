"""The guard: all requirements, and refusals in each service's words."""

from pathlib import Path
from typing import Any

import pytest

from cloudlet.auth import guard
from cloudlet.call import ANONYMOUS, Call, Caller, Requirement
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.policy.context import Context, condition_keys
from cloudlet.wire.service import Service
from tests.harness import ROOT, Bench

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/T"
ARN = "arn:aws:sts::000000000000:assumed-role/r/s"


def role(*statements: dict[str, Any]) -> Caller:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    context = {"aws:PrincipalArn": "arn:aws:iam::000000000000:role/r"}
    return Caller("role", ARN, "000000000000", "AROA:s", "", (document,), context)


def authorize(
    bench: Bench, caller: Caller, service: str, *needs: Requirement, resource: Any = ()
) -> None:
    headers = {"user-agent": "agent/1", "referer": "http://here/"}
    request = Request("POST", "/", "", headers, Body.of(b""), "10.1.2.3", "https")
    call = Call(bench.cloud, service, "X", {}, caller, request)
    with bench.database.snapshot() as view:
        policies = Service(service, {}, lambda _: list(needs), lambda *_: list(resource))
        guard.authorize(call, policies, view)


def refusal(bench: Bench, *arguments: Any, **more: Any) -> tuple[str, int, str]:
    with pytest.raises(AwsError) as caught:
        authorize(bench, *arguments, **more)
    return caught.value.code, caught.value.status, caught.value.message


GET = Requirement("dynamodb:GetItem", TABLE, {"dynamodb:LeadingKeys": ["a"]})
WHO = f"User: {ARN} is not authorized to perform: "


def test_json_service(bench: Bench) -> None:
    allow = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": TABLE}
    authorize(bench, role(allow), "dynamodb", GET)
    other = Requirement("dynamodb:GetItem", TABLE + "2")
    assert refusal(bench, role(allow), "dynamodb", GET, other) == (
        "AccessDeniedException",
        400,
        f"{WHO}dynamodb:GetItem on resource: {TABLE}2 because no identity-based policy allows the "
        "dynamodb:GetItem action",
    )
    _, _, message = refusal(bench, role(allow | {"Effect": "Deny"}), "dynamodb", GET)
    assert message.endswith(" with an explicit deny in an identity-based policy")


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("s3", "AccessDenied", 403),
        ("lambda", "AccessDeniedException", 403),
        ("sqs", "AccessDenied", 403),
        ("iam", "AccessDenied", 403),
        ("events", "AccessDeniedException", 400),
    ],
)
def test_codes(bench: Bench, service: str, code: str, status: int) -> None:
    assert refusal(bench, role(), service, GET)[:2] == (code, status)


def test_s3_words(bench: Bench) -> None:
    need = Requirement("s3:GetObject", "arn:aws:s3:::b/k")
    message = refusal(bench, role(), "s3", need)[2]
    assert message == (
        f'{WHO}s3:GetObject on resource: "arn:aws:s3:::b/k" because no identity-based policy '
        "allows the s3:GetObject action"
    )
    assert refusal(bench, ANONYMOUS, "s3", need)[2] == "Access Denied"
    locked = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    denied = refusal(bench, ROOT, "s3", need, resource=[{"Statement": locked}])
    assert denied[2].endswith(" with an explicit deny in a resource-based policy")


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("dynamodb", "MissingAuthenticationTokenException", 400),
        ("lambda", "MissingAuthenticationTokenException", 403),
        ("sts", "MissingAuthenticationToken", 403),
    ],
)
def test_only_s3_has_anonymous_callers(bench: Bench, service: str, code: str, status: int) -> None:
    assert refusal(bench, ANONYMOUS, service)[:2] == (code, status)


def test_sts_never_says_which_policy(bench: Bench) -> None:
    need = Requirement("sts:AssumeRole", "arn:aws:iam::000000000000:role/x")
    assert (
        refusal(bench, role(), "sts", need)[2]
        == f"{WHO}sts:AssumeRole on resource: {need.resource}"
    )


def test_cloudlet_itself_and_calls_without_requirements(bench: Bench) -> None:
    authorize(bench, Caller("service", "cloudlet.internal", ""), "dynamodb", GET)
    authorize(bench, role(), "sts")


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8"),
        ("Bool", "aws:SecureTransport", "true"),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z"),
        ("NumericGreaterThan", "aws:EpochTime", "1700000000"),
        ("StringEquals", "aws:RequestedRegion", "us-east-1"),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::000000000000:role/r"),
        ("StringEquals", "aws:PrincipalAccount", "000000000000"),
        ("StringEquals", "aws:PrincipalType", "AssumedRole"),
        ("StringEquals", "aws:userid", "AROA:s"),
        ("StringLike", "aws:UserAgent", "agent/*"),
        ("StringLike", "aws:Referer", "http://here/*"),
        ("Bool", "aws:PrincipalIsAWSService", "false"),
        ("StringEquals", "aws:ResourceAccount", "000000000000"),
        ("ForAllValues:StringEquals", "dynamodb:LeadingKeys", "a"),
        ("Null", "aws:username", "true"),
    ],
)
def test_condition_keys(bench: Bench, operator: str, key: str, value: str) -> None:
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    authorize(bench, role(allow | {"Condition": {operator: {key: value}}}), "dynamodb", GET)


def test_who_is_who(bench: Bench) -> None:
    request = Request("GET", "/", "", {}, Body.of(b""))

    def keys(caller: Caller) -> dict[str, Any]:
        return condition_keys(bench.cloud.config, caller, request, GET)

    user = Caller("user", "arn:aws:iam::000000000000:user/p/ann", "000000000000", "AIDA")
    assert keys(user)["aws:username"] == "ann"
    assert keys(ROOT)["aws:principaltype"] == "Account"
    assert keys(ANONYMOUS)["aws:userid"] == "anonymous"
    service = Caller("service", "s3.amazonaws.com", "", context={"aws:SourceArn": "arn:x"})
    assert keys(service)["aws:principalservicename"] == "s3.amazonaws.com"
    assert keys(service)["aws:sourcearn"] == "arn:x"
    context = Context(bench.cloud.config, user, request, GET)
    assert len(context) == len(list(context)) and context["aws:userid"] == "AIDA"


@pytest.mark.parametrize(
    ("client", "scheme", "headers", "is_secure"),
    [
        ("127.0.0.1", "http", {}, True),
        ("::1", "http", {}, True),
        ("10.0.0.1", "http", {}, False),
        ("10.0.0.1", "https", {}, True),
        ("127.0.0.1", "http", {"x-forwarded-proto": "http"}, False),
    ],
)
def test_policy_001_this_machine_needs_no_tls(
    client: str, scheme: str, headers: dict[str, str], is_secure: bool
) -> None:
    request = Request("GET", "/", "", headers, Body.of(b""), client, scheme)
    keys = condition_keys(Config(Path()), ROOT, request, Requirement("s3:GetObject", "*"))
    assert keys["aws:securetransport"] is is_secure
