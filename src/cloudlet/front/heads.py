"""Headers between the wire's bytes and our text."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from cloudlet.errors import AwsError
from cloudlet.exchange import Request

HEADERS_BYTES_MAX = 64 << 10
S3_BYTES_MAX = 8 << 10
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TITLED = re.compile(
    r"(?:accept|access-control|cache|content|last|transfer)-[a-z-]+"
    r"|age|allow|connection|date|expires|location|server|set-cookie|vary"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def read(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; repeated headers are joined, but for Host, which all else hangs on:
    two are refused (RFC 9112, 3.2). So is every transfer coding but `chunked` alone: where a body
    ends, all on its way must see alike."""
    if sum(map(len, chain.from_iterable(raw))) > HEADERS_BYTES_MAX:
        raise AwsError("RequestHeaderSectionTooLarge", "The headers are too large.", 431)
    headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in raw}
    headers = headers if len(headers) == len(raw) else _joined(raw)
    if headers.get("transfer-encoding", "chunked").strip(" \t").lower() != "chunked":
        message = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", message, 501)
    return headers


def _joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.lower().decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            if name == "host":
                raise AwsError("BadRequest", "There is more than one Host header.", 400)
            value = f"{headers[name]}{'; ' if name == 'cookie' else ','}{value}"
        headers[name] = value
    return headers


def check_s3(request: Request) -> None:
    """S3 takes 8 KB of headers and query."""
    headers = request.headers
    size_bytes = sum(map(len, headers)) + sum(map(len, headers.values())) + len(request.query)
    if size_bytes > S3_BYTES_MAX:
        message = "Your request header section exceeds the maximum allowed size."
        raise AwsError("RequestHeaderSectionTooLarge", message, 400, MaxSizeAllowed=S3_BYTES_MAX)


@lru_cache(maxsize=2048)
def name(text: str) -> str:
    """s3-102: HTTP's own as AWS spells them, for clients that mind the case; all others in lower
    case. Raises ValueError where it is no name."""
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no name of a header.")
    lower = text.lower()
    return "ETag" if lower == "etag" else lower.title() if _TITLED.fullmatch(lower) else lower


def value(text: str) -> str:
    """Without line breaks and other control characters."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def encoded(text: str) -> bytes:
    """Latin-1 where possible, else UTF-8, as S3 sends metadata."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def raw(header: str, text: str) -> tuple[bytes, bytes]:
    return name(header).lower().encode(), encoded(value(text))
