"""The Lambda Runtime API, which every runtime client speaks to fetch events and post answers.

One loopback port serves all workers: each knows it under a path of its own with a secret,
`/w/<secret>/2018-06-01/runtime/…`; where runtimes of all kinds are used, which may want a host and
a port alone, it counts whose process asks: see `peers.py`. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from contextlib import suppress

import orjson

from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.functions import peers
from cloudlet.functions.worker_process import Invocation, Pieces, WorkerProcess

RESPONSE_BYTES_MAX = 6 * 1024 * 1024 + 100  # what AWS allows, as its error message says
ERROR_BYTES_MAX = 256 * 1024
STREAM_BYTES_MAX = 200 << 20
_OWN = "/w/"
_MODE = "lambda-runtime-function-response-mode"
_NOT_HERE = {
    "extension": "The Extensions API",
    "telemetry": "The Telemetry API",
    "logs": "The Logs API",
}
_NOT_READY = "State transition from Running to Ready failed for runtime. It is not allowed."
_ACCEPTED = Response(202, [("Content-Type", "application/json")], b'{"status":"OK"}')


class RuntimeApi:
    """`answer` is the HTTP handler; `idle` is told of a worker that asks for work."""

    def __init__(
        self, workers: Mapping[str, WorkerProcess], idle: Callable[[WorkerProcess], None]
    ) -> None:
        self._workers = workers
        self._idle = idle
        self.port = 0

    def knows(self, request: Request) -> bool:
        return self._worker(request) is not None

    def _worker(self, request: Request) -> WorkerProcess | None:
        if request.raw_path.startswith(_OWN):
            return self._workers.get(request.raw_path.split("/")[2])
        inode = peers.socket_of(request.client_port, self.port)
        open_ones = [each for each in self._workers.values() if each.is_known_by_process()]
        return next((w for w in open_ones if inode and peers.holds(w.pid, inode)), None)

    async def answer(self, request: Request) -> Response:
        parts = request.raw_path.split("/")[3 if request.raw_path.startswith(_OWN) else 1 :]
        worker = self._worker(request)
        if worker is None:
            return _refusal(404, "NotFound", "There is no such resource.")
        if parts[:2] != ["2018-06-01", "runtime"]:
            what = _NOT_HERE.get(parts[1], "") if len(parts) > 1 else ""
            if not what:
                return _refusal(404, "NotFound", "There is no such resource.")
            message = f"{what} is not implemented by cloudlet: it has no extensions."
            return _refusal(403, "Extension.NotImplemented", message)
        match request.method, parts[2:]:
            case "GET", ["invocation", "next"]:
                return await self._next(worker)
            case "POST", ["invocation", id_, "response"]:
                return await self._response(worker, id_, request)
            case "POST", ["invocation", id_, "error"]:
                return await self._error(worker, id_, request)
            case "POST", ["init", "error"]:
                worker.init_error = await request.body.read(ERROR_BYTES_MAX)
                return _ACCEPTED
        return _refusal(404, "NotFound", "There is no such resource.")

    async def _next(self, worker: WorkerProcess) -> Response:
        """Waits until there is work; only who has answered the former invocation may ask."""
        if worker.invocation is not None:
            return _refusal(403, "InvalidStateTransition", _NOT_READY)
        former = worker.poll
        poll = worker.poll = asyncio.get_running_loop().create_future()
        if former is None or former.done():
            self._idle(worker)
        else:  # it asks twice: the first time no longer counts
            former.set_result(None)
        invocation = await poll
        if invocation is None:
            return _refusal(410, "Gone", "The worker is retired.")
        return Response(200, invocation_headers(invocation), invocation.payload)

    async def _response(self, worker: WorkerProcess, id_: str, request: Request) -> Response:
        invocation = _running(worker, id_)
        if invocation is None:
            return _refusal(400, "InvalidRequestID", "Invalid request ID")
        if request.headers.get(_MODE) == "streaming" and invocation.stream is not None:
            return await self._stream(worker, invocation.stream, request)
        try:
            body = await request.body.read(RESPONSE_BYTES_MAX)
        except AwsError as error:
            _raise_if_gone(error)
            worker.fail_running("Function.ResponseSizeTooLarge", _too_large(RESPONSE_BYTES_MAX))
            return _refusal(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
        failure = _failure_in_trailers(request)
        worker.complete(body if failure is None else failure, is_error=failure is not None)
        return _ACCEPTED

    async def _stream(self, worker: WorkerProcess, stream: Pieces, request: Request) -> Response:
        """Hands the pieces on as they come; the invocation ends with the last of them."""
        stream.begin(request.headers.get("content-type", ""))
        left = STREAM_BYTES_MAX
        async for piece in request.body:
            left -= len(piece)
            if left < 0:
                worker.fail_running("Function.ResponseSizeTooLarge", _too_large(STREAM_BYTES_MAX))
                return _refusal(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload")
            await stream.put(piece)
        failure = _failure_in_trailers(request)
        worker.complete(failure or b"", is_error=failure is not None)
        return _ACCEPTED

    async def _error(self, worker: WorkerProcess, id_: str, request: Request) -> Response:
        if _running(worker, id_) is None:
            return _refusal(400, "InvalidRequestID", "Invalid request ID")
        try:
            body = await request.body.read(RESPONSE_BYTES_MAX)
        except AwsError as error:
            _raise_if_gone(error)
            body = b'{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Error too large"}'
        worker.complete(body, is_error=True)
        return _ACCEPTED


def _raise_if_gone(error: AwsError) -> None:
    """A worker that ended in the middle of its answer is told of by its exit."""
    if error.status != 413:
        raise error


def _too_large(limit_bytes: int) -> str:
    return f"Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes)."


def _failure_in_trailers(request: Request) -> bytes | None:
    """The error document of a function that failed after it had begun to answer."""
    trailers = request.body.trailers
    kind = trailers.get("lambda-runtime-function-error-type")
    if kind is None:
        return None
    with suppress(binascii.Error, ValueError):
        body = trailers.get("lambda-runtime-function-error-body", "")
        if document := base64.b64decode(body, validate=True):
            return document
    return orjson.dumps({"errorType": kind, "errorMessage": ""})


def invocation_headers(invocation: Invocation) -> list[tuple[str, str]]:
    headers = [
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
        ("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms)),
        ("Lambda-Runtime-Invoked-Function-Arn", invocation.arn),
        ("Lambda-Runtime-Trace-Id", invocation.trace_id),
    ]
    if invocation.client_context:
        headers.append(("Lambda-Runtime-Client-Context", invocation.client_context))
    return headers


def _running(worker: WorkerProcess, id_: str) -> Invocation | None:
    invocation = worker.invocation
    return invocation if invocation is not None and invocation.request_id == id_ else None


def _refusal(status: int, type_: str, message: str) -> Response:
    body = orjson.dumps({"errorType": type_, "errorMessage": message})
    return Response(status, [("Content-Type", "application/json")], body)
