"""Serving HTTP APIs: stage, route, throttle, integration, answer.

Functions are invoked through the cloud, as API Gateway's service principal, so that a function's
resource policy decides. HTTP integrations are `http_proxy`'s.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html
"""

import asyncio
import logging
from dataclasses import replace
from urllib.parse import unquote

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.gateway import payloads, tracing
from cloudlet.gateway.answers import message
from cloudlet.gateway.domains import Domains, Found
from cloudlet.gateway.http_apis import (
    contexts,
    cors,
    http_proxy,
    mapping,
    metrics,
    service_integrations,
)
from cloudlet.gateway.http_apis.http_authorizers import Asked, HttpAuthorizers, Refused
from cloudlet.gateway.http_apis.stages import Api, Route, Stage, Stages
from cloudlet.gateway.invocation import UNAVAILABLE, FunctionFailed, invoke, service
from cloudlet.gateway.lambda_authorizers import LambdaAuthorizers
from cloudlet.gateway.payloads import MalformedAnswer, Matched
from cloudlet.gateway.rest.serving import RestGateway
from cloudlet.policy.roles import Roles

BODY_MAX_BYTES = 10 * 1024 * 1024
_log = logging.getLogger(__name__)


class Gateway:
    """The running gateway. `forget(api_id)` after a change; `answer` serves one request."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stages = Stages(cloud)
        self.roles = Roles(cloud, service(cloud), "BackplaneAssumeRoleSession")
        self.authorizers = LambdaAuthorizers(cloud, self.roles)
        self.guards = HttpAuthorizers(cloud, self.authorizers)
        self.domains = Domains(cloud)
        self.rest = RestGateway(cloud, self.roles, self.authorizers)

    def forget(self, api_id: str) -> None:
        self.stages.forget(api_id)
        self.authorizers.forget(f"{self.cloud.config.arn('execute-api', api_id)}/")

    def has(self, api_id: str) -> bool:
        """Whether an HTTP, WebSocket or REST API has this id."""
        return self.rest.has(api_id) or self.stages.api(api_id) is not None

    async def answer_domain(self, request: Request) -> Response | None:
        """The answer of the API that a custom domain maps the request to; None: no such domain."""
        try:
            found = self.domains.route(request.host, request.raw_path)
        except AwsError as error:
            return message(error.status, error.message)
        if found is None or found.raw_path.startswith("/@connections/"):
            return None
        return await self.answer(request, found.mapping.api_id, found.raw_path, found)

    async def answer(
        self, request: Request, api_id: str, raw_path: str, custom: Found | None = None
    ) -> Response:
        """`raw_path` is the path within the API: with a stage's name if it has one, unless a
        custom domain's mapping named the stage."""
        if not request.id:
            request.id = self.cloud.config.new_id()
        if self.rest.has(api_id):
            return await self.rest.answer(request, api_id, raw_path, custom)
        api = self.stages.api(api_id)
        if api is None or api.protocol != "HTTP" or (api.is_closed and custom is None):
            response = message(404, "Not Found")
        else:
            response = await self._answer(request, api, raw_path, custom)
        response.headers.append(("apigw-requestid", request.id))
        return response

    async def _answer(
        self, request: Request, api: Api, raw_path: str, custom: Found | None
    ) -> Response:
        path = unquote(raw_path)
        if custom is None:
            stage, inner = _resolve(api, path)
        else:
            stage, inner = api.stages.get(custom.mapping.stage), path
        if stage is None or stage.nowhere is None:
            return message(404, "Not Found")
        now_ms = self.cloud.config.now_ms()
        matched = Matched(request, stage.nowhere, path, {}, b"", now_ms)
        if custom is not None:
            _customize(matched, custom, inner)
        if stage.cors and cors.is_preflight(request):
            response = cors.preflight(stage.cors, request)
        else:
            response = await self._route(matched, stage, inner)
            if stage.cors:
                response = cors.decorate(stage.cors, request, response)
        self._record(matched, stage, response)
        return response

    def _record(self, matched: Matched, stage: Stage, response: Response) -> None:
        """Metrics and the access log."""
        cloud = self.cloud
        now_ms = cloud.config.now_ms()
        dimensions = matched.dimensions or stage.dimensions
        metrics.count_http(cloud.meter, dimensions, matched, response, now_ms)
        if stage.log is not None:
            stage.log.write(cloud, contexts.of_answer(matched, response, now_ms))

    async def _route(self, matched: Matched, stage: Stage, inner: str) -> Response:
        request = matched.request
        found = stage.table.match(request.method, inner)
        if found is None:
            return message(404, "Not Found")
        route, matched.path_parameters = found
        matched.target, matched.dimensions = route.target, route.dimensions
        if not route.bucket.take(matched.now_ms):
            return message(429, "Too Many Requests")
        if route.guard is not None:
            try:
                matched.admission = await self.guards.admit(
                    route.guard, self._asked(matched, route, inner)
                )
            except Refused as refused:
                matched.authorizer_error = str(refused)
                return refused.response
        body = await request.body.within(BODY_MAX_BYTES)
        if body is None and not _waits(request):
            return message(413, "Request Entity Too Large")
        matched.body = body or b""
        response = await self._integrate(matched, route)
        if body is None and not 300 <= response.status < 400:
            return message(413, "Request Entity Too Large")
        return response

    def _asked(self, matched: Matched, route: Route, inner: str) -> Asked:
        target = route.target
        place = f"{target.api_id}/{target.stage}/{matched.request.method}{inner}"
        return Asked(
            matched.request,
            self.cloud.config.arn("execute-api", place),
            contexts.of_request(matched),
            target.stage_variables,
            lambda version: payloads.event(matched, version),
        )

    async def _integrate(self, matched: Matched, route: Route) -> Response:
        """The integration's answer, with what the route maps on both ways."""
        trace = tracing.text(tracing.members(matched.request, matched.now_ms))
        matched.request.headers[tracing.HEADER] = trace
        sent = _mapped(matched, route) if route.maps_requests else matched
        started_ms = self.cloud.config.now_ms()
        if route.function is not None:
            response = await self._invoke(sent, route)
        elif route.url is not None:
            response = await http_proxy.forward(sent, route)
        elif route.is_call:
            response, sent.error = await service_integrations.call(
                self.cloud, self.roles, route.integration, _resolver(matched)
            )
        else:
            return message(500, "Internal Server Error")
        matched.integration_ms = self.cloud.config.now_ms() - started_ms
        matched.integration_status, matched.error = response.status, sent.error
        changes = route.integration.get("ResponseParameters")
        if changes:
            context = contexts.of_answer(matched, response, started_ms)
            resolve = mapping.response_resolver(response, context)
            response = mapping.on_response(changes, response, resolve)
        return response

    async def _invoke(self, matched: Matched, route: Route) -> Response:
        event = orjson.dumps(payloads.event(matched, route.version))
        try:
            async with asyncio.timeout(route.timeout_s):
                role = route.integration.get("CredentialsArn")
                if role:
                    caller = await self.roles.caller(role)
                else:
                    arn = source_arn(self.cloud, route, matched.request.method)
                    caller = service(self.cloud, arn)
                trace = matched.request.headers[tracing.HEADER]
                payload = await invoke(self.cloud, route.function or "", event, caller, trace)
            return payloads.response(payload, route.version)
        except TimeoutError:
            matched.error = "Endpoint request timed out"
            return message(503, "Service Unavailable")
        except MalformedAnswer as error:
            _log.warning("%s answered %s: %s", route.function, route.key, error)
            matched.error = str(error)
        except AwsError as error:
            matched.error = error.message
            if error.code in UNAVAILABLE:
                return message(503, "Service Unavailable")
            _log.warning("%s cannot be invoked for %s: %s", route.function, route.key, error)
        except FunctionFailed as error:
            _log.info("%s failed for %s: %s", route.function, route.key, error)
            matched.error = "The Lambda function returned an error"
        return message(500, "Internal Server Error")


