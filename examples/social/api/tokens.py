"""Sessions are JSON Web Tokens, signed with HMAC-SHA256; the authorizer verifies them.

One party signs and verifies, so a shared key does, and needs no package. The key was made when the
stack was and lies in the parameter store: neither template nor settings nor logs show it.
https://datatracker.ietf.org/doc/html/rfc7519
"""

import base64
import hashlib
import hmac
import json
import os
import time
from functools import cache
from typing import Any

import boto3

LIFETIME_S = 12 * 3600


@cache
def _key() -> bytes:
    name = os.environ["SIGNING_KEY"]
    found = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    return base64.b64decode(found["Parameter"]["Value"])


def issue(handle: str) -> str:
    now = int(time.time())
    claims = {"sub": handle, "iat": now, "exp": now + LIFETIME_S}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_text(hmac.digest(_key(), signed.encode(), hashlib.sha256))}"


def _part(document: dict[str, Any]) -> str:
    return _text(json.dumps(document, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
