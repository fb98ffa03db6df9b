"""What topics are told of an alarm: CloudWatch's own message, which mails and pagers are made of.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
"""

from functools import lru_cache
from typing import Any

from cloudlet.config import Config
from cloudlet.monitoring.alarm_records import ACTIONS, Alarm, State, iso, queries

_SUBJECT_MAX = 100
_STATISTICS = {"SampleCount": "SAMPLE_COUNT"}
_CONDITION = (
    "Period", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold",
)  # fmt: skip


def subject(config: Config, alarm: Alarm, state: State) -> str:
    return f'{state.value}: "{alarm.name}" in {_place(config.region)}'[:_SUBJECT_MAX]


def message(config: Config, alarm: Alarm, state: State, now_ms: int) -> dict[str, Any]:
    known = alarm.config
    document: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": known.get("AlarmDescription"),
        "AWSAccountId": config.account,
        "AlarmConfigurationUpdatedTimestamp": iso(alarm.put_ms),
        "NewStateValue": state.value,
        "NewStateReason": state.reason,
        "StateChangeTime": iso(now_ms),
        "Region": _place(config.region),
        "AlarmArn": config.arn("cloudwatch", f"alarm:{alarm.name}"),
        "OldStateValue": alarm.state,
        **{name: known.get(name) or [] for name in ACTIONS.values()},
    }
    if alarm.kind == "CompositeAlarm":
        return {**document, "AlarmRule": known["AlarmRule"]}
    return {**document, "Trigger": _trigger(known)}


def _trigger(config: dict[str, Any]) -> dict[str, Any]:
    told = {name: config[name] for name in _CONDITION if config.get(name) is not None}
    told["TreatMissingData"] = config.get("TreatMissingData") or "missing"
    told["EvaluateLowSampleCountPercentile"] = config.get("EvaluateLowSampleCountPercentile") or ""
    if config.get("Metrics"):
        return {**told, "Metrics": [_query(each) for each in queries(config)]}
    return {**_metric(config), **told}


def _metric(config: dict[str, Any]) -> dict[str, Any]:
    kind = "ExtendedStatistic" if config.get("ExtendedStatistic") else "Statistic"
    statistic = str(config[kind])
    if kind == "Statistic":
        statistic = _STATISTICS.get(statistic, statistic.upper())
    return {
        "MetricName": config["MetricName"],
        "Namespace": config["Namespace"],
        "StatisticType": kind,
        kind: statistic,
        "Unit": config.get("Unit"),
        "Dimensions": _dimensions(config),
    }


def _dimensions(metric: dict[str, Any]) -> list[dict[str, str]]:
    return [{"value": d["Value"], "name": d["Name"]} for d in metric.get("Dimensions") or []]


def _query(query: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in query.items() if name != "MetricStat"}
    stat = query.get("MetricStat")
    if stat is not None:
        told["MetricStat"] = {**stat, "Metric": {**stat["Metric"], "Dimensions": []}}
        told["MetricStat"]["Metric"]["Dimensions"] = _dimensions(stat["Metric"])
    return told


@lru_cache(maxsize=8)
def _place(region: str) -> str:
    """ "US East (N. Virginia)"."""
    from botocore.loaders import Loader

    for partition in Loader().load_data("partitions")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region
