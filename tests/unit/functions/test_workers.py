"""Real workers: what they answer, how they end, what they cannot touch."""

import asyncio
import base64
import json
import os
import signal
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from cloudlet.errors import AwsError
from cloudlet.functions import interpreters, recipe
from tests.unit.functions.cloud import ROLE, running, until, zipped
from tests.unit.functions.cloud import run as run_async


def document(answer: dict[str, bytes]) -> dict[str, str]:
    found: dict[str, str] = json.loads(answer["Payload"])
    return found


class Gate:
    """Handlers that wait at it go on when it is opened; they are connected to it until then."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        host, port = self._listener.getsockname()
        self.source = (
            "import socket\ndef handler(e, c):\n"
            f"    try: socket.create_connection(({host!r}, {port})).recv(1)\n"
            "    except OSError: pass\n    return 1"
        )

    def open(self) -> None:
        self._listener.close()


def test_answers_logs_and_tail(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create(
                "hello", "def handler(e, c):\n    print('hi')\n    return [e, c.aws_request_id]"
            )
            answer = await bed.run("hello", b'{"a": 1}', LogType="Tail")
            event, request_id = json.loads(answer["Payload"])
            assert event == {"a": 1} and "FunctionError" not in answer
            tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
            assert tail[:2] == [f"START RequestId: {request_id} Version: $LATEST", "hi"]
            assert tail[2] == f"END RequestId: {request_id}"
            assert "Max Memory Used" in tail[3] and "Init Duration" in tail[3]
            assert await bed.log("hello") == tail

    run_async(test)


def test_errors_of_the_handler_and_of_its_import(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("fails", "def handler(e, c):\n    raise KeyError('nope')")
            answer = await bed.run("fails")
            assert answer["FunctionError"] == "Unhandled"
            assert document(answer)["errorType"] == "KeyError"
            await bed.create("broken", "import not_there")
            answer = await bed.run("broken")
            assert document(answer)["errorType"] == "Runtime.ImportModuleError"
            assert "[ERROR]" in "\n".join(await bed.log("broken"))

    run_async(test)


def test_timeout_exit_and_memory(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create(
                "slow", "import time\ndef handler(e, c):\n    time.sleep(60)", Timeout=1
            )
            await bed.create("exits", "import os\ndef handler(e, c):\n    os._exit(3)")
            greedy = "def handler(e, c):\n    x = []\n    while True: x.append(bytearray(1 << 24))"
            await bed.create("greedy", greedy, MemorySize=128, Timeout=20)
            slow, exits, large = await asyncio.gather(*map(bed.run, ("slow", "exits", "greedy")))
            assert document(slow)["errorType"] == "Sandbox.Timedout"
            assert document(slow)["errorMessage"].endswith("Task timed out after 1.00 seconds")
            assert document(exits)["errorType"] == "Runtime.ExitError"
            assert document(exits)["errorMessage"].endswith("exit status 3")
            assert document(large)["errorMessage"].endswith("signal: killed")
            assert "Runtime.OutOfMemory" in (await bed.log("greedy"))[-1]

    run_async(test)


def test_prints_ten_megabytes_and_answers_seven(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            noisy = "def handler(*_):\n    for _ in range(99): print('x' * 100_000)\n    return 1"
            await bed.create("noisy", noisy, Timeout=20)
            assert (await bed.run("noisy"))["Payload"] == b"1"
            log = await bed.log("noisy")
            assert sum(map(len, log)) < 2 << 20
            assert any("the rest is dropped" in line for line in log)
            await bed.create("large", "def handler(e, c):\n    return 'x' * 7_000_000", Timeout=20)
            answer = await bed.run("large")
            assert document(answer)["errorType"] == "Function.ResponseSizeTooLarge"

    run_async(test)


def test_is_shut_in(tmp_path: Path) -> None:
    """No data directory, no environment or descriptors of ours, nothing writable but /tmp."""
    source = """
import os
def attempt(action):
    try:
        return str(action())
    except OSError as error:
        return type(error).__name__
