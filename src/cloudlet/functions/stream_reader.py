"""Reads a mapping's stream: every shard that is to be read, parents before their children.

Children are looked for when a reader has come to the end of its shard: only then are there new
ones.
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import asyncio
import logging

from cloudlet.functions.positions import done_shards
from cloudlet.functions.running import Running
from cloudlet.functions.shard_reader import ShardReader
from cloudlet.functions.sources import StreamSource

_log = logging.getLogger(__name__)


class StreamReader:
    def __init__(self, running: Running, source: StreamSource) -> None:
        self._running = running
        self._source = source
        self._readers: dict[str, tuple[ShardReader, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """The stream has been written to."""
        for reader, _ in self._readers.values():
            reader.wake()
        if not self._readers:
            self._changed.set()

    def stop(self) -> None:
        """No more batches; what runs goes on to its end."""
        self._running.stopping.set()
        self._changed.set()
        self.wake()

    async def run(self) -> None:
        try:
            while self._readers or not self._running.stopping.is_set():
                self._changed.clear()
                for shard, (_, task) in list(self._readers.items()):
                    if task.done():
                        del self._readers[shard]
                        task.result()
                if not self._running.stopping.is_set():
                    self._start()
                if self._readers or not self._running.stopping.is_set():
                    await self._changed.wait()
        finally:
            for _, task in self._readers.values():
                task.cancel()
            await asyncio.gather(
                *(task for _, task in self._readers.values()), return_exceptions=True
            )

    def _start(self) -> None:
        mapping = self._running.mapping
        with self._running.cloud.database.snapshot() as view:
            shards = self._source.shards(view, mapping.stream_arn)
            done = done_shards(view, mapping.uuid)
        # one that is done and open again is another's, in a stream of the same name
        waiting = {shard.id for shard in shards if not (shard.closed and shard.id in done)}
        for shard in shards:
            if shard.id not in waiting - self._readers.keys() or waiting & {*shard.parents}:
                continue
            reader = ShardReader(self._running, self._source, shard.id)
            task = asyncio.create_task(reader.run())
            task.add_done_callback(lambda _: self._changed.set())
            self._readers[shard.id] = reader, task
