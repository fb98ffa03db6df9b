"""Log events on their way into the store, and out of it again.

What comes in passes the group's filters in the same transaction: metric filters and embedded
metrics measure (once it is committed), subscription filters put facts for functions and streams
into the outbox. Out go events by their group's retention and the oldest by number.
"""

import base64
import gzip
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import orjson

from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.monitoring import embedded
from cloudlet.monitoring.filter_patterns import compile_pattern
from cloudlet.monitoring.meter import Meter
from cloudlet.monitoring.metric_filters import Transformation
from cloudlet.store.database import Row, Transaction

TOPIC = "logs:"
EVENT_BYTES = 26  # that AWS counts for each event besides its message
ROWS_MAX = 1_000_000  # of all groups; the oldest go first
_DAY_MS = 86_400_000
_SWEPT_MAX = 10_000  # events at once: the writer thread has others waiting
_SENT_BYTES_MAX = 500_000  # to a subscriber at once, before compression


class Line(NamedTuple):
    group: str
    stream: str
    time_ms: int
    message: str


class Event(NamedTuple):
    id: int
    line: Line


@dataclass(frozen=True, slots=True)
class Intake:
    config: Config
    meter: Meter

    def write(self, tx: Transaction, lines: list[Line]) -> None:
        """Makes groups and streams where they are missing."""
        groups: dict[str, list[Event]] = defaultdict(list)
        for event in self._stored(tx, lines):
            groups[event.line.group].append(event)
        for group, events in groups.items():
            filters = tx.all("SELECT * FROM log_filters WHERE log_group = ?", (group,))
            for row in filters:
                if row["kind"] == "metric":
                    self._measure(tx, row, events)
                else:
                    self._send(tx, row, events)
            tx.touch(TOPIC + group)
        for line in lines:
            for series, summary in embedded.metrics_of(line.message):
                tx.after_commit(partial(self.meter.put, series, summary))

    def _stored(self, tx: Transaction, lines: list[Line]) -> list[Event]:
        """One writer at a time: the ids that rows will have are known beforehand."""
        now_ms = self.config.now_ms()
        last = tx.value("SELECT seq FROM sqlite_sequence WHERE name = 'log_events'") or 0
        events = [Event(last + number, line) for number, line in enumerate(lines, 1)]
        by_stream: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in events:
            by_stream[event.line[:2]].append(event)
        rows: list[tuple[Any, ...]] = []
        for (group, name), some in by_stream.items():
            stream = _stream_id(tx, group, name, now_ms)
            rows += [(e.id, stream, e.line.time_ms, now_ms, e.line.message) for e in some]
            _count(tx, stream, [e.line for e in some])
        tx.run_many(
            "INSERT INTO log_events (id, stream, time_ms, ingested_ms, message)"
            " VALUES (?, ?, ?, ?, ?)",
            sorted(rows),
        )
        return events

    def _measure(self, tx: Transaction, row: Row, events: list[Event]) -> None:
        transformation = Transformation(orjson.loads(row["config"]))
        pattern = compile_pattern(row["pattern"])
        for start_ms, some in _by_minute(events):
            lines = [event.line.message for event in some]
            for series, summary in transformation.measured(map(pattern, lines), start_ms):
                tx.after_commit(partial(self.meter.put, series, summary))

    def _send(self, tx: Transaction, row: Row, events: list[Event]) -> None:
        pattern, config = compile_pattern(row["pattern"]), orjson.loads(row["config"])
        streams: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if pattern(event.line.message) is not None:
                streams[event.line.stream].append(event)
        told = {
            "principal": "logs.amazonaws.com",
            "source_arn": self.config.arn("logs", f"log-group:{row['log_group']}:*"),
            "source_account": self.config.account,
        }
        for stream, some in streams.items():
            key = hashlib.md5(stream.encode(), usedforsecurity=False).hexdigest()
            for batch in _batches(some):
                parcel = self._parcel(row, stream, batch)
                if "roleArn" in config:  # a stream, which keeps the order
                    is_random = config["distribution"] == "Random"
                    told["partition_key"] = self.config.new_id() if is_random else key
                    told["role"] = config["roleArn"]
                else:
                    data = base64.b64encode(parcel).decode()
                    parcel, key = orjson.dumps({"awslogs": {"data": data}}), ""
                outbox.put(
                    tx,
                    config["destinationArn"],
                    parcel,
                    source="logs",
                    now_ms=self.config.now_ms(),
                    key=key,
                    attributes=told,
                )

    def _parcel(self, row: Row, stream: str, batch: list[Event]) -> bytes:
        document = {
            "messageType": "DATA_MESSAGE",
            "owner": self.config.account,
            "logGroup": row["log_group"],
            "logStream": stream,
            "subscriptionFilters": [row["name"]],
            "logEvents": [
                {
                    "id": event_id(event.line.time_ms, event.id),
                    "timestamp": event.line.time_ms,
                    "message": event.line.message,
                }
                for event in batch
            ],
        }
        return gzip.compress(orjson.dumps(document), 6)


