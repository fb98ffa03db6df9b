"""Work that goes on in steps, each one transaction: moves of messages, replays of events.

What there is to do stands in the store, so a crash between two steps costs nothing.
"""

import asyncio
from collections.abc import Callable

from cloudlet.config import Config
from cloudlet.events.timers import Timers
from cloudlet.store.database import Database, Transaction

Step = Callable[[Transaction, Config], int | None]  # seconds until the next; None: nothing to do


class Steps:
    """`start` it on the event loop: it looks at once, and when its topic is touched."""

    def __init__(self, topic: str, step: Step, database: Database, config: Config) -> None:
        self._topic = topic
        self._step = step
        self._database = database
        self._config = config
        self._lock = asyncio.Lock()

    def start(self, timers: Timers) -> None:
        loop = asyncio.get_running_loop()

        def wake(_: str) -> None:
            loop.call_soon_threadsafe(timers.at, 0, self._run)

        self._database.subscribe(self._topic, wake)
        timers.at(0, self._run)

    async def _run(self) -> None:
        async with self._lock:
            while (pause_s := await self._database.write(self._take)) is not None:
                await asyncio.sleep(pause_s)

    def _take(self, tx: Transaction) -> int | None:
        return self._step(tx, self._config)
