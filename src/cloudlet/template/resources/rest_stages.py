"""AWS::ApiGateway::{Method, Deployment, Stage, ApiKey, UsagePlan, UsagePlanKey}.

Their updates are patches that state the whole wanted state, computed against what is there.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGateway.html.
"""

from contextlib import suppress
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rest import SERVICE, TAGS, Patches, arn, camel, patch, settings
from cloudlet.template.resources.rows import Row, deletes
from cloudlet.template.words import words

_METHOD_SETTINGS = {
    "CacheDataEncrypted": "caching/dataEncrypted",
    "CacheTtlInSeconds": "caching/ttlInSeconds",
    "CachingEnabled": "caching/enabled",
    "DataTraceEnabled": "logging/dataTrace",
    "LoggingLevel": "logging/loglevel",
    "MetricsEnabled": "metrics/enabled",
    "ThrottlingBurstLimit": "throttling/burstLimit",
    "ThrottlingRateLimit": "throttling/rateLimit",
}
_STAGE = {  # property → what it is without it
    "CacheClusterEnabled": "false",
    "CacheClusterSize": "0.5",
    "Description": "",
    "DocumentationVersion": "",
    "TracingEnabled": "false",
}
_PATCHED = words("AccessLogSetting CanarySetting MethodSettings")
_STAGE_DESCRIPTION = _PATCHED | _STAGE.keys() | {"Variables"}
_LAST = "PutIntegrationResponse"
_PART_OF_METHOD = words("Integration MethodResponses")


# --- methods ---


def _method(properties: Properties) -> dict[str, Any]:
    given = {name: value for name, value in properties.items() if name not in _PART_OF_METHOD}
    given.setdefault("AuthorizationType", "NONE")
    return settings("PutMethod", given)


def _integration(properties: Properties) -> dict[str, Any] | None:
    given = properties.get("Integration")
    if not given:
        return None
    return settings(
        "PutIntegration",
        {name: value for name, value in given.items() if name != "IntegrationResponses"},
    )


def _responses(properties: Properties) -> list[tuple[str, dict[str, Any]]]:
    """(operation, parameters) for every response of the method and of its integration.

    gateway-303: an integration's response may do without one of the method.
    """
    answers = (properties.get("Integration") or {}).get("IntegrationResponses") or []
    declared = list(properties.get("MethodResponses") or [])
    known = {shapes.text(each["StatusCode"]) for each in declared}
    statuses = dict.fromkeys(shapes.text(each["StatusCode"]) for each in answers)
    declared += [{"StatusCode": status} for status in statuses if status not in known]
    groups = (("PutMethodResponse", declared), (_LAST, answers))
    return [(name, settings(name, response)) for name, group in groups for response in group]


def _check_method(properties: Properties) -> None:
    _method(properties)
    _integration(properties)
    _responses(properties)


async def _create_method(ctx: Context, properties: Properties) -> Known:
    given = _method(properties)
    address = {name: given[name] for name in ("restApiId", "resourceId", "httpMethod")}
    await ctx.call(SERVICE, "PutMethod", **given)
    await ctx.begin("|".join(address.values()))
    integration, responses = _integration(properties), _responses(properties)
    steps = [] if integration is None else [("PutIntegration", integration)]
    at = next((n for n, (name, _) in enumerate(responses) if name == _LAST), len(responses))
    for operation, params in (*responses[:at], *steps, *responses[at:]):
        await ctx.call(SERVICE, operation, **address, **params)
    return Known("|".join(address.values()))