def control_message(now_ms: int) -> bytes:
    """What Logs tries a stream with."""
    text = "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."
    document = {
        **{"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": ""},
        **{"logStream": "", "subscriptionFilters": []},
        "logEvents": [{"id": "", "timestamp": now_ms, "message": text}],
    }
    return gzip.compress(orjson.dumps(document), 6)


def event_id(time_ms: int, number: int) -> str:
    return f"{time_ms:020d}{number:036d}"


def _by_minute(events: list[Event]) -> Iterable[tuple[int, list[Event]]]:
    def minute(event: Event) -> int:
        return event.line.time_ms - event.line.time_ms % 60_000

    return ((start, list(some)) for start, some in groupby(sorted(events, key=minute), minute))


def _batches(events: list[Event]) -> Iterable[list[Event]]:
    batch: list[Event] = []
    size_bytes = 0
    for event in events:
        size_bytes += len(event.line.message) + 100
        if batch and size_bytes > _SENT_BYTES_MAX:
            yield batch
            batch, size_bytes = [], len(event.line.message)
        batch.append(event)
    yield batch


def _count(tx: Transaction, stream: int, lines: list[Line]) -> None:
    times = [line.time_ms for line in lines]
    tx.run(
        "UPDATE log_streams SET first_ms = min(coalesce(first_ms, ?1), ?1),"
        " last_ms = max(coalesce(last_ms, ?2), ?2) WHERE id = ?3",
        (min(times), max(times), stream),
    )
    tx.run(
        "INSERT INTO log_sizes VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes",
        (stream, sum(len(line.message) + EVENT_BYTES for line in lines)),
    )


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


def sweep(tx: Transaction, now_ms: int, rows_max: int = ROWS_MAX) -> int:
    """Retention of each group, the bound on all rows, and streams of workers long gone. Returns
    how many events went; there may be more."""
    count = 0
    for row in tx.all(
        "SELECT id, retention_days FROM log_groups JOIN log_streams ON log_group = log_groups.name"
        " WHERE retention_days NOT NULL"
    ):
        oldest_ms = now_ms - row["retention_days"] * _DAY_MS
        count += _delete(tx, "stream = ? AND time_ms < ?", (row["id"], oldest_ms))
    count += _delete(tx, "id <= (SELECT max(id) FROM log_events) - ?", (rows_max,))
    tx.run(
        "DELETE FROM log_streams WHERE coalesce(last_ms, created_ms) < ? AND NOT EXISTS"
        " (SELECT 1 FROM log_events WHERE stream = log_streams.id)",
        (now_ms - _DAY_MS,),
    )
    return count


def _delete(tx: Transaction, where: str, values: tuple[int, ...]) -> int:
    chosen = f"id IN (SELECT id FROM log_events WHERE {where} LIMIT {_SWEPT_MAX})"
    gone = tx.all(
        f"SELECT sum(length(message) + {EVENT_BYTES}) AS bytes, stream FROM log_events"
        f" WHERE {chosen} GROUP BY stream",
        values,
    )
    tx.run_many(
        "UPDATE log_sizes SET bytes = max(0, bytes - ?) WHERE stream = ?", [tuple(r) for r in gone]
    )
    return tx.run(f"DELETE FROM log_events WHERE {chosen}", values).rowcount
