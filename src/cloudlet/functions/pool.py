"""Warm workers: who serves an invocation, when workers start, and how they end.

Theory of operation. Invocations of one `Spec` (a version of a function with its code digest and
configuration) share a *fleet* of workers. A worker serves one invocation at a time:

    starting --asks for work--> idle --takes--> busy --answers--> returning --asks--> idle
        any state --exits or is killed--> gone

An invocation joins its fleet's queue; idle workers take from it, the last used first, so that the
others grow old. What the queue holds beyond the workers that start or return is started, a few at
a time: a burst of short invocations is served by the first workers to be ready, a burst of long
ones soon has a worker each. Idle workers are reaped; when the machine is full the longest idle
one makes room. So concurrency follows the load both ways.

The caller of `invoke` always gets an answer: the function's, or a document that says how the
worker failed (time, memory, exit). The process is killed by its group and, where the kernel has
PID namespaces, by its namespace: nothing of it survives. A worker that was killed or exited is
forgotten only when the zygote reports its end.
"""

import asyncio
import logging
import shutil
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.functions import recipe, reports
from cloudlet.functions.launch import Launcher
from cloudlet.functions.runtime_api import RuntimeApi
from cloudlet.functions.sandbox import PROCESSES
from cloudlet.functions.worker_process import Answer, Invocation, LogLine, Spec, WorkerProcess

_log = logging.getLogger(__name__)
Credentials = Callable[[Spec], Awaitable[tuple[dict[str, str], float]]]  # and monotonic expiry
_MB_PER_WORKER = 48


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
    init_s: float = 10
    queue_s: float = 30  # how long an invocation may wait for a worker before it is throttled
    return_s: float = 10  # from the answer to the next request for work
    stop_s: float = 5
    starting_max: int = 4
    workers_max: int = field(default_factory=_workers_that_fit)
    watch_s: float = 0.05


class Fleet:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.idle: list[WorkerProcess] = []
        self.workers: set[WorkerProcess] = set()
        self.waiting: deque[Invocation] = deque()
        self.starting = 0
        self.is_retired = False

    def missing(self) -> int:
        """How many workers the queue needs beyond those that come anyway."""
        if len(self.waiting) <= self.starting:
            return 0
        returning = sum(worker.state == "returning" for worker in self.workers)
        return len(self.waiting) - self.starting - returning


