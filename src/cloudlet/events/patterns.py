"""Event patterns: which events a rule, a pipe or an event source mapping wants.

`compile_pattern` checks a pattern and returns a predicate on event documents; a pattern that is
not one raises `InvalidPattern` with the reason. A pattern is a tree of fields: what it says of an
array of objects must be true of one and the same object. Each alternative of `$or` is, with all
beside it, a tree of its own.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

Predicate = Callable[[Any], bool]
Test = Callable[[Any], bool]
Path = tuple[str, ...]
Fields = dict[Path, list[Test]]  # what is asked of each field, any of which will do
_MISSING: Any = object()
_DEPTH_MAX = 32
_COMBINATIONS_MAX = 1000  # of $or
_NUMBER_MAX = 5_000_000_000
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
    if not isinstance(pattern, dict):
        raise InvalidPattern("Filter is not an object")
    trees = [_tree(fields) for fields in _alternatives(pattern, (), [{}])]
    if len(trees) == 1:
        return trees[0]
    return lambda event: any(tree(event) for tree in trees)


@lru_cache(maxsize=512)
def matcher(pattern: str) -> Predicate:
    """The same, for patterns that are asked again and again."""
    return compile_pattern(pattern)


def _alternatives(pattern: dict[str, Any], path: Path, known: list[Fields]) -> list[Fields]:
    """All combinations of `$or`'s alternatives, each with all that must be true with it."""
    if len(path) > _DEPTH_MAX:
        raise InvalidPattern("Event pattern is nested too deeply")
    if not pattern:
        raise InvalidPattern("Empty objects are not allowed")
    for key, wanted in pattern.items():
        if key == "$or" and _is_choice(wanted):
            known = [fields for each in wanted for fields in _alternatives(each, path, known)]
            if len(known) > _COMBINATIONS_MAX:
                raise InvalidPattern(
                    f"Rule is too complex: $or makes more than {_COMBINATIONS_MAX} combinations"
                )
        elif isinstance(wanted, dict):
            known = _alternatives(wanted, (*path, key), known)
        elif isinstance(wanted, list):
            if not wanted:
                raise InvalidPattern("Empty arrays are not allowed")
            tests = [_test(item) for item in wanted]
            known = [{**fields, (*path, key): tests} for fields in known]
        else:
            raise InvalidPattern(f'"{key}" must be an object or an array')
    return known


def _is_choice(wanted: Any) -> bool:
    """`$or` is an operator where it has objects without operators; else it is a field's name."""
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        return False
    if len(wanted) < 2:
        raise InvalidPattern("There must have at least 2 Objects in $or relationship.")
    return not any(name in _OPERATORS for each in wanted for name in each)


def _tree(fields: Fields) -> Predicate:
    below: dict[str, Fields] = {}
    leaves: list[tuple[str, list[Test]]] = []
    for path, tests in fields.items():
        if len(path) == 1:
            leaves.append((path[0], tests))
        else:
            below.setdefault(path[0], {})[path[1:]] = tests
    inner = [(key, _tree(each)) for key, each in below.items()]
    # with nothing that chooses one of several objects, what is absent is absent from all
    is_absent = not inner and all(tests == [_absent] for _, tests in leaves)

    def matches(event: Any) -> bool:
        if isinstance(event, list):  # of an array of objects one has to match
            objects = list(_flat(event)) or [None]
            return (all if is_absent else any)(matches(item) for item in objects)
        fields = event if isinstance(event, dict) else {}
        return all(_any_of(tests, fields.get(key, _MISSING)) for key, tests in leaves) and all(
            tree(fields.get(key)) for key, tree in inner
        )

    return matches


def _any_of(tests: list[Test], value: Any) -> bool:
    if isinstance(value, list):
        values = [each for each in _flat(value) if not isinstance(each, dict)]
        return any(test(each) for each in values or [_MISSING] for test in tests)
    if isinstance(value, dict):
        value = _MISSING  # fields are leaves
    return any(test(value) for test in tests)


def _flat(items: list[Any]) -> Iterator[Any]:
    """Arrays in arrays are as one."""
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _test(wanted: Any) -> Test:
    if isinstance(wanted, dict):
        if not wanted:
            raise InvalidPattern("Match expression name not found")
        name, argument = next(iter(wanted.items()))
        make = _OPERATORS.get(name)
        if make is None:
            raise InvalidPattern(f"Unrecognized match type {name}")
        if len(wanted) != 1:
            raise InvalidPattern("Only one key allowed in match expression")
        return make(argument)
    if isinstance(wanted, list):
        raise InvalidPattern("Match value must be String, number, true, false, or null")
    return lambda value: _equal(value, wanted)


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value is not _MISSING and bool(value == wanted)


