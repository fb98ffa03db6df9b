"""IAM policy evaluation: pure, no store, no clock.

`evaluate` answers whether a caller may do one thing. An explicit deny anywhere wins; then something
must allow, by default nothing does. Within one account an identity policy *or* the resource's own
policy suffices; between accounts both must. A role's trust policy and a key's policy are the
exception: they must allow, whatever the identity's policies say. Session policies and permissions
boundaries only take away.

Compiled documents are kept by their contents; conditions read the context only when they must.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.call import Caller, Requirement
from cloudlet.policy import conditions, patterns
from cloudlet.policy.patterns import Match, Values

Document = Mapping[str, Any]
INTERNAL = "cloudlet.internal"  # cloudlet itself: trusted
IDENTITY = "identity-based policy"
RESOURCE = "resource-based policy"
_NEITHER, _ALLOW, _DENY = 0, 1, 2
# How a resource policy names a caller.
_NOBODY, _ACCOUNT, _EVERYONE, _ROLE, _DIRECT = range(5)
# The account's root can always repair a bucket policy that locked everybody out.
_ROOT_ALWAYS = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))


@dataclass(frozen=True, slots=True)
class Decision:
    """`denied_by`: the kind of policy with an explicit deny; `missing`: the kind that had to
    allow and didn't. Both are worded as AWS's messages say them."""

    is_allowed: bool
    denied_by: str = ""
    missing: str = ""


ALLOWED = Decision(True)


@dataclass(frozen=True, slots=True)
class Principals:
    """Who a resource policy's statement is about."""

    is_negated: bool
    everyone: bool
    aws: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    is_allow: bool
    actions: tuple[Match, ...]  # on the action in lower case
    not_actions: bool
    resources: tuple[Match | str, ...]  # str: has variables
    not_resources: bool
    tests: tuple[conditions.Test, ...] | None  # None: could not be understood
    principals: Principals | None

    def applies(self, action: str, resource: str, values: Values) -> bool:
        if any(match(action) for match in self.actions) == self.not_actions:
            return False
        if self._has_resource(resource, values) == self.not_resources:
            return False
        if self.tests is None:  # an unreadable condition never allows, and always denies
            return not self.is_allow
        return all(test.holds(values) for test in self.tests)

    def _has_resource(self, resource: str, values: Values) -> bool:
        for match in self.resources:
            if isinstance(match, str):
                pattern = patterns.substitute(match, values)
                if pattern is not None and patterns.glob(pattern)(resource):
                    return True
            elif match(resource):
                return True
        return False


def evaluate(
    caller: Caller,
    requirement: Requirement,
    context: Values,
    resource_policies: Sequence[Document] = (),
) -> Decision:
    """`context` has condition keys in lower case; "aws:resourceaccount" says whose resource it is
    (absent: the caller's)."""
    if caller.kind == "service" and caller.arn == INTERNAL:
        return ALLOWED
    action, resource = requirement.action.lower(), requirement.resource
    by_resource, naming = _NEITHER, _NOBODY
    if resource_policies:
        by_resource, naming = _by_resource(caller, action, resource, context, resource_policies)
    if by_resource == _DENY and not (caller.kind == "root" and requirement.action in _ROOT_ALWAYS):
        return Decision(False, denied_by=RESOURCE)
    if caller.kind in ("anonymous", "service"):
        return ALLOWED if by_resource == _ALLOW else Decision(False, missing=RESOURCE)
    by_identity = (
        _ALLOW if caller.kind == "root" else (_verdict(caller.policies, action, resource, context))
    )
    if by_identity == _DENY:
        return Decision(False, denied_by=IDENTITY)
    lacking = _lacking(caller, action, resource, context) if caller.limits else None
    if lacking is not None and lacking.denied_by:
        return lacking
    owner = context.get("aws:resourceaccount", caller.account)
    needs_both = owner != caller.account
    if by_resource == _ALLOW and not needs_both and naming != _ACCOUNT:
        return ALLOWED if naming == _DIRECT or lacking is None else lacking
    if by_identity != _ALLOW:
        return Decision(False, missing=IDENTITY)
    if lacking is not None:
        return lacking
    if (needs_both or _needs_policy(action, resource)) and by_resource != _ALLOW:
        return Decision(False, missing=RESOURCE)
    return ALLOWED


def _needs_policy(action: str, resource: str) -> bool:
    """Of roles (who may become one) and keys: without their own policies IAM's say nothing."""
    if action.startswith("kms:"):
        return ":key/" in resource
    return action in ("sts:assumerole", "sts:tagsession", "sts:setsourceidentity")


