"""Asking a distribution's origins, through the cache; compresses what viewers take compressed.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
"""

import asyncio
import hashlib
import re
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from cloudlet.call import Cloud
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request, Response
from cloudlet.gateway.answers import message
from cloudlet.gateway.cloudfront import edge_cache, forwarding, http_origin, s3_origin
from cloudlet.gateway.cloudfront.behaviors import Behavior, Caching, Distribution, Origin
from cloudlet.gateway.cloudfront.edge_cache import OBJECT_MAX_BYTES, EdgeCache, Entry
from cloudlet.gateway.http_apis.http_api import Gateway

_COMPRESSED_MIN_BYTES, _COMPRESSED_MAX_BYTES = 1000, 10_000_000
_IN_THREAD_BYTES = 64 << 10
_SIGNED_MAX_BYTES = 6 << 20
_NO_MATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS"
    " Secret Access Key and signing method. Consult the service documentation for details."
)
Inside = Callable[[Request], Awaitable[Response | None]]
_CONDITIONS = frozenset(
    ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range")
)
_COMPRESSED = re.compile(
    r"text/(css|csv|html|javascript|js|plain|richtext|tab-separated-values|xml|x-component"
    r"|x-java-source|x-script)"
    r"|application/(dash\+xml|eot|font|font-sfnt|javascript|json|opentype|otf|pdf|pkcs7-mime"
    r"|protobuf|rss\+xml|truetype|ttf|vnd\.apple\.mpegurl|vnd\.mapbox-vector-tile"
    r"|vnd\.ms-fontobject|wasm|xhtml\+xml|xml|x-(font-(opentype|truetype|ttf)|httpd-cgi"
    r"|javascript|mpegurl|opentype|otf|perl|ttf))"
    r"|font/(eot|opentype|otf|ttf)|image/svg\+xml|vnd\.apple\.mpegurl"
)


class Origins:
    """`cache` is the edge's one."""

    def __init__(self, gateway: Gateway) -> None:
        self._cloud: Cloud = gateway.cloud
        self._gateway = gateway
        self.cache = EdgeCache()
        self.inside: Inside = _nothing_inside  # answers for other hosts of this cloud

    async def fetch(
        self, distribution: Distribution, behavior: Behavior, request: Request, raw_path: str
    ) -> Response:
        """The answer for the viewer, from the cache or the origin; `x-cache` tells which."""
        sent = forwarding.to_origin(request, behavior)
        caching = behavior.caching
        is_kept = request.method == "GET" and "range" not in request.headers
        if caching is None or not (is_kept or request.method == "HEAD"):
            return await self._origin(distribution, behavior, sent, raw_path)
        query = forwarding.query(request, (caching.queries,))
        key = edge_cache.key(distribution.id, caching, request, raw_path, query)
        entry = self.cache.get(key)
        now_ms = self._cloud.config.now_ms()
        if entry is not None and entry.expires_ms > now_ms:
            return _told(entry, request, now_ms, "Hit")
        if not is_kept:
            return await self._origin(distribution, behavior, sent, raw_path)
        sent.headers = _asking(sent.headers, entry)
        if edge_cache.wants_gzip(caching, request):
            sent.headers["accept-encoding"] = "gzip"
        mark = self.cache.mark(distribution.id)
        response = await self._origin(distribution, behavior, sent, raw_path)
        now_ms = self._cloud.config.now_ms()
        if entry is not None and response.status == 304:
            entry = self._refreshed(entry, response, distribution, caching)
            self.cache.put(key, entry, mark)
            return _told(entry, request, now_ms, "RefreshHit")
        if entry is not None and response.status >= 500:  # the origin fails: the old copy serves
            await discard(response)
            return _told(entry, request, now_ms, "Hit")
        if not await _collect(response):
            return response
        await _compress(response, behavior, caching, request)
        kept_s = edge_cache.ttl_s(caching, response, now_ms, distribution.errors)
        made = _entry(response, now_ms, kept_s)
        if kept_s > 0:
            self.cache.put(key, made, mark)
        return _told(made, request, now_ms, "Miss")

    def _refreshed(
        self, entry: Entry, response: Response, distribution: Distribution, caching: Caching
    ) -> Entry:
        """The entry, good for as long as the new answer's headers say."""
        now_ms = self._cloud.config.now_ms()
        renewed = dict(response.headers)
        headers = [(name, renewed.pop(name, value)) for name, value in entry.headers]
        answer = Response(entry.status, headers, entry.body)
        kept_s = edge_cache.ttl_s(caching, answer, now_ms, distribution.errors)
        return _entry(answer, now_ms, kept_s)

    async def _origin(
        self, distribution: Distribution, behavior: Behavior, sent: Request, raw_path: str
    ) -> Response:
        origin = behavior.origin
        try:
            if origin.bucket is not None:
                response = await s3_origin.fetch(
                    self._cloud, origin, sent, raw_path, distribution.arn
                )
            elif origin.api_id is not None:
                path = origin.path + raw_path
                response = await self._gateway.answer(sent, origin.api_id, path)
            else:
                response = await self._custom(distribution, origin, sent, raw_path)
        except AwsError as error:
            response = message(error.status, error.message)
        if behavior.drops_cookies:
            response.headers = [h for h in response.headers if h[0] != "set-cookie"]
        return response

    async def _custom(
        self, distribution: Distribution, origin: Origin, sent: Request, raw_path: str
    ) -> Response:
        """A website, function URL or custom domain of this cloud, or anybody's HTTP service."""
        headers = {**sent.headers, "host": origin.domain}
        inside = replace(sent, raw_path=origin.path + raw_path, headers=headers)
        if ".lambda-url." in origin.domain:
            inside.signer = origin.caller(sent, self._cloud.config.account, distribution.arn)
        if inside.signer is not None:
            headers.pop("authorization", None)
            await _check_hash(inside)
        response = await self.inside(inside)
        if response is not None:
            return response
        if origin.domain.endswith((".amazonaws.com", ".on.aws")):
            raise NotImplementedByCloudlet(f"The origin {origin.domain} of a distribution")
        return await http_origin.fetch(origin, sent, raw_path)


