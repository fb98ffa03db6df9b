"""Wakes those who wait for messages of a queue (long polling)."""

import asyncio
from contextlib import suppress

from cloudlet.store.database import Database

_PREFIX = "queue:"


class Arrival:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happen(self) -> None:
        self._event.set()

    async def wait_s(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Arrivals:
    """One `Arrival` per queue somebody waits for. `start` it on the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, Arrival] = {}

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def announce(topic: str) -> None:
            loop.call_soon_threadsafe(self._wake, topic)

        self._database.subscribe(_PREFIX, announce)

    def arrivals(self, queue: str) -> Arrival:
        """To be taken before one looks whether there are messages, so that none is missed."""
        return self._waiting.setdefault(queue, Arrival())

    def _wake(self, topic: str) -> None:
        arrival = self._waiting.pop(topic.removeprefix(_PREFIX), None)
        if arrival is not None:
            arrival.happen()
