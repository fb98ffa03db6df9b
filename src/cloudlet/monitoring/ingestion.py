"""Log events on their way into the store, and out of it again: retention of each group.

The API on these rows is in `log_api`.
"""

from typing import NamedTuple

from cloudlet.store.database import Transaction

ROWS_MAX = 1_000_000  # of all groups; the oldest go first
_DAY_MS = 86_400_000


class Line(NamedTuple):
    group: str
    stream: str
    time_ms: int
    message: str


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
