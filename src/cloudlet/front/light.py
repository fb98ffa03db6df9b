"""Which requests are light, told from their first bytes: those that readers may be given.

They read of S3 or DynamoDB, or write items. Whatever is the least unusual is none of them: the main
process knows how to refuse it.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

READS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(("BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems")),
    "s3": frozenset(("GetObject", "HeadObject", "ListObjects", "ListObjectsV2")),
}
WRITES = frozenset(
    ("BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem")
)  # of DynamoDB
REQUEST_BYTES_MAX = 64 << 10
_TARGETS = {
    f"dynamodb_20120810.{name}".lower().encode(): name in WRITES
    for name in READS["dynamodb"] | WRITES
}
# of this machine, by address: under other names there may be websites and APIs
_HOST = re.compile(rb"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")
# headers that change what follows, and lines that go on
_UNUSUAL = (b"\nexpect", b"\nupgrade", b"\ntransfer-encoding", b"\n ", b"\n\t")
_S3_SCOPE = b"/s3/aws4_request"


class Light(NamedTuple):
    size: int  # bytes; 0: more of the request is needed to tell
    writes: bool = False


_UNKNOWN = Light(0)


def may_be_light(data: bytes) -> bool:
    """A first look, which costs nothing."""
    return data.startswith((b"POST / ", b"GET /", b"HEAD /")) and len(data) <= REQUEST_BYTES_MAX


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
    if head.startswith((b"get /", b"head /")):
        is_s3 = _S3_SCOPE in (_only(head, b"\r\nauthorization:") or b"")
        is_ours = is_s3 and not head.startswith((b"get /_", b"head /_"))
        return Light(end + 4) if is_ours and length in (b"0", None) else None
    writes = _TARGETS.get(_only(head, b"\r\nx-amz-target:") or b"")
    is_post = head.startswith(b"post / http/1.1\r\n")
    if writes is None or not is_post or length is None or not length.isdigit():
        return None
    size = end + 4 + int(length)
    return Light(size, writes) if size <= REQUEST_BYTES_MAX else None


def _only(head: bytes | bytearray, name: bytes) -> bytes | None:
    """The value of a header that comes once; nothing where it comes more often; None: never."""
    at = head.find(name)
    if at < 0:
        return None
    start = at + len(name)
    if head.find(name, start) >= 0:
        return b""
    return bytes(head[start : head.find(b"\r\n", start)].strip())
