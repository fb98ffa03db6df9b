"""What a metric filter measures in the log events that its pattern finds.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloudlet.monitoring.distribution import Summary
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.monitoring.filter_patterns import Found
from cloudlet.monitoring.measurements import is_namespace, is_number
from cloudlet.monitoring.meter import Series

_DIMENSIONS_MAX = 3


@dataclass(frozen=True, slots=True)
class Transformation:
    """One MetricTransformation, as AWS writes it."""

    config: dict[str, Any]

    def check(self, pattern: str) -> None:
        config = self.config
        dimensions = config.get("dimensions") or {}
        if not is_namespace(config["metricNamespace"]):
            raise invalid("Invalid metric transformation: the namespace is not valid.")
        if dimensions and config.get("defaultValue") is not None:
            raise invalid(
                "Invalid metric transformation: dimensions and default value are mutually exclusive"
                " properties."
            )
        if len(dimensions) > _DIMENSIONS_MAX:
            raise invalid(f"A metric filter can have {_DIMENSIONS_MAX} dimensions.")
        selectors = [*dimensions.values()]
        value = config["metricValue"]
        if _number(value) is None:
            selectors.append(value)
        if not all(_is_selector(each, pattern) for each in selectors):
            message = "a value is a number or a field that the filter pattern can tell."
            raise invalid(f"Invalid metric transformation: {message}")

    def measured(
        self, found: Iterable[Found | None], start_ms: int
    ) -> list[tuple[Series, Summary]]:
        """Of the events of one minute: matches, or the default value where there were none."""
        summaries: dict[Series, Summary] = {}
        is_any = False
        for each in found:
            if each is None:
                continue
            is_any = True
            value, dimensions = self._value(each), self._dimensions(each)
            if value is not None and dimensions is not None:
                series = self._series(dimensions, start_ms)
                summaries.setdefault(series, Summary()).add(value)
        if not is_any and self.config.get("defaultValue") is not None:
            summaries.setdefault(self._series((), start_ms), Summary()).add(
                float(self.config["defaultValue"])
            )
        return list(summaries.items())

    def _series(self, dimensions: tuple[tuple[str, str], ...], start_ms: int) -> Series:
        config = self.config
        unit = config.get("unit") or "None"
        name = config["metricName"]
        return Series(config["metricNamespace"], name, dimensions, unit, start_ms, 60)

    def _value(self, found: Found) -> float | None:
        text = self.config["metricValue"]
        constant = _number(text)
        return _number(found.value(text)) if constant is None else constant

    def _dimensions(self, found: Found) -> tuple[tuple[str, str], ...] | None:
        pairs = []
        for name, selector in (self.config.get("dimensions") or {}).items():
            value = found.value(selector)
            if value is None or isinstance(value, dict | list) or not str(value):
                return None  # such an event has no metric
            pairs.append((name, str(value)))
        return tuple(sorted(pairs))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if is_number(number) and not isinstance(value, bool) else None


def _is_selector(text: str, pattern: str) -> bool:
    if pattern.lstrip().startswith("{"):
        return text.startswith("$.") or text.startswith("$[")
    return pattern.lstrip().startswith("[") and text.startswith("$")
