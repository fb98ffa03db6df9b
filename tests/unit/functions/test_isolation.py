"""Every way of shutting workers in that this machine has: none may reach cloudlet's secrets."""

import json
import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cloudlet.functions import isolation, linux
from tests.unit.functions.cloud import ROLE, Bed, running, until
from tests.unit.functions.cloud import run as run_async

# What to leave alone → the mode that is left. As root also the ways of others are tried.
MODES = {
    "all": (),
    "user namespaces": ("namespaces",),
    "user namespaces alone": ("namespaces", "landlock"),
    "namespaces alone": ("landlock",),
    "Landlock alone": ("namespaces", "user_namespace"),
}
HIDING = ("landlock", "private_tmp")  # either hides the data directory

SPY = """
import glob, os, tempfile
def attempt(action):
    try:
        return str(action())
    except OSError as error:
        return "-" + type(error).__name__
def handler(event, context):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("scratch")
    root, pid = event["data"] + "/root-key.json", event["pid"]
    return {
        "root key": attempt(lambda: open(root).read()),
        "hard link": attempt(lambda: os.link(root, tempfile.gettempdir() + "/key")),
        "database": attempt(lambda: open(event["data"] + "/cloudlet.db", "rb").read(9)),
        "file in data": attempt(lambda: open(event["data"] + "/mine", "w")),
        "code": attempt(lambda: open(__file__, "a")),
        "system": attempt(lambda: open("/usr/mine", "w")),
        "environment": attempt(lambda: open(f"/proc/{pid}/environ", "rb").read()),
        "zygote": attempt(lambda: open(f"/proc/{event['zygote']}/environ", "rb").read()),
        "memory": attempt(lambda: open(f"/proc/{pid}/mem", "rb").read(1)),
        "root": attempt(lambda: os.listdir(f"/proc/{pid}/root/")),
        "pid": os.getpid(),
        "own": open("/proc/self/status").read().split("CapEff:")[1].split()[0],
        "code is read": bool(open(__file__).read()),
    }
"""


@pytest.mark.parametrize("without", MODES.values(), ids=MODES)
def test_secrets_stay_secret_in_every_mode(tmp_path: Path, without: tuple[str, ...]) -> None:
    async def test() -> None:
        (tmp_path / "root-key.json").write_text("a secret of the root key")
        async with running(tmp_path, without=without) as bed:
            report = await bed.functions.pool.staff.launcher.able()
            assert not any(report[name] for name in set(without) & set(report))
            if not any(report[name] for name in HIDING):
                assert isolation.missing(report)
                pytest.skip("this machine has neither Landlock nor namespaces")
            await bed.create("spy", SPY)
            seen = await _ask(bed, "spy", tmp_path)
            assert not (tmp_path / "mine").exists()  # at most in a private /tmp
            names = set(seen) - {"pid", "own", "code is read", "file in data"}
            assert {name for name in names if not seen[name].startswith("-")} == set()
            assert seen["code is read"]
            assert int(seen["own"], 16) < 16
            assert (seen["pid"] == 1) == report["pid_namespace"]

    run_async(test)


