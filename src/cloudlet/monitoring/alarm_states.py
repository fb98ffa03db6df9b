"""What an alarm's state sets off: history, actions, an event on the bus, alarms made of alarms.

All of it is in one transaction with the new state: an alarm that was said to ring has rung.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from collections.abc import Iterator
from typing import Any

import orjson

from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.monitoring import alarm_messages, alarm_rules
from cloudlet.monitoring.alarm_records import ACTIONS, Alarm, State, iso, queries
from cloudlet.store.database import Transaction, View

_PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"
_HISTORY_MS = 30 * 86_400_000


Change = tuple[State, dict[str, Any]]  # and what is told of it


def find(view: View, name: str) -> Alarm | None:
    row = view.one("SELECT * FROM alarms WHERE name = ?", (name,))
    return Alarm.of(row) if row else None


def known(view: View) -> Iterator[Alarm]:
    return map(Alarm.of, view.all("SELECT * FROM alarms ORDER BY name"))


def become(config: Config, tx: Transaction, alarm: Alarm, state: State) -> None:
    """The state was found or set; only another one than before sets something off."""
    now_ms = config.now_ms()
    is_other = state.value != alarm.state
    tx.run(
        "UPDATE alarms SET state = ?, reason = ?, reason_data = ?, updated_ms = ?, changed_ms = ?"
        " WHERE name = ?",
        (
            state.value, state.reason, state.data, now_ms,
            now_ms if is_other else alarm.changed_ms, alarm.name,
        ),
    )  # fmt: skip
    if not is_other:
        return
    data = _told(config, alarm, state, now_ms)
    event = ("StateUpdate", f"Alarm updated from {alarm.state} to {state.value}")
    history = {"version": "1.0", "oldState": data["previousState"], "newState": data["state"]}
    note(tx, (alarm.name, alarm.kind), now_ms, event, history)
    _announce(config, tx, alarm, data)
    if alarm.config.get("ActionsEnabled", True):
        for arn in alarm.config.get(ACTIONS[state.value]) or []:
            _act(config, tx, alarm, arn, (state, data))
    for other in list(known(tx)):
        rule = other.config.get("AlarmRule")
        if rule and alarm.name in alarm_rules.parse(rule).names:
            follow(config, tx, other.name)


def follow(config: Config, tx: Transaction, name: str) -> None:
    """A composite alarm is what its rule says now; no circle of them is ever stored."""
    composite = find(tx, name)
    assert composite is not None
    rule = alarm_rules.parse(composite.config["AlarmRule"])
    states = {row["name"]: row["state"] for row in tx.all("SELECT name, state FROM alarms")}
    value = "ALARM" if rule.is_met(states) else "OK"
    if value != composite.state:
        now = iso(config.now_ms())
        reason = f"The alarm rule was evaluated to {value} at {now}"
        become(config, tx, composite, State(value, reason))


def note(
    tx: Transaction, alarm: tuple[str, str], time_ms: int, event: tuple[str, str], data: Any
) -> None:
    """`alarm`: name and kind; `event`: history item type and summary."""
    tx.run(
        "INSERT INTO alarm_history (alarm, kind, time_ms, item, summary, data)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*alarm, time_ms, event[0], event[1][:255], orjson.dumps(data).decode()[:4095]),
    )


def forget(tx: Transaction, now_ms: int) -> None:
    tx.run("DELETE FROM alarm_history WHERE time_ms < ?", (now_ms - _HISTORY_MS,))


def _told(config: Config, alarm: Alarm, state: State, now_ms: int) -> dict[str, Any]:
    """What functions and rules are told."""
    before = State(alarm.state, alarm.reason, alarm.reason_data)
    described = alarm.config.get("AlarmDescription")
    configuration: dict[str, Any] = {"description": described} if described else {}
    if alarm.kind == "MetricAlarm":
        configuration["metrics"] = [_query(each) for each in queries(alarm.config)]
    else:
        configuration["alarmRule"] = alarm.config["AlarmRule"]
    return {
        "alarmName": alarm.name,
        "state": _state(state, now_ms),
        "previousState": _state(before, alarm.updated_ms),
        "configuration": configuration,
    }


def _state(state: State, time_ms: int) -> dict[str, str]:
    document = {"value": state.value, "reason": state.reason, "timestamp": iso(time_ms)}
    return {**document, "reasonData": state.data} if state.data else document


def _query(query: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
    stat = query.get("MetricStat")
    if stat is None:
        return {**told, "expression": query["Expression"], "label": query.get("Label", "")}
    metric = stat["Metric"]
    told["metricStat"] = {
        "metric": {
            "namespace": metric["Namespace"],
            "name": metric["MetricName"],
            "dimensions": {d["Name"]: d["Value"] for d in metric.get("Dimensions") or []},
        },
        "period": stat["Period"],
        "stat": stat["Stat"],
    }
    return told


def _announce(config: Config, tx: Transaction, alarm: Alarm, data: dict[str, Any]) -> None:
    arn = config.arn("cloudwatch", f"alarm:{alarm.name}")
    document = {
        "version": "0",
        "id": config.new_id(),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": config.account,
        "time": iso(config.now_ms())[:19] + "Z",
        "region": config.region,
        "resources": [arn],
        "detail": data,
    }
    bus = config.arn("events", "event-bus/default")
    outbox.put(tx, bus, orjson.dumps(document), source=arn, now_ms=config.now_ms())


def _act(config: Config, tx: Transaction, alarm: Alarm, target: str, change: Change) -> None:
    arn, now_ms = config.arn("cloudwatch", f"alarm:{alarm.name}"), config.now_ms()
    attributes = {
        "principal": _PRINCIPAL, "source_arn": arn, "source_account": config.account,
    }  # fmt: skip
    document: dict[str, Any] = {
        "source": "aws.cloudwatch",
        "alarmArn": arn,
        "accountId": config.account,
        "time": iso(now_ms),
        "region": config.region,
        "alarmData": change[1],
    }
    if target.split(":")[2] == "sns":
        document = alarm_messages.message(config, alarm, change[0], now_ms)
        attributes["principal"] = "cloudwatch.amazonaws.com"
        attributes["subject"] = alarm_messages.subject(config, alarm, change[0])
    payload = orjson.dumps(document)
    outbox.put(tx, target, payload, source=arn, now_ms=now_ms, attributes=attributes)
    event = ("Action", f"Successfully executed action {target}")
    note(tx, (alarm.name, alarm.kind), now_ms, event, {"actionState": "Succeeded"})
