"""The HTTP server: uvicorn embedded, one `Listener` per port, all in one event loop.

Requests and responses are `connection`'s; WebSockets come as ASGI messages and become a `Socket`
here. Nothing of it knows AWS.
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
from cloudlet.front import heads
from cloudlet.front.connection import Answer, Connection, Steward

_log = logging.getLogger(__name__)
# gateway-009: messages up to 128 KiB, in frames up to 32 KiB; what is larger closes with 1009
_WEBSOCKET_BYTES_MAX: Any = (128 << 10, 32 << 10)
_STOP_S = 10

Connect = Callable[[Socket], Awaitable[None]]
Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Listener:
    """One port, bound at once (0 picks a free one; `port` tells which), served after `start`.

    Connections that come in between wait in the kernel. Without a host it only has connections
    that it is given.
    """

    def __init__(self, host: str = "", port: int = 0) -> None:
        self._answer: Answer | None = None
        self._connect: Connect | None = None
        self._steward: Steward | None = None
        self._sockets = [_bound(host, port)] if host else []
        self.port: int = self._sockets[0].getsockname()[1] if host else 0
        self._server = _Server(
            uvicorn.Config(
                cast(Any, self._websocket),
                http=cast(Any, self._connection),
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

    async def start(
        self, answer: Answer, connect: Connect | None = None, steward: Steward | None = None
    ) -> None:
        self._answer, self._connect, self._steward = answer, connect, steward
        self._task = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=self._sockets)
        )
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Finishes the requests under way, within a bound."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        for each in self._sockets:
            each.close()

    async def adopt(self, descriptor: int, early: bytes, care: Any) -> None:
        """A connection that another process had, and what it received of the next request."""

        def make() -> Connection:
            state = self._server.server_state
            made = self._connection(config=self._server.config, server_state=state, app_state={})
            made.early, made.care = early, care
            return made

        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(make, socket.socket(fileno=descriptor))

    def _connection(self, **uvicorn: Any) -> Connection:
        assert self._answer is not None
        return Connection(self._answer, self._steward, **uvicorn)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            opened = AsgiSocket(scope, receive, send)
        except AwsError as error:  # in its headers
            await receive()
            await _answer_handshake(send, Response(error.status, [], error.message.encode()))
            return
        if self._connect is None:
            await opened.refuse(Response(404, [], b"Not Found"))
            return
        try:
            await self._connect(opened)
        except Exception:
            _log.exception("WebSocket %s failed", opened.request.raw_path)
            await opened.close(1011, "Internal server error")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        what = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise OSError(error.errno, what) from error
    made.listen(2048)
    return made


async def _answer_handshake(send: Send, response: Response) -> None:
    raw = [heads.raw(name, value) for name, value in response.headers]
    body = response.body if isinstance(response.body, bytes) else b""
    start = {"type": "websocket.http.response.start", "status": response.status, "headers": raw}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})


class _Server(uvicorn.Server):
    """Signals are the application's, not a listener's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AsgiSocket:
    """`exchange.Socket` over ASGI."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request = Request(
            "GET",
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            heads.read(scope["headers"]),
            Body.of(b""),
            scope["client"][0] if scope["client"] else "",
            scope["scheme"],
            sent=scope["headers"],
        )
        self.gone = (1005, "")
        self._receive = receive
        self._send = send
        self._open = False
        self._closed = False

    async def accept(self, headers: list[tuple[str, str]]) -> None:
        await self._receive()  # websocket.connect
        raw = [heads.raw(name, value) for name, value in headers]
        await self._send({"type": "websocket.accept", "headers": raw})
        self._open = True

    async def refuse(self, response: Response) -> None:
        await self._receive()
        await _answer_handshake(self._send, response)
        self._closed = True

    async def receive(self) -> str | bytes | None:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._closed = True
            self.gone = (message.get("code") or 1005, message.get("reason") or "")
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
