"""Where functions' lines go: gathered for a short while, then written many in one transaction.

Bounded everywhere: a full buffer drops lines and says so, old rows go by retention and by number.
The API on these rows is in `log_api`.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from typing import NamedTuple

from cloudlet.call import Cloud
from cloudlet.functions.worker_process import WorkerProcess
from cloudlet.store.database import Transaction

WINDOW_S = 0.25
SWEEP_S = 300
ROWS_MAX = 1_000_000  # of all groups; the oldest go first
_BUFFER_BYTES_MAX = 16 << 20
_DAY_MS = 86_400_000
_log = logging.getLogger(__name__)


class Line(NamedTuple):
    group: str
    stream: str
    time_ms: int
    message: str


class LogSink:
    def __init__(self, cloud: Cloud) -> None:
        self._config = cloud.config
        self._database = cloud.database
        self._lines: list[Line] = []
        self._size_bytes = 0
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()), loop.create_task(self._sweep())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.flush()

    def function_line(self, worker: WorkerProcess, text: str) -> None:
        """Takes one line of a worker's log; never waits."""
        group, stream = worker.spec.log_group, worker.stream
        if self._size_bytes > _BUFFER_BYTES_MAX:
            self._dropped[group, stream] += 1
            return
        self._size_bytes += len(text) + 100
        self._lines.append(Line(group, stream, self._config.now_ms(), text))
        self._wake.set()

    async def flush(self) -> None:
        lines, self._lines = self._lines, []
        self._size_bytes = 0
        dropped, self._dropped = self._dropped, Counter()
        now_ms = self._config.now_ms()
        for (group, stream), count in dropped.items():
            lines.append(Line(group, stream, now_ms, f"[cloudlet] {count} lines were dropped"))
        if lines:
            await self._database.write(lambda tx: write_lines(tx, lines, now_ms))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(WINDOW_S)
            self._wake.clear()
            try:
                await self.flush()
            except Exception:  # a full disk must not end logging for ever
                _log.exception("function logs could not be written")

    async def _sweep(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                await self._database.write(lambda tx: sweep(tx, self._config.now_ms()))
            await asyncio.sleep(SWEEP_S)


def write_lines(tx: Transaction, lines: list[Line], now_ms: int) -> None:
    ids: dict[tuple[str, str], int] = {}
    rows = []
    for line in lines:
        key = (line.group, line.stream)
        if key not in ids:
            ids[key] = _stream_id(tx, *key, now_ms)
        rows.append((ids[key], line.time_ms, now_ms, line.message))
    tx.run_many(
        "INSERT INTO log_events (stream, time_ms, ingested_ms, message) VALUES (?, ?, ?, ?)", rows
    )
    for id_ in ids.values():
        times = [row[1] for row in rows if row[0] == id_]
        mark_times(tx, id_, min(times), max(times))


def mark_times(tx: Transaction, stream: int, first_ms: int, last_ms: int) -> None:
    tx.run(
        "UPDATE log_streams SET first_ms = min(coalesce(first_ms, ?1), ?1),"
        " last_ms = max(coalesce(last_ms, ?2), ?2) WHERE id = ?3",
        (first_ms, last_ms, stream),
    )
    tx.touch(f"logs:{stream}")


def _stream_id(tx: Transaction, group: str, stream: str, now_ms: int) -> int:
    tx.run("INSERT OR IGNORE INTO log_groups (name, created_ms) VALUES (?, ?)", (group, now_ms))
    tx.run(
        "INSERT OR IGNORE INTO log_streams (log_group, name, created_ms) VALUES (?, ?, ?)",
        (group, stream, now_ms),
    )
    id_: int = tx.value(
        "SELECT id FROM log_streams WHERE log_group = ? AND name = ?", (group, stream)
    )
    return id_


def sweep(tx: Transaction, now_ms: int, rows_max: int = ROWS_MAX) -> None:
    """Retention of each group, the bound on all rows, and streams of workers long gone."""
    for row in tx.all("SELECT name, retention_days FROM log_groups WHERE retention_days NOT NULL"):
        tx.run(
            "DELETE FROM log_events WHERE time_ms < ? AND stream IN"
            " (SELECT id FROM log_streams WHERE log_group = ?)",
            (now_ms - row["retention_days"] * _DAY_MS, row["name"]),
        )
    tx.run("DELETE FROM log_events WHERE id <= (SELECT max(id) FROM log_events) - ?", (rows_max,))
    tx.run(
        "DELETE FROM log_streams WHERE coalesce(last_ms, created_ms) < ? AND NOT EXISTS"
        " (SELECT 1 FROM log_events WHERE stream = log_streams.id)",
        (now_ms - _DAY_MS,),
    )
