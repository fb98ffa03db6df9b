"""The MD5 sums by which SQS clients check what was sent and received.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
"""

import base64
import hashlib
import struct
from typing import Any


def of_body(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def of_attributes(attributes: dict[str, Any]) -> str | None:
    """None without attributes. Binary values are bytes, or base64 text as stored."""
    if not attributes:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        _field(digest, name.encode())
        _field(digest, attribute["DataType"].encode())
        if attribute.get("StringValue") is not None:
            digest.update(b"\x01")
            _field(digest, attribute["StringValue"].encode())
        else:
            value = attribute.get("BinaryValue") or b""
            digest.update(b"\x02")
            _field(digest, base64.b64decode(value) if isinstance(value, str) else value)
    return digest.hexdigest()


def _field(digest: Any, data: bytes) -> None:
    digest.update(struct.pack(">I", len(data)))
    digest.update(data)
