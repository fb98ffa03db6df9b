"""A request as a line of S3's server access log.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote

from cloudlet.call import ANONYMOUS, Caller
from cloudlet.exchange import Request, Response, Streamed
from cloudlet.front.accounts import Accounts
from cloudlet.s3.bucket import owner_id
from cloudlet.s3.request_metrics import Told
from cloudlet.wire import models
from cloudlet.wire.protocol import s3_bucket_of_host

# subresource → what the log calls it; others are called as in the query, in capitals
_RESOURCES = {"": "BUCKET", "delete": "MULTI_OBJECT_DELETE", "list-type": "BUCKET"}
_PLAIN = {
    "versionId", "partNumber", "prefix", "delimiter", "max-keys", "marker", "start-after",
    "continuation-token", "encoding-type", "fetch-owner", "x-id", "list-type", "uploadId",
    "key-marker", "version-id-marker", "max-uploads", "max-parts", "part-number-marker",
    "response-content-type", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-cache-control", "response-expires",
}  # fmt: skip


@dataclass(slots=True)
class Seen:
    """What the door learns of a request that is logged."""

    began_s: float = field(default_factory=time.perf_counter)
    at_s: float = field(default_factory=time.time)
    caller: Caller = ANONYMOUS
    code: str = "-"

    def age_ms(self) -> float:
        return (time.perf_counter() - self.began_s) * 1000


class Watch:
    """Has requests for buckets with access logs recorded, once their answers are sent."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    @property
    def is_on(self) -> bool:
        for each in self._accounts.opened.values():
            if each.access_logs.is_on or each.request_metrics.is_on:
                return True
        return False

    def begin(self, request: Request) -> None:
        request.seen = Seen()

    def seen(self, request: Request, response: Response) -> Response:
        if models.detect(request) != "s3":
            return response
        bucket, key = _place(request)
        owner = self._accounts.bucket_owner(bucket)
        if owner is None:
            return response
        place = (owner.config.account, bucket, key)
        first_ms = request.seen.age_ms()

        def ended(sent: int) -> None:
            owner.access_logs.add(bucket, line(request, response, place, sent))
            told = _told(request, key, (response.status, sent, first_ms))
            owner.request_metrics.add(bucket, told)

        if isinstance(response.body, bytes):
            ended(len(response.body))
            return response
        return replace(response, body=Counted(response.body, ended))


def _told(request: Request, key: str, answer: tuple[int, int, float]) -> Told:
    kind = "LIST" if operation(request, key) == "REST.GET.BUCKET" else request.method
    received = int(_length(request) or 0)
    return Told(kind, key, answer[0], answer[1], received, answer[2], request.seen.age_ms())


def _length(request: Request) -> str | None:
    headers = request.headers
    return headers.get("x-amz-decoded-content-length") or headers.get("content-length")


def _place(request: Request) -> tuple[str, str]:
    """Bucket and key."""
    path = request.path.removeprefix("/")
    bucket = s3_bucket_of_host(request.host)
    if bucket:
        return bucket, path
    bucket, _, key = path.partition("/")
    return bucket, key


class Counted:
    """A response body that tells at its end how many bytes went."""

    def __init__(self, body: Streamed, ended: Any) -> None:
        self._body, self._ended, self._sent = body, ended, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._body:
            self._sent += len(block)
            yield block

    async def aclose(self) -> None:
        await self._body.aclose()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self._sent)


def operation(request: Request, key: str) -> str:
    """REST.GET.OBJECT, …"""
    if request.method == "OPTIONS":
        return "REST.OPTIONS.PREFLIGHT"
    query = parse_qs(request.query, keep_blank_values=True)
    copied = "x-amz-copy-source" in request.headers
    if key and "uploadId" in query:
        resource = "PART" if "partNumber" in query else "UPLOAD"
        return f"REST.{'COPY' if copied else request.method}.{resource}"
    if key and copied:
        return "REST.COPY.OBJECT"
    names = [name for name in query if name not in _PLAIN and not name.lower().startswith("x-amz")]
    known = names[0] if names else ""
    if not known and key:
        return f"REST.{request.method}.OBJECT"
    prefix = "OBJECT_" if key and known in ("tagging",) else ""
    return f"REST.{request.method}.{prefix}{_RESOURCES.get(known) or quote(known.upper())}"


def line(request: Request, response: Response, place: tuple[str, str, str], sent: int) -> str:
    """`place` is the bucket owner's account, the bucket and the key."""
    account, bucket, key = place
    seen: Seen = request.seen
    headers = {name.lower(): value for name, value in response.headers}
    took_ms = int(seen.age_ms())
    moment = datetime.fromtimestamp(seen.at_s, UTC)
    uri = request.raw_path + (f"?{request.query}" if request.query else "")
    query = parse_qs(request.query)
    fields = (
        owner_id(account),
        bucket,
        f"[{moment:%d/%b/%Y:%H:%M:%S +0000}]",
        request.client or "-",
        _requester(seen.caller),
        request.id,
        operation(request, key),
        quote(key, safe="/") or "-",
        _quoted(f"{request.method} {uri} HTTP/1.1"),
        str(response.status),
        seen.code,
        str(sent if sent and request.method != "HEAD" else "-"),
        _object_size(request, key, headers),
        str(took_ms),
        str(took_ms) if response.status < 400 else "-",
        _quoted(request.headers.get("referer")),
        _quoted(request.headers.get("user-agent")),
        quote((query.get("versionId") or ["-"])[0]),
        headers.get("x-amz-id-2") or request.id,
        *_signature(request),
        request.host or "-",
        "-" if request.scheme == "http" else "TLSv1.3",
        "-",
        "-",
    )
    return " ".join(fields)


def _quoted(text: str | None) -> str:
    """Nobody ends the field, or the line, before its time."""
    return f'"{text.replace(chr(34), "%22")}"'.replace("\n", " ") if text else '"-"'


def _requester(caller: Caller) -> str:
    if caller.kind == "anonymous":
        return "-"
    return owner_id(caller.account) if caller.kind == "root" else caller.arn


def _object_size(request: Request, key: str, headers: dict[str, str]) -> str:
    """Of the object, which is more than what a range of it has."""
    if not key:
        return "-"
    if request.method == "PUT":
        return _length(request) or "-"
    whole = headers.get("content-range", "").rpartition("/")[2]
    return whole or headers.get("content-length") or "-"


def _signature(request: Request) -> tuple[str, str, str]:
    """Signature version, cipher suite and kind of authentication."""
    cipher = "-" if request.scheme == "http" else "TLS_AES_128_GCM_SHA256"
    authorization = request.headers.get("authorization", "")
    if authorization:
        return "SigV4" if authorization.startswith("AWS4") else "SigV2", cipher, "AuthHeader"
    if "X-Amz-Signature" in request.query:
        return "SigV4", cipher, "QueryString"
    return ("SigV2", cipher, "QueryString") if "Signature=" in request.query else ("-", cipher, "-")
