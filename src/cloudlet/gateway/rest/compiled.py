"""Stages compiled for serving: a deployment's methods as a table of routes, with their settings.

`CompiledStages` keeps them per API and forgets an API when it changes.
https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

import hashlib
import random
import re
from dataclasses import dataclass, field
from typing import Any

from cloudlet.call import Cloud
from cloudlet.config import Config
from cloudlet.gateway import access_log
from cloudlet.gateway.access_log import AccessLog
from cloudlet.gateway.lambda_authorizers import LambdaAuthorizer
from cloudlet.gateway.matching import RouteTable
from cloudlet.gateway.rest import snapshots
from cloudlet.gateway.throttle import Bucket

Document = dict[str, Any]
_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_FUNCTION = re.compile(r".*:lambda:path/[^/]+/functions/(.+)/invocations/?")
AUTHORIZER_TTL_S = 300


@dataclass(frozen=True, slots=True)
class Settings:
    """A method's settings on a stage."""

    logging: str = "OFF"  # "ERROR", "INFO"
    traces_data: bool = False
    has_metrics: bool = False  # of its own, besides the stage's
    cache_ttl_s: int = 0  # 0: not cached
    checks_cache_control: bool = True
    cache_strategy: str = "SUCCEED_WITH_RESPONSE_HEADER"


@dataclass(slots=True)
class Method:
    """`document` has GetMethod's members."""

    document: Document
    resource_id: str
    path: str  # of the resource: /pets/{id}
    settings: Settings = Settings()
    bucket: Bucket = field(default_factory=lambda: Bucket.of(None, None, 0))
    authorizer: LambdaAuthorizer | None = None
    authorizer_document: Document | None = None

    @property
    def integration(self) -> Document:
        integration: Document = self.document.get("methodIntegration") or {}
        return integration

    @property
    def models(self) -> dict[str, str]:
        return self.document.get("requestModels") or {}


@dataclass(slots=True)
class Served:
    """A stage with one snapshot: production's or the canary's."""

    account: str
    region: str
    api_id: str
    stage: str
    deployment_id: str
    variables: dict[str, str]
    snapshot: Document
    table: RouteTable[Method]
    binary_types: tuple[str, ...]
    policy: Document | None
    is_canary: bool | None = None  # None: the stage has no canary
    uses_stage_cache: bool = True
    is_traced: bool = False  # by X-Ray
    models: dict[str, Any] = field(default_factory=dict)  # validators, by the models' names

    @property
    def api(self) -> Document:
        api: Document = self.snapshot["restApi"]
        return api

    def arn(self, rest: str) -> str:
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{rest}"

    @staticmethod
    def method(resource: Document, verb: str) -> Method:
        return Method(resource["resourceMethods"][verb], resource["id"], resource["path"])

    def with_variables(self, text: str) -> str:
        return _VARIABLE.sub(lambda found: self.variables.get(found.group(1), ""), text)

    def is_binary(self, content_type: str | None) -> bool:
        """Whether a Content-Type, or the first of an Accept header, is one of the binary types."""
        if not self.binary_types:
            return False
        if "*/*" in self.binary_types:
            return True
        media = (content_type or "").split(",")[0].split(";")[0].strip().lower()
        return media in self.binary_types or f"{media.split('/')[0]}/*" in self.binary_types


@dataclass(slots=True)
class Stage:
    document: Document
    served: Served
    canary: Served | None
    canary_percent: float
    access_log: AccessLog | None
    log_stream: str

    def choose(self) -> Served:
        if self.canary is not None and random.random() * 100 < self.canary_percent:
            return self.canary
        return self.served


