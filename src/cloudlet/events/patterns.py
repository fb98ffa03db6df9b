"""Event patterns: which events a rule, a pipe or an event source mapping wants.

`compile_pattern` checks a pattern and returns a predicate on event documents; a pattern that is
not one raises `InvalidPattern` with the reason. A pattern is a tree of fields: what it says of an
array of objects must be true of one and the same object. Each alternative of `$or` is, with all
beside it, a tree of its own. A predicate raises AwsError for a document that has too many values to
be tried.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

import ipaddress
import logging
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson

from cloudlet.errors import AwsError

_log = logging.getLogger(__name__)
Predicate = Callable[[Any], bool]
Test = Callable[[Any], bool]
Path = tuple[str, ...]
Fields = dict[Path, list[Test]]  # what is asked of each field, any of which will do
Leaves = list[tuple[Path, list[Test]]]  # the same
_MISSING: Any = object()
_DEPTH_MAX = 32
_COMBINATIONS_MAX = 1000  # of $or
_FIELDS_MAX = 100_000  # of all combinations
_TRIALS_MAX = 2_000_000  # values of an event, times what a pattern asks: seconds
_BEGINNINGS_MAX = 10
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
    known = _alternatives(pattern, (), [{}])
    trees = [_tree(sorted(fields.items(), key=itemgetter(0))) for fields in known]
    weight = sum(len(tests) for fields in known for tests in fields.values())

    def matches(event: Any) -> bool:
        if weight * _size(event) > _TRIALS_MAX:
            message = "The event has too many values for an event pattern that is as complex."
            raise AwsError("InvalidArgument", message)
        return any(tree(event) for tree in trees)

    return matches


def lenient(pattern: dict[str, Any]) -> Predicate:
    """The same for what nobody can be told of: rather too much passes than that it is lost."""
    matches = compile_pattern(pattern)

    def passes(event: Any) -> bool:
        try:
            return matches(event)
        except AwsError as error:
            _log.error("a filter lets a record pass: %s", error)
            return True

    return passes


def _size(event: Any) -> int:
    """How many values there are in it."""
    left: list[Any] = [[event]]
    size = 0
    while left:
        item = left.pop()
        values = item.values() if isinstance(item, dict) else item
        size += len(values)
        left += [each for each in values if isinstance(each, dict | list)]
    return size


@lru_cache(maxsize=512)
def matcher(pattern: str) -> Predicate:
    """The same, for patterns that are asked again and again."""
    return compile_pattern(pattern)


def _alternatives(
    pattern: dict[str, Any], path: Path, known: list[Fields], depth: int = 0
) -> list[Fields]:
    """All combinations of `$or`'s alternatives, each with all that must be true with it."""
    if max(depth, len(path)) > _DEPTH_MAX or any(key.count(".") > _DEPTH_MAX for key in pattern):
        raise InvalidPattern("Event pattern is nested too deeply")
    if not pattern:
        raise InvalidPattern("Empty objects are not allowed")
    for key, wanted in pattern.items():
        if key == "$or" and _is_choice(wanted):
            found: list[Fields] = []
            for each in wanted:
                copies = [dict(fields) for fields in known]
                found += _alternatives(each, path, copies, depth + 1)
                _check_size(found)
            known = found
        elif isinstance(wanted, dict):
            known = _alternatives(wanted, (*path, *key.split(".")), known, depth + 1)
        elif isinstance(wanted, list):
            if not wanted:
                raise InvalidPattern("Empty arrays are not allowed")
            tests = [_test(item) for item in wanted if isinstance(item, dict | list)]
            literals = [item for item in wanted if not isinstance(item, dict | list)]
            tests += [_among(literals)] if literals else []
            for fields in known:
                fields[(*path, *key.split("."))] = tests
            _check_size(known)
        else:
            raise InvalidPattern(f'"{key}" must be an object or an array')
    return known


def _check_size(known: list[Fields]) -> None:
    """While they are made: a short pattern can have more combinations than memory holds."""
    if len(known) > _COMBINATIONS_MAX or len(known) * len(known[0]) > _FIELDS_MAX:
        raise InvalidPattern(
            f"Rule is too complex: $or makes more than {_COMBINATIONS_MAX} combinations"
        )


