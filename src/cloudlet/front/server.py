"""The HTTP server: uvicorn embedded, one `Listener` per port, all in one event loop.

It turns ASGI messages into `Request`, `Response` and `Socket` and knows nothing of AWS. Bodies
stream both ways with the socket's own back-pressure; a response whose reader is gone stops being
produced.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request, Response, Socket

_log = logging.getLogger(__name__)
_HEADERS_BYTES_MAX = 64 << 10
_WEBSOCKET_BYTES_MAX = 1 << 20  # the gateway's own, smaller limit answers with AWS's close code
_STOP_S = 10

Answer = Callable[[Request], Awaitable[Response]]
Connect = Callable[[Socket], Awaitable[None]]
Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGone(AwsError):
    """The peer closed the connection before its request was whole: nothing may be kept."""

    def __init__(self) -> None:
        message = (
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        )
        super().__init__("IncompleteBody", message, 400)


class Listener:
    """One port, bound at once (0 picks a free one; `port` tells which), served after `start`.

    Connections that come in between wait in the kernel.
    """

    def __init__(self, host: str, port: int) -> None:
        self._answer: Answer | None = None
        self._connect: Connect | None = None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self._socket.listen(2048)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                cast(Any, self._app),
                http="httptools",
                ws="websockets-sansio",
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=_WEBSOCKET_BYTES_MAX,
                ws_per_message_deflate=False,
                timeout_keep_alive=65,
                timeout_graceful_shutdown=_STOP_S,
                backlog=2048,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self, answer: Answer, connect: Connect | None = None) -> None:
        self._answer, self._connect = answer, connect
        self._task = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=[self._socket])
        )
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Finishes the requests under way, within a bound."""
        if self._task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        await self._task
        self._socket.close()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = _Incoming(scope, receive)
        try:
            request = _request(scope, incoming.body())
        except AwsError as error:
            response = Response(error.status, [("Connection", "close")], error.message.encode())
        else:
            assert self._answer is not None
            try:
                response = await self._answer(request)
            except ClientGone:
                return
        await incoming.settle()
        if incoming.unread:
            response.headers.append(("Connection", "close"))
        await _send(scope["method"], response, incoming, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        opened = AsgiSocket(scope, receive, send)
        if self._connect is None:
            await opened.refuse(Response(404, [], b"Not Found"))
            return
        try:
            await self._connect(opened)
        except Exception:
            _log.exception("WebSocket %s failed", opened.request.raw_path)
            await opened.close(1011, "Internal server error")


class _Server(uvicorn.Server):
    """Signals are the application's, not a listener's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Incoming:
    """The request's side of an ASGI exchange: the body, then the news that the peer is gone."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        self._length = int(length) if length else None
        if length is None and b"transfer-encoding" not in headers:
            self._length = 0
        self._more = self._length != 0
        self._is_awaited = self._length == 0 and b"expect" in headers
        self.gone = asyncio.Event()

    @property
    def unread(self) -> bool:
        return self._more

    def body(self) -> Body:
        return Body(self._chunk, self._length)

    async def _chunk(self) -> bytes:
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._more = False
                self.gone.set()
                raise ClientGone
            self._more = message.get("more_body", False)
            if data := message.get("body", b""):
                return bytes(data)
        return b""

    async def settle(self) -> None:
        """s3-101: who asks to continue is told so even before an empty body. A final answer alone
        would leave botocore, which keeps the connection, unable to read the next one."""
        if self._is_awaited:
            await self._receive()

    async def watch(self) -> None:
        """Returns when the peer has closed the connection (or the response is complete)."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


def _request(scope: Scope, body: Body) -> Request:
    headers: dict[str, str] = {}
    size_bytes = 0
    for raw_name, raw_value in scope["headers"]:
        size_bytes += len(raw_name) + len(raw_value)
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ','}{value}"
        headers[name] = value
    if size_bytes > _HEADERS_BYTES_MAX:
        raise AwsError("RequestHeaderSectionTooLarge", "The headers are too large.", 431)
    client = scope.get("client")
    return Request(
        scope.get("method", "GET"),
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        headers,
        body,
        client[0] if client else "",
        scope["scheme"],
    )


async def _send(method: str, response: Response, incoming: _Incoming, send: Send) -> None:
    headers = [(name.encode("latin-1"), _header(value)) for name, value in response.headers]
    body = response.body
    if isinstance(body, bytes):
        known = any(name.lower() == "content-length" for name, _ in response.headers)
        if response.status >= 200 and response.status not in (204, 304) and not known:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        return
    watch = asyncio.get_running_loop().create_task(incoming.watch())
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if method != "HEAD":
            async for chunk in body:
                if incoming.gone.is_set():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        watch.cancel()
        await body.aclose()


def _header(value: str) -> bytes:
    """Latin-1 where possible, else UTF-8, as S3 sends metadata; never a line break."""
    clean = value.replace("\r", " ").replace("\n", " ")
    try:
        return clean.encode("latin-1")
    except UnicodeEncodeError:
        return clean.encode()


class AsgiSocket:
    """`exchange.Socket` over ASGI."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request = _request(scope, Body.of(b""))
        self._receive = receive
        self._send = send
        self._open = False
        self._closed = False

    async def accept(self, headers: list[tuple[str, str]]) -> None:
        await self._receive()  # websocket.connect
        raw = [(name.lower().encode(), _header(value)) for name, value in headers]
        await self._send({"type": "websocket.accept", "headers": raw})
        self._open = True

    async def refuse(self, response: Response) -> None:
        await self._receive()
        raw = [(name.lower().encode(), _header(value)) for name, value in response.headers]
        body = response.body if isinstance(response.body, bytes) else b""
        start = {"type": "websocket.http.response.start", "status": response.status, "headers": raw}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": body})
        self._closed = True

    async def receive(self) -> str | bytes | None:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._closed = True
            return None
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, message: str | bytes) -> None:
        key = "text" if isinstance(message, str) else "bytes"
        with contextlib.suppress(OSError, RuntimeError):  # gone: receive() tells
            await self._send({"type": "websocket.send", key: message})

    async def close(self, code: int, reason: str = "") -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError, RuntimeError):
            if not self._open:
                await self._receive()
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
