"""AWS::Logs::* and AWS::CloudWatch::*: log groups with their streams and filters, alarms,
dashboards.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Logs.html and
…/AWS_CloudWatch.html.
"""

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, deletes
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_LOG_TAGS = Tagging("logs", arn="resourceArn", tags="tags", keys="tagKeys")
_ALARM_TAGS = Tagging("cloudwatch", arn="ResourceARN", is_list=True)


async def _create_log_group(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("LogGroupName"), 512)
    settings = _LOG_TAGS.initial(properties, "tags")
    if "LogGroupClass" in properties:
        settings["logGroupClass"] = properties["LogGroupClass"]
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


def _filter(properties: Properties) -> Properties:
    """A metric filter's dimensions are a map in the API."""
    if "MetricTransformations" not in properties:
        return properties
    changed = []
    for each in properties["MetricTransformations"]:
        pairs = each.get("Dimensions") or []
        changed.append({**each, "Dimensions": {pair["Key"]: pair["Value"] for pair in pairs}})
    return {**properties, "MetricTransformations": changed}


def _alarm(noun: str, operation: str, properties: str, required: str) -> Row:
    return Row(
        f"AWS::CloudWatch::{noun}",
        "cloudwatch",
        f"{operation} {operation} DeleteAlarms",
        "ActionsEnabled AlarmActions AlarmDescription AlarmName InsufficientDataActions OKActions"
        f" Tags {properties}",
        id="[AlarmNames]",
        name="AlarmName",
        limit=255,
        fixed="AlarmName",
        required=required,
        tags=_ALARM_TAGS,
        arn="alarm:{}",
    )


_ROWS = (
    Row(
        "AWS::Logs::LogStream",
        "logs",
        "CreateLogStream - DeleteLogStream",
        "LogGroupName LogStreamName",
        of="LogGroupName",
        name="LogStreamName",
        limit=512,
        required="LogGroupName",
    ),
    Row(
        "AWS::Logs::ResourcePolicy",
        "logs",
        "PutResourcePolicy PutResourcePolicy DeleteResourcePolicy",
        "PolicyDocument PolicyName",
        name="PolicyName",
        fixed="PolicyName",
        required="PolicyDocument PolicyName",
    ),
    *(
        Row(
            f"AWS::Logs::{noun}",
            "logs",
            f"Put{noun} Put{noun} Delete{noun}",
            f"FilterName FilterPattern LogGroupName {properties}",
            of="LogGroupName",
            name="FilterName",
            limit=512,
            fixed="FilterName LogGroupName",
            required="FilterPattern LogGroupName",
            prepare=_filter,
        )
        for noun, properties in (
            ("MetricFilter", "MetricTransformations"),
            ("SubscriptionFilter", "DestinationArn Distribution RoleArn"),
        )
    ),
    _alarm(
        "Alarm",
        "PutMetricAlarm",
        "ComparisonOperator DatapointsToAlarm Dimensions EvaluateLowSampleCountPercentile"
        " EvaluationPeriods ExtendedStatistic MetricName Metrics Namespace Period Statistic"
        " Threshold ThresholdMetricId TreatMissingData Unit",
        "ComparisonOperator EvaluationPeriods",
    ),
    _alarm("CompositeAlarm", "PutCompositeAlarm", "AlarmRule", "AlarmRule"),
    Row(
        "AWS::CloudWatch::Dashboard",
        "cloudwatch",
        "PutDashboard PutDashboard DeleteDashboards",
        "DashboardBody DashboardName",
        id="[DashboardNames]",
        name="DashboardName",
        limit=255,
        fixed="DashboardName",
        required="DashboardBody",
    ),
)
KINDS = (
    Kind(
        "AWS::Logs::LogGroup",
        words("LogGroupClass LogGroupName RetentionInDays Tags"),
        _create_log_group,
        deletes("logs", "DeleteLogGroup", "logGroupName"),
        _update_log_group,
        fixed=words("LogGroupName LogGroupClass"),
        name="LogGroupName",
    ),
    *(row.kind() for row in _ROWS),
)
