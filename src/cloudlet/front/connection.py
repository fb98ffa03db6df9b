"""One HTTP/1.1 connection: uvicorn's parsing, pipelining, keep-alive and upgrades, and our own
exchange of a request and a response on it.

An `Exchange` stands in for uvicorn's ASGI cycle: it makes a `Request` as soon as the head is there,
hands on the body with back-pressure, and writes an answer of bytes at once, head and body together.
ASGI's messages cost about as much as the rest of a small request; WebSockets still use them.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, Protocol, cast

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Interrupted, Request, Response, Streamed
from cloudlet.front import heads
from cloudlet.front.light import REQUEST_BYTES_MAX
from cloudlet.store.holding import is_crowded, slow_down
from cloudlet.store.integrity import Damaged

_log = logging.getLogger(__name__)
_WAITING_BYTES_MAX = 512 << 10  # of a body that nobody has read yet
_SETTLED_HERE = frozenset(("Connection", "Content-Length", "Transfer-Encoding"))
_HEAD_BYTES_MAX = 512 << 10  # that come in without a head's or a body's getting on
_PIPELINED_MAX = 1000
_REFUSAL_S = 5.0  # for a request that is told that there are too many
_ALONE = 16  # requests of a connection in a row

Answer = Callable[[Request], Awaitable[Response]]


class Elsewhere(Exception):
    """Raised by an answer: another process has to give it."""


class Steward(Protocol):
    """Decides which process serves a connection."""

    def takes(self, connection: "Connection", data: bytes) -> bool:
        """Whether what was received is its own affair: nobody else shall look at it."""
        ...

    def answered(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None:
        """It is closed, or another process's."""
        ...

    def passes_on(self, connection: "Connection") -> None:
        """The request under way cannot be answered here, and nothing of an answer went."""
        ...


class ClientGone(AwsError):
    """The peer closed the connection before its request was whole: nothing may be kept."""

    def __init__(self) -> None:
        message = (
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        )
        super().__init__("IncompleteBody", message, 400)


