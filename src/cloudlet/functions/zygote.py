"""The process that Python workers are forked from: single-threaded, boto3 and its models loaded.

Speaks datagrams of JSON over the socket it inherits. In: `{"spawn": key, …}` with one descriptor
(the log pipe), `{"kill": pid}`. Out: `{"able": probe}`, `{"ready": true}`, `{"spawned": key,
"pid": …}`, `{"failed": key, "reason": …}`, `{"exited": pid, "status": …}`. It alone reaps and kills
workers, so that no process id is ever reused under its feet. When its parent ends, it ends all
workers and itself; when it is killed, the kernel kills the workers.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudlet.functions import sandbox, worker

MESSAGE_BYTES = 1 << 18
PRELOADED = (
    "s3", "dynamodb", "sqs", "sns", "events", "lambda", "sts", "apigatewaymanagementapi",
)  # fmt: skip


def main(descriptor: int, without: list[str]) -> None:
    sandbox.hide_memory()
    channel = socket.socket(fileno=descriptor)
    abilities = sandbox.probe(without)
    try:
        channel.send(json.dumps({"able": abilities}).encode())
    except ConnectionError:  # the parent has given up meanwhile: over a wrong template, say
        return
    _preload()
    gc.collect()
    gc.freeze()
    wake_in, wake_out = os.pipe()
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who stops us
    Zygote(channel, wake_in, abilities).serve()


def _preload() -> None:
    """Parses the models and imports all that a first client imports; keeps no client."""
    import boto3
    from botocore.loaders import create_loader

    loader = create_loader()
    loader.search_paths.append(str(Path(boto3.__file__).parent / "data"))
    worker.share_models(loader)
    session = boto3.session.Session("none", "none", region_name="us-east-1")
    client: Any = session.client
    for name in PRELOADED:
        client(name)
    session.resource("dynamodb")
    for name in ("concurrent.futures.thread", "decimal", "uuid", "zipfile"):
        importlib.import_module(name)


class Zygote:
    def __init__(self, channel: socket.socket, wake: int, abilities: dict[str, bool]) -> None:
        self.channel = channel
        self.wake = wake
        self.abilities = abilities
        self.workers: set[int] = set()
        self.namespace: int | None = None
        if abilities["pid_namespace"]:
            self.namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        self.send({"ready": True})
        while True:
            readable, _, _ = select.select([self.channel.fileno(), self.wake], [], [])
            if self.wake in readable:
                os.read(self.wake, 4096)
                self.reap()
            if self.channel.fileno() in readable:
                data, descriptors = self.receive()
                if not data:
                    self.end()
                    return
                self.obey(json.loads(data), descriptors)

    def receive(self) -> tuple[bytes, list[int]]:
        try:
            return socket.recv_fds(self.channel, MESSAGE_BYTES, 1)[:2]
        except ConnectionError:
            return b"", []

    def obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "kill" in message and message["kill"] in self.workers:
            _kill_group(message["kill"])
        elif "spawn" in message:
            self.spawn(message, descriptors[0])

    def spawn(self, message: dict[str, Any], log: int) -> None:
        try:
            pid = sandbox.fork(self.abilities, self.namespace)
        except OSError as error:
            self.send({"failed": message["spawn"], "reason": error.strerror or str(error)})
        else:
            if pid == 0:
                become_worker(message, log, self.abilities)
            self.workers.add(pid)
            self.send({"spawned": message["spawn"], "pid": pid})
        finally:
            os.close(log)

    def reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self.workers:
                    self.workers.discard(pid)
                    _kill_group(pid)  # what it left behind
                    self.send({"exited": pid, "status": os.waitstatus_to_exitcode(status)})
                self.kill_strays()

    def kill_strays(self) -> None:
        """What a worker left in another session became our child when the worker ended."""
        for pid in _children() - self.workers:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """The parent is gone: nothing of us stays."""
        for pid in self.workers:
            _kill_group(pid)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
                self.kill_strays()

    def send(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionError):  # the parent is gone: the next read says so too
            self.channel.send(json.dumps(message).encode())


def _children() -> set[int]:
    """Zombies included. Empty where the system doesn't tell."""
    with suppress(OSError):
        own = os.getpid()
        return set(map(int, Path(f"/proc/self/task/{own}/children").read_text().split()))
    return set()


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def become_worker(message: dict[str, Any], log: int, abilities: dict[str, bool]) -> None:
    """In the child: shuts itself in, then runs the function. Never returns."""
    status = 1
    try:
        sandbox.die_with_parent()
        sandbox.adopt_orphans()
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.closerange(3, 1 << 16)
        readable = [*message["readable"], *runtime_paths()]
        own_tmp = sandbox.shut_in(message, readable, abilities)
        if own_tmp != "/tmp":
            message["environment"]["TMPDIR"] = own_tmp
        os.chdir(message["folder"])
        if message["argv"]:
            os.execve(message["argv"][0], message["argv"], message["environment"])
        worker.enter(message["environment"], message["path"])
        status = 0
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def runtime_paths() -> list[str]:
    """What an interpreter needs to read: the system, itself, its packages."""
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, worker.__file__}
    packages = {path for path in sys.path if path and Path(path).name == "site-packages"}
    return [*sandbox.SYSTEM_PATHS, *sorted(own | packages)]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
