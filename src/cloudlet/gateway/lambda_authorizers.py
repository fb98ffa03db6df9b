"""Lambda authorizers of HTTP, REST and WebSocket APIs: asking the function, keeping its verdicts.

A verdict is a policy document, which says for each method's ARN whether it may be called, or a
simple yes or no (HTTP APIs, format 2.0). It is kept per authorizer and identity for the TTL: the
identity is the tuple of values of the identity sources. What the event looks like and how an error
is answered are the API's; `request_event` and `token_event` make AWS's documents.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from cloudlet.call import Caller, Cloud, Requirement
from cloudlet.errors import AwsError
from cloudlet.exchange import Request
from cloudlet.gateway.invocation import FunctionFailed, invoke, service
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import Decision, evaluate, statements
from cloudlet.policy.roles import Roles

TTL_S_MAX = 3600
_KEPT_MAX = 10_000
_TIMEOUT_S = 30.0
_log = logging.getLogger(__name__)


class Unauthorized(Exception):
    """The function raised "Unauthorized": 401."""


class AuthorizerFailed(Exception):
    """The function cannot be called, fails, or answers something else than a verdict: 500."""


@dataclass(frozen=True, slots=True)
class LambdaAuthorizer:
    id: str
    function: str
    source_arn: str  # `…:API/authorizers/ID`
    ttl_s: int  # 0: nothing is kept
    role: str | None = None  # assumed for the call
    is_simple: bool = False  # answers {"isAuthorized": …}
    scalars_only: bool = True  # REST and WebSocket contexts hold no objects or lists


@dataclass(frozen=True, slots=True)
class Verdict:
    principal: str
    context: Mapping[str, Any]
    is_authorized: bool  # of a simple answer
    policy: Mapping[str, Any] | None = None
    usage_key: str = ""  # REST: the API key that the authorizer found
    latency_ms: int = field(default=0, compare=False)

    def decide(self, cloud: Cloud, request: Request, method_arn: str) -> Decision:
        """May the identity call this method? `denied_by` tells an explicit deny."""
        if self.policy is None:
            return Decision(self.is_authorized)
        requirement = Requirement("execute-api:Invoke", method_arn)
        account = method_arn.split(":")[4]
        caller = Caller("user", self.principal, account, policies=(self.policy,))
        context = Context(cloud.config, caller, request, requirement)
        return evaluate(caller, requirement, context)


class LambdaAuthorizers:
    """Live state: the verdicts that are still good. Shared by all APIs of a process."""

    def __init__(self, cloud: Cloud, roles: Roles) -> None:
        self._cloud = cloud
        self._roles = roles
        self._kept: OrderedDict[tuple[str, ...], tuple[int, Verdict]] = OrderedDict()

    def forget(self, prefix: str) -> None:
        """Drops verdicts of authorizers whose `source_arn` starts so."""
        for key in [key for key in list(self._kept) if key[0].startswith(prefix)]:
            self._kept.pop(key, None)

    def kept(self, authorizer: LambdaAuthorizer, identity: tuple[str, ...]) -> Verdict | None:
        if not authorizer.ttl_s or not identity:
            return None
        until_ms, verdict = self._kept.get((authorizer.source_arn, *identity), (0, None))
        return verdict if until_ms > self._cloud.config.now_ms() else None

    async def ask(
        self, authorizer: LambdaAuthorizer, identity: tuple[str, ...], event: Mapping[str, Any]
    ) -> Verdict:
        """Asks the function; the verdict is kept if there are identity sources and a TTL."""
        started_ms = self._cloud.config.now_ms()
        answer = await self._answer(authorizer, event)
        now_ms = self._cloud.config.now_ms()
        verdict = _verdict(authorizer, answer, now_ms - started_ms)
        if authorizer.ttl_s and identity:
            key = (authorizer.source_arn, *identity)
            self._kept[key] = (now_ms + authorizer.ttl_s * 1000, verdict)
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        return verdict

    async def _answer(self, authorizer: LambdaAuthorizer, event: Mapping[str, Any]) -> Any:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                caller = service(self._cloud, authorizer.source_arn)
                if authorizer.role:
                    caller = await self._roles.caller(authorizer.role)
                payload = orjson.dumps(event)
                answer = await invoke(self._cloud, authorizer.function, payload, caller)
            return orjson.loads(answer)
        except FunctionFailed as error:
            if _message(error.payload) == "Unauthorized":
                raise Unauthorized from None
            failure: Exception = error
        except (TimeoutError, AwsError, ValueError) as error:
            failure = error
        _log.warning("authorizer %s (%s): %r", authorizer.id, authorizer.function, failure)
        raise AuthorizerFailed(str(failure)) from None


def token_event(token: str, method_arn: str) -> dict[str, Any]:
    """The event of REST's TOKEN authorizers."""
    return {"type": "TOKEN", "methodArn": method_arn, "authorizationToken": token}


def request_event(event: Mapping[str, Any], method_arn: str) -> dict[str, Any]:
    """The event of REQUEST authorizers (format 1.0): the integration's, without the body."""
    kept = {n: v for n, v in event.items() if n not in ("body", "isBase64Encoded")}
    return {"type": "REQUEST", "methodArn": method_arn, **kept}


def _message(payload: bytes) -> Any:
    try:
        document = orjson.loads(payload)
    except ValueError:
        return None
    return document.get("errorMessage") if isinstance(document, dict) else None


def _verdict(authorizer: LambdaAuthorizer, answer: Any, latency_ms: int) -> Verdict:
    if not isinstance(answer, dict):
        raise AuthorizerFailed("the answer is not an object")
    context = answer.get("context") or {}
    if not isinstance(context, dict):
        raise AuthorizerFailed("the context is not an object")
    if authorizer.is_simple:
        if not isinstance(answer.get("isAuthorized"), bool):
            raise AuthorizerFailed("isAuthorized is missing")
        return Verdict("", context, answer["isAuthorized"], latency_ms=latency_ms)
    policy, principal = answer.get("policyDocument"), answer.get("principalId")
    if not isinstance(policy, dict) or not isinstance(principal, str) or not principal:
        raise AuthorizerFailed("principalId or policyDocument is missing")
    try:
        statements(policy)
    except (AttributeError, TypeError, ValueError):
        raise AuthorizerFailed("the policyDocument is malformed") from None
    nested = any(isinstance(value, dict | list) for value in context.values())
    if authorizer.scalars_only and nested:
        raise AuthorizerFailed("a context may only hold strings, numbers and booleans")
    key = str(answer.get("usageIdentifierKey") or "")
    return Verdict(principal, context, False, policy, key, latency_ms)