async def _update_method(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    with suppress(AwsError):  # gone already: an update that was interrupted
        await _delete_method(ctx, known.physical_id, old)
    return await _create_method(ctx, new)


async def _delete_method(ctx: Context, name: str, properties: Properties) -> None:
    api, resource, verb = name.split("|")
    address = {"restApiId": api, "resourceId": resource, "httpMethod": verb}
    await ctx.call(SERVICE, "DeleteMethod", **address)


# --- deployments and stages ---


async def _create_deployment(ctx: Context, properties: Properties) -> Known:
    given = dict(properties)
    described = _stage_description(given.pop("StageDescription", None) or {})
    if "DeploymentCanarySettings" in given:
        given["CanarySettings"] = given.pop("DeploymentCanarySettings")
    made = await ctx.call(SERVICE, "CreateDeployment", **settings("CreateDeployment", given))
    await ctx.begin(made["id"])
    if described:
        place = {"restApiId": properties["RestApiId"], "stageName": properties["StageName"]}
        await _bring_stage(ctx, place, described, {})
    return Known(made["id"], {"DeploymentId": made["id"]})


def _stage_description(given: Properties) -> Properties:
    """A stage's properties; settings that stand beside them are for all of its methods."""
    every = {name: value for name, value in given.items() if name in _METHOD_SETTINGS}
    stage = {name: value for name, value in given.items() if name not in every}
    if unknown := sorted(stage.keys() - _STAGE_DESCRIPTION):
        raise TemplateError(f"StageDescription.{unknown[0]} is not implemented by cloudlet.")
    if every:
        stage["MethodSettings"] = [every, *(stage.get("MethodSettings") or [])]
    return stage


def _check_deployment(properties: Properties) -> None:
    described = _stage_description(properties.get("StageDescription") or {})
    if described and "StageName" not in properties:
        raise TemplateError("StageDescription needs a StageName.")
    _check_stage(described)


def _check_stage(properties: Properties) -> None:
    for each in properties.get("MethodSettings") or []:
        if unknown := sorted(
            each.keys() - _METHOD_SETTINGS.keys() - {"ResourcePath", "HttpMethod"}
        ):
            raise TemplateError(f"MethodSettings.{unknown[0]} is not implemented by cloudlet.")


async def _update_deployment(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    address = {"restApiId": new["RestApiId"], "deploymentId": known.physical_id}
    operations = [patch("/description", new.get("Description") or "")]
    await ctx.call(SERVICE, "UpdateDeployment", **address, patchOperations=operations)
    return known


async def _delete_deployment(ctx: Context, name: str, properties: Properties) -> None:
    """The stage that came with the deployment goes with it, unless another one has taken it."""
    api = properties["RestApiId"]
    stage = properties.get("StageName")
    if stage:
        found = await ctx.call(SERVICE, "GetStages", restApiId=api, deploymentId=name)
        if any(each["stageName"] == stage for each in found["item"]):
            await ctx.call(SERVICE, "DeleteStage", restApiId=api, stageName=stage)
    try:
        await ctx.call(SERVICE, "DeleteDeployment", restApiId=api, deploymentId=name)
    except AwsError as error:  # a stage that goes later still serves it: it goes with the API
        if not error.message.startswith("Active stages"):
            raise


async def _create_stage(ctx: Context, properties: Properties) -> Known:
    given = {name: value for name, value in properties.items() if name not in _PATCHED}
    name = given.setdefault("StageName", "default")
    await ctx.call(SERVICE, "CreateStage", **settings("CreateStage", given))
    await ctx.begin(name)
    place = {"restApiId": properties["RestApiId"], "stageName": name}
    await _bring_stage(ctx, place, properties, {})
    return Known(name)


async def _update_stage(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    place = {"restApiId": new["RestApiId"], "stageName": known.physical_id}
    await _bring_stage(ctx, place, new, old)
    path = f"restapis/{new['RestApiId']}/stages/{known.physical_id}"
    await TAGS.update(ctx, arn(ctx, path), new, old)
    return known


async def _bring_stage(
    ctx: Context, place: dict[str, str], new: Properties, old: Properties
) -> None:
    stage = await ctx.call(SERVICE, "GetStage", **place)
    patches = [
        patch(f"/{camel(name)}", new.get(name, default))
        for name, default in _STAGE.items()
        if name in new or name in old
    ]
    if new.get("DeploymentId"):
        patches.append(patch("/deploymentId", new["DeploymentId"]))
    patches += _map_patches("/variables", stage.get("variables"), new.get("Variables"))
    patches += _log_patches(stage, new.get("AccessLogSetting"))
    patches += _method_patches(stage, new.get("MethodSettings") or [])
    patches += _canary_patches(stage, new.get("CanarySetting"))
    if patches:
        await ctx.call(SERVICE, "UpdateStage", **place, patchOperations=patches)


def _map_patches(path: str, current: Any, wanted: Any) -> Patches:
    gone = sorted((current or {}).keys() - (wanted or {}).keys())
    patches: Patches = [{"op": "remove", "path": f"{path}/{name}"} for name in gone]
    return patches + [patch(f"{path}/{name}", value) for name, value in (wanted or {}).items()]


def _log_patches(stage: dict[str, Any], wanted: Properties | None) -> Patches:
    if not wanted:
        is_there = bool(stage.get("accessLogSettings"))
        return [{"op": "remove", "path": "/accessLogSettings"}] if is_there else []
    return [patch(f"/accessLogSettings/{camel(name)}", wanted[name]) for name in sorted(wanted)]


def _method_patches(stage: dict[str, Any], wanted: list[Properties]) -> Patches:
    patches: Patches = [
        {"op": "remove", "path": f"/{key}"} for key in stage.get("methodSettings") or {}
    ]
    for each in wanted:
        path = str(each.get("ResourcePath") or "/*")
        path = "/~1" if path == "/" else f"/{path.removeprefix('/')}"
        key = f"{path}/{each.get('HttpMethod') or '*'}"
        patches += [
            patch(f"{key}/{_METHOD_SETTINGS[name]}", value)
            for name, value in each.items()
            if name in _METHOD_SETTINGS
        ]
    return patches


def _canary_patches(stage: dict[str, Any], wanted: Properties | None) -> Patches:
    current = stage.get("canarySettings")
    if not wanted:
        return [{"op": "remove", "path": "/canarySettings"}] if current else []
    given = dict(wanted)
    overrides = given.pop("StageVariableOverrides", None)
    given.setdefault("DeploymentId", (current or {}).get("deploymentId") or stage["deploymentId"])
    patches = [patch(f"/canarySettings/{camel(name)}", value) for name, value in given.items()]
    before = (current or {}).get("stageVariableOverrides")
    return patches + _map_patches("/canarySettings/stageVariableOverrides", before, overrides)


# --- keys and usage plans ---


async def _create_key(ctx: Context, properties: Properties) -> Known:
    given = {**properties, "Name": ctx.name(properties.get("Name"), 128)}
    made = await ctx.call(SERVICE, "CreateApiKey", **settings("CreateApiKey", given))
    await ctx.begin(made["id"])
    return Known(made["id"], {"APIKeyId": made["id"]})


async def _update_key(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    patches = [
        patch(f"/{camel(name)}", new.get(name, default))
        for name, default in (("CustomerId", ""), ("Description", ""), ("Enabled", "false"))
        if name in new or name in old
    ]
    before, wanted = _stage_keys(old), _stage_keys(new)
    for op, these, others in (("remove", before, wanted), ("add", wanted, before)):
        patches += [{"op": op, "path": "/stages", "value": key} for key in these - others]
    await ctx.call(SERVICE, "UpdateApiKey", apiKey=known.physical_id, patchOperations=patches)
    await TAGS.update(ctx, arn(ctx, f"apikeys/{known.physical_id}"), new, old)
    return known


def _stage_keys(properties: Properties) -> set[str]:
    stages = properties.get("StageKeys") or []
    return {f"{stage['RestApiId']}/{stage['StageName']}" for stage in stages}


def _plan(properties: Properties) -> dict[str, Any]:
    given = {"Name": "", **properties}
    if "UsagePlanName" in given:
        given["Name"] = given.pop("UsagePlanName")
    return settings("CreateUsagePlan", given)


async def _create_plan(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("UsagePlanName"), 128)
    made = await ctx.call(
        SERVICE, "CreateUsagePlan", **_plan({**properties, "UsagePlanName": name})
    )
    await ctx.begin(made["id"])
    return Known(made["id"], {"Id": made["id"]})


async def _update_plan(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    """Stages go and come again, so that their own throttles are as wanted, too."""
    address = {"usagePlanId": known.physical_id}
    current, wanted = await ctx.call(SERVICE, "GetUsagePlan", **address), _plan(new)
    patches = [patch("/description", wanted.get("description", ""))]
    if wanted["name"]:
        patches.append(patch("/name", wanted["name"]))
    for name in ("quota", "throttle"):
        if current.get(name):
            patches.append({"op": "remove", "path": f"/{name}"})
        patches += [patch(f"/{name}/{key}", value) for key, value in wanted.get(name, {}).items()]
    patches += [_stage_patch("remove", stage) for stage in current["apiStages"]]
    for stage in wanted.get("apiStages") or []:
        patches.append(_stage_patch("add", stage))
        place = f"/apiStages/{stage['apiId']}:{stage['stage']}/throttle"
        for method, limits in (stage.get("throttle") or {}).items():
            patches += [patch(f"{place}/{method}/{key}", value) for key, value in limits.items()]
    await ctx.call(SERVICE, "UpdateUsagePlan", **address, patchOperations=patches)
    await TAGS.update(ctx, arn(ctx, f"usageplans/{known.physical_id}"), new, old)
    return known


def _stage_patch(op: str, stage: dict[str, Any]) -> dict[str, str]:
    return {"op": op, "path": "/apiStages", "value": f"{stage['apiId']}:{stage['stage']}"}


async def _delete_plan(ctx: Context, name: str, properties: Properties) -> None:
    current = await ctx.call(SERVICE, "GetUsagePlan", usagePlanId=name)
    patches = [_stage_patch("remove", stage) for stage in current["apiStages"]]
    if patches:
        await ctx.call(SERVICE, "UpdateUsagePlan", usagePlanId=name, patchOperations=patches)
    await ctx.call(SERVICE, "DeleteUsagePlan", usagePlanId=name)


KINDS = (
    Kind(
        "AWS::ApiGateway::Method",
        words(
            "ApiKeyRequired AuthorizationScopes AuthorizationType AuthorizerId HttpMethod"
            " Integration MethodResponses OperationName RequestModels RequestParameters"
            " RequestValidatorId ResourceId RestApiId"
        ),
        _create_method,
        _delete_method,
        _update_method,
        fixed=words("HttpMethod ResourceId RestApiId"),
        required=words("HttpMethod ResourceId RestApiId"),
        check=_check_method,
    ),
    Kind(
        "AWS::ApiGateway::Deployment",
        words("DeploymentCanarySettings Description RestApiId StageDescription StageName"),
        _create_deployment,
        _delete_deployment,
        _update_deployment,
        fixed=words("DeploymentCanarySettings RestApiId StageDescription StageName"),
        required=words("RestApiId"),
        check=_check_deployment,
    ),
    Kind(
        "AWS::ApiGateway::Stage",
        words(
            "AccessLogSetting CacheClusterEnabled CacheClusterSize CanarySetting DeploymentId"
            " Description DocumentationVersion MethodSettings RestApiId StageName Tags"
            " TracingEnabled Variables"
        ),
        _create_stage,
        deletes(SERVICE, "DeleteStage", "stageName", of="RestApiId"),
        _update_stage,
        fixed=words("RestApiId StageName"),
        required=words("RestApiId"),
        check=_check_stage,
    ),
    Kind(
        "AWS::ApiGateway::ApiKey",
        words("CustomerId Description Enabled GenerateDistinctId Name StageKeys Tags Value"),
        _create_key,
        deletes(SERVICE, "DeleteApiKey", "apiKey"),
        _update_key,
        fixed=words("GenerateDistinctId Name Value"),
        check=lambda properties: settings("CreateApiKey", properties),
    ),
    Kind(
        "AWS::ApiGateway::UsagePlan",
        words("ApiStages Description Quota Tags Throttle UsagePlanName"),
        _create_plan,
        _delete_plan,
        _update_plan,
        check=_plan,
    ),
    Row(
        "AWS::ApiGateway::UsagePlanKey",
        SERVICE,
        "CreateUsagePlanKey - DeleteUsagePlanKey",
        "KeyId KeyType UsagePlanId",
        of="KeyId UsagePlanId",
        ref="{KeyId}:{UsagePlanId}",
        fixed="KeyId KeyType UsagePlanId",
        required="KeyId KeyType UsagePlanId",
        attributes=lambda made, name: {"Id": name},
    ).kind(),
)
