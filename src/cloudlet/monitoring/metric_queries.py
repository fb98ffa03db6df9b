"""Reading metrics: GetMetricData, GetMetricStatistics, ListMetrics.

What is still in the meter is written first, so that a client sees what it has measured.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.monitoring import metric_math, points
from cloudlet.monitoring.distribution import PLAIN, Summary, statistic
from cloudlet.monitoring.measurements import dimensions_of
from cloudlet.monitoring.metric_math import Grid, Series
from cloudlet.store.database import View

_QUERIES_MAX = 500
_CHAIN_MAX = 40  # of expressions that name one another
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_LISTED_MAX = 500
_POINTS_MAX = 1440
_DATA_MAX = 100_800
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


async def list_metrics(call: Call) -> Output:
    params, view = call.params, call.cloud.database.view()
    refuse(params, "IncludeLinkedAccounts", "OwningAccount")
    await call.state.meter.flush()
    active_ms = 3 * _HOUR_MS if params.get("RecentlyActive") else 14 * _DAY_MS
    after = offset(params.get("NextToken"))
    rows = view.rows(
        "SELECT * FROM metrics WHERE (?1 IS NULL OR namespace = ?1) AND (?2 IS NULL OR name = ?2)"
        " AND last_ms >= ?3 AND id > ?4 ORDER BY id",
        (params.get("Namespace"), params.get("MetricName"), call.now_ms - active_ms, after),
    )
    found: list[Any] = []
    output: Output = {"Metrics": found}
    for row in rows:
        if len(found) == _LISTED_MAX:
            output["NextToken"] = str(after)
            break
        after = row["id"]
        dimensions = dict(orjson.loads(row["dimensions"]))
        wanted = params.get("Dimensions") or []
        if all(_has(dimensions, each) for each in wanted):
            found.append(
                {
                    "Namespace": row["namespace"],
                    "MetricName": row["name"],
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                }
            )
    return output


def _has(dimensions: dict[str, str], wanted: dict[str, str]) -> bool:
    value = dimensions.get(wanted["Name"])
    return value is not None and wanted.get("Value", value) == value


async def get_metric_statistics(call: Call) -> Output:
    params = call.params
    names = [*params.get("Statistics", []), *params.get("ExtendedStatistics", [])]
    if not names:
        message = "Must specify either Statistics or ExtendedStatistics"
        raise AwsError("InvalidParameterCombination", message)
    for name in names:
        if statistic(name) is None:
            raise AwsError("InvalidParameterValue", f"The value {name} is no statistic.")
    grid = grid_of(params["StartTime"], params["EndTime"], int(params["Period"]))
    count = len(grid.starts())
    if count > _POINTS_MAX:
        message = (
            f"You have requested up to {count} datapoints, which exceeds the limit of"
            f" {_POINTS_MAX}. You may reduce the datapoints requested by increasing Period, or"
            " decreasing the time range."
        )
        raise AwsError("InvalidParameterCombination", message)
    await call.state.meter.flush()
    buckets = await asyncio.to_thread(lambda: _buckets(call.cloud.database.view(), params, grid))
    return {
        "Label": params["MetricName"],
        "Datapoints": [
            _datapoint(params, start_ms, unit, summary)
            for (start_ms, unit), summary in sorted(buckets.items())
        ],
    }


def _datapoint(params: dict[str, Any], start_ms: int, unit: str, summary: Summary) -> Output:
    point: Output = {"Timestamp": start_ms / 1000, "Unit": unit}
    point |= {name: _value(summary, name) for name in params.get("Statistics", [])}
    if params.get("ExtendedStatistics"):
        values = {name: _value(summary, name) for name in params["ExtendedStatistics"]}
        point["ExtendedStatistics"] = {k: v for k, v in values.items() if v is not None}
    return point


def _value(summary: Summary, name: str) -> float | None:
    measure = statistic(name)
    return measure(summary) if measure else None


def grid_of(start: datetime, end: datetime, period_s: int) -> Grid:
    """Periods begin at the start time, rounded down to a minute or to a shorter period."""
    if period_s < 1 or (period_s % 60 and period_s not in (1, 5, 10, 20, 30)):
        message = "The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60."
        raise AwsError("InvalidParameterValue", message)
    start_ms, end_ms = (int(moment.timestamp() * 1000) for moment in (start, end))
    if start_ms >= end_ms:
        message = "The parameter StartTime must be less than the parameter EndTime."
        raise AwsError("InvalidParameterValue", message)
    start_ms -= start_ms % (min(period_s, 60) * 1000)
    return Grid(start_ms, end_ms, period_s)


def _buckets(view: View, metric: dict[str, Any], grid: Grid) -> dict[tuple[int, str], Summary]:
    """(start, unit) → what was measured in that period."""
    dimensions = dimensions_of(metric.get("Dimensions"))
    key = (metric["Namespace"], metric["MetricName"], dimensions)
    found: dict[tuple[int, str], Summary] = defaultdict(Summary)
    span = (grid.start_ms, grid.end_ms)
    for start_ms, unit, summary in points.read_points(view, key, span, grid.period_s):
        if metric.get("Unit") in (None, unit):
            found[grid.floor(start_ms), unit].merge(summary)
    return found


async def get_metric_data(call: Call) -> Output:
    params = call.params
    queries = params["MetricDataQueries"]
    if len(queries) > _QUERIES_MAX:
        message = f"The collection MetricDataQueries must not have more than {_QUERIES_MAX}."
        raise AwsError("ValidationError", message)
    for query in queries:
        if "${" in (query.get("Label") or ""):
            raise NotImplementedByCloudlet("A label with dynamic values")
        refuse(query, "AccountId")
    await call.state.meter.flush()
    return await asyncio.to_thread(_data, call)


def _data(call: Call) -> Output:
    params, queries = call.params, call.params["MetricDataQueries"]
    reading = Reading(call.cloud.database.view(), queries, params["StartTime"], params["EndTime"])
    series = [(query, each) for query in queries if query.get("ReturnData", True)
              for each in reading.series(query["Id"])]  # fmt: skip
    start = offset(params.get("NextToken"))
    limit = min(params.get("MaxDatapoints") or _DATA_MAX, _DATA_MAX)
    size = max(1, limit // max(1, len(series)))
    is_up = params.get("ScanBy") == "TimestampAscending"
    output: Output = {"MetricDataResults": [], "Messages": []}
    for query, each in series:
        shown = sorted(each.values.items(), reverse=not is_up)
        page = shown[start : start + size]
        is_more = len(shown) > start + size
        if is_more:
            output["NextToken"] = str(start + size)
        output["MetricDataResults"].append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or each.label or query["Id"],
                "Timestamps": [start_ms / 1000 for start_ms, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "PartialData" if is_more else "Complete",
            }
        )
    return output


@dataclass
class Reading:
    """The queries of one request; an expression's are evaluated as others name them."""

    view: View
    queries: list[dict[str, Any]]
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        self._known: dict[str, list[Series]] = {}
        self._open: set[str] = set()
        for query in self.queries:
            _check(query)
        self._by_id = {query["Id"]: query for query in self.queries}
        if len(self._by_id) < len(self.queries):
            raise AwsError("ValidationError", "The values for parameter Id are not unique.")
        plain = [query for query in self.queries if query.get("MetricStat")]
        periods = [int(query["MetricStat"]["Period"]) for query in plain]
        self.period_s = max(periods, default=60)
        self.metrics = [query["Id"] for query in plain]

    def series(self, id_: str) -> list[Series]:
        """What the query gives: one series, or those of an expression that has several."""
        if id_ not in self._known:
            is_wrong = id_ not in self._by_id or id_ in self._open
            if is_wrong or len(self._open) > _CHAIN_MAX:
                raise AwsError("ValidationError", f"The query {id_} does not exist or is circular.")
            self._open.add(id_)
            query = self._by_id[id_]
            stat = query.get("MetricStat")
            self._known[id_] = [self._read(stat)] if stat else self._evaluate(query)
            self._open.discard(id_)
        return self._known[id_]

    def _read(self, stat: dict[str, Any]) -> Series:
        grid = grid_of(self.start, self.end, int(stat["Period"]))
        metric = {**stat["Metric"], "Unit": stat.get("Unit")}
        merged: dict[int, Summary] = defaultdict(Summary)
        for (start_ms, _), summary in _buckets(self.view, metric, grid).items():
            merged[start_ms].merge(summary)
        values = {start: _value(summary, stat["Stat"]) for start, summary in merged.items()}
        known = {start: float(value) for start, value in values.items() if value is not None}
        return Series(known, grid, metric["MetricName"])

    def _evaluate(self, query: dict[str, Any]) -> list[Series]:
        period_s = int(query.get("Period") or self.period_s)
        grid = grid_of(self.start, self.end, period_s)
        return metric_math.evaluate(query["Expression"], grid, self.series, self.metrics)


def _check(query: dict[str, Any]) -> None:
    id_, stat = query["Id"], query.get("MetricStat")
    if not _ID.fullmatch(id_):
        message = f"The value {id_} for parameter Id does not start with a lower-case letter or"
        raise AwsError("ValidationError", f"{message} has other characters than A-Za-z0-9_.")
    if bool(stat) == bool(query.get("Expression")):
        message = f"The query {id_} must have one of MetricStat and Expression."
        raise AwsError("ValidationError", message)
    if stat is None:
        return
    metric = stat["Metric"]
    if not metric.get("Namespace") or not metric.get("MetricName"):
        raise AwsError("ValidationError", f"The metric of {id_} has no Namespace or MetricName.")
    if stat["Stat"] not in PLAIN and statistic(stat["Stat"]) is None:
        message = f"The value {stat['Stat']} for parameter Stat is not supported."
        raise AwsError("ValidationError", message)


def offset(token: str | None) -> int:
    text = token or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise AwsError("InvalidNextToken", "The token is not valid.")
    return int(text)
