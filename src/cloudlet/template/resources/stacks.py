"""AWS::CloudFormation::*: nested stacks, and the types that make nothing.

A nested stack is made through the API, in the name of who deploys its parent.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-stack.html.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction
from cloudlet.template import folders, stacks
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Context, Kind, Properties, keep
from cloudlet.template.resources.shapes import text
from cloudlet.template.words import words

_POLL_S = 0.05
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


def _params(ctx: Context, properties: Properties) -> dict[str, Any]:
    parameters = (properties.get("Parameters") or {}).items()
    acknowledged = stacks.details(ctx.cloud.database.view(), ctx.stack).capabilities
    url = str(properties["TemplateURL"])
    is_local = ctx.caller is None and url.startswith(folders.DATA_URL)
    body = {"TemplateBody": unquote(url.removeprefix(folders.DATA_URL))}
    return {
        **(body if is_local else {"TemplateURL": url}),
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": _parameter(value)}
            for name, value in parameters
        ],
        "Capabilities": acknowledged if ctx.caller else _CAPABILITIES,
        "Tags": properties.get("Tags") or [],
        "NotificationARNs": properties.get("NotificationARNs") or [],
    }


def _parameter(value: Any) -> str:
    return ",".join(map(text, value)) if isinstance(value, list) else text(value)


async def _create(ctx: Context, properties: Properties) -> Known:
    params = _params(ctx, properties)
    name = ctx.name(None, 128)
    made = await ctx.call(
        "cloudformation", "CreateStack", StackName=name, DisableRollback=True, **params
    )
    await ctx.begin(made["StackId"])
    child = stacks.Stack(name, made["StackId"])

    def adopt(tx: Transaction) -> None:
        details = stacks.details(tx, child)
        details.parent = ctx.stack.id
        stacks.put_details(tx, child, details)

    await ctx.cloud.database.write(adopt)
    return await _settled(ctx, made["StackId"])


async def _update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await _stable(ctx, known.physical_id)
    params = _params(ctx, new)
    try:
        await ctx.call("cloudformation", "UpdateStack", StackName=known.physical_id, **params)
    except AwsError as error:
        if error.message != "No updates are to be performed.":
            raise
        return _found(ctx, known.physical_id)  # it may have rolled back by itself
    return await _settled(ctx, known.physical_id)


async def _delete(ctx: Context, physical_id: str, properties: Properties) -> None:
    await ctx.call("cloudformation", "DeleteStack", StackName=physical_id)
    status = await _stable(ctx, physical_id)
    if status != "DELETE_COMPLETE":
        raise TemplateError(f"Embedded stack {physical_id} was not successfully deleted")


async def _stable(ctx: Context, stack_id: str) -> str:
    stack = stacks.Stack(stack_id.split("/")[1], stack_id)
    while True:
        status = stacks.status(ctx.cloud.database.view(), stack)
        if not status.endswith("_IN_PROGRESS"):
            return status
        if ctx.is_halted():
            raise TemplateError("Resource creation cancelled")
        await asyncio.sleep(_POLL_S)


async def _settled(ctx: Context, stack_id: str) -> Known:
    status = await _stable(ctx, stack_id)
    view = ctx.cloud.database.view()
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        reasons = view.all(
            "SELECT logical_id, reason FROM template_events WHERE stack_id = ?"
            " AND status LIKE '%_FAILED' AND reason != '' ORDER BY number DESC LIMIT 2",
            (stack_id,),
        )
        why = "; ".join(f"{row['logical_id']}: {row['reason']}" for row in reversed(reasons))
        verb = "created" if status.startswith("CREATE") else "updated"
        raise TemplateError(f"Embedded stack {stack_id} was not successfully {verb}: {why}")
    return _found(ctx, stack_id)


def _found(ctx: Context, stack_id: str) -> Known:
    outputs = stacks.stack_outputs(ctx.cloud.database.view(), stack_id.split("/")[1])
    return Known(stack_id, {f"Outputs.{name}": value for name, value in outputs.items()})


async def _nothing(ctx: Context, properties: Properties) -> Known:
    return Known(ctx.name(None, 128))


async def _no_more(ctx: Context, physical_id: str, properties: Properties) -> None:
    """There is nothing to delete."""


KINDS = (
    Kind(
        stacks.TYPE,
        words("TemplateURL Parameters Tags NotificationARNs"),
        _create,
        _delete,
        _update,
        required=words("TemplateURL"),
        settles=True,
    ),
    Kind("AWS::CDK::Metadata", words("Analytics"), _nothing, _no_more, keep),
    Kind("AWS::CloudFormation::WaitConditionHandle", frozenset(), _nothing, _no_more, keep),
)
