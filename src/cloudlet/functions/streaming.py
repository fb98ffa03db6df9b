"""Answers that functions send piece by piece, and InvokeWithResponseStream, which hands them on.

A worker's pieces pass through a `ResponseStream` with back-pressure: a slow reader slows the
function down, one that is gone doesn't stop it. A function that answers in one piece is told so.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.functions import invocations
from cloudlet.functions.worker_process import Answer

_PIECES_AHEAD = 16
_OCTETS = "application/octet-stream"


class ResponseStream:
    """`content_type` is the function's, known once `begun` is set."""

    def __init__(self) -> None:
        self.content_type = _OCTETS
        self.begun = asyncio.Event()
        self.is_abandoned = False
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_PIECES_AHEAD)

    def begin(self, content_type: str) -> None:
        self.content_type = content_type or _OCTETS
        self.begun.set()

    async def put(self, piece: bytes) -> None:
        if not self.is_abandoned:
            await self._pieces.put(piece)

    def abandon(self) -> None:
        """Nobody reads on: what still comes is dropped."""
        self.is_abandoned = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    async def pieces(self, end: "asyncio.Future[Answer]") -> AsyncIterator[bytes]:
        """All that is put before `end` is done."""
        while True:
            getting = asyncio.ensure_future(self._pieces.get())
            await asyncio.wait((getting, end), return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
                continue
            getting.cancel()
            while not self._pieces.empty():
                yield self._pieces.get_nowait()
            return


class Events:
    """The operation's event stream: `PayloadChunk`s, then `InvokeComplete`."""

    def __init__(
        self, stream: ResponseStream, running: "asyncio.Future[Answer]", has_tail: bool
    ) -> None:
        self.content_type = stream.content_type
        self._stream = stream
        self._running = running
        self._has_tail = has_tail

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        async for piece in self._stream.pieces(self._running):
            yield {"PayloadChunk": {"Payload": piece}}
        answer = await self._running
        complete: dict[str, Any] = {}
        if answer.is_error:
            details = answer.payload.decode(errors="replace")
            complete = {"ErrorCode": "Unhandled", "ErrorDetails": details}
        elif answer.payload:  # sent in one piece
            yield {"PayloadChunk": {"Payload": answer.payload}}
        if self._has_tail:
            complete["LogResult"] = base64.b64encode(answer.tail).decode()
        yield {"InvokeComplete": complete}

    async def aclose(self) -> None:
        self._stream.abandon()


async def invoke_with_response_stream(call: Call) -> Output:
    """Returns once the function has begun to answer; refusals come before that."""
    kind = call.params.get("InvocationType") or "RequestResponse"
    if kind == "Event":
        raise NotImplementedByCloudlet("InvokeWithResponseStream with InvocationType Event")
    found, invocation = await invocations.prepare(call, kind)
    if kind == "DryRun":
        return {"StatusCode": 204, "ExecutedVersion": found.version}
    stream = invocation.stream = ResponseStream()
    running = asyncio.ensure_future(call.state.run(found, invocation))
    begun = asyncio.ensure_future(stream.begun.wait())
    await asyncio.wait((running, begun), return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    if running.done():
        running.result()  # or its refusal
    if not stream.begun.is_set():
        stream.begin("application/json")
    return {
        "StatusCode": 200,
        "ExecutedVersion": found.version,
        "EventStream": Events(stream, running, call.params.get("LogType") == "Tail"),
    }
