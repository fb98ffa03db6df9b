"""What a rule's target receives: the event, a part of it, a constant, or a filled template.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.errors import AwsError

_STEP = re.compile(r"\.([A-Za-z0-9_/-]+)|\[(\d+)\]|\['([^']+)'\]|(\.\*|\[\*\])")
_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*+("?)')
_RESERVED = {
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
}
_CHARS_MAX = 1 << 20  # of all that fills a template: no target takes more
_MISSING: Any = object()
_EVERY = object()
Document = dict[str, Any]


def check(target: Document) -> None:
    """Raises ValueError."""
    if target.get("Input"):
        try:
            orjson.loads(target["Input"])
        except ValueError:
            raise ValueError(f"JSON text in Input for target {target['Id']} is invalid.") from None
    if target.get("InputPath"):
        _steps(target["InputPath"])
    transformer = target.get("InputTransformer") or {}
    paths = transformer.get("InputPathsMap") or {}
    for name, path in paths.items():
        if name.lower().startswith("aws"):
            raise ValueError(f"InputPathsMap key {name} is reserved: no key may start with AWS.")
        _steps(path)
    if transformer:
        _check_template(target["Id"], transformer["InputTemplate"], {*paths, *_RESERVED})


def _check_template(target_id: str, template: str, known: set[str]) -> None:
    """Values of JSON, one after the other: a template may be several lines of text."""
    for name in _VARIABLE.findall(template):
        if name not in known:
            raise ValueError(
                f"InputTemplate for target {target_id} contains invalid placeholder {name}."
            )
    quotes = _quoted_ranges(template)
    text = _VARIABLE.sub(lambda m: m.group() if _is_within(m, quotes) else "null", template)
    decoder, position = json.JSONDecoder(strict=False), 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        try:
            _, position = decoder.raw_decode(text, position)
        except ValueError:
            raise ValueError(
                f'Invalid InputTemplate for target {target_id} : [Source: (String)"{text}"; line:'
                f" 1, column: {position + 1}]."
            ) from None


def render(target: Document, event: Document, rule_arn: str, received_ms: int) -> bytes:
    """The payload as JSON bytes (or text, where a template makes text)."""
    if target.get("Input"):
        return str(target["Input"]).encode()
    if target.get("InputPath"):
        found = value(event, target["InputPath"], _MISSING)
        return orjson.dumps({} if found is _MISSING else found)
    if target.get("InputTransformer"):
        moment = datetime.fromtimestamp(received_ms / 1000, UTC)
        reserved = {
            "aws.events.rule-arn": rule_arn,
            "aws.events.rule-name": rule_arn.rsplit("/", 1)[-1],
            "aws.events.event.ingestion-time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "aws.events.event": _without_detail(event),
            "aws.events.event.json": event,
        }
        return _transformed(target["InputTransformer"], event, reserved)
    return orjson.dumps(event)


def _without_detail(event: Document) -> Document:
    renamed = {"detailType" if k == "detail-type" else k: v for k, v in event.items()}
    return {k: v for k, v in renamed.items() if k != "detail"}


def _transformed(transformer: Document, event: Document, reserved: Document) -> bytes:
    paths = transformer.get("InputPathsMap") or {}
    values = {name: value(event, path, _MISSING) for name, path in paths.items()} | reserved
    template = transformer["InputTemplate"]
    quotes, left = _quoted_ranges(template), _CHARS_MAX
    is_object = template.lstrip().startswith("{")

    def fill(match: re.Match[str]) -> str:
        nonlocal left
        text = filled(match)
        left -= len(text)
        if left < 0:  # a template can name a big value a thousand times
            raise AwsError("INVALID_PARAMETER", "The transformed input is too large.")
        return text

    def filled(match: re.Match[str]) -> str:
        found = values.get(match.group(1), _MISSING)
        if not _is_within(match, quotes):
            return '""' if found is _MISSING else orjson.dumps(found).decode()
        if found is _MISSING or found is None:
            return ""
        if is_object and isinstance(found, dict | list):
            message = f"<{match.group(1)}> is no text: it must not be in quotes."
            raise AwsError("INVALID_JSON", message)
        # messaging-002: text goes into quotes as it is, anything else without its own quotes
        return found if isinstance(found, str) else orjson.dumps(found).decode().replace('"', "")

    return _VARIABLE.sub(fill, template).encode()


def _quoted_ranges(template: str) -> list[tuple[int, int]]:
    return [m.span() for m in _QUOTED.finditer(template) if m[1]]


def _is_within(match: re.Match[str], quotes: list[tuple[int, int]]) -> bool:
    return any(start < match.start() < end for start, end in quotes)


def value(event: Any, path: str, default: Any = None) -> Any:
    """What a path leads to; with a wildcard, a list of all that it leads to."""
    steps = _steps(path)
    found = [event]
    for step in steps:
        found = [each for item in found for each in _children(item, step)]
    if _EVERY in steps:
        return found
    return found[0] if found else default


def text(event: Document, path: str) -> str:
    """What a path leads to, as text; what is no path is itself."""
    found = value(event, path) if path.startswith("$") else path
    return found if isinstance(found, str) else orjson.dumps(found).decode()


def _children(item: Any, step: Any) -> list[Any]:
    if step is _EVERY:
        return list(item.values()) if isinstance(item, dict) else item if _is_list(item) else []
    if isinstance(step, int):
        return [item[step]] if _is_list(item) and step < len(item) else []
    return [item[step]] if isinstance(item, dict) and step in item else []


def _is_list(item: Any) -> bool:
    return isinstance(item, list)


def _steps(path: str) -> list[Any]:
    """`$.detail.items[0]` → ["detail", "items", 0]; raises ValueError."""
    invalid = ValueError(f"Invalid JSONPath {path}.")
    if not path.startswith("$"):
        raise invalid
    steps: list[Any] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise invalid
        name, index, quoted, every = match.groups()
        steps.append(_EVERY if every else int(index) if index is not None else name or quoted)
        position = match.end()
    return steps
