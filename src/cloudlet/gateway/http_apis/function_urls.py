"""Serving function URLs: the function is invoked with payload format 2.0, by whoever may.

`{url-id}.lambda-url.{region}.on.aws` (or `.localhost`) as the host, or the path
`/_aws/lambda-url/{url-id}/…`. Configurations are the functions' own; `lookup` finds them.
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson

from cloudlet.call import ANONYMOUS, Caller, Cloud, Requirement
from cloudlet.errors import AwsError
from cloudlet.exchange import Interrupted, Request, Response
from cloudlet.gateway import answers, payloads
from cloudlet.gateway.http_apis import cors
from cloudlet.gateway.http_apis.http_authorizers import iam_document
from cloudlet.gateway.payloads import MalformedAnswer, Matched, Target
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate

BODY_MAX_BYTES = 6 * 1024 * 1024
_HOST = re.compile(r"([a-z0-9]+)\.lambda-url\.(?:[a-z0-9-]+\.)?(?:on\.aws|localhost)(?::\d+)?")
_PATH = re.compile(r"/_aws/lambda-url/([a-z0-9]+)(/.*)?")
_PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
_PRELUDE_END = b"\0" * 8
_PRELUDE_BYTES_MAX = 1 << 20
_log = logging.getLogger(__name__)

Config = dict[str, Any]
# function URL id → whose it is, its configuration, the function's resource policies
Lookup = Callable[[str], tuple[Cloud, Config, list[Mapping[str, Any]]] | None]


class Events(Protocol):
    """InvokeWithResponseStream's answer inside the process."""

    content_type: str

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]: ...

    async def aclose(self) -> None: ...


class FunctionUrls:
    """`lookup` knows every account's."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def answer(self, request: Request) -> Awaitable[Response] | None:
        """None: the request is not for a function URL."""
        place = _match(request)
        return self._answer(request, *place) if place else None

    async def _answer(self, request: Request, url_id: str, path: str) -> Response:
        found = self._lookup(url_id)
        if found is None:
            return _refusal(404, "ResourceNotFoundException", None)
        cloud, config, policies = found
        rules = config.get("Cors")
        if rules and cors.is_preflight(request):
            response = cors.preflight(rules, request)
            response.status = 200
            return response
        try:
            caller = await _permitted(cloud, request, config, policies)
            event = _event(cloud, request, url_id, path, await _body(request))
            if config["AuthType"] == "AWS_IAM":
                identity = {
                    "accountId": caller.account,
                    "authorizer": {"iam": iam_document(caller)},
                }
                event["requestContext"] |= identity
            response = await _invoke(cloud, config, event)
        except AwsError as error:
            response = _refusal(error.status, error.code, error.message)
        response.headers.append(("x-amzn-requestid", request.id))
        if "x-amzn-trace-id" in request.headers:
            response.headers.append(("x-amzn-trace-id", request.headers["x-amzn-trace-id"]))
        _measure(cloud, config, response.status)
        return cors.decorate(rules, request, response) if rules else response


def _measure(cloud: Cloud, config: Config, status: int) -> None:
    """For the function, and for the alias if the URL is one's."""
    name, _, alias = config["FunctionArn"].split(":function:")[1].partition(":")
    own: tuple[tuple[str, str], ...] = (("FunctionName", name),)
    dimensions = [own, (*own, ("Resource", f"{name}:{alias}"))] if alias else [own]
    names = ["UrlRequestCount"]
    if status >= 400:
        names.append(f"Url{status // 100}xxCount")
    for each in dimensions:
        for metric in names:
            cloud.meter.add("AWS/Lambda", metric, each)


async def _permitted(
    cloud: Cloud, request: Request, config: Config, policies: list[Mapping[str, Any]]
) -> Caller:
    """Both actions must be allowed; without authentication, to everyone by the policy."""
    auth, arn = config["AuthType"], config["FunctionArn"]
    caller = await cloud.authenticate(request, "lambda") if auth == "AWS_IAM" else ANONYMOUS
    # gateway-032: since October 2025 AWS asks for the right to invoke as well
    for action, context in (
        ("lambda:InvokeFunctionUrl", {"lambda:FunctionUrlAuthType": auth}),
        ("lambda:InvokeFunction", {"lambda:InvokedViaFunctionUrl": "true"}),
    ):
        needed = Requirement(action, arn, context)
        values = Context(cloud.config, caller, request, needed)
        if not evaluate(caller, needed, values, policies).is_allowed:
            _log.warning("the URL of %s is refused: %s is not allowed", arn, action)
            raise AwsError("AccessDeniedException", "Forbidden", 403)
    return caller


