"""Reads one shard for one mapping: its lanes, and the position that they have in the store.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import asyncio

from cloudlet.functions import positions
from cloudlet.functions.discards import Change
from cloudlet.functions.lanes import Lane
from cloudlet.functions.positions import Progress, order
from cloudlet.functions.running import Running
from cloudlet.functions.sources import StreamSource
from cloudlet.functions.stream_pages import Pages
from cloudlet.store.database import Transaction


class ShardReader:
    def __init__(self, running: Running, source: StreamSource, shard: str) -> None:
        self._running = running
        self._place = running.mapping.uuid, shard
        self._database = running.cloud.database
        self._factor = running.mapping.config["ParallelizationFactor"]
        with self._database.snapshot() as view:
            position = positions.load(view, *self._place)
        own = {each.lane: each for each in position.lanes.pop(self._factor, [])}
        self._pages = Pages(running, source, shard, position.lanes)
        self._lanes: list[Lane] = []
        for number in range(self._factor):
            known = own.get(number) or Progress(number, position.after)
            window = None if number else position.window
            start = Progress(number, known.after, known.attempts, window)
            self._lanes.append(Lane(running, self._pages, start, self._commit))

    def wake(self) -> None:
        self._pages.touch()
        for lane in self._lanes:
            lane.wake.set()

    async def run(self) -> None:
        await asyncio.gather(*(lane.run() for lane in self._lanes))
        if all(lane.is_at_end for lane in self._lanes):
            await self._database.write(self._finish)

    def _finish(self, tx: Transaction) -> None:
        if not self._pages.closed(tx):  # its stream was deleted, and may be there anew
            return positions.forget(tx, *self._place)
        after = max((lane.cursor for lane in self._lanes), key=order)
        positions.save(tx, *self._place, after)
        positions.finish(tx, *self._place)

    async def _commit(self, progress: Progress, result: str, change: Change | None) -> None:
        """Stores a lane's progress and what comes with it; idle lanes are as far as they read."""
        known = [lane.progress for lane in self._lanes]
        known[progress.lane] = progress
        after = min((each.after for each in known), key=order)
        changed = [progress, *(lane.progress for lane in self._lanes if lane.is_idle)]
        ahead = [each for each in changed if each.attempts or each.after != after]

        def write(tx: Transaction) -> None:
            if change is not None:
                change(tx)
            positions.save_lanes(tx, *self._place, self._factor, ahead)
            positions.save(tx, *self._place, after, known[0].window)
            if result and result != self._running.result:
                positions.note_result(tx, self._place[0], result)

        await self._database.write(write)
        self._running.result = result or self._running.result
        self._lanes[progress.lane].moved(progress)
