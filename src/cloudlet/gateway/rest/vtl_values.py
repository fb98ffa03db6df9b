"""What templates may do with values: Java's methods of strings, lists, maps and numbers.

Values are Python's: str, int, float, bool, None, list, dict. `$input` and `$util` are objects with
`methods`. What Java would throw, Velocity logs and answers null; so does this.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from cloudlet.policy import regexes

TEXT_MAX = 10 * 1024 * 1024
_NUMBERS_MAX = 100_000
_WEIGHT_MAX = 500_000  # things in a list, and in the lists in it
_BITS_MAX = 4096
_COMPARING = frozenset(
    ("contains", "containsAll", "containsValue", "equals", "indexOf", "remove", "compareTo")
)


class VtlError(ValueError):
    """The template is malformed, or goes over a limit."""


class JsonArray(list[Any]):
    """A list out of a JSON document: prints as JSON, unlike one made by a template."""


class Methods:
    """An object of API Gateway's own: methods, and properties."""

    methods: Mapping[str, Callable[..., Any]] = {}
    properties: Mapping[str, Any] = {}


def limited(text: str) -> str:
    if len(text) > TEXT_MAX:
        raise VtlError("a text is too long")
    return text


def weighed(value: Any, left: int = _WEIGHT_MAX) -> int:
    """Raises VtlError for what holds too much, the same things again and again perhaps."""
    for item in elements(value):
        left = weighed(item, left - 1)
    if left < 0:
        raise VtlError("a list is too large")
    return left


def text(value: Any) -> str:
    """Java's toString."""
    weighed(value)
    try:
        return limited(_text(value))
    except TypeError as error:
        raise VtlError("a list is nested too deep") from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, JsonArray):
        return orjson.dumps(value).decode()
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(k)}={_text(v)}' for k, v in value.items())}}}"
    return str(value)


def json_value(value: Any) -> Any:
    """A parsed JSON document as templates see it."""
    if isinstance(value, list):
        return JsonArray(map(json_value, value))
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    return value


def is_true(value: Any) -> bool:
    """gateway-052: empty strings and zeros are true, as in Velocity 1.7."""
    return value is not None and value is not False


