"""Rules' targets that are web APIs: API destinations, and APIs of API Gateway.

A target's path parameters, headers and query may take values from the event, by JSONPath. A
destination is asked no more often than its rate, gets what its connection adds, and with OAuth a
token that is fetched when there is none and again when it is refused. Answers 401, 407, 409, 429
and 5xx are tried again, after `Retry-After`; others end the attempts.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

import asyncio
import base64
import time
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloudlet.call import Caller, Cloud, Requirement
from cloudlet.errors import AwsError
from cloudlet.exchange import Response
from cloudlet.messaging.eventbridge import api_destinations, event_connections, inputs
from cloudlet.policy.evaluation import evaluate
from cloudlet.wire import outbound

Document = dict[str, Any]
Asked = tuple[Document, bytes]  # the event, and what the target gets of it
_TIMEOUT_S = 5.0  # AWS's
_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "user-agent": "Amazon/EventBridge/ApiDestinations",
}
_AGAIN = (401, 407, 409, 429)
_EARLY_S = 30  # before its end, a token is fetched anew


class Web:
    """Tokens and turns of destinations: what may be forgotten with the process."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, tuple[str, float, Document]] = {}
        self._turns: dict[str, float] = {}

    async def to_destination(self, target: Document, asked: Asked, caller: Caller) -> None:
        arn = target["Arn"]
        requirement = Requirement("events:InvokeApiDestination", arn)
        if caller.kind != "role" or not evaluate(caller, requirement, {}).is_allowed:
            raise AwsError("AccessDeniedException", f"The role may not invoke {arn}.", 403)
        view = self._cloud.database.view()
        found = api_destinations.find(view, arn)
        connection = found["ConnectionArn"]
        way, secrets = event_connections.secrets(self._cloud.blobs, view, connection)
        await self._turn(arn, found["InvocationRateLimitPerSecond"])
        request = _Request.of(target, asked, found["InvocationEndpoint"])
        request.add(secrets.get("InvocationHttpParameters") or {})
        for attempt in (0, 1):
            request.headers |= await self._authorization(connection, way, secrets)
            answer = await _ask(found["HttpMethod"], request)
            if answer.status not in (401, 407) or way != "OAUTH_CLIENT_CREDENTIALS" or attempt:
                break
            self._tokens.pop(connection, None)  # refused before its time
        _check(answer, arn)

    async def authorize(self, connection: str) -> None:
        """Has a token for what will be asked; raises where none is given."""
        found = event_connections.secrets(
            self._cloud.blobs, self._cloud.database.view(), connection
        )
        await self._authorization(connection, *found)

    async def to_gateway(self, target: Document, asked: Asked, rule_arn: str) -> None:
        """`arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/path`, signed where there is a
        role."""
        api, stage, method, *path = target["Arn"].split(":", 5)[5].split("/")
        place = f"{self._cloud.config.aws_endpoint}/_aws/execute-api/{api}/{stage}"
        request = _Request.of(target, asked, "/".join((place, *path)))
        request.headers["x-amz-source-account"] = self._cloud.config.account
        request.headers["x-amz-source-arn"] = rule_arn
        if request.headers["content-type"] == _HEADERS["content-type"]:
            request.headers["content-type"] = "application/json"
        if target.get("RoleArn"):
            await self._sign(method, request, target["RoleArn"])
        _check(await _ask(method, request), target["Arn"])

    async def _sign(self, method: str, request: "_Request", role: str) -> None:
        service = Caller("service", "events.amazonaws.com", self._cloud.config.account)
        params = {"RoleArn": role, "RoleSessionName": "events"}
        made = (await self._cloud.invoke("sts", "AssumeRole", params, service))["Credentials"]
        keys = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        draft = AWSRequest(method, request.address, headers=request.headers, data=request.body)
        SigV4Auth(keys, "execute-api", self._cloud.config.region).add_auth(draft)
        request.headers = dict(draft.headers)

    async def _turn(self, arn: str, rate: int) -> None:
        """Waits until it is an invocation's turn."""
        now_s = time.monotonic()
        turn_s = max(now_s, self._turns.get(arn, 0.0))
        self._turns[arn] = turn_s + 1 / rate
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)

    async def _authorization(self, connection: str, way: str, secrets: Document) -> dict[str, str]:
        if way == "BASIC":
            basic = secrets["BasicAuthParameters"]
            text = f"{basic['Username']}:{basic['Password']}".encode()
            return {"authorization": f"Basic {base64.b64encode(text).decode()}"}
        if way == "API_KEY":
            key = secrets["ApiKeyAuthParameters"]
            return {key["ApiKeyName"].lower(): key["ApiKeyValue"]}
        oauth = secrets["OAuthParameters"]
        token, until_s, asked_with = self._tokens.get(connection, ("", 0.0, oauth))
        if until_s <= time.monotonic() or asked_with != oauth:
            token, until_s = await _token(oauth)
            self._tokens[connection] = token, until_s, oauth
        return {"authorization": f"Bearer {token}"}