class Connection(HttpToolsProtocol):
    latest: ClassVar["Connection | None"] = None  # that asked something

    def __init__(self, answer: Answer, steward: Steward | None = None, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._answer = answer
        self.steward = steward
        self.care: Any = None  # what the steward notes of it
        self.early = b""  # received while the connection was another process's
        self.is_over = False  # the number that can be served
        self._is_between = True  # requests: nothing of the next one is there
        self._held_bytes = 0
        self.in_a_row = 0  # requests

    @property
    def is_idle(self) -> bool:
        return self._is_between and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        if self.steward is None or not self.steward.takes(self, data):
            self.parse(data)

    def parse(self, data: bytes) -> None:
        """The parser holds heads, trailers and what is said of chunks until they are whole."""
        self._held_bytes += len(data)
        super().data_received(data)
        is_flood = self._held_bytes > _HEAD_BYTES_MAX or len(self.pipeline) > _PIPELINED_MAX
        if is_flood and self.transport.get_protocol() is self:
            self.transport.abort()

    def detach(self) -> int:
        """A descriptor of the connection, which ends here only."""
        descriptor = os.dup(self.transport.get_extra_info("socket").fileno())
        self.transport.close()
        return descriptor

    def pass_on(self) -> None:
        assert self.steward is not None
        self.steward.passes_on(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if is_crowded(transport.get_extra_info("socket").fileno(), 2):
            self.is_over = True
            self.loop.call_later(_REFUSAL_S, transport.close)
        early, self.early = self.early, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        Connection.latest = None
        if self.steward is not None:
            self.steward.lost(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.steward is not None:
            self.steward.answered(self)

    def _should_upgrade(self) -> bool:
        return not self.is_over and super()._should_upgrade()

    def on_message_begin(self) -> None:
        self._is_between = False
        self.url = b""
        self.sent: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.sent.append((name, value))

    def on_headers_complete(self) -> None:
        self._held_bytes = 0
        method = self.parser.get_method().decode("ascii")
        if self.parser.should_upgrade():
            self.headers = [(name.lower(), value) for name, value in self.sent]
            if self._should_upgrade():
                asked: Any = {"method": method, "headers": self.sent}
                self.scope = asked
                return
        self.in_a_row = self.in_a_row + 1 if Connection.latest is self else 0
        Connection.latest = self
        before = self.cycle
        exchange = self.cycle = Exchange(self, method, self._answer)
        if before is None or before.response_complete:
            self._start_asgi_task(exchange, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def on_body(self, body: bytes) -> None:
        self._held_bytes = 0
        exchange = self.cycle
        if not isinstance(exchange, Exchange) or exchange.response_complete:
            return
        exchange.feed(body)
        if exchange.waiting_bytes > _WAITING_BYTES_MAX:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._held_bytes = 0
        self._is_between = True
        exchange = self.cycle
        if isinstance(exchange, Exchange):
            exchange.end(self.sent)

    def send_400_response(self, msg: str) -> None:
        """What follows a whole request is no other one: that one still has its answer. So has one
        whose head alone is refused."""
        exchange = self.cycle
        if (
            isinstance(exchange, Exchange)
            and exchange.is_settled
            and not exchange.response_complete
        ):
            exchange.keep_alive = False
            self.flow.pause_reading()
            return
        super().send_400_response(msg)

    def target(self) -> tuple[str, str]:
        """Raw path and query of the request, as received."""
        url = self.url
        if not url.startswith(b"/") or b"#" in url:  # an absolute address, or a fragment
            parsed = httptools.parse_url(url)
            return (parsed.path or b"/").decode("ascii"), (parsed.query or b"").decode("latin-1")
        path, _, query = url.partition(b"?")
        return path.decode("ascii"), query.decode("latin-1")


class Exchange(RequestResponseCycle):
    """One request and its response. uvicorn sees the attributes that it knows of its own cycle."""

    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    waiting_bytes = 0
    _refused: AwsError | None = None  # without asking anybody

    def __init__(self, connection: Connection, method: str, answer: Answer) -> None:
        parser = connection.parser
        self.transport = connection.transport
        self.flow = connection.flow
        self.on_response = connection.on_response_complete
        self.is_http10 = parser.get_http_version() == "1.0"
        self.keep_alive = not self.is_http10 and parser.should_keep_alive()
        self.message_event = asyncio.Event()
        self._head_count = len(connection.sent)
        self._chunks: deque[bytes] = deque()
        self._answer = answer
        self._pass_on = connection.pass_on
        self._date = connection.server_state.default_headers
        self._request = self._read_head(connection, method)

    def _read_head(self, connection: Connection, method: str) -> Request:
        try:
            headers = heads.read(connection.sent)
        except AwsError as error:
            headers, self._refused = {}, error
        if connection.is_over:
            self._refused = slow_down()
        self.waiting_for_100_continue = headers.get("expect", "").lower() == "100-continue"
        announced = headers.get("content-length")
        length = int(announced) if announced else None
        if announced is None and "transfer-encoding" not in headers:
            length = 0
        path, query = connection.target()
        client, port = connection.client or ("", 0)
        body = Body(self._next, length)
        scheme = connection.scheme or "http"
        request = Request(method, path, query, headers, body, client, scheme)
        request.sent, request.client_port = connection.sent, port
        request.is_alone = connection.in_a_row > _ALONE and 0 < (length or 0) <= REQUEST_BYTES_MAX
        return request

    @property
    def is_settled(self) -> bool:
        """Whatever comes now changes nothing about the answer."""
        return self._refused is not None or not self.more_body

    # The request's body

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self.waiting_bytes += len(data)
        self.message_event.set()

    def end(self, headers: list[tuple[bytes, bytes]]) -> None:
        """All of the body is there, and the trailers after the headers."""
        if len(headers) > self._head_count:
            with suppress(AwsError):  # too large: as if there were none
                self._request.body.trailers.update(heads.read(headers[self._head_count :]))
        self.more_body = False
        self.message_event.set()

    async def _next(self) -> bytes:
        """`exchange.Receive`."""
        while not self._chunks:
            if self.disconnected:
                raise ClientGone
            if not self.more_body:
                return b""
            self._continue()
            self.flow.resume_reading()
            self.message_event.clear()
            await self.message_event.wait()
        chunk = self._chunks.popleft()
        self.waiting_bytes -= len(chunk)
        return chunk

    def _continue(self) -> None:
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.waiting_for_100_continue = False

    # The response

    async def run_asgi(self, app: object) -> None:
        """uvicorn calls it by this name; there is no ASGI in it."""
        try:
            if self._refused is not None:
                await self._send(_refusal(self._refused))
            else:
                await self._send(await self._answer(self._request))
        except Elsewhere:
            self._pass_on()
        except (
            ClientGone,
            Interrupted,
            Damaged,
        ):  # too late for an error: nobody takes it for whole
            self.transport.close()
        except Exception:
            _log.exception("%s %s failed", self._request.method, self._request.raw_path)
            if self.response_started:
                self.transport.close()
            else:
                await self._send(_refusal(AwsError("InternalError", "Internal Server Error", 500)))
        except BaseException:  # cancelled: the server stops
            self.transport.close()
            raise
        finally:
            self.on_response = self._pass_on = _nothing  # breaks reference cycles

    async def _send(self, response: Response) -> None:
        # s3-003: who asks to continue is told so even before an empty body. A final answer alone
        # would leave botocore, which keeps the connection, unable to read the next one.
        if self._request.body.length == 0:
            self._continue()
        if self.more_body or self._chunks:  # nobody read it: what follows is no request
            self.keep_alive = False
        if self.flow.write_paused:
            await self.flow.drain()
        body = response.body
        if isinstance(body, bytes):
            self._send_whole(response, body)
            return
        try:
            await self._stream(response, body)
        finally:
            await body.aclose()

    def _send_whole(self, response: Response, body: bytes) -> None:
        head, announced = self._head(response)
        if response.status in (204, 304):
            body = b""
        elif announced is None:
            head += b"Content-Length: %d\r\n" % len(body)
        elif announced != len(body) and self._request.method != "HEAD":
            raise ValueError("The response is not as long as it says.")
        self.response_started = True
        if not self.disconnected:
            self.transport.write(head + b"\r\n" + (b"" if self._is_bare(response) else body))
        self._complete()

    async def _stream(self, response: Response, body: Streamed) -> None:
        head, left = self._head(response)
        is_chunked = left is None and not self.is_http10
        if is_chunked:
            head += b"Transfer-Encoding: chunked\r\n"
        self.response_started = True
        if self.disconnected:
            return
        self.transport.write(head + b"\r\n")
        if not self._is_bare(response):
            async for chunk in body:
                if self.disconnected:
                    return
                if left is not None:
                    left -= len(chunk)
                if is_chunked and chunk:
                    self.transport.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n"))
                else:
                    self.transport.write(chunk)
                if self.flow.write_paused:  # a slow reader holds one chunk
                    await self.flow.drain()
            if left:
                raise ValueError("The response is not as long as it says.")
            if is_chunked:
                self.transport.write(b"0\r\n\r\n")
        self._complete()

    def _is_bare(self, response: Response) -> bool:
        return self._request.method == "HEAD" or response.status in (204, 304)

    def _head(self, response: Response) -> tuple[bytes, int | None]:
        """The head but for its last, empty line, and the length it announces."""
        length = None
        lines = []
        for name, text in response.headers:
            spelled, value = heads.name(name), heads.value(text)
            if spelled not in _SETTLED_HERE:
                lines.append(f"{spelled}: {value}\r\n")
            elif spelled == "Content-Length":
                length = int(value)
            elif spelled == "Connection":
                self.keep_alive = self.keep_alive and "close" not in value.lower()
        lines += [] if length is None else [f"Content-Length: {length}\r\n"]
        lines += [] if self.keep_alive else ["Connection: close\r\n"]
        start = STATUS_LINE[response.status]
        for _, moment in self._date:
            start += b"Date: %b\r\n" % moment
        text = "".join(lines)
        head = heads.encoded(text) if text.isascii() else b"".join(map(heads.encoded, lines))
        return start + head, length

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _refusal(error: AwsError) -> Response:
    body = f"<Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>"
    headers = [("Connection", "close"), ("Content-Type", "application/xml")]
    return Response(error.status, headers, body.encode())


def _nothing() -> None:
    pass
