"""What many measurements were: sum, count, smallest, largest, and how they were distributed.

Up to `_VALUES_MAX` different values are kept as they are, so that percentiles of few measurements
are exact; more are gathered in logarithmic buckets, each time coarser until few are left. Values
that came as a statistic set have no distribution, and no percentiles then, as on AWS.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import orjson

_VALUES_MAX = 512
_FINEST = 0.01  # width of the first buckets, as part of the value


class Summary:
    """Measurements of one metric in one period."""

    __slots__ = ("count", "high", "low", "sum", "values", "width")

    def __init__(self) -> None:
        self.sum = 0.0
        self.count = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.values: dict[float, float] | None = {}  # value → how often; None: nobody knows
        self.width = 0.0

    def add(self, value: float, count: float = 1.0) -> None:
        self.sum += value * count
        self.count += count
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value
        values = self.values
        if values is not None:
            values[value] = values.get(value, 0.0) + count
            if len(values) > _VALUES_MAX:
                self._coarsen()

    def gather(self, fresh: Sequence[float]) -> None:
        """Adds many measurements, in less time than one by one."""
        self.sum += sum(fresh)
        self.count += len(fresh)
        self.low, self.high = min(self.low, *fresh), max(self.high, *fresh)
        if self.values is not None:
            for value, count in Counter(fresh).items():
                self.values[value] = self.values.get(value, 0.0) + count
            if len(self.values) > _VALUES_MAX:
                self._coarsen()

    def merge(self, other: "Summary") -> None:
        self.sum += other.sum
        self.count += other.count
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        if self.values is None or other.values is None:
            self.values = None
            return
        self.width = max(self.width, other.width)
        for value, count in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + count
        if len(self.values) > _VALUES_MAX:
            self._coarsen()

    def _coarsen(self) -> None:
        """Leaves half of the values at most, so that each costs its share of one coarsening."""
        assert self.values is not None
        while len(self.values) > _VALUES_MAX // 2:
            fresh: dict[float, float] = {}
            for value, count in self.values.items():
                bucket = _bucket(value, self.width) if self.width else value
                fresh[bucket] = fresh.get(bucket, 0.0) + count
            self.values = fresh
            if len(fresh) > _VALUES_MAX // 2:
                self.width = 2 * self.width or _FINEST

    def percentile(self, percent: float) -> float | None:
        """Between two measurements it lies on the line through them; None if nobody knows."""
        if self.low == self.high:
            return self.low
        if self.values is None:
            return None
        rank = percent / 100 * (self.count - 1)
        below, passed = self.low, 0.0
        for value, count in sorted(self.values.items()):
            value = min(max(value, self.low), self.high)
            if rank <= passed + count - 1:
                if rank < passed:  # between the last value and this one
                    return below + (value - below) * (rank - (passed - 1))
                return value
            below, passed = value, passed + count
        return self.high

    def dumps(self) -> str:
        document: list[Any] = [self.sum, self.count, self.low, self.high, self.width]
        if self.values is None or self.low != self.high:
            document.append(None if self.values is None else list(self.values.items()))
        return orjson.dumps(document).decode()

    @classmethod
    def loads(cls, text: str) -> "Summary":
        summary = cls()
        document = orjson.loads(text)
        summary.sum, summary.count, summary.low, summary.high, summary.width = document[:5]
        if len(document) > 5:
            pairs = document[5]
            summary.values = None if pairs is None else {value: count for value, count in pairs}
        else:
            summary.values = {summary.low: summary.count}
        return summary

    @classmethod
    def of_set(cls, total: float, count: float, low: float, high: float) -> "Summary":
        """A statistic set: one value is known where smallest and largest are the same."""
        summary = cls()
        summary.sum, summary.count, summary.low, summary.high = total, count, low, high
        summary.values = {low: count} if low == high else None
        return summary


def _bucket(value: float, width: float) -> float:
    if value == 0:
        return 0.0
    step = math.log1p(width)
    return math.copysign(math.exp(round(math.log(abs(value)) / step) * step), value)


_PLAIN: dict[str, Callable[[Summary], float]] = {
    "SampleCount": lambda summary: summary.count,
    "Sum": lambda summary: summary.sum,
    "Average": lambda summary: summary.sum / summary.count,
    "Minimum": lambda summary: summary.low,
    "Maximum": lambda summary: summary.high,
}
PLAIN = frozenset(_PLAIN)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
_TRIMMED = re.compile(r"(tm|tc|ts|wm)(\d{1,2}(?:\.\d{1,10})?|100)")
_BETWEEN = re.compile(r"(TM|TC|TS|WM|PR)\((-?[\d.]+%?)?:(-?[\d.]+%?)?\)")


@lru_cache(maxsize=256)
def statistic(name: str) -> Callable[[Summary], float | None] | None:
    """`Sum`, `p99.9`, `tm90`, `TM(10%:90%)`, `PR(:300)`, `IQM` …; None for what is none.

    The function answers None where a statistic set doesn't tell.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    if match := _PERCENTILE.fullmatch(name):
        percent = float(match[1])
        return lambda summary: summary.percentile(percent)
    if name == "IQM":
        return _between("TM", "25%", "75%")
    if match := _TRIMMED.fullmatch(name):
        return _between(match[1].upper(), "", f"{match[2]}%")
    match = _BETWEEN.fullmatch(name)
    if match is None or not (match[2] or match[3]):
        return None
    return _between(match[1], match[2] or "", match[3] or "")


def _between(kind: str, low: str, high: str) -> Callable[[Summary], float | None]:
    """Mean, count or sum of what lies between two values or percentiles; WM moves the rest there,
    PR is the part of all, in percent."""

    def bound(summary: Summary, text: str, otherwise: float) -> float | None:
        if not text:
            return otherwise
        return summary.percentile(float(text[:-1])) if text[-1] == "%" else float(text)

    def measure(summary: Summary) -> float | None:
        least = bound(summary, low, -math.inf)
        most = bound(summary, high, math.inf)
        if least is None or most is None or summary.values is None:
            return None
        pairs = list(summary.values.items())
        if kind == "WM":
            pairs = [(min(max(value, least), most), count) for value, count in pairs]
        kept = [(value, count) for value, count in pairs if least <= value <= most]
        count = sum(number for _, number in kept)
        total = sum(value * number for value, number in kept)
        answers = {"TC": count, "TS": total, "PR": 100 * count / summary.count}
        return answers.get(kind, total / count if count else None)

    return measure
