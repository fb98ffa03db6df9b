"""Takes measurements from everywhere in the process and writes them many in one transaction.

In between they are added up in memory, per metric and minute. Bounded: a process that measures
more than `_OPEN_MAX` metrics at once loses what is beyond, and the log says so.
"""

import asyncio
import logging
import threading
from collections import defaultdict
from typing import NamedTuple

from cloudlet.call import Cloud
from cloudlet.errors import is_odd
from cloudlet.monitoring.distribution import Summary
from cloudlet.monitoring.points import write_points

FLUSH_S = 2.0
_OPEN_MAX = 20_000
_FRESH_MAX = 1024  # measurements of a metric that are added up together
_log = logging.getLogger(__name__)
Dimensions = tuple[tuple[str, str], ...]
_Key = tuple[str, str, Dimensions, str, int, int]  # a Series, or one that costs less to make


class Series(NamedTuple):
    namespace: str
    name: str
    dimensions: Dimensions
    unit: str
    start_ms: int
    period_s: int


class Meter:
    """`call.Meter`. Any thread may add."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._now_ms = cloud.config.now_ms
        self._open: dict[_Key, Summary] = {}
        self._fresh: defaultdict[_Key, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self._lost = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def add(
        self,
        namespace: str,
        name: str,
        dimensions: Dimensions,
        value: float = 1.0,
        unit: str = "Count",
    ) -> None:
        now_ms = self._now_ms()
        key = (namespace, name, dimensions, unit, now_ms - now_ms % 60_000, 60)
        with self._lock:
            fresh = self._fresh[key]
            fresh.append(value)
            if len(fresh) >= _FRESH_MAX or len(self._fresh) > _OPEN_MAX:
                self._add_up(key)

    def put(self, series: Series, summary: Summary) -> None:
        """What was measured elsewhere or at another time."""
        if not summary.count:
            return
        with self._lock:
            if known := self._summary(series):
                known.merge(summary)  # not the caller's, who may put it again

    def _add_up(self, key: _Key) -> None:
        fresh = self._fresh.pop(key)
        if summary := self._summary(key, len(fresh)):
            summary.gather(fresh)

    def _summary(self, key: _Key, count: int = 1) -> Summary | None:
        """None: there are too many."""
        summary = self._open.get(key)
        if summary is None:
            if len(self._open) >= _OPEN_MAX:
                self._lost += count
                return None
            summary = self._open[key] = Summary()
        return summary

    def take(self) -> dict[_Key, Summary]:
        """All that has been added up; from then on it is the caller's."""
        with self._lock:
            for key in list(self._fresh):
                self._add_up(key)
            taken, self._open = self._open, {}
            lost, self._lost = self._lost, 0
        if lost:
            _log.warning("%d measurements of too many different metrics were dropped", lost)
        return taken

    async def flush(self) -> None:
        taken = self.take()
        if not taken:
            return
        try:
            # a cancelled flush is still written: nothing is lost, nothing twice
            await asyncio.shield(self._cloud.database.write(lambda tx: write_points(tx, taken)))
        except Exception:
            for key, summary in taken.items():
                self.put(Series(*key), summary)
            raise

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except Exception as error:  # a full disk must not end measuring for ever
                _log.error("metrics could not be written: %s", error, exc_info=is_odd(error))
