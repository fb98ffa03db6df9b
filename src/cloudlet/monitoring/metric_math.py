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
from dataclasses import dataclass
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.monitoring import math_functions
from cloudlet.monitoring.math_functions import Grid, Series, each, wrong

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<mark>\|\||&&|[=!<>]=|[-+*/^<>()\[\],]))"
)
_COMPARE = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_DEPTH_MAX = 60
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


@dataclass(slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    """Evaluates as it reads."""

    def __init__(self, text: str, grid: Grid, lookup: Lookup, metrics: list[str]) -> None:
        self._text = text
        self._grid = grid
        self._lookup = lookup
        self._metrics = metrics
        self._tokens = self._read()
        self._position = 0
        self._depth = 0

    def _read(self) -> list[_Token]:
        tokens, position = [], 0
        while self._text[position:].strip():
            match = _TOKEN.match(self._text, position)
            if match is None:
                raise self._wrong(f"unexpected {self._text[position:].strip()[:1]!r}")
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind]))
            position = match.end()
        return [*tokens, _Token("end", "")]

    def _wrong(self, why: str) -> AwsError:
        return wrong(self._text, why)

    def _take(self, *marks: str) -> str:
        token = self._tokens[self._position]
        word = token.text.upper() if token.kind == "name" else token.text
        if token.kind in ("mark", "name") and word in marks:
            self._position += 1
            return word
        return ""

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise self._wrong(f"{mark!r} is missing")

    def whole(self) -> Any:
        value = self._expression()
        if self._tokens[self._position].kind != "end":
            raise self._wrong(f"unexpected {self._tokens[self._position].text!r}")
        return value

    def _expression(self) -> Any:
        value = self._both()
        while self._take("OR", "||"):
            other = self._both()
            value = each(lambda a, b: float(bool(a or b)), value, other)
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._take("AND", "&&"):
            other = self._compared()
            value = each(lambda a, b: float(bool(a and b)), value, other)
        return value

    def _compared(self) -> Any:
        value = self._sum()
        if mark := self._take(*_COMPARE):
            compare = _COMPARE[mark]
            value = each(lambda a, b: float(compare(a, b)), value, self._sum())
        return value

    def _sum(self) -> Any:
        value = self._product()
        while mark := self._take("+", "-"):
            value = each(operator.add if mark == "+" else operator.sub, value, self._product())
        return value

    def _product(self) -> Any:
        value = self._power()
        while mark := self._take("*", "/"):
            value = each(operator.mul if mark == "*" else _divided, value, self._power())
        return value

    def _power(self) -> Any:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._wrong("it is nested too deeply")
        if self._take("-"):
            value = each(operator.neg, self._power())
        else:
            value = self._one()
            if self._take("^"):
                value = each(_raised, value, self._power())
        self._depth -= 1
        return value

    def _one(self) -> Any:
        if self._take("("):
            value = self._expression()
            self._need(")")
            return value
        if self._take("["):
            return self._list(self._arguments("]"))
        token = self._tokens[self._position]
        self._position += 1
        if token.kind == "number":
            return float(token.text)
        if token.kind == "name":
            return self._call(token.text) if self._take("(") else self._named(token.text)
        raise self._wrong(f"unexpected {token.text!r}")

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
                raise self._wrong("a list has time series only")
        return found

    def _arguments(self, end: str) -> list[Any]:
        """Values; a text, or one of the words that FILL takes, stays a str."""
        found: list[Any] = []
        if self._take(end):
            return found
        while True:
            token = self._tokens[self._position]
            if token.kind == "text" or token.text in math_functions.WORDS:
                self._position += 1
                found.append(token.text.strip("\"'"))
            else:
                found.append(self._expression())
            if self._take(end):
                return found
            self._need(",")

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
            raise self._wrong(f"the function {name} is not supported")
        try:
            return function(*arguments)
        except (TypeError, AttributeError, ValueError, IndexError, statistics.StatisticsError):
            raise self._wrong(f"{name} does not take these arguments") from None


def _divided(a: float, b: float) -> float | None:
    return a / b if b else None


def _raised(a: float, b: float) -> float | None:
    try:
        power = a**b
    except (OverflowError, ZeroDivisionError):
        return None
    return power if isinstance(power, float) else None  # a complex one is none
