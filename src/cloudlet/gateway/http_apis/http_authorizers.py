"""May this request pass? JWT, Lambda and IAM authorizers of HTTP APIs, and IAM of WebSocket APIs.

A `Guard` is a route's authorization, compiled. `admit` answers with what the event will say under
`requestContext.authorizer`, or raises `Refused` with the answer that AWS gives.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control.html
"""

from collections.abc import Callable
from dataclasses import dataclass

from cloudlet.call import Caller, Cloud, Requirement
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.gateway import variables
from cloudlet.gateway.answers import message
from cloudlet.gateway.configuration import Document
from cloudlet.gateway.http_apis import jwt, parts
from cloudlet.gateway.http_apis.jwt import InvalidToken, JwtAuthorizer, Tokens
from cloudlet.gateway.lambda_authorizers import (
    AuthorizerFailed,
    LambdaAuthorizer,
    LambdaAuthorizers,
    Unauthorized,
    request_event,
)
from cloudlet.gateway.payloads import Admission
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate


class Refused(Exception):
    def __init__(self, response: Response, why: str = "") -> None:
        super().__init__(why)
        self.response = response


@dataclass(frozen=True, slots=True)
class Guard:
    """`function` for CUSTOM, `token` for JWT, neither for AWS_IAM."""

    sources: tuple[str, ...] = ()
    version: str = ""  # of the function's event; "" for WebSocket APIs
    function: LambdaAuthorizer | None = None
    token: JwtAuthorizer | None = None
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """What authorizers look at. `event(version)` is the event that an integration would get."""

    request: Request
    arn: str  # of the method, for policies
    context: Document
    stage_variables: dict[str, str]
    event: Callable[[str], Document]


class HttpAuthorizers:
    def __init__(self, cloud: Cloud, functions: LambdaAuthorizers) -> None:
        self._cloud = cloud
        self._functions = functions
        self._tokens = Tokens()

    async def admit(self, guard: Guard, asked: Asked) -> Admission:
        if guard.token is not None:
            return await self._by_token(guard, guard.token, asked)
        if guard.function is not None:
            return await self._by_function(guard, guard.function, asked)
        return await self._by_signature(asked)

    async def _by_token(self, guard: Guard, token: JwtAuthorizer, asked: Asked) -> Admission:
        found = _identity(guard, asked)
        if found is None:
            raise Refused(refusal(401, "Unauthorized", "Bearer"), "no token")
        scheme, _, rest = found[0].partition(" ")
        text = rest.strip() if scheme.lower() == "bearer" else found[0]
        try:
            claims = await self._tokens.claims(text, token, self._cloud.config.now_ms())
        except InvalidToken as error:
            challenge = f'Bearer scope="" error="invalid_token" error_description="{error}"'
            raise Refused(refusal(401, "Unauthorized", challenge), str(error)) from None
        scopes = jwt.scopes(claims)
        if guard.scopes and not guard.scopes & set(scopes):
            wanted = " ".join(sorted(guard.scopes))
            challenge = (
                f'Bearer scope="{wanted}" error="insufficient_scope" '
                'error_description="the token does not have a valid scope"'
            )
            raise Refused(refusal(403, "Forbidden", challenge), "insufficient scope")
        return Admission("jwt", {"claims": jwt.claim_texts(claims), "scopes": scopes or None})

    async def _by_function(
        self, guard: Guard, function: LambdaAuthorizer, asked: Asked
    ) -> Admission:
        identity = _identity(guard, asked)
        if identity is None:
            raise Refused(refusal(401, "Unauthorized"), "an identity source is missing")
        try:
            verdict = self._functions.kept(function, identity)
            if verdict is None:
                event = _function_event(guard, asked, identity)
                verdict = await self._functions.ask(function, identity, event)
        except Unauthorized:
            raise Refused(refusal(401, "Unauthorized"), "Unauthorized") from None
        except AuthorizerFailed as error:
            raise Refused(refusal(500, "Internal Server Error"), str(error)) from None
        if not verdict.decide(self._cloud, asked.request, asked.arn).is_allowed:
            raise Refused(refusal(403, "Forbidden"), "denied by the authorizer")
        return Admission("lambda", dict(verdict.context) or None, verdict.principal)

    async def _by_signature(self, asked: Asked) -> Admission:
        cloud = self._cloud
        try:
            caller = await cloud.authenticate(asked.request, "execute-api")
        except AwsError as error:
            raise Refused(refusal(403, error.message), error.code) from None
        if caller.kind == "anonymous":
            raise Refused(refusal(403, "Forbidden"), "no signature")
        requirement = Requirement("execute-api:Invoke", asked.arn)
        context = Context(cloud.config, caller, asked.request, requirement)
        allowed = cloud.config.open_access or evaluate(caller, requirement, context).is_allowed
        if not allowed:
            raise Refused(refusal(403, "Forbidden"), "denied by the caller's policies")
        return Admission("iam", iam_document(caller), caller.arn)


def iam_document(caller: Caller) -> Document:
    """`requestContext.authorizer.iam` of format 2.0."""
    return {
        "accessKey": caller.access_key,
        "accountId": caller.account,
        "callerId": caller.user_id or caller.account,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.arn,
        "userId": caller.user_id or caller.account,
    }


def compiled(route: Document, authorizers: dict[str, Document], root_arn: str) -> Guard | None:
    """A route's guard; `root_arn` is `…:API`."""
    kind = route.get("AuthorizationType") or "NONE"
    if kind == "NONE":
        return None
    if kind == "AWS_IAM":
        return Guard()
    found = authorizers[route["AuthorizerId"]]
    sources = tuple(found.get("IdentitySource") or ())
    if kind == "JWT":
        configured = found["JwtConfiguration"]
        token = JwtAuthorizer(configured["Issuer"], frozenset(configured["Audience"]))
        return Guard(sources, token=token, scopes=frozenset(route.get("AuthorizationScopes") or ()))
    function = LambdaAuthorizer(
        found["AuthorizerId"],
        parts.function_arn(found["AuthorizerUri"]),
        f"{root_arn}/authorizers/{found['AuthorizerId']}",
        found.get("AuthorizerResultTtlInSeconds") or 0,
        found.get("AuthorizerCredentialsArn"),
        bool(found.get("EnableSimpleResponses")),
        found.get("AuthorizerPayloadFormatVersion") != "2.0",
    )
    return Guard(sources, found.get("AuthorizerPayloadFormatVersion") or "", function)


def refusal(status: int, text: str, challenge: str = "") -> Response:
    return message(status, text, *([("www-authenticate", challenge)] if challenge else []))


def _identity(guard: Guard, asked: Asked) -> tuple[str, ...] | None:
    return variables.identity(
        list(guard.sources), asked.request, asked.context, asked.stage_variables
    )


def _function_event(guard: Guard, asked: Asked, identity: tuple[str, ...]) -> Document:
    event = asked.event(guard.version)
    if not guard.version:  # WebSocket APIs
        return request_event(event, asked.arn)
    event = {n: v for n, v in event.items() if n not in ("body", "isBase64Encoded")}
    if guard.version == "2.0":
        named = {"type": "REQUEST", "routeArn": asked.arn, "identitySource": list(identity) or None}
        return {**event, **named}
    joined = ",".join(identity) or None
    named_1 = {"identitySource": joined, "authorizationToken": joined}
    return {**event, "type": "REQUEST", "methodArn": asked.arn, **named_1}
