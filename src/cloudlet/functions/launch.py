"""The pool's side of the zygote: starts it, asks it for workers, learns of their ends.

Restarts the zygote when it dies (its workers die with it and are reported as exited).
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection
from typing import Any

from cloudlet.functions import linux, sandbox
from cloudlet.functions.zygote import MESSAGE_BYTES

_log = logging.getLogger(__name__)
_KILLED = -9
_PAUSE_S = 1.0
Exited = Callable[[int, int], None]  # pid, exit code (negative: the signal)


class Launcher:
    """`spawn` returns a pid; its `exited` is called once, on the event loop."""

    def __init__(self, without: Collection[str] = ()) -> None:
        """`without`: measures of isolation to leave alone, for tests of the other ones."""
        self.abilities: dict[str, bool] = {}
        self._without = tuple(without)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._able = asyncio.Event()
        self._ready = asyncio.Event()
        self._spawning: dict[int, tuple[asyncio.Future[int], Exited]] = {}
        self._alive: dict[int, Exited] = {}
        self._number = 0

    def start(self) -> None:
        sandbox.hide_memory()
        ours, theirs = _channel()
        ours.setblocking(False)
        program = [sys.executable, "-I", "-m", "cloudlet.functions.zygote"]
        with theirs:
            self._process = subprocess.Popen(
                [*program, str(theirs.fileno()), *self._without],
                pass_fds=[theirs.fileno()],
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._channel = ours
        self._ready.clear()
        asyncio.get_running_loop().add_reader(ours.fileno(), self._receive)

    async def stop(self) -> None:
        process = self._process
        self._process = None
        self._close()
        if process is not None:  # it ends at the end of the channel
            try:
                await asyncio.to_thread(process.wait, 2)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    @property
    def zygote_pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def able(self) -> dict[str, bool]:
        """What shuts workers in; known soon after the start."""
        await self._able.wait()
        return dict(self.abilities)

    async def spawn(self, request: dict[str, Any], exited: Exited) -> tuple[int, int]:
        """Starts a worker; returns its pid and the reading end of its log pipe."""
        await self._ready.wait()
        self._number += 1
        key = self._number
        log_in, log_out = os.pipe()
        os.set_blocking(log_in, False)
        spawned: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._spawning[key] = (spawned, exited)
        try:
            await self._send({**request, "spawn": key}, [log_out])
            return await spawned, log_in
        except BaseException:
            os.close(log_in)
            raise
        finally:
            os.close(log_out)
            self._spawning.pop(key, None)

    async def kill(self, pid: int) -> None:
        if pid in self._alive:
            with contextlib.suppress(OSError):
                await self._send({"kill": pid}, [])

    async def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        data = json.dumps(message).encode()
        while True:
            if self._channel is None:
                raise ConnectionError("the zygote is gone")
            try:
                socket.send_fds(self._channel, [data], descriptors)
                return
            except BlockingIOError:
                await asyncio.sleep(0.002)

    def _receive(self) -> None:
        assert self._channel is not None
        while True:
            try:
                data = self._channel.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            self._obey(json.loads(data))

    def _obey(self, message: dict[str, Any]) -> None:
        if "able" in message:
            self.abilities = message["able"]
            self._able.set()
        elif "ready" in message:
            self._ready.set()
        elif "spawned" in message:
            future, exited = self._spawning.get(message["spawned"], (None, _unheard))
            self._alive[message["pid"]] = exited
            if future is not None and not future.done():
                future.set_result(message["pid"])
        elif "failed" in message:
            future, _ = self._spawning.get(message["failed"], (None, _unheard))
            if future is not None and not future.done():
                future.set_exception(OSError(message["reason"]))
        elif "exited" in message:
            self._alive.pop(message["exited"], _unheard)(message["exited"], message["status"])

    def _close(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _lost(self) -> None:
        self._close()
        for future, _ in self._spawning.values():
            if not future.done():
                future.set_exception(ConnectionError("the zygote died"))
        dead, self._alive = self._alive, {}
        for pid, exited in dead.items():
            exited(pid, _KILLED)
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            was_ready = self._ready.is_set()
            self._ready.clear()
            _log.warning("the zygote died (%s) and is started again", process.returncode)
            pause_s = 0.0 if was_ready else _PAUSE_S  # one that cannot start must not spin
            asyncio.get_running_loop().call_later(pause_s, self._restart)

    def _restart(self) -> None:
        if self._process is not None and self._channel is None:
            self.start()


def _unheard(pid: int, status: int) -> None:
    """For a worker that nobody waits for any more."""


def _channel() -> tuple[socket.socket, socket.socket]:
    """Keeps messages apart. macOS has no such kind that also tells of its end as surely."""
    kind = socket.SOCK_SEQPACKET if linux.is_linux() else socket.SOCK_DGRAM
    pair = socket.socketpair(socket.AF_UNIX, kind)
    for end in pair:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, 2 * MESSAGE_BYTES)
    return pair