def _event(cloud: Cloud, request: Request, url_id: str, path: str, body: bytes) -> dict[str, Any]:
    root = f"Root=1-{cloud.config.now_ms() // 1000:08x}-{cloud.config.new_secret(12)}"
    request.headers.setdefault("x-amzn-trace-id", root)
    domain = f"{url_id}.lambda-url.{cloud.config.region}.on.aws"
    target = Target("anonymous", url_id, domain, "$default", {}, "$default")
    # gateway-030: unlike an HTTP API's, the path stays percent-encoded
    matched = Matched(request, target, path, {}, body, cloud.config.now_ms())
    return payloads.event(matched, "2.0")


async def _invoke(cloud: Cloud, config: Config, event: dict[str, Any]) -> Response:
    params = {"FunctionName": config["FunctionArn"], "Payload": orjson.dumps(event)}
    params["TraceHeader"] = event["headers"].get("x-amzn-trace-id")
    if config["InvokeMode"] == "RESPONSE_STREAM":
        answer = await cloud.invoke("lambda", "InvokeWithResponseStream", params)
        return await _streamed(answer["EventStream"])
    answer = await cloud.invoke("lambda", "Invoke", params)
    if answer.get("FunctionError"):
        return _bad_gateway()
    try:
        return payloads.response(answer.get("Payload") or b"", "2.0")
    except MalformedAnswer as error:
        _log.warning("%s answered its URL: %s", config["FunctionArn"], error)
        return _bad_gateway()


def _match(request: Request) -> tuple[str, str] | None:
    """(URL id, raw path below it)."""
    path = _PATH.fullmatch(request.raw_path)
    if path:
        return path.group(1), path.group(2) or "/"
    if ".lambda-url." not in request.host:
        return None
    host = _HOST.fullmatch(request.host.lower())
    return (host.group(1), request.raw_path) if host else None


async def _body(request: Request) -> bytes:
    body = await request.body.within(BODY_MAX_BYTES)
    if body is None:
        message = f"Request must be smaller than {BODY_MAX_BYTES} bytes for the InvokeFunction"
        raise AwsError("RequestEntityTooLargeException", f"{message} operation", 413)
    return body


async def _streamed(events: Events) -> Response:
    """Status and headers are known with the first piece, or with the prelude if there is one."""
    pieces = _Pieces(events)
    first = await pieces.first()
    if first is None:
        await pieces.aclose()
        return _bad_gateway()
    if events.content_type != _PRELUDE_TYPE:
        pieces.ahead = first
        return Response(200, [("content-type", events.content_type)], pieces)
    while _PRELUDE_END not in first and len(first) < _PRELUDE_BYTES_MAX:
        more = await pieces.first()
        if not more:
            break
        first += more
    text, end, pieces.ahead = first.partition(_PRELUDE_END)
    try:
        if not end:
            raise MalformedAnswer("the prelude has no end")
        answer = orjson.loads(text)
        answer.setdefault("statusCode", 200)
        response = payloads.response(orjson.dumps({**answer, "body": None}), "2.0")
    except (MalformedAnswer, ValueError, AttributeError) as error:
        _log.warning("a streamed answer cannot be told to the client: %s", error)
        await pieces.aclose()
        return _bad_gateway()
    response.body = pieces
    return response


class _Pieces:
    """The body; `ahead` is what was read of it before."""

    def __init__(self, events: Events) -> None:
        self.ahead = b""
        self._events = events
        self._source = aiter(events)

    async def first(self) -> bytes | None:
        """The next piece, b"" at the end; None where the function has failed."""
        async for event in self._source:
            if "PayloadChunk" in event:
                if event["PayloadChunk"]["Payload"]:
                    return bytes(event["PayloadChunk"]["Payload"])
            else:
                return None if event["InvokeComplete"].get("ErrorCode") else b""
        return b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.ahead:
            yield self.ahead
        while piece := await self.first():
            yield piece
        if piece is None:  # gateway-031: a failure in mid-stream shows as a broken connection
            raise Interrupted

    async def aclose(self) -> None:
        await self._events.aclose()


def _bad_gateway() -> Response:
    return Response(502, [("content-type", "text/plain")], b"Internal Server Error")


def _refusal(status: int, code: str, message: str | None) -> Response:
    return answers.json(status, {"Message": message}, ("x-amzn-errortype", code))
