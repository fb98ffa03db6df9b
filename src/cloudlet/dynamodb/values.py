"""Attribute values: checked, brought to one spelling, measured, ordered.

Values stay in wire JSON (`{"N": "1"}`). The canonical spelling (numbers without exponent, sets
sorted, clean base64) makes equality of values the equality of dicts.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cloudlet.dynamodb import numerics
from cloudlet.dynamodb.numerics import Malformed, invalid
from cloudlet.errors import AwsError

Value = dict[str, Any]
Item = dict[str, Value]
ITEM_MAX_BYTES = 400 * 1024
NESTING_MAX = 32
_SHORT = 16  # characters of a number that is likely to come again
TYPES = ("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL")
_WRONG = "One or more parameter values were invalid: "


def type_of(value: Value) -> str:
    return next(iter(value))


def text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def canonical_item(item: dict[str, Any]) -> tuple[Item, int]:
    """The item in canonical spelling, and its size in bytes as AWS counts."""
    if "" in item:
        raise empty_name()
    result: Item = {}
    total = 0
    for name, value in item.items():
        text = value.get("S") if type(value) is dict and len(value) == 1 else None
        if type(text) is str:  # most of what there is, at once
            result[name] = value
            size = len(text) if text.isascii() else len(text.encode())
        else:
            result[name], size = canonical(value)
        total += size + (len(name) if name.isascii() else len(name.encode()))
    return result, total


def empty_name() -> AwsError:
    return Malformed("Empty attribute name", f"{_WRONG}Empty attribute name")


def canonical(value: Any, depth: int = 1) -> tuple[Value, int]:
    """The value in canonical spelling, and its size; raises AwsError for a malformed one."""
    if not isinstance(value, dict) or not value:
        raise not_one("is empty")
    if len(value) > 1:
        raise not_one("has more than one datatypes set")
    ((kind, content),) = value.items()
    if kind == "S":
        if not isinstance(content, str):
            raise _mistyped("String")
        return value, text_size(content)
    check = _CANONICAL.get(kind)
    if check is None:
        raise not_one("is empty")
    spelled, size = check(content, depth)
    return {kind: spelled}, size


def not_one(what: str) -> AwsError:
    said = "must contain exactly one of the supported datatypes"
    return invalid(f"Supplied AttributeValue {what}, {said}")


def _mistyped(expected: str) -> Exception:
    error = invalid(f"Unexpected value type in payload: {expected} expected")
    error.code = "SerializationException"
    return error


def _number(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, str):
        raise _mistyped("String")
    if len(content) <= _SHORT:
        return _measured(content)
    number = numerics.canonical(content)
    return number, numerics.size_bytes(number)


@lru_cache(maxsize=4096)
def _measured(number: str) -> tuple[str, int]:
    spelled = numerics.canonical(number)
    return spelled, numerics.size_bytes(spelled)


def _binary(content: Any, depth: int) -> tuple[Any, int]:
    raw = binary(content)
    return b64encode(raw).decode(), len(raw)


def binary(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise _mistyped("Blob")
    try:
        return b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        refusal = invalid("Invalid base64 in a binary attribute value")
        refusal.code = "SerializationException"
        raise refusal from error


def _null(content: Any, depth: int) -> tuple[Any, int]:
    if content is not True:
        raise Malformed(_WRONG + "Null attribute value types must have the value of true")
    return True, 1


def _bool(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, bool):
        raise _mistyped("Boolean")
    return content, 1


def _list(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, list):
        raise _mistyped("List")
    _check_depth(content, depth)
    spelled = [canonical(element, depth + 1) for element in content]
    return [each for each, _ in spelled], 3 + sum(size + 1 for _, size in spelled)


def _map(content: Any, depth: int) -> tuple[Any, int]:
    if not isinstance(content, dict):
        raise _mistyped("Map")
    _check_depth(content, depth)
    result: Item = {}
    total = 3
    for name, element in content.items():
        result[name], size = canonical(element, depth + 1)
        total += size + 1 + text_size(name)
    return result, total


def _check_depth(content: Any, depth: int) -> None:
    """dynamodb-072: the levels count what is inside."""
    if depth >= NESTING_MAX and content:
        raise Malformed(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested"
            " levels beyond supported limit"
        )


def _string_set(content: Any, depth: int) -> tuple[Any, int]:
    members = _members(content, "An string set  may not be empty")
    if not all(isinstance(member, str) for member in members):
        raise _mistyped("String")
    if len(set(members)) != len(members):
        shown = ", ".join(members), ", ".join(f'"{member}"' for member in _as_found(members))
        raise Malformed(*(f"{_WRONG}Input collection [{x}] contains duplicates." for x in shown))
    return sorted(members), sum(map(text_size, members))


def _number_set(content: Any, depth: int) -> tuple[Any, int]:
    members = _members(content, "An number set  may not be empty")
    numbers = [_number(member, depth) for member in members]
    if len({number for number, _ in numbers}) != len(numbers):
        said = "Input collection contains duplicates"
        raise Malformed(said, f"{_WRONG}{said}.")
    ordered = sorted((number for number, _ in numbers), key=numerics.decimal)
    return ordered, sum(size for _, size in numbers)


def _binary_set(content: Any, depth: int) -> tuple[Any, int]:
    members = [binary(member) for member in _members(content, "Binary sets should not be empty")]
    if len(set(members)) != len(members):
        texts, found = ([b64encode(x).decode() for x in y] for y in (members, _as_found(members)))
        shown = ", ".join(texts), ",".join(f'"{text}"' for text in found)
        said = (f"{_WRONG}Input collection [{x}]of type BS contains duplicates." for x in shown)
        raise Malformed(*said)
    return [b64encode(each).decode() for each in sorted(members)], sum(map(len, members))


def _members(content: Any, if_empty: str) -> list[Any]:
    if not isinstance(content, list):
        raise _mistyped("List")
    if not content:
        raise Malformed(_WRONG + if_empty)
    return content


def _as_found(members: list[Any]) -> list[Any]:
    """In order up to the first that repeats one, and from there as they came."""
    seen: set[Any] = set()
    for member in members:
        if member in seen:
            break
        seen.add(member)
    return sorted(seen) + members[len(seen) :]


_CANONICAL: dict[str, Callable[[Any, int], tuple[Any, int]]] = {
    "N": _number,
    "B": _binary,
    "SS": _string_set,
    "NS": _number_set,
    "BS": _binary_set,
    "M": _map,
    "L": _list,
    "NULL": _null,
    "BOOL": _bool,
}


def key_bytes(value: Value) -> bytes:
    """Bytes in the order of the values; of a canonical S, N or B."""
    ((kind, content),) = value.items()
    if kind == "S":
        return str(content).encode()
    return numerics.encode(content) if kind == "N" else b64decode(content)


def is_less(left: Value, right: Value) -> bool:
    """Order of two canonical values of the same type S, N or B; False for any others."""
    kind = type_of(left)
    if kind != type_of(right) or kind not in ("S", "N", "B"):
        return False
    if kind == "N":
        return numerics.decimal(left[kind]) < numerics.decimal(right[kind])
    return key_bytes(left) < key_bytes(right)


def sorted_set(kind: str, members: set[str]) -> list[str]:
    """Set members in canonical order."""
    if kind == "NS":
        return sorted(members, key=numerics.decimal)
    return sorted(members, key=b64decode) if kind == "BS" else sorted(members)
