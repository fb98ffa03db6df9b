"""Stages: a name under which a deployment is served, with variables and settings.

https://docs.aws.amazon.com/apigateway/latest/api/API_Stage.html
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.rest import documents, patches, plans, snapshots
from cloudlet.gateway.rest.documents import Document, bad_request
from cloudlet.store.database import Transaction, View

STAGES_MAX = 10
CANARY: Mapping[str, Any] = {"percentTraffic": 0.0, "useStageCache": False}
_CACHE_SIZES = ("0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237")
_MEMBERS = (
    "stageName deploymentId description cacheClusterEnabled cacheClusterSize variables"
    " documentationVersion canarySettings tracingEnabled tags"
)
_METHOD_SETTING = re.compile(
    r"/(?P<key>.+/(?:[A-Z]+|\*))/(?P<name>(?:metrics|logging|throttling|caching)/\w+)"
)
_METHOD_SETTINGS = re.compile(r"/(?P<key>[^/]+(?:/[^/]+)*/(?:[A-Z]+|\*))")
# patch path's end → (member, kind of value, default)
_SETTINGS: Mapping[str, tuple[str, str, Any]] = {
    "metrics/enabled": ("metricsEnabled", "b", False),
    "logging/loglevel": ("loggingLevel", "s", None),
    "logging/dataTrace": ("dataTraceEnabled", "b", False),
    "throttling/burstLimit": ("throttlingBurstLimit", "i", 5000),
    "throttling/rateLimit": ("throttlingRateLimit", "f", 10000.0),
    "caching/enabled": ("cachingEnabled", "b", False),
    "caching/ttlInSeconds": ("cacheTtlInSeconds", "i", 300),
    "caching/dataEncrypted": ("cacheDataEncrypted", "b", False),
    "caching/requireAuthorizationForCacheControl": (
        "requireAuthorizationForCacheControl",
        "b",
        True,
    ),
    "caching/unauthorizedCacheControlHeaderStrategy": (
        "unauthorizedCacheControlHeaderStrategy",
        "s",
        "SUCCEED_WITH_RESPONSE_HEADER",
    ),
}
_STRATEGIES = ("FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER")


def create_stage(call: Call, tx: Transaction) -> Output:
    api_id = documents.api(call, tx)["id"]
    if documents.find_part(tx, api_id, "stage", call.params["stageName"]):
        raise documents.conflict("Stage already exists")
    stage = new(call, tx, call.params["deploymentId"])
    stage.update(documents.chosen(call.params, _MEMBERS))
    if stage.get("canarySettings"):
        default = {**CANARY, "deploymentId": stage["deploymentId"]}
        stage["canarySettings"] = {**default, **stage["canarySettings"]}
    return save(call, tx, stage)


def new(call: Call, tx: Transaction, deployment_id: str) -> Document:
    name = call.params["stageName"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):
        raise bad_request("Stage name only allows a-zA-Z0-9_-")
    if len(documents.parts(tx, call.params["restApiId"], "stage")) >= STAGES_MAX:
        raise documents.limit_exceeded("Maximum number of stages for this API has been reached")
    return {
        "deploymentId": deployment_id,
        "stageName": name,
        "cacheClusterEnabled": False,
        "methodSettings": {},
        "tracingEnabled": False,
        "createdDate": call.now_ms // 1000,
    }


def get_stage(call: Call, view: View) -> Output:
    return documents.part(call, view, "stage", call.params["stageName"])


def get_stages(call: Call, view: View) -> Output:
    found = documents.parts(view, documents.api(call, view)["id"], "stage")
    wanted = call.params.get("deploymentId")
    return {"item": [stage for stage in found if wanted in (None, stage["deploymentId"])]}


def update_stage(call: Call, tx: Transaction) -> Output:
    stage = documents.part(call, tx, "stage", call.params["stageName"])
    for operation in call.params.get("patchOperations") or []:
        _patch(stage, operation)
    return save(call, tx, stage)


def delete_stage(call: Call, tx: Transaction) -> None:
    api_id, name = call.params["restApiId"], call.params["stageName"]
    documents.part(call, tx, "stage", name)
    documents.delete_part(tx, api_id, "stage", name)
    plans.forget(call, tx, api_id, name)
    documents.changed(tx, api_id)


def flush_stage_cache(call: Call, tx: Transaction) -> None:
    _flush(call, tx, "data")


def flush_stage_authorizers_cache(call: Call, tx: Transaction) -> None:
    _flush(call, tx, "authorizers")


def _flush(call: Call, tx: Transaction, what: str) -> None:
    stage = documents.part(call, tx, "stage", call.params["stageName"])
    tx.touch(f"{snapshots.FLUSH_TOPIC}{what}:{call.params['restApiId']}/{stage['stageName']}")


def save(call: Call, tx: Transaction, stage: Document) -> Document:
    _check(call, tx, stage)
    stage["lastUpdatedDate"] = call.now_ms // 1000
    is_cached = stage["cacheClusterEnabled"]
    stage["cacheClusterStatus"] = "AVAILABLE" if is_cached else "NOT_AVAILABLE"
    if is_cached:
        stage.setdefault("cacheClusterSize", "0.5")
    api_id = call.params["restApiId"]
    documents.save_part(tx, api_id, ("stage", stage["stageName"]), stage)
    documents.changed(tx, api_id)
    return stage


def _check(call: Call, tx: Transaction, stage: Document) -> None:
    canary = stage.get("canarySettings") or {}
    for deployment_id in filter(None, (stage["deploymentId"], canary.get("deploymentId"))):
        documents.deployment(call, tx, deployment_id)
    if not 0 <= canary.get("percentTraffic", 0) <= 100:
        raise bad_request("Percent traffic must be between 0.0 and 100.0")
    if stage.get("cacheClusterSize") not in (None, *_CACHE_SIZES):
        raise bad_request(f"Invalid cache cluster size specified. Must be one of {_CACHE_SIZES}")
    if stage.get("documentationVersion"):
        documents.part(call, tx, "documentationversion", stage["documentationVersion"])
    for name, value in {**(stage.get("variables") or {}), **_overrides(canary)}.items():
        if not re.fullmatch(r"\w+", name) or not re.fullmatch(r"[A-Za-z0-9-._~:/?#&=,]*", value):
            raise bad_request(
                "Stage variable names must match [A-Za-z0-9_]+ and their values"
                " [A-Za-z0-9-._~:/?#&=,]+"
            )
    _check_log(stage.get("accessLogSettings") or {})


def _check_log(settings: Document) -> None:
    arn, form = settings.get("destinationArn"), settings.get("format")
    if arn and ":logs:" not in arn:
        raise NotImplementedByCloudlet("Access logs that do not go to CloudWatch Logs")
    if form and "$context.requestId" not in form and "$context.extendedRequestId" not in form:
        raise bad_request(
            "Invalid Access Log format. It must contain $context.requestId or"
            " $context.extendedRequestId"
        )


def _overrides(canary: Document) -> Document:
    return canary.get("stageVariableOverrides") or {}


def _patch(stage: Document, operation: Mapping[str, Any]) -> None:
    path, name = str(operation.get("path") or ""), operation.get("op")
    setting = _METHOD_SETTING.fullmatch(path)
    if path == "/clientCertificateId":
        raise NotImplementedByCloudlet("Client certificates")
    if name == "copy":
        _copy(stage, operation)
    elif setting and name in ("add", "replace"):
        _change_setting(stage, setting, operation.get("value"))
    elif name == "remove" and (found := _METHOD_SETTINGS.fullmatch(path)):
        if stage["methodSettings"].pop(found["key"], None) is None:
            patches.apply_one("stage", stage, operation)
    else:
        patches.apply_one("stage", stage, operation)


def _change_setting(stage: Document, found: re.Match[str], value: Any) -> None:
    if found["name"] not in _SETTINGS:
        raise bad_request(f"Invalid method setting path: {found[0]}")
    member, kind, _ = _SETTINGS[found["name"]]
    default = {member: value for member, _, value in _SETTINGS.values() if value is not None}
    settings = stage["methodSettings"].setdefault(found["key"], default)
    settings[member] = patches.scalar(kind, value, found[0])
    if member == "loggingLevel" and settings[member] not in ("OFF", "ERROR", "INFO"):
        raise bad_request(f"Invalid logging level {value}. Must be one of [OFF, ERROR, INFO]")
    if member == "cacheTtlInSeconds" and not 0 <= settings[member] <= 3600:
        raise bad_request("Cache TTL must be between 0 and 3600 seconds")
    if settings["unauthorizedCacheControlHeaderStrategy"] not in _STRATEGIES:
        raise bad_request(f"Invalid cache control strategy. Must be one of {list(_STRATEGIES)}")


def _copy(stage: Document, operation: Mapping[str, Any]) -> None:
    """Promotes a canary: its deployment and its variables become the stage's."""
    canary = stage.get("canarySettings") or {}
    match operation.get("from"), operation.get("path"):
        case "/canarySettings/deploymentId", "/deploymentId" if canary:
            stage["deploymentId"] = canary["deploymentId"]
        case "/canarySettings/stageVariableOverrides", "/variables" if canary:
            stage["variables"] = {**(stage.get("variables") or {}), **_overrides(canary)}
        case source, target:
            raise bad_request(f"Invalid copy operation: from '{source}' to '{target}'")
