"""Shards: a stream's records in stretches of four hours, one after the other.

A stream has one open shard; the record numbers of a closed one never change. `roll` closes the open
one when its time is over and opens its child, whether there were records or not, as AWS does; a
closed shard is known for as long as its records are kept, which `sweep` sees to. A shard without
records has used up one number, so that the ranges of parent and child never meet.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from dataclasses import dataclass

from cloudlet.store.database import Row, Transaction, View

LIFE_MS = 4 * 3600 * 1000
_NO_END = 1 << 62


@dataclass(frozen=True, slots=True)
class Shard:
    stream_id: int
    opened_ms: int  # unique in the stream
    parent_ms: int | None  # when the parent was opened
    first: int
    last: int | None  # None while it is open
    closed_ms: int | None

    @property
    def id(self) -> str:
        return _id(self.opened_ms, self.stream_id)

    @property
    def parent_id(self) -> str | None:
        """Also of a parent that is long gone."""
        return None if self.parent_ms is None else _id(self.parent_ms, self.stream_id)

    @property
    def end(self) -> int:
        return _NO_END if self.last is None else self.last


def _id(opened_ms: int, stream_id: int) -> str:
    return f"shardId-{opened_ms:020d}-{stream_id:08x}"


_COLUMNS = "stream_id, opened_ms, parent_ms, first, last, closed_ms"


def of(view: View, stream: Row) -> list[Shard]:
    """The stream's shards, parents first."""
    rows = view.all(
        f"SELECT {_COLUMNS} FROM dynamodb_shards WHERE stream_id = ? ORDER BY opened_ms",
        (stream["id"],),
    )
    return [Shard(*row) for row in rows]


def find(view: View, stream: Row, shard_id: str) -> Shard | None:
    return next((shard for shard in of(view, stream) if shard.id == shard_id), None)


def newest(view: View, shard: Shard, before_ms: int = _NO_END) -> int:
    """The number of the shard's last record (older than a moment), or the one before its first."""
    number = view.value(
        "SELECT number FROM dynamodb_records WHERE stream_id = ? AND number BETWEEN ? AND ?"
        " AND created_ms < ? ORDER BY number DESC LIMIT 1",
        (shard.stream_id, shard.first, shard.end, before_ms),
    )
    return shard.first - 1 if number is None else int(number)


def next_number(tx: Transaction, stream_id: int) -> int:
    """Behind all records there ever were, in the open shard."""
    number = tx.value(
        "SELECT max(trimmed + 1,"
        " coalesce((SELECT max(first) FROM dynamodb_shards WHERE stream_id = ?1), 1),"
        " coalesce((SELECT max(number) FROM dynamodb_records WHERE stream_id = ?1), 0) + 1)"
        " FROM dynamodb_streams WHERE id = ?1",
        (stream_id,),
    )
    return int(number)


def open_first(tx: Transaction, stream_id: int, now_ms: int) -> None:
    _insert(tx, Shard(stream_id, now_ms, None, 1, None, None))


def _insert(tx: Transaction, shard: Shard) -> None:
    tx.run(
        f"INSERT INTO dynamodb_shards ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        (shard.stream_id, shard.opened_ms, shard.parent_ms, shard.first, None, None),
    )


def close(tx: Transaction, stream: Row, now_ms: int) -> Shard | None:
    """Closes the open shard, if there is one; as it was before."""
    for shard in of(tx, stream):
        if shard.last is None:
            last = max(shard.first, next_number(tx, shard.stream_id) - 1)
            tx.run(
                "UPDATE dynamodb_shards SET last = ?, closed_ms = ?"
                " WHERE stream_id = ? AND opened_ms = ?",
                (last, now_ms, shard.stream_id, shard.opened_ms),
            )
            tx.touch(f"stream:{stream['arn']}")
            return Shard(
                shard.stream_id, shard.opened_ms, shard.parent_ms, shard.first, last, now_ms
            )
    return None


def roll(tx: Transaction, stream: Row, now_ms: int) -> None:
    """A child takes over from a shard whose time is over."""
    due_ms = tx.value(
        "SELECT opened_ms FROM dynamodb_shards WHERE stream_id = ? AND last IS NULL",
        (stream["id"],),
    )
    if due_ms is None or now_ms < due_ms + LIFE_MS:
        return
    parent = close(tx, stream, now_ms)
    assert parent is not None and parent.last is not None
    _insert(tx, Shard(parent.stream_id, now_ms, parent.opened_ms, parent.last + 1, None, None))


def trim(tx: Transaction, stream: Row, oldest_ms: int) -> None:
    """Forgets shards that were closed before all that is kept."""
    tx.run(
        "DELETE FROM dynamodb_shards WHERE stream_id = ? AND closed_ms < ? AND NOT EXISTS"
        " (SELECT 1 FROM dynamodb_records r WHERE r.stream_id = dynamodb_shards.stream_id"
        " AND r.number BETWEEN first AND last)",
        (stream["id"], oldest_ms),
    )
