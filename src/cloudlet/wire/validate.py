"""What the model requires of parameters, in AWS's own sentences.

"1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must
not be null". Compiled once per shape. S3 words its own complaints and is not validated here.
"""

import re
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from cloudlet.errors import AwsError

Problems = list[str]
Check = Callable[[Any, str, Problems], None]
# SQS has an error of its own for names; EventBridge takes methods in any case
_OPAQUE = {"AttributeValue", "QueueAttributeName", "ConnectionOAuthHttpMethod"}
_PROBLEMS_MAX = 10
# DynamoDB's complaints have the values in an order of their own
_ORDERS = {
    frozenset(text.split(", ")): text
    for text in [
        "B, N, S",
        "OR, AND",
        "ALL, INCLUDE, KEYS_ONLY",
        "PROVISIONED, PAY_PER_REQUEST",
        "ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW",
        "SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES",
        "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS",
    ]
}
_MATCHED_CHARS_MAX = 10_000  # many patterns take time that grows with the text's square
# patterns that take Python ages over texts that just miss them, and what means the same
_QUICKER = {
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": (
        r"\t*[^\x00-\x1F:\x7F][^\x00-\x08\x0A-\x1F:\x7F]*"
    ),
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"\t*[\x20-\x7E][\t\x20-\x7E]*",
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
}


class Validator:
    def __init__(self) -> None:
        self._compiled: dict[str, Check | None] = {}

    def check(self, shape: Shape, params: dict[str, Any]) -> None:
        """Raises ValidationException with every complaint."""
        problems = self.problems(shape, params)
        if problems:
            count = len(problems)
            text = f"{count} validation error{'s' if count > 1 else ''} detected: "
            raise AwsError("ValidationException", text + "; ".join(problems[:_PROBLEMS_MAX]), 400)

    def problems(self, shape: Shape, params: dict[str, Any]) -> Problems:
        problems: Problems = []
        check = self.of(shape)
        if check is not None:
            check(params, "", problems)
        return problems

    def of(self, shape: Shape) -> Check | None:
        """None where the shape, at any depth, asks for nothing."""
        if shape.name not in self._compiled:
            self._compiled[shape.name] = lambda value, path, problems: (
                check(value, path, problems) if (check := self._compiled[shape.name]) else None
            )
            self._compiled[shape.name] = self._compile(shape)
        return self._compiled[shape.name]

    def _compile(self, shape: Shape) -> Check | None:
        if shape.name in _OPAQUE:
            return None
        own, below = _constraints(shape), self._below(shape)
        if own and below:
            first, second = own, below

            def both(value: Any, path: str, problems: Problems) -> None:
                first(value, path, problems)
                second(value, path, problems)

            return both
        return own or below

    def _below(self, shape: Shape) -> Check | None:
        """What is asked of the parts."""
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return _each_item(self.of(shape.member))
        if isinstance(shape, MapShape):
            is_opaque = shape.value.name in _OPAQUE
            return _each_entry(shape, None if is_opaque else self._below(shape.value))
        return None

    def _structure(self, shape: StructureShape) -> Check | None:
        required = list(shape.required_members)
        checks = {
            name: (below, _join("", name))
            for name, member in shape.members.items()
            if (below := self.of(member))
        }
        if not required and not checks:
            return None

        def check(value: Any, path: str, problems: Problems) -> None:
            for name in required:
                if value.get(name) is None:
                    problems.append(_sentence(None, _join(path, name), "Member must not be null"))
            for name, item in value.items():
                below = checks.get(name)
                if below:
                    below[0](item, f"{path}.{below[1]}" if path else below[1], problems)

        return check


def _each_item(check: Check | None) -> Check | None:
    if check is None:
        return None

    def items(value: Any, path: str, problems: Problems) -> None:
        for number, item in enumerate(value, 1):
            check(item, f"{path}.{number}.member", problems)

    return items


def _each_entry(shape: MapShape, below: Check | None) -> Check | None:
    """Keys and values are complained of as a whole, with all that is asked of them."""
    of_keys = _rules(shape.key)
    of_values = [] if shape.value.name in _OPAQUE else _rules(shape.value)
    if not of_keys and not of_values and below is None:
        return None

    def entries(value: Any, path: str, problems: Problems) -> None:
        for kind, rules, parts in (("keys", of_keys, value), ("value", of_values, value.values())):
            if not all(all(map(holds, parts)) for holds, _ in rules):
                asked = ", ".join(sentence for _, sentence in (*rules[-1:], *rules[:-1]))
                constraint = f"Map {kind} must satisfy constraint: [{asked}]"
                problems.append(_sentence(value, path, constraint))
        if below is not None:
            for key, item in value.items():
                below(item, f"{path}.{key}.member", problems)

    return entries


def _rules(shape: Shape) -> list[tuple[Callable[[Any], bool], str]]:
    metadata: dict[str, Any] = shape.metadata
    rules: list[tuple[Callable[[Any], bool], str]] = []
    sized = shape.type_name in ("string", "list", "map", "blob")
    if "min" in metadata:
        rules.append(_least(metadata["min"], sized))
    if "enum" in metadata:
        allowed = list(metadata["enum"])
        names = _ORDERS.get(frozenset(allowed), ", ".join(allowed))
        rules.append((allowed.__contains__, f"Member must satisfy enum value set: [{names}]"))
    if "pattern" in metadata and (pattern := _pattern(metadata["pattern"])):
        sentence = f"Member must satisfy regular expression pattern: {metadata['pattern']}"
        # what is somewhat too long gets both complaints, as AWS has them
        most = metadata.get("max", _MATCHED_CHARS_MAX)
        longest = max(most, min(2 * most, _MATCHED_CHARS_MAX))
        rules.append(
            (lambda value: len(value) > longest or bool(pattern.fullmatch(value)), sentence)
        )
    if "max" in metadata:
        rules.append(_most(metadata["max"], sized))
    return rules


def _constraints(shape: Shape) -> Check | None:
    rules = _rules(shape)
    if not rules:
        return None

    def check(value: Any, path: str, problems: Problems) -> None:
        for holds, sentence in rules:
            if not holds(value):
                problems.append(_sentence(value, path, sentence))

    return check


def _least(least: float, sized: bool) -> tuple[Callable[[Any], bool], str]:
    if sized:
        sentence = f"Member must have length greater than or equal to {least}"
        return lambda value: len(value) >= least, sentence
    return lambda value: value >= least, f"Member must have value greater than or equal to {least}"


def _most(most: float, sized: bool) -> tuple[Callable[[Any], bool], str]:
    if sized:
        sentence = f"Member must have length less than or equal to {most}"
        return lambda value: len(value) <= most, sentence
    return lambda value: value <= most, f"Member must have value less than or equal to {most}"


def _pattern(text: str) -> re.Pattern[str] | None:
    """The models' patterns are Java's; the few that Python can't read are left to the service."""
    try:
        return re.compile(_QUICKER.get(text, text))
    except re.error:
        return None


def _join(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _sentence(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{_java(value)}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def _java(value: Any) -> str:
    """As Java prints it, which is what AWS's messages show."""
    if isinstance(value, list):
        return "[" + ", ".join(_java(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)
