"""What a WebSocket route does with an event: its integration, its metrics, its log line.

Functions get AWS's event documents. All other integrations are REST's, which have the same
templates and parameters under other names: `_passage` translates a route into a REST method.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integrations.html
"""

import asyncio
import base64
import logging
import re

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway import models, payloads
from cloudlet.gateway.configuration import Document
from cloudlet.gateway.http_apis import mapping, metrics
from cloudlet.gateway.http_apis.stages import Api, Route, Stage
from cloudlet.gateway.invocation import FunctionFailed, invoke, service
from cloudlet.gateway.matching import RouteTable
from cloudlet.gateway.payloads import MalformedAnswer
from cloudlet.gateway.rest.compiled import Method, Served
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.integrations import Integrations
from cloudlet.gateway.rest.passage import Passage
from cloudlet.gateway.websockets.socket_events import Origin
from cloudlet.policy.roles import Roles

_log = logging.getLogger(__name__)
_KINDS = {"CONNECT": "ConnectCount", "MESSAGE": "MessageCount"}


class SocketRoutes:
    def __init__(self, cloud: Cloud, roles: Roles) -> None:
        self._cloud = cloud
        self._roles = roles
        self._integrations = Integrations(cloud, roles)

    async def run(self, route: Route, origin: Origin, event: Document) -> Response | None:
        """The integration's answer; None if it failed."""
        started_ms = self._cloud.config.now_ms()
        failure = ""
        try:
            async with asyncio.timeout(route.timeout_s):
                if route.function is not None:
                    answer = await self._invoke(route, event)
                else:
                    answer = await self._integrations.run(self._passage(route, origin, event))
        except (TimeoutError, AwsError, FunctionFailed, MalformedAnswer, Fault) as error:
            _log.warning("%s fails for %s: %r", route.target.api_id, route.key, error)
            failure, answer = str(error) or "Endpoint request timed out", None
        latency_ms = self._cloud.config.now_ms() - started_ms
        status = 500 if answer is None else answer.status
        meter, dimensions = self._cloud.meter, route.dimensions
        metrics.time_socket(meter, dimensions, latency_ms)
        if status >= 500:
            metrics.count_socket(meter, dimensions, "IntegrationError")
        integration = {"status": status, "latency": latency_ms, "error": failure}
        self.record(origin.stage, event, status, {"integration": integration})
        return answer

    def record(
        self, stage: Stage, event: Document, status: int, more: Document | None = None
    ) -> None:
        """One event, whether it got to an integration or not."""
        context = event["requestContext"]
        meter, dimensions = self._cloud.meter, stage.dimensions
        name = _KINDS.get(context["eventType"])
        if name and (name == "MessageCount" or status < 400):
            metrics.count_socket(meter, dimensions, name)
        if more is None and status >= 400:
            metrics.count_socket(meter, dimensions, "ClientError")
        if stage.log is not None:
            integration = (more or {}).get("integration") or {}
            own = {"status": status, "integrationLatency": integration.get("latency")}
            said = {"error": {"message": integration.get("error")}}
            stage.log.write(self._cloud, {**context, **(more or {}), **own, **said})

    async def _invoke(self, route: Route, event: Document) -> Response:
        target, role = route.target, route.integration.get("CredentialsArn")
        place = f"{target.api_id}/{target.stage}/{route.key}"
        arn = self._cloud.config.arn("execute-api", place)
        caller = await self._roles.caller(role) if role else service(self._cloud, arn)
        payload = await invoke(self._cloud, route.function or "", orjson.dumps(event), caller)
        return payloads.response(payload, "2.0")

    def _passage(self, route: Route, origin: Origin, event: Document) -> Passage:
        target, config = route.target, self._cloud.config
        body = event.get("body") or ""
        data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
        headers = {
            name: value
            for name, value in origin.request.headers.items()
            if not name.startswith("sec-websocket-")
            and name not in ("connection", "upgrade", "content-type", "accept")
        }
        request = Request(
            "POST", "/", origin.request.query, headers, Body.of(data), origin.request.client
        )
        context = dict(event["requestContext"])
        request.id = context["requestId"]
        variables, region = target.stage_variables, config.region
        served = Served(
            target.account, region, target.api_id, target.stage, "", variables, {}, RouteTable(),
            (), None,
        )  # fmt: skip
        document = _method(route, resolver(origin, data, context))
        method = Method(document, "", f"/{route.key}")
        return Passage(request, served, method, f"/{route.key}", {}, config.now_ms(), context, data)


def select(api: Api, stage: Stage, origin: Origin, data: str | bytes) -> Route | None:
    """The route that the API's selection expression names, or `$default`."""
    body = data.encode() if isinstance(data, str) else data
    value = mapping.evaluated(api.selection, resolver(origin, body))
    if not value.startswith("$") and value in stage.by_key:
        return stage.by_key[value]
    return stage.by_key.get("$default")


def is_valid(route: Route, origin: Origin, data: str | bytes) -> bool:
    """Whether a message fits the route's model, if the selection expression names one."""
    if not route.models:
        return True
    body = data.encode() if isinstance(data, str) else data
    key = mapping.evaluated(route.model_selection or "$default", resolver(origin, body))
    schema = route.models.get(key) or route.models.get("$default")
    return schema is None or models.fits(schema, data)


def resolver(origin: Origin, body: bytes, context: Document | None = None) -> mapping.Resolve:
    known = {**(context or {}), "stageVariables": origin.stage.variables}
    return mapping.resolver(origin.request, body, ("", {}), known)


def _method(route: Route, resolve: mapping.Resolve) -> Document:
    """The route in the words of REST's GetMethod."""
    integration = route.integration
    known: Document = {
        "type": integration["IntegrationType"],
        "httpMethod": integration.get("IntegrationMethod") or "POST",
        "uri": integration.get("IntegrationUri") or "",
        "credentials": integration.get("CredentialsArn"),
        "timeoutInMillis": integration["TimeoutInMillis"],
        "passthroughBehavior": integration.get("PassthroughBehavior"),
        "requestParameters": {
            name: value.replace("route.request.", "method.request.")
            for name, value in (integration.get("RequestParameters") or {}).items()
        },
        "requestTemplates": _templates(integration, resolve),
        "integrationResponses": {
            response["IntegrationResponseKey"]: _response(response) for response in route.responses
        }
        or {"$default": {"statusCode": "200"}},
    }
    return {"methodIntegration": known}


def _templates(integration: Document, resolve: mapping.Resolve) -> Document:
    """The template that the selection expression names, for whatever content type."""
    known = integration.get("RequestTemplates") or {}
    expression = (integration.get("TemplateSelectionExpression") or "$default").lstrip("\\")
    for key in (mapping.evaluated(expression, resolve), "$default", "\\$default"):
        if key in known:
            return {"$default": known[key]}
    return {"none/none": ""} if known else {}  # templates, but none that fits


def _response(response: Document) -> Document:
    """`$default`, or a pattern of statuses between slashes: `/4\\d\\d/`."""
    key = response["IntegrationResponseKey"]
    templates = response.get("ResponseTemplates") or {}
    known: Document = {"statusCode": "200"}
    if key != "$default":
        pattern = key.strip("/")
        known = {"statusCode": f"{pattern[:1]}00", "selectionPattern": pattern}
        known["statusCode"] = pattern if re.fullmatch(r"\d{3}", pattern) else known["statusCode"]
    if templates:
        known["responseTemplates"] = {"application/json": next(iter(templates.values()))}
    return known
