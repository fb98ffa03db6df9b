"""Expressions and references of Velocity templates: a reader that stands somewhere in a source.

Each method reads what its name says and moves on; an expression becomes a closure over the
variables. `vtl_values` knows what values can do.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from cloudlet.gateway.rest import vtl_values
from cloudlet.gateway.rest.vtl_values import VtlError

Variables = dict[str, Any]
Expression = Callable[[Variables], Any]
Step = tuple[str, Any, list[Expression]]  # (property|method|index, name or index, arguments)
_PATIENCE_S = 5  # for a template
_UNITS_MAX = 300_000
_UNIT = 256  # letters or elements
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LINE_END = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
_BLANK = re.compile(r"\s*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_OPERATORS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\|\||or\b", {"or": "||"}),
        (r"&&|and\b", {"and": "&&"}),
        (r"==|!=|eq\b|ne\b", {"eq": "==", "ne": "!="}),
        (r"<=|>=|<|>|l[te]\b|g[te]\b", {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}),
        (r"[+-]", {}),
        (r"[*/%]", {}),
    )
)
_WORDS = {"true": True, "false": False, "null": None}


class Reader:
    """`at` is where it stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def template(self, source: str) -> Expression:
        """What a string in double quotes holds, rendered when it is looked at."""
        raise NotImplementedError

    # References

    def reference(self) -> tuple[str, list[Step]]:
        """Variable and steps; raises VtlError where there is none."""
        if not self.source.startswith("$", self.at):
            raise VtlError("a reference begins with $")
        self.at += 1
        self.at += self.source.startswith("!", self.at)
        is_formal = self.source.startswith("{", self.at)
        self.at += is_formal
        name = self.name()
        steps = list(self._steps())
        if is_formal:
            if not self.source.startswith("}", self.at):
                raise VtlError("} is missing")
            self.at += 1
        return name, steps

    def _steps(self) -> Iterator[Step]:
        while True:
            found = (
                _NAME.match(self.source, self.at + 1)
                if self.source.startswith(".", self.at)
                else None
            )
            if found:
                self.at = found.end()
                if self.source.startswith("(", self.at):
                    self.at += 1
                    yield "method", found.group(), self.items(")")
                else:
                    yield "property", found.group(), []
            elif self.source.startswith("[", self.at):
                before = self.at
                try:
                    self.at += 1
                    index = self.expression()
                    self.expect("]")
                except VtlError:  # text in brackets behind a reference
                    self.at = before
                    return
                yield "index", index, []
            else:
                return

    # Expressions

    def expression(self, level: int = 0) -> Expression:
        if level == len(_OPERATORS):
            return self._unary()
        left = self.expression(level + 1)
        pattern, words = _OPERATORS[level]
        while True:
            self.skip()
            found = pattern.match(self.source, self.at)
            if found is None:
                return left
            self.at = found.end()
            operator = words.get(found.group(), found.group())
            left = _binary(operator, left, self.expression(level + 1))

    def _unary(self) -> Expression:
        self.skip()
        negation = re.compile(r"!|not\b").match(self.source, self.at)
        if negation:
            self.at = negation.end()
            negated = self._unary()
            return lambda variables: not vtl_values.is_true(negated(variables))
        return self._primary()

    def _primary(self) -> Expression:
        character = self.source[self.at : self.at + 1]
        if character == "$":
            name, steps = self.reference()
            return lambda variables: walk(variables.get(name), steps, variables)
        number = _NUMBER.match(self.source, self.at)
        if number:
            self.at = number.end()
            return _constant(_number(number.group()))
        self.at += 1
        if character == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if character in ("'", '"') and character:
            return self._string(character)
        if character == "[":
            return self._array()
        if character == "{":
            return self._map()
        self.at -= 1
        name = self.name()
        if name not in _WORDS:
            raise VtlError(f"{name!r} is no value")
        return _constant(_WORDS[name])

    def _string(self, quote: str) -> Expression:
        end = self.source.find(quote, self.at)
        text = ""
        while end >= 0 and self.source.startswith(quote, end + 1):  # a doubled quote is one
            text += self.source[self.at : end + 1]
            self.at = end + 2
            end = self.source.find(quote, self.at)
        if end < 0:
            raise VtlError("a string has no end")
        text += self.source[self.at : end]
        self.at = end + 1
        if quote == "'" or not set(text) & set("$#\\"):
            return _constant(text)
        return self.template(text)

    def _array(self) -> Expression:
        self.skip()
        before = self.at
        first = self.expression() if not self.source.startswith("]", self.at) else None
        self.skip()
        if first is not None and self.source.startswith("..", self.at):
            self.at += 2
            last = self.expression()
            self.expect("]")
            start = first
            return lambda v: spent(v, vtl_values.numbers(start(v), last(v)))
        self.at = before
        items = self.items("]")
        return lambda variables: [item(variables) for item in items]

    def _map(self) -> Expression:
        pairs: list[tuple[Expression, Expression]] = []
        self.skip()
        while not self.source.startswith("}", self.at):
            key = self.expression()
            self.expect(":")
            pairs.append((key, self.expression()))
            self.skip_comma()
        self.at += 1
        return lambda variables: {key(variables): value(variables) for key, value in pairs}

    def items(self, end: str) -> list[Expression]:
        items = []
        self.skip()
        while not self.source.startswith(end, self.at):
            items.append(self.expression())
            self.skip_comma()
        self.at += 1
        return items

    # Characters

    def skip(self) -> None:
        found = _BLANK.match(self.source, self.at)
        assert found is not None
        self.at = found.end()

    def skip_comma(self) -> None:
        self.skip()
        if self.source.startswith(",", self.at):
            self.at += 1
            self.skip()
        elif self.source[self.at : self.at + 1] not in (")", "]", "}"):
            raise VtlError(f"a comma is missing before {self.source[self.at : self.at + 20]!r}")

    def expect(self, text: str) -> None:
        self.skip()
        if not self.source.startswith(text, self.at):
            raise VtlError(f"{text!r} expected before {self.source[self.at : self.at + 20]!r}")
        self.at += len(text)

    def swallow_line_end(self) -> None:
        found = _LINE_END.match(self.source, self.at)
        if found:
            self.at = found.end()

    def close(self) -> None:
        self.expect(")")
        self.swallow_line_end()

    def name(self) -> str:
        found = _NAME.match(self.source, self.at)
        if found is None:
            raise VtlError(f"a name expected before {self.source[self.at : self.at + 20]!r}")
        self.at = found.end()
        return found.group()


