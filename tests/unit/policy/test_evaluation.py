"""Policies: truth tables of who may do what."""

from typing import Any

import pytest

from cloudlet.call import ANONYMOUS, Caller, Requirement
from cloudlet.policy import conditions, evaluation, patterns
from cloudlet.policy.evaluation import Decision

ACCOUNT = "000000000000"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/ann"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/path/r"
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"
READ = Requirement("s3:GetObject", "arn:aws:s3:::b/k")


def allow(action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def deny(action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more | {"Effect": "Deny"})


def user(*policies: Any, **more: Any) -> Caller:
    return Caller("user", USER_ARN, ACCOUNT, "AIDA", policies=policies, **more)


def role(*policies: Any, **more: Any) -> Caller:
    context = {"aws:PrincipalArn": ROLE_ARN}
    return Caller("role", SESSION_ARN, ACCOUNT, "A:s", "", policies, context, **more)


ROOT = Caller("root", f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
SERVICE = Caller("service", "s3.amazonaws.com", ACCOUNT)
INTERNAL = Caller("service", evaluation.INTERNAL, "")
STRANGER = Caller("user", "arn:aws:iam::111111111111:user/x", "111111111111", policies=(allow(),))


def decide(caller: Caller, *resource: Any, needs: Requirement = READ, **keys: Any) -> Decision:
    values = {"aws:resourceaccount": ACCOUNT, **{k.lower(): v for k, v in keys.items()}}
    return evaluation.evaluate(caller, needs, values, resource)


def to(principal: Any, **more: Any) -> dict[str, Any]:
    return allow(Principal=principal, **more)


IDENTITY, RESOURCE = evaluation.IDENTITY, evaluation.RESOURCE
SESSION, BOUNDARY = "session policy", "permissions boundary"


@pytest.mark.parametrize(
    ("caller", "resource", "expected"),
    [
        (user(), [], Decision(False, missing=IDENTITY)),
        (user(allow()), [], Decision(True)),
        (user(allow(), deny()), [], Decision(False, denied_by=IDENTITY)),
        (user(deny()), [to("*")], Decision(False, denied_by=IDENTITY)),
        (user(), [to({"AWS": USER_ARN})], Decision(True)),
        (user(), [to("*")], Decision(True)),
        (user(), [to({"AWS": "*"})], Decision(True)),
        (user(), [to({"AWS": ACCOUNT})], Decision(False, missing=IDENTITY)),
        (user(allow()), [to({"AWS": ACCOUNT})], Decision(True)),
        (user(), [to({"AWS": ROLE_ARN})], Decision(False, missing=IDENTITY)),
        (user(), [to({"CanonicalUser": "x"})], Decision(False, missing=IDENTITY)),
        (user(), [to(3)], Decision(False, missing=IDENTITY)),
        (user(allow()), [to("*", Effect="Deny")], Decision(False, denied_by=RESOURCE)),
        (role(), [to({"AWS": ROLE_ARN})], Decision(True)),
        (role(), [to({"AWS": [SESSION_ARN]})], Decision(True)),
        (ROOT, [], Decision(True)),
        (ROOT, [to("*", Effect="Deny")], Decision(False, denied_by=RESOURCE)),
        (ROOT, [to({"AWS": ACCOUNT})], Decision(True)),
        (SERVICE, [], Decision(False, missing=RESOURCE)),
        (SERVICE, [to({"Service": "s3.amazonaws.com"})], Decision(True)),
        (SERVICE, [to({"Service": ["sns.amazonaws.com"]})], Decision(False, missing=RESOURCE)),
        (INTERNAL, [to("*", Effect="Deny")], Decision(True)),
        (ANONYMOUS, [], Decision(False, missing=RESOURCE)),
        (ANONYMOUS, [to("*")], Decision(True)),
        (ANONYMOUS, [to({"AWS": USER_ARN})], Decision(False, missing=RESOURCE)),
        (STRANGER, [], Decision(False, missing=RESOURCE)),
        (STRANGER, [to({"AWS": "111111111111"})], Decision(True)),
        # Limits: session policies and permissions boundaries
        (user(allow(), limits=((BOUNDARY, ()),)), [], Decision(False, missing=BOUNDARY)),
        (user(allow(), limits=((BOUNDARY, (allow(),)),)), [], Decision(True)),
        (
            user(allow(), limits=((BOUNDARY, (deny(),)),)),
            [to({"AWS": USER_ARN})],
            Decision(False, denied_by=BOUNDARY),
        ),
        (user(limits=((BOUNDARY, ()),)), [to({"AWS": USER_ARN})], Decision(True)),
        (
            role(limits=((SESSION, (allow("sqs:*"),)),)),
            [to({"AWS": ROLE_ARN})],
            Decision(False, missing=SESSION),
        ),
        (role(limits=((SESSION, ()),)), [to({"AWS": SESSION_ARN})], Decision(True)),
    ],
)
def test_who(caller: Caller, resource: list[Any], expected: Decision) -> None:
    assert decide(caller, *resource) == expected


def test_a_stranger_needs_both() -> None:
    bare = Caller("user", STRANGER.arn, STRANGER.account)
    assert decide(bare, to({"AWS": STRANGER.arn})) == Decision(False, missing=IDENTITY)


def test_not_principal() -> None:
    only_ann = {
        "Statement": {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "NotPrincipal": {"AWS": [USER_ARN, f"arn:aws:iam::{ACCOUNT}:root"]},
        }
    }
    assert decide(user(allow()), only_ann).is_allowed
    assert decide(role(allow()), only_ann) == Decision(True)  # the account is named, too
    assert decide(ANONYMOUS, only_ann, to("*")).denied_by == RESOURCE


def test_root_can_always_repair_a_bucket_policy() -> None:
    locked = to("*", Effect="Deny")
    bucket = "arn:aws:s3:::b"
    assert decide(ROOT, locked, needs=Requirement("s3:DeleteBucketPolicy", bucket)).is_allowed
    assert not decide(ROOT, locked, needs=Requirement("s3:ListBucket", bucket)).is_allowed


@pytest.mark.parametrize(
    ("identity", "principal", "is_allowed"),
    [
        ([], USER_ARN, True),
        ([], ACCOUNT, False),
        ([allow("sts:*")], ACCOUNT, True),
        ([allow("sts:*")], ROLE_ARN, False),
    ],
)
def test_trust_policies_must_allow(identity: Any, principal: str, is_allowed: bool) -> None:
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
        ]
    }
    needs = Requirement("sts:AssumeRole", ROLE_ARN)
    assert decide(user(*identity), trust, needs=needs).is_allowed == is_allowed


