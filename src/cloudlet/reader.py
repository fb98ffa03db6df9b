"""A process beside the main one that answers reads, and takes in writes (`front.readers`).

It is given connections, answers what it can and gives back the rest. It changes nothing: its
measurements and notes go to the main process, without which it ends.
"""

import asyncio
import gc
import json
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import uvloop

from cloudlet.call import Cloud
from cloudlet.config import Config
from cloudlet.dynamodb import service as dynamodb_service
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.front.accounts import Accounts
from cloudlet.front.aws import AwsDoor
from cloudlet.front.buckets import Buckets
from cloudlet.front.channel import Channel, Document
from cloudlet.front.connection import Connection, Elsewhere
from cloudlet.front.dispatcher import Dispatcher
from cloudlet.front.light import READS, REQUEST_BYTES_MAX, WRITES, light
from cloudlet.front.relay import Relay
from cloudlet.front.server import Listener
from cloudlet.iam.credentials import Credentials
from cloudlet.monitoring.meter import Meter
from cloudlet.s3 import service as s3_service
from cloudlet.s3.access_logs import AccessLogs
from cloudlet.s3.request_metrics import RequestMetrics
from cloudlet.store.pulse import CREDENTIALS, Pulse
from cloudlet.store.read_only import ReadOnly
from cloudlet.store.sealing import Master
from cloudlet.wire import models
from cloudlet.wire.service import Operation, Service

_REPORT_S = 0.5
_FLUSH_S = 0.02
_COLLECTED_AT = 10_000  # objects: requests leave hardly any cycles
_SWITCH_S = 0.001


class _NoBlobs:
    """Rows' contents are opened here; files are the main process's, which pins them."""

    def __init__(self, directory: Path) -> None:
        self.master = Master(directory / "master-key")

    def reader(self, *_: object) -> None:
        raise AwsError("ServiceUnavailable", "This process reads no files.", 503)


class Universe:
    """What reading needs of `app.App`."""

    def __init__(self, config: Config, pulse: Pulse, relay: Relay) -> None:
        self.config = config
        self.relay = relay
        self.database = ReadOnly(config.data, pulse)
        self.dispatcher = Dispatcher()
        blobs = _NoBlobs(config.data)
        self.cloud = Cloud(
            config, cast(Any, self.database), cast(Any, blobs), self.dispatcher.invoke
        )
        self.dispatcher.cloud = self.cloud
        services = [*s3_service.service(), *dynamodb_service.service()]
        self.dispatcher.add(*(_reading(each, relay) for each in services))
        self.credentials = Credentials(config, cast(Any, self.database))
        self.meter = self.cloud.meter = Meter(self.cloud)
        self.access_logs = AccessLogs(self.cloud)
        self.request_metrics = RequestMetrics(self.cloud)
        self._pulse = pulse
        self._seen = 0

    def look(self) -> None:
        """Forgets what the main process has changed."""
        self.database.look()
        now = self._pulse.of(CREDENTIALS)
        if now != self._seen:
            self._seen = now
            self.credentials.forget()


def _reading(service: Service, relay: Relay | None = None) -> Service:
    """With those operations alone that are answered here."""
    names = READS.get(service.name, ())
    operations = {n: o for n, o in service.operations.items() if n in names}
    if relay is not None and service.name == "dynamodb":
        operations |= {name: Operation(name, relay.perform, "async") for name in WRITES}
    return replace(service, operations=operations)


def _nobody(config: Config) -> Any:
    raise AwsError("ServiceUnavailable", "This process knows one account.", 503)


class Door:
    """Answers what goes well, and nothing else."""

    def __init__(self, universe: Universe) -> None:
        accounts = Accounts(universe.config, _nobody)
        accounts.opened[universe.config.account] = cast(Any, universe)
        self._universe = universe
        self._aws = AwsDoor(universe.config, accounts)
        buckets = Buckets(accounts.cloud_of_bucket)
        self._aws.preflight, self._aws.decorate = buckets.preflight, buckets.decorate
        self.reads = 0

    async def answer(self, request: Request) -> Response:
        """Raises Elsewhere for all that is refused here, and where S3's requests are recorded."""
        universe = self._universe
        universe.look()
        self.reads += 1
        is_recorded = universe.access_logs.is_on or universe.request_metrics.is_on
        if is_recorded and models.detect(request) == "s3":
            raise Elsewhere
        response = await self._aws.answer(request)
        if universe.relay.was_sent(request):
            return response
        if response.status >= 400 or not isinstance(response.body, bytes):
            raise Elsewhere
        return response


