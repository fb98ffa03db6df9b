"""Requests signed by botocore's own signers, as our front would hand them over."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloudlet.auth.sigv4 import Verified, Verifier
from cloudlet.call import Caller
from cloudlet.exchange import Body, Request

REGION = "us-east-1"
NOW_MS = 1_795_000_000_000
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CALLER = Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000")
SIGNERS = {
    ("s3", False): S3SigV4Auth,
    ("s3", True): S3SigV4QueryAuth,
    ("other", False): SigV4Auth,
    ("other", True): SigV4QueryAuth,
}


@dataclass(frozen=True)
class Known:
    access_key: str = KEY
    secret: str = SECRET
    session_token: str | None = None
    expires_ms: int | None = None
    caller: Caller = CALLER


def lookup(*known: Known) -> Any:
    return {item.access_key: item for item in known}.get


def signed(
    url: str,
    method: str = "GET",
    *,
    service: str = "s3",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    presign_s: int | None = None,
    credential: Known | None = None,
    region: str = REGION,
    at_ms: int = NOW_MS,
) -> Request:
    known = credential or Known()
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    request.context["client_config"] = None
    kind = "s3" if service == "s3" else "other"
    options = {} if presign_s is None else {"expires": presign_s}
    who = Credentials(known.access_key, known.secret, known.session_token)
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_: moment):
        SIGNERS[kind, presign_s is not None](who, service, region, **options).add_auth(request)
    return received(request, body)


def received(request: AWSRequest, body: bytes) -> Request:
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers.setdefault("host", parts.netloc)
    return Request(request.method, parts.path, parts.query, headers, Body.of(body))


def verify(request: Request, *known: Known, now_ms: int = NOW_MS, **options: Any) -> Verified:
    find = lookup(*(known or (Known(),)))
    verdict = asyncio.run(Verifier().verify(request, find, now_ms, REGION, **options))
    assert verdict is not None
    return verdict
