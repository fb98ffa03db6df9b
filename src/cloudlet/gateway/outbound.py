"""HTTP to services outside of this cloud: urllib3 (which botocore brings), in threads.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
"""

from functools import lru_cache

import urllib3

from cloudlet.exchange import Response

ANSWER_MAX_BYTES = 10 * 1024 * 1024  # API Gateway's limit


class TooLarge(ValueError):
    """The answer is over the limit."""


@lru_cache(maxsize=1)
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=32, retries=False)


def ask(
    target: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    timeout: urllib3.Timeout,
    *,
    decodes: bool = False,
) -> urllib3.BaseHTTPResponse:
    """The answer, to be read by the caller. `target` is method and URL; redirects are answers."""
    return _pool().request(
        *target,
        body=body or None,
        headers=headers,
        redirect=False,
        preload_content=False,
        decode_content=decodes,
        timeout=timeout,
    )


def whole(
    target: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    timeout_s: float,
    *,
    decodes: bool = False,
) -> Response:
    """The whole answer; names of headers in lower case. Raises TooLarge."""
    answer = ask(target, headers, body, urllib3.Timeout(total=timeout_s), decodes=decodes)
    try:
        data = answer.read(ANSWER_MAX_BYTES + 1)
        received = [(name.lower(), value) for name, value in answer.headers.items()]
    finally:
        answer.drain_conn()
        answer.release_conn()
    if len(data) > ANSWER_MAX_BYTES:
        raise TooLarge("The endpoint's response is over 10 MB")
    return Response(answer.status, received, data)