def _customize(matched: Matched, custom: Found, inner: str) -> None:
    """gateway-008: format 2.0 tells the path without the mapping, format 1.0 with it."""
    mapped = custom.mapping
    matched.domain, matched.mapping = custom.host, mapped.path or "(none)"
    matched.path = inner if mapped.stage == "$default" else f"/{mapped.stage}{inner}"
    matched.mapped_path = f"/{mapped.path}{inner}" if mapped.path else inner


def _mapped(matched: Matched, route: Route) -> Matched:
    """What the integration gets."""
    changes = route.integration["RequestParameters"]
    request, path = mapping.on_request(changes, matched.request, matched.path, _resolver(matched))
    sent = replace(matched, request=request, path=path)
    if path != matched.path:
        sent.mapped_path = path
    return sent


def _resolver(matched: Matched) -> mapping.Resolve:
    path = (matched.path, matched.path_parameters)
    return mapping.resolver(matched.request, matched.body, path, contexts.of_request(matched))


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


def _resolve(api: Api, path: str) -> tuple[Stage | None, str]:
    """The stage of a decoded path and the path below it."""
    first = path[1:].split("/", 1)[0]
    stage = api.stages.get(first)
    if stage is not None and first != "$default":
        return stage, path[len(first) + 1 :] or "/"
    return api.stages.get("$default"), path or "/"
