"""What a rule's target receives: the event, a part of it, a constant, or a filled template.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import re
from typing import Any

import orjson

_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']+)'\]")
_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
_MISSING = object()


def check(target: dict[str, Any]) -> None:
    """Raises ValueError."""
    if target.get("Input"):
        orjson.loads(target["Input"])
    if target.get("InputPath"):
        _steps(target["InputPath"])
    for path in ((target.get("InputTransformer") or {}).get("InputPathsMap") or {}).values():
        _steps(path)


def render(target: dict[str, Any], event: dict[str, Any], rule_arn: str) -> bytes:
    """The payload as JSON bytes (or text, where a template makes text)."""
    if target.get("Input"):
        return str(target["Input"]).encode()
    if target.get("InputPath"):
        found = _value(event, target["InputPath"])
        return orjson.dumps({} if found is _MISSING else found)
    if target.get("InputTransformer"):
        return _transformed(target["InputTransformer"], event, rule_arn)
    return orjson.dumps(event)


def _transformed(transformer: dict[str, Any], event: dict[str, Any], rule_arn: str) -> bytes:
    values = {
        name: _value(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()
    }
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rsplit("/", 1)[-1],
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {k: v for k, v in event.items() if k != "detail"},
        "aws.events.event.json": event,
    }
    template = transformer["InputTemplate"]
    quotes = _quoted_ranges(template)

    def fill(match: re.Match[str]) -> str:
        value = values.get(match.group(1), _MISSING)
        is_quoted = any(start < match.start() < end for start, end in quotes)
        if value is _MISSING or value is None:
            return "" if is_quoted else "null" if value is None else '""'
        text = orjson.dumps(value).decode()
        if not is_quoted:
            return text
        # inside quotes: a string without its own, anything else as escaped JSON
        return text[1:-1] if isinstance(value, str) else orjson.dumps(text).decode()[1:-1]

    return _VARIABLE.sub(fill, template).encode()


def _quoted_ranges(template: str) -> list[tuple[int, int]]:
    return [m.span() for m in re.finditer(r'"(?:[^"\\]|\\.)*"', template)]


def _value(event: Any, path: str) -> Any:
    value = event
    for step in _steps(path):
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else _MISSING
        else:
            value = value.get(step, _MISSING) if isinstance(value, dict) else _MISSING
    return value


def _steps(path: str) -> list[str | int]:
    """`$.detail.items[0]` → ["detail", "items", 0]; raises ValueError."""
    if not path.startswith("$"):
        raise ValueError(f"invalid JSONPath {path}")
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(f"invalid JSONPath {path}")
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name or quoted)
        position = match.end()
    return steps
