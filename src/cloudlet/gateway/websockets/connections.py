"""Serving WebSocket APIs: open connections, their messages to functions, messages back to them.

Theory of operation. `connect` runs one connection from handshake to end. `$connect`'s function may
refuse it. Then one task reads messages and starts a function per message (at most `_AT_ONCE` at a
time, then reading pauses), and one task writes what is queued. The queue is bounded: a client that
reads too slowly is closed, so that memory stays flat. Connections live as long as the process;
posting to one that is gone answers 410, as AWS does, and applications forget it then.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api.html
"""

import asyncio
import base64
import logging
from dataclasses import replace
from typing import Any, cast

import orjson

from cloudlet.call import Cloud
from cloudlet.errors import AwsError
from cloudlet.exchange import Socket
from cloudlet.gateway.answers import json
from cloudlet.gateway.http_apis.http_api import Gateway
from cloudlet.gateway.http_apis.http_authorizers import Asked, Refused
from cloudlet.gateway.http_apis.stages import Api, Stage
from cloudlet.gateway.websockets import socket_events
from cloudlet.gateway.websockets.socket_events import Origin
from cloudlet.gateway.websockets.socket_routes import SocketRoutes, is_valid, select

MESSAGE_MAX_BYTES = 128 * 1024
IDLE_MAX_S = 600.0
LIFETIME_MAX_S = 7200.0
QUEUE_MAX = 256  # messages waiting for one client
QUEUE_MAX_BYTES = 4 * 1024 * 1024
CLOSING_MAX_S = 5.0  # for a client that may not even read the close frame
_AT_ONCE = 16
_log = logging.getLogger(__name__)


class Connection:
    """One open WebSocket. `post` queues a message; `end` closes it."""

    def __init__(self, origin: Origin, socket: Socket, api: Api) -> None:
        self.origin = origin
        self.api = api
        self.last_active_ms = origin.connected_ms
        self.closing: tuple[int, str] | None = None
        self.ended = asyncio.Event()
        self._socket = socket
        self._queue: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._queued_bytes = 0

    def post(self, message: str | bytes) -> bool:
        """False if the connection is gone, or is being closed because it reads too slowly."""
        if self.closing is not None:
            return False
        if self._queue.qsize() >= QUEUE_MAX or self._queued_bytes > QUEUE_MAX_BYTES:
            self.end(1008, "Too many messages are waiting for this client")
            return False
        self._queued_bytes += len(message)
        self._queue.put_nowait(message)
        return True

    def end(self, code: int, reason: str) -> None:
        if self.closing is None:
            self.closing = (code, reason)
            self._queue.put_nowait(None)
            self.ended.set()

    async def write(self, now_ms: Any) -> None:
        """Sends what is queued until the connection ends; then closes the socket."""
        while self.closing is None or self.closing[0] == 1000:
            message = await self._queue.get()
            if message is None:
                break
            self._queued_bytes -= len(message)
            await self._socket.send(message)
            self.last_active_ms = now_ms()
        code, reason = self.closing or (1000, "")
        await self._socket.close(code, reason)


