"""Stages compiled for serving: a deployment's routes as a table, with throttles.

`Stages` caches them per API and forgets an API when it changes.
"""

from dataclasses import dataclass, field

import orjson

from cloudlet.call import Cloud
from cloudlet.config import Config
from cloudlet.gateway import access_log
from cloudlet.gateway.access_log import AccessLog
from cloudlet.gateway.configuration import Document
from cloudlet.gateway.http_apis import http_authorizers, parts
from cloudlet.gateway.http_apis.cors import Cors
from cloudlet.gateway.http_apis.http_authorizers import Guard
from cloudlet.gateway.http_apis.metrics import Dimensions
from cloudlet.gateway.matching import RouteTable
from cloudlet.gateway.payloads import Target
from cloudlet.gateway.throttle import Bucket
from cloudlet.store.database import View


@dataclass(slots=True)
class Route:
    key: str
    target: Target
    function: str | None  # ARN of the integration's function; None: no integration or a URL
    url: str | None
    method: str  # of an HTTP integration; "ANY" passes the client's
    version: str
    timeout_s: float
    bucket: Bucket
    answers: bool = False  # WebSocket: sends back what the function returns
    guard: Guard | None = None
    integration: Document = field(default_factory=dict)  # as its operations answer it
    responses: list[Document] = field(default_factory=list)  # of the integration (WebSocket)
    models: dict[str, str] = field(default_factory=dict)  # key → schema, of messages
    model_selection: str = ""
    dimensions: tuple[Dimensions, ...] = ()  # of its metrics: the stage's, and its own if detailed

    @property
    def maps_requests(self) -> bool:
        return bool(self.integration.get("RequestParameters")) and not self.is_call

    @property
    def is_call(self) -> bool:
        """A call of another service's operation."""
        return bool(self.integration.get("IntegrationSubtype"))


@dataclass(slots=True)
class Stage:
    name: str
    api_id: str
    domain: str
    variables: dict[str, str]
    cors: Cors | None
    table: RouteTable[Route]
    by_key: dict[str, Route] = field(default_factory=dict)
    log: AccessLog | None = None
    nowhere: Target | None = None  # of requests that find no route
    dimensions: tuple[Dimensions, ...] = ()  # of its metrics


@dataclass(slots=True)
class Api:
    api_id: str
    protocol: str
    selection: str
    stages: dict[str, Stage]
    is_closed: bool = False  # DisableExecuteApiEndpoint: by a custom domain only


