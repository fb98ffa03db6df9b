"""AWS::Logs::* and AWS::CloudWatch::*: log groups with their streams and filters, alarms,
dashboards.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Logs.html and
…/AWS_CloudWatch.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.tags import Tagging, tag_list
from cloudlet.template.words import words

_LOG_TAGS = Tagging("logs", arn="resourceArn", tags="tags", keys="tagKeys")
_ALARM_TAGS = Tagging("cloudwatch", arn="ResourceARN", is_list=True)
_ACTIONS = "ActionsEnabled AlarmActions AlarmDescription InsufficientDataActions OKActions"


async def _create_log_group(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("LogGroupName"), 512)
    settings: dict[str, Any] = {}
    if "LogGroupClass" in properties:
        settings["logGroupClass"] = properties["LogGroupClass"]
    if properties.get("Tags"):
        settings["tags"] = tag_list(properties["Tags"])
    await ctx.call("logs", "CreateLogGroup", logGroupName=name, **settings)
    await ctx.begin(name)
    await _retention(ctx, name, properties, {})
    return Known(name, {"Arn": ctx.cloud.config.arn("logs", f"log-group:{name}:*")})


async def _retention(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    days = new.get("RetentionInDays")
    if days is not None:
        await ctx.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=int(days))
    elif "RetentionInDays" in old:
        await ctx.call("logs", "DeleteRetentionPolicy", logGroupName=name)


async def _update_log_group(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await _retention(ctx, known.physical_id, new, old)
    await _LOG_TAGS.update(ctx, str(known.attributes["Arn"]).removesuffix(":*"), new, old)
    return known


async def _delete_log_group(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("logs", "DeleteLogGroup", logGroupName=name)


async def _create_log_stream(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("LogStreamName"), 512)
    group = properties["LogGroupName"]
    await ctx.call("logs", "CreateLogStream", logGroupName=group, logStreamName=name)
    return Known(name, {})


async def _delete_log_stream(ctx: Context, name: str, properties: Properties) -> None:
    group = properties["LogGroupName"]
    await ctx.call("logs", "DeleteLogStream", logGroupName=group, logStreamName=name)


async def _put_log_policy(ctx: Context, name: str, properties: Properties) -> Known:
    document = shapes.text(properties["PolicyDocument"])
    await ctx.call("logs", "PutResourcePolicy", policyName=name, policyDocument=document)
    return Known(name, {})


async def _create_log_policy(ctx: Context, properties: Properties) -> Known:
    return await _put_log_policy(ctx, properties["PolicyName"], properties)


async def _update_log_policy(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    return await _put_log_policy(ctx, known.physical_id, new)


async def _delete_log_policy(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("logs", "DeleteResourcePolicy", policyName=name)


def _filter(kind: str, properties: str) -> Kind:
    """MetricFilter and SubscriptionFilter: putting one states it whole."""

    async def put(ctx: Context, name: str, properties: Properties) -> Known:
        wanted = dict(properties)
        transformations = wanted.pop("MetricTransformations", None)
        if transformations is not None:
            wanted["MetricTransformations"] = [_transformation(each) for each in transformations]
        params = shapes.parameters("logs", f"Put{kind}", {**wanted, "FilterName": name})
        await ctx.call("logs", f"Put{kind}", **params)
        return Known(name, {})

    async def create(ctx: Context, properties: Properties) -> Known:
        return await put(ctx, ctx.name(properties.get("FilterName"), 512), properties)

    async def update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        return await put(ctx, known.physical_id, new)

    async def delete(ctx: Context, name: str, properties: Properties) -> None:
        group = properties["LogGroupName"]
        await ctx.call("logs", f"Delete{kind}", logGroupName=group, filterName=name)

    return Kind(
        f"AWS::Logs::{kind}",
        words(f"FilterName FilterPattern LogGroupName {properties}"),
        create,
        delete,
        update,
        fixed=words("FilterName LogGroupName"),
        name="FilterName",
        required=words("FilterPattern LogGroupName"),
    )


def _transformation(given: Properties) -> Properties:
    pairs = given.get("Dimensions") or []
    return {**given, "Dimensions": {pair["Key"]: pair["Value"] for pair in pairs}}


def _alarm(kind: str, operation: str, properties: str, required: str) -> Kind:
    async def put(ctx: Context, name: str, properties: Properties) -> Known:
        params = shapes.parameters("cloudwatch", operation, {**properties, "AlarmName": name})
        await ctx.call("cloudwatch", operation, **params)
        return Known(name, {"Arn": ctx.cloud.config.arn("cloudwatch", f"alarm:{name}")})

    async def create(ctx: Context, properties: Properties) -> Known:
        return await put(ctx, ctx.name(properties.get("AlarmName"), 255), properties)

    async def update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        await _ALARM_TAGS.update(ctx, str(known.attributes["Arn"]), new, old)
        return await put(ctx, known.physical_id, new)

    async def delete(ctx: Context, name: str, properties: Properties) -> None:
        await ctx.call("cloudwatch", "DeleteAlarms", AlarmNames=[name])

    return Kind(
        f"AWS::CloudWatch::{kind}",
        words(f"AlarmName {_ACTIONS} Tags {properties}"),
        create,
        delete,
        update,
        fixed=words("AlarmName"),
        name="AlarmName",
        required=words(required),
    )


async def _put_dashboard(ctx: Context, name: str, properties: Properties) -> Known:
    body = shapes.text(properties["DashboardBody"])
    await ctx.call("cloudwatch", "PutDashboard", DashboardName=name, DashboardBody=body)
    return Known(name, {})


async def _create_dashboard(ctx: Context, properties: Properties) -> Known:
    return await _put_dashboard(ctx, ctx.name(properties.get("DashboardName"), 255), properties)


async def _update_dashboard(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    return await _put_dashboard(ctx, known.physical_id, new)


async def _delete_dashboard(ctx: Context, name: str, properties: Properties) -> None:
    await ctx.call("cloudwatch", "DeleteDashboards", DashboardNames=[name])


KINDS = (
    Kind(
        "AWS::Logs::LogGroup",
        words("LogGroupClass LogGroupName RetentionInDays Tags"),
        _create_log_group,
        _delete_log_group,
        _update_log_group,
        fixed=words("LogGroupName LogGroupClass"),
        name="LogGroupName",
    ),
    Kind(
        "AWS::Logs::LogStream",
        words("LogGroupName LogStreamName"),
        _create_log_stream,
        _delete_log_stream,
        required=words("LogGroupName"),
        name="LogStreamName",
    ),
    Kind(
        "AWS::Logs::ResourcePolicy",
        words("PolicyDocument PolicyName"),
        _create_log_policy,
        _delete_log_policy,
        _update_log_policy,
        fixed=words("PolicyName"),
        name="PolicyName",
        required=words("PolicyDocument PolicyName"),
    ),
    _filter("MetricFilter", "MetricTransformations"),
    _filter("SubscriptionFilter", "DestinationArn Distribution RoleArn"),
    _alarm(
        "Alarm",
        "PutMetricAlarm",
        "ComparisonOperator DatapointsToAlarm Dimensions EvaluateLowSampleCountPercentile"
        " EvaluationPeriods ExtendedStatistic MetricName Metrics Namespace Period Statistic"
        " Threshold ThresholdMetricId TreatMissingData Unit",
        "ComparisonOperator EvaluationPeriods",
    ),
    _alarm("CompositeAlarm", "PutCompositeAlarm", "AlarmRule", "AlarmRule"),
    Kind(
        "AWS::CloudWatch::Dashboard",
        words("DashboardBody DashboardName"),
        _create_dashboard,
        _delete_dashboard,
        _update_dashboard,
        fixed=words("DashboardName"),
        name="DashboardName",
        required=words("DashboardBody"),
    ),
)