def handler(event, context):
    open("/tmp/mine", "w").write("x")
    return {
        "database": attempt(lambda: open(event["data"] + "/cloudlet.db", "rb").read(1)),
        "listing": attempt(lambda: os.listdir(event["data"])),
        "code": attempt(lambda: open(__file__, "a")),
        "home": attempt(lambda: open("/root/.probe", "w")),
        "shadow": attempt(lambda: open("/etc/shadow").read()),
        "kill": attempt(lambda: os.kill(event["pid"], 0)),
        "memory": attempt(lambda: open(f"/proc/{event['pid']}/environ", "rb").read(1)),
        "capabilities": int(open("/proc/self/status").read().split("CapEff:")[1].split()[0], 16),
        "environment": sorted(os.environ),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tmp": os.listdir("/tmp"),
    }
"""

    async def test() -> None:
        os.environ["CLOUDLET_TEST_SECRET"] = "secret"
        (Path("/tmp") / f"cloudlet-{os.getpid()}").touch()
        async with running(tmp_path) as bed:
            await bed.create("curious", source)
            event = json.dumps({"data": str(tmp_path), "pid": os.getpid()}).encode()
            answer = await bed.run("curious", event)
            assert "FunctionError" not in answer, answer
            seen = json.loads(answer["Payload"])
            report = bed.functions.isolation_report()
            refused = {"PermissionError", "FileNotFoundError", "ProcessLookupError", "OSError"}
            if report["landlock"]:
                for name in ("database", "code", "home", "shadow", "memory"):
                    assert seen[name] in refused, name
                assert seen["listing"] in {*refused, "['functions']"}
            if report["landlock_scopes"] or report["pid_namespace"]:
                assert seen["kill"] in refused
            assert seen["capabilities"] < 16
            assert "CLOUDLET_TEST_SECRET" not in seen["environment"]
            assert {"AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"} <= set(seen["environment"])
            assert "AWS_EXECUTION_ENV" not in seen["environment"]
            assert seen["descriptors"] <= 8
            if report["private_tmp"]:
                assert "mine" in seen["tmp"] and f"cloudlet-{os.getpid()}" not in seen["tmp"]

    try:
        run_async(test)
    finally:
        (Path("/tmp") / f"cloudlet-{os.getpid()}").unlink()
        del os.environ["CLOUDLET_TEST_SECRET"]


def test_a_fork_bomb_ends_with_its_invocation(tmp_path: Path) -> None:
    bomb = """
import os, time
def handler(event, context):
    for _ in range(3000):
        if os.fork() == 0:
            os.setsid()
            time.sleep(30)
            os._exit(0)
    time.sleep(30)
