"""Request bodies as S3's clients send them: plain, or cut into signed or unsigned chunks.

`open_body` gives a `Body` of the contents alone. What the request promised is verified on the way:
the received length, a literal x-amz-content-sha256, each chunk's signature (before its bytes are
released) and the trailers'. Checksums in trailers are for the S3 layer: they are in `trailers`
once the body has ended. The `Decoder` is sans-IO: bytes in, contents out.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

import asyncio
import hashlib
import hmac
import re
from collections import deque

from cloudlet.auth import sigv4
from cloudlet.auth.sigv4 import Verified
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Receive, Request

CHUNK_BYTES_MAX = 16 << 20  # a signed chunk is kept until its signature is verified
CHUNK_BYTES_MIN = 8192
_HEADER_BYTES_MAX = 1024
_TRAILER_BYTES_MAX = 16 << 10
_HASH_BLOCK_BYTES = 1 << 20
_EMPTY = hashlib.sha256(b"").hexdigest()
_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
_LINE_END = b"\r\n"


class CheckedBody(Body):
    """A body with its promises checked; `trailers` is filled when the body has ended."""

    def __init__(self, receive: Receive, length: int | None) -> None:
        super().__init__(receive, length)
        self.trailers: dict[str, str] = {}


def open_body(request: Request, verified: Verified | None) -> CheckedBody:
    """The contents of an S3 request's body. `verified` is None for anonymous requests."""
    payload = verified.payload if verified else _anonymous_payload(request)
    if payload in sigv4.STREAMING:
        length = _decoded_length(request)
        announced = _announced_trailers(request) if payload.endswith("-TRAILER") else frozenset()
        signer = _signer(payload, verified)
        return ChunkedBody(request.body.receive, Decoder(length, signer, announced))
    if payload in ("", sigv4.UNSIGNED):
        return PlainBody(request.body, None)
    return PlainBody(request.body, bytes.fromhex(payload))


class PlainBody(CheckedBody):
    """Verifies length and, if given, SHA-256; the hash runs in a thread, beside the consumer."""

    def __init__(self, source: Body, digest: bytes | None) -> None:
        super().__init__(self._next, source.length)
        self._source = source.receive
        self._digest = digest
        self._sha256 = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._size_bytes = 0
        self._hashing: asyncio.Future[None] | None = None

    async def _next(self) -> bytes:
        chunk = await self._source()
        if not chunk:
            await self._end()
            return b""
        self._size_bytes += len(chunk)
        if self._digest is not None:
            self._pending.append(chunk)
            self._pending_bytes += len(chunk)
            if self._pending_bytes >= _HASH_BLOCK_BYTES:
                await self._hash_block()
        return chunk

    async def _hash_block(self) -> None:
        if self._hashing is not None:
            await self._hashing
        block, self._pending, self._pending_bytes = self._pending, [], 0
        self._hashing = asyncio.ensure_future(asyncio.to_thread(self._hash, block))

    def _hash(self, block: list[bytes]) -> None:
        for chunk in block:
            self._sha256.update(chunk)

    async def _end(self) -> None:
        if self.length is not None and self._size_bytes != self.length:
            raise _incomplete()
        if self._digest is None:
            return
        if self._hashing is not None:
            await self._hashing
            self._hashing = None
        self._hash(self._pending)
        self._pending = []
        if not hmac.compare_digest(self._sha256.digest(), self._digest):
            raise AwsError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                400,
                ClientComputedContentSHA256=self._digest.hex(),
                S3ComputedContentSHA256=self._sha256.hexdigest(),
            )


class ChunkedBody(CheckedBody):
    """Decodes while it is read; the end is reported only when everything was verified."""

    def __init__(self, source: Receive, decoder: "Decoder") -> None:
        super().__init__(self._next, decoder.length)
        self._source = source
        self._decoder = decoder
        self._ready: deque[bytes] = deque()
        self._is_done = False

    async def _next(self) -> bytes:
        while not self._ready and not self._is_done:
            data = await self._source()
            if data:
                self._ready.extend(self._decoder.feed(data))
            else:
                self.trailers.update(self._decoder.finish())
                self._is_done = True
        return self._ready.popleft() if self._ready else b""