class Pool:
    def __init__(
        self, config: Config, credentials: Credentials, log: LogLine, settings: PoolSettings
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._log = log
        self.settings = settings
        self.launcher = Launcher(self._exited)
        self._fleets: dict[Spec, Fleet] = {}
        self._by_secret: dict[str, WorkerProcess] = {}
        self._by_pid: dict[int, WorkerProcess] = {}
        self._exits: dict[int, int] = {}  # of workers whose start is still being noted
        self._of: dict[WorkerProcess, Fleet] = {}
        self._starting = 0
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadlines: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._is_stopping = False
        self.running: Counter[str] = Counter()  # invocations by function ARN
        self.runtime_api = RuntimeApi(self._by_secret, self._asks)

    async def start(self, runtime_port: int) -> None:
        self._port = runtime_port
        shutil.rmtree(self._config.data / "worker-tmp", ignore_errors=True)
        self.launcher.start()
        for job in (self._watch, self._reap):
            self._spawn_task(job())

    async def stop(self) -> None:
        """Lets running invocations finish within a bound, then ends every worker."""
        self._is_stopping = True
        end_s = time.monotonic() + self.settings.stop_s
        while self.running.total() and time.monotonic() < end_s:
            await asyncio.sleep(0.02)
        for fleet in list(self._fleets.values()):
            self._refuse_waiting(fleet)
        for handle in self._deadlines.values():
            handle.cancel()
        for worker in list(self._of):
            worker.fail_running("Sandbox.Failure", "The service stopped.", is_lost=True)
            worker.retire()
            worker.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.launcher.stop()

    async def invoke(self, spec: Spec, invocation: Invocation) -> Answer:
        if self._is_stopping:
            raise AwsError("ServiceException", "The service is stopping.", 503)
        fleet = self._fleets.get(spec)
        if fleet is None:
            fleet = self._fleets[spec] = Fleet(spec)
        self.running[spec.arn] += 1
        try:
            fleet.waiting.append(invocation)
            self._serve(fleet)
            if invocation.started_s:
                return await invocation.answer
            patience = asyncio.get_running_loop().call_later(
                self.settings.queue_s + self.settings.init_s, self._give_up, fleet, invocation
            )
            try:
                return await invocation.answer
            finally:
                patience.cancel()
        finally:
            self.running[spec.arn] -= 1
            if not self.running[spec.arn]:
                del self.running[spec.arn]

    def recycle(self, arn: str, keep: Spec | None = None) -> None:
        """New invocations of the function get new workers; running ones finish on theirs."""
        for spec, fleet in list(self._fleets.items()):
            if spec.arn == arn and spec != keep:
                fleet.is_retired = True
                if not fleet.waiting:
                    del self._fleets[spec]
                for worker in list(fleet.idle):
                    self._kill(worker)

    def size(self) -> dict[str, int]:
        return dict(Counter(worker.state for worker in self._of))

    # Serving the queues

    def _serve(self, fleet: Fleet) -> None:
        while fleet.waiting and fleet.idle:
            worker = fleet.idle[-1]
            if worker.expires_s < time.monotonic() + fleet.spec.timeout_s:
                self._kill(worker)
                continue
            invocation = fleet.waiting.popleft()
            if not invocation.answer.done():
                fleet.idle.pop()
                self._hand_over(worker, invocation)
        for _ in range(fleet.missing()):
            if not self._make_room():
                return
            fleet.starting += 1
            self._starting += 1
            self._spawn_task(self._start(fleet))

    def _make_room(self) -> bool:
        if self._starting >= self.settings.starting_max or self._is_stopping:
            return False
        if len(self._of) < self.settings.workers_max:
            return True
        idle = [worker for worker in self._of if worker.state == "idle"]
        if idle:
            self._kill(min(idle, key=lambda worker: worker.since_s))
        return False  # its end makes the room

    def _hand_over(self, worker: WorkerProcess, invocation: Invocation) -> None:
        timeout_s = worker.spec.timeout_s
        invocation.started_s = time.monotonic()
        invocation.deadline_ms = self._config.now_ms() + timeout_s * 1000
        worker.take(invocation)
        self._deadlines[worker] = asyncio.get_running_loop().call_later(
            timeout_s, self._time_out, worker
        )

    def _finished(self, worker: WorkerProcess, invocation: Invocation, answer: Answer) -> None:
        handle = self._deadlines.pop(worker, None)
        if handle is not None:
            handle.cancel()
        reports.report(worker, invocation, answer, time.monotonic())

    def _time_out(self, worker: WorkerProcess) -> None:
        invocation = worker.invocation
        if invocation is None:
            return
        worker.fate = "timeout"
        message = reports.timeout_message(invocation.request_id, worker.spec.timeout_s)
        worker.line(message.replace("RequestId: ", "").replace(" Error:", ""))
        worker.fail_running("Sandbox.Timedout", message, is_lost=True)
        self._kill(worker)

    def _give_up(self, fleet: Fleet, invocation: Invocation) -> None:
        """Too many wait for too few workers: the machine is at its limit."""
        if not invocation.started_s and not invocation.answer.done():
            invocation.answer.set_exception(
                AwsError(
                    "TooManyRequestsException",
                    "Rate Exceeded.",
                    429,
                    Reason="CallerRateLimitExceeded",
                )
            )
            with suppress(ValueError):
                fleet.waiting.remove(invocation)

    def _refuse_waiting(self, fleet: Fleet, error: BaseException | None = None) -> None:
        refusal = error or AwsError("ServiceException", "The service is stopping.", 503)
        while fleet.waiting:
            invocation = fleet.waiting.popleft()
            if not invocation.answer.done():
                invocation.answer.set_exception(refusal)
                if error is not None:
                    return

    # Lives of workers

    async def _start(self, fleet: Fleet) -> None:
        secret = self._config.new_secret(16)
        day = time.strftime("%Y/%m/%d", time.gmtime(self._config.now_ms() / 1000))
        stream = f"{day}/[{fleet.spec.version}]{self._config.new_secret(16)}"
        worker = WorkerProcess(secret, fleet.spec, stream, self._log)
        worker.finished = self._finished
        self._by_secret[secret] = worker
        self._of[worker] = fleet
        fleet.workers.add(worker)
        try:
            credentials, worker.expires_s = await self._credentials(fleet.spec)
            request = recipe.spawn_request(self._config, worker, self._port, credentials)
            worker.born_s = time.monotonic()
            worker.pid, pipe = await self.launcher.spawn(request)
            worker.listen(pipe)
            self._by_pid[worker.pid] = worker
            if worker.pid in self._exits:
                self._exited(worker.pid, self._exits.pop(worker.pid))
        except (AwsError, OSError) as error:
            self._forget(worker)
            refusal = (
                error
                if isinstance(error, AwsError)
                else AwsError("ServiceException", f"A worker cannot be started: {error}", 500)
            )
            self._refuse_waiting(fleet, refusal)
            self._serve(fleet)

    def _asks(self, worker: WorkerProcess) -> None:
        """The worker asks for work."""
        fleet = self._of.get(worker)
        if fleet is None or worker.fate:
            worker.retire()
            return
        if worker.state == "starting":
            self._has_started(fleet)
            worker.init_ms = (time.monotonic() - worker.born_s) * 1000
        worker.become("idle")
        fleet.idle.append(worker)
        if fleet.is_retired and not fleet.waiting:
            self._kill(worker)
            return
        self._serve(fleet)
        if worker.state == "idle" and self._starting < self.settings.starting_max:
            self._serve_others()

    def _serve_others(self) -> None:
        for fleet in self._fleets.values():
            if fleet.waiting:
                self._serve(fleet)

    def _has_started(self, fleet: Fleet) -> None:
        fleet.starting -= 1
        self._starting -= 1

    def _kill(self, worker: WorkerProcess) -> None:
        fleet = self._of.get(worker)
        if fleet is None:
            return
        worker.fate = worker.fate or "retired"
        with suppress(ValueError):
            fleet.idle.remove(worker)
        if worker.state == "idle":
            worker.become("dying")
        self._spawn_task(self.launcher.kill(worker.pid))

    def _exited(self, pid: int, status: int) -> None:
        worker = self._by_pid.get(pid)
        if worker is None:
            self._exits[pid] = status
            return
        fleet = self._of[worker]
        worker.drain()
        if worker.invocation is not None:
            message = reports.exit_message(worker.invocation.request_id, status)
            worker.fail_running("Runtime.ExitError", message, is_lost=True)
        elif worker.state == "starting" and worker.fate != "retired":
            self._fail_init(fleet, worker, status)
        self._forget(worker)
        self._serve(fleet)
        self._serve_others()

    def _fail_init(self, fleet: Fleet, worker: WorkerProcess, status: int) -> None:
        """One of those who wait learns why; each of the others gets an attempt of its own."""
        while fleet.waiting:
            invocation = fleet.waiting.popleft()
            if invocation.answer.done():
                continue
            invocation.started_s = worker.born_s
            worker.invocation = invocation
            worker.line(f"START RequestId: {invocation.request_id} Version: {worker.spec.version}")
            if worker.init_error is not None:
                worker.complete(worker.init_error, is_error=True)
            elif worker.fate == "timeout":
                limit_s = self.settings.init_s + worker.spec.timeout_s
                message = reports.timeout_message(invocation.request_id, limit_s)
                worker.fail_running("Sandbox.Timedout", message, is_lost=True)
            else:
                message = reports.exit_message(invocation.request_id, status)
                worker.fail_running("Runtime.ExitError", message, is_lost=True)
            return

    def _forget(self, worker: WorkerProcess) -> None:
        fleet = self._of.pop(worker, None)
        if fleet is None:
            return
        if worker.state == "starting":
            self._has_started(fleet)
        worker.become("gone")
        fleet.workers.discard(worker)
        with suppress(ValueError):
            fleet.idle.remove(worker)
        if not fleet.workers and not fleet.waiting and self._fleets.get(fleet.spec) is fleet:
            del self._fleets[fleet.spec]
        self._by_secret.pop(worker.secret, None)
        self._by_pid.pop(worker.pid, None)
        worker.retire()
        worker.close()
        shutil.rmtree(recipe.tmp_folder(self._config, worker), ignore_errors=True)

    # Watching them

    async def _watch(self) -> None:
        """Memory and number of processes; a worker over its limit is killed."""
        while True:
            await asyncio.sleep(self.settings.watch_s)
            for worker in list(self._deadlines):
                resident_bytes, count = reports.usage(worker.pid)
                worker.peak_bytes = max(worker.peak_bytes, resident_bytes)
                if resident_bytes > worker.spec.memory_mb << 20:
                    worker.fate = "memory"
                elif count > PROCESSES:
                    worker.fate = "processes"
                else:
                    continue
                self._kill(worker)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.settings.idle_s))
            now_s = time.monotonic()
            for worker in list(self._of):
                age_s = now_s - worker.since_s
                init_s = self.settings.init_s + worker.spec.timeout_s
                if worker.state == "starting" and worker.pid and now_s - worker.born_s > init_s:
                    worker.fate = "timeout"
                elif worker.state == "returning" and age_s > self.settings.return_s:
                    worker.fate = "stuck"
                elif worker.state != "idle" or (
                    age_s < self.settings.idle_s and worker.expires_s > now_s
                ):
                    continue
                self._kill(worker)

    def _spawn_task(self, job: Awaitable[None]) -> None:
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
