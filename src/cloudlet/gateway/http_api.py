"""Serving HTTP APIs: stage, route, throttle, integration, answer.

Functions are invoked through the cloud, as API Gateway's service principal, so that a function's
resource policy decides. HTTP integrations are `http_proxy`'s.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
"""

import asyncio
import logging

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.gateway import cors, http_proxy, payloads
from cloudlet.gateway.invocation import UNAVAILABLE, FunctionFailed, Roles, invoke, service
from cloudlet.gateway.lambda_authorizers import LambdaAuthorizers
from cloudlet.gateway.payloads import MalformedAnswer, Matched
from cloudlet.gateway.stages import Api, Route, Stage, Stages

BODY_MAX_BYTES = 10 * 1024 * 1024
_log = logging.getLogger(__name__)


class Gateway:
    """The running gateway. `forget(api_id)` after a change; `answer` serves one request."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stages = Stages(cloud)
        self.roles = Roles(cloud)
        self.authorizers = LambdaAuthorizers(cloud, self.roles)

    def forget(self, api_id: str) -> None:
        self.stages.forget(api_id)

    async def answer(self, request: Request, api_id: str, raw_path: str) -> Response:
        """`raw_path` is the path within the API: with a stage's name if it has one."""
        if not request.id:
            request.id = self.cloud.config.new_id()
        response = await self._answer(request, api_id, raw_path)
        response.headers.append(("apigw-requestid", request.id))
        return response

    async def _answer(self, request: Request, api_id: str, raw_path: str) -> Response:
        api = self.stages.api(api_id)
        if api is None or api.protocol != "HTTP":
            return message(404, "Not Found")
        path = Request("", raw_path, "", {}, request.body).path
        stage, inner = _resolve(api, path)
        if stage is None:
            return message(404, "Not Found")
        if stage.cors and cors.is_preflight(request):
            return cors.preflight(stage.cors, request)
        response = await self._route(request, stage, path, inner)
        return cors.decorate(stage.cors, request, response) if stage.cors else response

    async def _route(self, request: Request, stage: Stage, path: str, inner: str) -> Response:
        found = stage.table.match(request.method, inner)
        if found is None:
            return message(404, "Not Found")
        route, parameters = found
        now_ms = self.cloud.config.now_ms()
        if not route.bucket.take(now_ms):
            return message(429, "Too Many Requests")
        body = await _body(request)
        if body is None and not _waits(request):
            return message(413, "Request Entity Too Large")
        matched = Matched(request, route.target, path, parameters, body or b"", now_ms)
        if route.function is not None:
            response = await self._invoke(matched, route)
            if body is None and not 300 <= response.status < 400:
                return message(413, "Request Entity Too Large")
            return response
        if route.url is not None:
            return await http_proxy.forward(matched, route)
        return message(500, "Internal Server Error")

    async def _invoke(self, matched: Matched, route: Route) -> Response:
        event = orjson.dumps(payloads.event(matched, route.version))
        caller = service(self.cloud, source_arn(self.cloud, route, matched.request.method))
        try:
            async with asyncio.timeout(route.timeout_s):
                payload = await invoke(self.cloud, route.function or "", event, caller)
            return payloads.response(payload, route.version)
        except TimeoutError:
            return message(503, "Service Unavailable")
        except MalformedAnswer as error:
            _log.warning("%s answered %s: %s", route.function, route.key, error)
        except AwsError as error:
            if error.code in UNAVAILABLE:
                return message(503, "Service Unavailable")
            _log.warning("%s cannot be invoked for %s: %s", route.function, route.key, error)
        except FunctionFailed as error:
            _log.info("%s failed for %s: %s", route.function, route.key, error)
        return message(500, "Internal Server Error")


async def _body(request: Request) -> bytes | None:
    """The body; None where it is over the limit."""
    try:
        return await request.body.read(BODY_MAX_BYTES)
    except AwsError as error:
        if error.status != 413:
            raise
        return None


def _waits(request: Request) -> bool:
    """Has the client held a body back that is announced as too large?

    Such a body is never asked for: the function may still send the client elsewhere (an upload to
    a presigned URL), and only a redirect stands. AWS refuses these requests outright.
    """
    announced = request.body.length or 0
    return announced > BODY_MAX_BYTES and "100-continue" in request.headers.get("expect", "")


def source_arn(cloud: Cloud, route: Route, method: str) -> str:
    """`…:API/STAGE/METHOD/path`; for `$default` the key stands for method and path."""
    target = route.target
    if route.key == "$default":
        rest = "$default"
    else:
        own_method, path = route.key.split(" ", 1)
        rest = f"{'*' if own_method == 'ANY' else method}{path}"
    return cloud.config.arn("execute-api", f"{target.api_id}/{target.stage}/{rest}")


def message(status: int, text: str) -> Response:
    body = orjson.dumps({"message": text})
    return Response(status, [("content-type", "application/json")], body)


def _resolve(api: Api, path: str) -> tuple[Stage | None, str]:
    """The stage of a decoded path and the path below it."""
    first = path[1:].split("/", 1)[0]
    stage = api.stages.get(first)
    if stage is not None and first != "$default":
        return stage, path[len(first) + 1 :] or "/"
    return api.stages.get("$default"), path or "/"
