"""Existing HTTP services as origins of a distribution: what others serve, behind the same door.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
"""

import logging
from collections.abc import AsyncIterator

import urllib3

from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.gateway.cloudfront.behaviors import Origin
from cloudlet.wire import outbound

_BODY_MAX_BYTES = 20 << 20
_CHUNK_BYTES = 256 << 10
_DROPPED = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect")
)
_log = logging.getLogger(__name__)


class _Received:
    """A body that is read while it is sent on."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await outbound.in_thread(self._answer.read, _CHUNK_BYTES):
            yield chunk

    async def aclose(self) -> None:
        self._answer.close()


async def fetch(origin: Origin, request: Request, raw_path: str) -> Response:
    """Raises AwsError 502 where the service cannot be reached, 504 where it is too slow."""
    url = f"{origin.address(request.scheme)}{origin.path}{raw_path}"
    url += f"?{request.query}" if request.query else ""
    headers = {n: v for n, v in request.headers.items() if n not in _DROPPED}
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.client}" if forwarded else request.client
    headers["via"] = "1.1 cloudlet (CloudFront)"
    body = await request.body.read(_BODY_MAX_BYTES)
    timeout = urllib3.Timeout(connect=origin.connect_s, read=origin.read_s)
    target = (request.method, url)
    try:
        answer = await outbound.in_thread(outbound.ask, target, headers, body, timeout)
    except (urllib3.exceptions.TimeoutError, TimeoutError):
        raise AwsError("GatewayTimeout", "The origin did not answer in time.", 504) from None
    except urllib3.exceptions.HTTPError as error:
        _log.warning("origin %s: %s", origin.domain, error)
        raise AwsError(
            "BadGateway", "CloudFront wasn't able to connect to the origin.", 502
        ) from None
    received = [(n.lower(), v) for n, v in answer.headers.items() if n.lower() not in _DROPPED]
    return Response(answer.status, received, _Received(answer))
