"""DynamoDB Streams: change records, shards, iterators.

Records are numbered 1, 2, 3, … per stream, which gives each key its order. A stream has one
shard, closed when the stream is disabled; records live for 24 hours (`sweep` trims them). A
sequence number is the record's number in 21 digits, so that strings compare as numbers do.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from cloudlet.call import Call, Output
from cloudlet.dynamodb import definitions, values
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Item
from cloudlet.errors import AwsError
from cloudlet.store.database import Row, Transaction, View

_FIRST = 10**20
_ITERATOR_LIFE_MS = 15 * 60 * 1000
RETENTION_MS = 24 * 3600 * 1000
_PAGE_BYTES = 1 << 20
_PAGE_MAX = 1000
_STREAMS_MAX = 100


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
    number = last_number(tx, stream.id) + 1
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


def last_number(view: View, stream_id: int, before_ms: int = 1 << 62) -> int:
    """The number of the last record there ever was (before a moment); 0 before the first."""
    number = view.value(
        "SELECT number FROM dynamodb_records WHERE stream_id = ? AND created_ms < ?"
        " ORDER BY number DESC LIMIT 1",
        (stream_id, before_ms),
    )
    if number is None:
        number = view.value("SELECT trimmed FROM dynamodb_streams WHERE id = ?", (stream_id,))
    return int(number or 0)


def records(
    view: View, stream_id: int, after: int, limit: int
) -> list[tuple[int, int, dict[str, Any]]]:
    """(number, created_ms, document) of the records behind a number, at most 1 MB of them."""
    found: list[tuple[int, int, dict[str, Any]]] = []
    size_bytes = 0
    for row in view.rows(
        "SELECT number, created_ms, document FROM dynamodb_records"
        " WHERE stream_id = ? AND number > ? ORDER BY number LIMIT ?",
        (stream_id, after, limit),
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
    if stream:
        tx.run("UPDATE dynamodb_streams SET closed_ms = ? WHERE id = ?", (now_ms, stream["Id"]))
        tx.touch(f"stream:{stream['Arn']}")


# operations of the Streams API


def list_streams(call: Call, view: View) -> Output:
    """Streams of one table or of all, in order of their ARNs."""
    limit = _limit(call.params, _STREAMS_MAX)
    name = call.params.get("TableName")
    rows = view.all(
        "SELECT * FROM dynamodb_streams WHERE arn > ? AND (? IS NULL OR table_name = ?)"
        " ORDER BY arn LIMIT ?",
        (
            call.params.get("ExclusiveStartStreamArn", ""),
            name,
            name and definitions.name_of(call.config, name),
            limit + 1,
        ),
    )
    listed = [
        {"StreamArn": row["arn"], "TableName": row["table_name"], "StreamLabel": row["label"]}
        for row in rows[:limit]
    ]
    output: Output = {"Streams": listed}
    if len(rows) > limit:
        output["LastEvaluatedStreamArn"] = listed[-1]["StreamArn"]
    return output


def _limit(params: dict[str, Any], most: int) -> int:
    limit: int = params.get("Limit", most)
    if limit > most:
        raise invalid(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint:"
            f" Member must have value less than or equal to {most}"
        )
    return limit


def find_stream(view: View, arn: str) -> Row | None:
    return view.one("SELECT * FROM dynamodb_streams WHERE arn = ?", (arn,))


def get_stream(view: View, arn: str) -> Row:
    row = find_stream(view, arn)
    if row is None and not arn.startswith("arn:"):
        raise invalid(f"Invalid StreamArn: ARNs must start with 'arn:': {arn}")
    if row is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"Requested resource not found: Stream: {arn} not found",
        )
    return row


def shard_id(stream: Row) -> str:
    return f"shardId-{stream['created_ms']:020d}-{stream['id']:08x}"


def describe_stream(call: Call, view: View) -> Output:
    """The stream and its shards."""
    stream = get_stream(view, call.params["StreamArn"])
    numbers = {"StartingSequenceNumber": sequence(1)}
    if stream["closed_ms"] is not None:
        numbers["EndingSequenceNumber"] = sequence(max(1, last_number(view, stream["id"])))
    shard = {"ShardId": shard_id(stream), "SequenceNumberRange": numbers}
    after = call.params.get("ExclusiveStartShardId")
    is_left_out = _asks_children(call.params) or (after and after >= shard["ShardId"])
    return {
        "StreamDescription": {
            "StreamArn": stream["arn"],
            "StreamLabel": stream["label"],
            "StreamStatus": "DISABLED" if stream["closed_ms"] else "ENABLED",
            "StreamViewType": stream["view_type"],
            "CreationRequestDateTime": stream["created_ms"] / 1000,
            "TableName": stream["table_name"],
            "KeySchema": orjson.loads(stream["key_schema"]),
            "Shards": [] if is_left_out else [shard],
        }
    }


def _asks_children(params: dict[str, Any]) -> bool:
    """Of a stream's one shard there are none."""
    wanted = params.get("ShardFilter")
    if wanted is not None and not (wanted.get("Type") and wanted.get("ShardId")):
        raise invalid("ShardFilter needs both a Type and a ShardId")
    return wanted is not None


