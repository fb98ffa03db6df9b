"""Embedded metric format: metrics that a function writes as JSON lines into its log.

A line that breaks the specification is a log line and nothing more, as on AWS.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Iterator
from typing import Any

import orjson

from cloudlet.monitoring.distribution import Summary
from cloudlet.monitoring.measurements import DIMENSIONS_MAX, UNITS, is_namespace, is_number
from cloudlet.monitoring.meter import Series

_METRICS_MAX = 100  # per directive
_SETS_MAX = 30


def metrics_of(message: str) -> Iterator[tuple[Series, Summary]]:
    if '"_aws"' not in message or '"CloudWatchMetrics"' not in message:
        return
    try:
        root = orjson.loads(message)
        aws = root["_aws"]
        time_ms, directives = aws["Timestamp"], aws["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    if (
        isinstance(time_ms, bool)
        or not isinstance(time_ms, int)
        or not isinstance(directives, list)
    ):
        return
    for directive in directives:
        if isinstance(directive, dict):
            yield from _directive(root, directive, time_ms)


def _directive(
    root: dict[str, Any], directive: dict[str, Any], time_ms: int
) -> Iterator[tuple[Series, Summary]]:
    namespace, metrics = directive.get("Namespace"), directive.get("Metrics")
    sets = directive.get("Dimensions", [[]])
    if not isinstance(namespace, str) or not is_namespace(namespace):
        return
    if not isinstance(metrics, list) or not isinstance(sets, list):
        return
    for metric in metrics[:_METRICS_MAX]:
        name = metric.get("Name") if isinstance(metric, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= 1024:
            continue
        unit, resolution = metric.get("Unit", "None"), metric.get("StorageResolution", 60)
        summary = _summary(root.get(name))
        if summary is None or unit not in UNITS or resolution not in (1, 60):
            continue
        start_ms = time_ms - time_ms % (resolution * 1000)
        for names in sets[:_SETS_MAX] or [[]]:
            dimensions = _dimensions(root, names)
            if dimensions is not None:
                yield Series(namespace, name, dimensions, unit, start_ms, resolution), summary


def _summary(value: Any) -> Summary | None:
    """A number, or up to a hundred of them."""
    values = value if isinstance(value, list) else [value]
    if not values or len(values) > _METRICS_MAX or not all(map(is_number, values)):
        return None
    summary = Summary()
    for each in values:
        summary.add(float(each))
    return summary


def _dimensions(root: dict[str, Any], names: Any) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(names, list) or len(names) > DIMENSIONS_MAX:
        return None
    pairs = [(name, root.get(name)) for name in names if isinstance(name, str)]
    if len(pairs) < len(names) or not all(isinstance(v, str) and v for _, v in pairs):
        return None
    return tuple(sorted((name, str(value)) for name, value in pairs))
