"""HTTP_PROXY integrations: passes a request on to a URL and its answer back.

urllib3 (which botocore brings) talks to the backend in a thread; answers are buffered, because
API Gateway limits them to 10 MB.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
"""

import asyncio
import logging
from functools import lru_cache
from urllib.parse import quote, urlsplit, urlunsplit

import orjson
import urllib3

from cloudlet.exchange import Response
from cloudlet.gateway.payloads import Matched
from cloudlet.gateway.stages import Route

_ANSWER_MAX_BYTES = 10 * 1024 * 1024
_log = logging.getLogger(__name__)
_DROPPED = frozenset(
    ("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect")
)


@lru_cache(maxsize=1)
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=32, retries=False)


async def forward(matched: Matched, route: Route) -> Response:
    try:
        return await asyncio.to_thread(_send, matched, route)
    except (urllib3.exceptions.TimeoutError, TimeoutError):
        matched.error = "Endpoint request timed out"
        return _failed(503, "Service Unavailable")
    except urllib3.exceptions.HTTPError as error:
        matched.error = str(error)
        _log.warning("%s cannot be reached for %s: %s", route.url, route.key, error)
        return _failed(500, "Internal Server Error")


def _send(matched: Matched, route: Route) -> Response:
    request = matched.request
    headers = {n: v for n, v in request.headers.items() if n not in _DROPPED}
    headers["forwarded"] = (
        f"for={request.client};host={matched.target.domain};proto={request.scheme}"
    )
    answer = _pool().request(
        request.method if route.method == "ANY" else route.method,
        _url(matched, route),
        body=matched.body or None,
        headers=headers,
        redirect=False,
        preload_content=False,
        decode_content=False,
        timeout=urllib3.Timeout(total=route.timeout_s),
    )
    try:
        body = answer.read(_ANSWER_MAX_BYTES + 1)
        kept = [(n.lower(), v) for n, v in answer.headers.items() if n.lower() not in _DROPPED]
    finally:
        answer.drain_conn()
        answer.release_conn()
    if len(body) > _ANSWER_MAX_BYTES:
        return _failed(500, "Internal Server Error")
    return Response(answer.status, [h for h in kept if h[0] != "content-length"], body)


def _url(matched: Matched, route: Route) -> str:
    url = route.url or ""
    for name, value in matched.path_parameters.items():
        safe = quote(value, safe="/")
        url = url.replace("{" + name + "+}", safe).replace("{" + name + "}", safe)
    if "overwrite:path" in (route.integration.get("RequestParameters") or {}):
        url = urlunsplit(urlsplit(url)._replace(path=quote(matched.path, safe="/%")))
    query = matched.request.query
    return url if not query else f"{url}{'&' if '?' in url else '?'}{query}"


def _failed(status: int, text: str) -> Response:
    body = orjson.dumps({"message": text})
    return Response(status, [("content-type", "application/json")], body)
