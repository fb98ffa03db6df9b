"""Metrics: what is measured, kept, rolled up and asked for."""

import asyncio
import math
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudlet.call import Call
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from cloudlet.monitoring import permissions
from cloudlet.monitoring import points as stored
from cloudlet.monitoring.distribution import Summary, statistic
from cloudlet.monitoring.measurements import put_metric_data
from cloudlet.monitoring.metric_queries import (
    get_metric_data,
    get_metric_statistics,
    list_metrics,
)
from tests.harness import ROOT, Bench
from tests.unit.monitoring.conftest import points

METRIC = {"Namespace": "App", "MetricName": "Latency"}
Series = dict[int, float]


def moment(bench: Bench, minutes: float = 0) -> datetime:
    return datetime.fromtimestamp(bench.clock.now_ms / 1000 + 60 * minutes, UTC)


def put(bench: Bench, *data: dict[str, Any], namespace: str = "App") -> Any:
    items = [{"MetricName": "Latency", **each} for each in data]
    return bench.call(put_metric_data, Namespace=namespace, MetricData=items)


def asked(bench: Bench, *queries: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    span = {"StartTime": moment(bench, -10), "EndTime": moment(bench, 1)}
    more = {"ScanBy": "TimestampAscending", **span, **more}
    output: list[dict[str, Any]] = bench.call(
        get_metric_data, MetricDataQueries=list(queries), **more
    )["MetricDataResults"]
    return output


def stat(id_: str = "m", name: str = "Sum", metric: str = "Latency", **more: Any) -> dict[str, Any]:
    described = {"Metric": {**METRIC, "MetricName": metric}, "Period": 60, "Stat": name}
    return {"Id": id_, "MetricStat": described, **more}


def computed(bench: Bench, expression: str, *given: dict[str, Any]) -> Any:
    queries = [{**each, "ReturnData": False} for each in given or (stat("m"), stat("n", "Maximum"))]
    return asked(bench, {"Id": "e", "Expression": expression}, *queries)[0]["Values"]


def test_values_counts_and_sets_are_added_up(logs: Bench) -> None:
    put(logs, {"Value": 2.0, "Unit": "Seconds"}, {"Values": [1.0, 5.0], "Counts": [2.0, 1.0]})
    put(logs, {"StatisticValues": {"Sum": 10.0, "SampleCount": 2.0, "Minimum": 4.0,
                                   "Maximum": 6.0}})  # fmt: skip
    found = {row[3]: row for row in points(logs)}
    assert len(points(logs)) == 2  # one per unit
    assert found
    assert asked(logs, stat())[0]["Values"] == [2 + 7 + 10]
    assert asked(logs, stat(name="Minimum"))[0]["Values"] == [1]
    assert asked(logs, stat(name="SampleCount"))[0]["Values"] == [1 + 3 + 2]
    assert asked(logs, stat(name="p50"))[0]["Values"] == []  # a set has no percentiles


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({}, "MissingParameter"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"Value": math.nan}, "InvalidParameterValue"),
        ({"Value": 2.0**361}, "InvalidParameterValue"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue"),
        ({"Values": [1.0] * 151}, "InvalidParameterValue"),
        ({"Value": 1.0, "Unit": "Bananas"}, "InvalidParameterValue"),
        ({"Value": 1.0, "StorageResolution": 30}, "InvalidParameterValue"),
        ({"Value": 1.0, "Timestamp": datetime(2020, 1, 1, tzinfo=UTC)}, "InvalidParameterValue"),
        ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": "1"}] * 2}, "InvalidParameterValue"),
        ({"StatisticValues": {"Sum": 1.0, "SampleCount": 0.0, "Minimum": 1.0, "Maximum": 1.0}},
         "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_wrong_measurements_are_refused_and_nothing_is_kept(
    logs: Bench, item: dict[str, Any], code: str
) -> None:
    with pytest.raises(AwsError) as caught:
        put(logs, {"Value": 1.0}, item)
    assert caught.value.code == code
    assert points(logs) == []


def test_names_of_aws_are_refused(logs: Bench) -> None:
    with pytest.raises(AwsError, match="AWS/"):
        put(logs, {"Value": 1.0}, namespace="AWS/Lambda")


def test_percentiles_of_many_values_are_near(logs: Bench) -> None:
    values = sorted(random.Random(7).lognormvariate(3, 1) for _ in range(20_000))
    summary = Summary()
    for value in values:
        summary.add(value)
    copy = Summary.loads(summary.dumps())
    assert copy.values is not None
    assert len(copy.values) < 600
    for percent in (1, 50, 90, 99, 99.9):
        exact = values[int(percent / 100 * (len(values) - 1))]
        assert copy.percentile(percent) == pytest.approx(exact, rel=0.06)
    assert copy.sum == pytest.approx(sum(values))


def test_statistics_between_bounds() -> None:
    summary = Summary()
    for value in range(1, 101):
        summary.add(float(value))
    expected = {
        "p50": 50.5, "p99": 99.01, "p100": 100, "tm90": 45.5, "TM(10%:90%)": 50.5, "IQM": 50.5,
        "PR(:25)": 25, "TC(1:10)": 10, "TS(1:10)": 55, "WM(:50)": (1275 + 50 * 50) / 100,
    }  # fmt: skip
    for name, value in expected.items():
        measure = statistic(name)
        assert measure is not None
        assert measure(summary) == pytest.approx(value), name
    for name in ("p101", "sum", "TM(:)", "px"):
        assert statistic(name) is None


def test_statistics_have_limits_and_units(logs: Bench) -> None:
    put(logs, {"Value": 3.0, "Unit": "Seconds"}, {"Value": 5.0, "Unit": "Seconds"})
    span = {"StartTime": moment(logs, -5), "EndTime": moment(logs, 1)}
    output = logs.call(
        get_metric_statistics, **METRIC, **span, Period=60, Statistics=["Average", "Sum"],
        ExtendedStatistics=["p50"],
    )  # fmt: skip
    assert output["Datapoints"] == [{
        "Timestamp": logs.clock.now_ms / 1000, "Unit": "Seconds", "Average": 4, "Sum": 8,
        "ExtendedStatistics": {"p50": 4},
    }]  # fmt: skip
    for wrong in ({"Period": 61}, {"StartTime": moment(logs, 2)}, {"Statistics": []},
                  {"StartTime": moment(logs, -2000)}):  # fmt: skip
        with pytest.raises(AwsError):
            logs.call(
                get_metric_statistics,
                **{**METRIC, **span, "Period": 60, "Statistics": ["Sum"], **wrong},
            )


def test_metrics_are_listed_by_what_they_have(logs: Bench) -> None:
    dimensions = [{"Name": "Host", "Value": "a"}, {"Name": "Zone", "Value": "z"}]
    put(logs, {"Value": 1.0, "Dimensions": dimensions}, {"Value": 1.0})
    assert len(logs.call(list_metrics, Namespace="App")["Metrics"]) == 2
    found = logs.call(list_metrics, Dimensions=[{"Name": "Zone"}])["Metrics"]
    assert found == [{**METRIC, "Dimensions": dimensions}]
    assert not logs.call(list_metrics, Dimensions=[{"Name": "Zone", "Value": "y"}])["Metrics"]
    logs.clock.advance(15 * 86_400)
    assert not logs.call(list_metrics)["Metrics"]


def test_data_come_in_pages(logs: Bench) -> None:
    for minutes in (-3, -2, -1):
        put(logs, {"Value": float(minutes), "Timestamp": moment(logs, minutes)})
    span = {"StartTime": moment(logs, -10), "EndTime": moment(logs, 1)}
    first = logs.call(get_metric_data, MetricDataQueries=[stat()], MaxDatapoints=2, **span)
    assert first["MetricDataResults"][0]["Values"] == [-1, -2]
    assert first["MetricDataResults"][0]["StatusCode"] == "PartialData"
    rest = logs.call(
        get_metric_data, MetricDataQueries=[stat()], MaxDatapoints=2,
        NextToken=first["NextToken"], **span,
    )  # fmt: skip
    assert rest["MetricDataResults"][0]["Values"] == [-3]
    assert "NextToken" not in rest


@pytest.fixture
def series(logs: Bench) -> Bench:
    """m (Sum): 4 and 10, three minutes apart; n (Maximum): 3 and 10."""
    put(logs, {"Values": [1.0, 3.0], "Timestamp": moment(logs, -3)}, {"Value": 10.0})
    return logs


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("m + n * 2", [10, 30]),
        ("-m ^ 2 / 4", [-4, -25]),
        ("(m - n) > 0", [1, 0]),
        ("IF(m > 5, m, 0)", [0, 10]),
        ("IF(m > 5, n)", [10]),
        ("m / (m - n)", [4]),  # a division by zero has no point
        ("SUM([m, n])", [7, 20]),
        ("AVG(METRICS())", [3.5, 10]),
        ("MAX(METRICS('m'))", [4, 10]),
        ("m * 0 + SUM(m)", [14, 14]),
        ("m * 0 + METRIC_COUNT(METRICS())", [2, 2]),
        ("RATE(m)", [6 / 180]),
        ("DIFF(m)", [6]),
        ("RUNNING_SUM(m)", [4, 14]),
        ("m / PERIOD(m)", [4 / 60, 10 / 60]),
        ("SUM(FILL(m, 0)) + m * 0", [14, 14]),
        ("FILL(m, REPEAT)", [4, 4, 4, 10]),
        ("IF(RUNNING_SUM(FILL(m, 0)) > 0, FILL(m, LINEAR))", [4, 6, 8, 10]),
        ("m > 3 AND n > 3 || m == 4", [1, 1]),
        ("CEIL(m / 3) + FLOOR(m / 3) + ABS(-m)", [2 + 1 + 4, 4 + 3 + 10]),
        ("TIME_SERIES(LAST(m)) + m * 0", [10, 10]),
    ],
)
def test_metric_math(series: Bench, expression: str, values: list[float]) -> None:
    assert computed(series, expression) == pytest.approx(values)