@pytest.mark.parametrize(
    ("statement", "is_allowed"),
    [
        ({"Action": "S3:getobject", "Resource": READ.resource}, True),
        ({"Action": ["sqs:*", "s3:Get*"], "Resource": ["arn:aws:s3:::b/?"]}, True),
        ({"Action": "s3:GetObjec?", "Resource": "arn:aws:s3:::B/k"}, False),
        ({"NotAction": "s3:Put*", "Resource": "*"}, True),
        ({"NotAction": ["s3:*"], "Resource": "*"}, False),
        ({"Action": "*", "NotResource": "arn:aws:s3:::b/*"}, False),
        ({"Action": "*", "NotResource": "arn:aws:s3:::c/*"}, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::b/${aws:username}"}, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::${aws:PrincipalTag/t}/k"}, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::${none, 'b'}/k"}, True),
        ({"Action": "*", "Resource": "arn:aws:s3:::${none}/k"}, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::b/${*}"}, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::${star}/k"}, False),
        ({"Action": "*", "Resource": "*", "Condition": {"Odd": {"a": "b"}}}, False),
        ({"Action": "*", "Resource": "*", "Condition": {"Bool": "b"}}, False),
        ({"Resource": "*"}, False),
    ],
)
def test_what(statement: dict[str, Any], is_allowed: bool) -> None:
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}}
    caller = user(document)
    keys = {"aws:username": "ann", "aws:PrincipalTag/t": "b", "star": "*"}
    assert decide(caller, **keys).is_allowed == is_allowed


