"""AWS::KMS::Key and AWS::KMS::Alias.

A deleted key waits out its window, as on AWS: what it encrypted can be read until then.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-key.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("kms", arn="KeyId", is_list=True, pair=("TagKey", "TagValue"))
_ROTATION = words("EnableKeyRotation RotationPeriodInDays")
_LATER = _ROTATION | words("Enabled KeyPolicy PendingWindowInDays Tags")
_CREATED = words("BypassPolicyLockoutSafetyCheck Description KeySpec KeyUsage MultiRegion Origin")


def _settings(properties: Properties) -> dict[str, Any]:
    given = {name: value for name, value in properties.items() if name in _CREATED}
    settings = shapes.parameters("kms", "CreateKey", given)
    if properties.get("KeyPolicy"):
        settings["Policy"] = shapes.text(properties["KeyPolicy"])
    return settings


def _is_on(properties: Properties, name: str, default: bool) -> bool:
    return str(properties.get(name, default)).lower() == "true"


async def _create_key(ctx: Context, properties: Properties) -> Known:
    settings = {**_settings(properties), **_TAGS.initial(properties)}
    made = (await ctx.call("kms", "CreateKey", **settings))["KeyMetadata"]
    await ctx.begin(made["KeyId"])
    await _switch(ctx, made["KeyId"], properties, {})
    return Known(made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]})


async def _switch(ctx: Context, key_id: str, new: Properties, old: Properties) -> None:
    """Rotation and whether it is enabled: switches of their own. What is disabled can't rotate."""
    was_on, is_on = _is_on(old, "Enabled", True), _is_on(new, "Enabled", True)
    if is_on and not was_on:
        await ctx.call("kms", "EnableKey", KeyId=key_id)
    rotation, before = ([each.get(name) for name in sorted(_ROTATION)] for each in (new, old))
    if rotation != before:
        if _is_on(new, "EnableKeyRotation", False):
            days = new.get("RotationPeriodInDays")
            more = {"RotationPeriodInDays": int(days)} if days else {}
            await ctx.call("kms", "EnableKeyRotation", KeyId=key_id, **more)
        else:
            await ctx.call("kms", "DisableKeyRotation", KeyId=key_id)
    if was_on and not is_on:
        await ctx.call("kms", "DisableKey", KeyId=key_id)


async def _update_key(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    key_id = known.physical_id
    await _switch(ctx, key_id, new, old)
    description = str(new.get("Description") or "")
    await ctx.call("kms", "UpdateKeyDescription", KeyId=key_id, Description=description)
    if new.get("KeyPolicy") != old.get("KeyPolicy") and new.get("KeyPolicy"):
        policy = shapes.text(new["KeyPolicy"])
        await ctx.call("kms", "PutKeyPolicy", KeyId=key_id, Policy=policy)
    await _TAGS.update(ctx, key_id, new, old)
    return known


async def _delete_key(ctx: Context, key_id: str, properties: Properties) -> None:
    described = (await ctx.call("kms", "DescribeKey", KeyId=key_id))["KeyMetadata"]
    if described["KeyState"] != "PendingDeletion":
        days = int(properties.get("PendingWindowInDays") or 30)
        await ctx.call("kms", "ScheduleKeyDeletion", KeyId=key_id, PendingWindowInDays=days)


KINDS = (
    Kind(
        "AWS::KMS::Key",
        _CREATED | _LATER,
        _create_key,
        _delete_key,
        _update_key,
        fixed=words("KeySpec KeyUsage MultiRegion Origin"),
        check=_settings,
    ),
    Row(
        "AWS::KMS::Alias",
        "kms",
        "CreateAlias UpdateAlias DeleteAlias",
        "AliasName TargetKeyId",
        name="AliasName",
        limit=256,
        fixed="AliasName",
        required="AliasName TargetKeyId",
    ).kind(),
)