def _is_choice(wanted: Any) -> bool:
    """`$or` is an operator where it has objects without operators; else it is a field's name."""
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        return False
    if len(wanted) < 2:
        raise InvalidPattern("There must have at least 2 Objects in $or relationship.")
    return not any(name in _OPERATORS for each in wanted for name in each)


def _tree(leaves: Leaves) -> Predicate:
    """Of leaves in order of their paths."""
    direct = [(path[0], tests) for path, tests in leaves if len(path) == 1]
    below: dict[str, Leaves] = {}
    for path, tests in leaves:
        if len(path) > 1:
            below.setdefault(path[0], []).append((path[1:], tests))
    inner = [(key, _tree(each)) for key, each in below.items()]

    def matches(event: Any) -> bool:
        if isinstance(event, list):
            return _one_of(leaves, matches, list(_flat(event)))
        fields = _undotted(event) if isinstance(event, dict) else {}
        return all(_any_of(tests, fields.get(key, _MISSING)) for key, tests in direct) and all(
            tree(fields.get(key)) for key, tree in inner
        )

    return matches


def _one_of(leaves: Leaves, matches: Predicate, objects: list[Any]) -> bool:
    """Of an array of objects one has to match. What is asked before a field chose the object is
    absent only if it is absent from all; afterwards it is from that one."""
    for number, (path, tests) in enumerate(leaves):
        if _absent not in tests:
            break
        if any(_has(each, path) for each in objects):
            there = [test for test in tests if test is not _absent]
            matches = _tree([(path, there), *leaves[number + 1 :]])
            break
    else:
        return True
    if number and _absent not in tests:
        matches = _tree(leaves[number:])
    return any(matches(each) for each in objects)


def _has(value: Any, path: Path) -> bool:
    """Whether there is a value at the path."""
    if isinstance(value, list):
        return any(_has(each, path) for each in _flat(value))
    if not path or not isinstance(value, dict):
        return not path and not isinstance(value, dict)
    fields = _undotted(value)
    return path[0] in fields and _has(fields[path[0]], path[1:])


def _undotted(fields: dict[str, Any]) -> dict[str, Any]:
    """A field `a.b` is field `b` of `a`."""
    dotted = [key for key in fields if "." in key]
    if not dotted:
        return fields
    found = {key: value for key, value in fields.items() if "." not in key}
    split: dict[str, Any] = {}
    for key in dotted:
        first, _, rest = key.partition(".")
        split.setdefault(first, {})[rest] = fields[key]
    for key, more in split.items():
        known = found.get(key, {})
        if isinstance(known, dict):
            both = {each: [known[each], more[each]] for each in known.keys() & more.keys()}
            found[key] = {**known, **more, **both}
        else:
            found[key] = [known, more]
    return found


def _any_of(tests: list[Test], value: Any) -> bool:
    if isinstance(value, list):
        values = [each for each in _flat(value) if not isinstance(each, dict)]
        return any(test(each) for each in values or [_MISSING] for test in tests)
    if isinstance(value, dict):
        value = _MISSING  # fields are leaves
    return any(test(value) for test in tests)


def _flat(items: list[Any]) -> Iterator[Any]:
    """Arrays in arrays are as one."""
    left = items[::-1]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += item[::-1]
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
    raise InvalidPattern("Match value must be String, number, true, false, or null")


def _among(literals: list[Any]) -> Test:
    """One of these; True is not 1."""
    known = frozenset((isinstance(each, bool), each) for each in literals)
    return lambda value: (isinstance(value, bool), value) in known


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
    parts, position = [""], 1  # AWS counts with the quote before it
    tokens = re.findall(r"\\.?|[^\\]", _text(argument, "wildcard"), re.DOTALL)
    for number, token in enumerate(tokens):
        if token == "*":
            if tokens[number + 1 : number + 2] == ["*"]:
                raise InvalidPattern(f"Consecutive wildcard characters at pos {position}")
            parts.append("")
        elif token[0] == "\\" and token not in ("\\*", "\\\\"):
            raise InvalidPattern(f"Invalid escape character at pos {position}")
        else:
            parts[-1] += token[-1]
        position += len(token.encode())
    if len(parts) > 1 and _is_complex(parts):
        raise InvalidPattern(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating"
            " character sequences after a wildcard character"
        )
    return lambda value: isinstance(value, str) and in_turn(value, parts)