@pytest.mark.parametrize(
    "expression",
    ["SEARCH('x', 'Sum', 300)", "AVG(m)", "m +", "(m", "m $ n", "x", "e", "FILL(m)", "1 / 0 + m",
     "SUM(1)", "[1]", "-" * 900 + "m", "(" * 900 + "m", "LOG(METRICS()", "m 'a'"],
)  # fmt: skip
def test_wrong_expressions_are_refused(series: Bench, expression: str) -> None:
    with pytest.raises(AwsError) as caught:
        computed(series, expression)
    assert caught.value.code == "ValidationError"


def test_wrong_queries_are_refused(series: Bench) -> None:
    for query in ({"Id": "M"}, {"Id": "m"}, {**stat(), "Expression": "m"}, stat(name="median")):
        with pytest.raises(AwsError) as caught:
            asked(series, query)
        assert caught.value.code == "ValidationError", query
    with pytest.raises(NotImplementedByCloudlet):
        asked(series, stat(Label="${MAX}"))


def test_old_points_are_rolled_up_and_forgotten(logs: Bench) -> None:
    day_s = 86_400
    put(logs, {"Value": 1.0, "StorageResolution": 1}, {"Value": 2.0})
    assert len(points(logs)) == 2

    def ages(seconds: float) -> list[int]:
        logs.clock.advance(seconds)
        now_ms = logs.clock.now_ms
        while logs.database.write_now(lambda tx: stored.roll_up(tx, now_ms)):
            pass
        rows = logs.database.view().all("SELECT period_s FROM metric_points")
        return [row[0] for row in rows]

    assert ages(4 * 3600) == [60]
    assert ages(16 * day_s) == [300]
    assert ages(50 * day_s) == [3600]
    assert points(logs)[0][4:] == (3, 2)
    assert ages(400 * day_s) == []
    assert not logs.database.view().all("SELECT * FROM metrics")


