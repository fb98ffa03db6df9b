"""cloudlet and its peers as processes on loopback: start, ready, memory, stop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config

ROOT = Path(__file__).parent.parent
_PEERS = ROOT / ".venv-peers" / "bin"
_START_S = 60


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """All of them different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Contender:
    """One local cloud. `key` signs requests; cloudlet alone checks it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.door = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        self.key = ("test", "test")
        self.start_s = 0.0
        self.working: Path | None = None  # where it is started
        self._process: subprocess.Popen[bytes] | None = None
        self._http = urllib3.PoolManager(retries=False, timeout=2)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> tuple[list[str], dict[str, str]]:
        if self.name == "moto":
            return [str(_PEERS / "moto_server"), "-p", str(self.port)], {}
        if self.name == "ministack":
            return [str(_PEERS / "ministack")], {
                "GATEWAY_PORT": str(self.port), "EDGE_PORT": str(self.port), "PORT": str(self.port),
            }  # fmt: skip
        command = [sys.executable, "-m", "cloudlet", "up", "--no-watch"]
        return [*command, *self.options()], {}

    def options(self) -> list[str]:
        return ["--aws-port", str(self.port), "--port", str(self.door), "--data", str(self.folder)]

    def start(self) -> "Contender":
        command, environment = self.command()
        self._log = (self.folder.parent / f"{self.folder.name}.log").open("wb")
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=self._log,
            stderr=subprocess.STDOUT, start_new_session=True, cwd=self.working,
        )  # fmt: skip
        self._wait()
        self.start_s = time.perf_counter() - began
        if self.name == "cloudlet" or self.name == "lambdashare":
            key = json.loads((self.folder / "root-key.json").read_text())
            self.key = (key["AccessKeyId"], key["SecretAccessKey"])
        return self

    def _wait(self) -> None:
        assert self._process is not None
        path = "/_cloudlet/health" if self.name in ("cloudlet", "lambdashare") else "/"
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} ended: {Path(self._log.name).read_text()[-2000:]}")
            with suppress(urllib3.exceptions.HTTPError):
                answer = self._http.request("GET", f"{self.endpoint}{path}")
                if answer.status < 500 and b'"ready":false' not in answer.data:
                    return
            time.sleep(0.005)
        raise SystemExit(f"{self.name} did not start")

    def restart(self, url: str) -> None:
        """Stops, starts again on the same data; `start_s` is then the time to the first answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        command, environment = self.command()
        began = time.perf_counter()
        self._process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=self._log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        while True:
            with suppress(urllib3.exceptions.HTTPError):
                if self._http.request("GET", url).status == 200:
                    break
            if self._process.poll() is not None or time.perf_counter() - began > _START_S:
                raise SystemExit(f"{self.name} did not come back")
            time.sleep(0.005)
        self.start_s = time.perf_counter() - began

    def pause(self) -> None:
        """Ends the process; `start` goes on with the same data."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._log.close()

    def memory_mib(self) -> float:
        """Resident memory of the process and all that it started."""
        assert self._process is not None
        pids = subprocess.run(
            ["ps", "-o", "rss=", "-g", str(os.getpgid(self._process.pid))],
            capture_output=True, text=True, check=False,
        ).stdout.split()  # fmt: skip
        children = _descendants(self._process.pid)
        rss = 0
        for pid in children:
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        rss += int(line.split()[1])
        return rss / 1024 if rss else sum(map(int, pids)) / 1024

    def cpu_s(self) -> float:
        """Processor time of the process and all that it started and that still lives."""
        assert self._process is not None
        ticks = 0
        for pid in _descendants(self._process.pid):
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._log.close()
        Path(self._log.name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, service: str) -> Any:
        config = Config(retries={"max_attempts": 0}, read_timeout=120)
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.key[0],
            aws_secret_access_key=self.key[1],
            config=config,
        )


class SeaweedFS(Contender):
    """Master, volume server, filer and S3 gateway in one process, without keys, as by default."""

    def __init__(self) -> None:
        super().__init__("seaweedfs")

    def command(self) -> tuple[list[str], dict[str, str]]:
        command = [str(_PEERS / "weed"), "server", "-ip", "127.0.0.1", "-dir", str(self.folder)]
        parts = ("s3", "master", "volume", "filer")
        names = [f"{part}.{kind}" for part in parts for kind in ("port", "port.grpc")]
        ports = {
            **dict(zip(names, free_ports(len(names)), strict=True)),
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        self.port = ports["s3.port"]
        options = {"volume.max": 100, **ports}  # each bucket takes seven
        return [*command, "-s3", *(f"-{name}={value}" for name, value in options.items())], {}


class Loopback(Contender):
    """The machine itself: a server that does nothing."""

    def __init__(self) -> None:
        super().__init__("machine")

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "bench.loopback", str(self.port)], {}


class LambdaShare(Contender):
    """λShare on cloudlet, as `script/up` runs it."""

    def __init__(self) -> None:
        super().__init__("lambdashare")

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "lambdashare.cli", "up", *self.options()], {}


def _descendants(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        with suppress(OSError):
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found
