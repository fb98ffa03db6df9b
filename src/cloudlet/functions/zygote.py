"""The process that Python workers are forked from: single-threaded, boto3 and its models loaded.

Speaks datagrams of JSON over the socket it inherits. In: `{"spawn": key, …}` with one descriptor
(the log pipe), `{"kill": pid}`. Out: `{"ready": probe}`, `{"spawned": key, "pid": …}`,
`{"exited": pid, "status": …}`. It alone reaps and kills workers, so that no process id is ever
reused under its feet. It ends with its parent, and its workers end with it.
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


def main(descriptor: int) -> None:
    sandbox.die_with_parent()
    channel = socket.socket(fileno=descriptor)
    abilities = sandbox.probe()
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
        self.send({"ready": self.abilities})
        while True:
            readable, _, _ = select.select([self.channel.fileno(), self.wake], [], [])
            if self.wake in readable:
                os.read(self.wake, 4096)
                self.reap()
            if self.channel.fileno() in readable:
                data, descriptors, _, _ = socket.recv_fds(self.channel, MESSAGE_BYTES, 1)
                if not data:
                    return  # the parent is gone; our death takes the workers along
                self.obey(json.loads(data), descriptors)

    def obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "kill" in message and message["kill"] in self.workers:
            _kill_group(message["kill"])
        elif "spawn" in message:
            pid = sandbox.fork_in_pid_namespace(self.namespace)
            if pid == 0:
                become_worker(message, descriptors[0], self.abilities)
            os.close(descriptors[0])
            self.workers.add(pid)
            self.send({"spawned": message["spawn"], "pid": pid})

    def reap(self) -> None:
        while self.workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.workers.discard(pid)
            _kill_group(pid)  # what it left behind
            self.send({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def send(self, message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the parent is gone: the next read says so too
            self.channel.send(json.dumps(message).encode())


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
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.closerange(3, 1 << 16)
        _shut_in(message, abilities)
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


def _shut_in(message: dict[str, Any], abilities: dict[str, bool]) -> None:
    readable = [*message["readable"], *runtime_paths()]
    own_tmp = message["tmp"]
    if abilities["private_tmp"] and sandbox.private_tmp(message["tmp_mb"], readable):
        own_tmp = "/tmp"
    else:
        message["environment"]["TMPDIR"] = own_tmp
    sandbox.set_limits(message["address_space_bytes"])
    if abilities["process_limit"]:
        sandbox.limit_processes(message["user_processes"])
    sandbox.drop_capabilities()
    sandbox.restrict(readable, [own_tmp])


def runtime_paths() -> list[str]:
    """What an interpreter needs to read: the system, itself, its packages."""
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, worker.__file__}
    packages = {path for path in sys.path if path and Path(path).name == "site-packages"}
    return [*sandbox.SYSTEM_PATHS, *sorted(own | packages)]


if __name__ == "__main__":
    main(int(sys.argv[1]))