def _is_complex(parts: list[str]) -> bool:
    """AWS's measure: how many beginnings of the pattern its own text matches at once, as "aa" does
    `*`, `*a`, `*a*`, `*a*a` and `*a*aa`."""
    tokens = [*[token for part in parts for token in (None, *part)][1:], ""]
    reached = {0}
    for char in "".join(parts):
        reached |= {at + 1 for at in reached if tokens[at] is None}
        reached = {at for at in reached if at and tokens[at - 1] is None} | {
            at + 1 for at in reached if tokens[at] == char
        }
        if len(reached | {at + 1 for at in reached if tokens[at] is None}) >= _BEGINNINGS_MAX:
            return True
    return False


def in_turn(text: str, parts: list[str]) -> bool:
    """Whether the text is these parts with anything between them."""
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
    if not argument:
        raise InvalidPattern("Invalid member in numeric match: ]")
    sign, bottom = argument[0], _limit(argument)
    tests = [(_COMPARISONS[sign], bottom)]
    above = argument[2:]
    if above:
        if sign[0] != ">":
            raise InvalidPattern("Too many elements in numeric expression")
        if not isinstance(above[0], str):
            raise InvalidPattern(f"Bad value in numeric range: {above[0]}")
        if above[0] not in ("<", "<="):
            raise InvalidPattern(f"Bad numeric range operator: {above[0]}")
        top = _limit(above)
        if len(above) > 2:
            raise InvalidPattern("Too many terms in numeric range expression")
        if bottom >= top:
            raise InvalidPattern("Bottom must be less than top")
        tests.append((_COMPARISONS[above[0]], top))
    return lambda value: (
        _is_number(value) and abs(value) <= _NUMBER_MAX and all(test(value, n) for test, n in tests)
    )


def _limit(terms: list[Any]) -> Any:
    """The number after a sign."""
    sign: Any = terms[0]
    number: Any = terms[1] if len(terms) > 1 else None
    if not isinstance(sign, str):
        raise InvalidPattern(f"Invalid member in numeric match: {sign}")
    if sign not in _COMPARISONS:
        raise InvalidPattern(f"Unrecognized numeric range operator: {sign}")
    if not _is_number(number):
        raise InvalidPattern(f"Value of {'equals' if sign == '=' else sign} must be numeric")
    if abs(number) > _NUMBER_MAX:
        raise InvalidPattern("Value must be between -5.0E9 and 5.0E9, inclusive")
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cidr(argument: Any) -> Test:
    address, slash, bits = _text(argument, "prefix").partition("/")  # AWS says prefix, too
    if not slash or "/" in bits:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    if not re.fullmatch(r"[+-]?\d+", bits, re.ASCII):
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InvalidPattern(f"Nonstandard IP address: {address}") from None
    try:
        network = ipaddress.ip_network(argument, strict=False)
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
        _check_kind(inner)
        texts = _listed(inner)
        if not all(isinstance(each, str) for each in texts):
            raise InvalidPattern(_NEGATABLE[name])
        if name in ("prefix", "suffix") and "" in texts:
            raise InvalidPattern("Null prefix/suffix not allowed")
        tests = [_OPERATORS[name](each) for each in texts]
    else:
        _check_kind(argument)
        values = _listed(argument)
        if not all(isinstance(each, str) or _is_number(each) for each in values):
            raise InvalidPattern("Inside anything but list, start|null|boolean is not supported.")
        if len({isinstance(each, str) for each in values}) != 1:
            raise InvalidPattern(
                "Inside anything but list, either all values are number or string, mixed type is"
                " not supported"
            )
        tests = [_among(values)]
    return lambda value: value is not _MISSING and not any(test(value) for test in tests)


def _check_kind(argument: Any) -> None:
    if not isinstance(argument, list | str) and not _is_number(argument):
        raise InvalidPattern(
            "Value of anything-but must be an array or single string/number value."
        )


def _listed(argument: Any) -> list[Any]:
    if argument == []:
        raise InvalidPattern("Empty arrays are not allowed")
    return argument if isinstance(argument, list) else [argument]


_NEGATABLE = {  # and what is said of what is no string
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean"
    " is not supported.",
    "wildcard": "wildcard match pattern must be a string",
}
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