def test_too_many_points_are_rolled_up_early(logs: Bench) -> None:
    for minutes in range(10):
        put(logs, {"Value": 1.0, "Timestamp": moment(logs, -minutes)})
    assert len(points(logs)) == 10
    now_ms = logs.clock.now_ms

    def roll_up(points_max: int) -> int:
        while logs.database.write_now(lambda tx: stored.roll_up(tx, now_ms, points_max)):
            pass
        return len(points(logs))

    assert roll_up(5) <= 5
    assert sum(row[4] for row in points(logs)) == 10
    assert roll_up(0) == 0


def test_a_process_measures_a_bounded_number_of_metrics(
    logs: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cloudlet.monitoring.meter._OPEN_MAX", 3)
    for number in range(5):
        logs.cloud.meter.add("App", f"m{number}", ())
    assert len(points(logs)) == 3
    assert "2 measurements" in caplog.text


def test_what_could_not_be_written_is_kept(logs: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.cloud.meter.add("App", "m", (("a", "1"),), 2.0, "Seconds")

    async def fail(change: Any) -> None:
        raise AwsError("ServiceUnavailable", "full", 503)

    with monkeypatch.context() as broken:
        broken.setattr(logs.database, "write", fail)
        with pytest.raises(AwsError):
            asyncio.run(logs.state.meter.flush())
    assert points(logs)[0][4:] == (2, 1)


def test_permissions(logs: Bench) -> None:
    def required(operation: str, **params: Any) -> list[tuple[str, str]]:
        request = Request("POST", "/", "", {}, Body.of(b""))
        call = Call(logs.cloud, "cloudwatch", operation, params, ROOT, request)
        return [(r.action, r.resource) for r in permissions.metric_requirements(call)]

    arn = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:"
    assert required("PutMetricData", Namespace="A") == [("cloudwatch:PutMetricData", "*")]
    assert required("DeleteAlarms", AlarmNames=["a", "b"]) == [
        ("cloudwatch:DeleteAlarms", f"{arn}a"), ("cloudwatch:DeleteAlarms", f"{arn}b")]  # fmt: skip
    assert required("DescribeAlarms") == [("cloudwatch:DescribeAlarms", f"{arn}*")]
    assert required("GetDashboard", DashboardName="d") == [
        ("cloudwatch:GetDashboard", "arn:aws:cloudwatch::000000000000:dashboard/d")]  # fmt: skip
