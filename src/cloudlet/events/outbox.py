"""Facts, written in the same transaction as the change they tell of.

Theory of operation. A service that changes something puts a fact for each interested target (an
ARN) into the outbox, with the change, in one transaction: both are durable or neither is.
`delivery` takes due facts, hands each to the handler of the target's service and removes it when
the handler says so, again in a transaction. A crash in between delivers the fact once more: at
least once, never lost. Facts with the same non-empty `key` and target are delivered one after the
other, in order of their ids; facts without a key in any order. A handler that fails asks for a
later attempt; `attempts` counts the failed ones.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.store.database import Row, Transaction, View

TOPIC = "outbox"

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    target     TEXT NOT NULL,              -- ARN of the function, queue, topic, bus, …
    source     TEXT NOT NULL,              -- ARN or service that tells the fact
    key        TEXT NOT NULL DEFAULT '',   -- order is kept per (target, key); '' = none
    payload    BLOB NOT NULL,              -- the event document, JSON
    attributes TEXT NOT NULL DEFAULT '{}', -- what the target's handler wants besides, JSON
    created_ms INTEGER NOT NULL,
    due_ms     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_ms, id);
CREATE INDEX IF NOT EXISTS outbox_order ON outbox (target, key, id) WHERE key <> '';
"""


@dataclass(frozen=True, slots=True)
class Fact:
    id: int
    target: str
    source: str
    key: str
    payload: bytes
    attributes: dict[str, Any]
    created_ms: int
    due_ms: int
    attempts: int

    @classmethod
    def of(cls, row: Row) -> "Fact":
        return cls(
            row["id"],
            row["target"],
            row["source"],
            row["key"],
            bytes(row["payload"]),
            orjson.loads(row["attributes"]),
            row["created_ms"],
            row["due_ms"],
            row["attempts"],
        )


def put(
    tx: Transaction,
    target: str,
    payload: bytes,
    *,
    source: str,
    now_ms: int,
    key: str = "",
    delay_ms: int = 0,
    attributes: dict[str, Any] | None = None,
) -> int:
    """Adds a fact; returns its id, which is unique for ever and rises with time."""
    cursor = tx.run(
        "INSERT INTO outbox (target, source, key, payload, attributes, created_ms, due_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            target,
            source,
            key,
            payload,
            orjson.dumps(attributes or {}).decode(),
            now_ms,
            now_ms + delay_ms,
        ),
    )
    tx.touch(TOPIC)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def remove(tx: Transaction, fact_id: int) -> None:
    tx.run("DELETE FROM outbox WHERE id = ?", (fact_id,))


def postpone(tx: Transaction, fact_id: int, due_ms: int) -> None:
    """Another attempt later; counts the one that failed."""
    tx.run("UPDATE outbox SET attempts = attempts + 1, due_ms = ? WHERE id = ?", (due_ms, fact_id))
    tx.touch(TOPIC)


def due(
    view: View, now_ms: int, after_id: int, limit: int, full: Collection[str] = ()
) -> list[Row]:
    """Rows of due facts with ids above `after_id` for all targets but the `full` ones; of a keyed
    sequence only the first."""
    return view.all(
        "SELECT * FROM outbox AS o WHERE due_ms <= ? AND id > ?"
        " AND target NOT IN (SELECT value FROM json_each(?)) AND (key = '' OR NOT EXISTS ("
        "SELECT 1 FROM outbox AS e WHERE e.target = o.target AND e.key = o.key AND e.key <> ''"
        " AND e.id < o.id)) ORDER BY id LIMIT ?",
        (now_ms, after_id, orjson.dumps(list(full)).decode(), limit),
    )


def next_due_ms(view: View, now_ms: int) -> int | None:
    """When the next fact that is not due yet becomes due."""
    value: int | None = view.value("SELECT min(due_ms) FROM outbox WHERE due_ms > ?", (now_ms,))
    return value
