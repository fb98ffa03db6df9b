"""AWS::DynamoDB::Table.

CloudFormation states the whole table; the API changes one thing at a time, so an update compares
what is wanted with what DescribeTable says.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html.
"""

import json
from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import deletes
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("dynamodb", is_list=True)
_ELSEWHERE = words(
    "TimeToLiveSpecification PointInTimeRecoverySpecification KinesisStreamSpecification TableName"
)


def _settings(properties: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in properties.items() if key not in _ELSEWHERE}
    if "StreamSpecification" in settings:
        settings["StreamSpecification"] = {"StreamEnabled": True, **settings["StreamSpecification"]}
    if "SSESpecification" in settings:
        specification = dict(settings["SSESpecification"])
        specification["Enabled"] = specification.pop("SSEEnabled", True)
        settings["SSESpecification"] = specification
    if "ResourcePolicy" in settings:
        settings["ResourcePolicy"] = json.dumps(settings["ResourcePolicy"]["PolicyDocument"])
    return shapes.parameters("dynamodb", "CreateTable", settings)


async def _describe(ctx: Context, table: str) -> dict[str, Any]:
    found = await ctx.call("dynamodb", "DescribeTable", TableName=table)
    return dict(found["Table"])


async def _active(ctx: Context, table: str) -> bool:
    found = await _describe(ctx, table)
    indexes = found.get("GlobalSecondaryIndexes") or []
    return all(
        each.get(key, "ACTIVE") == "ACTIVE"
        for each, key in [(found, "TableStatus"), *((index, "IndexStatus") for index in indexes)]
    )


async def _create_table(ctx: Context, properties: Properties) -> Known:
    table = ctx.name(properties.get("TableName"), 255)
    settings = _settings(properties)
    await ctx.call("dynamodb", "CreateTable", TableName=table, **settings)
    await ctx.begin(table)
    await ctx.until(lambda: _active(ctx, table), f"Table {table}")
    await _time_to_live(ctx, table, properties, {})
    _warn_of_recovery(ctx, properties, {})
    await _destination(ctx, table, properties, {})
    return await _known(ctx, table)


async def _known(ctx: Context, table: str) -> Known:
    found = await _describe(ctx, table)
    attributes = {"Arn": found["TableArn"], "TableId": found.get("TableId", "")}
    if found.get("LatestStreamArn"):
        attributes["StreamArn"] = found["LatestStreamArn"]
    return Known(table, attributes)


async def _time_to_live(ctx: Context, table: str, new: Properties, old: Properties) -> None:
    wanted = new.get("TimeToLiveSpecification")
    before = old.get("TimeToLiveSpecification")
    if wanted == before:
        return
    found = await ctx.call("dynamodb", "DescribeTimeToLive", TableName=table)
    current = found.get("TimeToLiveDescription") or {}
    is_on = current.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    if wanted is None:
        wanted = {"AttributeName": current.get("AttributeName", ""), "Enabled": False}
    specification = shapes.member("dynamodb", "UpdateTimeToLive", "TimeToLiveSpecification", wanted)
    same_name = current.get("AttributeName") == specification.get("AttributeName")
    if is_on == specification["Enabled"] and (same_name or not is_on):
        return
    if is_on and not same_name:
        raise TemplateError(
            "TimeToLiveSpecification: disable TTL in one deployment before another attribute gets"
            " it in the next."
        )
    await ctx.call(
        "dynamodb", "UpdateTimeToLive", TableName=table, TimeToLiveSpecification=specification
    )


def _warn_of_recovery(ctx: Context, new: Properties, old: Properties) -> None:
    """Applications that ask for continuous backups run here as well, and are told."""
    name = "PointInTimeRecoverySpecification"
    if new.get(name) == old.get(name):
        return
    asked = shapes.member("dynamodb", "UpdateContinuousBackups", name, new.get(name) or {})
    if asked.get("PointInTimeRecoveryEnabled"):
        what = f"{ctx.logical_id}: point-in-time recovery is not implemented by cloudlet"
        ctx.say(f"warning: {what}; the table has none")


async def _policy(ctx: Context, arn: str, new: Properties, old: Properties) -> None:
    wanted = new.get("ResourcePolicy")
    if wanted == old.get("ResourcePolicy"):
        return
    if wanted is None:
        await ctx.call("dynamodb", "DeleteResourcePolicy", ResourceArn=arn)
    else:
        text = json.dumps(wanted["PolicyDocument"])
        await ctx.call("dynamodb", "PutResourcePolicy", ResourceArn=arn, Policy=text)


async def _destination(ctx: Context, table: str, new: Properties, old: Properties) -> None:
    """Compared with what is on, so that a repeated update does nothing."""
    name = "KinesisStreamSpecification"
    given = dict(new.get(name) or {})
    if not given and not old.get(name):
        return
    wanted = given.pop("StreamArn", None)
    found = await ctx.call("dynamodb", "DescribeKinesisStreamingDestination", TableName=table)
    known = {each["StreamArn"]: each for each in found["KinesisDataStreamDestinations"]}
    for arn in known:
        if arn != wanted:
            stream = {"TableName": table, "StreamArn": arn}
            await ctx.call("dynamodb", "DisableKinesisStreamingDestination", **stream)
    stream = {"TableName": table, "StreamArn": wanted}
    if wanted and wanted not in known:
        settings = {"EnableKinesisStreamingConfiguration": given}
        await ctx.call("dynamodb", "EnableKinesisStreamingDestination", **stream, **settings)
    elif wanted and given.items() - known[wanted].items():
        settings = {"UpdateKinesisStreamingConfiguration": given}
        await ctx.call("dynamodb", "UpdateKinesisStreamingDestination", **stream, **settings)


