"""Data streams and their settings. A stream is there, and active, at once.

https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
"""

from itertools import pairwise
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, refuse
from cloudlet.kinesis import shards
from cloudlet.kinesis.lookup import invalid, require
from cloudlet.kinesis.sequences import HASH_KEYS, shard_number
from cloudlet.store.database import Row, Transaction, View

_REFUSED = ("WarmThroughputMiBps",)
_ON_DEMAND_SHARDS = 4
_ON_DEMAND_MAX = 50  # streams
_RETENTION_HOURS = (24, 8760)
_PAGE = 100
_METRICS = (
    "IncomingBytes", "IncomingRecords", "IteratorAgeMilliseconds", "OutgoingBytes",
    "OutgoingRecords", "ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded",
)  # fmt: skip


def create_stream(call: Call, tx: Transaction) -> None:
    params, name = call.params, call.params["StreamName"]
    refuse(params, *_REFUSED)
    if params.get("RecordDistributionStrategy", "USER_PARTITION_KEY") != "USER_PARTITION_KEY":
        refuse(params, "RecordDistributionStrategy")
    mode = (params.get("StreamModeDetails") or {}).get("StreamMode", "PROVISIONED")
    if mode == "ON_DEMAND" and params.get("ShardCount"):
        raise AwsError("ValidationException", "ShardCount cannot be set in ON_DEMAND mode.")
    if tx.one("SELECT 1 FROM kinesis_streams WHERE name = ?", (name,)):
        raise AwsError(
            "ResourceInUseException",
            f"Stream {name} under account {call.config.account} already exists.",
        )
    count = _ON_DEMAND_SHARDS if mode == "ON_DEMAND" else params.get("ShardCount", 1)
    shards.check_limit(call, tx, count)
    if mode == "ON_DEMAND":
        _check_on_demand(tx)
    stream = _insert(call, tx, name, mode)
    starts = [*shards.uniform(count), HASH_KEYS]
    for first, end in pairwise(starts):
        shards.create(tx, stream, (first, end - 1), (), call.now_ms)
    tx.touch(f"stream:{stream['arn']}")


def _insert(call: Call, tx: Transaction, name: str, mode: str) -> Row:
    digits, params = call.config.new_secret(12), call.params
    row: Row = tx.run(
        "INSERT INTO kinesis_streams"
        " (name, arn, public_id, mode, created_ms, secret, record_kib_max, tags)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (
            name,
            call.config.arn("kinesis", f"stream/{name}"),
            f"{digits[:20]}-{digits[20:23]}",
            mode,
            call.now_ms,
            call.config.new_secret(32),
            params.get("MaxRecordSizeInKiB", 1024),
            orjson.dumps(params.get("Tags") or {}).decode(),
        ),
    ).fetchone()
    return row


def _check_on_demand(view: View) -> None:
    if _on_demand_count(view) >= _ON_DEMAND_MAX:
        message = f"At most {_ON_DEMAND_MAX} streams of an account are in on-demand mode."
        raise AwsError("LimitExceededException", message)


def _on_demand_count(view: View) -> int:
    return int(view.value("SELECT count(*) FROM kinesis_streams WHERE mode = 'ON_DEMAND'"))


def delete_stream(call: Call, tx: Transaction) -> None:
    """Its records are unreachable at once; the sweep removes them."""
    stream = require(call, tx)
    if consumer_count(tx, stream) and not call.params.get("EnforceConsumerDeletion"):
        raise AwsError(
            "ResourceInUseException",
            f"Stream {stream['name']} under account {call.config.account} has registered consumers."
            " Deregister them, or set EnforceConsumerDeletion to true.",
        )
    tx.run("DELETE FROM kinesis_streams WHERE id = ?", (stream["id"],))
    tx.touch(f"stream:{stream['arn']}")


def consumer_count(view: View, stream: Row) -> int:
    sql = "SELECT count(*) FROM kinesis_consumers WHERE stream = ?"
    return int(view.value(sql, (stream["id"],)))


def _described(stream: Row) -> dict[str, Any]:
    return {
        "StreamName": stream["name"],
        "StreamARN": stream["arn"],
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": stream["mode"]},
        "RetentionPeriodHours": stream["retention_hours"],
        "StreamCreationTimestamp": stream["created_ms"] // 1000,
        "EnhancedMonitoring": [{"ShardLevelMetrics": orjson.loads(stream["metrics"])}],
        "EncryptionType": "KMS" if stream["key_id"] else "NONE",
        "KeyId": stream["key_id"],
    }


