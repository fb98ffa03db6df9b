"""The workers and the queue of one version of a function, and the settings of all fleets."""

import asyncio
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cloudlet.errors import AwsError
from cloudlet.functions.launch import Launcher
from cloudlet.functions.worker_process import Answer, Invocation, Spec, WorkerProcess

_MB_PER_WORKER = 48
_RETURNING_S = 0.2  # one that has answered asks for work sooner than that, or is busy or stuck


def _workers_that_fit() -> int:
    """Bounded by memory: what idle workers really take, not what they may."""
    with suppress(OSError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return max(8, min(1000, int(line.split()[1]) // 1024 // _MB_PER_WORKER))
    return 64


@dataclass(frozen=True, slots=True)
class PoolSettings:
    idle_s: float = 300
    spare_s: float = 5  # one of a fleet's several is kept no longer, beyond …
    spare_max: int = field(default_factory=lambda: 4 * (os.cpu_count() or 1))  # … so many in all
    init_s: float = 10
    queue_s: float = 30  # how long an invocation may wait for a worker before it is throttled
    return_s: float = 10  # from the answer to the next request for work
    stop_s: float = 5
    starting_max: int = 4
    slow_s: float = 2  # what starts for longer is waiting for something: it no longer counts
    workers_max: int = field(default_factory=_workers_that_fit)
    watch_s: float = 0.05
    freeze_s: float = 0.02  # how long a worker may go on by itself after an answer
    without: tuple[str, ...] = ()  # measures of isolation to leave alone, for tests
    launcher: Launcher | None = None  # another pool's, which started it and will stop it


class Fleet:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.idle: list[WorkerProcess] = []
        self.workers: set[WorkerProcess] = set()
        self.waiting: deque[Invocation] = deque()
        self.starting = 0
        self.is_retired = False
        self.provisioned = 0  # workers that are always to be there
        self.failure = ""  # why they cannot be

    def missing(self) -> int:
        """How many workers are needed beyond those that come anyway."""
        queued = len(self.waiting) - self.starting
        if queued > 0:
            soon_s = time.monotonic() - _RETURNING_S
            queued -= sum(w.state == "returning" and w.since_s > soon_s for w in self.workers)
        return max(queued, self.provisioned - len(self.workers) if not self.failure else 0)

    def next_waiting(self) -> Invocation | None:
        """Takes the first whose caller still waits."""
        while self.waiting:
            invocation = self.waiting.popleft()
            if not invocation.answer.done():
                return invocation
        return None

    async def answer_of(self, invocation: Invocation, patience_s: float) -> Answer:
        """Waits; one that no worker has taken by then is throttled."""
        if invocation.started_s:
            return await invocation.answer
        loop = asyncio.get_running_loop()
        patience = loop.call_later(patience_s, self._give_up, invocation)
        try:
            return await invocation.answer
        finally:
            patience.cancel()

    def _give_up(self, invocation: Invocation) -> None:
        """Too many wait for too few workers: the machine is at its limit."""
        if not invocation.started_s and not invocation.answer.done():
            refusal = AwsError(
                "TooManyRequestsException",
                "Rate Exceeded.",
                429,
                Reason="CallerRateLimitExceeded",
                Type="User",
                retryAfterSeconds="1",
            )
            invocation.answer.set_exception(refusal)
            with suppress(ValueError):
                self.waiting.remove(invocation)

    def refuse_next(self, error: AwsError) -> bool:
        invocation = self.next_waiting()
        if invocation is not None:
            invocation.answer.set_exception(error)
        return invocation is not None
