"""Expressions of Logs Insights: fields, numbers, text, comparisons, functions.

Compiled to functions on a record. Values of logs are text or numbers; two are compared as numbers
where both can be read as such. What is missing is None, and so is what cannot be computed.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-operations-functions.html
"""

import math
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.monitoring.scanner import Scanner
from cloudlet.policy import regexes

Record = dict[str, Any]
Expression = Callable[[Record], Any]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|`(?P<quoted>[^`]+)`"
    r"|(?P<span>\d+(?:ms|s|m|h|d|w)\b)|(?P<number>\d+\.?\d*|\.\d+)"
    r"|(?P<name>[@A-Za-z_][\w@]*(?:\.[\w@]+)*)|(?P<mark>!=|<=|>=|=~|[-+*/%^=<>(),|\[\]]))"
)
_REGEX = re.compile(r"\s*/((?:[^/\\]|\\.)+)/")
_COMPARE = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
            ">": operator.gt, ">=": operator.ge}  # fmt: skip
_SPANS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_TEXT_MAX = 1 << 20
_SEARCHED_MAX = 10_000  # letters of a value that a regular expression sees
_SEARCHED_SLOWLY_MAX = 1_000  # of one with two repetitions that overlap


class Moment(float):
    """Milliseconds since 1970, to be shown as a date."""


def malformed(message: str) -> AwsError:
    return AwsError("MalformedQueryException", message)


def number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4f}"
    return "" if value is None else str(value)


def field(name: str) -> Expression:
    return lambda record: record.get(name)


class QueryScanner(Scanner):
    """Regular expressions are told by where they stand."""

    token = _TOKEN
    ignores_case = True
    depth_max = 40

    def wrong(self, why: str = "") -> AwsError:
        rest = self.source[self.position :].strip()[:40]
        why = why or (f"unexpected symbol found {rest!r}" if rest else "the query ends too soon")
        return malformed(why)

    def name(self) -> str:
        kind, word = self.next()
        if kind not in ("name", "quoted"):
            raise self.wrong()
        return word

    def is_regex_next(self) -> bool:
        return _REGEX.match(self.source, self.position) is not None

    def regex(self) -> re.Pattern[str] | None:
        match = _REGEX.match(self.source, self.position)
        if match is None:
            return None
        self.position = match.end()
        body = re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", match[1].replace("\\/", "/"))
        try:
            return regexes.compiled(body, 0, 2)
        except re.error as error:
            raise malformed(f"Invalid regular expression: {error}") from error

    def expression(self) -> Expression:
        choices = self.series(self._all, "or")
        return choices[0] if len(choices) == 1 else lambda of: any(each(of) for each in choices)

    def _all(self) -> Expression:
        needed = self.series(lambda: self.deeper(self._not), "and")
        return needed[0] if len(needed) == 1 else lambda of: all(each(of) for each in needed)

    def _not(self) -> Expression:
        if not self.take("not"):
            return self._compared()
        inner = self.deeper(self._not)
        return lambda record: not inner(record)

    def _compared(self) -> Expression:
        left = self._sum()
        if mark := self.take(*_COMPARE):
            return _comparison(mark, left, self._sum())
        if self.take("=~"):
            return self._like(left)
        is_negated = bool(self.take("not"))
        if self.take("like"):
            found = self._like(left)
        elif self.take("in"):
            found = self._among(left)
        elif is_negated:
            raise self.wrong()
        else:
            return left
        return (lambda record: not found(record)) if is_negated else found

    def _like(self, left: Expression) -> Expression:
        pattern = self.regex()
        if pattern is None:
            kind, word = self.next()
            if kind != "text":
                raise self.wrong()
            part = _unquoted(word)
            return lambda record: part in text(left(record))
        return lambda record: searched(pattern, left(record)) is not None

    def _among(self, left: Expression) -> Expression:
        self.need("[")
        items = self.series(self._sum, ",")
        self.need("]")
        tests = [_comparison("=", left, item) for item in items]
        return lambda record: any(test(record) for test in tests)

    def _sum(self) -> Expression:
        value = self._product()
        while mark := self.take("+", "-"):
            value = _arithmetic(mark, value, self._product())
        return value

    def _product(self) -> Expression:
        value = self._one()
        while mark := self.take("*", "/", "%", "^"):
            value = _arithmetic(mark, value, self._one())
        return value

    def _one(self) -> Expression:
        if self.take("("):
            inner = self.expression()
            self.need(")")
            return inner
        if self.take("-"):
            operand = self._one()
            return _arithmetic("-", lambda record: 0.0, operand)
        kind, word = self.next()
        if kind == "text":
            return _constant(_unquoted(word))
        if kind == "number":
            return _constant(float(word))
        if kind == "span":
            return _constant(span_ms(word))
        if kind == "name" and self.take("("):
            return self._call(word.lower())
        if kind in ("name", "quoted"):
            return field(word)
        raise self.wrong()

    def _call(self, name: str) -> Expression:
        arguments: list[Expression] = []
        if not self.take(")"):
            arguments = self.series(self.expression, ",")
            self.need(")")
        function = _FUNCTIONS.get(name)
        if name == "bin" and len(arguments) == 1:
            arguments, function = [field("@timestamp"), *arguments], _FUNCTIONS["datefloor"]
        if function is None:
            raise malformed(f"unknown function {name}")
        return _applied(function, arguments)


def searched(pattern: re.Pattern[str], value: Any) -> re.Match[str] | None:
    return pattern.search(text(value)[: _letters(pattern.pattern)])


@lru_cache(maxsize=256)
def _letters(pattern: str) -> int:
    """How many of a value it sees: the time may grow with their cube."""
    try:
        regexes.compiled(pattern, 0, 1)
    except re.error:
        return _SEARCHED_SLOWLY_MAX
    return _SEARCHED_MAX


def span_ms(word: str) -> float:
    match = re.fullmatch(r"(\d+)([a-z]+)", word)
    assert match is not None
    return float(match[1]) * _SPANS_MS[match[2]]


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1])


def _constant(value: Any) -> Expression:
    return lambda record: value


def _comparison(mark: str, left: Expression, right: Expression) -> Expression:
    compare = _COMPARE[mark]

    def test(record: Record) -> bool:
        a, b = left(record), right(record)
        if a is None or b is None:
            return mark == "!=" and a is not b
        x, y = number(a), number(b)
        return bool(compare(text(a), text(b)) if x is None or y is None else compare(x, y))

    return test


def _arithmetic(mark: str, left: Expression, right: Expression) -> Expression:
    functions: dict[str, Callable[[float, float], Any]] = {
        "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
        "%": math.fmod, "^": math.pow,
    }  # fmt: skip
    function = functions[mark]

    def compute(record: Record) -> float | None:
        a, b = number(left(record)), number(right(record))
        if a is None or b is None:
            return None
        try:
            return number(function(a, b))
        except (ArithmeticError, ValueError):
            return None

    return compute


def _applied(function: Callable[..., Any], arguments: list[Expression]) -> Expression:
    def apply(record: Record) -> Any:
        try:
            return function(*(argument(record) for argument in arguments))
        except (TypeError, ValueError, ArithmeticError, AttributeError):
            return None

    return apply


def _joined(parts: list[str], between: str = "") -> str:
    """No longer than an event's message can be."""
    if sum(map(len, parts)) + len(between) * (len(parts) - 1) > _TEXT_MAX:
        raise ValueError("the text is too long")
    return between.join(parts)


def _floor(value: Any, span: float) -> Moment:
    return Moment(float(value) - float(value) % span)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda value: abs(float(value)),
    "ceil": lambda value: float(math.ceil(float(value))),
    "floor": lambda value: float(math.floor(float(value))),
    "log": lambda value: math.log(float(value)),
    "sqrt": lambda value: math.sqrt(float(value)),
    "greatest": lambda *values: max(map(float, values)),
    "least": lambda *values: min(map(float, values)),
    "datefloor": _floor,
    "dateceil": lambda value, span: _floor(float(value) + span - 1, span),
    "tomillis": float,
    "frommillis": Moment,
    "strlen": lambda value: float(len(text(value))),
    "concat": lambda *values: _joined([text(value) for value in values]),
    "trim": lambda value: text(value).strip(),
    "ltrim": lambda value: text(value).lstrip(),
    "rtrim": lambda value: text(value).rstrip(),
    "toupper": lambda value: text(value).upper(),
    "tolower": lambda value: text(value).lower(),
    "strcontains": lambda value, part: float(text(part) in text(value)),
    "replace": lambda value, old, new: _joined(text(value).split(text(old)), text(new)),
    "substr": lambda value, start, *length: text(value)[int(start) :][
        : int(length[0]) if length else None
    ],
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "ispresent": lambda value: value is not None,
    "isempty": lambda value: value is None or text(value) == "",
    "isblank": lambda value: not text(value).strip(),
}