"""

    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("bomb", bomb, Timeout=20, MemorySize=10240)
            answer = await bed.run("bomb")
            assert answer["FunctionError"] == "Unhandled"
            await bed.create("other", "def handler(e, c):\n    return 1", Timeout=20)
            assert (await bed.run("other"))["Payload"] == b"1"

    run_async(test)


def test_killed_workers_and_a_killed_zygote(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("slow", "import time\ndef handler(e, c):\n    return time.sleep(e)",
                             Timeout=20)  # fmt: skip
            pool = bed.functions.pool

            async def broken(kill: object) -> dict[str, str]:
                task = asyncio.create_task(bed.run("slow", b"15"))
                await until(lambda: pool.size().get("busy"))
                kill()  # type: ignore[operator]
                return document(await task)

            worker = lambda: next(iter(pool.staff.by_pid))  # noqa: E731
            found = await broken(lambda: os.kill(worker(), signal.SIGKILL))
            assert found["errorMessage"].endswith("signal: killed")
            zygote = pool.staff.launcher.zygote_pid
            assert zygote is not None
            found = await broken(lambda: os.kill(zygote, signal.SIGKILL))
            assert found["errorType"] == "Runtime.ExitError"
            assert (await bed.run("slow", b"0"))["Payload"] == b"null"

    run_async(test)


def test_concurrency_grows_and_shrinks(tmp_path: Path) -> None:
    async def test() -> None:
        gate = Gate()
        async with running(tmp_path, idle_s=0.3) as bed:
            await bed.create("waits", gate.source)
            pool = bed.functions.pool
            waiting = [asyncio.create_task(bed.run("waits")) for _ in range(6)]
            await until(lambda: pool.size().get("busy") == 6)
            gate.open()
            assert [(await task)["Payload"] for task in waiting] == [b"1"] * 6
            await until(lambda: not pool.staff.fleets)
            gate = Gate()
            await bed.create("alone", gate.source)
            await bed.operate("PutFunctionConcurrency", FunctionName="alone",
                              ReservedConcurrentExecutions=1)  # fmt: skip
            first = asyncio.create_task(bed.run("alone"))
            await until(lambda: pool.running.total())
            with pytest.raises(AwsError) as refusal:
                await bed.run("alone")
            assert refusal.value.code == "TooManyRequestsException"
            gate.open()
            assert (await first)["Payload"] == b"1"

    run_async(test)


def test_what_a_burst_left_goes_soon_but_for_the_last_worker(tmp_path: Path) -> None:
    async def test() -> None:
        gate = Gate()
        async with running(tmp_path, spare_s=0.2, spare_max=0) as bed:
            await bed.create("waits", gate.source)
            staff = bed.functions.pool.staff
            waiting = [asyncio.create_task(bed.run("waits")) for _ in range(3)]
            await until(lambda: bed.functions.pool.size().get("busy") == 3)
            gate.open()
            await asyncio.gather(*waiting)
            await until(lambda: len(staff.fleets) == 1)
            [last] = staff.fleets
            await asyncio.sleep(2 * min(1, staff.settings.idle_s))  # two looks later …
            assert list(staff.fleets) == [last] and last.state == "idle"

    run_async(test)


def test_a_full_machine_leaves_room_for_other_functions(tmp_path: Path) -> None:
    """Whoever has workers gives one up as soon as it answers, however many more wait."""

    async def test() -> None:
        async with running(tmp_path, workers_max=2) as bed:
            nap = "import time\ndef handler(e, c):\n    time.sleep(0.2)"
            await bed.create("nap", nap)
            await bed.create("other", "def handler(e, c):\n    return 1")
            is_over = False

            async def nap_on() -> None:
                while not is_over:
                    assert (await bed.run("nap"))["Payload"] == b"null"

            naps = [asyncio.create_task(nap_on()) for _ in range(8)]
            await until(lambda: bed.functions.pool.size().get("busy") == 2)
            assert (await bed.run("other"))["Payload"] == b"1"
            is_over = True
            await asyncio.gather(*naps)

    run_async(test)


def test_folders_are_used_in_place_and_reload(tmp_path: Path) -> None:
    async def test() -> None:
        folder = tmp_path / "source"
        folder.mkdir()
        (folder / "handler.py").write_text("def handler(e, c):\n    return 'one'")
        async with running(tmp_path / "data") as bed:
            settings = {"S3Bucket": "cloudlet-folder", "S3Key": str(folder)}
            with pytest.raises(AwsError):
                await bed.create("edited", "", Code=settings)
            params = {"FunctionName": "edited", "Runtime": "python3.12", "Code": settings,
                      "Handler": "handler.handler", "Role": ROLE}  # fmt: skip
            created = await bed.invoke("lambda", "CreateFunction", params)
            assert (await bed.run("edited"))["Payload"] == b'"one"'
            (folder / "handler.py").write_text("def handler(e, c):\n    return 'and two'")
            assert (await bed.run("edited"))["Payload"] == b'"and two"'
            now = await bed.operate("GetFunctionConfiguration", FunctionName="edited")
            assert now["CodeSha256"] != created["CodeSha256"]

    run_async(test)


def test_a_bootstrap_of_its_own_and_a_fresh_interpreter(tmp_path: Path) -> None:
    script = """#!/bin/bash
base="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
    headers=$(mktemp)
    event=$(curl -sS -D "$headers" "$base/next") || exit 1
    id=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '\\r' | cut -d' ' -f2)
    curl -sS -o /dev/null "$base/$id/response" -d "{\\"got\\": $event}"
