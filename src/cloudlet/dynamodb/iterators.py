"""The API of DynamoDB Streams: streams, their shards, iterators, records.

An iterator names its shard and the record that it stands behind; it holds for 15 minutes.
See https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import definitions, shards, streams
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.shards import Shard
from cloudlet.errors import AwsError
from cloudlet.store.database import Row, View

_LIFE_MS = 15 * 60 * 1000
_PAGE_MAX = 1000
_LISTED_MAX = 100


def list_streams(call: Call, view: View) -> Output:
    """Streams of one table or of all, in order of their ARNs."""
    limit = _limit(call.params, _LISTED_MAX)
    name = call.params.get("TableName")
    after = call.params.get("ExclusiveStartStreamArn", "")
    if after:
        _check_arn(after)
    rows = view.all(
        "SELECT * FROM dynamodb_streams WHERE arn > ? AND (? IS NULL OR table_name = ?)"
        " ORDER BY arn LIMIT ?",
        (after, name, name and definitions.name_of(call.config, name), limit + 1),
    )
    listed = [
        {"StreamArn": row["arn"], "TableName": row["table_name"], "StreamLabel": row["label"]}
        for row in rows[:limit]
    ]
    output: Output = {"Streams": listed}
    if len(rows) > limit:
        output["LastEvaluatedStreamArn"] = listed[-1]["StreamArn"]
    return output


def _limit(params: Params, most: int) -> int:
    limit: int = params.get("Limit", most)
    if limit > most:
        raise invalid(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint:"
            f" Member must have value less than or equal to {most}"
        )
    return limit


def _check_arn(arn: str) -> None:
    if not arn.startswith("arn:"):
        raise invalid(f"Invalid StreamArn: ARNs must start with 'arn:': {arn}")


def _get_stream(view: View, arn: str) -> Row:
    row = streams.find_stream(view, arn)
    if row is None:
        _check_arn(arn)
        raise AwsError(
            "ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found"
        )
    return row


def describe_stream(call: Call, view: View) -> Output:
    """The stream and a page of its shards, parents first."""
    params = call.params
    stream = _get_stream(view, params["StreamArn"])
    limit = _limit(params, _LISTED_MAX)
    after, parent = params.get("ExclusiveStartShardId", ""), _parent(params)
    found = [
        shard
        for shard in shards.of(view, stream)
        if shard.id > after and parent in (None, shard.parent_id)
    ]
    description: dict[str, Any] = {
        "StreamArn": stream["arn"],
        "StreamLabel": stream["label"],
        "StreamStatus": "DISABLED" if stream["closed_ms"] else "ENABLED",
        "StreamViewType": stream["view_type"],
        "CreationRequestDateTime": stream["created_ms"] / 1000,
        "TableName": stream["table_name"],
        "KeySchema": orjson.loads(stream["key_schema"]),
        "Shards": [_described(shard) for shard in found[:limit]],
    }
    if len(found) > limit:
        description["LastEvaluatedShardId"] = found[limit - 1].id
    return {"StreamDescription": description}


def _parent(params: Params) -> str | None:
    """The shard whose children are asked for."""
    wanted = params.get("ShardFilter")
    if wanted is None:
        return None
    if not (wanted.get("Type") and wanted.get("ShardId")):
        raise invalid("ShardFilter needs both a Type and a ShardId")
    return str(wanted["ShardId"])


def _described(shard: Shard) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": streams.sequence(shard.first)}
    if shard.last is not None:
        numbers["EndingSequenceNumber"] = streams.sequence(shard.last)
    shown: dict[str, Any] = {"ShardId": shard.id, "SequenceNumberRange": numbers}
    if shard.parent_id:
        shown["ParentShardId"] = shard.parent_id
    return shown


def get_shard_iterator(call: Call, view: View) -> Output:
    """An iterator that names the record it stands behind."""
    params = call.params
    stream = _get_stream(view, params["StreamArn"])
    shard = shards.find(view, stream, params["ShardId"])
    if shard is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"Requested resource not found: Shard: {params['ShardId']} in Stream:"
            f" {stream['arn']} not found",
        )
    after = _position(view, stream, shard, params)
    return {"ShardIterator": _iterator(stream["arn"], shard, after, call.now_ms)}


def _position(view: View, stream: Row, shard: Shard, params: Params) -> int:
    kind, given = params["ShardIteratorType"], params.get("SequenceNumber")
    if kind in ("TRIM_HORIZON", "LATEST"):
        if given is not None:
            raise invalid(f"SequenceNumber cannot be given when ShardIteratorType is {kind}")
        trimmed: int = max(shard.first - 1, stream["trimmed"])
        return trimmed if kind == "TRIM_HORIZON" else max(trimmed, _end(view, shard))
    if given is None:
        raise invalid(f"SequenceNumber is required when ShardIteratorType is {kind}")
    number = streams.number_of(given)
    if not shard.first <= number <= max(shard.first, _end(view, shard)):
        raise invalid(f"Invalid SequenceNumber: {given}, the shard {shard.id} has no such record")
    after = number - 1 if kind == "AT_SEQUENCE_NUMBER" else number
    if after < stream["trimmed"]:
        raise _trimmed()
    return after


def _end(view: View, shard: Shard) -> int:
    return shard.last or shards.newest(view, shard)


def _trimmed() -> AwsError:
    return AwsError(
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard",
    )


def _iterator(arn: str, shard: Shard, after: int, now_ms: int) -> str:
    """dynamodb-050: begins with the stream's ARN and a version."""
    place = urlsafe_b64encode(orjson.dumps([shard.id, after, now_ms])).decode()
    return f"{arn}|1|{place}"


def get_records(call: Call, view: View) -> Output:
    """Records behind the iterator, and the iterator behind them (none at a closed shard's end)."""
    arn, shard_id, after, made_ms = _opened(call.params["ShardIterator"])
    if call.now_ms - made_ms > _LIFE_MS:
        raise AwsError(
            "ExpiredIteratorException",
            "Iterator expired. The iterator was created more than 15 minutes ago",
        )
    stream = _get_stream(view, arn)
    shard = shards.find(view, stream, shard_id)
    if shard is None or after < max(stream["trimmed"], shard.first - 1):
        raise _trimmed()
    found = streams.records(view, shard, after, _limit(call.params, _PAGE_MAX))
    output: Output = {"Records": [_shown(document) for _, _, document in found]}
    last = found[-1][0] if found else after
    if shard.last is None or last < shards.newest(view, shard):
        output["NextShardIterator"] = _iterator(arn, shard, last, call.now_ms)
    return output


def stream_of(iterator: str) -> str:
    """The ARN of the stream that an iterator reads."""
    return _opened(iterator)[0]


def _opened(iterator: str) -> tuple[str, str, int, int]:
    arn, _, place = iterator.partition("|1|")
    try:
        shard_id, after, made_ms = orjson.loads(urlsafe_b64decode(place))
        return arn, str(shard_id), int(after), int(made_ms)
    except (ValueError, TypeError, binascii.Error):
        raise invalid("Invalid ShardIterator") from None


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    identity = document.get("userIdentity")
    if identity:
        document["userIdentity"] = {
            "Type": identity["type"],
            "PrincipalId": identity["principalId"],
        }
    return document
