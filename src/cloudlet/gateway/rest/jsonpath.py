"""JSONPath, as `$input.path` and parameter mappings use it. Sans-IO.

A path is definite as long as it has no wildcard, slice, union, filter or `..`: then it gives the
value or None; otherwise a list of what it finds. Compiled paths are kept.
https://goessner.net/articles/JsonPath/
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from cloudlet.policy import regexes

Select = Callable[[Any], Iterator[Any]]
_TOKEN = re.compile(
    r"\.\.(?P<deep>\*|[\w\-$@]+)|\.\.(?=\[)|\.(?P<function>length|size|min|max|sum|keys)\(\)"
    r"|\.(?P<name>\*|[\w\-$@:]+)|\[(?P<inner>(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    r"|[^\[\]'\"]|\[[^\[\]]*\])*)\]"
)
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d+))?")
_COMPARISON = re.compile(
    r"@(?P<path>(?:\.[\w-]+|\['[^']*'\]|\[\d+\])*)\s*(?:(?P<operator>==|!=|<=|>=|<|>|=~)\s*(?P<value>.+))?"
)
_FOUND_MAX = 1_000_000
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "length": len,
    "size": len,
    "min": min,
    "max": max,
    "sum": sum,
    "keys": list,
}


class PathError(ValueError):
    """Not a JSONPath that is understood."""


def find(document: Any, path: str) -> Any:
    """What the path leads to; raises PathError for a malformed one."""
    steps, is_definite, function = _compiled(path)
    found = [document]
    for step in steps:
        found = list(islice((item for value in found for item in step(value)), _FOUND_MAX + 1))
        if len(found) > _FOUND_MAX:
            raise PathError(f"{path} finds too much")
    result = (found[0] if found else None) if is_definite else found
    if function is None or result is None:
        return result
    try:
        return function(result)
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _compiled(path: str) -> tuple[tuple[Select, ...], bool, Callable[[Any], Any] | None]:
    path = path.strip()
    if path.startswith(("$", "@")):
        path = path[1:]
    elif path and not path.startswith(("[", ".")):
        path = f".{path}"
    steps: list[Select] = []
    is_definite, position, function = True, 0, None
    while position < len(path):
        found = _TOKEN.match(path, position)
        if found is None or function is not None:
            raise PathError(path)
        position = found.end()
        if found["function"]:
            function = _FUNCTIONS[found["function"]]
        elif found["inner"] is not None:
            step, definite = _bracket(found["inner"].strip())
            is_definite &= definite
            steps.append(step)
        elif found["name"]:
            is_definite &= found["name"] != "*"
            steps.append(_children if found["name"] == "*" else _member(found["name"]))
        else:
            is_definite = False
            steps.append(_descendants)
            if found["deep"]:
                steps.append(_children if found["deep"] == "*" else _member(found["deep"]))
    return tuple(steps), is_definite, function


def _bracket(inner: str) -> tuple[Select, bool]:
    if inner == "*":
        return _children, False
    if inner.startswith("?"):
        return _filter(inner[1:].strip().removeprefix("(").removesuffix(")")), False
    cut = _SLICE.fullmatch(inner)
    if cut:
        bounds = slice(*(int(part) if part else None for part in cut.groups()))
        return lambda value: iter(value[bounds] if isinstance(value, list) else ()), False
    keys = [_literal(part) for part in re.findall(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^,\s]+", inner)]
    if not keys:
        raise PathError(inner)
    selects = [_member(key) for key in keys]
    if len(selects) == 1:
        return selects[0], True
    return lambda value: (item for select in selects for item in select(value)), False


def _literal(text: str) -> Any:
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    words = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        raise PathError(text) from None


def _member(key: Any) -> Select:
    def select(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            if key in value:
                yield value[key]
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            yield value[key]

    return select


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descendants(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _descendants(item)
    elif isinstance(value, list):
        for item in value:
            yield from _descendants(item)


def _filter(text: str) -> Select:
    """`@.price < 10 && @.name == 'x' || @.flag`."""
    clauses = [[_condition(c) for c in part.split("&&")] for part in text.split("||")]

    def select(value: Any) -> Iterator[Any]:
        for item in _children(value):
            if any(all(condition(item) for condition in clause) for clause in clauses):
                yield item

    return select


def _condition(text: str) -> Callable[[Any], bool]:
    text = text.strip()
    is_negated = text.startswith("!")
    found = _COMPARISON.fullmatch(text.lstrip("! "))
    if found is None:
        raise PathError(text)
    steps = _compiled(f"${found['path']}")[0]
    operator = found["operator"]
    wanted = found["value"]
    if operator:
        wanted = _pattern(wanted.strip()) if operator == "=~" else _literal(wanted.strip())

    def condition(item: Any) -> bool:
        values = [item]
        for step in steps:
            values = [below for value in values for below in step(value)]
        holds = any(operator is None or _compare(operator, value, wanted) for value in values)
        return holds != is_negated

    return condition


def _pattern(text: str) -> re.Pattern[str]:
    flags = re.IGNORECASE if text.endswith("i") else 0
    try:
        return regexes.compiled(text.removeprefix("/").removesuffix("i").removesuffix("/"), flags)
    except re.error as error:
        raise PathError(f"{text}: {error}") from error


def _compare(operator: str, value: Any, wanted: Any) -> bool:
    if operator in ("==", "!="):
        return bool(value == wanted) == (operator == "==")
    if operator == "=~":
        return isinstance(value, str) and bool(wanted.fullmatch(value))
    try:
        orders = {"<": value < wanted, ">": value > wanted}
        orders |= {"<=": value <= wanted, ">=": value >= wanted}
        return bool(orders[operator])
    except TypeError:
        return False