def spent(variables: Variables, value: Any = None) -> Any:
    """The value, once its size is counted, as rounds of loops and calls of macros are: a template
    holds up everybody else."""
    size = len(value) if isinstance(value, str | list | dict) else 0
    units, until_s = variables.get("") or (0, time.monotonic() + _PATIENCE_S)
    variables[""] = units + 1 + size // _UNIT, until_s
    if units > _UNITS_MAX or time.monotonic() > until_s:
        raise VtlError("the template takes too long")
    return value


def walk(value: Any, steps: list[Step], variables: Variables) -> Any:
    for kind, name, arguments in steps:
        if value is None:
            return None
        if kind == "method":
            values = [spent(variables, argument(variables)) for argument in arguments]
            value = spent(variables, vtl_values.call(spent(variables, value), name, values))
        else:
            value = vtl_values.get(value, name if kind == "property" else name(variables))
    return value


def _binary(operator: str, left: Expression, right: Expression) -> Expression:
    if operator == "||":
        return lambda v: vtl_values.is_true(left(v)) or vtl_values.is_true(right(v))
    if operator == "&&":
        return lambda v: vtl_values.is_true(left(v)) and vtl_values.is_true(right(v))
    operate = vtl_values.OPERATORS[operator]
    return lambda v: spent(v, operate(left(v), right(v)))


def _constant(value: Any) -> Expression:
    return lambda variables: value


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
