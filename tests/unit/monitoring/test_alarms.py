"""Alarms: when they ring and what that sets off."""

import asyncio
import json
from typing import Any

import pytest

from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.monitoring import alarm_rules
from cloudlet.monitoring.alarm_evaluation import _value, evaluate_due
from cloudlet.monitoring.alarms import (
    delete_alarms,
    describe_alarm_history,
    describe_alarms,
    describe_alarms_for_metric,
    disable_alarm_actions,
    put_composite_alarm,
    put_metric_alarm,
    set_alarm_state,
)
from cloudlet.monitoring.dashboards import (
    delete_dashboards,
    get_dashboard,
    list_dashboards,
    list_tags_for_resource,
    put_dashboard,
    tag_resource,
    untag_resource,
)
from tests.harness import Bench

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:page"
ALARM: dict[str, Any] = {
    "AlarmName": "errors", "Namespace": "App", "MetricName": "Errors", "Statistic": "Sum",
    "Period": 60, "EvaluationPeriods": 1, "Threshold": 2.0,
    "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [FUNCTION],
}  # fmt: skip


def put(bench: Bench, **changes: Any) -> None:
    bench.call(put_metric_alarm, **{**ALARM, **changes})


def look(bench: Bench, seconds: float = 61) -> None:
    bench.clock.advance(seconds)
    asyncio.run(bench.state.meter.flush())
    asyncio.run(evaluate_due(bench.cloud))


def alarm(bench: Bench, name: str = "errors") -> Any:
    kinds = ["MetricAlarm", "CompositeAlarm"]
    found = bench.call(describe_alarms, AlarmNames=[name], AlarmTypes=kinds)
    return (found["MetricAlarms"] + found["CompositeAlarms"])[0]


def test_an_alarm_rings_and_calms_down(logs: Bench) -> None:
    put(logs, TreatMissingData="notBreaching", AlarmDescription="too many")
    look(logs, 0)
    assert alarm(logs)["StateValue"] == "OK"
    logs.clock.advance(60)
    logs.cloud.meter.add("App", "Errors", (), 3.0)
    look(logs)
    shown = alarm(logs)
    assert shown["StateValue"] == "ALARM"
    assert "1 datapoint [3.0 (" in shown["StateReason"]
    assert "greater than the threshold (2.0)" in shown["StateReason"]
    bus, told = [fact for fact in logs.facts() if b'"ALARM"' in fact.payload][:2]
    assert bus.target.endswith(":event-bus/default")
    event = json.loads(bus.payload)
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["detail"]["previousState"]["value"] == "OK"
    assert (
        event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["name"] == "Errors"
    )
    assert told.target == FUNCTION
    assert told.attributes["principal"] == "lambda.alarms.cloudwatch.amazonaws.com"
    data = json.loads(told.payload)["alarmData"]
    assert (data["alarmName"], data["state"]["value"]) == ("errors", "ALARM")
    for _ in range(3):
        look(logs)
    assert alarm(logs)["StateValue"] == "OK"
    items = logs.call(describe_alarm_history, AlarmName="errors")["AlarmHistoryItems"]
    assert [item["HistoryItemType"] for item in reversed(items)] == [
        "ConfigurationUpdate", "StateUpdate", "StateUpdate", "Action", "StateUpdate"]  # fmt: skip
    states = logs.call(
        describe_alarm_history, AlarmName="errors", HistoryItemType="StateUpdate", MaxRecords=2
    )
    assert states["AlarmHistoryItems"][0]["HistorySummary"] == "Alarm updated from ALARM to OK"
    assert states["NextToken"] == "2"