def get(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        found = value.get(key)
        if found is None and key == "empty":
            return not value
        return found
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    if isinstance(value, Methods):
        return value.properties.get(key)
    return not value if key == "empty" and isinstance(value, str | list) else None


def put(target: Any, key: Any, value: Any) -> None:
    is_index = isinstance(target, list) and isinstance(key, int) and 0 <= key < len(target)
    if is_index or isinstance(target, dict):
        target[key] = value


def elements(value: Any) -> list[Any]:
    """What `#foreach` goes through."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def numbers(first: Any, last: Any) -> list[int] | None:
    if not (isinstance(first, int) and isinstance(last, int)):
        return None
    if abs(last - first) > _NUMBERS_MAX:
        raise VtlError("a range is too long")
    return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


def call(value: Any, name: str, arguments: list[Any]) -> Any:
    if isinstance(value, Methods):
        method = value.methods.get(name)
    else:
        method = next((m[name] for t, m in _METHODS if isinstance(value, t) and name in m), None)
        arguments = [value, *arguments]
    if method is None:
        return None
    if name in _COMPARING:
        weighed(arguments)
    try:
        result = method(*arguments)
        return limited(result) if isinstance(result, str) else result
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, re.error) as error:
        if isinstance(error, VtlError):
            raise
        return None


# Operators


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _add(left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        return _bounded(left + right)
    if left is None or right is None or not (isinstance(left, str) or isinstance(right, str)):
        return None
    return limited(text(left) + text(right))


def _arithmetic(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(left: Any, right: Any) -> Any:
        if not (_is_number(left) and _is_number(right)):
            return None
        try:
            return _bounded(operate(left, right))
        except (ArithmeticError, ValueError):
            return None

    return checked


def _bounded(number: Any) -> Any:
    if isinstance(number, int) and number.bit_length() > _BITS_MAX:
        raise VtlError("a number is too large")
    return number


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return int(abs(left) // abs(right)) * (1 if (left < 0) == (right < 0) else -1)
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    return left - right * _divide(left, right) if isinstance(left, int) else left % right


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:  # gateway-051: what is not there equals the empty string
        return all(side is None or side == "" for side in (left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if type(left) is not type(right) and not (_is_number(left) and _is_number(right)):
        return text(left) == text(right)  # of unlike types Velocity compares the texts
    weighed([left, right])
    return bool(left == right)


def _compared(operate: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def compare(left: Any, right: Any) -> bool:
        return _is_number(left) and _is_number(right) and operate(left, right)

    return compare


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "-": _arithmetic(lambda a, b: a - b),
    "*": _arithmetic(lambda a, b: a * b),
    "/": _arithmetic(_divide),
    "%": _arithmetic(_remainder),
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": _compared(lambda a, b: a < b),
    "<=": _compared(lambda a, b: a <= b),
    ">": _compared(lambda a, b: a > b),
    ">=": _compared(lambda a, b: a >= b),
}


# Methods


def _replacement(text: str) -> str:
    """Java's `$1` in replacements is Python's `\\g<1>`."""
    return re.sub(r"\$(\d)", r"\\g<\1>", text)


def _replaced(value: str, pattern: str, new: str, count: int = 0) -> str:
    replacement, size = _replacement(new), 0

    def expanded(found: re.Match[str]) -> str:
        nonlocal size
        size += len(new) + new.count("$") * len(value)
        if size > 2 * TEXT_MAX:
            raise VtlError("a text is too long")
        return found.expand(replacement)

    return regexes.compiled(pattern).sub(expanded, value, count)


def _replaced_text(value: str, old: str, new: str) -> str:
    if value.count(old) * len(new) > TEXT_MAX:
        raise VtlError("a text is too long")
    return value.replace(old, new)


def _split(value: str, pattern: str, limit: int = 0) -> list[str]:
    splits = min(limit, _NUMBERS_MAX) - 1 if limit > 0 else _NUMBERS_MAX
    parts = regexes.compiled(pattern).split(value, splits) if splits else [value]
    while limit == 0 and len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


def _put(value: dict[Any, Any], key: Any, item: Any) -> Any:
    before = value.get(key)
    value[key] = item
    return before


def _added(value: list[Any], *arguments: Any) -> bool | None:
    if len(arguments) == 2:
        value.insert(arguments[0], arguments[1])
        return None
    value.append(arguments[0])
    return True


def _all_added(value: list[Any], more: list[Any]) -> bool:
    if len(value) + len(more) > _WEIGHT_MAX:
        raise VtlError("a list is too large")
    value.extend(more)
    return True


def _removed(value: list[Any], item: Any) -> Any:
    if isinstance(item, int) and not isinstance(item, bool):
        return value.pop(item)
    found = item in value
    if found:
        value.remove(item)
    return found


def _set_item(value: list[Any], index: int, item: Any) -> Any:
    before, value[index] = value[index], item
    return before


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _at(value: str, index: int) -> str:
    if index < 0:
        raise IndexError(index)
    return value[index]


def _part(value: str, start: int, end: int | None = None) -> str:
    if not 0 <= start <= (len(value) if end is None else end) <= len(value):
        raise IndexError(start)
    return value[start:end]


_STRING: Mapping[str, Callable[..., Any]] = {
    "length": len,
    "isEmpty": lambda s: not s,
    "trim": str.strip,
    "toLowerCase": str.lower,
    "toUpperCase": str.upper,
    "charAt": _at,
    "substring": _part,
    "concat": lambda s, other: s + other,
    "contains": lambda s, part: text(part) in s,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "indexOf": lambda s, part, start=0: s.find(part, start),
    "lastIndexOf": lambda s, part: s.rfind(part),
    "equalsIgnoreCase": lambda s, other: s.lower() == other.lower(),
    "compareTo": _order,
    "replace": _replaced_text,
    "replaceAll": _replaced,
    "replaceFirst": lambda s, old, new: _replaced(s, old, new, 1),
    "matches": lambda s, pattern: regexes.compiled(pattern).fullmatch(s) is not None,
    "split": _split,
    "valueOf": lambda s, value: text(value),
    "isBlank": lambda s: not s.strip(),
}
_LIST: Mapping[str, Callable[..., Any]] = {
    "size": len,
    "isEmpty": lambda items: not items,
    "get": lambda items, index: items[index] if index >= 0 else None,
    "set": _set_item,
    "add": _added,
    "addAll": _all_added,
    "contains": lambda items, item: item in items,
    "containsAll": lambda items, more: all(item in items for item in more),
    "indexOf": lambda items, item: items.index(item) if item in items else -1,
    "remove": _removed,
    "clear": lambda items: items.clear(),
    "subList": lambda items, start, end: items[start:end],
}
_MAP: Mapping[str, Callable[..., Any]] = {
    "size": len,
    "isEmpty": lambda items: not items,
    "get": lambda items, key: items.get(key),
    "getOrDefault": lambda items, key, default: items.get(key, default),
    "put": _put,
    "putAll": lambda items, more: items.update(more),
    "putIfAbsent": lambda items, key, value: items.setdefault(key, value),
    "containsKey": lambda items, key: key in items,
    "containsValue": lambda items, value: value in items.values(),
    "remove": lambda items, key: items.pop(key, None),
    "clear": lambda items: items.clear(),
    "keySet": lambda items: list(items),
    "values": lambda items: list(items.values()),
    "entrySet": lambda items: [{"key": k, "value": v} for k, v in items.items()],
    "getKey": lambda items: items["key"],
    "getValue": lambda items: items["value"],
}
_NUMBER: Mapping[str, Callable[..., Any]] = {
    "intValue": int,
    "longValue": int,
    "doubleValue": float,
    "floatValue": float,
    "parseInt": lambda n, digits: int(digits),
    "parseLong": lambda n, digits: int(digits),
    "parseDouble": lambda n, digits: float(digits),
    "parseFloat": lambda n, digits: float(digits),
    "valueOf": lambda n, digits: type(n)(digits),
    "compareTo": _order,
}
_ANY: Mapping[str, Callable[..., Any]] = {
    "toString": text,
    "equals": lambda value, other: type(value) is type(other) and value == other,
}
_METHODS: tuple[tuple[Any, Mapping[str, Callable[..., Any]]], ...] = (
    (str, _STRING),
    (list, _LIST),
    (dict, _MAP),
    ((int, float), _NUMBER),
    (object, _ANY),
)
