"""A real cloudlet in its own process, for tests over the network: start, kill, restart, ask."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import boto3
import urllib3
from botocore.config import Config

LAMBDASHARE = Path(__file__).parent.parent / "src" / "lambdashare" / "template.yaml"
_START_S = _STOP_S = 120
_PROCESSES = 16


def _ports() -> Iterator[int]:
    """Below those that the kernel gives to whoever connects: nobody takes one before the server
    does, or while it is down. Each of pytest's processes has ports of its own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _PROCESSES
    own = range(11_000 + number, 32_000, _PROCESSES)
    while True:
        yield from random.sample(own, len(own))


_PORTS = _ports()


def free_port() -> int:
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port := next(_PORTS)))
            return port


class Server:
    """`template=None`: the bare services. `log` holds what it printed."""

    running: ClassVar[set["Server"]] = set()

    def __init__(self, data: Path, template: Path | None = None, *options: str) -> None:
        self.data = data
        self.template = template
        self.options = options
        self.aws_port, self.port = free_port(), free_port()
        self.log = data.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.http = urllib3.PoolManager(retries=False, timeout=60)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _command(self) -> list[str]:
        if self.template == LAMBDASHARE:
            return ["-m", "lambdashare.cli", "up"]
        return ["-m", "cloudlet", "up", *([str(self.template)] if self.template else [])]

    def start(self) -> "Server":
        arguments = ["--port", str(self.port), "--aws-port", str(self.aws_port)]
        arguments += ["--data", str(self.data), *self.options]
        log = self.log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, *self._command(), *arguments],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        log.close()
        self.running.add(self)
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"cloudlet ended:\n{self.log.read_text()[-4000:]}")
            with suppress(urllib3.exceptions.HTTPError):
                answer = self.http.request("GET", f"{self.endpoint}/_cloudlet/health", timeout=10)
                if answer.status == 200 and answer.json()["ready"]:
                    return
            time.sleep(0.02)
        raise AssertionError(f"cloudlet did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """`kill -9` of cloudlet alone: its workers must notice by themselves."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_S)
        self.running.discard(self)

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        if self._process is None or self._process.poll() is not None:
            return self._process.returncode if self._process else 0
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(_STOP_S)
            self.running.discard(self)
            return code
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def root_key(self) -> dict[str, str]:
        key: dict[str, str] = json.loads((self.data / "root-key.json").read_text())
        return key

    def credentials(self) -> dict[str, str]:
        key = self.root_key
        return {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
        }

    def client(self, service: str, **settings: Any) -> Any:
        config = Config(retries={"max_attempts": 1}, connect_timeout=60, read_timeout=120)
        options: dict[str, Any] = {
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "config": config,
            **self.credentials(),
            **settings,
        }
        return boto3.client(service, **options)  # type: ignore[call-overload]
