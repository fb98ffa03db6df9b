"""Which requests only read, told from their first bytes.

Those of S3 and DynamoDB that a process beside the main one can answer. Whatever is the least
unusual is none of them: the main process knows how to refuse it.
"""

import re
from collections.abc import Mapping

OPERATIONS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(("BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems")),
    "s3": frozenset(("GetObject", "HeadObject", "ListObjects", "ListObjectsV2")),
}
REQUEST_BYTES_MAX = 64 << 10
_TARGETS = {f"dynamodb_20120810.{name}".lower().encode() for name in OPERATIONS["dynamodb"]}
# of this machine, by address: under other names there may be websites and APIs
_HOST = re.compile(rb"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")
_UNUSUAL = (b"\r\nexpect:", b"\r\nupgrade:", b"\r\ntransfer-encoding:", b"\r\n ", b"\r\n\t")
_S3_SCOPE = b"/s3/aws4_request"


def size_of_read(data: bytes | bytearray) -> int | None:
    """Of the request that begins the data, its bytes; 0 where more is needed to tell; None: it is
    not one that only reads."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0 if len(data) < REQUEST_BYTES_MAX and data[:1] in b"GHP" else None
    head = data[: end + 2].lower()
    is_usual = head.count(b"\n") == head.count(b"\r\n") and not any(
        each in head for each in _UNUSUAL
    )
    if not is_usual or _HOST.fullmatch(_only(head, b"host")) is None:
        return None
    if head.startswith((b"get /", b"head /")):
        is_s3 = _S3_SCOPE in _only(head, b"authorization") and not head.startswith(
            (b"get /_", b"head /_")
        )
        return end + 4 if is_s3 and b"\r\ncontent-length:" not in head else None
    length = _only(head, b"content-length")
    if not head.startswith(b"post / http/1.1\r\n") or not length.isdigit():
        return None
    size = end + 4 + int(length)
    is_read = _only(head, b"x-amz-target") in _TARGETS and size <= REQUEST_BYTES_MAX
    return size if is_read else None


def _only(head: bytes | bytearray, name: bytes) -> bytes:
    """The value of a header that comes once, else nothing."""
    after = head.partition(b"\r\n%b:" % name)[2]
    if not after or b"\r\n%b:" % name in after:
        return b""
    return bytes(after.partition(b"\r\n")[0].strip())
