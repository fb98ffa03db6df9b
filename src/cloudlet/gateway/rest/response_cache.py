"""The cache of a stage's responses: by method and the parameters that make a key.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

from cloudlet.exchange import Response
from cloudlet.gateway.rest import mapping
from cloudlet.gateway.rest.passage import Passage

_ANSWER_MAX_BYTES = 1024 * 1024
_SIZE_MAX_BYTES = 64 * 1024 * 1024  # of all stages' together
_RENEWS = re.compile(r"(?:^|[\s,])max-age=0(?:$|[\s,])", re.IGNORECASE)
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    until_ms: int
    response: Response
    size_bytes: int


class ResponseCache:
    """Live state of a process; the least recently used answers go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: Key, now_ms: int) -> Response | None:
        kept = self._kept.get(key)
        if kept is None or kept.until_ms <= now_ms:
            return None
        self._kept.move_to_end(key)
        return Response(kept.response.status, list(kept.response.headers), kept.response.body)

    def put(self, key: Key, response: Response, until_ms: int) -> None:
        self.drop(key)
        size_bytes = len(response.body) if isinstance(response.body, bytes) else _SIZE_MAX_BYTES
        if size_bytes > _ANSWER_MAX_BYTES or response.status >= 400:
            return
        copy = Response(response.status, list(response.headers), response.body)
        self._kept[key] = _Kept(until_ms, copy, size_bytes)
        self._size_bytes += size_bytes
        while self._size_bytes > _SIZE_MAX_BYTES:
            self.drop(next(iter(self._kept)))

    def drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size_bytes -= kept.size_bytes

    def flush(self, place: str) -> None:
        """`place` is `API/STAGE`."""
        for key in [key for key in list(self._kept) if key[0] == place]:
            self.drop(key)


def key_of(passage: Passage) -> Key:
    """A canary without `useStageCache` has a cache of its own."""
    served, integration = passage.served, passage.method.integration
    mapped = integration.get("requestParameters") or {}
    parts: list[str] = []
    for name in sorted(integration.get("cacheKeyParameters") or ()):
        source = mapped.get(name, name).replace(".querystring.", ".multivaluequerystring.")
        parts += [name, str(mapping.value_of(passage, source))]
    return (
        f"{served.api_id}/{served.stage}",
        "canary" if served.is_canary and not served.uses_stage_cache else "",
        integration.get("cacheNamespace") or passage.method.resource_id,
        passage.request.method,
        *parts,
    )


def renews(passage: Passage) -> bool:
    """Whether the client asks for a fresh answer (`Cache-Control: max-age=0`)."""
    return _RENEWS.search(passage.request.headers.get("cache-control", "")) is not None
