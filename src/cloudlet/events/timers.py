"""Recurring work inside the process: sweeps, schedules. One task, no polling between due times."""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from cloudlet.config import Config
from cloudlet.errors import is_odd

_log = logging.getLogger(__name__)
Job = Callable[[], Awaitable[object]]


class Timers:
    """`every` runs a job at an interval; `at` runs it once at a time (again if it says when).

    Jobs run one after the other in their own task per run; a job that raises is logged and keeps
    its next turn. What must survive a restart belongs into the store: a job re-reads it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._heap: list[tuple[int, int, Job, float | None]] = []
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def every(self, seconds: float, job: Job, first_s: float | None = None) -> None:
        delay_s = seconds if first_s is None else first_s
        self._push(self._config.now_ms() + int(delay_s * 1000), job, seconds)

    def at(self, due_ms: int, job: Job) -> None:
        self._push(due_ms, job, None)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        tasks = [*self._running, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _push(self, due_ms: int, job: Job, interval_s: float | None) -> None:
        heapq.heappush(self._heap, (due_ms, next(self._numbers), job, interval_s))
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now_ms = self._config.now_ms()
            while self._heap and self._heap[0][0] <= now_ms:
                _, _, job, interval_s = heapq.heappop(self._heap)
                task = asyncio.get_running_loop().create_task(self._once(job, interval_s))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            wait_s = max(0.0, (self._heap[0][0] - now_ms) / 1000) if self._heap else None
            with suppress(TimeoutError):  # wait_for would swallow a `stop` that comes with a wake
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _once(self, job: Job, interval_s: float | None) -> None:
        try:
            await job()
        except Exception as error:
            name = getattr(job, "__qualname__", job)
            _log.error("timer job %s failed: %s", name, error, exc_info=is_odd(error))
        if interval_s is not None:
            self._push(self._config.now_ms() + int(interval_s * 1000), job, interval_s)