def get_shard_iterator(call: Call, view: View) -> Output:
    """An iterator that names the record it stands behind."""
    params = call.params
    stream = get_stream(view, params["StreamArn"])
    if params["ShardId"] != shard_id(stream):
        raise AwsError(
            "ResourceNotFoundException",
            f"Requested resource not found: Shard: {params['ShardId']} in Stream:"
            f" {stream['arn']} not found",
        )
    kind = params["ShardIteratorType"]
    if kind == "TRIM_HORIZON":
        after = stream["trimmed"]
    elif kind == "LATEST":
        after = last_number(view, stream["id"])
    else:
        after = _position(view, stream, params)
    return {"ShardIterator": _iterator(stream["arn"], after, call.now_ms)}


def _position(view: View, stream: Row, params: dict[str, Any]) -> int:
    given = params.get("SequenceNumber")
    if given is None:
        raise invalid(
            f"SequenceNumber is required when ShardIteratorType is {params['ShardIteratorType']}"
        )
    number = number_of(given)
    after = number - 1 if params["ShardIteratorType"] == "AT_SEQUENCE_NUMBER" else number
    if number <= 0 or number > max(1, last_number(view, stream["id"])):
        raise invalid(
            f"Invalid SequenceNumber: {given}, the shard {params['ShardId']} has no such record"
        )
    if after < stream["trimmed"]:
        raise _trimmed()
    return after


def _trimmed() -> AwsError:
    return AwsError(
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard",
    )


def _iterator(arn: str, after: int, now_ms: int) -> str:
    return urlsafe_b64encode(orjson.dumps([arn, after, now_ms])).decode()


def get_records(call: Call, view: View) -> Output:
    """Records behind the iterator, and the iterator behind them (none at a closed shard's end)."""
    arn, after, made_ms = _opened(call.params["ShardIterator"])
    if call.now_ms - made_ms > _ITERATOR_LIFE_MS:
        raise AwsError(
            "ExpiredIteratorException",
            "Iterator expired. The iterator was created more than 15 minutes ago",
        )
    stream = get_stream(view, arn)
    if after < stream["trimmed"]:
        raise _trimmed()
    found = records(view, stream["id"], after, _limit(call.params, _PAGE_MAX))
    output: Output = {"Records": [_api_record(document) for _, _, document in found]}
    last = found[-1][0] if found else after
    if stream["closed_ms"] is None or last < last_number(view, stream["id"]):
        output["NextShardIterator"] = _iterator(arn, last, call.now_ms)
    return output


def stream_of(iterator: str) -> str:
    """The ARN of the stream that an iterator reads."""
    return _opened(iterator)[0]


def _opened(iterator: str) -> tuple[str, int, int]:
    try:
        arn, after, made_ms = orjson.loads(urlsafe_b64decode(iterator))
        return str(arn), int(after), int(made_ms)
    except (ValueError, TypeError, binascii.Error):
        raise invalid("Invalid ShardIterator") from None


def _api_record(document: dict[str, Any]) -> dict[str, Any]:
    identity = document.get("userIdentity")
    if identity:
        document["userIdentity"] = {
            "Type": identity["type"],
            "PrincipalId": identity["principalId"],
        }
    return document