class Signer:
    """The chain of chunk signatures: each covers the one before it."""

    def __init__(self, verified: Verified) -> None:
        self._key = verified.signing_key
        self._previous = verified.signature
        self._stem = f"{verified.timestamp}\n{verified.scope}"

    def chunk(self, data: bytes | bytearray) -> str:
        digest = hashlib.sha256(data).hexdigest()
        return self._sign("AWS4-HMAC-SHA256-PAYLOAD", f"{_EMPTY}\n{digest}")

    def trailer(self, lines: bytes) -> str:
        return self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(lines).hexdigest())

    def is_chunk(self, data: bytes | bytearray, signature: str) -> bool:
        # With open access there is no secret to check against, but the form is still the form.
        return not self._key or _equal(self.chunk(data), signature)

    def is_trailer(self, lines: bytes, signature: str) -> bool:
        return not self._key or _equal(self.trailer(lines), signature)

    def _sign(self, what: str, tail: str) -> str:
        text = f"{what}\n{self._stem}\n{self._previous}\n{tail}"
        self._previous = hmac.digest(self._key, text.encode(), "sha256").hex()
        return self._previous


class Decoder:
    """`feed` takes bytes as they come and returns contents; `finish` verifies the end.

    States: a chunk's header line, its data, the line end behind it, the trailers. `signer` is None
    for unsigned chunks, whose bytes are released as they come. `trailers` are the announced names;
    None of them may be missing, and no others may come.
    """

    def __init__(self, length: int, signer: Signer | None, trailers: frozenset[str]) -> None:
        self.length = length
        self._signer = signer
        self._announced = trailers
        self._buffer = bytearray()
        self._read = self._header
        self._size = 0  # of the current chunk
        self._left = 0  # of its data
        self._signature = ""
        self._count = 0
        self._short = 0  # the size of the chunk before, if it may only be the last one
        self._total = 0
        self._out: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        while self._read():
            pass
        out, self._out = self._out, []
        return out

    def finish(self) -> dict[str, str]:
        if self._read != self._trailer or self._total != self.length:
            raise _incomplete()
        found, signed, signature = self._trailer_lines()
        if set(found) != self._announced:
            raise _malformed_trailer()
        if self._signer is not None and self._announced:
            if signature is None:
                raise _malformed_trailer()
            if not self._signer.is_trailer(signed, signature):
                raise _mismatch(signature)
        elif signature is not None:
            raise _malformed_trailer()
        return found

    # Each state takes what it can from the buffer; False = it needs more bytes.

    def _header(self) -> bool:
        end = self._buffer.find(_LINE_END, 0, _HEADER_BYTES_MAX)
        if end < 0:
            if len(self._buffer) >= _HEADER_BYTES_MAX:
                raise _cut()
            return False
        size, signature = _parse_header(bytes(self._buffer[:end]))
        del self._buffer[: end + 2]
        self._start_chunk(size, signature)
        return True

    def _start_chunk(self, size: int, signature: str | None) -> None:
        if self._total + size > self.length:
            raise _incomplete()
        self._size = self._left = size
        if self._signer is not None:
            if signature is None:
                raise _cut()
            self._signature = signature
        self._check_size(size)
        if size:
            self._read = self._signed_data if self._signer else self._data
            return
        if self._signer is not None and not self._signer.is_chunk(b"", self._signature):
            raise _mismatch(self._signature)
        self._read = self._trailer

    def _check_size(self, size: int) -> None:
        if self._signer is not None and size > CHUNK_BYTES_MAX:
            raise AwsError(
                "InvalidRequest",
                f"A signed chunk may have at most {CHUNK_BYTES_MAX} bytes, not {size}.",
                400,
            )
        self._count += 1
        if size and self._short:  # s3-108: of unsigned chunks, too
            text = "Only the last chunk is allowed to have a size less than 8192 bytes"
            fields = {"Chunk": self._count, "BadChunkSize": self._short}
            raise AwsError("InvalidChunkSizeError", text, 403, **fields)
        self._short = size if size < CHUNK_BYTES_MIN else 0

    def _data(self) -> bool:
        if not self._buffer:
            return False
        data = bytes(memoryview(self._buffer)[: self._left])
        del self._buffer[: len(data)]
        self._release(data)
        return True

    def _signed_data(self) -> bool:
        if len(self._buffer) < self._left:
            return False
        data = bytes(memoryview(self._buffer)[: self._left])
        assert self._signer is not None
        if not self._signer.is_chunk(data, self._signature):
            raise _mismatch(self._signature)
        del self._buffer[: self._left]
        self._release(data)
        return True

    def _release(self, data: bytes) -> None:
        self._out.append(data)
        self._total += len(data)
        self._left -= len(data)
        if not self._left:
            self._read = self._data_end

    def _data_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != _LINE_END:
            raise _cut()
        del self._buffer[:2]
        self._read = self._header
        return True

    def _trailer(self) -> bool:
        if len(self._buffer) > _TRAILER_BYTES_MAX:
            raise _malformed_trailer()
        return False

    def _trailer_lines(self) -> tuple[dict[str, str], bytes, str | None]:
        """Names and values, the bytes that the trailer signature covers, the signature."""
        found: dict[str, str] = {}
        signature = None
        for line in bytes(self._buffer).decode("latin-1").split("\n"):
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            if not colon or name in found or signature is not None:
                raise _malformed_trailer()
            if name == "x-amz-trailer-signature":
                signature = value
            else:
                found[name] = value
        signed = "".join(f"{name}:{value}\n" for name, value in found.items())
        return found, signed.encode("latin-1"), signature