class CompiledStages:
    """The running gateway's view of every stage."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stages: dict[tuple[str, str], Stage] = {}
        self._generation = 0

    def forget(self, api_id: str) -> None:
        """Called in the writer thread after a change is durable."""
        self._generation += 1
        for key in [key for key in list(self._stages) if key[0] == api_id]:
            self._stages.pop(key, None)

    def stage(self, api_id: str, name: str) -> Stage | None:
        found = self._stages.get((api_id, name))
        if found is None:
            generation = self._generation
            with self._cloud.database.snapshot() as view:
                deployed = snapshots.load(view, api_id, name)
            found = compile_stage(self._cloud.config, deployed) if deployed else None
            if found is not None and generation == self._generation:
                self._stages[api_id, name] = found
        return found


def compile_stage(config: Config, deployed: snapshots.Deployed) -> Stage:
    document = deployed.stage
    name = document["stageName"]
    canary = document.get("canarySettings") or {}
    variables = document.get("variables") or {}
    shown = None if deployed.canary is None else False
    production = _served(config, deployed, deployed.snapshot, variables)
    production.is_canary = shown
    other = None
    if deployed.canary is not None:
        overrides = canary.get("stageVariableOverrides") or {}
        other = _served(config, deployed, deployed.canary, {**variables, **overrides})
        other.is_canary, other.deployment_id = True, canary["deploymentId"]
        other.uses_stage_cache = bool(canary.get("useStageCache"))
    place = f"{deployed.api_id}/{name}"
    logged = document.get("accessLogSettings") or {}
    settings = {"DestinationArn": logged.get("destinationArn"), "Format": logged.get("format")}
    return Stage(
        document,
        production,
        other,
        float(canary.get("percentTraffic") or 0.0),
        access_log.compiled(settings, place),
        hashlib.md5(place.encode(), usedforsecurity=False).hexdigest(),
    )


def lone(config: Config, api_id: str, snapshot: Document, variables: dict[str, str]) -> Served:
    """A snapshot outside of any stage, for test invocations."""
    stage = {"stageName": "test-invoke-stage", "deploymentId": ""}
    deployed = snapshots.Deployed(api_id, stage, snapshot)
    return _served(config, deployed, snapshot, variables)


def _served(
    config: Config, deployed: snapshots.Deployed, snapshot: Document, variables: dict[str, str]
) -> Served:
    stage = deployed.stage
    served = Served(
        config.account,
        config.region,
        deployed.api_id,
        stage["stageName"],
        stage.get("deploymentId") or "",
        dict(variables),
        snapshot,
        RouteTable(),
        tuple(kind.lower() for kind in snapshot["restApi"].get("binaryMediaTypes") or ()),
        _expanded(snapshot.get("policy"), config, deployed.api_id),
    )
    served.is_traced = bool(stage.get("tracingEnabled"))
    shared = Bucket.of(None, None, config.now_ms())
    for resource in snapshot["resources"]:
        for verb in resource.get("resourceMethods") or {}:
            compiled = served.method(resource, verb)
            compiled.settings, bucket = _settings(stage, resource["path"], verb, config.now_ms())
            compiled.bucket = bucket or shared
            _set_authorizer(served, compiled)
            served.table.add(f"{verb} {resource['path']}", compiled)
    return served


def _expanded(policy: Document | None, config: Config, api_id: str) -> Document | None:
    """A resource policy with its short resources (`execute-api:/stage/…`) written out."""
    if not policy:
        return None
    prefix = f"arn:aws:execute-api:{config.region}:{config.account}:{api_id}/"
    statements = policy.get("Statement") or []
    expanded = []
    for statement in statements if isinstance(statements, list) else [statements]:
        changed = dict(statement)
        for name in ("Resource", "NotResource"):
            given = statement.get(name)
            if given is not None:
                items = given if isinstance(given, list) else [given]
                changed[name] = [
                    prefix + i.removeprefix("execute-api:/") if i.startswith("execute-api:/") else i
                    for i in items
                ]
        expanded.append(changed)
    return {**policy, "Statement": expanded}


def _settings(stage: Document, path: str, verb: str, now_ms: int) -> tuple[Settings, Bucket | None]:
    """The settings of the method; its own bucket if it is throttled."""
    chosen = snapshots.method_settings(stage, path, verb)
    is_own = chosen is not (stage.get("methodSettings") or {}).get("*/*")
    is_cached = bool(stage.get("cacheClusterEnabled")) and bool(chosen.get("cachingEnabled"))
    rate, burst = chosen.get("throttlingRateLimit"), chosen.get("throttlingBurstLimit")
    is_throttled = any(limit is not None and limit >= 0 for limit in (rate, burst))
    bucket = Bucket.of(rate, burst, now_ms) if is_throttled else None
    ttl_s = chosen.get("cacheTtlInSeconds")
    return Settings(
        chosen.get("loggingLevel") or "OFF",
        bool(chosen.get("dataTraceEnabled")),
        bool(chosen.get("metricsEnabled")),
        # gateway-053: a stage's caching is for GET; other methods are cached by their own settings
        (300 if ttl_s is None else ttl_s) if is_cached and (verb == "GET" or is_own) else 0,
        chosen.get("requireAuthorizationForCacheControl", True) is not False,
        chosen.get("unauthorizedCacheControlHeaderStrategy") or "SUCCEED_WITH_RESPONSE_HEADER",
    ), bucket


def _set_authorizer(served: Served, method: Method) -> None:
    identifier = method.document.get("authorizerId") or ""
    document = (served.snapshot.get("authorizers") or {}).get(identifier)
    if document is not None and method.document.get("authorizationType") == "CUSTOM":
        method.authorizer_document = document
        method.authorizer = authorizer_of(served, document)


def authorizer_of(served: Served, document: Document) -> LambdaAuthorizer:
    ttl_s = document.get("authorizerResultTtlInSeconds")
    return LambdaAuthorizer(
        document["id"],
        function_of(served.with_variables(document.get("authorizerUri") or "")),
        served.arn(f"authorizers/{document['id']}"),
        AUTHORIZER_TTL_S if ttl_s is None else ttl_s,
        document.get("authorizerCredentials") or None,
    )


def function_of(uri: str) -> str:
    """The function's ARN in API Gateway's form of it."""
    found = _FUNCTION.fullmatch(uri)
    return found.group(1) if found else uri
