"""AWS::Events::EventBus, its policies and archives, connections and API destinations.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Events.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("events", arn="ResourceARN", is_list=True)


def _bus(operation: str, properties: Properties) -> dict[str, Any]:
    elsewhere = ("Policy", "Tags")
    settings = {key: value for key, value in properties.items() if key not in elsewhere}
    return shapes.parameters("events", operation, settings)


def _check_bus(properties: Properties) -> None:
    _bus("CreateEventBus", properties)


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


async def _delete_bus(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("events", "DeleteEventBus", Name=name)


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


def _archive(operation: str, name: str, properties: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in properties.items() if key != "SourceArn"}
    if operation == "CreateArchive":
        settings["EventSourceArn"] = properties["SourceArn"]
    return shapes.parameters("events", operation, {**settings, "ArchiveName": name})


def _check_archive(properties: Properties) -> None:
    _archive("CreateArchive", "", properties)


async def _create_archive(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("ArchiveName"), 48)
    settings = _archive("CreateArchive", name, properties)
    made = await ctx.call("events", "CreateArchive", **settings)
    return Known(name, {"Arn": made["ArchiveArn"], "ArchiveName": name})


async def _update_archive(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    settings = _archive("UpdateArchive", known.physical_id, new)
    settings.setdefault("EventPattern", "")
    settings.setdefault("RetentionDays", 0)
    await ctx.call("events", "UpdateArchive", **settings)
    return known


async def _delete_archive(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("events", "DeleteArchive", ArchiveName=name)


def _named(noun: str, answer: str, *properties: str, required: str) -> Kind:
    """A kind whose operations are named after it and take its properties as they are."""

    def settings(operation: str, name: str, given: Properties) -> dict[str, Any]:
        return shapes.parameters("events", f"{operation}{noun}", {**given, "Name": name})

    def check(given: Properties) -> None:
        settings("Create", "", given)

    async def create(ctx: Context, given: Properties) -> Known:
        name = ctx.name(given.get("Name"), 64)
        made = await ctx.call("events", f"Create{noun}", **settings("Create", name, given))
        arn = made[answer]
        return Known(name, {"Arn": arn, "ArnForPolicy": arn.rpartition("/")[0]})

    async def update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        wanted = settings("Update", known.physical_id, new)
        await ctx.call("events", f"Update{noun}", **wanted)
        return known

    async def delete(ctx: Context, name: str, given: Properties) -> None:
        await ctx.call("events", f"Delete{noun}", Name=name)

    return Kind(
        f"AWS::Events::{noun}",
        frozenset(("Name", *properties)),
        create,
        delete,
        update,
        fixed=words("Name"),
        name="Name",
        required=words(required),
        check=check,
    )


KINDS = (
    Kind(
        "AWS::Events::EventBus",
        words("Description EventSourceName KmsKeyIdentifier Name Policy Tags"),
        _create_bus,
        _delete_bus,
        _update_bus,
        fixed=words("Name"),
        name="Name",
        required=words("Name"),
        check=_check_bus,
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
    Kind(
        "AWS::Events::Archive",
        words("ArchiveName Description EventPattern KmsKeyIdentifier RetentionDays SourceArn"),
        _create_archive,
        _delete_archive,
        _update_archive,
        fixed=words("ArchiveName SourceArn"),
        name="ArchiveName",
        required=words("SourceArn"),
        check=_check_archive,
    ),
    _named(
        "Connection",
        "ConnectionArn",
        *("AuthParameters", "AuthorizationType", "Description"),
        *("InvocationConnectivityParameters", "KmsKeyIdentifier"),
        required="AuthorizationType AuthParameters",
    ),
    _named(
        "ApiDestination",
        "ApiDestinationArn",
        *("ConnectionArn", "Description", "HttpMethod"),
        *("InvocationEndpoint", "InvocationRateLimitPerSecond"),
        required="ConnectionArn HttpMethod InvocationEndpoint",
    ),
)
