"""AWS::Lambda::Url, and the provisioned concurrency of versions and aliases.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-url.html
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.words import words

_DEFAULTS: dict[str, Any] = {"Cors": {}, "InvokeMode": "BUFFERED"}


def target(function: str, qualifier: str | None = None) -> dict[str, str]:
    """A function's name or ARN, perhaps with a version or an alias, as Lambda's operations ask."""
    parts = function.split(":")
    if len(parts) == 8:
        return {"FunctionName": ":".join(parts[:7]), "Qualifier": parts[7]}
    return {"FunctionName": function, **({"Qualifier": qualifier} if qualifier else {})}


def _target(properties: Properties) -> dict[str, str]:
    return target(properties["TargetFunctionArn"], properties.get("Qualifier"))


def _settings(operation: str, properties: Properties) -> dict[str, Any]:
    settings = {k: v for k, v in properties.items() if k in ("AuthType", "Cors", "InvokeMode")}
    return shapes.parameters("lambda", operation, settings) | _target(properties)


def _known(made: dict[str, Any]) -> Known:
    arn = made["FunctionArn"]
    return Known(arn, {"FunctionArn": arn, "FunctionUrl": made["FunctionUrl"]})


async def _create(ctx: Context, properties: Properties) -> Known:
    settings = _settings("CreateFunctionUrlConfig", properties)
    return _known(await ctx.call("lambda", "CreateFunctionUrlConfig", **settings))


async def _update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    settings = _settings("UpdateFunctionUrlConfig", {**_DEFAULTS, **new})
    return _known(await ctx.call("lambda", "UpdateFunctionUrlConfig", **settings))


async def _delete(ctx: Context, arn: str, properties: Properties) -> None:
    await ctx.call("lambda", "DeleteFunctionUrlConfig", **_target(properties))


async def provision(ctx: Context, arn: str, new: Properties, old: Properties) -> None:
    """Of a version or an alias; its workers run before the deployment goes on."""
    wanted = (new.get("ProvisionedConcurrencyConfig") or {}).get("ProvisionedConcurrentExecutions")
    if not wanted:
        if old.get("ProvisionedConcurrencyConfig"):
            await ctx.call("lambda", "DeleteProvisionedConcurrencyConfig", **target(arn))
        return
    settings = {**target(arn), "ProvisionedConcurrentExecutions": int(wanted)}
    await ctx.call("lambda", "PutProvisionedConcurrencyConfig", **settings)

    async def is_ready() -> bool:
        found = await ctx.call("lambda", "GetProvisionedConcurrencyConfig", **target(arn))
        return bool(found.get("Status", "READY") != "IN_PROGRESS")

    await ctx.until(is_ready, f"Provisioned concurrency of {arn}")


KINDS = (
    Kind(
        "AWS::Lambda::Url",
        words("AuthType Cors InvokeMode Qualifier TargetFunctionArn"),
        _create,
        _delete,
        _update,
        fixed=words("Qualifier TargetFunctionArn"),
        required=words("AuthType TargetFunctionArn"),
    ),
)
