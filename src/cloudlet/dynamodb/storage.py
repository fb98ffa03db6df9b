"""Rows of items and index entries, and the one way an item changes.

Each table has a SQL table clustered by key, whose rows hold the item's wire JSON, its size and its
expiry; each index one that maps its keys to the item's, so that an index never disagrees with the
table about an item's contents. `change` is the only writer: row, entries, counts and stream record
go into the caller's transaction together.
"""

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from cloudlet.config import Config
from cloudlet.dynamodb import destinations, keys, streams, values
from cloudlet.dynamodb.definitions import Index, Table
from cloudlet.dynamodb.keys import Key
from cloudlet.dynamodb.values import Item
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

_FIVE_YEARS_S = 5 * 365 * 86400
_NEVER_S = 1 << 53


class Stored:
    """An item in canonical spelling, and its size; what was read is parsed when it is looked at."""

    __slots__ = ("_item", "_raw", "size_bytes")

    def __init__(self, item: Item | None, size_bytes: int, raw: bytes = b"") -> None:
        self._item = item
        self._raw = raw
        self.size_bytes = size_bytes

    @property
    def item(self) -> Item:
        if self._item is None:
            self._item = orjson.loads(self._raw)
        return self._item


class Change(NamedTuple):
    """What one write did: sizes for capacity, and bytes written per index."""

    old_bytes: int
    new_bytes: int
    index_bytes: dict[str, tuple[bool, list[int]]]  # name → (is global, bytes of each write)


Versions = tuple[Stored | None, Stored | None]
Writes = Sequence[tuple[Key, Versions]]


def create_table(tx: Transaction, table: Table) -> None:
    tx.run(
        f"CREATE TABLE {table.sql_table} (pk BLOB NOT NULL, sk BLOB NOT NULL,"
        " size INTEGER NOT NULL, expires INTEGER, item BLOB NOT NULL,"
        " PRIMARY KEY (pk, sk)) WITHOUT ROWID"
    )
    tx.run(
        f"CREATE INDEX {table.sql_table}_expires ON {table.sql_table} (expires)"
        " WHERE expires IS NOT NULL"
    )
    tx.run("INSERT INTO dynamodb_counts (table_id, index_id) VALUES (?, 0)", (table.id,))


def create_index(tx: Transaction, table: Table, index: Index) -> None:
    tx.run(
        f"CREATE TABLE {index.sql_table} (ik BLOB NOT NULL, ir BLOB NOT NULL, pk BLOB NOT NULL,"
        " sk BLOB NOT NULL, PRIMARY KEY (ik, ir, pk, sk)) WITHOUT ROWID"
    )
    tx.run("INSERT INTO dynamodb_counts (table_id, index_id) VALUES (?, ?)", (table.id, index.id))


def drop_index(tx: Transaction, table: Table, index: Index) -> None:
    tx.run(f"DROP TABLE {index.sql_table}")
    for name in ("dynamodb_counts", "dynamodb_backfills"):
        tx.run(f"DELETE FROM {name} WHERE table_id = ? AND index_id = ?", (table.id, index.id))


def drop_table(tx: Transaction, table: Table) -> None:
    for index in table.indexes:
        drop_index(tx, table, index)
    tx.run(f"DROP TABLE {table.sql_table}")
    for name in ("dynamodb_counts", "dynamodb_backfills"):
        tx.run(f"DELETE FROM {name} WHERE table_id = ?", (table.id,))


def get(view: View, table: Table, key: Key) -> Stored | None:
    row = raw(view, table, key)
    return None if row is None else Stored(None, row[1], row[0])


def get_all(view: View, table: Table, wanted: list[Key]) -> dict[tuple[bytes, bytes], Stored]:
    """Those of the items that are there."""
    rows = read(
        view,
        f"WITH wanted (a, b) AS (VALUES {', '.join(['(?, ?)'] * len(wanted))})"
        f" SELECT pk, sk, size, item FROM wanted CROSS JOIN {table.sql_table}"
        " ON pk = a AND sk = b",
        [part for key in wanted for part in key],
    )
    return {(pk, sk): Stored(None, size_bytes, raw) for pk, sk, size_bytes, raw in rows}


def raw(view: View, table: Table, key: Key) -> tuple[bytes, int] | None:
    """The item's JSON and its size."""
    sql = f"SELECT item, size FROM {table.sql_table} WHERE pk = ? AND sk = ?"
    row: tuple[bytes, int] | None = read(view, sql, key).fetchone()
    return row


def read(view: View, sql: str, arguments: Sequence[Any]) -> sqlite3.Cursor:
    """Rows as plain tuples. A remembered definition may be older than the state that is read: by
    then its table may be gone."""
    cursor = view.connection.cursor()
    cursor.row_factory = None
    try:
        return cursor.execute(sql, arguments)
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        raise AwsError("ResourceNotFoundException", "Requested resource not found") from None


def expires_s(table: Table, item: Item) -> int | None:
    """The second an item expires; None where it doesn't (no number there, or out of range)."""
    if table.expiry is None:
        return None
    number = item.get(table.expiry, {}).get("N")
    if number is None or not 0 <= (seconds := Decimal(number)) < _NEVER_S:
        return None
    return int(seconds)


