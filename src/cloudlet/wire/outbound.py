"""HTTP to services outside of this cloud: urllib3 (which botocore brings), in threads of its own:
however slow those services are, nothing else waits for them. Gateways, topics and buses use it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
"""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, TypeVar

import urllib3

from cloudlet.exchange import Response

ANSWER_MAX_BYTES = 10 * 1024 * 1024  # API Gateway's limit


_THREADS = 64
_BEHIND = 32  # more
_PIECE_BYTES = 64 * 1024
_REPEATABLE = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
_DOTS = re.compile(r"(?<=/)\.{1,2}(?=/|$)")
Result = TypeVar("Result")


class TooLarge(ValueError):
    """The answer is over the limit."""


@lru_cache(maxsize=1)
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=32, retries=False)


@lru_cache(maxsize=2)
def _threads(number: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, name)


async def in_thread(function: Callable[..., Result], *given: Any, **named: Any) -> Result:
    return await _in(_threads(_THREADS, "outbound"), partial(function, *given, **named))


async def behind(function: Callable[..., Result], *given: Any) -> Result:
    """For what no client waits for: it keeps none of the threads that clients need."""
    return await _in(_threads(_BEHIND, "outbound-behind"), partial(function, *given))


async def _in(threads: ThreadPoolExecutor, function: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, function)


def ask(
    target: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    timeout: urllib3.Timeout,
    *,
    decodes: bool = False,
) -> urllib3.BaseHTTPResponse:
    """The answer, to be read by the caller. `target` is method and URL; redirects are answers."""
    method, url = target
    path, mark, query = url.partition("?")
    # else urllib3 would follow a client's `..` out of the path that the API's author gave
    path = _DOTS.sub(lambda found: found.group().replace(".", "%2E"), path)
    send = partial(
        _pool().request,
        method,
        f"{path}{mark}{query}",
        body=body or None,
        headers=headers,
        redirect=False,
        preload_content=False,
        decode_content=decodes,
        timeout=timeout,
    )
    try:
        return send()
    except urllib3.exceptions.ProtocolError:
        if method not in _REPEATABLE:
            raise
        return send()  # a kept connection may be closed over there just as it is used again


def whole(
    target: tuple[str, str],
    headers: dict[str, str],
    body: bytes,
    timeout_s: float,
    *,
    decodes: bool = False,
) -> Response:
    """The whole answer; names of headers in lower case. Raises TooLarge."""
    until_s = time.monotonic() + timeout_s
    answer = ask(target, headers, body, urllib3.Timeout(total=timeout_s), decodes=decodes)
    data = bytearray()
    try:
        while piece := answer.read1(_PIECE_BYTES):
            data += piece
            if len(data) > ANSWER_MAX_BYTES:
                raise TooLarge("The endpoint's response is over 10 MB")
            if time.monotonic() > until_s:  # the limit of urllib3 is that of a single read
                raise urllib3.exceptions.TimeoutError("the answer comes too slowly")
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
    received = [(name.lower(), value) for name, value in answer.headers.items()]
    return Response(answer.status, received, bytes(data))
