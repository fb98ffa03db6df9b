"""What the edge keeps of origins' answers: in memory, bounded, the least recently used goes first.

How long is the cache policy's and `Cache-Control`'s to say; the key is the path and what the policy
lets into it. Answers over 4 MiB are not kept: their origin is in the same process. An invalidation
also keeps out what was asked for before it.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from cloudlet.exchange import Request, Response
from cloudlet.gateway.cloudfront.behaviors import Caching

OBJECT_MAX_BYTES = 4 << 20
TOTAL_MAX_BYTES = 32 << 20
_ENTRY_BYTES = 1024  # what an entry takes besides its body
_ERROR_S = 10
_ERRORS = frozenset((400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504))
_KEPT = frozenset((200, 203, 300, 301, 308, 410))
_KEPT_IF_ASKED = frozenset((204, 302, 303, 307))
_FORBIDDEN = frozenset(("no-cache", "no-store", "private"))
Key = tuple[Any, ...]


@dataclass(slots=True)
class Entry:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    stored_ms: int
    expires_ms: int

    @property
    def size_bytes(self) -> int:
        return len(self.body) + _ENTRY_BYTES

    def header(self, name: str) -> str:
        return header(self.headers, name)

    def response(self, request: Request, now_ms: int, outcome: str) -> Response:
        headers = [*self.headers, ("x-cache", f"{outcome} from cloudfront")]
        if outcome != "Miss":
            headers.append(("age", str((now_ms - self.stored_ms) // 1000)))
        if request.method == "HEAD":
            return Response(self.status, [*headers, ("content-length", str(len(self.body)))])
        return Response(self.status, headers, self.body)


class EdgeCache:
    def __init__(self) -> None:
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._size_bytes = 0
        self._marks: dict[str, int] = {}  # how often a distribution was invalidated

    def get(self, key: Key) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def mark(self, distribution: str) -> int:
        """To be read before an origin is asked."""
        return self._marks.get(distribution, 0)

    def put(self, key: Key, entry: Entry, mark: int) -> None:
        """Not if the distribution was invalidated since the mark."""
        if mark != self.mark(key[0]) or entry.size_bytes > OBJECT_MAX_BYTES:
            return
        self._drop(key)
        self._entries[key] = entry
        self._size_bytes += entry.size_bytes
        while self._size_bytes > TOTAL_MAX_BYTES:
            self._drop(next(iter(self._entries)))

    def invalidate(self, distribution: str, paths: list[str]) -> None:
        self._marks[distribution] = self.mark(distribution) + 1
        patterns = [_pattern(path) for path in paths]
        for key in list(self._entries):
            if key[0] == distribution and any(p.fullmatch(_named(key)) for p in patterns):
                self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size_bytes -= entry.size_bytes


def key(distribution: str, caching: Caching, request: Request, raw_path: str, query: str) -> Key:
    """`query` is what of the query the policy lets into the key."""
    headers = request.headers
    cookies = tuple(
        cookie.strip()
        for cookie in headers.get("cookie", "").split(";")
        if cookie.strip() and caching.cookies.takes(cookie.strip().split("=", 1)[0])
    )
    chosen = tuple((name, headers.get(name)) for name in sorted(caching.headers.names))
    return (distribution, raw_path, query, chosen, cookies, wants_gzip(caching, request))


def wants_gzip(caching: Caching, request: Request) -> bool:
    return caching.encodes and bool(
        re.search(
            r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", request.headers.get("accept-encoding", "")
        )
    )


def ttl_s(
    caching: Caching, response: Response, now_ms: int, errors: Mapping[int, Mapping[str, Any]]
) -> float:
    """How long an answer is kept; 0: not at all."""
    control = header(response.headers, "cache-control").lower()
    directives = {d.strip().partition("=")[0]: d.partition("=")[2] for d in control.split(",")}
    is_forbidden = bool(_FORBIDDEN & directives.keys()) or header(response.headers, "vary") == "*"
    explicit = _explicit_s(directives, response, now_ms)
    if response.status in _ERRORS:
        least = (errors.get(response.status) or {}).get("ErrorCachingMinTTL")
        return 0 if is_forbidden else max(_ERROR_S if least is None else least, explicit or 0)
    if response.status not in _KEPT and response.status not in _KEPT_IF_ASKED:
        return 0
    if is_forbidden:
        return caching.min_s
    if explicit is None:
        is_kept = response.status in _KEPT
        return max(caching.default_s, caching.min_s) if is_kept else caching.min_s
    return min(max(explicit, caching.min_s), caching.max_s)


def _explicit_s(directives: dict[str, str], response: Response, now_ms: int) -> float | None:
    for name in ("s-maxage", "max-age"):
        value = directives.get(name, "").strip('" ')
        if value.isdigit():
            return int(value)
    expires = header(response.headers, "expires")
    if not expires:
        return None
    try:
        moment = parsedate_to_datetime(expires)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_ms / 1000
    except ValueError:
        return 0


def header(headers: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key == name), "")


def is_unchanged(request: Request, headers: list[tuple[str, str]]) -> bool:
    """Does the viewer have this answer already? (If-None-Match before If-Modified-Since)"""
    wanted = request.headers.get("if-none-match")
    if wanted is not None:
        etag = header(headers, "etag").removeprefix("W/")
        tags = [tag.strip().removeprefix("W/") for tag in wanted.split(",")]
        return "*" in tags or (bool(etag) and etag in tags)
    since, modified = request.headers.get("if-modified-since"), header(headers, "last-modified")
    if not since or not modified:
        return False
    try:
        return parsedate_to_datetime(modified) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _named(entry_key: Key) -> str:
    return unquote(entry_key[1]) + (f"?{entry_key[2]}" if entry_key[2] else "")


def _pattern(path: str) -> re.Pattern[str]:
    """`*` at the end is any rest."""
    text = unquote(path)
    return re.compile(
        re.escape(text.removesuffix("*")) + (".*" if text.endswith("*") else ""), re.S
    )
