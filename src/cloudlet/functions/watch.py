"""What the pool sees to without being asked: memory, numbers of processes, workers that idle."""

import asyncio
import time
from collections.abc import Collection

from cloudlet.functions import reports
from cloudlet.functions.sandbox import PROCESSES
from cloudlet.functions.staff import Staff
from cloudlet.functions.worker_process import WorkerProcess


async def limits(staff: Staff, busy: Collection[WorkerProcess]) -> None:
    """A worker over its limit is killed. Where all stand still there is nothing to look at."""
    while True:
        if all(worker.is_frozen for worker in staff.fleets):
            staff.stirred.clear()
            await staff.stirred.wait()
        await asyncio.sleep(staff.settings.watch_s)
        for worker in list(busy):
            resident_bytes, count = reports.usage(worker.pid)
            worker.peak_bytes = max(worker.peak_bytes, resident_bytes)
            if resident_bytes > worker.spec.memory_mb << 20:
                worker.fate = "memory"
            elif count > PROCESSES:
                worker.fate = "processes"
            else:
                continue
            staff.kill(worker)
        _freeze(staff)
        _pass_over(staff)
        staff.owner.hire()


def _freeze(staff: Staff) -> None:
    """Those that idle. Not at once: under load a worker is stopped and woken for nothing."""
    moment_s = time.monotonic() - staff.settings.freeze_s
    for worker in staff.fleets:
        if worker.state == "idle" and not worker.is_frozen and worker.since_s < moment_s:
            worker.freeze()


def _pass_over(staff: Staff) -> None:
    moment_s = time.monotonic() - staff.settings.slow_s
    for worker in list(staff.fleets) if staff.starting else ():
        if worker.state == "starting" and not worker.is_slow and worker.born_s < moment_s:
            staff.pass_over(worker)


async def ages(staff: Staff) -> None:
    """One that starts or returns for too long is killed; so is one that idles for long."""
    while True:
        await asyncio.sleep(min(1.0, staff.settings.idle_s))
        now_s = time.monotonic()
        for worker in list(staff.fleets):
            if _is_due(staff, worker, now_s):
                staff.kill(worker)
        _shrink(staff, now_s)


def _shrink(staff: Staff, now_s: float) -> None:
    """After a burst most of its workers go soon; the last one of a version stays for long."""
    idle = [worker for worker in staff.fleets if worker.state == "idle"]
    count = len(idle) - staff.settings.spare_max
    moment_s = now_s - staff.settings.spare_s
    for worker in sorted(idle, key=lambda each: each.since_s)[: max(0, count)]:
        if worker.since_s > moment_s:
            return
        if len(staff.fleets[worker].idle) > 1 and staff.is_spare(worker):
            staff.kill(worker)


def _is_due(staff: Staff, worker: WorkerProcess, now_s: float) -> bool:
    settings = staff.settings
    age_s = now_s - worker.since_s
    init_s = settings.init_s + worker.spec.timeout_s
    if worker.state == "starting" and worker.pid and now_s - worker.born_s > init_s:
        worker.fate = "timeout"
        return True
    if worker.state == "returning" and age_s > settings.return_s:
        worker.fate = "stuck"
        return True
    if worker.state != "idle":
        return False
    return worker.expires_s <= now_s or (age_s >= settings.idle_s and staff.is_spare(worker))
