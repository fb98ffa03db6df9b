"""Answers that are event streams: each event a binary message, as botocore's model describes it.

A message is its length, the length of its headers, a checksum of both, headers, payload and a
checksum of all. Which member of an output streams, and how an event's members travel, the model
says. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
"""

import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
from botocore.model import Shape, StructureShape

from cloudlet.errors import AwsError
from cloudlet.exchange import Streamed
from cloudlet.wire.json_codec import Formatter
from cloudlet.wire.models import serialization

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_TEXT = 7  # the type of a header's value
_KINDS = {"blob": "application/octet-stream", "string": "text/plain"}


class EventStream:
    """The body of an answer. `events` yields `{event's name: its members}`, or raises AwsError,
    which ends the stream as an exception of AWS's does. `first` is sent before them."""

    def __init__(self, shape: Shape, events: Streamed, first: bytes = b"") -> None:
        assert isinstance(shape, StructureShape)
        self._shape = shape
        self._events = events
        self._first = first
        self._formatter = Formatter()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        try:
            async for event in self._events:
                yield self._encoded(event)  # type: ignore[arg-type]
        except AwsError as error:
            headers = {":message-type": "exception", ":exception-type": error.code}
            headers[":content-type"] = "application/json"
            yield message(headers, orjson.dumps({"message": error.message}))

    async def aclose(self) -> None:
        await self._events.aclose()

    def _encoded(self, event: Mapping[str, Any]) -> bytes:
        ((name, members),) = event.items()
        shape = self._shape.members[name]
        assert isinstance(shape, StructureShape)
        headers = {":message-type": "event", ":event-type": name}
        for inner, child in shape.members.items():
            if serialization(child).get("eventpayload") and child.type_name in _KINDS:
                value = members.get(inner, b"")
                headers[":content-type"] = _KINDS[child.type_name]
                return message(headers, value.encode() if isinstance(value, str) else bytes(value))
        headers[":content-type"] = "application/json"
        return message(headers, orjson.dumps(self._formatter.of(shape)(members)))


def initial() -> bytes:
    """What opens a stream of the json protocol: the output's other members, of which none is."""
    headers = {":message-type": "event", ":event-type": "initial-response"}
    return message({**headers, ":content-type": "application/json"}, b"{}")


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return (
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT, len(text)) + text
    )


@lru_cache(maxsize=1024)
def member(shape: StructureShape | None) -> str:
    """The name of an output's member that streams; "" for none."""
    members = shape.members.items() if shape is not None else ()
    return next((name for name, child in members if serialization(child).get("eventstream")), "")