@pytest.mark.parametrize("without", MODES.values(), ids=MODES)
def test_code_in_a_folder_above_the_data_directory(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    """A template beside `.cloudlet` with `CodeUri: .`: the code is read, the data is not."""

    async def test() -> None:
        data = tmp_path / ".cloudlet"
        data.mkdir()
        (data / "root-key.json").write_text("a secret of the root key")
        (tmp_path / "handler.py").write_text("import beside\n" + SPY)
        (tmp_path / "beside.py").write_text("")
        async with running(data, without=without) as bed:
            report = await bed.functions.pool.staff.launcher.able()
            if not any(report[name] for name in HIDING):
                pytest.skip("this machine has neither Landlock nor namespaces")
            params = {"FunctionName": "spy", "Runtime": "python3.12", "Handler": "handler.handler",
                      "Role": ROLE, "Code": {"S3Bucket": "cloudlet-folder",
                                             "S3Key": str(tmp_path)}}  # fmt: skip
            await bed.invoke("lambda", "CreateFunction", params)
            seen = await _ask(bed, "spy", data)
            assert seen["root key"].startswith("-") and seen["code"].startswith("-")
            assert seen["database"].startswith("-")

    run_async(test)


@pytest.mark.parametrize("without", MODES.values(), ids=MODES)
def test_functions_of_an_account_see_no_data_of_the_others(without: tuple[str, ...]) -> None:
    """Its folder is in the default account's, which may lie anywhere on the machine."""

    async def test(whole: Path) -> None:
        (whole / "root-key.json").write_text("a secret of the default account's root key")
        async with running(whole / "accounts" / "000000000000", without=without) as bed:
            report = await bed.functions.pool.staff.launcher.able()
            if not any(report[name] for name in HIDING):
                pytest.skip("this machine has neither Landlock nor namespaces")
            await bed.create("spy", SPY)
            seen = await _ask(bed, "spy", whole)
            assert seen["root key"].startswith("-") and seen["code is read"]

    with tempfile.TemporaryDirectory(dir="/var/tmp") as whole:
        run_async(lambda: test(Path(whole)))


async def _ask(bed: Bed, name: str, data: Path) -> dict[str, Any]:
    zygote = bed.functions.pool.staff.launcher.zygote_pid
    event = {"data": str(data), "pid": os.getpid(), "zygote": zygote}
    answer = await bed.run(name, json.dumps(event).encode())
    assert "FunctionError" not in answer, answer
    seen: dict[str, Any] = json.loads(answer["Payload"])
    return seen


DAEMON = """
import os, time
def handler(event, context):
    inside, outside = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            os.write(outside, b"!")
            print("daemon", flush=True)
            time.sleep(600)
        os._exit(0)
    os.wait()
    os.read(inside, 1)
    if event == "exit":
        os._exit(1)
    return os.getpid()
"""


@pytest.mark.skipif(not linux.is_linux(), reason="needs namespaces or a subreaper")
@pytest.mark.parametrize("without", MODES.values(), ids=MODES)
def test_what_calls_setsid_does_not_outlive_its_worker(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    async def test() -> None:
        async with running(tmp_path, without=without) as bed:
            await bed.create("daemon", DAEMON)
            launcher = bed.functions.pool.staff.launcher
            await bed.run("daemon", b'""')
            (worker,) = bed.functions.pool.staff.by_pid
            family = _descendants(launcher.zygote_pid or 0) - {worker}
            assert len(family) == 1
            os.kill(worker, signal.SIGKILL)
            await until(lambda: not any(map(_lives, family)))
            await bed.run("daemon", b'"exit"')
            await until(lambda: not _descendants(launcher.zygote_pid or 0))
            await bed.run("daemon", b'""')
            family = _descendants(launcher.zygote_pid or 0)
            assert len(family) == 2
        assert not any(map(_lives, family))  # nor does anything outlive cloudlet

    run_async(test)


@pytest.mark.skipif(os.getuid() == 0, reason="the kernel exempts root from the limit")
@pytest.mark.parametrize("without", MODES.values(), ids=MODES)
def test_the_kernel_bounds_the_number_of_processes(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    source = """
import os, resource, threading, time
def handler(event, context):
    count = 0
    try:
        for count in range(5000):
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
    except OSError as error:
        return [type(error).__name__, count]
"""

    async def test() -> None:
        async with running(tmp_path, without=without, watch_s=600) as bed:
            await bed.create("forks", source, MemorySize=10240, Timeout=180)
            answer = await bed.run("forks")
            assert "FunctionError" not in answer, answer
            error, count = json.loads(answer["Payload"])
            assert error == "BlockingIOError" and count > 500
            report = bed.functions.isolation_report()
            assert count <= 1024 or not report["user_namespace"]  # it counts from zero there
            worker = next(iter(bed.functions.pool.staff.by_pid))
            os.kill(worker, signal.SIGKILL)
            await bed.create("other", "def handler(e, c):\n    return 1", Timeout=20)
            assert (await bed.run("other"))["Payload"] == b"1"

    run_async(test)


def test_says_what_is_missing() -> None:
    everything = dict.fromkeys(
        ("landlock", "landlock_scopes", "private_tmp", "pid_namespace", "user_namespace",
         "read_only", "adopts_orphans", "process_limit"), True)  # fmt: skip
    assert isolation.missing(everything) == []
    nothing = dict.fromkeys(everything, False)
    text = "\n".join(isolation.missing(nothing))
    assert "root key" in text and "/tmp" in text and "processes" in text
    assert "root key" not in "\n".join(isolation.missing({**nothing, "landlock": True}))


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found |= {int(child)} | _descendants(int(child))
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
