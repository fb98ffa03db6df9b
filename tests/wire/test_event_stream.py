"""Event streams as botocore reads them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from cloudlet.errors import AwsError
from cloudlet.wire import event_stream, models

SHAPE = models.load("lambda").operation("InvokeWithResponseStream").output_shape


class Events:
    def __init__(self, *events: dict[str, Any], error: AwsError | None = None) -> None:
        self.events = events
        self.error = error
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self.events:
            yield event
        if self.error:
            raise self.error

    async def aclose(self) -> None:
        self.is_closed = True


def read(events: Events, first: bytes = b"") -> list[tuple[dict[str, Any], bytes]]:
    assert SHAPE is not None
    shape = SHAPE.members[event_stream.member(SHAPE)]
    buffer = EventStreamBuffer()

    async def run() -> None:
        stream = event_stream.EventStream(shape, events, first)
        async for data in stream:
            buffer.add_data(data)
        await stream.aclose()

    asyncio.run(run())
    assert events.is_closed
    return [(message.headers, message.payload) for message in buffer]


@given(st.lists(st.binary(max_size=3000), max_size=5), st.text(max_size=200))
def test_what_is_sent_is_read(pieces: list[bytes], details: str) -> None:
    chunks = [{"PayloadChunk": {"Payload": piece}} for piece in pieces]
    *sent, last = read(Events(*chunks, {"InvokeComplete": {"ErrorDetails": details}}))
    assert [payload for _, payload in sent] == pieces
    assert all(headers[":event-type"] == "PayloadChunk" for headers, _ in sent)
    assert last[0][":event-type"] == "InvokeComplete"
    assert last[0][":content-type"] == "application/json"


def test_an_error_in_mid_stream_is_an_exception() -> None:
    events = Events({"PayloadChunk": {"Payload": b"x"}}, error=AwsError("ServiceException", "no"))
    opening, _, (headers, payload) = read(events, event_stream.initial())
    assert opening[0][":event-type"] == "initial-response"
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ServiceException" and payload == b'{"message":"no"}'
