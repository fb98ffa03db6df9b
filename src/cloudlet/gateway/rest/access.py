"""Who may call a method: the API's resource policy, IAM signatures, Lambda authorizers.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-to-api.html
"""

import re
from typing import Any

from cloudlet.call import ANONYMOUS, Caller, Cloud, Requirement
from cloudlet.errors import AwsError
from cloudlet.gateway import variables
from cloudlet.gateway.lambda_authorizers import (
    AuthorizerFailed,
    LambdaAuthorizer,
    LambdaAuthorizers,
    Unauthorized,
    Verdict,
    request_event,
    token_event,
)
from cloudlet.gateway.rest import lambda_proxy
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.passage import Passage
from cloudlet.policy import regexes
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import Decision, evaluate

_INVOKE = "execute-api:Invoke"
_EXPIRED = frozenset(("ExpiredToken", "ExpiredTokenException"))
_Identity = tuple[str, ...]


class Access:
    def __init__(self, cloud: Cloud, authorizers: LambdaAuthorizers) -> None:
        self._cloud = cloud
        self._authorizers = authorizers

    async def check(self, passage: Passage) -> str:
        """The API key that an authorizer found, or ""; raises Fault."""
        kind = passage.method.document.get("authorizationType") or "NONE"
        if kind == "AWS_IAM":
            await self._signed(passage)
        elif passage.served.policy is not None:
            decision = self._decide(passage, ANONYMOUS, _INVOKE)
            if not decision.is_allowed:
                raise _denied(passage, "anonymous", decision)
        if kind == "CUSTOM":
            return await self._custom(passage)
        if kind not in ("NONE", "AWS_IAM"):
            raise Fault("AUTHORIZER_CONFIGURATION_ERROR", reason=f"Authorization type {kind}")
        return ""

    def may_invalidate(self, passage: Passage) -> bool:
        caller = passage.caller
        if caller is None:
            return False
        return self._decide(passage, caller, "execute-api:InvalidateCache").is_allowed

    def _decide(self, passage: Passage, caller: Caller, action: str) -> Decision:
        requirement = Requirement(action, passage.method_arn)
        context = Context(self._cloud.config, caller, passage.request, requirement)
        policy = passage.served.policy
        return evaluate(caller, requirement, context, [policy] if policy else [])

    async def _signed(self, passage: Passage) -> None:
        try:
            caller = await self._cloud.authenticate(passage.request, "execute-api")
        except AwsError as error:
            kind = "EXPIRED_TOKEN" if error.code in _EXPIRED else "INVALID_SIGNATURE"
            raise Fault(kind, error.message) from error
        if caller.kind == "anonymous":
            raise Fault("MISSING_AUTHENTICATION_TOKEN")
        passage.caller = caller
        passage.context["identity"] |= {
            "accessKey": caller.access_key or None,
            "accountId": caller.account,
            "caller": caller.user_id or None,
            "user": caller.user_id or None,
            "userArn": caller.arn,
        }
        decision = self._decide(passage, caller, _INVOKE)
        if not decision.is_allowed and not self._cloud.config.open_access:
            raise _denied(passage, caller.arn, decision)

    async def _custom(self, passage: Passage) -> str:
        authorizer, document = passage.method.authorizer, passage.method.authorizer_document
        if authorizer is None or document is None:
            raise Fault("AUTHORIZER_CONFIGURATION_ERROR", reason="There is no such authorizer")
        identity = identity_of(passage, document)
        verdict = self._authorizers.kept(authorizer, identity)
        if verdict is None:
            verdict = await self.ask(passage, authorizer, identity)
            latency_ms = verdict.latency_ms
        else:
            latency_ms = 0
        passage.context["authorizer"] = {
            **{name: variables.text(value) for name, value in verdict.context.items()},
            "principalId": verdict.principal,
            "integrationLatency": latency_ms,
        }
        decision = verdict.decide(self._cloud, passage.request, passage.method_arn)
        if not decision.is_allowed:
            message = "User is not authorized to access this resource"
            if decision.denied_by:
                message += " with an explicit deny"
            raise Fault("ACCESS_DENIED", message)
        return verdict.usage_key

    async def ask(
        self, passage: Passage, authorizer: LambdaAuthorizer, identity: _Identity
    ) -> Verdict:
        document = passage.method.authorizer_document or {}
        event: Any
        if document["type"] == "TOKEN":
            event = token_event(identity[-1], passage.method_arn)
        else:
            event = request_event(lambda_proxy.event(passage), passage.method_arn)
        passage.note(f"Sending request to authorizer {authorizer.function}")
        try:
            return await self._authorizers.ask(authorizer, identity, event)
        except Unauthorized:
            raise Fault("UNAUTHORIZED") from None
        except AuthorizerFailed as error:
            raise Fault("AUTHORIZER_FAILURE", reason=str(error)) from error


def identity_of(passage: Passage, document: dict[str, Any]) -> _Identity:
    """The stage and the values of the identity sources; without one nobody is asked: 401."""
    sources = [s.strip() for s in (document.get("identitySource") or "").split(",") if s.strip()]
    if not sources and document["type"] == "TOKEN":
        sources = ["method.request.header.Authorization"]
    if not sources:
        return ()
    served = passage.served
    found = variables.identity(sources, passage.request, passage.context, served.variables)
    if found is None:
        raise Fault("UNAUTHORIZED")
    expression = document.get("identityValidationExpression")
    if expression and document["type"] == "TOKEN" and not _matches(expression, found[0]):
        raise Fault("UNAUTHORIZED")
    return (served.stage, *found)


def _matches(expression: str, token: str) -> bool:
    try:
        return regexes.compiled(expression).fullmatch(token) is not None
    except re.error:
        return False


def _denied(passage: Passage, who: str, decision: Decision) -> Fault:
    account = passage.served.account
    arn = passage.method_arn.replace(f":{account}:", f":********{account[-4:]}:")
    message = f"User: {who} is not authorized to perform: {_INVOKE} on resource: {arn}"
    if decision.denied_by:
        article = "an" if decision.denied_by.startswith("identity") else "a"
        return Fault(
            "ACCESS_DENIED", f"{message} with an explicit deny in {article} {decision.denied_by}"
        )
    return Fault(
        "ACCESS_DENIED", f"{message} because no {decision.missing} allows the {_INVOKE} action"
    )
