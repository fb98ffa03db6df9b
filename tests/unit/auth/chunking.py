"""Chunked bodies as clients make them, by a signer of our own."""

import hashlib
import hmac

from cloudlet.auth import sigv4
from cloudlet.auth.sigv4 import Verified
from cloudlet.exchange import Body, Request
from tests.unit.auth.signing import Known

_EMPTY = hashlib.sha256(b"").hexdigest()


def verdict(payload: str, key: bytes = b"signing key") -> Verified:
    scope = "20261118/us-east-1/s3/aws4_request"
    return Verified(Known(), "s3", payload, "5eed", key, scope, "20261118T110640Z", False)


class Chunker:
    """Signs as SDKs do: a chain from the seed."""

    def __init__(self, verified: Verified) -> None:
        self.verified, self.previous = verified, verified.signature

    def sign(self, what: str, tail: str) -> str:
        v = self.verified
        text = f"{what}\n{v.timestamp}\n{v.scope}\n{self.previous}\n{tail}"
        self.previous = hmac.new(v.signing_key, text.encode(), hashlib.sha256).hexdigest()
        return self.previous

    def chunk(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).hexdigest()
        signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", f"{_EMPTY}\n{digest}")
        return f"{len(data):x};chunk-signature={signature}\r\n".encode() + data

    def body(self, chunks: list[bytes], trailers: dict[str, str] | None = None) -> bytes:
        text = b"".join(self.chunk(chunk) + b"\r\n" for chunk in chunks) + self.chunk(b"")
        if trailers is None:
            return text + b"\r\n"
        lines = "".join(f"{k}:{v}\n" for k, v in trailers.items())
        digest = hashlib.sha256(lines.encode()).hexdigest()
        signature = self.sign("AWS4-HMAC-SHA256-TRAILER", digest)
        tail = f"{lines}x-amz-trailer-signature:{signature}\n\n".replace("\n", "\r\n")
        return text + tail.encode()


def unsigned(chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    text = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in chunks) + b"0\r\n"
    return text + "".join(f"{k}:{v}\r\n" for k, v in trailers.items()).encode() + b"\r\n"


def request(data: bytes, length: int, trailers: str = "", pieces: int = 1 << 16) -> Request:
    """The body arrives in pieces of that many bytes."""
    parts = iter([data[i : i + pieces] for i in range(0, len(data), pieces)])

    async def receive() -> bytes:
        return next(parts, b"")

    headers = {"x-amz-decoded-content-length": str(length), "x-amz-trailer": trailers}
    return Request("PUT", "/b/k", "", headers, Body(receive, len(data)))


MODES = (sigv4.SIGNED_CHUNKS, sigv4.SIGNED_CHUNKS_TRAILER, sigv4.UNSIGNED_CHUNKS_TRAILER)


def encode(mode: str, chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    if mode == sigv4.UNSIGNED_CHUNKS_TRAILER:
        return unsigned(chunks, trailers)
    given = trailers if mode == sigv4.SIGNED_CHUNKS_TRAILER else None
    return Chunker(verdict(mode)).body(chunks, given)