def oldest_expiry_s(now_s: int) -> int:
    """AWS leaves items alone that expired more than five years ago: likely no time at all."""
    return now_s - _FIVE_YEARS_S


def change(tx: Transaction, table: Table, writes: Writes, context: streams.Context) -> list[Change]:
    """Replaces the old versions of items by the new ones; None is no item."""
    _change_rows(tx, table, writes)
    is_followed = table.indexes or table.stream is not None or destinations.of(table)
    items = size_bytes = 0
    changes = []
    for key, versions in writes:
        old, new = versions
        items += (new is not None) - (old is not None)
        old_bytes, new_bytes = old.size_bytes if old else 0, new.size_bytes if new else 0
        size_bytes += new_bytes - old_bytes
        followed = _follow(tx, table, key, versions, context) if is_followed else {}
        changes.append(Change(old_bytes, new_bytes, followed))
    _count(tx, table.id, 0, items, size_bytes)
    return changes


def _change_rows(tx: Transaction, table: Table, writes: Writes) -> None:
    put: list[tuple[Any, ...]] = []
    gone: list[Key] = []
    for key, (old, new) in writes:
        if new is not None:
            put.append((*key, new.size_bytes, expires_s(table, new.item), orjson.dumps(new.item)))
        elif old is not None:
            gone.append(key)
    if put:
        tx.run_many(
            f"INSERT OR REPLACE INTO {table.sql_table} (pk, sk, size, expires, item)"
            " VALUES (?, ?, ?, ?, ?)",
            put,
        )
    if gone:
        tx.run_many(f"DELETE FROM {table.sql_table} WHERE pk = ? AND sk = ?", gone)


def _follow(
    tx: Transaction, table: Table, key: Key, versions: Versions, context: streams.Context
) -> dict[str, tuple[bool, list[int]]]:
    """Indexes and streams go with the item; what was written in indexes."""
    old, new = versions
    index_bytes: dict[str, tuple[bool, list[int]]] = {}
    for index in table.indexes:
        written = _move(tx, table, index, key, versions)
        if written:
            index_bytes[index.name] = (index.is_global, written)
    if table.stream is not None or destinations.of(table):
        images = old.item if old else None, new.item if new else None
        if images[0] != images[1]:
            streams.record(tx, table, images, context)
            destinations.tell(tx, table, images, context)
    return index_bytes


def _count(tx: Transaction, table_id: int, index_id: int, items: int, size_bytes: int) -> None:
    if items or size_bytes:
        tx.run(
            "UPDATE dynamodb_counts SET items = items + ?, bytes = bytes + ?"
            " WHERE table_id = ? AND index_id = ?",
            (items, size_bytes, table_id, index_id),
        )


def _move(tx: Transaction, table: Table, index: Index, key: Key, versions: Versions) -> list[int]:
    """Moves the item's entry; the bytes of each write that AWS would charge for."""
    places = [None if each is None else keys.of_index(table, index, each.item) for each in versions]
    before, after = places
    old_bytes, new_bytes = (
        _entry_bytes(index, each) if each is not None and place is not None else 0
        for each, place in zip(versions, places, strict=True)
    )
    if before is not None and before != after:
        tx.run(
            f"DELETE FROM {index.sql_table} WHERE ik = ? AND ir = ? AND pk = ? AND sk = ?",
            (*before, *key),
        )
    if after is not None and before != after:
        insert_entry(tx, index, after, key)
    if index.status == "ACTIVE":  # else the backfill counts when it is done
        items = (after is not None) - (before is not None)
        _count(tx, table.id, index.id, items, new_bytes - old_bytes)
    if before is not None and after is not None:
        old, new = versions
        assert old is not None and new is not None
        if before == after and index.entry(old.item) == index.entry(new.item):
            return []
        return [max(old_bytes, new_bytes)] if before == after else [old_bytes, new_bytes]
    return [old_bytes + new_bytes] if before is not None or after is not None else []


def _entry_bytes(index: Index, stored: Stored) -> int:
    if index.projection == "ALL":
        return stored.size_bytes
    return values.canonical_item(index.entry(stored.item))[1]


def insert_entry(tx: Transaction, index: Index, place: Key, key: Key) -> None:
    tx.run(
        f"INSERT OR IGNORE INTO {index.sql_table} (ik, ir, pk, sk) VALUES (?, ?, ?, ?)",
        (*place, *key),
    )


def recount(tx: Transaction, table: Table, index: Index) -> None:
    """Sets an index's counts after a backfill."""
    items = size_bytes = 0
    for row in tx.rows(
        f"SELECT m.item, m.size FROM {index.sql_table} i CROSS JOIN {table.sql_table} m"
        " ON m.pk = i.pk AND m.sk = i.sk"
    ):
        items += 1
        is_whole = index.projection == "ALL"
        size_bytes += row[1] if is_whole else _entry_bytes(index, Stored(orjson.loads(row[0]), 0))
    tx.run(
        "UPDATE dynamodb_counts SET items = ?, bytes = ? WHERE table_id = ? AND index_id = ?",
        (items, size_bytes, table.id, index.id),
    )


def context(config: Config, is_service: bool = False) -> streams.Context:
    return streams.Context(config.now_ms(), config.region, config.new_id, is_service)