class Connections:
    """All open connections of this process. `stop` closes them."""

    def __init__(self, gateway: Gateway) -> None:
        self.cloud: Cloud = gateway.cloud
        self.open: dict[str, Connection] = {}
        self._stages = gateway.stages
        self._guards = gateway.guards
        self._domains = gateway.domains
        self._routes = SocketRoutes(gateway.cloud, gateway.roles)
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        for connection in list(self.open.values()):
            connection.end(1001, "Going away")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_MAX_S)

    async def connect_domain(self, socket: Socket) -> None:
        """Runs a connection to a custom domain."""
        request = socket.request
        try:
            found = self._domains.route(request.host, request.raw_path)
        except AwsError:
            found = None
        if found is None:
            await socket.refuse(json(403, {"message": "Forbidden"}))
            return
        path = f"/{found.mapping.stage}{found.raw_path}"
        await self.connect(socket, found.mapping.api_id, path, found.host)

    async def connect(self, socket: Socket, api_id: str, raw_path: str, domain: str = "") -> None:
        """Runs one connection to its end. `raw_path` is `/STAGE`, within the API."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        api = self._stages.api(api_id)
        stage = api.stages.get(raw_path.strip("/")) if api is not None else None
        is_closed = api is not None and api.is_closed and not domain
        if api is None or stage is None or api.protocol != "WEBSOCKET" or is_closed:
            await socket.refuse(json(403, {"message": "Forbidden"}))
            return
        # 96 random bits, in AWS's alphabet: the id is what lets a function post
        raw = bytes.fromhex(self.cloud.config.new_secret(12))
        identifier = base64.urlsafe_b64encode(raw).decode()
        now_ms = self.cloud.config.now_ms()
        origin = Origin(identifier, stage, socket.request, now_ms, domain or stage.domain)
        try:
            origin = await self._authorize(origin)
            headers = await self._admit(origin)
        except Refused as refused:
            await socket.refuse(refused.response)
            return
        await socket.accept(headers)
        connection = self.open[identifier] = Connection(origin, socket, api)
        try:
            await self._converse(connection, socket)
        finally:
            del self.open[identifier]
            await self._leave(connection)

    async def _authorize(self, origin: Origin) -> Origin:
        """The origin with what `$connect`'s authorizer says of it; raises Refused."""
        route = origin.stage.by_key.get("$connect")
        if route is None or route.guard is None:
            return origin
        target = route.target
        arn = self.cloud.config.arn("execute-api", f"{target.api_id}/{target.stage}/$connect")
        event = socket_events.connect(origin, origin.connected_ms, self.cloud.config.new_id())
        context = event["requestContext"]
        asked = Asked(origin.request, arn, context, target.stage_variables, lambda _: event)
        try:
            admission = await self._guards.admit(route.guard, asked)
        except Refused as refused:
            told = orjson.loads(cast(bytes, refused.response.body))
            failed = {"connectionId": origin.id, "requestId": context["requestId"]}
            self._routes.record(origin.stage, event, refused.response.status)
            raise Refused(json(refused.response.status, {**told, **failed})) from None
        return replace(origin, admission=admission)

    async def _admit(self, origin: Origin) -> list[tuple[str, str]]:
        """Asks `$connect`'s integration; raises Refused."""
        route = origin.stage.by_key.get("$connect")
        request_id = self.cloud.config.new_id()
        event = socket_events.connect(origin, self.cloud.config.now_ms(), request_id)
        if route is None or not route.integration:
            self._routes.record(origin.stage, event, 200)
            return []
        failed = {"connectionId": origin.id, "requestId": request_id}
        if not route.bucket.take(self.cloud.config.now_ms()):
            self._routes.record(origin.stage, event, 429)
            raise Refused(json(429, {"message": "Too Many Requests", **failed}))
        answer = await self._routes.run(route, origin, event)
        if answer is None:
            raise Refused(json(502, {"message": "Internal server error", **failed}))
        if not 200 <= answer.status < 300:
            raise Refused(answer)
        return [h for h in answer.headers if h[0] == "sec-websocket-protocol"]

    async def _converse(self, connection: Connection, socket: Socket) -> None:
        writer = asyncio.create_task(connection.write(self.cloud.config.now_ms))
        reader = asyncio.create_task(self._read(connection, socket))
        ended = asyncio.create_task(connection.ended.wait())
        await asyncio.wait(
            (writer, reader, ended), timeout=LIFETIME_MAX_S, return_when=asyncio.FIRST_COMPLETED
        )
        if reader.done():
            connection.end(*socket.gone)  # the client left
        elif writer.done():
            connection.end(1006, "")
        else:
            connection.end(1001, "Going away")
        await asyncio.wait((writer,), timeout=CLOSING_MAX_S)
        for task in (writer, reader, ended):
            task.cancel()
        await asyncio.gather(writer, reader, ended, return_exceptions=True)

    async def _read(self, connection: Connection, socket: Socket) -> None:
        """Messages outlive the connection: a function that closes it is not cut off by that."""
        limit = asyncio.Semaphore(_AT_ONCE)
        while True:
            await limit.acquire()
            message = await self._next(connection, socket)
            if message is None:
                return
            task = asyncio.create_task(self._serve(connection, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: limit.release())

    async def _next(self, connection: Connection, socket: Socket) -> str | bytes | None:
        """The next message; None at the end, of which too long a silence is one."""
        while True:
            now_ms = self.cloud.config.now_ms()
            left_s = IDLE_MAX_S - (now_ms - connection.last_active_ms) / 1000
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    message = await socket.receive()
                    break
            except TimeoutError:
                idle_ms = self.cloud.config.now_ms() - connection.last_active_ms
                if idle_ms >= IDLE_MAX_S * 1000:
                    connection.end(1001, "Going away")
                    return None
        if message is None:
            return None
        size = len(message) if isinstance(message, bytes) else len(message.encode())
        if size > MESSAGE_MAX_BYTES:
            connection.end(1009, "Message too big")
            return None
        connection.last_active_ms = self.cloud.config.now_ms()
        return message

    async def _serve(self, connection: Connection, data: str | bytes) -> None:
        """One message: its route, its integration, and the answer if the route has one."""
        origin = connection.origin
        request_id = self.cloud.config.new_id()
        failure = {"connectionId": origin.id, "requestId": request_id}
        api = self._stages.api(origin.stage.api_id) or connection.api
        stage: Stage = api.stages.get(origin.stage.name, origin.stage)
        route = select(api, stage, origin, data)
        now_ms = self.cloud.config.now_ms()
        key = "$default" if route is None else route.key
        event = socket_events.message(origin, key, data, (now_ms, request_id))
        if route is None or not route.integration:
            self._routes.record(stage, event, 403)
            connection.post(_json({"message": "Forbidden", **failure}))
        elif not route.bucket.take(now_ms):
            self._routes.record(stage, event, 429)
            connection.post(_json({"message": "Too Many Requests", **failure}))
        elif not is_valid(route, origin, data):
            self._routes.record(stage, event, 400)
            connection.post(_json({"message": "Invalid request body", **failure}))
        else:
            answer = await self._routes.run(route, origin, event)
            if answer is None:
                connection.post(_json({"message": "Internal server error", **failure}))
            elif route.answers and isinstance(answer.body, bytes) and answer.body:
                connection.post(answer.body.decode(errors="replace"))

    async def _leave(self, connection: Connection) -> None:
        """Tells `$disconnect`'s integration; best effort, as on AWS."""
        origin = connection.origin
        code, reason = connection.closing or (1006, "")
        moment = (self.cloud.config.now_ms(), self.cloud.config.new_id())
        event = socket_events.disconnect(origin, code, reason, moment)
        route = origin.stage.by_key.get("$disconnect")
        if route is None or not route.integration:
            self._routes.record(origin.stage, event, 200)
        else:
            await self._routes.run(route, origin, event)


def _json(document: dict[str, Any]) -> str:
    return orjson.dumps(document).decode()
