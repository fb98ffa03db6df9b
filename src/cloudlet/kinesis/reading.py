"""Shard iterators and GetRecords.

https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
"""

from datetime import UTC, datetime
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kinesis import records, shards, tokens
from cloudlet.kinesis.lookup import invalid, require
from cloudlet.kinesis.records import Place, Record
from cloudlet.kinesis.sequences import parsed, sequence, shard_id
from cloudlet.kinesis.throughput import exceeded
from cloudlet.kinesis.writing import check_dry_run, encryption_type
from cloudlet.store.database import Row, View
from cloudlet.wire.service import in_thread

_KIND = "ShardIterator"
_LIMIT = 10_000
_PAGE_BYTES = 10 << 20


def get_shard_iterator(call: Call, view: View) -> Output:
    params, stream = call.params, require(call, view)
    shard = shards.find(view, stream, params["ShardId"])
    position = {
        "Type": params["ShardIteratorType"],
        "SequenceNumber": params.get("StartingSequenceNumber"),
        "Timestamp": params.get("Timestamp"),
    }
    after = start(call, view, (stream, shard), position)
    check_dry_run(call)
    return {_KIND: _iterator(call, stream, shard, after)}


def start(call: Call, view: View, place: tuple[Row, Row], position: dict[str, Any]) -> int:
    """The number of the record that reading begins behind."""
    stream, shard = place
    kind = position["Type"]
    if kind == "LATEST":
        return int(shard["last"])
    if kind == "TRIM_HORIZON":
        return 0
    if kind == "AT_TIMESTAMP":
        return records.before(view, shard, _moment_ms(call, position))
    given = position.get("SequenceNumber")
    if not given:
        raise invalid(f"Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
                      "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
                      f"StartingSequenceNumber. Request specified {kind} and no "
                      "StartingSequenceNumber.")  # fmt: skip
    found = parsed(given)
    own = (shard["epoch_s"], shard["number"])
    if found is None or (found.epoch_s, found.shard) != own or found.number > shard["last"] + 1:
        raise invalid(
            f"StartingSequenceNumber {given} used in {call.operation} on shard"
            f" {shard_id(shard['number'])} in stream {stream['name']} under account"
            f" {call.config.account} is invalid because it did not come from this stream."
        )
    return found.number - (kind == "AT_SEQUENCE_NUMBER" and found.number > 0)


def _moment_ms(call: Call, position: dict[str, Any]) -> int:
    moment: datetime | None = position.get("Timestamp")
    if moment is None:
        raise invalid("Timestamp is required when the type is AT_TIMESTAMP.")
    moment_ms = int(moment.timestamp() * 1000)
    if moment_ms > call.now_ms:
        raise invalid(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis."
            f" timestampInMillis: {moment_ms}, currentTimestampInMillis: {call.now_ms}"
        )
    return moment_ms


def _iterator(call: Call, stream: Row, shard: Row, after: int) -> str:
    return tokens.sealed(stream, _KIND, shard["number"], after, call.now_ms)


@in_thread
def get_records(call: Call, view: View) -> Output:
    """At a closed shard's end there is no next iterator, but the shard's children."""
    stream, (number, after, made_ms) = tokens.opened(view, _KIND, call.params[_KIND])
    _check_age(call, made_ms)
    if call.params.get("StreamARN", stream["arn"]) != stream["arn"]:
        raise invalid("The shard iterator is of another stream.")
    shard = shards.find(view, stream, shard_id(number))
    check_dry_run(call)
    reads = call.state.records.reads
    if not reads.take(shard["id"], call.now_ms, 1, 0):
        raise exceeded(stream, shard)
    limit = call.params.get("Limit", _LIMIT)
    place = Place(after, limit, _PAGE_BYTES, records.horizon_ms(stream, call.now_ms))
    found = call.state.records.read(view, shard, place)
    reads.charge(shard["id"], 0, sum(len(each.data) for each in found))
    last = found[-1].number if found else after
    output: Output = {
        "Records": [described(shard, each) for each in found],
        "MillisBehindLatest": behind_ms(call.now_ms, shard, found),
    }
    if shards.is_open(shard) or (found and last < shard["last"]):
        output["NextShardIterator"] = _iterator(call, stream, shard, last)
    else:
        output["ChildShards"] = shards.children(view, stream, shard)
    return output


def _check_age(call: Call, made_ms: int) -> None:
    if call.now_ms - made_ms > tokens.LIFE_MS:
        form = "%a %b %d %H:%M:%S UTC %Y"
        then, now = (
            datetime.fromtimestamp(ms / 1000, UTC).strftime(form) for ms in (made_ms, call.now_ms)
        )
        raise AwsError(
            "ExpiredIteratorException",
            f"Iterator expired. The iterator was created at time {then} while right now it is"
            f" {now} which is further in the future than the tolerated delay of {tokens.LIFE_MS}"
            " milliseconds.",
        )


def described(shard: Row, record: Record) -> Output:
    return {
        "SequenceNumber": sequence(shard, record.number),
        "ApproximateArrivalTimestamp": record.created_ms / 1000,
        "Data": record.data,
        "PartitionKey": record.partition_key,
        **encryption_type(record.is_sealed),
    }


def behind_ms(now_ms: int, shard: Row, found: list[Record]) -> int:
    """How old what was read last is; 0 at the tip."""
    if not found or found[-1].number >= shard["last"]:
        return 0
    return max(0, now_ms - found[-1].created_ms)
