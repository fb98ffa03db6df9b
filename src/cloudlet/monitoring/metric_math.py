"""Metric math: expressions over time series.

    expression = both { ("OR" | "||") both }        both = compared { ("AND" | "&&") compared }
    compared   = sum [ ("==" | "!=" | "<" …) sum ]  sum  = product { ("+" | "-") product }
    product    = power { ("*" | "/") power }        power = ["-"] one [ "^" power ]
    one        = number | id | "text" | name "(" … ")" | "[" … "]" | "(" expression ")"

A value is a number, a time series or a list of series. Operators work point by point, where both
sides have one; a comparison is 1 or 0.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import operator
import re
import statistics
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.monitoring import math_functions
from cloudlet.monitoring.math_functions import Grid, Series, each, wrong
from cloudlet.monitoring.scanner import Scanner

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<mark>\|\||&&|[=!<>]=|[-+*/^<>()\[\],]))"
)
_COMPARE = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
Lookup = Callable[[str], list[Series]]

__all__ = ["Grid", "Series", "evaluate"]


def evaluate(text: str, grid: Grid, lookup: Lookup, metrics: list[str]) -> list[Series]:
    """The series of an expression. Raises ValidationError. `metrics` are what METRICS() is."""
    value = _Parser(text, grid, lookup, metrics).whole()
    if isinstance(value, Series):
        return [value]
    if isinstance(value, list):
        return value
    raise wrong(text, "the result is a number and not a time series")


class _Parser(Scanner):
    """Evaluates as it reads."""

    token = _TOKEN
    ignores_case = True
    depth_max = 60

    def __init__(self, source: str, grid: Grid, lookup: Lookup, metrics: list[str]) -> None:
        super().__init__(source)
        self._grid = grid
        self._lookup = lookup
        self._metrics = metrics

    def wrong(self, why: str = "") -> AwsError:
        rest = self.source[self.position :].strip()[:20]
        return wrong(self.source, why or f"unexpected {rest!r}")

    def whole(self) -> Any:
        value = self._expression()
        self.end()
        return value

    def _expression(self) -> Any:
        values = self.series(self._both, "or", "||")
        return reduce(partial(each, lambda a, b: float(bool(a or b))), values)

    def _both(self) -> Any:
        values = self.series(self._compared, "and", "&&")
        return reduce(partial(each, lambda a, b: float(bool(a and b))), values)

    def _compared(self) -> Any:
        value = self._sum()
        if mark := self.take(*_COMPARE):
            compare = _COMPARE[mark]
            value = each(lambda a, b: float(compare(a, b)), value, self._sum())
        return value

    def _sum(self) -> Any:
        value = self._product()
        while mark := self.take("+", "-"):
            value = each(operator.add if mark == "+" else operator.sub, value, self._product())
        return value

    def _product(self) -> Any:
        value = self._power()
        while mark := self.take("*", "/"):
            value = each(operator.mul if mark == "*" else _divided, value, self._power())
        return value

    def _power(self) -> Any:
        return self.deeper(self._raised)

    def _raised(self) -> Any:
        if self.take("-"):
            return each(operator.neg, self._power())
        value = self._one()
        return each(_power, value, self._power()) if self.take("^") else value

    def _one(self) -> Any:
        if self.take("("):
            value = self._expression()
            self.need(")")
            return value
        if self.take("["):
            return self._list(self._arguments("]"))
        kind, word = self.peek()
        if kind not in ("number", "name"):
            raise self.wrong()
        self.next()
        if kind == "number":
            return float(word)
        return self._call(word) if self.take("(") else self._named(word)

    def _named(self, name: str) -> Any:
        series = self._lookup(name)
        return series[0] if len(series) == 1 else series

    def _list(self, items: list[Any]) -> list[Series]:
        found: list[Series] = []
        for item in items:
            if isinstance(item, Series):
                found.append(item)
            elif isinstance(item, list):
                found += item
            else:
                raise self.wrong("a list has time series only")
        return found

    def _arguments(self, end: str) -> list[Any]:
        """Values; a text, or one of the words that FILL takes, stays a str."""
        if self.take(end):
            return []
        found = self.series(self._argument, ",")
        self.need(end)
        return found

    def _argument(self) -> Any:
        kind, word = self.peek()
        if kind != "text" and word not in math_functions.WORDS:
            return self._expression()
        self.next()
        return word.strip("\"'")

    def _call(self, name: str) -> Any:
        arguments = self._arguments(")")
        if name == "METRICS":
            part = str(arguments[0]) if arguments else ""
            ids = [id_ for id_ in self._metrics if part in id_]
            return [series for id_ in ids for series in self._lookup(id_)]
        if name == "TIME_SERIES" and len(arguments) == 1:
            return Series(dict.fromkeys(self._grid.starts(), float(arguments[0])), self._grid)
        function = math_functions.find(name)
        if function is None:
            raise self.wrong(f"the function {name} is not supported")
        try:
            return function(*arguments)
        except (TypeError, AttributeError, ValueError, IndexError, statistics.StatisticsError):
            raise self.wrong(f"{name} does not take these arguments") from None


def _divided(a: float, b: float) -> float | None:
    return a / b if b else None


def _power(a: float, b: float) -> float | None:
    try:
        power = a**b
    except (OverflowError, ZeroDivisionError):
        return None
    return power if isinstance(power, float) else None  # a complex one is none