def _lacking(caller: Caller, action: str, resource: str, values: Values) -> Decision | None:
    """What a session policy or a permissions boundary takes away."""
    lacking = None
    for kind, documents in caller.limits:
        verdict = _verdict(documents, action, resource, values)
        if verdict == _DENY:
            return Decision(False, denied_by=kind)
        if verdict != _ALLOW:
            lacking = Decision(False, missing=kind)
    return lacking


def _verdict(documents: Iterable[Document], action: str, resource: str, values: Values) -> int:
    verdict = _NEITHER
    for document in documents:
        for statement in statements(document):
            if (not statement.is_allow or verdict == _NEITHER) and statement.applies(
                action, resource, values
            ):
                if not statement.is_allow:
                    return _DENY
                verdict = _ALLOW
    return verdict


def _by_resource(
    caller: Caller, action: str, resource: str, values: Values, documents: Sequence[Document]
) -> tuple[int, int]:
    """The resource policies' verdict, and the closest way an allowing one named the caller."""
    verdict, closest = _NEITHER, _NOBODY
    for document in documents:
        for statement in statements(document):
            naming = _naming(statement.principals, caller)
            if naming == _NOBODY or not statement.applies(action, resource, values):
                continue
            if not statement.is_allow:
                return _DENY, naming
            verdict, closest = _ALLOW, max(closest, naming)
    return verdict, closest


def _naming(principals: Principals | None, caller: Caller) -> int:
    if principals is None:
        return _NOBODY
    naming = _EVERYONE if principals.everyone else _named(principals, caller)
    if principals.is_negated:
        return _NOBODY if naming != _NOBODY else _EVERYONE
    return naming


def _named(principals: Principals, caller: Caller) -> int:
    if caller.kind == "service":
        return _DIRECT if caller.arn in principals.services else _NOBODY
    if caller.kind == "anonymous":
        return _NOBODY
    if caller.arn in principals.aws:
        return _DIRECT
    if caller.kind == "role" and caller.context.get("aws:PrincipalArn") in principals.aws:
        return _ROLE
    account = f"arn:aws:iam::{caller.account}:root"
    if caller.account in principals.aws or account in principals.aws:
        return _DIRECT if caller.kind == "root" else _ACCOUNT
    return _NOBODY


def statements(document: Document) -> tuple[Statement, ...]:
    """The document's statements, compiled."""
    return _compiled(orjson.dumps(document, default=dict))


@lru_cache(maxsize=2048)
def _compiled(text: bytes) -> tuple[Statement, ...]:
    document = orjson.loads(text)
    found = document.get("Statement", [])
    # Before version 2012-10-17 there were no variables: "${" is just text.
    has_variables = document.get("Version") == "2012-10-17"
    items = found if isinstance(found, list) else [found]
    return tuple(_statement(item, has_variables) for item in items)


def _statement(item: Mapping[str, Any], has_variables: bool) -> Statement:
    not_actions, not_resources = "NotAction" in item, "NotResource" in item
    actions = _list(item.get("NotAction" if not_actions else "Action"))
    # Trust policies have no Resource: they are about the role they belong to.
    resources = _list(item.get("NotResource" if not_resources else "Resource", "*"))
    try:
        tests = conditions.tests(item.get("Condition") or {}, has_variables)
    except (conditions.UnknownOperator, AttributeError):
        tests = None
    return Statement(
        item.get("Effect") == "Allow",
        tuple(patterns.glob(action.lower()) for action in actions),
        not_actions,
        tuple(_resource(resource, has_variables) for resource in resources),
        not_resources,
        tests,
        _principals(item),
    )


def _resource(pattern: str, has_variables: bool) -> Match | str:
    if has_variables and patterns.has_variables(pattern):
        return pattern
    return patterns.glob(pattern)


def _principals(item: Mapping[str, Any]) -> Principals | None:
    is_negated = "NotPrincipal" in item
    value = item.get("NotPrincipal" if is_negated else "Principal")
    if value is None:
        return None
    if value == "*":
        return Principals(is_negated, True)
    if not isinstance(value, dict):
        return None
    # CanonicalUser and Federated name identities that cloudlet never issues: nobody.
    aws = tuple(_list(value.get("AWS")))
    return Principals(is_negated, "*" in aws, aws, tuple(_list(value.get("Service"))))


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
