"""Event patterns: which events a rule, a pipe or an event source mapping wants.

`compile_pattern` checks a pattern and returns a predicate on event documents; a pattern that is
not one raises `InvalidPattern` with the reason. All operators of
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

Predicate = Callable[[Any], bool]
_MISSING: Any = object()
_DEPTH_MAX = 32
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class InvalidPattern(ValueError):
    """The pattern cannot be used; the message says why."""


def compile_pattern(pattern: str | bytes | dict[str, Any]) -> Predicate:
    if not isinstance(pattern, dict):
        try:
            pattern = orjson.loads(pattern)
        except orjson.JSONDecodeError as error:
            raise InvalidPattern(f"Event pattern is not valid JSON: {error}") from None
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern("Event pattern must be a non-empty JSON object")
    return _fields(pattern, 0)


def _fields(pattern: dict[str, Any], depth: int) -> Predicate:
    if depth > _DEPTH_MAX:
        raise InvalidPattern("Event pattern is nested too deeply")
    tests = [_field(key, wanted, depth) for key, wanted in pattern.items()]
    if not tests:
        raise InvalidPattern("Empty objects are not allowed")

    def matches(event: Any) -> bool:
        if isinstance(event, list):  # an array of objects: one of them has to match
            return any(matches(item) for item in event)
        return all(test(event) for test in tests)

    return matches


def _field(key: str, wanted: Any, depth: int) -> Predicate:
    if key == "$or" and isinstance(wanted, list) and all(isinstance(w, dict) for w in wanted):
        if len(wanted) < 2:
            raise InvalidPattern("$or needs at least two alternatives")
        alternatives = [_fields(alternative, depth + 1) for alternative in wanted]
        return lambda event: any(matches(event) for matches in alternatives)
    if isinstance(wanted, dict):
        inner = _fields(wanted, depth + 1)
        return lambda event: inner(event.get(key, {}) if isinstance(event, dict) else {})
    if not isinstance(wanted, list):
        raise InvalidPattern(f'"{key}" must be an object or an array')
    if not wanted:
        raise InvalidPattern("Empty arrays are not allowed")
    leaf = _any_of(wanted)
    return lambda event: leaf(event.get(key, _MISSING) if isinstance(event, dict) else _MISSING)


def _any_of(wanted: list[Any]) -> Predicate:
    tests = [_test(item) for item in wanted]

    def matches(value: Any) -> bool:
        if isinstance(value, list) and value:
            return any(test(item) for item in value for test in tests)
        if isinstance(value, dict | list):
            value = _MISSING  # `exists` is about leaves
        return any(test(value) for test in tests)

    return matches


def _test(wanted: Any) -> Predicate:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise InvalidPattern("Only one key allowed in match expression")
        name, argument = next(iter(wanted.items()))
        make = _OPERATORS.get(name)
        if make is None:
            raise InvalidPattern(f"Unrecognized match type {name}")
        return make(argument)
    if isinstance(wanted, list):
        raise InvalidPattern("Arrays in arrays are not allowed")
    return lambda value: _equal(value, wanted)


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value is not _MISSING and bool(value == wanted)


def _text(argument: Any, name: str) -> str:
    if not isinstance(argument, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return argument


def _ends(name: str, method: str) -> Callable[[Any], Predicate]:
    """ "prefix" and "suffix", which may ignore case."""

    def make(argument: Any) -> Predicate:
        if isinstance(argument, dict) and list(argument) == ["equals-ignore-case"]:
            folded = _text(argument["equals-ignore-case"], name).casefold()
            return lambda value: (
                isinstance(value, str) and bool(getattr(value.casefold(), method)(folded))
            )
        text = _text(argument, name)
        return lambda value: isinstance(value, str) and bool(getattr(value, method)(text))

    return make


def _ignore_case(argument: Any) -> Predicate:
    folded = _text(argument, "equals-ignore-case").casefold()
    return lambda value: isinstance(value, str) and value.casefold() == folded


def _wildcard(argument: Any) -> Predicate:
    """`*` is any run of characters; `\\*` and `\\\\` are themselves."""
    text = _text(argument, "wildcard")
    if "**" in text:
        raise InvalidPattern("Consecutive wildcard characters are not allowed")
    tokens = re.findall(r"\\[*\\]|.", text, re.DOTALL)
    parts = [".*" if t == "*" else re.escape(t[-1]) for t in tokens]
    expression = re.compile("".join(parts), re.DOTALL)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


def _exists(argument: Any) -> Predicate:
    if not isinstance(argument, bool):
        raise InvalidPattern("exists match pattern must be either true or false.")
    return lambda value: (value is not _MISSING) is argument


def _numeric(argument: Any) -> Predicate:
    if not isinstance(argument, list) or not argument or len(argument) % 2:
        raise InvalidPattern("Value of numeric must be an array of operators and numbers.")
    tests = []
    for sign, number in zip(argument[::2], argument[1::2], strict=True):
        if sign not in _COMPARISONS:
            raise InvalidPattern(f"Unrecognized numeric range operator: {sign}")
        if not _is_number(number):
            raise InvalidPattern(f"Value of {sign} must be numeric")
        tests.append((_COMPARISONS[sign], number))
    return lambda value: _is_number(value) and all(test(value, n) for test, n in tests)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cidr(argument: Any) -> Predicate:
    try:
        network = ipaddress.ip_network(_text(argument, "cidr"), strict=False)
    except ValueError as error:
        raise InvalidPattern(f"Malformed CIDR: {error}") from None

    def matches(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return matches


def _anything_but(argument: Any) -> Predicate:
    """Matches what is there and is none of these."""
    if isinstance(argument, dict):
        if len(argument) != 1 or next(iter(argument)) not in _NEGATABLE:
            raise InvalidPattern("Unsupported anything-but pattern")
        name, inner = next(iter(argument.items()))
        tests = [_OPERATORS[name](item) for item in _listed(inner)]
    else:
        tests = [_test(item) for item in _listed(argument)]
        if any(isinstance(item, dict) for item in _listed(argument)):
            raise InvalidPattern("Inside anything-but list, only strings and numbers are allowed")
    return lambda value: value is not _MISSING and not any(test(value) for test in tests)


def _listed(argument: Any) -> Iterable[Any]:
    if argument == []:
        raise InvalidPattern("Empty arrays are not allowed")
    return argument if isinstance(argument, list) else [argument]


_NEGATABLE = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_OPERATORS: dict[str, Callable[[Any], Predicate]] = {
    "prefix": _ends("prefix", "startswith"),
    "suffix": _ends("suffix", "endswith"),
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "exists": _exists,
    "numeric": _numeric,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
