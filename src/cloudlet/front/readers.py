"""Processes beside this one that answer reads of S3 and DynamoDB, when one core is not enough.

Theory of operation. This process accepts every connection. One whose requests are light (`light`),
several in a row, is handed to a reader, socket and all; the reader has its own view of the store
(SQLite lets many processes read what one has committed) and sends its answers itself. A write of
items it takes in, verifies and passes on (`relay`): only the writing is done here. Whatever else a
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
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from cloudlet.call import Cloud
from cloudlet.config import Config
from cloudlet.front.channel import Channel, Document
from cloudlet.front.connection import Connection
from cloudlet.front.light import light, may_be_light
from cloudlet.front.server import Listener

_log = logging.getLogger(__name__)
_PATIENCE = 4  # light requests of a connection before it is handed out for the first time
_PATIENCE_MAX = 1 << 16
_SAMPLE = 128  # of them that are timed together
_WRITERS = 4  # connections that write at once before any is handed out
_SHARE = 3  # so many go there for one that stays
_BUSY = 400.0  # a second: readers are wanted
_IDLE_S = 30.0  # without much to do, a reader ends
_IDLE_READS = 600  # what is not much in that time
_PAUSE_S = 5.0  # after one ended by itself
_STOP_S = 5.0
_MODULE = "cloudlet.reader"


@dataclass(slots=True, eq=False)
class _Care:
    """What is noted of a connection."""

    patience: int = _PATIENCE
    lights: int = 0  # in a row
    writes: bool = False  # the last of them


class Home(Protocol):
    """What they work for; `app.App`."""

    @property
    def cloud(self) -> Cloud: ...

    def relayed(self, head: Document, data: bytes, to: Channel) -> None:
        """Performs what a reader passes on."""
        ...

    def reported(self, report: Document) -> None:
        """Takes what a reader has measured and noted."""
        ...


class _Reader:
    """One of the processes, from here."""

    def __init__(self, channel: Channel, process: asyncio.subprocess.Process) -> None:
        self.channel = channel
        self.process = process
        self.is_ready = False
        self.is_ending = False
        self.connections = 0
        self.reads = 0
        self.since_s = time.monotonic()


class Readers:
    """`Steward` of the main process."""

    def __init__(self, config: Config, home: Home) -> None:
        self._config = config
        self._home = home
        self._most = config.readers
        self._readers: list[_Reader] = []
        self._own: set[Connection] = set()  # connections that read, and are served here
        self._lights = 0
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
        if not connection.is_idle:
            return False
        if not may_be_light(data):
            care.lights = 0
            self._own.discard(connection)
            return False
        care.lights += 1
        self._lights += 1
        if self._lights % _SAMPLE == 0:
            self._sample()
        if care.lights <= care.patience or not self._readers:
            return False
        if connection in self._own and self._reader_for(care.writes) is None:
            return False
        return self._hands_out(connection, care, data)

    def _hands_out(self, connection: Connection, care: _Care, data: bytes) -> bool:
        found = light(data)
        if found is None or found.size != len(data):
            care.lights, care.patience = 0, min(2 * care.patience, _PATIENCE_MAX)
            self._own.discard(connection)
            return False
        self._own.add(connection)
        care.writes = found.writes
        reader = self._reader_for(care.writes)
        if reader is None or connection.transport.get_write_buffer_size():
            return False
        self._own.discard(connection)
        reader.connections += 1
        head = {"opens": True, "patience": care.patience}
        reader.channel.say(head, data, connection.detach())
        return True

    def answered(self, connection: Connection) -> None:
        pass

    def lost(self, connection: Connection) -> None:
        self._own.discard(connection)

    def passes_on(self, connection: Connection) -> None:
        raise AssertionError("whatever comes is answered in this process")

    def _reader_for(self, writes: bool) -> _Reader | None:
        """One that shall have another connection. A write costs more here than there, and takes
        longer that way: only many of them are worth it."""
        able = [each for each in self._readers if each.is_ready and each.channel.is_clear]
        if not able or (writes and len(self._own) < _WRITERS):
            return None
        reader = min(able, key=lambda each: each.connections)
        most = len(self._own) * (_SHARE if writes else 1)
        return reader if reader.connections < most else None

    # Beginning and ending

    def _sample(self) -> None:
        now_s = time.monotonic()
        rate = _SAMPLE / max(now_s - self._sampled_s, 1e-6)
        self._sampled_s = now_s
        wants = rate > _BUSY and len(self._readers) < self._most and now_s > self._pause_until_s
        if wants and self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        pulse = self._home.cloud.database.pulse.descriptor
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", _MODULE,
                str(theirs.fileno()), str(pulse), json.dumps(described(self._config)),
                pass_fds=(theirs.fileno(), pulse), stdin=asyncio.subprocess.DEVNULL,
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
            self._take_back(head, data, descriptor)
            return
        if "lost" in head:
            reader.connections -= 1
            return
        if "call" in head:
            self._home.relayed(head, data, reader.channel)
            return
        reader.is_ready = not reader.is_ending
        reader.connections = head["connections"]
        reader.reads += head["reads"]
        self._home.reported(head)
        now_s = time.monotonic()
        if now_s - reader.since_s > _IDLE_S:
            if reader.reads < _IDLE_READS and not reader.is_ending:
                reader.is_ready, reader.is_ending = False, True
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
        if not reader.is_ending:
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
