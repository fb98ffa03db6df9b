"""Shards: ranges of hash keys, which are split and merged; closed ones stay until their records go.

https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-resharding.html
"""

from datetime import datetime
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kinesis import tokens
from cloudlet.kinesis.lookup import invalid, missing, require
from cloudlet.kinesis.sequences import (
    HASH_KEYS,
    padded,
    record_id,
    sequence,
    shard_id,
    shard_number,
)
from cloudlet.store.database import Row, Transaction, View

SHARDS_MAX = 20_000  # open ones of an account
_PAGE = 1000


def uniform(count: int) -> list[int]:
    """Where the ranges of so many equal shards begin."""
    return [HASH_KEYS // count * number for number in range(count)]


def find(view: View, stream: Row, name: str) -> Row:
    shard = view.one(
        "SELECT * FROM kinesis_shards WHERE stream = ? AND number = ?",
        (stream["id"], shard_number(name)),
    )
    if shard is None:
        account = stream["arn"].split(":")[4]
        raise missing(
            f"Could not find shard {name} in stream {stream['name']} under account {account}."
        )
    return shard


def every(view: View, stream: Row) -> list[Row]:
    return view.all(
        "SELECT * FROM kinesis_shards WHERE stream = ? ORDER BY number", (stream["id"],)
    )


def is_open(shard: Row) -> bool:
    return shard["closed_ms"] is None


def open_shards(view: View, stream: Row) -> list[Row]:
    """By the hash keys they have."""
    return view.all(
        "SELECT * FROM kinesis_shards WHERE stream = ? AND closed_ms IS NULL ORDER BY first_key",
        (stream["id"],),
    )


def check_limit(call: Call, view: View, more: int) -> None:
    count = open_count(view)
    if count + more > SHARDS_MAX:
        raise AwsError(
            "LimitExceededException",
            f"This request would exceed the shard limit for the account {call.config.account} in"
            f" {call.config.region}. Current shard count for the account: {count}. Limit:"
            f" {SHARDS_MAX}. Number of additional shards that would have resulted from this"
            f" request: {more}. Refer to the AWS Service Limits page"
            " (https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current"
            " limits and how to request higher limits.",
        )


def open_count(view: View) -> int:
    return int(
        view.value(
            "SELECT count(*) FROM kinesis_shards WHERE closed_ms IS NULL AND stream IS NOT NULL"
        )
    )


def create(
    tx: Transaction, stream: Row, keys: tuple[int, int], parents: tuple[Row, ...], now_ms: int
) -> None:
    """A shard for the hash keys from the first to the last, both its own."""
    made = tx.run(
        "UPDATE kinesis_streams SET shards_made = shards_made + 1 WHERE id = ?"
        " RETURNING shards_made",
        (stream["id"],),
    ).fetchone()
    epochs = [parent["epoch_s"] + 1 for parent in parents]
    numbers = [parent["number"] for parent in parents] + [None, None]
    tx.run(
        "INSERT INTO kinesis_shards"
        " (stream, number, parent, adjacent, first_key, last_key, epoch_s, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(stream["id"], made[0] - 1, *numbers[:2], *map(padded, keys)),
            *(max([now_ms // 1000, *epochs]), now_ms),
        ),
    )


def _close(tx: Transaction, stream: Row, shard: Row, now_ms: int) -> None:
    tx.run("UPDATE kinesis_shards SET closed_ms = ? WHERE id = ?", (now_ms, shard["id"]))
    tx.touch(f"stream:{stream['arn']}")


def split_shard(call: Call, tx: Transaction) -> None:
    params, stream = call.params, require(call, tx)
    check_provisioned(stream, call.operation)
    shard = find(tx, stream, params["ShardToSplit"])
    _check_open(stream, shard)
    start = int(params["NewStartingHashKey"])
    first, last = int(shard["first_key"]), int(shard["last_key"])
    if not first + 1 < start < last:
        raise invalid(
            f"NewStartingHashKey {start} used in SplitShard() on shard {params['ShardToSplit']} in"
            f" stream {stream['name']} under account {call.config.account} is not both greater"
            f" than one plus the shard's StartingHashKey {first} and less than the shard's"
            f" EndingHashKey {last}."
        )
    check_limit(call, tx, 1)
    _split(tx, stream, shard, start, call.now_ms)


def _split(tx: Transaction, stream: Row, shard: Row, start: int, now_ms: int) -> None:
    _close(tx, stream, shard, now_ms)
    create(tx, stream, (int(shard["first_key"]), start - 1), (shard,), now_ms)
    create(tx, stream, (start, int(shard["last_key"])), (shard,), now_ms)


def merge_shards(call: Call, tx: Transaction) -> None:
    params, stream = call.params, require(call, tx)
    check_provisioned(stream, call.operation)
    names = params["ShardToMerge"], params["AdjacentShardToMerge"]
    pair = [find(tx, stream, name) for name in names]
    for shard in pair:
        _check_open(stream, shard)
    low, high = sorted(pair, key=lambda shard: str(shard["first_key"]))
    if int(low["last_key"]) + 1 != int(high["first_key"]):
        raise invalid(
            f"Shards {names[0]} and {names[1]} in stream {stream['name']} under account"
            f" {call.config.account} are not an adjacent pair of shards eligible for merging"
        )
    _merge(tx, stream, (pair[0], pair[1]), call.now_ms)


def _merge(tx: Transaction, stream: Row, pair: tuple[Row, Row], now_ms: int) -> None:
    for shard in pair:
        _close(tx, stream, shard, now_ms)
    keys = [int(shard[column]) for shard in pair for column in ("first_key", "last_key")]
    create(tx, stream, (min(keys), max(keys)), pair, now_ms)


def check_provisioned(stream: Row, operation: str) -> None:
    if stream["mode"] != "PROVISIONED":
        raise AwsError(
            "ValidationException",
            f"Request is invalid. {operation} is not supported for the stream {stream['name']}:"
            " its capacity mode is ON_DEMAND.",
        )


def _check_open(stream: Row, shard: Row) -> None:
    if not is_open(shard):
        raise invalid(
            f"Shard {shard_id(shard['number'])} in stream {stream['name']} under account"
            f" {stream['arn'].split(':')[4]} has already been merged or split, and thus is not"
            " eligible for merging or splitting."
        )


def update_shard_count(call: Call, tx: Transaction) -> Output:
    """Splits where new ranges begin, then merges what lies between."""
    stream, target = require(call, tx), call.params["TargetShardCount"]
    check_provisioned(stream, call.operation)
    count = len(open_shards(tx, stream))
    if not count / 2 <= target <= count * 2:
        edge, limit = ("up", "double") if target > count else ("down below", "half of")
        raise invalid(
            f"UpdateShardCount cannot scale {edge} over {limit} your current open shard count."
            f" Current open shard count: {count} Target shard count: {target}"
        )
    check_limit(call, tx, target - count)
    wanted = uniform(target)
    for start in wanted:
        holder = at_key(tx, stream, start)
        if int(holder["first_key"]) != start:
            _split(tx, stream, holder, start, call.now_ms)
    low: Row | None = None
    for shard in open_shards(tx, stream):
        if low is not None and int(shard["first_key"]) not in wanted:
            _merge(tx, stream, (low, shard), call.now_ms)
            low = at_key(tx, stream, int(shard["first_key"]))
        else:
            low = shard
    return {
        "StreamName": stream["name"],
        "StreamARN": stream["arn"],
        "CurrentShardCount": count,
        "TargetShardCount": target,
    }


def at_key(view: View, stream: Row, key: int) -> Row:
    """The open shard that has a hash key."""
    found = view.one(
        "SELECT * FROM kinesis_shards WHERE stream = ? AND closed_ms IS NULL AND first_key <= ?"
        " ORDER BY first_key DESC LIMIT 1",
        (stream["id"], padded(key)),
    )
    assert found is not None, "open shards cover all keys"
    return found


def list_shards(call: Call, view: View) -> Output:
    params = call.params
    if token := params.get("NextToken"):
        if params.get("StreamName") or params.get("StreamARN") or params.get("ShardFilter"):
            raise invalid("NextToken and StreamName cannot be provided together.")
        stream, (after, kind, moment_ms, made_ms) = tokens.opened(view, "NextToken", token)
        tokens.check_age(call.now_ms, made_ms)
    else:
        stream = require(call, view)
        kind, moment_ms, after = _filter(call, stream)
    limit = params.get("MaxResults", _PAGE)
    listed = [
        shard
        for shard in every(view, stream)
        if shard["number"] > after and _passes(shard, kind, moment_ms)
    ]
    output: Output = {"Shards": [described(shard) for shard in listed[:limit]]}
    if len(listed) > limit:
        last = listed[limit - 1]["number"]
        output["NextToken"] = tokens.sealed(stream, "NextToken", last, kind, moment_ms, call.now_ms)
    return output


def _filter(call: Call, stream: Row) -> tuple[str, int, int]:
    """The filter's kind and moment, and the number of the shard to start behind."""
    params, wanted = call.params, call.params.get("ShardFilter") or {}
    kind = wanted.get("Type", "")
    horizon_ms = max(stream["created_ms"], call.now_ms - stream["retention_hours"] * 3_600_000)
    moment_ms = horizon_ms
    if kind.endswith("TIMESTAMP"):
        moment: datetime | None = wanted.get("Timestamp")
        if moment is None:
            raise invalid(f"Timestamp is required when ShardFilter Type is {kind}.")
        moment_ms = max(int(moment.timestamp() * 1000), horizon_ms)
    after = params.get("ExclusiveStartShardId")
    if kind == "AFTER_SHARD_ID":
        after = wanted.get("ShardId")
        if not after:
            raise invalid("ShardId is required when ShardFilter Type is AFTER_SHARD_ID.")
    return (
        kind.partition("_")[0] if kind != "AT_LATEST" else kind,
        moment_ms,
        (shard_number(after) if after else -1),
    )


def _passes(shard: Row, kind: str, moment_ms: int) -> bool:
    if kind == "AT_LATEST":
        return is_open(shard)
    lives = is_open(shard) or shard["closed_ms"] > moment_ms
    return kind in ("", "AFTER") or (lives and (kind == "FROM" or shard["created_ms"] <= moment_ms))


def described(shard: Row) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": sequence(shard, 0)}
    if not is_open(shard):
        numbers["EndingSequenceNumber"] = sequence(shard, shard["last"] + 1)
    parents = [shard["parent"], shard["adjacent"]]
    named = [None if parent is None else shard_id(parent) for parent in parents]
    return {
        "ShardId": shard_id(shard["number"]),
        "ParentShardId": named[0],
        "AdjacentParentShardId": named[1],
        "HashKeyRange": hash_key_range(shard),
        "SequenceNumberRange": numbers,
    }


def hash_key_range(shard: Row) -> dict[str, str]:
    first, last = int(shard["first_key"]), int(shard["last_key"])
    return {"StartingHashKey": str(first), "EndingHashKey": str(last)}


def children(view: View, stream: Row, shard: Row) -> list[dict[str, Any]]:
    """Of a closed shard, as its readers are told at its end."""
    return [
        {
            "ShardId": shard_id(child["number"]),
            "ParentShards": parents(child),
            "HashKeyRange": hash_key_range(child),
        }
        for child in every(view, stream)
        if shard["number"] in (child["parent"], child["adjacent"])
    ]


def parents(shard: Row) -> list[str]:
    numbers = (shard["parent"], shard["adjacent"])
    return [shard_id(number) for number in numbers if number is not None]


def expire(tx: Transaction, stream: Row, before_ms: int) -> None:
    """Closed shards go when all of their records are gone."""
    for shard in every(tx, stream):
        if not is_open(shard) and shard["closed_ms"] < before_ms and not _has_records(tx, shard):
            tx.run("DELETE FROM kinesis_shards WHERE id = ?", (shard["id"],))


def _has_records(view: View, shard: Row) -> bool:
    span = (record_id(shard, 0), record_id(shard, shard["last"]))
    return bool(view.one("SELECT 1 FROM kinesis_records WHERE id BETWEEN ? AND ?", span))
