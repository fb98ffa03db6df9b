"""A λShare server over HTTP: calls of its API, retries, and errors as exceptions.

`sending` and `receiving` build on it. Nothing here knows AWS.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3

ATTEMPTS = 6
BLOCK_BYTES = 256 << 10  # at once to a socket: urllib3 would send a part in 16 KiB pieces
TIMEOUT = urllib3.Timeout(connect=10, read=120)
NETWORK_ERRORS = (urllib3.exceptions.HTTPError, OSError)


class ApiError(Exception):
    """A problem that the server describes."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = str(problem.get("detail") or problem.get("title") or f"status {status}")
        errors = problem.get("errors") or []
        listed = "".join(f" {each['pointer']}: {each['detail']}." for each in errors)
        super().__init__(detail + listed)
        self.status = status
        self.problem = dict(problem)


class Client:
    """One server and the connections to it (and to its storage)."""

    def __init__(self, server: str) -> None:
        self.server = (server if "://" in server else f"http://{server}").rstrip("/")
        self.pool = urllib3.PoolManager(
            maxsize=8,
            blocksize=BLOCK_BYTES,
            retries=False,
            timeout=TIMEOUT,
            headers={"user-agent": "lambdashare"},
        )

    def call(self, method: str, path: str, document: Any = None, token: str = "") -> dict[str, Any]:
        """A call of the API. Calls that may be repeated are, with growing pauses."""
        headers = {"accept": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        body = None
        if document is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(document).encode()
        creates = method == "POST" and path == "/v1/shares"
        for pause in pauses(1 if creates else ATTEMPTS):
            try:
                answer = self.pool.request(method, self.server + path, body=body, headers=headers)
            except NETWORK_ERRORS:
                if pause is None:
                    raise
            else:
                if answer.status < 500 or pause is None:
                    return _document(answer.status, answer.data)
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def redirect(self, path: str) -> str:
        """Where a download is to be had; asking counts it."""
        answer = self.pool.request(
            "GET", self.server + path, redirect=False, headers={"accept": "application/json"}
        )
        if answer.status != 302:
            _document(answer.status, answer.data)
            raise ApiError(answer.status, {"detail": f"unexpected status {answer.status}"})
        return str(answer.headers["location"])

    def wait(
        self, share: str, done: Callable[[dict[str, Any]], bool], each: Callable[[Any], None]
    ) -> dict[str, Any]:
        """Look at a share until `done`, gently slower; `each` sees every look."""
        pause = 0.05
        while True:
            view = self.call("GET", f"/v1/shares/{share}")
            each(view)
            if done(view):
                return view
            time.sleep(pause)
            pause = min(pause * 1.3, 1.0)


def pauses(attempts: int) -> Iterator[float | None]:
    """How long to wait after each failed attempt; None after the last."""
    for attempt in range(attempts - 1):
        yield random.uniform(0.5, 1.0) * 0.3 * 2**attempt
    yield None


def _document(status: int, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data) if data else {}
    except ValueError:
        document = {"detail": f"the server answered {status}, and no JSON"}
        status = max(status, 500)
    if status >= 400 or not isinstance(document, dict):
        raise ApiError(status, document)
    return document
