"""All living workers: started, killed, and forgotten when the zygote reports their end.

Knows processes, not invocations' queues: what a beginning or an end means for those who wait, the
pool decides, which is told as `Owner`. Watches memory, processes and time: see `watch.py`.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.functions import interpreters, recipe
from cloudlet.functions.fleet import Fleet, PoolSettings
from cloudlet.functions.launch import Launcher
from cloudlet.functions.worker_process import Answer, Invocation, LogLine, Spec, WorkerProcess

_log = logging.getLogger(__name__)
Credentials = Callable[[Spec], Awaitable[tuple[dict[str, str], float]]]  # and monotonic expiry


class Owner(Protocol):
    def finished(self, worker: WorkerProcess, invocation: Invocation, answer: Answer) -> None: ...

    def failed_to_start(self, fleet: Fleet, error: AwsError) -> None: ...

    def exiting(self, fleet: Fleet, worker: WorkerProcess, status: int) -> None: ...

    def gone(self, fleet: Fleet) -> None: ...

    def hire(self) -> None: ...


class Staff:
    def __init__(
        self, config: Config, settings: PoolSettings, credentials: Credentials, log: LogLine
    ) -> None:
        self.fleets: dict[WorkerProcess, Fleet] = {}
        self.by_secret: dict[str, WorkerProcess] = {}
        self.by_pid: dict[int, WorkerProcess] = {}
        self.starting = 0
        self.stirred = asyncio.Event()  # a worker starts or wakes
        self.settings = settings
        self.launcher = settings.launcher or Launcher(settings.without)
        self._config = config
        self._credentials = credentials
        self._log = log
        self._exits: dict[int, int] = {}  # of workers whose start is still being noted
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._owner: Owner | None = None

    def begin(self, owner: Owner, runtime_port: int) -> None:
        self._owner = owner
        self._port = runtime_port
        for leftover in ("worker-tmp", "runtimes/opt"):
            shutil.rmtree(self._config.data / leftover, ignore_errors=True)
        if self.settings.launcher is None:
            self.launcher.start()

    async def stop(self) -> None:
        for worker in list(self.fleets):
            worker.fail_running("Sandbox.Failure", "The service stopped.", is_lost=True)
            worker.retire()
            worker.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.settings.launcher is None:
            await self.launcher.stop()  # and all workers with it
            return
        for pid in list(self.by_pid):
            await self.launcher.kill(pid)

    def spawn_task(self, job: Awaitable[None]) -> None:
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hire(self, fleet: Fleet) -> None:
        """Starts a worker for the fleet; it asks for work when it is ready."""
        secret = self._config.new_secret(16)
        worker = WorkerProcess(secret, fleet.spec, self._log_stream(fleet.spec), self._log)
        worker.finished = self.owner.finished
        worker.is_provisioned = len(fleet.workers) < fleet.provisioned
        self.by_secret[secret] = worker
        self.fleets[worker] = fleet
        fleet.workers.add(worker)
        fleet.starting += 1
        self.starting += 1
        self.stirred.set()
        self.spawn_task(self._start(fleet, worker))

    def _log_stream(self, spec: Spec) -> str:
        """functions-001: in a log group of one's choice the stream names the function."""
        day = time.strftime("%Y/%m/%d", time.gmtime(self._config.now_ms() / 1000))
        name = "" if spec.log_group == f"/aws/lambda/{spec.name}" else spec.name
        return f"{day}/{name}[{spec.version}]{self._config.new_secret(16)}"

    @property
    def owner(self) -> Owner:
        assert self._owner is not None
        return self._owner

    async def _start(self, fleet: Fleet, worker: WorkerProcess) -> None:
        try:
            pipe = await self._spawn(fleet.spec, worker)
        except Exception as error:  # whatever it is, somebody waits for an answer
            if not isinstance(error, AwsError | OSError):
                _log.exception("a worker of %s cannot be started", fleet.spec.name)
            self._forget(worker)
            if not isinstance(error, AwsError):
                text = f"A worker cannot be started: {error}"
                error = AwsError("ServiceException", text, 500)
            self.owner.failed_to_start(fleet, error)
            return
        worker.listen(pipe)
        self.by_pid[worker.pid] = worker
        if worker.pid in self._exits:
            self._exited(worker.pid, self._exits.pop(worker.pid))

    async def _spawn(self, spec: Spec, worker: WorkerProcess) -> int:
        """Returns the reading end of its log pipe."""
        credentials, worker.expires_s = await self._credentials(spec)
        order = partial(recipe.spawn_request, self._config, worker, self._port, credentials)
        is_quick = interpreters.is_own(spec.runtime)
        request = order() if is_quick else await asyncio.to_thread(order)
        worker.born_s = time.monotonic()
        worker.pid, pipe = await self.launcher.spawn(request, self._exited)
        return pipe

    def started(self, worker: WorkerProcess) -> None:
        """It asks for work for the first time."""
        self._count_started(worker)
        worker.init_ms = (time.monotonic() - worker.born_s) * 1000

    def _count_started(self, worker: WorkerProcess) -> None:
        self.fleets[worker].starting -= 1
        self.starting -= not worker.is_slow

    def pass_over(self, worker: WorkerProcess) -> None:
        """It starts for long: others need not wait for it."""
        worker.is_slow = True
        self.starting -= 1

    def kill(self, worker: WorkerProcess) -> None:
        fleet = self.fleets.get(worker)
        if fleet is None:
            return
        worker.fate = worker.fate or "retired"
        with suppress(ValueError):
            fleet.idle.remove(worker)
        if worker.state == "idle":
            worker.become("dying")
        self.spawn_task(self.launcher.kill(worker.pid))

    def is_full(self) -> bool:
        return len(self.fleets) >= self.settings.workers_max

    def make_room(self) -> bool:
        """Whether one more may start now; if the machine is full, the longest idle one goes."""
        if self.starting >= self.settings.starting_max:
            return False
        if not self.is_full():
            return True
        idle = [w for w in self.fleets if w.state == "idle" and self.is_spare(w)]
        if idle:
            self.kill(min(idle, key=lambda worker: worker.since_s))
        return False  # its end makes the room

    def is_spare(self, worker: WorkerProcess) -> bool:
        """Whether its fleet may lose one."""
        fleet = self.fleets[worker]
        return len(fleet.workers) > fleet.provisioned

    def _exited(self, pid: int, status: int) -> None:
        worker = self.by_pid.get(pid)
        if worker is None:
            self._exits[pid] = status
            return
        fleet = self.fleets[worker]
        worker.drain()
        self.owner.exiting(fleet, worker, status)
        self._forget(worker)
        self.owner.gone(fleet)

    def _forget(self, worker: WorkerProcess) -> None:
        fleet = self.fleets.get(worker)
        if fleet is None:
            return
        if worker.state == "starting":
            self._count_started(worker)
        worker.become("gone")
        del self.fleets[worker]
        fleet.workers.discard(worker)
        with suppress(ValueError):
            fleet.idle.remove(worker)
        self.by_secret.pop(worker.secret, None)
        self.by_pid.pop(worker.pid, None)
        worker.retire()
        worker.close()
        shutil.rmtree(recipe.tmp_folder(self._config, worker), ignore_errors=True)
