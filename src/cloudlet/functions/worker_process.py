"""One worker as the pool sees it: its process, its log pipe, what it is doing.

The log pipe is read as it fills, a bounded piece at a time, and kept only up to a limit per
invocation: a function that prints without end costs nobody else anything.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import orjson

LOG_BYTES_PER_INVOCATION = 1 << 20
LINE_BYTES_MAX = 256 * 1024
TAIL_BYTES = 4096
_READ_BYTES = 1 << 16
_DRAIN_READS = 32  # more than a pipe holds


@dataclass(frozen=True, slots=True)
class Spec:
    """All that makes workers of one version interchangeable. Two equal specs share workers."""

    arn: str  # unqualified
    name: str
    version: str
    handler: str
    runtime: str
    folder: str
    layers: tuple[str, ...]
    digest: str
    environment: tuple[tuple[str, str], ...]
    memory_mb: int
    timeout_s: int
    tmp_mb: int
    role: str
    log_group: str


@dataclass(slots=True)
class Answer:
    """How an invocation ended: the payload, and whether it is an error document."""

    payload: bytes
    is_error: bool
    tail: bytes = b""
    is_lost: bool = False  # the worker, not the handler, failed


class Pieces(Protocol):
    """Takes an answer that comes piece by piece."""

    def begin(self, content_type: str) -> None: ...

    async def put(self, piece: bytes) -> None: ...


@dataclass(slots=True, eq=False)
class Invocation:
    request_id: str
    arn: str  # as invoked
    payload: bytes
    trace_id: str = ""
    client_context: str = ""
    deadline_ms: int = 0
    started_s: float = 0.0
    stream: Pieces | None = None  # who wants the answer piece by piece
    answer: "asyncio.Future[Answer]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


LogLine = Callable[["WorkerProcess", str], None]


class WorkerProcess:
    """`state`: "starting" → "idle" ⇄ "busy" → "returning" → "idle" …, "gone" at last."""

    def __init__(self, secret: str, spec: Spec, stream: str, log: LogLine) -> None:
        self.secret = secret
        self.spec = spec
        self.stream = stream
        self.state = "starting"
        self.pid = 0
        self.born_s = time.monotonic()
        self.since_s = self.born_s
        self.expires_s = float("inf")  # when its credentials do
        self.init_ms = 0.0
        self.is_provisioned = False  # started ahead of any invocation
        self.is_frozen = False
        self.is_slow = False  # starts for so long that others may start beside it
        self.fate = ""  # why the pool killed it: "timeout", "memory", "processes"
        self.init_error: bytes | None = None
        self.invocation: Invocation | None = None
        self.poll: asyncio.Future[Invocation | None] | None = None
        self.peak_bytes = 0
        self.weighed_s = 0.0  # when last
        self.finished: Callable[[WorkerProcess, Invocation, Answer], None] = lambda *_: None
        self._log = log
        self._pipe: int | None = None
        self._partial = b""
        self._tail = b""
        self._logged_bytes = 0

    def is_known_by_process(self) -> bool:
        """It may run anything that speaks the Runtime API, whose address has no secret then."""
        return self.pid > 0 and self.spec.runtime.startswith("provided")

    def become(self, state: str) -> None:
        self.state = state
        self.since_s = time.monotonic()

    def take(self, invocation: Invocation) -> None:
        """Hands the invocation to the waiting worker."""
        assert self.poll is not None
        if self.is_frozen:
            self.thaw()
        self.become("busy")
        self.invocation = invocation
        self._tail = b""
        self._logged_bytes = 0
        self.line(f"START RequestId: {invocation.request_id} Version: {self.spec.version}")
        poll, self.poll = self.poll, None
        if not poll.done():
            poll.set_result(invocation)

    def is_alive(self) -> bool:
        """Whether the process, which idles, is neither dead nor about to be. Linux tells."""
        try:
            status = _read(f"/proc/{self.pid}/status")
        except OSError:
            return self.pid <= 0 or not Path("/proc/self").exists()
        pending = int(status.split(b"\nSigPnd:")[1].split(maxsplit=1)[0], 16)
        pending |= int(status.split(b"\nShdPnd:")[1].split(maxsplit=1)[0], 16)
        has_ended = status.split(b"\nState:\t", 1)[1][:1] in b"ZX"
        return not has_ended and not pending & 1 << (signal.SIGKILL - 1)

    def freeze(self) -> None:
        """Between invocations a worker and what it started stand still, as on AWS."""
        self.is_frozen = self.pid > 0  # else: it asks for work, but we know no process yet
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.is_frozen = False
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.pid <= 0:  # would be our own group
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def retire(self) -> None:
        """Lets go of a worker that waits for work."""
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)

    def complete(self, payload: bytes, is_error: bool, is_lost: bool = False) -> None:
        """The running invocation has ended."""
        invocation, self.invocation = self.invocation, None
        if invocation is None:
            return
        self.drain()
        self.flush_partial()
        if self.state == "busy":
            self.become("returning")
        answer = Answer(payload, is_error, b"", is_lost)
        self.finished(self, invocation, answer)
        answer.tail = self._tail[-TAIL_BYTES:]
        if not invocation.answer.done():
            invocation.answer.set_result(answer)

    def fail_running(self, error_type: str, message: str, is_lost: bool = False) -> None:
        document = {"errorType": error_type, "errorMessage": message}
        self.complete(orjson.dumps(document), is_error=True, is_lost=is_lost)

    def listen(self, pipe: int) -> None:
        self._pipe = pipe
        asyncio.get_running_loop().add_reader(pipe, self._readable)

    def close(self) -> None:
        self.drain()
        self.flush_partial()
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None

    def drain(self) -> None:
        """Reads what the pipe holds now: all that was printed before the worker answered."""
        for _ in range(_DRAIN_READS):
            if not self._readable():
                return

    def line(self, text: str) -> None:
        self._tail = (self._tail + text.encode() + b"\n")[-2 * TAIL_BYTES :]
        self._log(self, text)

    def flush_partial(self) -> None:
        if self._partial:
            rest, self._partial = self._partial, b""
            self._keep(rest)

    def _readable(self) -> bool:
        if self._pipe is None:
            return False
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._pipe, _READ_BYTES)
            if not data:  # closed by the worker and all its children
                asyncio.get_running_loop().remove_reader(self._pipe)
        if data:
            self._split(data)
        return bool(data)

    def _split(self, data: bytes) -> None:
        if self._logged_bytes > LOG_BYTES_PER_INVOCATION:
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._keep(line)
        if len(self._partial) > LINE_BYTES_MAX:
            self.flush_partial()

    def _keep(self, line: bytes) -> None:
        if self._logged_bytes > LOG_BYTES_PER_INVOCATION:
            return
        self._logged_bytes += len(line) + 1
        if self._logged_bytes > LOG_BYTES_PER_INVOCATION:
            self._partial = b""
            self.line(f"[cloudlet] more than {LOG_BYTES_PER_INVOCATION} bytes: the rest is dropped")
            return
        self.line(line.decode(errors="replace").replace("\r", "\n"))


def _read(path: str) -> bytes:
    """Quicker than `Path.read_bytes`, which a busy pool feels."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _READ_BYTES)
    finally:
        os.close(descriptor)