class Stages:
    """The running gateway's view of every API."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._apis: dict[str, Api | None] = {}
        self._generation = 0

    def forget(self, api_id: str) -> None:
        """Called in the writer thread after a change is durable."""
        self._generation += 1
        self._apis.pop(api_id, None)

    def api(self, api_id: str) -> Api | None:
        found = self._apis.get(api_id)
        if found is None:
            generation = self._generation
            with self._cloud.database.snapshot() as view:
                found = compile_api(view, self._cloud.config, api_id)
            if found is not None and generation == self._generation:
                self._apis[api_id] = found
        return found

    def only_http_api(self) -> str | None:
        """The id of the oldest HTTP API, for a cloud without a distribution."""
        rows = self._cloud.database.view().all(
            "SELECT api_id FROM gateway_apis WHERE document ->> '$.ProtocolType' = 'HTTP'"
            " ORDER BY created_ms, api_id LIMIT 1"
        )
        return rows[0]["api_id"] if rows else None


def compile_api(view: View, config: Config, api_id: str) -> Api | None:
    text = view.value("SELECT document FROM gateway_apis WHERE api_id = ?", (api_id,))
    if text is None:
        return None
    api = orjson.loads(text)
    deployments: dict[str, Document] = {}
    stages: dict[str, Document] = {}
    for row in view.all(
        "SELECT kind, id, document FROM gateway_parts WHERE api_id = ?"
        " AND kind IN ('stage', 'deployment')",
        (api_id,),
    ):
        found = stages if row["kind"] == "stage" else deployments
        found[row["id"]] = orjson.loads(row["document"])
    return Api(
        api_id,
        api["ProtocolType"],
        api["RouteSelectionExpression"],
        {
            name: _stage(config, api_id, stage, deployments[stage["DeploymentId"]]["_snapshot"])
            for name, stage in stages.items()
            if stage.get("DeploymentId") in deployments
        },
        bool(api.get("DisableExecuteApiEndpoint")),
    )


def _stage(config: Config, api_id: str, stage: Document, snapshot: Document) -> Stage:
    domain = f"{api_id}.execute-api.{config.region}.amazonaws.com"
    compiled = Stage(
        stage["StageName"],
        api_id,
        domain,
        stage.get("StageVariables") or {},
        snapshot.get("cors"),
        RouteTable(),
        log=access_log.compiled(stage.get("AccessLogSettings"), f"{api_id}/{stage['StageName']}"),
    )
    compiled.nowhere = Target(
        config.account, api_id, domain, compiled.name, compiled.variables, "-"
    )
    own = ("ApiId", api_id)
    compiled.dimensions = ((own,), (own, ("Stage", compiled.name)))
    authorizers = {a["AuthorizerId"]: a for a in snapshot.get("authorizers") or ()}
    root_arn = config.arn("execute-api", api_id)
    integrations = {i["IntegrationId"]: i for i in snapshot["integrations"]}
    responses: dict[str, list[Document]] = {}
    for response in snapshot.get("responses") or ():
        responses.setdefault(response["IntegrationId"], []).append(response)
    schemas = {model["Name"]: model["Schema"] for model in snapshot.get("models") or ()}
    answering = {r["RouteId"] for r in snapshot["route_responses"]}
    now_ms = config.now_ms()
    shared = _bucket(stage.get("DefaultRouteSettings") or {}, now_ms)
    settings = stage.get("RouteSettings") or {}
    for document in snapshot["routes"]:
        key = document["RouteKey"]
        integration = integrations.get(str(document.get("Target", "")).split("/")[-1])
        target = Target(config.account, api_id, domain, compiled.name, compiled.variables, key)
        limits = settings.get(key)
        route = _route(target, integration, _bucket(limits, now_ms) if limits else shared)
        route.dimensions = compiled.dimensions
        if (limits or stage.get("DefaultRouteSettings") or {}).get("DetailedMetricsEnabled"):
            route.dimensions += (_detailed(compiled.dimensions[-1], key),)
        wanted = document.get("RequestModels") or {}
        route.models = {key: schemas[name] for key, name in wanted.items() if name in schemas}
        route.model_selection = document.get("ModelSelectionExpression") or ""
        if integration is not None:
            route.responses = responses.get(integration["IntegrationId"], [])
        route.guard = http_authorizers.compiled(document, authorizers, root_arn)
        route.answers = document["RouteId"] in answering and bool(
            document.get("RouteResponseSelectionExpression")
        )
        compiled.by_key[key] = route
        if key == "$default" or " /" in key:
            compiled.table.add(key, route)
    return compiled


def _bucket(settings: Document, now_ms: int) -> Bucket:
    rate, burst = settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit")
    return Bucket.of(rate, burst, now_ms)


def _detailed(stage: Dimensions, key: str) -> Dimensions:
    """HTTP routes are measured by method and resource, a WebSocket's by the route's key."""
    method, _, path = key.partition(" ")
    if not path:
        return (*stage, ("Route", key))
    return (*stage, ("Method", method), ("Resource", path))


def _route(target: Target, integration: Document | None, bucket: Bucket) -> Route:
    if integration is None:
        return Route(target.route_key, target, None, None, "ANY", "2.0", 30.0, bucket)
    uri = _with_variables(integration.get("IntegrationUri") or "", target.stage_variables)
    is_function = integration["IntegrationType"] == "AWS_PROXY" and bool(uri)
    return Route(
        target.route_key,
        target,
        parts.function_arn(uri) if is_function else None,
        uri if uri and not is_function else None,
        integration.get("IntegrationMethod") or "ANY",
        integration.get("PayloadFormatVersion") or "1.0",
        integration["TimeoutInMillis"] / 1000,
        bucket,
        integration=integration,
    )


def _with_variables(uri: str, variables: dict[str, str]) -> str:
    for name, value in variables.items():
        uri = uri.replace("${stageVariables." + name + "}", value)
    return uri
