"""Event source mappings: streams and queues → functions.

Theory of operation. Every enabled mapping has a reader: of a stream (`stream_reader`, with a
`shard_reader` for each shard and in it a lane for each batch at a time) or of a queue
(`queue_reader`). A stream's reader sleeps until the stream's topic is touched, reads behind its
position in the store, invokes the function and moves the position on when a batch is done with:
taken, or handed to the on-failure destination. A mapping that is changed, disabled or deleted ends
its batches first, then its successor goes on from there. A source is anything that looks like
`StreamSource`.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
"""

import asyncio
import logging
from contextlib import suppress
from typing import NamedTuple, Protocol

from cloudlet.call import Cloud
from cloudlet.functions.positions import TOPIC, Mapping, is_enabled, load_all, settings_of
from cloudlet.functions.queue_reader import QueueReader
from cloudlet.functions.running import Invoke, Running
from cloudlet.functions.sources import StreamSource
from cloudlet.functions.stream_reader import StreamReader

_STOP_S = 1.0  # for running batches to end in
_log = logging.getLogger(__name__)


class Reader(Protocol):
    async def run(self) -> None: ...

    def wake(self) -> None: ...

    def stop(self) -> None: ...


class Work(NamedTuple):
    mapping: Mapping
    reader: Reader
    task: asyncio.Task[None]


class Mappings:
    """Runs the enabled mappings; changes of the table are noticed by themselves."""

    def __init__(
        self,
        cloud: Cloud,
        sources: dict[str, StreamSource],
        invoke: Invoke,
        back_off_s: float = 1.0,
    ) -> None:
        self.sources = sources
        self.back_off_s = back_off_s
        self._cloud = cloud
        self._invoke = invoke
        self._works: dict[str, Work] = {}  # by UUID
        self._batches: set[asyncio.Task[None]] = set()  # of queues
        self._changed = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def wake(topic: str) -> None:
            with suppress(RuntimeError):  # the loop is closed: we have stopped
                loop.call_soon_threadsafe(self._touched, topic)

        self._cloud.database.subscribe("stream:", wake)
        self._cloud.database.subscribe(TOPIC, wake)
        self._main = loop.create_task(self._run())

    async def stop(self) -> None:
        """Gives running batches a moment, so that they need not be handed on again."""
        if self._main is not None:
            self._main.cancel()
        works = list(self._works.values())
        for work in works:
            work.reader.stop()
        tasks = [*(work.task for work in works), *self._batches]
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _touched(self, topic: str) -> None:
        if topic == TOPIC:
            self._changed.set()
            return
        stream_arn = topic.removeprefix("stream:")
        for work in self._works.values():
            if work.mapping.stream_arn == stream_arn:
                work.reader.wake()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                self._reconcile()
            except Exception:
                _log.exception("the mappings cannot be read")
            await self._changed.wait()

    def _reconcile(self) -> None:
        wanted = {m.uuid: m for m in load_all(self._cloud.database.view()) if is_enabled(m)}
        for uuid, work in self._works.items():
            if settings_of(wanted.get(uuid)) != settings_of(work.mapping):
                work.reader.stop()  # its successor starts when it has ended
        for uuid, mapping in wanted.items():
            if uuid not in self._works and mapping.source_kind in ("sqs", *self.sources):
                reader = self._reader(mapping)
                task = asyncio.create_task(self._read(reader, mapping))
                self._works[uuid] = Work(mapping, reader, task)

    def _reader(self, mapping: Mapping) -> Reader:
        running = Running(self._cloud, mapping, self._invoke, self.back_off_s)
        if mapping.source_kind == "sqs":
            return QueueReader(running, self._batches)
        return StreamReader(running, self.sources[mapping.source_kind])

    async def _read(self, reader: Reader, mapping: Mapping) -> None:
        try:
            await reader.run()
        except Exception:
            _log.exception("mapping %s stumbled", mapping.uuid)
            await asyncio.sleep(self.back_off_s)
        finally:
            del self._works[mapping.uuid]
            self._changed.set()
