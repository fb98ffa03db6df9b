"""AWS::Events::EventBus, its policies and archives, connections and API destinations.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Events.html.
"""

from typing import Any

from cloudlet.call import Output
from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, deletes
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("events", arn="ResourceARN", is_list=True)


def _bus(operation: str, properties: Properties) -> dict[str, Any]:
    elsewhere = ("Policy", "Tags")
    settings = {key: value for key, value in properties.items() if key not in elsewhere}
    return shapes.parameters("events", operation, settings)


async def _create_bus(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties["Name"], 256)
    made = await ctx.call("events", "CreateEventBus", **_bus("CreateEventBus", properties))
    arn = made["EventBusArn"]
    await ctx.begin(name)
    await _set_policy(ctx, name, properties, {})
    await _TAGS.update(ctx, arn, properties, {})
    return Known(name, {"Arn": arn, "Name": name, "Policy": properties.get("Policy", "")})


async def _set_policy(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    policy = new.get("Policy")
    if policy:
        text = shapes.text(policy)
        await ctx.call("events", "PutPermission", EventBusName=name, Policy=text)
    elif old.get("Policy"):
        settings = {"EventBusName": name, "RemoveAllPermissions": True}
        await ctx.call("events", "RemovePermission", **settings)


async def _update_bus(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await ctx.call("events", "UpdateEventBus", **_bus("UpdateEventBus", new))
    await _set_policy(ctx, known.physical_id, new, old)
    await _TAGS.update(ctx, str(known.attributes["Arn"]), new, old)
    return Known(known.physical_id, {**known.attributes, "Policy": new.get("Policy", "")})


def _permission(properties: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in properties.items() if key != "Statement"}
    converted = shapes.parameters("events", "PutPermission", settings)
    statement = properties.get("Statement")
    return converted | ({"_Statement": statement} if statement else {})


async def _create_policy(ctx: Context, properties: Properties) -> Known:
    await ctx.call("events", "PutPermission", **_permission(properties))
    bus = str(properties.get("EventBusName") or "default").rpartition("/")[2]
    return Known(f"{bus}|{properties['StatementId']}")


async def _update_policy(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await ctx.call("events", "PutPermission", **_permission(new))
    return known


async def _delete_policy(ctx: Context, physical_id: str, properties: Properties) -> None:
    bus, _, sid = physical_id.partition("|")
    await ctx.call("events", "RemovePermission", EventBusName=bus, StatementId=sid)


def _arns(made: Output, name: str) -> dict[str, str]:
    arn = made.get("ConnectionArn") or made["ApiDestinationArn"]
    return {"Arn": arn, "ArnForPolicy": arn.rpartition("/")[0]}


def _archive(properties: Properties) -> Properties:
    return {"EventSourceArn" if key == "SourceArn" else key: properties[key] for key in properties}


_ROWS = (
    Row(
        "AWS::Events::Archive",
        "events",
        "CreateArchive UpdateArchive DeleteArchive",
        "ArchiveName Description EventPattern KmsKeyIdentifier RetentionDays SourceArn",
        name="ArchiveName",
        limit=48,
        fixed="ArchiveName SourceArn",
        required="SourceArn",
        attributes=lambda made, name: {"Arn": made["ArchiveArn"], "ArchiveName": name},
        prepare=_archive,
        without={"EventPattern": "", "RetentionDays": 0},
    ),
    *(
        Row(
            f"AWS::Events::{noun}",
            "events",
            f"Create{noun} Update{noun} Delete{noun}",
            f"Name {properties}",
            name="Name",
            limit=64,
            fixed="Name",
            required=required,
            attributes=_arns,
        )
        for noun, properties, required in (
            (
                "Connection",
                "AuthParameters AuthorizationType Description InvocationConnectivityParameters"
                " KmsKeyIdentifier",
                "AuthorizationType AuthParameters",
            ),
            (
                "ApiDestination",
                "ConnectionArn Description HttpMethod InvocationEndpoint"
                " InvocationRateLimitPerSecond",
                "ConnectionArn HttpMethod InvocationEndpoint",
            ),
        )
    ),
)
KINDS = (
    Kind(
        "AWS::Events::EventBus",
        words("Description EventSourceName KmsKeyIdentifier Name Policy Tags"),
        _create_bus,
        deletes("events", "DeleteEventBus", "Name"),
        _update_bus,
        fixed=words("Name"),
        name="Name",
        required=words("Name"),
        check=lambda properties: _bus("CreateEventBus", properties),
    ),
    Kind(
        "AWS::Events::EventBusPolicy",
        words("Action Condition EventBusName Principal Statement StatementId"),
        _create_policy,
        _delete_policy,
        _update_policy,
        fixed=words("EventBusName StatementId"),
        required=words("StatementId"),
    ),
    *(row.kind() for row in _ROWS),
)
