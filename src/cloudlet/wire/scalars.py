"""Scalars ↔ text: timestamps, numbers, booleans, blobs, in the formats the models name."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Any

from botocore.model import Shape

from cloudlet.errors import AwsError

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


def bad_value(text: object, kind: str) -> AwsError:
    return AwsError("SerializationException", f"{text!r} can not be converted to {kind}", 400)


def parse_timestamp(value: Any) -> datetime:
    """Epoch seconds, ISO 8601 or an HTTP date → aware datetime."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        text = str(value)
        if text[:1].isalpha():
            moment = parsedate_to_datetime(text)
        elif "-" in text[1:]:
            moment = datetime.fromisoformat(text)
        else:
            return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError, TypeError) as error:
        raise bad_value(value, "a timestamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_timestamp(value: Any, style: str) -> Any:
    """Text in the style ("iso8601", "rfc822"), or the number for "unixTimestamp".

    Text passes as it is: stores keep what they list often in its final form.
    """
    if isinstance(value, str):
        return value
    if style == "unixTimestamp":
        return value.timestamp() if isinstance(value, datetime) else value
    if style == "rfc822":
        return _http_date(int(value.timestamp() if isinstance(value, datetime) else value))
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    )


@lru_cache(maxsize=1024)  # what is read again and again was changed at the same times
def _http_date(epoch_s: int) -> str:
    return formatdate(epoch_s, usegmt=True)


def parse_blob(text: Any) -> bytes:
    if isinstance(text, bytes):  # CBOR has them as they are
        return text
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise bad_value(text, "Base64") from error


def format_blob(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def parse_boolean(text: str) -> bool:
    if text in ("true", "True", "TRUE", "1"):
        return True
    if text in ("false", "False", "FALSE", "0", ""):
        return False
    raise bad_value(text, "Boolean")


def _parse_number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError as error:
            raise bad_value(text, kind.__name__) from error
        if kind is int and not LONG_MIN <= value <= LONG_MAX:
            raise bad_value(text, "Long")
        return value

    return parse


def text_parser(shape: Shape) -> Callable[[str], Any]:
    """For values in headers, queries, paths, forms and XML elements."""
    kind = shape.type_name
    if kind in ("integer", "long"):
        return _parse_number(int)
    if kind in ("float", "double"):
        return _parse_number(float)
    parsers = {"boolean": parse_boolean, "timestamp": parse_timestamp, "blob": parse_blob}
    return parsers.get(kind, str)


def text_formatter(shape: Shape, timestamp_style: str) -> Callable[[Any], str]:
    kind = shape.type_name
    if kind == "timestamp":
        style = shape.serialization.get("timestampFormat", timestamp_style)
        return lambda value: str(format_timestamp(value, style))
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    return format_blob if kind == "blob" else str
