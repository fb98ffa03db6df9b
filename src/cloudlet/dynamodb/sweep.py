"""What goes on behind requests: expiry, stream trimming, filling new indexes.

Each function does a bounded batch per transaction and is called again and again by a timer; state
is in the store, so a crash in between loses nothing.
"""

import copy
from functools import partial

import orjson

from cloudlet.call import Cloud
from cloudlet.dynamodb import definitions, keys, shards, storage, streams
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.keys import Key
from cloudlet.dynamodb.storage import Stored
from cloudlet.dynamodb.transactions import TOKEN_LIFE_MS
from cloudlet.store.database import Transaction

_BATCH = 500
_AT_ONCE = 2000  # items that UpdateTable and UpdateTimeToLive fill in while they are answered

BACKFILL_TOPIC = "dynamodb-backfill"  # touched when `backfill` has work


async def sweep_ttl(cloud: Cloud) -> int:
    """Deletes items whose time has come; returns how many."""
    with cloud.database.snapshot() as view:
        names = [table.name for table in definitions.all_tables(view) if table.expiry]
    total = 0
    for name in names:
        while count := await cloud.database.write(partial(expire, cloud=cloud, name=name)):
            total += count
    return total


def expire(tx: Transaction, cloud: Cloud, name: str) -> int:
    """One batch of one table."""
    table = definitions.find(tx, cloud.config, name)
    if table is None or table.expiry is None:
        return 0
    now_s = cloud.config.now_ms() // 1000
    rows = tx.all(
        f"SELECT pk, sk, size, item, expires FROM {table.sql_table}"
        " WHERE expires > ? AND expires <= ? LIMIT ?",
        (storage.oldest_expiry_s(now_s), now_s, _BATCH),
    )
    context = storage.context(cloud.config, is_service=True)
    gone = [(Key(row[0], row[1]), (Stored(None, row[2], row[3]), None)) for row in rows]
    storage.change(tx, table, gone, context)
    return len(rows)


async def trim_streams(cloud: Cloud) -> int:
    """Deletes stream records older than 24 hours, shards and streams closed so long ago, and old
    tokens; opens shards that are due."""
    total = 0
    while count := await cloud.database.write(lambda tx: trim(tx, cloud.config.now_ms())):
        total += count
    return total


def trim(tx: Transaction, now_ms: int) -> int:
    """One batch of each stream."""
    oldest_ms = now_ms - streams.RETENTION_MS
    total = 0
    for stream in tx.all("SELECT id, arn, closed_ms FROM dynamodb_streams"):
        shards.roll(tx, stream, now_ms)
        rows = tx.all(
            "SELECT number, created_ms FROM dynamodb_records WHERE stream_id = ?"
            " ORDER BY number LIMIT ?",
            (stream["id"], _BATCH),
        )
        old = [row[0] for row in rows if row[1] < oldest_ms]
        if old:
            last = max(old)
            tx.run("UPDATE dynamodb_streams SET trimmed = ? WHERE id = ?", (last, stream["id"]))
            tx.run(
                "DELETE FROM dynamodb_records WHERE stream_id = ? AND number <= ?",
                (stream["id"], last),
            )
            total += len(old)
        shards.trim(tx, stream, oldest_ms)
        if stream["closed_ms"] is not None and not shards.of(tx, stream):
            tx.run("DELETE FROM dynamodb_streams WHERE id = ?", (stream["id"],))
            tx.run("DELETE FROM dynamodb_policies WHERE arn = ?", (stream["arn"],))
    tx.run("DELETE FROM dynamodb_tokens WHERE created_ms <= ?", (now_ms - TOKEN_LIFE_MS,))
    return total


async def backfill(cloud: Cloud) -> None:
    """Fills what UpdateTable and UpdateTimeToLive have left to do."""
    with cloud.database.snapshot() as view:
        waiting = view.all("SELECT table_id, index_id FROM dynamodb_backfills")
    for row in waiting:
        one = partial(fill, table_id=row[0], index_id=row[1])
        while not await cloud.database.write(one):
            pass


def start_backfills(tx: Transaction, table: Table) -> None:
    for index in table.indexes:
        if index.status == "CREATING":
            restart_backfill(tx, table, index.id)


def restart_backfill(tx: Transaction, table: Table, index_id: int) -> None:
    """Begins at the first item, and does small tables at once."""
    tx.touch(BACKFILL_TOPIC)
    tx.run(
        "INSERT OR REPLACE INTO dynamodb_backfills (table_id, index_id) VALUES (?, ?)",
        (table.id, index_id),
    )
    for _ in range(0, _AT_ONCE, _BATCH):
        if fill(tx, table.id, index_id):
            return


def fill(tx: Transaction, table_id: int, index_id: int) -> bool:
    """One batch; True when the index, or the expiry column, is complete."""
    task = tx.one(
        "SELECT pk, sk FROM dynamodb_backfills WHERE table_id = ? AND index_id = ?",
        (table_id, index_id),
    )
    row = tx.one("SELECT definition FROM dynamodb_tables WHERE id = ?", (table_id,))
    if task is None or row is None:
        return True
    table = definitions.load(table_id, row[0])
    rows = tx.all(
        f"SELECT pk, sk, item FROM {table.sql_table} WHERE (pk, sk) > (?, ?)"
        " ORDER BY pk, sk LIMIT ?",
        (task[0], task[1], _BATCH),
    )
    for pk, sk, item in rows:
        _fill_one(tx, table, index_id, Key(pk, sk), item)
    if len(rows) == _BATCH:
        tx.run(
            "UPDATE dynamodb_backfills SET pk = ?, sk = ? WHERE table_id = ? AND index_id = ?",
            (rows[-1][0], rows[-1][1], table_id, index_id),
        )
        return False
    tx.run(
        "DELETE FROM dynamodb_backfills WHERE table_id = ? AND index_id = ?", (table_id, index_id)
    )
    if index_id:
        _activate(tx, table, index_id)
    return True


def _fill_one(tx: Transaction, table: Table, index_id: int, key: Key, raw: bytes) -> None:
    item = orjson.loads(raw)
    if index_id == 0:
        tx.run(
            f"UPDATE {table.sql_table} SET expires = ? WHERE pk = ? AND sk = ?",
            (storage.expires_s(table, item), *key),
        )
        return
    for index in table.indexes:
        place = keys.of_index(table, index, item) if index.id == index_id else None
        if place is not None:
            storage.insert_entry(tx, index, place, key)


def _activate(tx: Transaction, table: Table, index_id: int) -> None:
    document = copy.deepcopy(table.document)
    for index in document["Indexes"]:
        if index["Id"] == index_id:
            index["Status"] = "ACTIVE"
    definitions.save(tx, table, document)
    for entry in table.indexes:
        if entry.id == index_id:
            storage.recount(tx, table, entry)