@dataclass(slots=True, eq=False)
class _Care:
    """What is noted of a connection."""

    patience: int
    request: bytes = b""  # the one under way, to be given back whole
    received: bytearray = field(default_factory=bytearray)  # after it
    is_leaving: bool = False


class Steward:
    """`connection.Steward` of this process."""

    def __init__(self, channel: Channel, on_empty: Callable[[], None]) -> None:
        self._channel = channel
        self._on_empty = on_empty
        self.connections: set[Connection] = set()
        self.is_ending = False

    def takes(self, connection: Connection, data: bytes) -> bool:
        care: _Care = connection.care
        self.connections.add(connection)
        care.received += data
        if connection.is_idle:
            self._go_on(connection)
        elif len(care.received) > REQUEST_BYTES_MAX:  # before the answer: kept until then
            connection.flow.pause_reading()
        return True

    def _go_on(self, connection: Connection) -> None:
        """With the next request, as soon as it is whole, if it is to be answered here."""
        care: _Care = connection.care
        if care.is_leaving or connection.transport.is_closing() or not connection.is_idle:
            return
        found = light(care.received)
        if found is None or 0 < found.size < len(care.received) or self.is_ending:
            self._give_back(connection)
        elif found.size == len(care.received) > 0:
            care.request, care.received = bytes(care.received), bytearray()
            connection.parse(care.request)

    def answered(self, connection: Connection) -> None:
        care: _Care = connection.care
        care.request = b""
        connection.flow.resume_reading()
        if care.received or self.is_ending:
            asyncio.get_running_loop().call_soon(self._go_on, connection)

    def passes_on(self, connection: Connection) -> None:
        care: _Care = connection.care
        care.received[:0] = care.request
        self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        care: _Care = connection.care
        care.is_leaving = True
        if connection.transport.is_closing():
            return
        if connection.transport.get_write_buffer_size():  # the last answer is still on its way
            asyncio.get_running_loop().call_later(_FLUSH_S, self._give_back, connection)
            return
        head = {"opens": True, "patience": care.patience}
        self._channel.say(head, bytes(care.received), connection.detach())

    def lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self._channel.is_open:
            self._channel.say({"lost": True})
        if self.is_ending and not self.connections:
            self._on_empty()

    def end(self) -> None:
        """Gives back every connection, as soon as it is idle."""
        self.is_ending = True
        for connection in list(self.connections):
            if connection.is_idle:
                self._give_back(connection)
        if not self.connections:
            self._on_empty()


async def _serve(config: Config, end: socket.socket, pulse: Pulse) -> None:
    over = asyncio.Event()
    relay = Relay()
    universe = Universe(config, pulse, relay)
    door, listener = Door(universe), Listener()
    adopting: set[asyncio.Task[None]] = set()

    def heard(head: Document, data: bytes, descriptor: int | None) -> None:
        if "call" in head:
            relay.heard(head, data)
            return
        if descriptor is None:
            steward.end()
            return
        care = _Care(head["patience"])
        task = asyncio.get_running_loop().create_task(listener.adopt(descriptor, data, care))
        adopting.add(task)
        task.add_done_callback(adopting.discard)

    def cut() -> None:
        relay.cut()
        over.set()

    channel = relay.channel = Channel(end, heard, cut)
    steward = Steward(channel, over.set)
    await listener.start(door.answer, steward=steward)
    gc.freeze()
    gc.set_threshold(_COLLECTED_AT)
    while channel.is_open and not over.is_set():
        channel.say(_report(universe, door, len(steward.connections) + len(adopting)))
        with suppress(TimeoutError):
            async with asyncio.timeout(_REPORT_S):
                await over.wait()
    if channel.is_open:
        channel.say(_report(universe, door, 0))
    await listener.stop()
    channel.close()


def _report(universe: Universe, door: Door, connections: int) -> Document:
    reads, door.reads = door.reads, 0
    return {
        "connections": connections,
        "reads": reads,
        "uses": universe.credentials.take_uses(),
        "metrics": [(key, summary.dumps()) for key, summary in universe.meter.take().items()],
    }


def main() -> None:
    """`python -m cloudlet.reader CHANNEL PULSE CONFIGURATION`: two descriptors, and JSON."""
    channel, pulse, text = sys.argv[1:]
    described = json.loads(text)
    config = Config(**{**described, "data": Path(described["data"])})
    sys.setswitchinterval(_SWITCH_S)
    uvloop.run(_serve(config, socket.socket(fileno=int(channel)), Pulse(int(pulse))))


if __name__ == "__main__":
    main()
