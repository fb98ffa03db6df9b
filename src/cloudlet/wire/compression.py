"""Compressed bodies: requests that are inflated, answers that a client takes compressed.

Requests: gzip (of several members, too) and deflate; a bomb stops at the limit of bodies. Answers:
DynamoDB's of 4 KB and more, as the client's Accept-Encoding allows. Its checksum is of the bytes
that are sent.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-compression.html
"""

import asyncio
import zlib

from cloudlet.errors import AwsError
from cloudlet.exchange import Request

_ANSWER_BYTES_MIN = 4096
_LEVEL = 1  # the loop waits meanwhile
_AT_ONCE_BYTES = 2048  # compressed
_PIECE_BYTES = 16 << 10
_MEMBERS_MAX = 10_000
_WINDOWS = {"gzip": 31, "deflate": 15}


async def inflated(request: Request, body: bytes, limit_bytes: int) -> bytes:
    """The body as it was before its Content-Encoding. dynamodb-037: what can't be inflated is
    answered with 500, an encoding that nobody knows as well."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity") or not request.headers.get("x-amz-target", "").startswith(
        "DynamoDB"
    ):
        return body if encoding != "gzip" else await _inflated(body, "gzip", limit_bytes)
    try:
        if encoding not in _WINDOWS:
            raise ValueError(encoding)
        return await _inflated(body, encoding, limit_bytes)
    except (ValueError, AwsError) as error:
        message = "The request processing has failed because of an unknown error."
        raise AwsError("InternalFailure", message, 500) from error


async def _inflated(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Not on the event loop, unless that is as good as nothing: a thousand times as much may come
    out as goes in."""
    if len(body) > _AT_ONCE_BYTES:
        return await asyncio.to_thread(_members, body, encoding, limit_bytes)
    return _members(body, encoding, limit_bytes)


def _members(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    position = 0
    for _ in range(_MEMBERS_MAX):
        inflater = zlib.decompressobj(wbits=_WINDOWS[encoding])
        while not inflater.eof:
            piece = body[position : position + _PIECE_BYTES]
            if not piece:
                raise AwsError("SerializationException", "The body is cut off.", 400)
            try:
                parts.append(inflater.decompress(piece, limit_bytes))
            except zlib.error as error:
                raise AwsError("SerializationException", "The body is damaged.", 400) from error
            limit_bytes -= len(parts[-1])
            if inflater.unconsumed_tail or limit_bytes <= 0:
                raise AwsError("RequestEntityTooLarge", "The inflated body is too large.", 413)
            position += len(piece) - len(inflater.unused_data)
        if position == len(body):
            return b"".join(parts)
    raise AwsError("RequestEntityTooLarge", "The body has too many members.", 413)


def chosen(request: Request) -> str:
    """The encoding that the client likes best, of equals the first; "" for none. A star stands for
    those that aren't named, and comes after them."""
    wanted = request.headers.get("accept-encoding", "").lower()
    if not wanted or wanted == "identity":
        return ""
    liked: dict[str, float] = {}
    for given in wanted.split(","):
        name, _, parameter = (part.strip() for part in given.partition(";"))
        liked[name] = max(liked.get(name, 0.0), _quality(parameter))
    rest = liked.get("*", 0.0)
    named = [(liked[name], name) for name in liked if name in _WINDOWS]
    named += [(rest, name) for name in _WINDOWS if name not in liked]
    quality, name = max(named, key=lambda each: each[0])
    return name if quality > 0 else ""


def _quality(parameter: str) -> float:
    """Of the first "q=" that there is, whatever stands before it."""
    _, named, value = parameter.partition("q=")
    try:
        return min(1.0, float(value.partition(";")[0])) if named else 1.0
    except ValueError:
        return 1.0


def summed(body: bytes, encoding: str) -> tuple[bytes, list[tuple[str, str]]]:
    """An answer as it is sent, compressed where that is wanted and pays, and headers of it."""
    headers: list[tuple[str, str]] = []
    if encoding and len(body) >= _ANSWER_BYTES_MIN:
        body = deflated(body, encoding)
        headers.append(("Content-Encoding", encoding))
    return body, [*headers, ("x-amz-crc32", str(zlib.crc32(body)))]


def deflated(body: bytes, encoding: str) -> bytes:
    deflater = zlib.compressobj(_LEVEL, wbits=_WINDOWS[encoding])
    return deflater.compress(body) + deflater.flush()
