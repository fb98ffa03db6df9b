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
_UNUSUAL = (b"\r\nexpect:", b"\r\nupgrade:", b"\r\ntransfer-encoding:", b"\r\n ", b"\r\n\t")
_S3_SCOPE = b"/s3/aws4_request"


class Light(NamedTuple):
    size: int  # bytes; 0: more of the request is needed to tell
    writes: bool = False


_UNKNOWN = Light(0)


def light(data: bytes | bytearray) -> Light | None:
    """Of the request that begins the data; None where it is not light."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return _UNKNOWN if len(data) < REQUEST_BYTES_MAX and data[:1] in b"GHP" else None
    head = data[: end + 2].lower()
    is_usual = head.count(b"\n") == head.count(b"\r\n") and not any(x in head for x in _UNUSUAL)
    if not is_usual or _HOST.fullmatch(_only(head, b"host")) is None:
        return None
    length = _only(head, b"content-length") if b"\r\ncontent-length:" in head else None
    if head.startswith((b"get /", b"head /")):
        is_s3 = _S3_SCOPE in _only(head, b"authorization")
        is_ours = is_s3 and not head.startswith((b"get /_", b"head /_"))
        return Light(end + 4) if is_ours and length in (b"0", None) else None
    writes = _TARGETS.get(_only(head, b"x-amz-target"))
    is_post = head.startswith(b"post / http/1.1\r\n")
    if writes is None or not is_post or length is None or not length.isdigit():
        return None
    size = end + 4 + int(length)
    return Light(size, writes) if size <= REQUEST_BYTES_MAX else None


def _only(head: bytes | bytearray, name: bytes) -> bytes:
    """The value of a header that comes once, else nothing."""
    after = head.partition(b"\r\n%b:" % name)[2]
    if not after or b"\r\n%b:" % name in after:
        return b""
    return bytes(after.partition(b"\r\n")[0].strip())
