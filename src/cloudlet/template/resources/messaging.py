"""AWS::SQS::*, AWS::Events::Rule and AWS::Scheduler::*.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SQS.html,
…/AWS_Events.html and …/AWS_Scheduler.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, deletes, policies
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_QUEUE_TAGS = Tagging("sqs", arn="QueueUrl", operations=("TagQueue", "UntagQueue"))
_RULE_TAGS = Tagging("events", arn="ResourceARN", is_list=True)
_GROUP_TAGS = Tagging("scheduler", is_list=True)
_QUEUE_ATTRIBUTES = words(
    "ContentBasedDeduplication DeduplicationScope DelaySeconds FifoQueue FifoThroughputLimit"
    " KmsDataKeyReusePeriodSeconds KmsMasterKeyId MaximumMessageSize MessageRetentionPeriod"
    " ReceiveMessageWaitTimeSeconds RedriveAllowPolicy RedrivePolicy SqsManagedSseEnabled"
    " VisibilityTimeout"
)
# template-003: what SqsManagedSseEnabled and the two of throughput were, they stay; and the size
# goes back to what was SQS's default once
_QUEUE_DEFAULTS = {
    "ContentBasedDeduplication": "false",
    "DelaySeconds": "0",
    "KmsDataKeyReusePeriodSeconds": "300",
    "KmsMasterKeyId": "",
    "MaximumMessageSize": "262144",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "RedriveAllowPolicy": "",
    "RedrivePolicy": "",
    "VisibilityTimeout": "30",
}


def _queue_attributes(properties: Properties) -> dict[str, str]:
    return {
        name: shapes.text(value) for name, value in properties.items() if name in _QUEUE_ATTRIBUTES
    }


async def _create_queue(ctx: Context, properties: Properties) -> Known:
    is_fifo = shapes.text(properties.get("FifoQueue", False)) == "true"
    name = properties.get("QueueName")
    if not name:
        name = ctx.name(None, 75 if is_fifo else 80) + (".fifo" if is_fifo else "")
    settings = {"Attributes": _queue_attributes(properties)}
    tags = _QUEUE_TAGS.initial(properties, "tags")
    made = await ctx.call("sqs", "CreateQueue", QueueName=name, **settings, **tags)
    url = made["QueueUrl"]
    await ctx.begin(url)
    arn = ctx.cloud.config.arn("sqs", name)
    return Known(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


async def _update_queue(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    attributes, before = _queue_attributes(new), _queue_attributes(old)
    wanted = {name: value for name, value in attributes.items() if name != "FifoQueue"}
    for name in _QUEUE_DEFAULTS.keys() & before.keys() - attributes.keys():
        wanted[name] = _QUEUE_DEFAULTS[name]
    if wanted:
        await ctx.call("sqs", "SetQueueAttributes", QueueUrl=known.physical_id, Attributes=wanted)
    await _QUEUE_TAGS.update(ctx, known.physical_id, new, old)
    return known


async def _set_policy(ctx: Context, url: str, policy: str) -> None:
    await ctx.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": policy})


def _rule(name: str, properties: Properties) -> dict[str, Any]:
    elsewhere = ("Targets", "Name", "Tags")
    settings = {key: value for key, value in properties.items() if key not in elsewhere}
    settings["Name"] = name
    return shapes.parameters("events", "PutRule", settings)


def _targets(properties: Properties) -> list[dict[str, Any]]:
    targets = properties.get("Targets") or []
    return list(shapes.member("events", "PutTargets", "Targets", targets))


def _bus(properties: Properties) -> dict[str, str]:
    bus = properties.get("EventBusName")
    return {"EventBusName": bus} if bus else {}


async def _create_rule(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("Name"), 64)
    made = await ctx.call("events", "PutRule", **_rule(name, properties))
    bus = str(properties.get("EventBusName") or "default").rpartition("/")[2]
    physical_id = name if bus == "default" else f"{bus}|{name}"
    await ctx.begin(physical_id)
    await _put_targets(ctx, name, properties)
    await _RULE_TAGS.update(ctx, made["RuleArn"], properties, {})
    return Known(physical_id, {"Arn": made["RuleArn"]})


async def _put_targets(ctx: Context, rule: str, properties: Properties) -> None:
    targets = _targets(properties)
    if targets:
        await ctx.call("events", "PutTargets", Rule=rule, Targets=targets, **_bus(properties))


async def _update_rule(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    name = known.physical_id.rpartition("|")[2]
    await ctx.call("events", "PutRule", **_rule(name, new))
    await _put_targets(ctx, name, new)
    wanted = {target["Id"] for target in new.get("Targets") or []}
    gone = [each["Id"] for each in old.get("Targets") or [] if each["Id"] not in wanted]
    if gone:
        await ctx.call("events", "RemoveTargets", Rule=name, Ids=gone, **_bus(new))
    await _RULE_TAGS.update(ctx, str(known.attributes["Arn"]), new, old)
    return known


async def _delete_rule(ctx: Context, physical_id: str, properties: Properties) -> None:
    name = physical_id.rpartition("|")[2]
    bus = _bus(properties)
    targets = await ctx.call("events", "ListTargetsByRule", Rule=name, **bus)
    ids = [target["Id"] for target in targets.get("Targets", [])]
    if ids:
        await ctx.call("events", "RemoveTargets", Rule=name, Ids=ids, **bus)
    await ctx.call("events", "DeleteRule", Name=name, **bus)


KINDS = (
    Kind(
        "AWS::SQS::Queue",
        _QUEUE_ATTRIBUTES | words("QueueName Tags"),
        _create_queue,
        deletes("sqs", "DeleteQueue", "QueueUrl"),
        _update_queue,
        fixed=words("QueueName FifoQueue"),
        name="QueueName",
    ),
    policies("AWS::SQS::QueuePolicy", "", "Queues", _set_policy),
    policies("AWS::SQS::QueueInlinePolicy", "Queue", "", _set_policy),
    Kind(
        "AWS::Events::Rule",
        words(
            "Description EventBusName EventPattern Name RoleArn ScheduleExpression State Tags"
            " Targets"
        ),
        _create_rule,
        _delete_rule,
        _update_rule,
        fixed=words("Name EventBusName"),
        name="Name",
        check=lambda properties: (_rule("", properties), _targets(properties)),
    ),
    Row(
        "AWS::Scheduler::Schedule",
        "scheduler",
        "CreateSchedule UpdateSchedule DeleteSchedule",
        "Description EndDate FlexibleTimeWindow GroupName KmsKeyArn Name ScheduleExpression"
        " ScheduleExpressionTimezone StartDate State Target",
        of="GroupName",
        name="Name",
        limit=64,
        fixed="Name GroupName",
        required="FlexibleTimeWindow ScheduleExpression Target",
        attributes=lambda made, name: {"Arn": made["ScheduleArn"]},
    ).kind(),
    Row(
        "AWS::Scheduler::ScheduleGroup",
        "scheduler",
        "CreateScheduleGroup - DeleteScheduleGroup",
        "Name Tags",
        name="Name",
        limit=64,
        fixed="Name",
        tags=_GROUP_TAGS,
        attributes=lambda made, name: {"Arn": made["ScheduleGroupArn"]},
    ).kind(),
)
