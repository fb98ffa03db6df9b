"""DynamoDB Streams: streams and the records of changes, written with the changes.

Records are numbered per stream, which gives each key its order; `shards` divides them, `iterators`
has the API that reads them. They live for 24 hours (`sweep` trims them). A sequence number is the
record's number in 21 digits, so that strings compare as numbers do.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from cloudlet.dynamodb import shards, values
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.shards import Shard
from cloudlet.dynamodb.values import Item
from cloudlet.store.database import Row, Transaction, View

_FIRST = 10**20
RETENTION_MS = 24 * 3600 * 1000
_PAGE_BYTES = 1 << 20


class Context(NamedTuple):
    """What a record tells besides the change."""

    now_ms: int
    region: str
    new_id: Callable[[], str]
    is_service: bool  # the service's own deletion: TTL


def sequence(number: int) -> str:
    return str(_FIRST + number)


def number_of(sequence_number: str) -> int:
    try:
        return int(sequence_number) - _FIRST
    except ValueError:
        raise invalid(f"Invalid SequenceNumber: {sequence_number}") from None


def record(
    tx: Transaction, table: Table, images: tuple[Item | None, Item | None], context: Context
) -> None:
    """Adds the record of a change to the table's stream, if it has one."""
    stream = table.stream
    if stream is None:
        return
    number = shards.next_number(tx, stream.id)
    document = change(table, images, context, stream.view_type)
    document["dynamodb"]["SequenceNumber"] = sequence(number)
    tx.run(
        "INSERT INTO dynamodb_records (stream_id, number, created_ms, document)"
        " VALUES (?, ?, ?, ?)",
        (stream.id, number, context.now_ms, orjson.dumps(document)),
    )
    tx.touch(f"stream:{stream.arn}")


def change(
    table: Table, images: tuple[Item | None, Item | None], context: Context, view_type: str
) -> dict[str, Any]:
    """The document of a change, with the images that the view type names."""
    old, new = images
    some = new or old or {}
    keys = {name: some[name] for name in table.key_names()}
    told: dict[str, Any] = {
        "ApproximateCreationDateTime": context.now_ms // 1000,
        "Keys": keys,
        "SizeBytes": values.canonical_item(keys)[1],
        "StreamViewType": view_type,
    }
    if new is not None and view_type in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
        told["NewImage"] = new
        told["SizeBytes"] += values.canonical_item(new)[1]
    if old is not None and view_type in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
        told["OldImage"] = old
        told["SizeBytes"] += values.canonical_item(old)[1]
    document = {
        "eventID": context.new_id().replace("-", ""),
        "eventName": "REMOVE" if new is None else "INSERT" if old is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": context.region,
        "dynamodb": told,
    }
    if context.is_service:
        document["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    return document


def records(
    view: View, shard: Shard, after: int, limit: int
) -> list[tuple[int, int, dict[str, Any]]]:
    """(number, created_ms, document) of a shard's records behind a number, at most 1 MB of them."""
    found: list[tuple[int, int, dict[str, Any]]] = []
    size_bytes = 0
    for row in view.rows(
        "SELECT number, created_ms, document FROM dynamodb_records"
        " WHERE stream_id = ? AND number BETWEEN ? AND ? ORDER BY number LIMIT ?",
        (shard.stream_id, max(after + 1, shard.first), shard.end, limit),
    ):
        size_bytes += len(row[2])
        if found and size_bytes > _PAGE_BYTES:
            break
        found.append((row[0], row[1], orjson.loads(row[2])))
    return found


def enable(tx: Transaction, document: dict[str, Any], view_type: str, now_ms: int) -> None:
    """Opens a new stream for the table whose definition `document` is, and writes it there."""
    label = _label(tx, document["TableName"], now_ms)
    arn = f"{document['TableArn']}/stream/{label}"
    cursor = tx.run(
        "INSERT INTO dynamodb_streams (arn, label, table_name, view_type, key_schema, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (arn, label, document["TableName"], view_type, orjson.dumps(document["KeySchema"]), now_ms),
    )
    assert cursor.lastrowid is not None
    shards.open_first(tx, cursor.lastrowid, now_ms)
    document["Stream"] = {"Id": cursor.lastrowid, "Arn": arn, "Label": label, "ViewType": view_type}
    document["LatestStream"] = {"Arn": arn, "Label": label}


def _label(tx: Transaction, table_name: str, now_ms: int) -> str:
    """The creation time, unique for the table."""
    while True:
        label = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        if not tx.one(
            "SELECT 1 FROM dynamodb_streams WHERE table_name = ? AND label = ?", (table_name, label)
        ):
            return label
        now_ms += 1


def disable(tx: Transaction, document: dict[str, Any], now_ms: int) -> None:
    """Closes the table's stream; its records stay readable for 24 hours."""
    stream = document.pop("Stream", None)
    row = find_stream(tx, stream["Arn"]) if stream else None
    if row is not None:
        tx.run("UPDATE dynamodb_streams SET closed_ms = ? WHERE id = ?", (now_ms, row["id"]))
        shards.close(tx, row, now_ms)


def find_stream(view: View, arn: str) -> Row | None:
    return view.one("SELECT * FROM dynamodb_streams WHERE arn = ?", (arn,))