def _text(argument: Any, name: str) -> str:
    if not isinstance(argument, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return argument


def _ends(name: str, method: str) -> Callable[[Any], Test]:
    """ "prefix" and "suffix", which may ignore case."""

    def make(argument: Any) -> Test:
        if isinstance(argument, dict) and list(argument) == ["equals-ignore-case"]:
            folded = _text(argument["equals-ignore-case"], name).casefold()
            return lambda value: (
                isinstance(value, str) and bool(getattr(value.casefold(), method)(folded))
            )
        text = _text(argument, name)
        return lambda value: isinstance(value, str) and bool(getattr(value, method)(text))

    return make


def _ignore_case(argument: Any) -> Test:
    folded = _text(argument, "equals-ignore-case").casefold()
    return lambda value: isinstance(value, str) and value.casefold() == folded


def _wildcard(argument: Any) -> Test:
    """`*` is any run of characters; `\\*` and `\\\\` are themselves. What is between wildcards is
    looked for from left to right, so that no pattern takes long, however many it has."""
    parts = [""]
    tokens = re.findall(r"\\.?|[^\\]", _text(argument, "wildcard"), re.DOTALL)
    for number, token in enumerate(tokens):
        if token == "*":
            if number and tokens[number - 1] == "*":
                raise InvalidPattern(f"Consecutive wildcard characters at pos {number - 1}")
            parts.append("")
        elif token[0] == "\\" and token not in ("\\*", "\\\\"):
            raise InvalidPattern(f"Invalid escape character at pos {number}")
        else:
            parts[-1] += token[-1]
    return lambda value: isinstance(value, str) and _in_turn(value, parts)


def _in_turn(text: str, parts: list[str]) -> bool:
    first, *middle = parts
    if not middle:
        return text == first
    last, position = middle.pop(), len(first)
    if not text.startswith(first):
        return False
    for part in middle:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(text) - len(last) >= position and text.endswith(last)


def _present(value: Any) -> bool:
    return value is not _MISSING


def _absent(value: Any) -> bool:
    return value is _MISSING


def _exists(argument: Any) -> Test:
    if not isinstance(argument, bool):
        raise InvalidPattern("exists match pattern must be either true or false.")
    return _present if argument else _absent


def _numeric(argument: Any) -> Test:
    """One comparison, or a range: its bottom, then its top."""
    if not isinstance(argument, list):
        raise InvalidPattern("Value of numeric must be an array.")
    signs, numbers = argument[::2], argument[1::2]
    for sign, number in zip(signs, [*numbers, None], strict=False):
        if not isinstance(sign, str):
            raise InvalidPattern(f"Invalid member in numeric match: {sign}")
        if sign not in _COMPARISONS:
            raise InvalidPattern(f"Unrecognized numeric range operator: {sign}")
        if not _is_number(number):
            name = "equals" if sign == "=" else sign
            raise InvalidPattern(f"Value of {name} must be numeric")
        if abs(number) > _NUMBER_MAX:
            raise InvalidPattern("Value must be between -5.0E9 and 5.0E9, inclusive")
    if not signs:
        raise InvalidPattern("Invalid member in numeric match: ]")
    if len(signs) > 1:
        if len(signs) > 2 or signs[0][0] != ">":
            raise InvalidPattern("Too many elements in numeric expression")
        if signs[1][0] != "<":
            raise InvalidPattern(f"Bad numeric range operator: {signs[1]}")
        if numbers[0] >= numbers[1]:
            raise InvalidPattern("Bottom must be less than top")
    tests = [(_COMPARISONS[sign], n) for sign, n in zip(signs, numbers, strict=True)]
    return lambda value: (
        _is_number(value) and abs(value) <= _NUMBER_MAX and all(test(value, n) for test, n in tests)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cidr(argument: Any) -> Test:
    text = _text(argument, "cidr")
    if text.count("/") != 1:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidPattern(f"Malformed CIDR: {error}") from None

    def matches(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return matches


def _anything_but(argument: Any) -> Test:
    """Matches what is there and is none of these."""
    if isinstance(argument, dict):
        name, inner = next(iter(argument.items()), ("", None))
        if name not in _NEGATABLE:
            raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
        if len(argument) != 1:
            raise InvalidPattern("Only one key allowed in match expression")
        texts = [_text(each, name) for each in _listed(inner)]
        if name in ("prefix", "suffix") and "" in texts:
            raise InvalidPattern("Null prefix/suffix not allowed")
        tests = [_OPERATORS[name](each) for each in texts]
    else:
        values = _listed(argument)
        if not all(isinstance(each, str) or _is_number(each) for each in values):
            raise InvalidPattern("Inside anything but list, start|null|boolean is not supported.")
        if len({isinstance(each, str) for each in values}) != 1:
            raise InvalidPattern(
                "Inside anything but list, either all values are number or string, mixed type is"
                " not supported"
            )
        tests = [_test(each) for each in values]
    return lambda value: value is not _MISSING and not any(test(value) for test in tests)


def _listed(argument: Any) -> list[Any]:
    if argument == []:
        raise InvalidPattern("Empty arrays are not allowed")
    return argument if isinstance(argument, list) else [argument]


_NEGATABLE = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_OPERATORS: dict[str, Callable[[Any], Test]] = {
    "prefix": _ends("prefix", "startswith"),
    "suffix": _ends("suffix", "endswith"),
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "exists": _exists,
    "numeric": _numeric,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
