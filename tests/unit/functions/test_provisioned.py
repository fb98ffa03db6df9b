"""Workers that are there ahead, that stand still in between, and that died unnoticed."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cloudlet.errors import AwsError
from tests.unit.functions.cloud import Bed, running, until
from tests.unit.functions.cloud import run as run_async

KIND = "import os\ndef handler(e, c): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']"


async def _published(bed: Bed, name: str, source: str) -> str:
    await bed.create(name, source)
    version: str = (await bed.operate("PublishVersion", FunctionName=name))["Version"]
    return version


async def _ready(bed: Bed, **target: str) -> Any:
    while True:
        found = await bed.operate("GetProvisionedConcurrencyConfig", **target)
        if found["Status"] != "IN_PROGRESS":
            return found
        await asyncio.sleep(0.02)


def _threads(pid: int, *, field: int) -> set[str]:
    """One field of what the kernel tells of each thread: 0 is its state, 11 and 12 CPU time."""
    told = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has just ended
            told.add(path.read_text().rpartition(")")[2].split()[field])
    return told


def _states(bed: Bed) -> list[str]:
    return [worker.state for worker in bed.functions.pool.staff.fleets]


def test_provisioned_workers_start_ahead_and_stay(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, idle_s=0.1) as bed:
            version = await _published(bed, "f", KIND)
            target = {"FunctionName": "f", "Qualifier": "live"}
            await bed.operate("CreateAlias", FunctionName="f", Name="live", FunctionVersion=version)
            made = await bed.operate(
                "PutProvisionedConcurrencyConfig", **target, ProvisionedConcurrentExecutions=2
            )
            assert made["Status"] == "IN_PROGRESS"
            ready = await _ready(bed, **target)
            assert ready["AvailableProvisionedConcurrentExecutions"] == 2
            await asyncio.sleep(0.5)  # longer than any worker may idle
            assert _states(bed) == ["idle", "idle"]
            answer = await bed.operate("Invoke", **target, Payload=b"{}")
            assert json.loads(answer["Payload"]) == "provisioned-concurrency"
            listed = await bed.operate("ListProvisionedConcurrencyConfigs", FunctionName="f")
            (item,) = listed["ProvisionedConcurrencyConfigs"]
            assert item["FunctionArn"].endswith(":f:live")
            await bed.operate("DeleteProvisionedConcurrencyConfig", **target)
            await until(lambda: not _states(bed))
            with pytest.raises(AwsError, match="No Provisioned Concurrency Config found"):
                await bed.operate("GetProvisionedConcurrencyConfig", **target)

    run_async(test)


def test_provisioning_what_cannot_be(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            version = await _published(bed, "broken", "import not_there")
            target = {"FunctionName": "broken", "Qualifier": version}
            put = "PutProvisionedConcurrencyConfig"
            await bed.operate(put, **target, ProvisionedConcurrentExecutions=1)
            failed = await _ready(bed, **target)
            assert failed["Status"] == "FAILED"
            assert failed["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
            with pytest.raises(AwsError, match="unpublished function versions"):
                await bed.operate(put, FunctionName="broken", ProvisionedConcurrentExecutions=1)
            with pytest.raises(AwsError, match="account's unreserved concurrency"):
                await bed.operate(put, **target, ProvisionedConcurrentExecutions=950)
            await bed.operate(
                "PutFunctionConcurrency", FunctionName="broken", ReservedConcurrentExecutions=1
            )
            with pytest.raises(AwsError, match="reservedConcurrentExecution"):
                await bed.operate(put, **target, ProvisionedConcurrentExecutions=2)

    run_async(test)


def test_between_invocations_workers_stand_still(tmp_path: Path) -> None:
    """What a handler left running goes on with the next invocation only."""
    source = (
        "import threading, time\nticks = []\ndef tick():\n    while True:\n"
        "        ticks.append(time.monotonic())\n        time.sleep(0.005)\n"
        "def handler(e, c):\n    if not ticks: threading.Thread(target=tick, daemon=True).start()\n"
        "    return max((b - a for a, b in zip(ticks, [*ticks[1:], time.monotonic()])), default=0)"
    )

    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("f", source)
            await bed.run("f")
            (worker,) = bed.functions.pool.staff.fleets
            await until(lambda: _threads(worker.pid, field=0) == {"T"})  # a signal takes a moment
            before = _threads(worker.pid, field=11), _threads(worker.pid, field=12)
            await asyncio.sleep(0.5)
            after = _threads(worker.pid, field=11), _threads(worker.pid, field=12)
            assert before == after  # no CPU time was spent
            assert json.loads((await bed.run("f"))["Payload"]) > 0.4  # nobody ticked meanwhile

    run_async(test)


def test_a_worker_that_died_idle_costs_nobody_an_answer(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("f", "def handler(e, c): return 1")
            staff = bed.functions.pool.staff
            for _ in range(5):
                assert (await bed.run("f"))["Payload"] == b"1"
                await until(lambda: any(w.state == "idle" for w in staff.fleets))
                (worker,) = [w for w in staff.fleets if w.state == "idle"]
                await asyncio.sleep(0.01)
                os.kill(worker.pid, signal.SIGKILL)
                answer = await bed.run("f")  # before anybody has told of the end
                assert "FunctionError" not in answer, answer

    run_async(test)


def test_provisioned_workers_come_back(tmp_path: Path) -> None:
    """After the process that all are forked from was killed, and after a restart."""

    async def test() -> None:
        async with running(tmp_path) as bed:
            version = await _published(bed, "f", KIND)
            target = {"FunctionName": "f", "Qualifier": version}
            await bed.operate(
                "PutProvisionedConcurrencyConfig", **target, ProvisionedConcurrentExecutions=1
            )
            staff = bed.functions.pool.staff
            await until(lambda: [w for w in staff.fleets if w.is_frozen])
            (first,) = staff.fleets
            assert staff.launcher.zygote_pid is not None
            os.kill(staff.launcher.zygote_pid, signal.SIGKILL)
            await until(lambda: _states(bed) == ["idle"] and first not in staff.fleets)
            await until(lambda: not Path(f"/proc/{first.pid}/exe").exists())  # frozen as it was
        async with running(tmp_path) as bed:
            await until(lambda: _states(bed) == ["idle"])
            answer = await bed.operate("Invoke", **target, Payload=b"{}")
            assert json.loads(answer["Payload"]) == "provisioned-concurrency"

    run_async(test)
