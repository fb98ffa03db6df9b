"""May this call happen? Every requirement of it, against all policies that have a say.

The refusal is worded as AWS words it, per service. Condition keys are gathered only when a policy
asks for one: most calls of a role never do.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cloudlet.auth import policy, refusals
from cloudlet.auth.policy import IDENTITY, RESOURCE, Decision
from cloudlet.auth.refusals import Dialect
from cloudlet.call import Call, Caller, Requirement
from cloudlet.errors import AwsError
from cloudlet.store.database import View
from cloudlet.wire import models
from cloudlet.wire.service import Service

_PRINCIPAL_TYPES = {"root": "Account", "user": "User", "role": "AssumedRole"}


def authorize(call: Call, service: Service, view: View) -> None:
    """Raises AWS's AccessDenied unless all that the call requires is allowed."""
    caller = call.caller
    if caller.kind == "service" and caller.arn == policy.INTERNAL:
        return
    if caller.kind == "anonymous" and service.name != "s3":
        raise refusals.missing(Dialect(_kind(service.name)))
    requirements = service.requirements(call)
    if not requirements:
        return
    documents = service.resource_policies(call, view)
    for requirement in requirements:
        context = Context(call, requirement)
        decision = policy.evaluate(caller, requirement, context, documents)
        if not decision.is_allowed:
            raise _refusal(service.name, caller, requirement, decision)


class Context(Mapping[str, Any]):
    """Condition keys in lower case, gathered at the first look."""

    def __init__(self, call: Call, requirement: Requirement) -> None:
        self._call = call
        self._requirement = requirement
        self._values: dict[str, Any] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        if key == "aws:resourceaccount":  # every evaluation asks for it
            return resource_account(self._requirement.resource, self._call.config.account)
        return self._all.get(key, default)

    @property
    def _all(self) -> dict[str, Any]:
        if self._values is None:
            self._values = condition_keys(self._call, self._requirement)
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def condition_keys(call: Call, requirement: Requirement) -> dict[str, Any]:
    """The global keys, the session's and the service's own, names in lower case."""
    caller, request, now_ms = call.caller, call.request, call.now_ms
    values: dict[str, Any] = {
        "aws:sourceip": request.client,
        "aws:securetransport": request.scheme in ("https", "wss"),
        "aws:currenttime": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(),
        "aws:epochtime": now_ms // 1000,
        "aws:requestedregion": call.config.region,
        "aws:principalisawsservice": caller.kind == "service",
        "aws:viaawsservice": False,
        "aws:resourceaccount": resource_account(requirement.resource, call.config.account),
    }
    values.update(_header_keys(request.headers))
    values.update(_principal_keys(caller))
    values.update((name.lower(), value) for name, value in caller.context.items())
    values.update((name.lower(), value) for name, value in requirement.context.items())
    return values


def resource_account(arn: str, default: str) -> str:
    """Whose resource an ARN names; S3's name no account."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4] and parts[4] != "*" else default


def _header_keys(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for header, key in (("user-agent", "aws:useragent"), ("referer", "aws:referer")):
        if header in headers:
            yield key, headers[header]


def _principal_keys(caller: Caller) -> Iterator[tuple[str, str]]:
    if caller.kind == "service":
        yield "aws:principalservicename", caller.arn
        return
    if caller.kind == "anonymous":
        yield "aws:principaltype", "Anonymous"
        yield "aws:userid", "anonymous"
        return
    yield "aws:principalarn", caller.arn
    yield "aws:principalaccount", caller.account
    yield "aws:principaltype", _PRINCIPAL_TYPES.get(caller.kind, caller.kind)
    yield "aws:userid", caller.user_id or caller.account
    if caller.kind == "user":
        yield "aws:username", caller.arn.rsplit("/", 1)[-1]


def _kind(service: str) -> str:
    if service == "s3":
        return "s3"
    protocol = models.load(service).protocol
    return "query" if protocol == "rest-xml" else protocol


def _refusal(
    service: str, caller: Caller, requirement: Requirement, decision: Decision
) -> AwsError:
    kind = _kind(service)
    if kind == "s3" and (caller.kind == "anonymous" or decision.missing == RESOURCE):
        return AwsError("AccessDenied", "Access Denied", 403)
    resource = f'"{requirement.resource}"' if kind == "s3" else requirement.resource
    action = requirement.action
    message = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    if not action.startswith("sts:Assume"):  # STS never tells which policy it was
        message += _because(action, decision)
    if kind in ("s3", "query") or service == "sqs":
        return AwsError("AccessDenied", message, 403)
    return AwsError("AccessDeniedException", message, 403 if kind == "rest-json" else 400)


def _because(action: str, decision: Decision) -> str:
    if decision.denied_by:
        article = "an" if decision.denied_by == IDENTITY else "a"
        return f" with an explicit deny in {article} {decision.denied_by}"
    return f" because no {decision.missing} allows the {action} action"
