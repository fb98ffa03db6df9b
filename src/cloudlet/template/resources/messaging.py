"""AWS::SQS::*, AWS::Events::Rule and AWS::Scheduler::*.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SQS.html,
…/AWS_Events.html and …/AWS_Scheduler.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.tags import Tagging, tag_list
from cloudlet.template.words import words

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
    settings: dict[str, Any] = {"Attributes": _queue_attributes(properties)}
    if properties.get("Tags"):
        settings["tags"] = tag_list(properties["Tags"])
    made = await ctx.call("sqs", "CreateQueue", QueueName=name, **settings)
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
    tags, previous = tag_list(new.get("Tags")), tag_list(old.get("Tags"))
    if gone := sorted(previous.keys() - tags.keys()):
        await ctx.call("sqs", "UntagQueue", QueueUrl=known.physical_id, TagKeys=gone)
    if tags and tags != previous:
        await ctx.call("sqs", "TagQueue", QueueUrl=known.physical_id, Tags=tags)
    return known


async def _delete_queue(ctx: Context, url: str, properties: Properties) -> None:
    await ctx.call("sqs", "DeleteQueue", QueueUrl=url)


async def _set_policy(ctx: Context, queues: list[str], policy: str) -> None:
    for url in queues:
        await ctx.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes={"Policy": policy})


async def _create_queue_policy(ctx: Context, properties: Properties) -> Known:
    await _set_policy(ctx, properties["Queues"], shapes.text(properties["PolicyDocument"]))
    name = ctx.name(None, 100)
    return Known(name, {"Id": name})


async def _update_queue_policy(
    ctx: Context, known: Known, new: Properties, old: Properties
) -> Known:
    gone = [url for url in old.get("Queues", []) if url not in new["Queues"]]
    await _set_policy(ctx, gone, "")
    await _set_policy(ctx, new["Queues"], shapes.text(new["PolicyDocument"]))
    return known


async def _delete_queue_policy(ctx: Context, name: str, properties: Properties) -> None:
    await _set_policy(ctx, properties["Queues"], "")


async def _create_inline_policy(ctx: Context, properties: Properties) -> Known:
    await _set_policy(ctx, [properties["Queue"]], shapes.text(properties["PolicyDocument"]))
    return Known(properties["Queue"])


async def _update_inline_policy(
    ctx: Context, known: Known, new: Properties, old: Properties
) -> Known:
    await _set_policy(ctx, [known.physical_id], shapes.text(new["PolicyDocument"]))
    return known


async def _delete_inline_policy(ctx: Context, url: str, properties: Properties) -> None:
    await _set_policy(ctx, [url], "")


def _rule(name: str, properties: Properties) -> dict[str, Any]:
    elsewhere = ("Targets", "Name", "Tags")
    settings = {key: value for key, value in properties.items() if key not in elsewhere}
    settings["Name"] = name
    return shapes.parameters("events", "PutRule", settings)


def _targets(properties: Properties) -> list[dict[str, Any]]:
    targets = properties.get("Targets") or []
    return list(shapes.member("events", "PutTargets", "Targets", targets))


def _check_rule(properties: Properties) -> None:
    _rule("", properties)
    _targets(properties)


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


def _schedule(name: str, properties: Properties) -> dict[str, Any]:
    return shapes.parameters("scheduler", "CreateSchedule", {**properties, "Name": name})


def _check_schedule(properties: Properties) -> None:
    _schedule("", properties)


def _group(properties: Properties) -> dict[str, str]:
    group = properties.get("GroupName")
    return {"GroupName": group} if group else {}


async def _create_schedule(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("Name"), 64)
    made = await ctx.call("scheduler", "CreateSchedule", **_schedule(name, properties))
    return Known(name, {"Arn": made["ScheduleArn"]})


async def _update_schedule(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await ctx.call("scheduler", "UpdateSchedule", **_schedule(known.physical_id, new))
    return known


async def _delete_schedule(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("scheduler", "DeleteSchedule", Name=name, **_group(properties))


async def _create_group(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("Name"), 64)
    tags = {"Tags": properties["Tags"]} if properties.get("Tags") else {}
    made = await ctx.call("scheduler", "CreateScheduleGroup", Name=name, **tags)
    return Known(name, {"Arn": made["ScheduleGroupArn"]})


async def _update_group(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await _GROUP_TAGS.update(ctx, str(known.attributes["Arn"]), new, old)
    return known


async def _delete_group(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("scheduler", "DeleteScheduleGroup", Name=name)


KINDS = (
    Kind(
        "AWS::SQS::Queue",
        _QUEUE_ATTRIBUTES | words("QueueName Tags"),
        _create_queue,
        _delete_queue,
        _update_queue,
        fixed=words("QueueName FifoQueue"),
        name="QueueName",
    ),
    Kind(
        "AWS::SQS::QueuePolicy",
        words("Queues PolicyDocument"),
        _create_queue_policy,
        _delete_queue_policy,
        _update_queue_policy,
        required=words("Queues PolicyDocument"),
    ),
    Kind(
        "AWS::SQS::QueueInlinePolicy",
        words("Queue PolicyDocument"),
        _create_inline_policy,
        _delete_inline_policy,
        _update_inline_policy,
        fixed=words("Queue"),
        required=words("Queue PolicyDocument"),
    ),
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
        check=_check_rule,
    ),
    Kind(
        "AWS::Scheduler::Schedule",
        words(
            "Description EndDate FlexibleTimeWindow GroupName KmsKeyArn Name ScheduleExpression"
            " ScheduleExpressionTimezone StartDate State Target"
        ),
        _create_schedule,
        _delete_schedule,
        _update_schedule,
        fixed=words("Name GroupName"),
        name="Name",
        required=words("FlexibleTimeWindow ScheduleExpression Target"),
        check=_check_schedule,
    ),
    Kind(
        "AWS::Scheduler::ScheduleGroup",
        words("Name Tags"),
        _create_group,
        _delete_group,
        _update_group,
        fixed=words("Name"),
        name="Name",
    ),
)
