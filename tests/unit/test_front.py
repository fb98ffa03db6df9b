"""The HTTP server by itself: bodies stream both ways, cut-off requests are told from whole ones."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from cloudlet.exchange import Request, Response, Socket
from cloudlet.front.aws import is_usual
from cloudlet.front.connection import ClientGone
from cloudlet.front.server import Listener
from cloudlet.wire.protocol import s3_bucket_of_host

Handler = Callable[[Request], Awaitable[Response]]


class Endless:
    """A body without end that knows when it was closed."""

    def __init__(self) -> None:
        self.sent = 0
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 1 << 16
            yield bytes(1 << 16)

    async def aclose(self) -> None:
        self.closed.set()


async def _exchange(handler: Handler, data: bytes) -> bytes:
    """Sends bytes, returns all that comes back until the server closes."""
    listener = Listener("127.0.0.1", 0)
    await listener.start(handler)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(data)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    await listener.stop()
    return answer


def test_paths_and_queries_arrive_as_sent() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, [("X-A", "ä"), ("etag", "e"), ("connection", "close")], b"body")

    data = b"GET /a%2Fb//c%20d?x=%2B&y HTTP/1.1\r\nHost: h\r\nX-R: 1\r\nX-R: 2\r\n\r\n"
    answer = asyncio.run(_exchange(handler, data))
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"\r\n\r\nbody")
    for line in (b"x-a: \xe4", b"ETag: e", b"Connection: close", b"Content-Length: 4"):  # s3-102
        assert b"\r\n%b\r\n" % line in answer
    assert b"\r\nDate: " in answer
    assert (seen[0].raw_path, seen[0].query) == ("/a%2Fb//c%20d", "x=%2B&y")
    assert seen[0].headers["x-r"] == "1,2"


def test_two_hosts_are_refused() -> None:
    async def handler(request: Request) -> Response:
        raise AssertionError(request)

    data = b"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\nConnection: close\r\n\r\n"
    upgrade = (
        b"Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    for sent in (data, data.replace(b"close", upgrade)):
        answer = asyncio.run(_exchange(handler, sent))
        assert answer.startswith(b"HTTP/1.1 400 ") and b"more than one Host" in answer


def test_a_cut_off_body_is_no_end() -> None:
    outcome: list[str] = []

    async def run() -> None:
        told = asyncio.Event()

        async def handler(request: Request) -> Response:
            try:
                await request.body.read(1 << 20)
                outcome.append("whole")
            except ClientGone:
                outcome.append("gone")
                raise
            finally:
                told.set()
            return Response()

        listener = Listener("127.0.0.1", 0)
        await listener.start(handler)
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nonly this")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(told.wait(), 60)
        await listener.stop()

    asyncio.run(run())
    assert outcome == ["gone"]


def test_a_refusal_comes_before_the_body_is_asked_for() -> None:
    async def handler(request: Request) -> Response:
        return Response(403, [], b"no")

    data = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    answer = asyncio.run(_exchange(handler, data))
    assert answer.startswith(b"HTTP/1.1 403") and b"100 Continue" not in answer


def test_an_empty_body_may_be_expected_too() -> None:
    """s3-003: botocore waits for the interim answer before an empty body, too."""

    async def handler(request: Request) -> Response:
        await request.body.read(10)
        return Response(200, [("Connection", "close")])

    data = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"
    assert asyncio.run(_exchange(handler, data)).startswith(b"HTTP/1.1 100 Continue")


def test_nobody_produces_for_a_reader_that_is_gone_or_slow() -> None:
    async def run() -> tuple[int, int]:
        body = Endless()

        async def handler(request: Request) -> Response:
            return Response(200, [], body)

        listener = Listener("127.0.0.1", 0)
        await listener.start(handler)
        client = socket.create_connection(("127.0.0.1", listener.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        before = -1
        while body.sent != before or not before:  # until the buffers are full
            before = body.sent
            await asyncio.sleep(0.05)
        client.close()
        await asyncio.wait_for(body.closed.wait(), 60)
        await listener.stop()
        return before, body.sent

    before, after = asyncio.run(run())
    assert before < 32 << 20  # the kernel's buffers, not ours
    assert after - before < 32 << 20


def test_headers_too_large_are_refused() -> None:
    async def handler(request: Request) -> Response:
        raise AssertionError("never reached")

    data = b"GET / HTTP/1.1\r\nHost: h\r\nX-Big: " + b"a" * 70_000 + b"\r\n\r\n"
    assert asyncio.run(_exchange(handler, data)).startswith(b"HTTP/1.1 431")


HEAD = b"PUT / HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    ("coding", "statuses"),
    [
        (b"chunked", [b"200", b"200"]),
        (b" \tCHUNKED ", [b"200", b"200"]),
        (b"gzip, chunked", [b"501"]),
        (b"gzip,\tchunked", [b"501"]),
        (b",chunked", [b"501"]),
        (b"identity\r\nTransfer-Encoding: chunked", [b"501"]),
        (b"gzip", [b"501"]),
        (b"identity", [b"501"]),
        (b"chunked, identity", [b"400"]),
        (b"chunked\r\nTransfer-Encoding: chunked", [b"400"]),
        (b"chunked\r\nContent-Length: 5", [b"400"]),
        (b"\x0bchunked", [b"400"]),
        (b"chunked\n", [b"400"]),
    ],
)
def test_one_transfer_coding_alone(coding: bytes, statuses: list[bytes]) -> None:
    """Where any other is named, what follows is not taken for a request."""

    async def handler(request: Request) -> Response:
        await request.body.read(10)
        ends = [("Connection", "close")] if request.raw_path == "/last" else []
        return Response(200, ends)

    sent = HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    answer = asyncio.run(_exchange(handler, sent + b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n"))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == statuses
    assert (b"<Code>NotImplemented</Code>" in answer) == (b"501" in statuses)


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"a"),
        (HEAD + b"X: ", b"a"),
        (HEAD, b"X: a\r\n"),
        (CHUNKED + b";", b"a"),
        (CHUNKED + b"\r\na\r\n0\r\n", b"X: a\r\n"),
        (b"", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ],
    ids=["address", "value", "names", "chunk", "trailers", "pipeline"],
)
def test_heads_without_an_end_are_cut_off(start: bytes, more: bytes) -> None:
    async def handler(request: Request) -> Response:
        await request.body.read(1 << 20)
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    async def run() -> int:
        listener = Listener("127.0.0.1", 0)
        await listener.start(handler)
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(start)
        sent = 0
        try:
            while sent < 64 << 20:
                writer.write(more * (65536 // len(more)))
                await writer.drain()
                sent += 65536
        except OSError:
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            await listener.stop()
        return sent

    assert asyncio.run(run()) < 32 << 20


def test_line_breaks_never_reach_a_header() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [("X-A", "a\r\nSet-Cookie: b"), ("Connection", "close")])

    answer = asyncio.run(_exchange(handler, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
    assert b"\r\nSet-Cookie" not in answer


def test_web_sockets_talk_and_are_refused() -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async def echo(opened: Socket) -> None:
        if opened.request.raw_path == "/no":
            await opened.refuse(Response(403, [("X-A", "b")], b"no"))
            return
        await opened.accept([])
        while (message := await opened.receive()) is not None:
            await opened.send(message)

    async def handler(request: Request) -> Response:
        return Response()

    async def run() -> None:
        listener = Listener("127.0.0.1", 0)
        await listener.start(handler, echo)
        async with connect(f"ws://127.0.0.1:{listener.port}/yes") as client:
            await client.send("text")
            assert await client.recv() == "text"
            await client.send(b"\x00\x01")
            assert await client.recv() == b"\x00\x01"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{listener.port}/no")
        assert refused.value.response.status_code == 403
        await listener.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("localhost:4566", ""),
        ("127.0.0.1:4566", ""),
        ("b.localhost:4566", "b"),
        ("b.s3.localhost:4566", "b"),
        ("my.b.s3.us-east-1.amazonaws.com", "my.b"),
        ("s3.us-east-1.amazonaws.com", ""),
        ("b.s3-us-west-2.amazonaws.com", "b"),
        ("lambda.us-east-1.amazonaws.com", ""),
        ("share.example.com", ""),
        ("[::1]:4566", ""),
    ],
)
def test_buckets_in_host_names(host: str, bucket: str) -> None:
    assert s3_bucket_of_host(host) == bucket


def test_what_is_only_for_operations() -> None:
    for host in ("localhost", "localhost:4566", "127.0.0.1:4566"):
        assert is_usual(host, "/") and is_usual(host, "/shelf/_key")
        for path in ("/_cloudlet/health", "/_aws/lambda-url/u/", "/SimpleNotificationService-1"):
            assert not is_usual(host, path)
    for host in ("", "a.localhost", "shelf.s3-website.localhost", "example.com", "127.0.0.1.org"):
        assert not is_usual(host, "/")