async def _update_table(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    table = known.physical_id
    found = await _describe(ctx, table)
    for change in _changes(_settings(new), found):
        await ctx.call("dynamodb", "UpdateTable", TableName=table, **change)
        await ctx.until(lambda: _active(ctx, table), f"Table {table}")
    await _time_to_live(ctx, table, new, old)
    _warn_of_recovery(ctx, new, old)
    await _destination(ctx, table, new, old)
    await _policy(ctx, found["TableArn"], new, old)
    await _TAGS.update(ctx, found["TableArn"], new, old)
    return await _known(ctx, table)


def _changes(wanted: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """UpdateTable's parameters, one call each, in an order that AWS accepts."""
    changes: list[dict[str, Any]] = []
    mode = (found.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED")
    billing = wanted.get("BillingMode", "PROVISIONED")
    throughput = wanted.get("ProvisionedThroughput") or {}
    current = found.get("ProvisionedThroughput") or {}
    moved = any(current.get(key) != value for key, value in throughput.items())
    if billing != mode or (billing == "PROVISIONED" and moved):
        provisioned = {"ProvisionedThroughput": throughput} if billing == "PROVISIONED" else {}
        changes.append({"BillingMode": billing, **provisioned})
    changes += _stream_changes(wanted.get("StreamSpecification"), found.get("StreamSpecification"))
    protection = wanted.get("DeletionProtectionEnabled", False)
    if protection != found.get("DeletionProtectionEnabled", False):
        changes.append({"DeletionProtectionEnabled": protection})
    if wanted.get("TableClass", "STANDARD") != (found.get("TableClassSummary") or {}).get(
        "TableClass", "STANDARD"
    ):
        changes.append({"TableClass": wanted.get("TableClass", "STANDARD")})
    changes += _encryption_changes(wanted.get("SSESpecification") or {}, found)
    warm, there = wanted.get("WarmThroughput") or {}, found.get("WarmThroughput") or {}
    if any(units != there.get(name) for name, units in warm.items()):
        changes.append({"WarmThroughput": warm})
    bounds, there = wanted.get("OnDemandThroughput") or {}, found.get("OnDemandThroughput") or {}
    if billing == "PAY_PER_REQUEST" and bounds != there:
        changes.append({"OnDemandThroughput": {**dict.fromkeys(there, -1), **bounds}})
    return changes + _index_changes(wanted, found)


def _encryption_changes(wanted: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    arn: str = (found.get("SSEDescription") or {}).get("KMSMasterKeyArn", "")
    named = wanted.get("KMSMasterKeyId")
    if not wanted.get("Enabled"):
        return [{"SSESpecification": {"Enabled": False}}] if arn else []
    if arn and (named is None or arn == named or arn.endswith(f"/{named}")):
        return []
    return [{"SSESpecification": wanted}]


def _stream_changes(wanted: Any, found: Any) -> list[dict[str, Any]]:
    off: dict[str, Any] = {"StreamSpecification": {"StreamEnabled": False}}
    is_on = bool((found or {}).get("StreamEnabled"))
    if not wanted:
        return [off] if is_on else []
    if is_on and found["StreamViewType"] == wanted["StreamViewType"]:
        return []
    return [*([off] if is_on else []), {"StreamSpecification": wanted}]


def _index_changes(wanted: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    name = "GlobalSecondaryIndexes"
    indexes = {each["IndexName"]: each for each in wanted.get(name) or []}
    there = {each["IndexName"]: each for each in found.get(name) or []}
    attributes = wanted.get("AttributeDefinitions", [])
    gone = [
        index for index in there if index not in indexes or _differs(indexes[index], there[index])
    ]
    new = [index for index in indexes if index not in there or index in gone]
    updates: list[dict[str, Any]] = [{"Delete": {"IndexName": index}} for index in gone]
    updates += [{"Create": indexes[index]} for index in new]
    return [
        {"AttributeDefinitions": attributes, "GlobalSecondaryIndexUpdates": [update]}
        for update in updates
    ]


def _differs(wanted: dict[str, Any], there: dict[str, Any]) -> bool:
    if wanted["KeySchema"] != there["KeySchema"]:
        return True
    one, other = wanted.get("Projection") or {}, there.get("Projection") or {}
    return one.get("ProjectionType") != other.get("ProjectionType") or sorted(
        one.get("NonKeyAttributes") or []
    ) != sorted(other.get("NonKeyAttributes") or [])


async def _holds_items(ctx: Context, table: str) -> bool:
    found = await ctx.call("dynamodb", "Scan", TableName=table, Limit=1)
    return bool(found.get("Items"))


KINDS = (
    Kind(
        "AWS::DynamoDB::Table",
        words(
            "AttributeDefinitions BillingMode DeletionProtectionEnabled GlobalSecondaryIndexes"
            " KeySchema KinesisStreamSpecification LocalSecondaryIndexes"
            " OnDemandThroughput PointInTimeRecoverySpecification ProvisionedThroughput"
            " ResourcePolicy SSESpecification StreamSpecification TableClass TableName Tags"
            " TimeToLiveSpecification WarmThroughput"
        ),
        _create_table,
        deletes("dynamodb", "DeleteTable", "TableName"),
        _update_table,
        fixed=words("KeySchema LocalSecondaryIndexes TableName"),
        name="TableName",
        required=words("KeySchema"),
        holds_data=_holds_items,
        check=_settings,
        settles=True,
    ),
)
