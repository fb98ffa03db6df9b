"""PutRecord and PutRecords: one transaction each, in which each shard keeps its order.

https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kinesis import records
from cloudlet.kinesis.lookup import invalid, require
from cloudlet.kinesis.records import Entry
from cloudlet.kinesis.sequences import HASH_KEYS, hash_key, parsed, sequence, shard_id
from cloudlet.store.database import Row, Transaction

_CALL_BYTES_MAX = 10 << 20
_KEY_MAX = 256  # characters


def put_record(call: Call, tx: Transaction) -> Output:
    params, stream = call.params, require(call, tx)
    entry = _entry(stream, params, "")
    ordering = params.get("SequenceNumberForOrdering")
    if ordering and parsed(ordering) is None:
        raise invalid(
            f"ExclusiveMinimumSequenceNumber {ordering} used in PutRecord on stream"
            f" {stream['name']} under account {call.config.account} is invalid."
        )
    check_dry_run(call)
    output = _append(call, tx, stream, entry)
    records.announce(tx, stream)
    return {**output, **encryption_type(stream["key_id"])}


def put_records(call: Call, tx: Transaction) -> Output:
    """What does not fit into a shard's throughput fails by itself."""
    params, stream = call.params, require(call, tx)
    entries = [
        _entry(stream, given, f"records.{number}.member.")
        for number, given in enumerate(params["Records"], 1)
    ]
    if sum(len(each.data) + len(each.partition_key.encode()) for each in entries) > _CALL_BYTES_MAX:
        raise invalid(f"Records size exceeds {_CALL_BYTES_MAX >> 20} MB limit")
    check_dry_run(call)
    results = []
    for entry in entries:
        try:
            results.append(_append(call, tx, stream, entry))
        except AwsError as error:
            results.append({"ErrorCode": error.code, "ErrorMessage": error.message})
    records.announce(tx, stream)
    failed = sum("ErrorCode" in each for each in results)
    output = {"FailedRecordCount": failed, "Records": results}
    return {**output, **encryption_type(stream["key_id"])}


def _append(call: Call, tx: Transaction, stream: Row, entry: Entry) -> Output:
    shard, number = call.state.records.append(tx, stream, entry, call.now_ms)
    return {"ShardId": shard_id(shard["number"]), "SequenceNumber": sequence(shard, number)}


def encryption_type(is_sealed: Any) -> Output:
    return {"EncryptionType": "KMS"} if is_sealed else {}


def _entry(stream: Row, given: dict[str, Any], path: str) -> Entry:
    key, data = given.get("PartitionKey"), given.get("Data")
    if not key or data is None:
        raise _violated(f"{path}{'data' if key else 'partitionKey'}", "not be null")
    size_max = stream["record_kib_max"] << 10
    if len(data) + len(key.encode()) > size_max:
        raise _violated(f"{path}data", f"have length less than or equal to {size_max}")
    if len(key) > _KEY_MAX:
        raise _violated(f"{path}partitionKey", f"have length less than or equal to {_KEY_MAX}")
    explicit = given.get("ExplicitHashKey")
    if explicit and not (explicit.isdecimal() and int(explicit) < HASH_KEYS):
        raise invalid(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]."
            f" Specified value was {explicit}"
        )
    return Entry(key, int(explicit) if explicit else hash_key(key), data)


def _violated(what: str, constraint: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value at '{what}' failed to satisfy constraint: Member must"
        f" {constraint}",
    )


def check_dry_run(call: Call) -> None:
    if call.params.get("DryRun"):
        message = "Request would have succeeded, but DryRun flag is set."
        raise AwsError("DryRunOperationException", message)
