"""Takes log lines from everywhere in the process and writes them many in one transaction.

Bounded: a full buffer drops lines and says so in the stream. Nothing waits here. What must not be
lost is written in its own transaction instead.
"""

import asyncio
import logging
from collections import Counter

from cloudlet.call import Cloud
from cloudlet.errors import is_odd
from cloudlet.monitoring.ingestion import Intake, Line
from cloudlet.store.database import Transaction

WINDOW_S = 0.25
_BUFFER_BYTES_MAX = 16 << 20
_log = logging.getLogger(__name__)


class Journal:
    """`call.Journal`. Any thread may add lines."""

    def __init__(self, cloud: Cloud, intake: Intake) -> None:
        self._cloud = cloud
        self._intake = intake
        self._lines: list[Line] = []
        self._size_bytes = 0
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._wake = asyncio.Event()
        self._is_woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())
        self._wake.set()  # for lines from before

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def line(self, group: str, stream: str, message: str) -> None:
        if self._size_bytes > _BUFFER_BYTES_MAX:
            self._dropped[group, stream] += 1
            return
        self._size_bytes += len(message) + 100
        self._lines.append(Line(group, stream, self._cloud.config.now_ms(), message))
        if not self._is_woken and self._loop is not None:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._wake.set)

    def write(self, tx: Transaction, group: str, stream: str, message: str) -> None:
        self._intake.write(tx, [Line(group, stream, self._cloud.config.now_ms(), message)])

    async def flush(self) -> None:
        lines, self._lines = self._lines, []
        self._size_bytes = 0
        dropped, self._dropped = self._dropped, Counter()
        now_ms = self._cloud.config.now_ms()
        for (group, stream), count in dropped.items():
            lines.append(Line(group, stream, now_ms, f"[cloudlet] {count} lines were dropped"))
        if not lines:
            return
        try:
            # a cancelled flush is still written: nothing is lost, nothing twice
            await asyncio.shield(
                self._cloud.database.write(lambda tx: self._intake.write(tx, lines))
            )
        except Exception:
            self._lines = lines + self._lines
            self._size_bytes += sum(len(line.message) + 100 for line in lines)
            raise

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(WINDOW_S)
            self._wake.clear()
            self._is_woken = False  # from here on a new line wakes again
            try:
                await self.flush()
            except Exception as error:  # a full disk must not end logging for ever
                _log.error("log lines could not be written: %s", error, exc_info=is_odd(error))
