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
worker failed (time, memory, exit). Workers' processes are `staff.py`'s, queues `fleet.py`'s.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.functions import reports, watch
from cloudlet.functions.fleet import Fleet, PoolSettings
from cloudlet.functions.runtime_api import RuntimeApi
from cloudlet.functions.staff import Credentials, Staff
from cloudlet.functions.worker_process import Answer, Invocation, LogLine, Spec, WorkerProcess

__all__ = ["Pool", "PoolSettings"]
_UNSEEN_S = 0.005  # one that idles for less cannot have died unnoticed, or next to never


class Pool:
    def __init__(
        self, config: Config, credentials: Credentials, log: LogLine, settings: PoolSettings
    ) -> None:
        self._config = config
        self.settings = settings
        self.staff = Staff(config, settings, credentials, log)
        self.running: Counter[str] = Counter()  # invocations by function ARN
        self.runtime_api = RuntimeApi(self.staff.by_secret, self._asks)
        self._fleets: dict[Spec, Fleet] = {}
        self._deadlines: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._is_stopping = False

    async def start(self, runtime_port: int) -> None:
        self.staff.begin(self, runtime_port)
        self.runtime_api.port = runtime_port
        self.staff.spawn_task(watch.limits(self.staff, self._deadlines))
        self.staff.spawn_task(watch.ages(self.staff))

    async def stop(self) -> None:
        """Lets running invocations finish within a bound, then ends every worker."""
        self._is_stopping = True
        end_s = time.monotonic() + self.settings.stop_s
        while self.running.total() and time.monotonic() < end_s:
            await asyncio.sleep(0.02)
        for fleet in list(self._fleets.values()):
            while fleet.refuse_next(_stopping()):
                pass
        for handle in self._deadlines.values():
            handle.cancel()
        await self.staff.stop()

    async def invoke(self, spec: Spec, invocation: Invocation) -> Answer:
        if self._is_stopping:
            raise _stopping()
        fleet = self._fleet(spec)
        self.running[spec.arn] += 1
        try:
            fleet.waiting.append(invocation)
            self._serve(fleet)
            patience_s = self.settings.queue_s + self.settings.init_s
            return await fleet.answer_of(invocation, patience_s)
        finally:
            self.running[spec.arn] -= 1
            if not self.running[spec.arn]:
                del self.running[spec.arn]

    def _fleet(self, spec: Spec) -> Fleet:
        fleet = self._fleets.get(spec)
        if fleet is None:
            fleet = self._fleets[spec] = Fleet(spec)
        return fleet

    def recycle(self, arn: str, version: str = "") -> None:
        """New invocations of the function (or its version) get new workers; running ones finish
        on theirs."""
        for spec, fleet in list(self._fleets.items()):
            if spec.arn == arn and version in ("", spec.version):
                fleet.is_retired = True
                fleet.provisioned = 0
                if not fleet.waiting:
                    del self._fleets[spec]
                for worker in list(fleet.idle):
                    self.staff.kill(worker)

    def provision(self, wanted: Mapping[Spec, int]) -> None:
        """From now on so many workers are kept, started ahead of any invocation."""
        for fleet in self._fleets.values():
            fleet.provisioned = 0
        for spec, count in wanted.items():
            fleet = self._fleet(spec)
            fleet.provisioned, fleet.failure = count, ""
            self._serve(fleet)

    def provisioned(self, spec: Spec) -> tuple[int, int, str]:
        """Workers that have started, those of them that idle, and why others cannot start."""
        fleet = self._fleet(spec)
        ready = sum(worker.state != "starting" for worker in fleet.workers)
        return ready, len(fleet.idle), fleet.failure

    def size(self) -> dict[str, int]:
        return dict(Counter(worker.state for worker in self.staff.fleets))

    def _serve(self, fleet: Fleet) -> None:
        while fleet.waiting and fleet.idle:
            worker = fleet.idle[-1]
            now_s = time.monotonic()
            has_died = now_s - worker.since_s > _UNSEEN_S and not worker.is_alive()
            if has_died or worker.expires_s < now_s + fleet.spec.timeout_s:
                self.staff.kill(worker)
                continue
            invocation = fleet.next_waiting()
            if invocation is not None:
                fleet.idle.pop()
                self._hand_over(worker, invocation)
        if fleet.missing() > 0:
            self.hire()

    def hire(self) -> None:
        """Starts workers, first for fleets that have few: a burst on one keeps none waiting."""
        while not self._is_stopping and self.staff.starting < self.settings.starting_max:
            wanting = [fleet for fleet in self._fleets.values() if fleet.missing() > 0]
            if not wanting or not self.staff.make_room():
                return
            self.staff.hire(min(wanting, key=lambda fleet: len(fleet.workers)))

    def _must_yield(self, fleet: Fleet) -> bool:
        """On a full machine those who have workers leave room to those who wait for a first."""
        if not self.staff.is_full() or len(fleet.workers) <= max(1, fleet.provisioned):
            return False
        return any(each.waiting and not each.workers for each in self._fleets.values())

    def _hand_over(self, worker: WorkerProcess, invocation: Invocation) -> None:
        timeout_s = worker.spec.timeout_s
        invocation.started_s = time.monotonic()
        invocation.deadline_ms = self._config.now_ms() + timeout_s * 1000
        worker.take(invocation)
        self.staff.stirred.set()
        self._deadlines[worker] = asyncio.get_running_loop().call_later(
            timeout_s, self._time_out, worker
        )

    def _time_out(self, worker: WorkerProcess) -> None:
        invocation = worker.invocation
        if invocation is None:
            return
        worker.fate = "timeout"
        message = reports.timeout_message(invocation.request_id, worker.spec.timeout_s)
        worker.line(message.replace("RequestId: ", "").replace(" Error:", ""))
        worker.fail_running("Sandbox.Timedout", message, is_lost=True)
        self.staff.kill(worker)

    def _asks(self, worker: WorkerProcess) -> None:
        """The worker asks for work."""
        fleet = self.staff.fleets.get(worker)
        if fleet is None or worker.fate:
            worker.retire()
            return
        has_started = worker.state == "starting"
        if has_started:
            self.staff.started(worker)
        worker.become("idle")
        fleet.idle.append(worker)
        if (fleet.is_retired and not fleet.waiting) or self._must_yield(fleet):
            self.staff.kill(worker)
            return
        self._serve(fleet)
        if has_started or worker.state == "idle":
            self.hire()

    # What the staff tells

    def finished(self, worker: WorkerProcess, invocation: Invocation, answer: Answer) -> None:
        handle = self._deadlines.pop(worker, None)
        if handle is not None:
            handle.cancel()
        reports.report(worker, invocation, answer, time.monotonic())

    def failed_to_start(self, fleet: Fleet, error: AwsError) -> None:
        """One of those who wait learns why; each of the others gets an attempt of its own."""
        if not fleet.refuse_next(error):
            fleet.failure = error.message
        self.gone(fleet)

    def exiting(self, fleet: Fleet, worker: WorkerProcess, status: int) -> None:
        if worker.invocation is not None:
            message = reports.exit_message(worker.invocation.request_id, status)
            worker.fail_running("Runtime.ExitError", message, is_lost=True)
        elif worker.state == "starting" and worker.fate != "retired":
            self._fail_init(fleet, worker, status)

    def gone(self, fleet: Fleet) -> None:
        is_empty = not fleet.workers and not fleet.waiting and not fleet.provisioned
        if is_empty and self._fleets.get(fleet.spec) is fleet:
            del self._fleets[fleet.spec]
        self._serve(fleet)
        self.hire()

    def _fail_init(self, fleet: Fleet, worker: WorkerProcess, status: int) -> None:
        """As `failed_to_start`, but the function's code is to blame."""
        invocation = fleet.next_waiting()
        if invocation is None:  # nobody waits: it was to be there for later
            fleet.failure = "FUNCTION_ERROR_INIT_FAILURE"
            return
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


def _stopping() -> AwsError:
    return AwsError("ServiceException", "The service is stopping.", 503)