class _Request:
    """What is to be sent; connections add to it."""

    def __init__(self, url: str, body: bytes) -> None:
        self.url = url
        self.body = body
        self.query: dict[str, str] = {}
        self.headers = dict(_HEADERS)

    @classmethod
    def of(cls, target: Document, asked: Asked, url: str) -> "_Request":
        event, payload = asked
        settings = target.get("HttpParameters") or {}
        for value in settings.get("PathParameterValues") or ():
            url = url.replace("*", quote(inputs.text(event, value), safe=""), 1)
        request = cls(url, payload)
        for name, value in (settings.get("HeaderParameters") or {}).items():
            request.headers[name.lower()] = inputs.text(event, value)
        for name, value in (settings.get("QueryStringParameters") or {}).items():
            request.query[name] = inputs.text(event, value)
        return request

    @property
    def address(self) -> str:
        mark = "&" if "?" in self.url else "?"
        return f"{self.url}{mark}{urlencode(self.query)}" if self.query else self.url

    def add(self, parameters: Document) -> None:
        """A connection's own parameters go before those of the target."""
        for each in parameters.get("HeaderParameters") or ():
            self.headers[each["Key"].lower()] = each["Value"]
        for each in parameters.get("QueryStringParameters") or ():
            self.query[each["Key"]] = each["Value"]
        added = {each["Key"]: each["Value"] for each in parameters.get("BodyParameters") or ()}
        if added:
            document = orjson.loads(self.body)
            if isinstance(document, dict):
                self.body = orjson.dumps(document | added)


async def _token(oauth: Document) -> tuple[str, float]:
    """The access token, and until when it is good."""
    request = _Request(oauth["AuthorizationEndpoint"], b"")
    extra = oauth.get("OAuthHttpParameters") or {}
    client = oauth["ClientParameters"]
    form = {"grant_type": "client_credentials"}
    form |= {each["Key"]: each["Value"] for each in extra.get("BodyParameters") or ()}
    form |= {"client_id": client["ClientID"], "client_secret": client["ClientSecret"]}
    request.add({name: each for name, each in extra.items() if name != "BodyParameters"})
    method = oauth["HttpMethod"].upper()
    if method == "GET":
        request.query |= form
    else:
        request.body = urlencode(form).encode()
    request.headers["content-type"] = "application/x-www-form-urlencoded"
    answer = await _ask(method, request)
    try:
        document = orjson.loads(answer.body if isinstance(answer.body, bytes) else b"")
        life_s = float(document.get("expires_in", 3600))
        return str(document["access_token"]), time.monotonic() + max(0.0, life_s - _EARLY_S)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"{oauth['AuthorizationEndpoint']} gave no token: {answer.status}"
        raise AwsError("FAILED_TO_AUTHORIZE", text, 500) from None


async def _ask(method: str, request: _Request) -> Response:
    try:
        return await outbound.behind(
            outbound.whole, (method, request.address), request.headers, request.body, _TIMEOUT_S
        )
    except (urllib3.exceptions.TimeoutError, TimeoutError) as error:
        raise AwsError("TIMEOUT", f"{request.url} is too slow", 500) from error
    except (urllib3.exceptions.HTTPError, outbound.TooLarge, ValueError) as error:
        raise AwsError("CONNECTION_FAILURE", f"{request.url}: {error}", 500) from error


def _check(answer: Response, arn: str) -> None:
    if answer.status < 400:
        return
    is_final = answer.status not in _AGAIN and answer.status < 500
    code = "INVALID_PARAMETER" if is_final else "ERROR_FROM_TARGET"
    raise AwsError(
        "THROTTLING" if answer.status == 429 else code,
        f"{arn} answered {answer.status}.",
        answer.status,
        retry_after=dict(answer.headers).get("retry-after", ""),
    )
