"""Processes beside this one that answer reads of S3 and DynamoDB, when one core is not enough.

Theory of operation. This process accepts every connection. One whose requests only read (`reads`),
several in a row, is handed to a reader, socket and all; the reader has its own view of the store
(SQLite lets many processes read what one has committed) and sends its answers itself. Whatever a
reader cannot answer well (another operation, an error, contents too big for the store's rows)
goes back the same way, with the bytes of the request: so all that is refused, changed or logged is
this process's alone, and a reader may end at any time. A connection that came back stays twice as
long before it is handed out again.

Readers begin when many reads come in a short time and end when few do. Each gets connections while
it has fewer of them than are reading here.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cloudlet.config import Config
from cloudlet.front.channel import Channel, Document
from cloudlet.front.connection import Connection
from cloudlet.front.reads import size_of_read
from cloudlet.front.server import Listener

_log = logging.getLogger(__name__)
_PATIENCE = 4  # reads of a connection before it is handed out for the first time
_PATIENCE_MAX = 1 << 16
_SAMPLE = 128  # reads that are timed together
_BUSY = 800.0  # a second: readers are wanted
_IDLE_S = 30.0  # without much to do, a reader ends
_IDLE_READS = 600  # what is not much in that time
_PAUSE_S = 5.0  # after one ended by itself
_STOP_S = 5.0
_MODULE = "cloudlet.reader"


@dataclass(slots=True, eq=False)
class _Care:
    """What is noted of a connection."""

    patience: int = _PATIENCE
    reads: int = 0  # in a row


class _Reader:
    """One of the processes, from here."""

    def __init__(self, channel: Channel, process: asyncio.subprocess.Process) -> None:
        self.channel = channel
        self.process = process
        self.is_ready = False
        self.connections = 0
        self.reads = 0
        self.since_s = time.monotonic()


class Readers:
    """`Steward` of the main process. `most` of them at once, 0 for none; `on_report` gets what they
    have measured."""

    def __init__(
        self, config: Config, pulse: int, most: int, on_report: Callable[[Document], None]
    ) -> None:
        self._config = config
        self._pulse = pulse
        self._most = most
        self._on_report = on_report
        self._readers: list[_Reader] = []
        self._own: set[Connection] = set()  # connections that read, and are served here
        self._reads = 0
        self._sampled_s = time.monotonic()
        self._pause_until_s = 0.0
        self._starting: asyncio.Task[None] | None = None
        self._adopting: set[asyncio.Task[None]] = set()
        self.listener: Listener | None = None  # that takes back what readers give back

    async def stop(self) -> None:
        self._most = 0
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        for reader in self._readers:
            reader.channel.close()  # they finish what they are at
        for reader in self._readers:
            try:
                await asyncio.wait_for(reader.process.wait(), _STOP_S)
            except TimeoutError:
                reader.process.kill()
                await reader.process.wait()
        self._readers.clear()

    # What `Connection` asks

    def takes(self, connection: Connection, data: bytes) -> bool:
        if not self._most:
            return False
        care: _Care = connection.care or _Care()
        connection.care = care
        if not connection.is_idle or size_of_read(data) != len(data):
            if connection.is_idle:
                care.reads = 0
                self._own.discard(connection)
            return False
        care.reads += 1
        self._reads += 1
        if self._reads % _SAMPLE == 0:
            self._sample()
        return care.reads > care.patience and self._hands_out(connection, care, data)

    def answered(self, connection: Connection) -> None:
        if connection.transport.is_closing():
            self._own.discard(connection)

    def passes_on(self, connection: Connection) -> None:
        raise AssertionError("whatever comes is answered in this process")

    def _hands_out(self, connection: Connection, care: _Care, data: bytes) -> bool:
        able = [each for each in self._readers if each.is_ready and each.channel.is_clear]
        self._own.add(connection)
        if not able or connection.transport.get_write_buffer_size():
            return False
        reader = min(able, key=lambda each: each.connections)
        if reader.connections >= len(self._own):
            return False
        self._own.discard(connection)
        head = {"opens": True, "patience": care.patience}
        reader.connections += 1
        reader.channel.say(head, data, connection.detach())
        return True

    # Beginning and ending

    def _sample(self) -> None:
        now_s = time.monotonic()
        rate = _SAMPLE / max(now_s - self._sampled_s, 1e-6)
        self._sampled_s = now_s
        self._own = {each for each in self._own if not each.transport.is_closing()}
        wants = rate > _BUSY and len(self._readers) < self._most and now_s > self._pause_until_s
        if wants and self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", _MODULE,
                str(theirs.fileno()), str(self._pulse), json.dumps(described(self._config)),
                pass_fds=(theirs.fileno(), self._pulse), stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            _log.exception("a reader cannot be started")
            self._pause_until_s = time.monotonic() + _PAUSE_S
            ours.close()
            return
        finally:
            theirs.close()
            self._starting = None

        def heard(head: Document, data: bytes, descriptor: int | None) -> None:
            self._heard(reader, head, data, descriptor)

        reader = _Reader(Channel(ours, heard, lambda: self._ended(reader)), process)
        self._readers.append(reader)

    def _heard(self, reader: _Reader, head: Document, data: bytes, descriptor: int | None) -> None:
        if descriptor is not None:
            reader.connections -= 1
            self._take_back(head, data, descriptor)
            return
        reader.is_ready = True
        reader.connections = head["connections"]
        reader.reads += head["reads"]
        self._on_report(head)
        now_s = time.monotonic()
        if now_s - reader.since_s > _IDLE_S:
            if reader.reads < _IDLE_READS:
                reader.is_ready = False
                reader.channel.say({"ends": True})
            reader.since_s, reader.reads = now_s, 0

    def _take_back(self, head: Document, data: bytes, descriptor: int) -> None:
        if self.listener is None or not self._most:
            os.close(descriptor)
            return
        care = _Care(min(head["patience"] * 2, _PATIENCE_MAX))
        adopting = self.listener.adopt(descriptor, data, care)
        task = asyncio.get_running_loop().create_task(adopting)
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    def _ended(self, reader: _Reader) -> None:
        """It goes when it has nothing to do; or it has died, with its connections."""
        if reader.is_ready:
            _log.error("a reader ended unexpectedly; its connections are closed")
            self._pause_until_s = time.monotonic() + _PAUSE_S
        with suppress(ValueError):
            self._readers.remove(reader)
        task = asyncio.get_running_loop().create_task(_reap(reader.process))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)


async def _reap(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def described(config: Config) -> dict[str, Any]:
    """What a reader must know of the configuration, as JSON."""
    plain = {
        name: getattr(config, name)
        for name in ("host", "aws_port", "door_port", "public_url", "region", "account",
                     "open_access", "classic_buckets")
    }  # fmt: skip
    return {**plain, "data": str(config.data)}