def _parse_header(line: bytes) -> tuple[int, str | None]:
    size, semicolon, extension = line.partition(b";")
    if _SIZE.fullmatch(size) is None:
        raise _cut()
    if not semicolon:
        return int(size, 16), None
    name, _, value = extension.decode("latin-1").partition("=")
    if name.strip() != "chunk-signature":
        raise _cut()
    return int(size, 16), value.strip()


def _anonymous_payload(request: Request) -> str:
    """Unsigned requests may be chunked, too; a literal hash is verified if it is one."""
    header = request.headers.get("x-amz-content-sha256", "")
    if header in sigv4.STREAMING or header in ("", sigv4.UNSIGNED):
        return header
    return header if re.fullmatch(r"[0-9a-f]{64}", header) else ""


def _signer(payload: str, verified: Verified | None) -> Signer | None:
    if payload == sigv4.UNSIGNED_CHUNKS_TRAILER:
        return None
    if verified is None:
        raise AwsError("AccessDenied", "Access Denied", 403)
    return Signer(verified)


def _decoded_length(request: Request) -> int:
    text = request.headers.get("x-amz-decoded-content-length", "").strip()
    if not (text.isdecimal() and text.isascii() and len(text) < 19):
        text = "You must provide the Content-Length HTTP header."
        raise AwsError("MissingContentLength", text, 411)
    return int(text)


def _announced_trailers(request: Request) -> frozenset[str]:
    names = request.headers.get("x-amz-trailer", "").lower().split(",")
    return frozenset(name.strip() for name in names if name.strip())


def _equal(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode())


def _incomplete() -> AwsError:
    return AwsError(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
        400,
    )


def _cut() -> AwsError:
    """s3-105: AWS doesn't say what is wrong with the chunks."""
    return AwsError("IncompleteBody", "The request body terminated unexpectedly", 400)


def _malformed_trailer() -> AwsError:
    return AwsError(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our "
        "published schema.",
        400,
    )


def _mismatch(signature: str) -> AwsError:
    return AwsError(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        403,
        SignatureProvided=signature,
    )
