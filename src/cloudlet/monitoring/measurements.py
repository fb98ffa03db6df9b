"""PutMetricData: what clients measured themselves, and the rules for names, values and times.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
"""

import math
import re
from datetime import datetime
from typing import Any

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.monitoring.distribution import Summary
from cloudlet.monitoring.meter import Series

_RATES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Bits", "Kilobits",
          "Megabits", "Gigabits", "Terabits", "Count")  # fmt: skip
UNITS = {"Seconds", "Microseconds", "Milliseconds", "Percent", "None", *_RATES,
         *(f"{unit}/Second" for unit in _RATES)}  # fmt: skip
DIMENSIONS_MAX = 30
_NAMESPACE = re.compile(r"[^:][^\x00-\x1f]{0,254}")
_DATA_MAX = 1000
_VALUES_MAX = 150
_VALUE_MAX = 2.0**360
_HOUR_MS = 3_600_000
_PAST_MS = 14 * 24 * _HOUR_MS
_FUTURE_MS = 2 * _HOUR_MS


def is_namespace(value: Any) -> bool:
    return isinstance(value, str) and bool(_NAMESPACE.fullmatch(value))


def is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value) and abs(value) <= _VALUE_MAX


async def put_metric_data(call: Call) -> None:
    params = call.params
    namespace, data = params["Namespace"], params.get("MetricData") or []
    if params.get("EntityMetricData"):
        raise AwsError("InvalidParameterValue", "EntityMetricData is not supported here.")
    if namespace.startswith("AWS/") and call.caller.kind != "service":
        message = "The value AWS/ for parameter Namespace is invalid."
        raise AwsError("InvalidParameterValue", message)
    if not is_namespace(namespace):
        raise AwsError("InvalidParameterValue", f"The value {namespace!r} is no namespace.")
    if not data:
        raise missing("parameter MetricData is")
    if len(data) > _DATA_MAX:
        message = f"The collection MetricData must not have a size greater than {_DATA_MAX}."
        raise AwsError("InvalidParameterValue", message)
    measured = [_measured(call, namespace, n, item) for n, item in enumerate(data, 1)]
    for series, summary in measured:  # all are right or none is taken
        call.state.meter.put(series, summary)


def _measured(
    call: Call, namespace: str, number: int, item: dict[str, Any]
) -> tuple[Series, Summary]:
    where = f"MetricData.member.{number}"
    resolution = item.get("StorageResolution") or 60
    if resolution not in (1, 60):
        raise invalid(f"{where}.StorageResolution", "must be 1 or 60")
    time_ms = _time_ms(call, where, item.get("Timestamp"))
    series = Series(
        namespace,
        item["MetricName"],
        dimensions_of(item.get("Dimensions"), where),
        item.get("Unit") or "None",
        time_ms - time_ms % (resolution * 1000),
        resolution,
    )
    if series.unit not in UNITS:
        raise invalid(f"{where}.Unit", "is no unit")
    return series, _summary(where, item)


def dimensions_of(items: Any, where: str = "Dimensions") -> tuple[tuple[str, str], ...]:
    if len(items or []) > DIMENSIONS_MAX:
        raise invalid(f"{where}.Dimensions", f"has more than {DIMENSIONS_MAX} members")
    pairs = {(item["Name"], item["Value"]) for item in items or []}
    if len({name for name, _ in pairs}) < len(items or []):
        raise invalid(f"{where}.Dimensions", "names a dimension twice")
    return tuple(sorted(pairs))


def _time_ms(call: Call, where: str, time: datetime | None) -> int:
    if time is None:
        return call.now_ms
    time_ms = int(time.timestamp() * 1000)
    if not call.now_ms - _PAST_MS <= time_ms <= call.now_ms + _FUTURE_MS:
        raise invalid(
            f"{where}.Timestamp",
            "must specify a time no more than two weeks in the past and two hours in the future",
        )
    return time_ms


def _summary(where: str, item: dict[str, Any]) -> Summary:
    given = [name for name in ("Value", "Values", "StatisticValues") if item.get(name) is not None]
    if not given:
        message = "At least one of the parameters must be specified: Value, Values, StatisticValues"
        raise AwsError("MissingParameter", f"{message} ({where}).")
    if len(given) > 1:
        message = f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive"
        raise AwsError("InvalidParameterCombination", f"{message} and you have specified both.")
    if given == ["StatisticValues"]:
        return _of_set(where, item["StatisticValues"])
    values = item["Values"] if given == ["Values"] else [item["Value"]]
    counts = item.get("Counts") or [1.0] * len(values)
    if not 0 < len(values) <= _VALUES_MAX:
        raise invalid(f"{where}.Values", f"has 1 to {_VALUES_MAX} members")
    if len(counts) != len(values):
        raise invalid(f"{where}.Counts", "must have as many members as Values")
    summary = Summary()
    for value, count in zip(values, counts, strict=True):
        if not is_number(value) or not is_number(count) or count < 0:
            raise invalid(f"{where}.Value", "is not a number that can be kept")
        if count:
            summary.add(value, count)
    return summary


def _of_set(where: str, values: dict[str, float]) -> Summary:
    total, count = values["Sum"], values["SampleCount"]
    low, high = values["Minimum"], values["Maximum"]
    if not all(map(is_number, (total, count, low, high))):
        raise invalid(f"{where}.StatisticValues", "is not made of numbers that can be kept")
    if low > high or count <= 0:
        raise invalid(
            f"{where}.StatisticValues", "has no samples, or a Maximum less than its Minimum"
        )
    return Summary.of_set(total, count, low, high)


def missing(what: str) -> AwsError:
    return AwsError("MissingParameter", f"The {what} required.")


def invalid(name: str, what: str) -> AwsError:
    return AwsError("InvalidParameterValue", f"The parameter {name} {what}.")
