"""A load generator that costs little: prepared request bytes over raw keep-alive connections.

boto3 costs about a millisecond of CPU per call and would measure itself. Requests are signed
beforehand by botocore's signer; the window then only sends and reads.
"""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import nan
from typing import cast
from urllib.parse import urlsplit

import uvloop
from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

Request = bytes
_PATIENCE_S = 15
_LONGEST_S = 60
_PAYLOAD = "x-amz-content-sha256"


@dataclass(frozen=True)
class Window:
    """One measurement: requests per second, latencies in ms, answers that were not 2xx."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int


def signed(
    endpoint: str,
    key: tuple[str, str],
    service: str,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Request:
    """The bytes of one signed HTTP/1.1 request."""
    request = AWSRequest(method, f"{endpoint}{path}", headers=headers or {}, data=body)
    signer = _signer(service, headers or {})
    signer(Credentials(*key), service, "us-east-1").add_auth(request)
    return plain(endpoint, method, path, body=body, headers=dict(request.headers.items()))


def _signer(service: str, headers: dict[str, str]) -> type[SigV4Auth]:
    """S3's payload may stay unsigned, also without TLS: as browsers and big uploads do."""
    if service != "s3":
        return SigV4Auth
    return _Unsigned if headers.get(_PAYLOAD) == UNSIGNED_PAYLOAD else S3SigV4Auth


class _Unsigned(S3SigV4Auth):
    def payload(self, request: AWSRequest) -> str:
        return UNSIGNED_PAYLOAD


def plain(
    endpoint: str,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Request:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(endpoint).netloc}"]
    for name, value in (headers or {}).items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        if name.lower() not in ("host", "content-length"):
            lines.append(f"{name}: {text}")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def run(endpoint: str, requests: list[Request], *, connections: int, seconds: float) -> Window:
    """Sends the requests round-robin over so many connections for so long."""
    return uvloop.run(_run(endpoint, requests, connections, seconds))


def send(
    endpoint: str, requests: list[Request], *, connections: int, until: float = float("inf")
) -> bool:
    """Each request once; whether all were answered well by then (of `time.perf_counter`)."""
    source = _Source(requests, until, iter)
    uvloop.run(_send(endpoint, source, connections, until - time.perf_counter()))
    return source.is_empty and not source.failed


async def _send(endpoint: str, source: "_Source", connections: int, seconds: float) -> None:
    """Until all clients are done: some servers close now and then, those clients come back."""
    address = urlsplit(endpoint)
    host, port = address.hostname or "", address.port or 80
    loop = asyncio.get_running_loop()
    clients = [_Client(source) for _ in range(connections)]
    with suppress(TimeoutError):
        async with asyncio.timeout(min(seconds, _LONGEST_S) + _PATIENCE_S):
            while waiting := [client for client in clients if not client.is_done]:
                for client in waiting:
                    client.ended = loop.create_future()
                    await loop.create_connection(client.connect, host, port)
                await asyncio.gather(*(client.ended for client in waiting))


async def _run(endpoint: str, requests: list[Request], connections: int, seconds: float) -> Window:
    started = time.perf_counter()
    source = _Source(requests, started + seconds)
    await _send(endpoint, source, connections, seconds)
    spent = time.perf_counter() - started
    latencies = sorted(source.latencies) or [nan]

    def at(share: float) -> float:
        return latencies[int(share * (len(latencies) - 1))] * 1000

    return Window(len(source.latencies) / spent, at(0.5), at(0.99), source.failed)


@dataclass(frozen=True)
class Burst:
    """Many clients at once, one request each: how many got which status (0: dropped), how long."""

    statuses: dict[int, int]
    spent_s: float


def burst(endpoint: str, request: Request, clients: int) -> Burst:
    return uvloop.run(_burst(endpoint, request, clients))


async def _burst(endpoint: str, request: Request, clients: int) -> Burst:
    address = urlsplit(endpoint)
    began = time.perf_counter()

    async def one() -> int:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                writer.close()
                return int(head[9:12])
        except (OSError, EOFError, TimeoutError):
            return 0

    answers = await asyncio.gather(*(one() for _ in range(clients)))
    return Burst(dict(Counter(answers)), time.perf_counter() - began)


class _Source:
    """What to send until when, and what came of it."""

    def __init__(
        self,
        requests: list[Request],
        until: float,
        repeated: Callable[[list[Request]], Iterator[Request]] = itertools.cycle,
    ) -> None:
        self.requests = repeated(requests)
        self.is_empty = False
        self.until = until
        self.latencies: list[float] = []
        self.failed = 0


class _Client(asyncio.Protocol):
    """One connection: the next request as soon as the answer is whole."""

    ended: asyncio.Future[None]

    def __init__(self, source: _Source) -> None:
        self._source = source
        self.is_done = False

    def connect(self) -> "_Client":
        self._received = b""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_done = (
            self.is_done or self._source.is_empty or time.perf_counter() >= self._source.until
        )
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = _answer(self._received)
        if answer is None:
            return
        status, keep = answer
        self._source.latencies.append(time.perf_counter() - self._sent)
        self._source.failed += not 200 <= status < 300
        self._received = b""
        if keep:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        is_late = self._sent >= self._source.until
        request = None if is_late else next(self._source.requests, None)
        if request is None:
            self._source.is_empty = self._source.is_empty or not is_late
            self.is_done = True
            self._transport.close()
            return
        self._transport.write(request)


def _answer(received: bytes) -> tuple[int, bool] | None:
    """Status and whether the connection stays; None while the answer is not whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[: end + 2].lower()
    if b"\r\ntransfer-encoding: chunked" in head:
        is_whole = received.endswith(b"0\r\n\r\n")
    else:
        _, _, after = head.partition(b"\r\ncontent-length:")
        is_whole = len(received) - end - 4 >= int(after.partition(b"\r\n")[0] or 0)
    return (int(head[9:12]), b"\r\nconnection: close" not in head) if is_whole else None


def median(windows: list[Window]) -> Window:
    """Figure by figure."""
    return Window(
        statistics.median(w.rate for w in windows),
        statistics.median(w.p50_ms for w in windows),
        statistics.median(w.p99_ms for w in windows),
        max(w.failed for w in windows),
    )
