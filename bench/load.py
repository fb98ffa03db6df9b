"""A load generator that costs little: prepared request bytes over raw keep-alive connections.

boto3 costs about a millisecond of CPU per call and would measure itself. Requests are signed
beforehand by botocore's signer; the window then only sends and reads.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

Request = bytes


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
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(*key), service, "us-east-1").add_auth(request)
    return plain(endpoint, method, path, body=body, headers=dict(request.headers.items()))


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
    return asyncio.run(_run(endpoint, requests, connections, seconds))


async def _run(endpoint: str, requests: list[Request], connections: int, seconds: float) -> Window:
    latencies: list[float] = []
    failed = 0
    position = 0
    until = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal failed, position
        address = urlsplit(endpoint)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (started := time.perf_counter()) < until:
            request = requests[position % len(requests)]
            position += 1
            writer.write(request)
            status, keep = await _read(reader)
            latencies.append(time.perf_counter() - started)
            failed += not 200 <= status < 300
            if not keep:
                writer.close()
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    spent = time.perf_counter() - started
    latencies.sort()

    def at(share: float) -> float:
        return latencies[int(share * (len(latencies) - 1))] * 1000

    return Window(len(latencies) / spent, at(0.5), at(0.99), failed)


async def _read(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    keep = b"connection: close" not in head
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif (at := head.find(b"content-length:")) >= 0:
        await reader.readexactly(int(head[at + 15 : head.find(b"\r\n", at)]))
    return status, keep


def median(windows: list[Window]) -> Window:
    """Figure by figure."""
    return Window(
        statistics.median(w.rate for w in windows),
        statistics.median(w.p50_ms for w in windows),
        statistics.median(w.p99_ms for w in windows),
        max(w.failed for w in windows),
    )
