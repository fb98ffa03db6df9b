"""Looks at metric alarms as their periods end: M of N points beyond the threshold, gaps filled.

The evaluation range is a little longer than the alarm's periods: while it has points enough, gaps
don't matter; else they count as the alarm says they should.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import logging
import operator
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.monitoring import alarm_states
from cloudlet.monitoring.alarm_records import Alarm, State, queries
from cloudlet.monitoring.metric_queries import Reading
from cloudlet.store.database import View

_EXTRA = 2  # periods that the range is longer
_STEP_MS = 60_000
_GRACE_MS = 1000  # for what was measured at the very end of a period
_log = logging.getLogger(__name__)
COMPARE = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


async def evaluate_due(cloud: Cloud) -> None:
    """Every alarm whose next look is due; what it finds is committed with its next due time."""
    now_ms = cloud.config.now_ms()
    view = cloud.database.view()
    rows = view.all("SELECT * FROM alarms WHERE due_ms <= ?", (now_ms,))
    for row in rows:
        alarm = Alarm.of(row)
        step_ms = min(_STEP_MS, period_s(alarm.config) * 1000)
        due_ms = now_ms - now_ms % step_ms + step_ms + _GRACE_MS
        try:
            state = find_state(view, alarm, now_ms)
        except AwsError as error:  # an expression that was right once, or nearly
            _log.warning("alarm %s cannot be evaluated: %s", alarm.name, error)
            state = State("INSUFFICIENT_DATA", f"The alarm cannot be evaluated: {error.message}")
        await _settle(cloud, alarm, state, due_ms)


async def _settle(cloud: Cloud, alarm: Alarm, state: State | None, due_ms: int) -> None:
    def change(tx: Any) -> None:
        current = alarm_states.find(tx, alarm.name)
        if current is None or current.put_ms != alarm.put_ms:
            return  # deleted or put anew meanwhile
        tx.run("UPDATE alarms SET due_ms = ? WHERE name = ?", (due_ms, alarm.name))
        if state is not None and state.value != current.state:
            alarm_states.become(cloud.config, tx, current, state)

    await cloud.database.write(change)


def period_s(config: dict[str, Any]) -> int:
    periods = [int(config.get("Period") or 0)]
    for query in config.get("Metrics") or []:
        periods += [query.get("Period") or 0, (query.get("MetricStat") or {}).get("Period") or 0]
    return max(periods)


def find_state(view: View, alarm: Alarm, now_ms: int) -> State | None:
    """None: it stays what it is."""
    config, step_ms = alarm.config, period_s(alarm.config) * 1000
    periods = config["EvaluationPeriods"]
    end_ms = now_ms - now_ms % step_ms
    starts = range(end_ms - (periods + _EXTRA) * step_ms, end_ms, step_ms)
    asked = queries(config)
    id_ = next(query["Id"] for query in asked if query.get("ReturnData", True))
    moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (starts[0], end_ms)]
    series = Reading(view, asked, moments[0], moments[1]).series(id_)
    if len(series) != 1:
        raise AwsError("ValidationError", "An alarm needs one time series.")
    values = [series[0].values.get(start) for start in starts]
    value = _value(config, values, alarm.state)
    if value is None or value == alarm.state:
        return None
    return _explained(config, value, dict(zip(starts, values, strict=True)))


def _value(config: dict[str, Any], values: list[float | None], state: str) -> str | None:
    compare = COMPARE[config["ComparisonOperator"]][0]
    periods = config["EvaluationPeriods"]
    needed = config.get("DatapointsToAlarm") or periods
    missing = config.get("TreatMissingData") or "missing"
    real = [bool(compare(value, config["Threshold"])) for value in values if value is not None]
    if not real:
        outcomes = {"breaching": "ALARM", "notBreaching": "OK", "ignore": None}
        return outcomes.get(missing, "INSUFFICIENT_DATA")
    breaching, gaps = sum(real[-periods:]), max(0, periods - len(real))
    if breaching + (gaps if missing == "breaching" else 0) >= needed:
        return "ALARM"
    if not gaps or missing in ("breaching", "notBreaching"):
        return "OK"
    if breaching + gaps < needed:  # whatever the gaps would have been
        return "OK"
    if missing == "ignore":
        return None
    return "ALARM" if breaching and breaching == len(real) else "OK"


def _explained(config: dict[str, Any], value: str, values: dict[int, float | None]) -> State:
    """AWS's words, more or less."""
    periods = config["EvaluationPeriods"]
    known = [(start, point) for start, point in values.items() if point is not None][-periods:]
    _, words = COMPARE[config["ComparisonOperator"]]
    recent = [point for _, point in known]
    if known:
        listed = ", ".join(f"{p} ({datetime.fromtimestamp(s / 1000, UTC):%d/%m/%y %H:%M:%S})"
                           for s, p in reversed(known))  # fmt: skip
        negated = "" if value == "ALARM" else "not "
        count = f"{len(known)} datapoint{'s' if len(known) > 1 else ''} [{listed}]"
        verb = "were" if len(known) > 1 else "was"
        reason = (
            f"Threshold Crossed: {count} {verb} {negated}{words} the threshold"
            f" ({config['Threshold']})."
        )
    elif value == "INSUFFICIENT_DATA":
        reason = f"Insufficient Data: {periods} datapoints were unknown."
    else:
        reason = f"Threshold Crossed: no datapoints were received for {periods} periods."
    data = {
        "version": "1.0",
        "period": period_s(config),
        "recentDatapoints": recent,
        "threshold": config["Threshold"],
    }
    return State(value, reason[:1023], orjson.dumps(data).decode())
