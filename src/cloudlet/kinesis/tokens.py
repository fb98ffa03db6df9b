"""Opaque texts that clients bring back: iterators and next tokens, signed by their stream's secret.

https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson

from cloudlet.errors import AwsError
from cloudlet.store.database import Row, View

LIFE_MS = 300_000
_MAC_BYTES = 16


def sealed(stream: Row, kind: str, *values: Any) -> str:
    body = orjson.dumps([stream["id"], *values])
    return urlsafe_b64encode(_mac(stream, kind, body) + body).decode()


def opened(view: View, kind: str, token: str) -> tuple[Row, list[Any]]:
    """The stream that made it, and the values. A deleted stream's tokens are worth nothing."""
    try:
        raw = urlsafe_b64decode(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        stream_id, *values = orjson.loads(body)
        stream = view.one("SELECT * FROM kinesis_streams WHERE id = ?", (stream_id,))
    except (ValueError, TypeError, binascii.Error, OverflowError):
        stream = None
    if stream is None or not hmac.compare_digest(mac, _mac(stream, kind, body)):
        raise AwsError("InvalidArgumentException", f"Invalid {kind}.")
    return stream, values


def check_age(now_ms: int, made_ms: int) -> None:
    if now_ms - made_ms > LIFE_MS:
        raise AwsError("ExpiredNextTokenException", "The next token has expired.")


def _mac(stream: Row, kind: str, body: bytes) -> bytes:
    secret = bytes.fromhex(stream["secret"])
    return hmac.digest(secret, kind.encode() + body, "sha256")[:_MAC_BYTES]