def test_an_unreadable_deny_denies() -> None:
    assert not decide(user(allow(), deny(Condition={"Odd": {"a": "b"}}))).is_allowed


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "holds"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["b", "a"], "a", True),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIgnoreCase", "A", "a", True),
        ("StringNotEqualsIgnoreCase", "A", "a", False),
        ("StringLike", "a*c", "abc", True),
        ("StringLike", "${x}*", "X*Y", True),
        ("StringEquals", "${x}", "X*", True),
        ("StringEquals", "${nothing}", "", False),
        ("StringNotLike", "a?c", "abc", False),
        ("NumericLessThan", "10", 9, True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", 10, "10", False),
        ("NumericGreaterThanEquals", 10, "10", True),
        ("NumericEquals", "1", "x", False),
        ("NumericNotEquals", "1", "2", True),
        ("DateLessThan", "2026-12-01T00:00:00Z", "2026-11-01T00:00:00Z", True),
        ("DateGreaterThan", "2026", "1795000000", True),
        ("DateGreaterThanEquals", "2026-11", "2026-11-01T00:00:00Z", True),
        ("DateLessThanEquals", "2026-11-01T00:00:00.5Z", "2026-11-01T00:00:01Z", False),
        ("DateEquals", "2026-01-01", "2026-01-01T00:00:00+00:00", True),
        ("DateNotEquals", "2026-01-01", "2026-01-02", True),
        ("Bool", "true", True, True),
        ("Bool", True, "false", False),
        ("BinaryEquals", "AAE=", "AAE=", True),
        ("BinaryEquals", "AAE=", "?", False),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", ["::1", "127.0.0.1"], "::1", True),
        ("IpAddress", "10.0.0.0/8", "testclient", False),
        ("NotIpAddress", "10.0.0.0/8", "10.1.2.3", False),
        ("ArnLike", "arn:aws:s3:::b*", "arn:aws:s3:::bucket", True),
        ("ArnEquals", "arn:*:s3:::b", "arn:aws:s3:::b", True),
        ("ArnLike", "arn:aws:s3:*:b", "arn:aws:s3:::b", False),
        ("ArnLike", "*", "arn:aws:s3:::b", True),
        ("ArnNotLike", "arn:aws:s3:::b", "arn:aws:s3:::c", True),
        ("ArnNotEquals", "arn:aws:s3:::b", "arn:aws:s3:::b", False),
        ("Null", "true", None, True),
        ("Null", "false", "x", True),
        ("Null", "true", "x", False),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAllValues:StringEquals", ["a"], [], True),
        ("ForAnyValue:StringLike", ["a*"], ["x", "ab"], True),
        ("ForAnyValue:StringEquals", ["a"], ["b"], False),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "b"], False),
        ("StringNotEquals", "a", ["a", "b"], False),
        ("stringequals", "a", "a", True),
    ],
)
def test_conditions(operator: str, wanted: Any, given: Any, holds: bool) -> None:
    values = {"x": "X*"} | ({} if given is None else {"the:key": given})
    tests = conditions.tests({operator: {"The:Key": wanted}})
    assert all(test.holds(values) for test in tests) == holds


@pytest.mark.parametrize("operator", [*conditions._OPERATORS, *conditions._NEGATED])
def test_a_missing_key_and_every_operator(operator: str) -> None:
    """Of AWS's table: a negated operator holds, …IfExists holds, ForAllValues holds; no other."""

    def holds(name: str) -> bool:
        (test,) = conditions.tests({name: {"a": "1"}})
        return test.holds({})

    assert holds(operator) == (operator in conditions._NEGATED)
    assert holds(f"{operator}IfExists")
    assert holds(f"ForAllValues:{operator}")
    assert not holds(f"ForAnyValue:{operator}")


@pytest.mark.parametrize("operator", ["Odd", "NullIfExists", "ForAnyValue:Odd", "StringLess"])
def test_unknown_operators(operator: str) -> None:
    with pytest.raises(conditions.UnknownOperator):
        conditions.tests({operator: {"a": "b"}})


def test_all_keys_of_a_block_must_hold() -> None:
    block = {"StringEquals": {"a": "1", "b": "2"}}
    assert decide(user(allow(Condition=block)), a="1", b="2").is_allowed
    assert not decide(user(allow(Condition=block)), a="1", b="3").is_allowed


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("", "", True),
        ("*", "", True),
        ("**", "x", True),
        ("a*", "ab", True),
        ("*b", "ab", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*a", "a", False),
        ("a?", "a", False),
        ("?*?", "ab", True),
        ("a*b?d*e", "a-bcd-e", True),
        ("[a]*", "[a]b", True),
        ("a*\n", "ab\n", True),
        ("b*", "ab", False),
    ],
)
def test_wildcards(pattern: str, text: str, matches: bool) -> None:
    assert patterns.glob(pattern)(text) == matches


def test_wildcards_never_backtrack() -> None:
    assert not patterns.glob("*a" * 40 + "b")("a" * 20_000)


def test_variables_came_with_version_2012() -> None:
    """In older policies `${` is just text."""
    for version, is_allowed in (("2012-10-17", True), ("2008-10-17", False)):
        resource = allow(resource="arn:aws:s3:::${x}/k") | {"Version": version}
        assert decide(user(resource), x="b").is_allowed == is_allowed
        block = allow(Condition={"StringEquals": {"x": "${x}"}}) | {"Version": version}
        assert decide(user(block), x="b").is_allowed == is_allowed
