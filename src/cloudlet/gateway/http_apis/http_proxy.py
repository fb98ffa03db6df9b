"""HTTP_PROXY integrations: passes a request on to a URL and its answer back.

Answers are buffered, because API Gateway limits them to 10 MB.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
"""

import logging
from urllib.parse import quote, urlsplit, urlunsplit

import urllib3

from cloudlet.exchange import Response
from cloudlet.gateway.answers import message
from cloudlet.gateway.http_apis.stages import Route
from cloudlet.gateway.payloads import Matched
from cloudlet.wire import outbound

_log = logging.getLogger(__name__)
_DROPPED = frozenset(
    ("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect")
)


async def forward(matched: Matched, route: Route) -> Response:
    try:
        return await outbound.in_thread(_send, matched, route)
    except (urllib3.exceptions.TimeoutError, TimeoutError):
        matched.error = "Endpoint request timed out"
        return message(503, "Service Unavailable")
    except outbound.TooLarge:
        return message(500, "Internal Server Error")
    except urllib3.exceptions.HTTPError as error:
        matched.error = str(error)
        _log.warning("%s cannot be reached for %s: %s", route.url, route.key, error)
        return message(500, "Internal Server Error")


def _send(matched: Matched, route: Route) -> Response:
    request = matched.request
    headers = {n: v for n, v in request.headers.items() if n not in _DROPPED}
    headers["forwarded"] = (
        f"for={request.client};host={matched.target.domain};proto={request.scheme}"
    )
    method = request.method if route.method == "ANY" else route.method
    target = (method, _url(matched, route))
    answer = outbound.whole(target, headers, matched.body, route.timeout_s)
    passed_not = _DROPPED | {"content-length"}
    answer.headers = [h for h in answer.headers if h[0] not in passed_not]
    return answer


def _url(matched: Matched, route: Route) -> str:
    url = route.url or ""
    for name, value in matched.path_parameters.items():
        safe = quote(value, safe="/")
        url = url.replace("{" + name + "+}", safe).replace("{" + name + "}", safe)
    if "overwrite:path" in (route.integration.get("RequestParameters") or {}):
        url = urlunsplit(urlsplit(url)._replace(path=quote(matched.path, safe="/%")))
    query = matched.request.query
    return url if not query else f"{url}{'&' if '?' in url else '?'}{query}"