async def _check_hash(request: Request) -> None:
    """gateway-063: CloudFront signs the hash of the body that the viewer tells, never a body."""
    body = await request.body.read(_SIGNED_MAX_BYTES)
    request.body = Body.of(body)
    told = request.headers.get("x-amz-content-sha256", "")
    if body and told != hashlib.sha256(body).hexdigest():
        raise AwsError("InvalidSignatureException", _NO_MATCH, 403)


async def _nothing_inside(request: Request) -> Response | None:
    return None


def _told(entry: Entry, request: Request, now_ms: int, outcome: str) -> Response:
    response = entry.response(request, now_ms, outcome)
    if entry.status == 200 and edge_cache.is_unchanged(request, entry.headers):
        kept = [h for h in response.headers if h[0] not in ("content-length", "content-type")]
        return Response(304, kept)
    return response


def _asking(headers: dict[str, str], entry: Entry | None) -> dict[str, str]:
    """The viewer's conditions are answered here; the origin is asked whether ours is still good."""
    asking = {name: value for name, value in headers.items() if name not in _CONDITIONS}
    if entry is not None and entry.status == 200:
        if etag := entry.header("etag"):
            asking["if-none-match"] = etag.removeprefix("W/")
        elif modified := entry.header("last-modified"):
            asking["if-modified-since"] = modified
    return asking


def _entry(response: Response, now_ms: int, kept_s: float) -> Entry:
    assert isinstance(response.body, bytes)
    headers = [h for h in response.headers if h[0] not in ("content-length", "age", "x-cache")]
    expires_ms = now_ms + int(kept_s * 1000)
    return Entry(response.status, headers, response.body, now_ms, expires_ms)


async def _collect(response: Response) -> bool:
    """Makes a streamed body bytes, unless it is too long to keep."""
    body = response.body
    if isinstance(body, bytes):
        return True
    length = edge_cache.header(response.headers, "content-length")
    if not length.isdigit() or int(length) > OBJECT_MAX_BYTES:
        return False
    try:
        response.body = b"".join([chunk async for chunk in body])
    finally:
        await body.aclose()
    return True


async def _compress(
    response: Response, behavior: Behavior, caching: Caching, request: Request
) -> None:
    """Brotli is not offered: viewers that take it take gzip, too."""
    body = response.body
    kind = edge_cache.header(response.headers, "content-type").split(";")[0].strip().lower()
    if (
        not behavior.compresses
        or not isinstance(body, bytes)
        or response.status != 200
        or not _COMPRESSED.fullmatch(kind)
        or not _COMPRESSED_MIN_BYTES <= len(body) <= _COMPRESSED_MAX_BYTES
        or edge_cache.header(response.headers, "content-encoding")
        or not edge_cache.wants_gzip(caching, request)
    ):
        return
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    if len(body) > _IN_THREAD_BYTES:
        response.body = await asyncio.to_thread(lambda: squeeze.compress(body) + squeeze.flush())
    else:
        response.body = squeeze.compress(body) + squeeze.flush()
    headers = [_weakened(h) for h in response.headers if h[0] != "content-length"]
    response.headers = [*headers, ("content-encoding", "gzip"), ("vary", "Accept-Encoding")]


def _weakened(header: tuple[str, str]) -> tuple[str, str]:
    name, value = header
    return (name, f"W/{value}") if name == "etag" and not value.startswith("W/") else header


async def discard(response: Response) -> None:
    if not isinstance(response.body, bytes):
        with suppress(Exception):
            await response.body.aclose()


def without_conditions(request: Request, raw_path: str) -> Request:
    """A GET of another path, as for an error page."""
    method = "HEAD" if request.method == "HEAD" else "GET"
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in _CONDITIONS and not name.startswith(("range", "content-"))
    }
    return replace(request, method=method, query="", raw_path=raw_path, headers=headers)
