"""AWS::Kinesis::Stream, AWS::Kinesis::StreamConsumer and AWS::Kinesis::ResourcePolicy.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Kinesis.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("kinesis", arn="ResourceARN")
_LATER = words("DesiredShardLevelMetrics Name RetentionPeriodHours StreamEncryption Tags")
_RETENTION_HOURS = 24


def _settings(properties: Properties) -> dict[str, Any]:
    given = {key: value for key, value in properties.items() if key not in _LATER}
    return shapes.parameters("kinesis", "CreateStream", given)


async def _create_stream(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("Name"), 128)
    await ctx.call("kinesis", "CreateStream", StreamName=name, **_settings(properties))
    await ctx.begin(name)
    known = Known(name, {"Arn": ctx.cloud.config.arn("kinesis", f"stream/{name}")})
    await _set(ctx, known, properties, {})
    return known


async def _update_stream(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    arn = known.attributes["Arn"]
    wanted = _settings(new)
    mode = wanted.get("StreamModeDetails") or {"StreamMode": "PROVISIONED"}
    current = (await ctx.call("kinesis", "DescribeStreamSummary", StreamARN=arn))[
        "StreamDescriptionSummary"
    ]
    if mode != current["StreamModeDetails"]:
        await ctx.call("kinesis", "UpdateStreamMode", StreamARN=arn, StreamModeDetails=mode)
    count = wanted.get("ShardCount", 1)
    if mode["StreamMode"] == "PROVISIONED" and count != current["OpenShardCount"]:
        scaling = {"TargetShardCount": count, "ScalingType": "UNIFORM_SCALING"}
        await ctx.call("kinesis", "UpdateShardCount", StreamARN=arn, **scaling)
    size = wanted.get("MaxRecordSizeInKiB", 1024)
    if size != current["MaxRecordSizeInKiB"]:
        await ctx.call("kinesis", "UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=size)
    await _set(ctx, known, new, old)
    return known


async def _set(ctx: Context, known: Known, new: Properties, old: Properties) -> None:
    """What has operations of its own, whether the stream is new or not."""
    arn = str(known.attributes["Arn"])
    hours, before = (int(each.get("RetentionPeriodHours", _RETENTION_HOURS)) for each in (new, old))
    if hours != before:
        operation = f"{'Increase' if hours > before else 'Decrease'}StreamRetentionPeriod"
        await ctx.call("kinesis", operation, StreamARN=arn, RetentionPeriodHours=hours)
    wanted, had = (set(each.get("DesiredShardLevelMetrics") or ()) for each in (new, old))
    for operation, metrics in (("Disable", had - wanted), ("Enable", wanted - had)):
        if metrics:
            params = {"StreamARN": arn, "ShardLevelMetrics": sorted(metrics)}
            await ctx.call("kinesis", f"{operation}EnhancedMonitoring", **params)
    encryption, was = (each.get("StreamEncryption") or {} for each in (new, old))
    if encryption != was:
        operation = "StartStreamEncryption" if encryption else "StopStreamEncryption"
        await ctx.call("kinesis", operation, StreamARN=arn, **(encryption or was))
    await _TAGS.update(ctx, arn, new, old)


async def _delete_stream(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("kinesis", "DeleteStream", StreamName=name, EnforceConsumerDeletion=True)


_CONSUMER = Row(
    "AWS::Kinesis::StreamConsumer",
    "kinesis",
    "RegisterStreamConsumer - DeregisterStreamConsumer",
    "ConsumerName StreamARN Tags",
    id="ConsumerARN",
    ref="Consumer.ConsumerARN",
    fixed="ConsumerName StreamARN",
    required="ConsumerName StreamARN",
    tags=_TAGS,
    attributes=lambda made, arn: {
        **{key: str(value) for key, value in made["Consumer"].items()},
        "StreamARN": arn.rpartition("/consumer/")[0],
    },
)
_POLICY = Row(
    "AWS::Kinesis::ResourcePolicy",
    "kinesis",
    "PutResourcePolicy PutResourcePolicy DeleteResourcePolicy",
    "ResourceArn ResourcePolicy",
    of="ResourceArn",
    ref="{ResourceArn}",
    fixed="ResourceArn",
    required="ResourceArn ResourcePolicy",
    prepare=lambda given: {
        "Policy" if key == "ResourcePolicy" else key: value for key, value in given.items()
    },
)
KINDS = (
    Kind(
        "AWS::Kinesis::Stream",
        _LATER | words("MaxRecordSizeInKiB ShardCount StreamModeDetails"),
        _create_stream,
        _delete_stream,
        _update_stream,
        fixed=words("Name"),
        name="Name",
        check=_settings,
    ),
    _CONSUMER.kind(),
    _POLICY.kind(),
)