done
"""

    async def test() -> None:
        folder, bundled = tmp_path / "bash", tmp_path / "bundled"
        (bundled / "boto3").mkdir(parents=True)
        folder.mkdir()
        (bundled / "boto3" / "__init__.py").write_text("__version__ = 'mine'")
        source = "import boto3\ndef handler(e, c):\n    return boto3.__version__"
        (bundled / "handler.py").write_text(source)
        (folder / "bootstrap").write_text(script)
        (folder / "bootstrap").chmod(0o755)
        async with running(tmp_path / "data") as bed:
            for name, runtime, path in (
                ("bash", "provided.al2023", folder),
                ("bundled", "python3.12", bundled),
            ):
                params = {"FunctionName": name, "Runtime": runtime, "Handler": "handler.handler",
                          "Role": "arn:aws:iam::000000000000:role/x", "Timeout": 20,
                          "Code": {"S3Bucket": "cloudlet-folder", "S3Key": str(path)}}  # fmt: skip
                await bed.invoke("lambda", "CreateFunction", params)
            assert document(await bed.run("bash", b'{"a": 1}')) == {"got": {"a": 1}}
            assert (await bed.run("bundled"))["Payload"] == b'"mine"'

    run_async(test)


@pytest.mark.skipif(not Path("/opt").is_dir(), reason="there is no /opt")
def test_layers_are_at_opt(tmp_path: Path) -> None:
    """One as it is, several laid over each other: the last wins."""
    source = (
        "import os\ndef handler(event, context):\n"
        "    return {name: open(f'/opt/{name}').read() for name in sorted(os.listdir('/opt'))}"
    )

    async def test() -> None:
        async with running(tmp_path) as bed:
            if not (await bed.functions.pool.staff.launcher.able())["private_tmp"]:
                pytest.skip("workers have no mounts of their own here")
            layers = []
            for name, files in (("one", {"a": "1", "both": "1"}), ("two", {"b": "2", "both": "2"})):
                content = {"ZipFile": zipped(**files)}
                made = await bed.operate("PublishLayerVersion", LayerName=name, Content=content)
                layers.append(made["LayerVersionArn"])
            await bed.create("single", source, Layers=layers[:1])
            assert document(await bed.run("single")) == {"a.py": "1", "both.py": "1"}
            await bed.create("several", source, Layers=layers)
            merged = {"a.py": "1", "b.py": "2", "both.py": "2"}
            assert document(await bed.run("several")) == merged

    run_async(test)


def test_log_streams_in_a_group_of_ones_choice_name_the_function(tmp_path: Path) -> None:
    """functions-001"""

    async def test() -> None:
        async with running(tmp_path) as bed:
            source = "def handler(event, context):\n    return context.log_stream_name"
            await bed.create("plain", source)
            await bed.create("shares", source, LoggingConfig={"LogGroup": "/shop"})
            streams = [json.loads((await bed.run(n))["Payload"]) for n in ("plain", "shares")]
            ends = [stream.split("/")[3].partition("]")[0] for stream in streams]
            assert ends == ["[$LATEST", "shares[$LATEST"]

    run_async(test)


def test_whatever_starting_raises_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As often as it is tried, and nothing is left of a worker that did not start."""
    order = recipe.spawn_request

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("no order")

    async def test() -> None:
        async with running(tmp_path) as bed:
            await bed.create("fine", "def handler(e, c):\n    return 1")
            monkeypatch.setattr(recipe, "spawn_request", fail)
            answers = await asyncio.gather(
                *(bed.run("fine") for _ in range(12)), return_exceptions=True
            )
            assert {str(each) for each in answers} == {
                "ServiceException: A worker cannot be started: no order"
            }
            assert caplog.records[0].getMessage() == "a worker of fine cannot be started"
            staff = bed.functions.pool.staff
            assert (staff.starting, staff.fleets, staff.by_secret) == (0, {}, {})
            monkeypatch.setattr(recipe, "spawn_request", order)
            assert (await bed.run("fine"))["Payload"] == b"1"

    run_async(test)


def test_a_python_that_hangs_delays_the_first_invocation_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3.8").write_text("#!/bin/sh\nexec sleep 1000\n")
    (programs / "python3.8").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(interpreters, "_ASK_S", 0.5)

    async def test() -> None:
        async with running(tmp_path / "data") as bed:
            await bed.create("old", "def handler(e, c):\n    return 1", Runtime="python3.8")
            answers = await asyncio.gather(*(bed.run("old") for _ in range(6)))
            assert {each["Payload"] for each in answers} == {b"1"}

    run_async(test)
