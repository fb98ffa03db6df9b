"""Which requests are light, told from their first bytes: those that readers may be given.

They read of S3 or DynamoDB, write items, or put small objects. Whatever is the least unusual is
none of them: the main process knows how to refuse it.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

READS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(("BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems")),
    "s3": frozenset(("GetObject", "HeadObject", "ListObjects", "ListObjectsV2")),
}
WRITES: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(
        ("BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem")
    ),
    "s3": frozenset(("PutObject",)),
}
REQUEST_BYTES_MAX = 64 << 10
_TARGETS = {
    f"dynamodb_20120810.{name}".lower().encode(): name in WRITES["dynamodb"]
    for name in READS["dynamodb"] | WRITES["dynamodb"]
}
# of this machine, by address: under other names there may be websites and APIs
_HOST = re.compile(rb"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")
# headers that change what follows, and lines that go on
_UNUSUAL = (b"\nupgrade", b"\ntransfer-encoding", b"\n ", b"\n\t")
_S3_SCOPE = b"/s3/aws4_request"
_S3_METHODS = (b"get /", b"head /", b"put /")
_BEGINNINGS = (b"POST / ", *(method.upper() for method in _S3_METHODS))
_OWN_PATHS = tuple(method + b"_" for method in _S3_METHODS)


class Light(NamedTuple):
    size: int  # bytes; 0: more of the request is needed to tell
    writes: bool = False
    waits: bool = False  # for a word that the body may come


_UNKNOWN = Light(0)


def may_be_light(data: bytes) -> bool:
    """A first look, which costs nothing."""
    return data.startswith(_BEGINNINGS) and len(data) <= REQUEST_BYTES_MAX


def light(data: bytes | bytearray) -> Light | None:
    """Of the request that begins the data; None where it is not light."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return _UNKNOWN if len(data) < REQUEST_BYTES_MAX and data[:1] in b"GHP" else None
    head = data[: end + 2].lower()
    lines = head.count(b"\n")
    if lines != head.count(b"\r\n") or any(map(head.__contains__, _UNUSUAL)):
        return None
    if _HOST.fullmatch(_only(head, b"\r\nhost:") or b"") is None:
        return None
    length = _only(head, b"\r\ncontent-length:")
    expected = _only(head, b"\r\nexpect:")
    writes = _of_s3(head) if head.startswith(_S3_METHODS) else _of_items(head)
    if writes is None or expected not in ((None, b"100-continue") if writes else (None,)):
        return None
    if not writes and head.startswith((b"get", b"head")):
        return Light(end + 4) if length in (b"0", None) else None
    if length is None or not length.isdigit():
        return None
    size = end + 4 + int(length)
    waits = expected is not None and len(data) == end + 4 < size
    return Light(size, writes, waits) if size <= REQUEST_BYTES_MAX else None


def _of_s3(head: bytes | bytearray) -> bool | None:
    """Whether it writes; None where it is not light."""
    is_signed = _S3_SCOPE in (_only(head, b"\r\nauthorization:") or b"")
    if not is_signed or head.startswith(_OWN_PATHS):
        return None
    if not head.startswith(b"put"):
        return False
    _, _, query = head[: head.find(b"\r\n")].split(b" ")[1].partition(b"?")
    return True if query in (b"", b"x-id=putobject") and b"\nx-amz-copy" not in head else None


def _of_items(head: bytes | bytearray) -> bool | None:
    is_post = head.startswith(b"post / http/1.1\r\n")
    return _TARGETS.get(_only(head, b"\r\nx-amz-target:") or b"") if is_post else None


def _only(head: bytes | bytearray, name: bytes) -> bytes | None:
    """The value of a header that comes once; nothing where it comes more often; None: never."""
    at = head.find(name)
    if at < 0:
        return None
    start = at + len(name)
    if head.find(name, start) >= 0:
        return b""
    return bytes(head[start : head.find(b"\r\n", start)].strip())
