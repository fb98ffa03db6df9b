"""Alarms: put, describe, delete, set their state, switch their actions.

What an alarm finds is `alarm_evaluation`'s, what a changed state sets off `alarm_states`'.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.monitoring import alarm_rules, alarm_states
from cloudlet.monitoring.alarm_evaluation import COMPARE
from cloudlet.monitoring.alarm_records import ACTIONS, Alarm, State
from cloudlet.monitoring.distribution import PLAIN, statistic
from cloudlet.monitoring.measurements import dimensions_of, invalid, missing
from cloudlet.monitoring.metric_queries import offset
from cloudlet.store.database import Transaction, View

_MISSING = ("breaching", "notBreaching", "ignore", "missing")
_DAY_S = 86_400
_UNSUPPORTED = (
    "ThresholdMetricId", "EvaluateLowSampleCountPercentile", "EvaluationWindow",
    "WarmUpConfiguration", "EvaluationCriteria", "EvaluationInterval", "ActionConfiguration",
    "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod",
)  # fmt: skip


def put_metric_alarm(call: Call, tx: Transaction) -> None:
    params = call.params
    operator = params.get("ComparisonOperator")
    if operator is None or params.get("Threshold") is None:
        raise missing("parameters ComparisonOperator and Threshold are")
    if operator not in COMPARE:
        raise NotImplementedByCloudlet(f"The ComparisonOperator {operator}")
    if params.get("TreatMissingData", "missing") not in _MISSING:
        raise invalid("TreatMissingData", f"must be one of {', '.join(_MISSING)}")
    periods, points = params.get("EvaluationPeriods"), params.get("DatapointsToAlarm")
    if not periods:
        raise missing("parameter EvaluationPeriods is")
    if (points or 1) > periods:
        raise invalid("DatapointsToAlarm", "must not be greater than EvaluationPeriods")
    period_s = _checked_queries(params) if params.get("Metrics") else _checked_metric(params)
    range_max_s = _DAY_S if period_s < 3600 else 7 * _DAY_S
    if period_s * periods > range_max_s:
        message = "Metrics cannot be checked across more than"
        raise AwsError(
            "ValidationError",
            f"{message} {range_max_s // _DAY_S} days (EvaluationPeriods * Period must be"
            f" <= {range_max_s}).",
        )
    _put(call, tx, "MetricAlarm", call.now_ms)


def _checked_metric(params: dict[str, Any]) -> int:
    for name in ("MetricName", "Namespace", "Period"):
        if not params.get(name):
            raise missing(f"parameter {name} is")
    given = [params.get("Statistic"), params.get("ExtendedStatistic")]
    if sum(map(bool, given)) != 1:
        message = "Exactly one of Statistic and ExtendedStatistic is required."
        raise AwsError("InvalidParameterCombination", message)
    name = str(given[0] or given[1])
    if (name in PLAIN) != bool(given[0]) or statistic(name) is None:
        raise invalid("ExtendedStatistic", "is no statistic")
    dimensions_of(params.get("Dimensions"))
    return _checked_period(params["Period"])


def _checked_queries(params: dict[str, Any]) -> int:
    for name in ("MetricName", "Namespace", "Period", "Statistic", "ExtendedStatistic"):
        if params.get(name):
            message = f"The parameters Metrics and {name} are mutually exclusive."
            raise AwsError("InvalidParameterCombination", message)
    queries = params["Metrics"]
    if sum(query.get("ReturnData", True) for query in queries) != 1:
        message = "Exactly one element of the metrics list should return data."
        raise AwsError("ValidationError", message)
    if any(query.get("AccountId") for query in queries):
        raise NotImplementedByCloudlet("AccountId of a metric")
    periods = [query["MetricStat"]["Period"] for query in queries if query.get("MetricStat")]
    periods += [query["Period"] for query in queries if query.get("Period")]
    if not periods:
        raise AwsError("ValidationError", "An alarm needs a metric with a period.")
    return max(map(_checked_period, periods))


def _checked_period(period_s: int) -> int:
    if period_s not in (10, 20, 30) and period_s % 60:
        raise invalid("Period", "must be 10, 20, 30 or a multiple of 60")
    return period_s


def put_composite_alarm(call: Call, tx: Transaction) -> None:
    params = call.params
    rule = alarm_rules.parse(params["AlarmRule"])
    for name in rule.names:
        other = alarm_states.find(tx, name)
        if other is None or name == params["AlarmName"]:
            raise AwsError("ValidationError", f"Could not use the alarm {name} in the rule.")
        if other.kind == "CompositeAlarm" and params["AlarmName"] in _under(tx, other):
            raise AwsError("ValidationError", "The alarms' rules form a circle.")
    _put(call, tx, "CompositeAlarm", None)
    alarm_states.follow(call.config, tx, params["AlarmName"])


def _under(view: View, alarm: Alarm) -> set[str]:
    """The names of all alarms that a composite alarm depends on; circles are never stored."""
    names: set[str] = set()
    for name in alarm_rules.parse(alarm.config["AlarmRule"]).names:
        names.add(name)
        child = alarm_states.find(view, name)
        if child is not None and child.kind == "CompositeAlarm":
            names |= _under(view, child)
    return names


def _put(call: Call, tx: Transaction, kind: str, due_ms: int | None) -> None:
    params = call.params
    refuse(params, *_UNSUPPORTED)
    for actions in ACTIONS.values():
        for arn in params.get(actions) or []:
            _check_action(arn)
    name, now_ms = params["AlarmName"], call.now_ms
    config = {key: value for key, value in params.items() if key != "Tags"}
    known = alarm_states.find(tx, name)
    if known is not None and known.kind != kind:
        raise AwsError("ValidationError", f"{name} is an alarm of another kind.")
    text = orjson.dumps(config).decode()
    if known is None:
        tags = orjson.dumps({tag["Key"]: tag["Value"] for tag in params.get("Tags") or []})
        reason = "Unchecked: Initial alarm creation"
        tx.run(
            "INSERT INTO alarms (name, kind, config, state, reason, put_ms, updated_ms, changed_ms,"
            " due_ms, tags) VALUES (?, ?, ?, 'INSUFFICIENT_DATA', ?, ?, ?, ?, ?, ?)",
            (name, kind, text, reason, now_ms, now_ms, now_ms, due_ms, tags.decode()),
        )
    else:
        tx.run(
            "UPDATE alarms SET config = ?, put_ms = ?, due_ms = ? WHERE name = ?",
            (text, now_ms, due_ms, name),
        )
    verb = "created" if known is None else "updated"
    event = ("ConfigurationUpdate", f'Alarm "{name}" {verb}')
    alarm_states.note(tx, (name, kind), now_ms, event, {"type": verb.capitalize()})


def _check_action(arn: str) -> None:
    parts = arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        raise invalid("AlarmActions", f"has an invalid action {arn!r}")
    if parts[2] not in ("lambda", "sns"):
        raise NotImplementedByCloudlet(f"The alarm action {arn}")


def describe_alarms(call: Call, view: View) -> Output:
    params = call.params
    refuse(params, "ChildrenOfAlarmName", "ParentsOfAlarmName")
    if params.get("AlarmNames") and params.get("AlarmNamePrefix"):
        message = "AlarmNames and AlarmNamePrefix are mutually exclusive."
        raise AwsError("InvalidParameterCombination", message)
    limit = params.get("MaxRecords") or (100 if params.get("AlarmNames") else 50)
    kinds = params.get("AlarmTypes") or ["MetricAlarm"]
    after = params.get("NextToken") or ""
    alarms = [
        alarm
        for alarm in alarm_states.known(view)
        if alarm.name > after and alarm.kind in kinds and _is_asked(alarm, params)
    ]
    output: Output = {"MetricAlarms": [], "CompositeAlarms": []}
    for alarm in alarms[:limit]:
        output[f"{alarm.kind}s"].append(described(call, alarm))
    if len(alarms) > limit:
        output["NextToken"] = alarms[limit - 1].name
    return output


def _is_asked(alarm: Alarm, params: dict[str, Any]) -> bool:
    names, action = params.get("AlarmNames"), params.get("ActionPrefix")
    actions = [arn for kind in ACTIONS.values() for arn in alarm.config.get(kind) or []]
    return (
        (not names or alarm.name in names)
        and alarm.name.startswith(params.get("AlarmNamePrefix") or "")
        and params.get("StateValue") in (None, alarm.state)
        and (not action or any(arn.startswith(action) for arn in actions))
    )


def describe_alarms_for_metric(call: Call, view: View) -> Output:
    params = call.params

    def key(config: dict[str, Any]) -> Any:
        names = ("Namespace", "MetricName")
        return [config.get(name) for name in names], dimensions_of(config.get("Dimensions"))

    narrow = ("Statistic", "ExtendedStatistic", "Period", "Unit")
    found = [
        alarm
        for alarm in alarm_states.known(view)
        if key(alarm.config) == key(params)
        and all(params.get(name) in (None, alarm.config.get(name)) for name in narrow)
    ]
    return {"MetricAlarms": [described(call, alarm) for alarm in found]}


def described(call: Call, alarm: Alarm) -> Output:
    return {
        **{kind: [] for kind in ACTIONS.values()},
        "ActionsEnabled": True,
        **({"Dimensions": []} if alarm.config.get("MetricName") else {}),
        **alarm.config,
        "AlarmArn": call.config.arn("cloudwatch", f"alarm:{alarm.name}"),
        "AlarmConfigurationUpdatedTimestamp": alarm.put_ms / 1000,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateReasonData": alarm.reason_data or None,
        "StateUpdatedTimestamp": alarm.updated_ms / 1000,
        "StateTransitionedTimestamp": alarm.changed_ms / 1000,
    }


def delete_alarms(call: Call, tx: Transaction) -> None:
    names = call.params["AlarmNames"]
    for name in names:
        alarm = _required(tx, name)
        for other in alarm_states.known(tx):
            is_kept = other.kind == "CompositeAlarm" and other.name not in names
            if is_kept and name in alarm_rules.parse(other.config["AlarmRule"]).names:
                message = f"The alarm {name} is part of the composite alarm {other.name}."
                raise AwsError("ResourceConflict", message, 409)
        tx.run("DELETE FROM alarms WHERE name = ?", (name,))
        event = ("ConfigurationUpdate", f'Alarm "{name}" deleted')
        alarm_states.note(tx, (name, alarm.kind), call.now_ms, event, {"type": "Delete"})


def set_alarm_state(call: Call, tx: Transaction) -> None:
    params = call.params
    data = params.get("StateReasonData") or ""
    try:
        orjson.loads(data or "{}")
    except ValueError as error:
        raise AwsError("InvalidFormat", "StateReasonData was not valid JSON") from error
    alarm = _required(tx, params["AlarmName"])
    state = State(params["StateValue"], params["StateReason"], data)
    alarm_states.become(call.config, tx, alarm, state)


def enable_alarm_actions(call: Call, tx: Transaction) -> None:
    _switch(call, tx, is_enabled=True)


def disable_alarm_actions(call: Call, tx: Transaction) -> None:
    _switch(call, tx, is_enabled=False)


def _switch(call: Call, tx: Transaction, *, is_enabled: bool) -> None:
    for name in call.params["AlarmNames"]:
        alarm = alarm_states.find(tx, name)
        if alarm is not None:  # AWS says nothing of names that are not there
            config = orjson.dumps({**alarm.config, "ActionsEnabled": is_enabled}).decode()
            tx.run("UPDATE alarms SET config = ? WHERE name = ?", (config, name))


def describe_alarm_history(call: Call, view: View) -> Output:
    params = call.params
    refuse(params, "AlarmContributorId")
    is_up = params.get("ScanBy") == "TimestampAscending"
    limit, after = params.get("MaxRecords") or 50, offset(params.get("NextToken"))
    start, end = params.get("StartDate"), params.get("EndDate")
    kinds = orjson.dumps(params.get("AlarmTypes") or ["MetricAlarm"]).decode()
    direction = "ASC" if is_up else "DESC"
    rows = view.all(
        "SELECT * FROM alarm_history WHERE (?1 IS NULL OR alarm = ?1) AND (?2 IS NULL OR item = ?2)"
        " AND time_ms BETWEEN ?3 AND ?4 AND kind IN (SELECT value FROM json_each(?5))"
        f" ORDER BY time_ms {direction}, id {direction} LIMIT ?6 OFFSET ?7",
        (
            params.get("AlarmName"), params.get("HistoryItemType"),
            start.timestamp() * 1000 if start else 0,
            end.timestamp() * 1000 if end else 1 << 62, kinds, limit + 1, after,
        ),
    )  # fmt: skip
    items = [
        {
            "AlarmName": row["alarm"],
            "AlarmType": row["kind"],
            "Timestamp": row["time_ms"] / 1000,
            "HistoryItemType": row["item"],
            "HistorySummary": row["summary"],
            "HistoryData": row["data"],
        }
        for row in rows[:limit]
    ]
    token = str(after + limit) if len(rows) > limit else None
    return {"AlarmHistoryItems": items, "NextToken": token}


def _required(view: View, name: str) -> Alarm:
    alarm = alarm_states.find(view, name)
    if alarm is None:
        raise AwsError("ResourceNotFound", f"The alarm {name} does not exist.", 404)
    return alarm
