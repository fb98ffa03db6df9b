"""The condition keys of a request: the global ones, the session's, the service's own.

Gathered only when a policy asks for one: most calls of a role never do.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cloudlet.call import Caller, Requirement
from cloudlet.config import Config
from cloudlet.exchange import Request

_PRINCIPAL_TYPES = {
    "root": "Account",
    "user": "User",
    "role": "AssumedRole",
    "federated": "FederatedUser",
}


class Context(Mapping[str, Any]):
    """Condition keys in lower case, gathered at the first look."""

    def __init__(
        self, config: Config, caller: Caller, request: Request, requirement: Requirement
    ) -> None:
        self._config = config
        self._caller = caller
        self._request = request
        self._requirement = requirement
        self._values: dict[str, Any] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        if key == "aws:resourceaccount":  # every evaluation asks for it
            return _owner(self._config, self._caller, self._requirement)
        return self._all.get(key, default)

    @property
    def _all(self) -> dict[str, Any]:
        if self._values is None:
            self._values = condition_keys(
                self._config, self._caller, self._request, self._requirement
            )
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def via(caller: Caller, service: str) -> Caller:
    """The caller in whose name a service makes its own calls."""
    before = list(caller.context.get("aws:CalledVia", []))
    chain = before if before[-1:] == [service] else [*before, service]
    keys = {"aws:CalledVia": chain, "aws:CalledViaFirst": chain[0], "aws:CalledViaLast": service}
    return replace(caller, context={**caller.context, **keys, "aws:ViaAWSService": True})


def condition_keys(
    config: Config, caller: Caller, request: Request, requirement: Requirement
) -> dict[str, Any]:
    """The global keys, the session's and the service's own, names in lower case."""
    now_ms = config.now_ms()
    values: dict[str, Any] = {
        "aws:sourceip": request.client,
        "aws:securetransport": is_secure(request),
        "aws:currenttime": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(),
        "aws:epochtime": now_ms // 1000,
        "aws:requestedregion": config.region,
        "aws:principalisawsservice": caller.kind == "service",
        "aws:viaawsservice": False,
        "aws:resourceaccount": _owner(config, caller, requirement),
    }
    values.update(_header_keys(request.headers))
    values.update(_principal_keys(caller))
    values.update((name.lower(), value) for name, value in caller.context.items())
    values.update((name.lower(), value) for name, value in requirement.context.items())
    return values


def _owner(config: Config, caller: Caller, requirement: Requirement) -> str:
    """Whose resource it is; here a caller from another account owns nothing."""
    if caller.account and caller.account != config.account:
        return config.account
    return resource_account(requirement.resource, config.account)


def is_secure(request: Request) -> bool:
    """policy-001: what never leaves this machine needs no TLS. Else AWS's tools at
    http://localhost could not use buckets whose policies ask for it, as the CDK's do."""
    is_here = request.client == "::1" or request.client.startswith("127.")
    is_forwarded = request.headers.get("x-forwarded-proto") == "http"
    return request.scheme in ("https", "wss") or (is_here and not is_forwarded)


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