def describe_stream(call: Call, view: View) -> Output:
    stream, limit = require(call, view), call.params.get("Limit", _PAGE)
    start = call.params.get("ExclusiveStartShardId")
    after = shard_number(start) if start else -1
    listed = [shard for shard in shards.every(view, stream) if shard["number"] > after]
    described = _described(stream)
    described["Shards"] = [shards.described(shard) for shard in listed[:limit]]
    described["HasMoreShards"] = len(listed) > limit
    return {"StreamDescription": described}


def describe_stream_summary(call: Call, view: View) -> Output:
    stream = require(call, view)
    summary = {
        **_described(stream),
        "StreamId": stream["public_id"],
        "OpenShardCount": len(shards.open_shards(view, stream)),
        "ConsumerCount": consumer_count(view, stream),
        "MaxRecordSizeInKiB": stream["record_kib_max"],
    }
    return {"StreamDescriptionSummary": summary}


def list_streams(call: Call, view: View) -> Output:
    params, limit = call.params, call.params.get("Limit", _PAGE)
    after = params.get("NextToken") or params.get("ExclusiveStartStreamName") or ""
    rows = view.all(
        "SELECT * FROM kinesis_streams WHERE name > ? ORDER BY name LIMIT ?", (after, limit + 1)
    )
    page = [_described(row) for row in rows[:limit]]
    output: Output = {
        "StreamNames": [each["StreamName"] for each in page],
        "StreamSummaries": page,
        "HasMoreStreams": len(rows) > limit,
    }
    if output["HasMoreStreams"]:
        output["NextToken"] = page[-1]["StreamName"]
    return output


def describe_limits(call: Call, view: View) -> Output:
    return {
        "ShardLimit": shards.SHARDS_MAX,
        "OpenShardCount": shards.open_count(view),
        "OnDemandStreamCount": _on_demand_count(view),
        "OnDemandStreamCountLimit": _ON_DEMAND_MAX,
    }


def increase_stream_retention_period(call: Call, tx: Transaction) -> None:
    _retain(call, tx, is_more=True)


def decrease_stream_retention_period(call: Call, tx: Transaction) -> None:
    _retain(call, tx, is_more=False)


def _retain(call: Call, tx: Transaction, is_more: bool) -> None:
    stream, hours = require(call, tx), call.params["RetentionPeriodHours"]
    low, high = _RETENTION_HOURS
    if not low <= hours <= high:
        what = "Minimum" if hours < low else "Maximum"
        raise invalid(f"{what} allowed retention period is {low if hours < low else high} hours.")
    current = stream["retention_hours"]
    if (hours < current) if is_more else (hours > current):
        word = "shorter" if is_more else "longer"
        raise invalid(
            f"Requested retention period ({hours} hours) for stream {stream['name']} can not be"
            f" {word} than existing retention period ({current} hours). Use"
            f" {'Decrease' if is_more else 'Increase'}RetentionPeriod API."
        )
    _set(tx, stream, "retention_hours", hours)


def _set(tx: Transaction, stream: Row, column: str, value: Any) -> None:
    tx.run(f"UPDATE kinesis_streams SET {column} = ? WHERE id = ?", (value, stream["id"]))


def update_stream_mode(call: Call, tx: Transaction) -> None:
    refuse(call.params, *_REFUSED)
    stream, mode = require(call, tx), call.params["StreamModeDetails"]["StreamMode"]
    if mode == "ON_DEMAND" != stream["mode"]:
        _check_on_demand(tx)
    _set(tx, stream, "mode", mode)


def update_max_record_size(call: Call, tx: Transaction) -> None:
    _set(tx, require(call, tx), "record_kib_max", call.params["MaxRecordSizeInKiB"])


def enable_enhanced_monitoring(call: Call, tx: Transaction) -> Output:
    return _monitor(call, tx, is_on=True)


def disable_enhanced_monitoring(call: Call, tx: Transaction) -> Output:
    return _monitor(call, tx, is_on=False)


def _monitor(call: Call, tx: Transaction, is_on: bool) -> Output:
    stream, given = require(call, tx), set(call.params["ShardLevelMetrics"])
    named = set(_METRICS) if "ALL" in given else given
    current = set(orjson.loads(stream["metrics"]))
    desired = sorted(current | named if is_on else current - named)
    _set(tx, stream, "metrics", orjson.dumps(desired).decode())
    return {
        "StreamName": stream["name"],
        "StreamARN": stream["arn"],
        "CurrentShardLevelMetrics": sorted(current),
        "DesiredShardLevelMetrics": desired,
    }
