"""The functions of metric math, and the values they work on.

A function that takes one series or many (SUM, AVG, …) makes a number of one series and a series of
many, point by point. Points that cannot be computed (a division by zero) are left out.
"""

import math
import statistics
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cloudlet.errors import AwsError

WORDS = ("REPEAT", "LINEAR")
_STARTS_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Grid:
    """Where periods begin: from the start in steps of the period, before the end."""

    start_ms: int
    end_ms: int
    period_s: int

    def floor(self, time_ms: int) -> int:
        return time_ms - (time_ms - self.start_ms) % (self.period_s * 1000)

    def starts(self) -> range:
        starts = range(self.start_ms, self.end_ms, self.period_s * 1000)
        if len(starts) > _STARTS_MAX:
            raise AwsError("ValidationError", "The time range has too many periods.")
        return starts


@dataclass(frozen=True, slots=True)
class Series:
    values: dict[int, float]  # start of a period → value
    grid: Grid
    label: str = ""

    def ordered(self) -> list[tuple[int, float]]:
        return sorted(self.values.items())


def wrong(expression: str, why: str) -> AwsError:
    return AwsError("ValidationError", f"Error in expression '{expression}': {why}.")


def each(function: Callable[..., float | None], *values: Any) -> Any:
    """The function at each point that all series have; of lists, for each of its series."""
    lists = [value for value in values if isinstance(value, list)]
    if lists:
        length = len(lists[0])
        if any(len(other) != length for other in lists):
            raise AwsError("ValidationError", "Lists of time series differ in length.")
        rows = [v if isinstance(v, list) else [v] * length for v in values]
        return [each(function, *row) for row in zip(*rows, strict=True)]
    series = [value for value in values if isinstance(value, Series)]
    if not series:
        if not all(isinstance(value, float) for value in values):
            raise TypeError
        found = function(*values)
        if found is None:
            raise AwsError("ValidationError", "An expression of numbers has no value.")
        return found
    starts = set(series[0].values).intersection(*(other.values for other in series[1:]))
    points = {
        start: function(*(v.values[start] if isinstance(v, Series) else v for v in values))
        for start in starts
    }
    kept = {k: v for k, v in points.items() if v is not None and math.isfinite(v)}
    return Series(kept, series[0].grid, series[0].label if len(values) == 1 else "")


def _gathered(function: Callable[[list[float]], float]) -> Callable[[Any], Any]:
    """One series → a number; many → a series of what each point has."""

    def gather(value: Any) -> Any:
        if isinstance(value, Series):
            return float(function(list(value.values.values())))
        points: dict[int, list[float]] = {}
        for series in value:
            for start, point in series.values.items():
                points.setdefault(start, []).append(point)
        return Series({start: function(some) for start, some in points.items()}, value[0].grid)

    return gather


def _in_turn(step: Callable[[tuple[int, float], tuple[int, float]], float]) -> Callable[[Any], Any]:
    """Each point from itself and the one before."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(series) for series in value]
        ordered = value.ordered()
        return Series({b[0]: step(a, b) for a, b in pairwise(ordered)}, value.grid, value.label)

    return walk


def _fill(value: Any, filling: Any) -> Any:
    if isinstance(value, list):
        return [_fill(series, filling) for series in value]
    known = value.ordered()
    filled = dict(value.values)
    for start in value.grid.starts():
        if start in filled:
            continue
        if isinstance(filling, Series):
            found = filling.values.get(start)
        elif filling in WORDS:
            found = _between(known, start, is_linear=filling == "LINEAR")
        else:
            found = float(filling)
        if found is not None:
            filled[start] = found
    return Series(filled, value.grid, value.label)


def _between(known: list[tuple[int, float]], start: int, *, is_linear: bool) -> float | None:
    place = bisect(known, (start, math.inf))
    before, after = known[max(0, place - 1) : place], known[place : place + 1]
    if not is_linear or not before or not after:
        nearest = before or (after if is_linear else [])
        return nearest[0][1] if nearest else None
    (from_ms, low), (to_ms, high) = before[0], after[0]
    return low + (high - low) * (start - from_ms) / (to_ms - from_ms)


def _if(condition: Any, then: Any, otherwise: Any = None) -> Any:
    if otherwise is None:
        return each(lambda test, value: value if test else None, condition, then)
    return each(lambda test, a, b: a if test else b, condition, then, otherwise)


def _running_sum(value: Any) -> Any:
    if isinstance(value, list):
        return [_running_sum(series) for series in value]
    total, points = 0.0, {}
    for start, point in value.ordered():
        total += point
        points[start] = total
    return Series(points, value.grid, value.label)


def _moment(part: Callable[[datetime], int]) -> Callable[[Any], Any]:
    def of(value: Any) -> Any:
        points = {
            start: float(part(datetime.fromtimestamp(start / 1000, UTC))) for start in value.values
        }
        return Series(points, value.grid, value.label)

    return of


def _point(index: int) -> Callable[[Any], Any]:
    def of(value: Any) -> Any:
        return value[index] if isinstance(value, list) else value.ordered()[index][1]

    return of


def _logarithm(function: Callable[[float], float]) -> Callable[[Any], Any]:
    return lambda value: each(lambda x: function(x) if x > 0 else None, value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ABS": lambda value: each(abs, value),
    "CEIL": lambda value: each(lambda x: float(math.ceil(x)), value),
    "FLOOR": lambda value: each(lambda x: float(math.floor(x)), value),
    "LOG": _logarithm(math.log),
    "LOG10": _logarithm(math.log10),
    "SUM": _gathered(sum),
    "AVG": _gathered(statistics.fmean),
    "MIN": _gathered(min),
    "MAX": _gathered(max),
    "STDDEV": _gathered(statistics.pstdev),
    "DATAPOINT_COUNT": _gathered(len),
    "METRIC_COUNT": lambda value: float(len(value)) if isinstance(value, list) else 1.0,
    "PERIOD": lambda value: float(value.grid.period_s),
    "FILL": _fill,
    "IF": _if,
    "DIFF": _in_turn(lambda a, b: b[1] - a[1]),
    "DIFF_TIME": _in_turn(lambda a, b: (b[0] - a[0]) / 1000),
    "RATE": _in_turn(lambda a, b: (b[1] - a[1]) / ((b[0] - a[0]) / 1000)),
    "RUNNING_SUM": _running_sum,
    "REMOVE_EMPTY": lambda value: [series for series in value if series.values],
    "FIRST": _point(0),
    "LAST": _point(-1),
    "EPOCH": _moment(lambda moment: int(moment.timestamp())),
    "MINUTE": _moment(lambda moment: moment.minute),
    "HOUR": _moment(lambda moment: moment.hour),
    "DAY": _moment(lambda moment: moment.isoweekday()),
    "DATE": _moment(lambda moment: moment.day),
    "MONTH": _moment(lambda moment: moment.month),
    "YEAR": _moment(lambda moment: moment.year),
}


def find(name: str) -> Callable[..., Any] | None:
    return _FUNCTIONS.get(name)
