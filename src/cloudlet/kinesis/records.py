"""Records in their shards: appended in order, read behind a position, gone after the retention.

Records of a shard are numbered 1, 2, 3, … without gaps and have times that never fall: what was
written before a moment is found by halving.
https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html
"""

from bisect import bisect_left
from typing import NamedTuple

from cloudlet.kinesis import shards
from cloudlet.kinesis.encryption import Keyring
from cloudlet.kinesis.sequences import number_of, record_id
from cloudlet.kinesis.throughput import READS, WRITES, Buckets, exceeded
from cloudlet.store.database import Row, Transaction, View
from cloudlet.store.sealing import Master

_SWEEP_MAX = 1_000  # records in one transaction, of 1 MiB perhaps: others wait


class Entry(NamedTuple):
    """A record to be."""

    partition_key: str
    hash_key: int
    data: bytes


class Record(NamedTuple):
    number: int
    created_ms: int
    partition_key: str
    data: bytes
    is_sealed: bool


class Place(NamedTuple):
    """Where reading goes on: behind a number, at most so many records and bytes, none older."""

    after: int
    limit: int
    bytes_max: int
    horizon_ms: int


class Records:
    def __init__(self, master: Master) -> None:
        self.keys = Keyring(master)
        self.reads = Buckets(*READS)
        self._writes = Buckets(*WRITES)

    def append(
        self, tx: Transaction, stream: Row, entry: Entry, now_ms: int, *, is_limited: bool = True
    ) -> tuple[Row, int]:
        """The shard and the record's number in it. `announce` the stream afterwards."""
        shard = shards.at_key(tx, stream, entry.hash_key)
        size = len(entry.data) + len(entry.partition_key.encode())
        if (
            is_limited
            and stream["mode"] == "PROVISIONED"
            and not self._writes.take(shard["id"], now_ms, 1, size)
        ):
            raise exceeded(stream, shard)
        number, created_ms = tx.run(
            "UPDATE kinesis_shards SET last = last + 1, last_ms = max(last_ms, ?) WHERE id = ?"
            " RETURNING last, last_ms",
            (now_ms, shard["id"]),
        ).fetchone()
        id_, key_id, data = record_id(shard, number), stream["data_key"], entry.data
        if key_id is not None:
            data = self.keys.key(tx, key_id).seal(id_, data)
        tx.run(
            "INSERT INTO kinesis_records (id, created_ms, data_key, partition_key, data)"
            " VALUES (?, ?, ?, ?, ?)",
            (id_, created_ms, key_id, entry.partition_key, data),
        )
        return shard, number

    def read(self, view: View, shard: Row, place: Place) -> list[Record]:
        """The first record comes whatever its size."""
        found: list[Record] = []
        size_bytes = 0
        for id_, created_ms, key_id, partition_key, data in view.rows(
            "SELECT id, created_ms, data_key, partition_key, data FROM kinesis_records"
            " WHERE id > ? AND id <= ? AND created_ms >= ? ORDER BY id LIMIT ?",
            (
                record_id(shard, place.after),
                record_id(shard, shard["last"]),
                place.horizon_ms,
                place.limit,
            ),
        ):
            size_bytes += len(data) + len(partition_key)
            if found and size_bytes > place.bytes_max:
                break
            if key_id is not None:
                data = self.keys.key(view, key_id).open(id_, data)
            found.append(
                Record(number_of(id_), created_ms, partition_key, data, key_id is not None)
            )
        return found


def announce(tx: Transaction, stream: Row) -> None:
    """Wakes who reads the stream, under its own or under a consumer's name."""
    tx.touch(f"stream:{stream['arn']}")
    sql = "SELECT arn FROM kinesis_consumers WHERE stream = ?"
    for row in tx.rows(sql, (stream["id"],)):
        tx.touch(f"stream:{row['arn']}")


def horizon_ms(stream: Row, now_ms: int) -> int:
    """Older records are gone."""
    return int(now_ms - stream["retention_hours"] * 3_600_000)


def before(view: View, shard: Row, moment_ms: int) -> int:
    """The number of the last record that is older than the moment; of the one before the first."""
    span = (record_id(shard, 0), record_id(shard, shard["last"]))
    first = view.value("SELECT min(id) FROM kinesis_records WHERE id BETWEEN ? AND ?", span)
    if first is None:
        return int(shard["last"])

    def created_ms(id_: int) -> int:
        sql = "SELECT created_ms FROM kinesis_records WHERE id = ?"
        return int(view.value(sql, (id_,)))

    ids = range(first, span[1] + 1)
    return number_of(first) - 1 + bisect_left(ids, moment_ms, key=created_ms)


def sweep(tx: Transaction, now_ms: int) -> bool:
    """Removes what is too old, and what deleted streams left; True if there may be more."""
    for shard in tx.all("SELECT * FROM kinesis_shards WHERE stream IS NULL"):
        if _remove(tx, shard, shard["last"]):
            return True
        tx.run("DELETE FROM kinesis_shards WHERE id = ?", (shard["id"],))
    for stream in tx.all("SELECT * FROM kinesis_streams"):
        oldest_ms = horizon_ms(stream, now_ms)
        for shard in shards.every(tx, stream):
            if _remove(tx, shard, before(tx, shard, oldest_ms)):
                return True
        shards.expire(tx, stream, oldest_ms)
    return False


def _remove(tx: Transaction, shard: Row, last: int) -> bool:
    """Records up to a number; True if there are more of them."""
    span = (record_id(shard, 0), record_id(shard, last))
    first = tx.value("SELECT min(id) FROM kinesis_records WHERE id BETWEEN ? AND ?", span)
    if first is None:
        return False
    end = min(first + _SWEEP_MAX, span[1])
    tx.run("DELETE FROM kinesis_records WHERE id BETWEEN ? AND ?", (first, end))
    return bool(end < span[1])
