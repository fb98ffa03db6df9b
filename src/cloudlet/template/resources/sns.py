"""AWS::SNS::Topic, Subscription, TopicPolicy and TopicInlinePolicy.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_SNS.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import deletes, policies
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("sns", is_list=True)
_TOPIC_ATTRIBUTES = words(
    "ArchivePolicy ContentBasedDeduplication DeliveryPolicy DisplayName FifoThroughputScope"
    " FifoTopic KmsMasterKeyId SignatureVersion TracingConfig"
)
_SUBSCRIPTION_ATTRIBUTES = words(
    "DeliveryPolicy FilterPolicy FilterPolicyScope RawMessageDelivery RedrivePolicy ReplayPolicy"
    " SubscriptionRoleArn"
)
_FEEDBACK = {"http/s": "HTTP", "sqs": "SQS", "lambda": "Lambda", "application": "Application"}


def _attributes(properties: Properties, names: frozenset[str]) -> dict[str, str]:
    return {name: shapes.text(properties[name]) for name in names & properties.keys()}


def _topic_attributes(properties: Properties) -> dict[str, str]:
    attributes = _attributes(properties, _TOPIC_ATTRIBUTES)
    for logged in properties.get("DeliveryStatusLogging") or []:
        kind = _FEEDBACK.get(str(logged.get("Protocol")))
        if kind is None:
            protocol = logged.get("Protocol")
            raise TemplateError(f"DeliveryStatusLogging of {protocol} is not implemented.")
        attributes |= {
            f"{kind}{name}": str(value) for name, value in logged.items() if name != "Protocol"
        }
    if attributes.get("FifoTopic") == "false":
        del attributes["FifoTopic"]
    return attributes


def _check_topic(properties: Properties) -> None:
    _topic_attributes(properties)
    if properties.get("DataProtectionPolicy"):
        raise TemplateError("DataProtectionPolicy of a topic is not implemented by cloudlet.")


async def _create_topic(ctx: Context, properties: Properties) -> Known:
    attributes = _topic_attributes(properties)
    is_fifo = attributes.get("FifoTopic") == "true"
    name = properties.get("TopicName")
    if not name:
        name = ctx.name(None, 100) + (".fifo" if is_fifo else "")
    tags = _TAGS.initial(properties)
    made = await ctx.call("sns", "CreateTopic", Name=name, Attributes=attributes, **tags)
    arn = made["TopicArn"]
    await ctx.begin(arn)
    await _subscribe(ctx, arn, properties.get("Subscription") or [])
    return Known(arn, {"TopicArn": arn, "TopicName": name})


async def _update_topic(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    arn = known.physical_id
    wanted = dict.fromkeys(_topic_attributes(old), "") | _topic_attributes(new)
    for name, value in wanted.items():
        if name != "FifoTopic":
            change = {"AttributeName": name, "AttributeValue": value}
            await ctx.call("sns", "SetTopicAttributes", TopicArn=arn, **change)
    await _TAGS.update(ctx, arn, new, old)
    subscriptions = new.get("Subscription") or []
    await _subscribe(ctx, arn, subscriptions)
    gone = [each for each in old.get("Subscription") or [] if each not in subscriptions]
    for each in gone:
        made = await _subscription(ctx, arn, each, {})
        await _delete_subscription(ctx, made, {})
    return known


async def _subscribe(ctx: Context, arn: str, subscriptions: list[Any]) -> None:
    for each in subscriptions:
        await _subscription(ctx, arn, each, {})


async def _subscription(
    ctx: Context, topic_arn: str, properties: Properties, attributes: dict[str, str]
) -> str:
    made = await ctx.call(
        "sns",
        "Subscribe",
        TopicArn=topic_arn,
        Protocol=properties["Protocol"],
        Endpoint=properties.get("Endpoint"),
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    return str(made["SubscriptionArn"])


async def _create_subscription(ctx: Context, properties: Properties) -> Known:
    region = properties.get("Region") or ctx.cloud.config.region
    if region != ctx.cloud.config.region:
        raise TemplateError(f"A topic in {region} is not reachable from here.")
    attributes = _attributes(properties, _SUBSCRIPTION_ATTRIBUTES)
    arn = await _subscription(ctx, properties["TopicArn"], properties, attributes)
    return Known(arn, {"Arn": arn})


async def _update_subscription(
    ctx: Context, known: Known, new: Properties, old: Properties
) -> Known:
    attributes = _attributes(new, _SUBSCRIPTION_ATTRIBUTES)
    wanted = dict.fromkeys(_attributes(old, _SUBSCRIPTION_ATTRIBUTES), "") | attributes
    changes = sorted(wanted.items(), key=lambda change: change[0] != "FilterPolicyScope")
    if new.get("FilterPolicyScope") != old.get("FilterPolicyScope"):
        changes.insert(0, ("FilterPolicy", ""))  # the old one may mean nothing in the new scope
    for name, value in changes:
        change = {"AttributeName": name, "AttributeValue": value}
        arn = known.physical_id
        await ctx.call("sns", "SetSubscriptionAttributes", SubscriptionArn=arn, **change)
    return known


async def _delete_subscription(ctx: Context, arn: str, properties: Properties) -> None:
    """What nobody confirmed cannot be ended: it ends by itself."""
    found = await ctx.call("sns", "GetSubscriptionAttributes", SubscriptionArn=arn)
    if found["Attributes"]["PendingConfirmation"] == "false":
        await ctx.call("sns", "Unsubscribe", SubscriptionArn=arn)


async def _set_policy(ctx: Context, arn: str, policy: str) -> None:
    change = {"AttributeName": "Policy", "AttributeValue": policy}
    await ctx.call("sns", "SetTopicAttributes", TopicArn=arn, **change)


KINDS = (
    Kind(
        "AWS::SNS::Topic",
        _TOPIC_ATTRIBUTES
        | words("DataProtectionPolicy DeliveryStatusLogging Subscription Tags TopicName"),
        _create_topic,
        deletes("sns", "DeleteTopic", "TopicArn"),
        _update_topic,
        fixed=words("FifoTopic TopicName"),
        name="TopicName",
        check=_check_topic,
    ),
    Kind(
        "AWS::SNS::Subscription",
        _SUBSCRIPTION_ATTRIBUTES | words("Endpoint Protocol Region TopicArn"),
        _create_subscription,
        _delete_subscription,
        _update_subscription,
        fixed=words("Endpoint Protocol TopicArn"),
        required=words("Protocol TopicArn"),
    ),
    policies("AWS::SNS::TopicPolicy", "", "Topics", _set_policy),
    policies("AWS::SNS::TopicInlinePolicy", "TopicArn", "", _set_policy),
)