# Old to new, the range being two periods longer than the alarm's; what becomes of it when gaps are
# missing, ignored, breaching, not breaching. 3 of 3, as in AWS's table; "" stays.
@pytest.mark.parametrize(
    ("points", "needed", "expected"),
    [
        ("0-X-X", 3, ["OK", "OK", "OK", "OK"]),
        ("----0", 3, ["OK", "OK", "OK", "OK"]),
        ("-----", 3, ["INSUFFICIENT_DATA", "", "ALARM", "OK"]),
        ("0XX-X", 3, ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("--X--", 3, ["ALARM", "", "ALARM", "OK"]),
        ("0-X-X", 2, ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("00X0X", 2, ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("0-X--", 2, ["OK", "", "ALARM", "OK"]),
        ("-----", 2, ["INSUFFICIENT_DATA", "", "ALARM", "OK"]),
        ("--X--", 2, ["ALARM", "", "ALARM", "OK"]),
    ],
)
def test_gaps_count_as_the_alarm_says(points: str, needed: int, expected: list[str]) -> None:
    values = [{"0": 0.0, "X": 5.0, "-": None}[point] for point in points]
    config = {**ALARM, "EvaluationPeriods": 3, "DatapointsToAlarm": needed}
    found = [
        _value({**config, "TreatMissingData": treatment}, values, "OK") or ""
        for treatment in ("missing", "ignore", "breaching", "notBreaching")
    ]
    assert found == expected


def test_an_alarm_on_metric_math(logs: Bench) -> None:
    def query(id_: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "App", "MetricName": name}
        stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
        return {"Id": id_, "MetricStat": stat, "ReturnData": False}

    rate = {"Id": "rate", "Expression": "100 * e / n"}
    names = ("Namespace", "MetricName", "Statistic", "Period")
    config = {k: v for k, v in ALARM.items() if k not in names}
    metrics = [rate, query("e", "Errors"), query("n", "Calls")]
    logs.call(put_metric_alarm, **config, Metrics=metrics)
    logs.cloud.meter.add("App", "Errors", (), 1.0)
    logs.cloud.meter.add("App", "Calls", (), 10.0)
    look(logs)
    assert alarm(logs)["StateValue"] == "ALARM"
    with pytest.raises(AwsError, match="return data"):
        logs.call(put_metric_alarm, **config, Metrics=[query("e", "Errors")])
    with pytest.raises(AwsError, match="mutually exclusive"):
        logs.call(put_metric_alarm, **ALARM, Metrics=metrics)


def test_an_expression_that_fails_leaves_an_alarm_without_data(logs: Bench) -> None:
    names = ("Namespace", "MetricName", "Statistic", "Period")
    config = {k: v for k, v in ALARM.items() if k not in names}
    logs.call(
        put_metric_alarm, **config, Metrics=[{"Id": "e", "Expression": "nobody", "Period": 60}]
    )
    logs.call(set_alarm_state, AlarmName="errors", StateValue="OK", StateReason="test")
    look(logs)
    shown = alarm(logs)
    assert shown["StateValue"] == "INSUFFICIENT_DATA" and "nobody" in shown["StateReason"]


def test_actions_can_be_switched_off(logs: Bench) -> None:
    put(logs)
    logs.call(disable_alarm_actions, AlarmNames=["errors", "absent"])
    assert alarm(logs)["ActionsEnabled"] is False
    logs.call(set_alarm_state, AlarmName="errors", StateValue="ALARM", StateReason="drill")
    assert [fact.target.split(":")[2] for fact in logs.facts()] == ["events"]
    with pytest.raises(AwsError):
        logs.call(set_alarm_state, AlarmName="absent", StateValue="OK", StateReason="r")
    with pytest.raises(AwsError, match="JSON"):
        logs.call(
            set_alarm_state, AlarmName="errors", StateValue="OK", StateReason="r",
            StateReasonData="{",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Threshold": None}, "MissingParameter"),
        ({"Statistic": None}, "InvalidParameterCombination"),
        ({"ExtendedStatistic": "p99"}, "InvalidParameterCombination"),
        ({"Statistic": None, "ExtendedStatistic": "p"}, "InvalidParameterValue"),
        ({"Period": 61}, "InvalidParameterValue"),
        ({"DatapointsToAlarm": 2}, "InvalidParameterValue"),
        ({"TreatMissingData": "x"}, "InvalidParameterValue"),
        ({"EvaluationPeriods": 1441}, "ValidationError"),
        ({"AlarmActions": ["x"]}, "InvalidParameterValue"),
        ({"AlarmActions": ["arn:aws:ssm:us-east-1:000000000000:t"]}, "NotImplemented"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "NotImplemented"),
    ],
)
def test_wrong_alarms_are_refused(logs: Bench, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError) as caught:
        put(logs, **changes)
    assert caught.value.code == code


def test_topics_are_told_in_cloudwatchs_own_words(logs: Bench) -> None:
    topic = "arn:aws:sns:us-east-1:000000000000:pager"
    put(logs, AlarmActions=[topic], Dimensions=[{"Name": "App", "Value": "x"}])
    logs.call(set_alarm_state, AlarmName="errors", StateValue="ALARM", StateReason="drill")
    (fact,) = [fact for fact in logs.facts() if fact.target == topic]
    assert fact.attributes["principal"] == "cloudwatch.amazonaws.com"
    assert fact.attributes["subject"] == 'ALARM: "errors" in US East (N. Virginia)'
    told = json.loads(fact.payload)
    assert (told["NewStateValue"], told["OldStateValue"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert (told["AlarmName"], told["NewStateReason"]) == ("errors", "drill")
    assert told["Trigger"]["Dimensions"] == [{"value": "x", "name": "App"}]
    assert (told["Trigger"]["Statistic"], told["Trigger"]["Threshold"]) == ("SUM", 2.0)


def test_alarms_are_found_by_name_state_and_metric(logs: Bench) -> None:
    for name in ("a1", "a2", "b1"):
        put(logs, AlarmName=name)
    page = logs.call(describe_alarms, AlarmNamePrefix="a", MaxRecords=1)
    assert [a["AlarmName"] for a in page["MetricAlarms"]] == ["a1"]
    page = logs.call(describe_alarms, AlarmNamePrefix="a", NextToken=page["NextToken"])
    assert [a["AlarmName"] for a in page["MetricAlarms"]] == ["a2"]
    assert not logs.call(describe_alarms, StateValue="ALARM")["MetricAlarms"]
    assert len(logs.call(describe_alarms, ActionPrefix="arn:aws:lambda")["MetricAlarms"]) == 3
    metric = {"Namespace": "App", "MetricName": "Errors"}
    assert len(logs.call(describe_alarms_for_metric, **metric)["MetricAlarms"]) == 3
    found = logs.call(describe_alarms_for_metric, **metric, Statistic="Average")
    assert not found["MetricAlarms"]
    logs.call(delete_alarms, AlarmNames=["a1", "a2"])
    with pytest.raises(AwsError) as caught:
        logs.call(delete_alarms, AlarmNames=["a1"])
    assert (caught.value.code, caught.value.status) == ("ResourceNotFound", 404)


def test_alarms_made_of_alarms(logs: Bench) -> None:
    put(logs, AlarmName="a")
    put(logs, AlarmName="b")
    rule = 'ALARM("a") AND NOT (ALARM(b) OR INSUFFICIENT_DATA(b))'
    logs.call(put_composite_alarm, AlarmName="both", AlarmRule=rule, AlarmActions=[FUNCTION])
    logs.call(put_composite_alarm, AlarmName="top", AlarmRule="ALARM(both) OR FALSE")
    assert alarm(logs, "both")["StateValue"] == "OK"
    for name, state, expected in (("a", "ALARM", "OK"), ("b", "OK", "ALARM"), ("b", "ALARM", "OK")):
        logs.call(set_alarm_state, AlarmName=name, StateValue=state, StateReason="r")
        assert alarm(logs, "both")["StateValue"] == expected
        assert alarm(logs, "top")["StateValue"] == expected
    with pytest.raises(AwsError, match="part of the composite alarm both"):
        logs.call(delete_alarms, AlarmNames=["a"])
    for name, wrong in (("both", "ALARM(top)"), ("x", "ALARM(x)"), ("x", "ALARM(absent)")):
        with pytest.raises(AwsError):
            logs.call(put_composite_alarm, AlarmName=name, AlarmRule=wrong)
    with pytest.raises(NotImplementedByCloudlet):
        logs.call(put_composite_alarm, AlarmName="x", AlarmRule="TRUE", ActionsSuppressor="a")
    logs.call(delete_alarms, AlarmNames=["a", "b", "both", "top"])


@pytest.mark.parametrize("rule", ["", "ALARM", "ALARM(a", "ALARM(a) b", "(TRUE", "MAYBE(a)", '"',
                                  "ALARM(a) AND", "(" * 200, "NOT " * 200])  # fmt: skip
def test_wrong_rules_are_refused(rule: str) -> None:
    with pytest.raises(AwsError) as caught:
        alarm_rules.parse(rule)
    assert caught.value.code == "ValidationError"


def test_dashboards_and_tags(logs: Bench) -> None:
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "hi"}}]})
    logs.call(put_dashboard, DashboardName="main", DashboardBody=body)
    assert logs.call(get_dashboard, DashboardName="main")["DashboardBody"] == body
    (entry,) = logs.call(list_dashboards, DashboardNamePrefix="m")["DashboardEntries"]
    arn = entry["DashboardArn"]
    assert (arn, entry["Size"]) == ("arn:aws:cloudwatch::000000000000:dashboard/main", len(body))
    for wrong in ("{", "[]", "{}", '{"widgets": [{"type": 1}]}'):
        with pytest.raises(AwsError) as caught:
            logs.call(put_dashboard, DashboardName="main", DashboardBody=wrong)
        assert caught.value.code == "InvalidParameterInput"
    put(logs, Tags=[{"Key": "a", "Value": "1"}])
    for resource in (arn, alarm(logs)["AlarmArn"]):
        tags = [{"Key": "b", "Value": "2"}]
        logs.call(tag_resource, ResourceARN=resource, Tags=tags)
        logs.call(untag_resource, ResourceARN=resource, TagKeys=["a"])
        assert logs.call(list_tags_for_resource, ResourceARN=resource)["Tags"] == tags
    with pytest.raises(AwsError):
        logs.call(delete_dashboards, DashboardNames=["main", "absent"])
    logs.call(delete_dashboards, DashboardNames=["main"])
    with pytest.raises(AwsError):
        logs.call(get_dashboard, DashboardName="main")
