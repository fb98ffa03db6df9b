"""Kinesis data streams that get each change of a table, in order of each item's changes.

The change and what tells of it are one transaction; the outbox delivers.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds.html
"""

import copy
import hashlib
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.dynamodb import definitions, streams
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import Item
from cloudlet.errors import AwsError
from cloudlet.events import outbox
from cloudlet.store.database import Transaction, View

_MEMBER = "KinesisDestinations"  # of a definition: ARN → precision
_PRECISION = "ApproximateCreationDateTimePrecision"
_MAX = 2  # that are on


def of(table: Table) -> dict[str, str]:
    known: dict[str, str] = table.document.get(_MEMBER, {})
    return known


def tell(
    tx: Transaction, table: Table, images: tuple[Item | None, Item | None], context: streams.Context
) -> None:
    """A fact for each stream that is on."""
    for arn, precision in of(table).items():
        moment = context.now_ms * (1000 if precision == "MICROSECOND" else 1)
        document = streams.change(table, images, context, "NEW_AND_OLD_IMAGES")
        told = document["dynamodb"] | {"ApproximateCreationDateTime": moment}
        told[_PRECISION] = precision or "MILLISECOND"
        del document["eventVersion"], told["StreamViewType"]
        document |= {
            "dynamodb": told,
            "tableName": table.name,
            "recordFormat": "application/json",
            "userIdentity": document.get("userIdentity"),
        }
        keys = orjson.dumps(told["Keys"], option=orjson.OPT_SORT_KEYS)
        key = hashlib.md5(keys, usedforsecurity=False).hexdigest().upper()
        outbox.put(
            tx,
            arn,
            orjson.dumps(document),
            source=table.arn,
            now_ms=context.now_ms,
            key=key,
            attributes={"partition_key": key},
        )


async def enable_kinesis_streaming_destination(call: Call) -> Output:
    params, config = call.params, call.params.get("EnableKinesisStreamingConfiguration") or {}
    stream = {"StreamARN": params["StreamArn"]}
    if not params["StreamArn"].startswith(call.config.arn("kinesis", "stream/")):
        raise invalid("The stream and the table must be in the same account and region.")
    await call.cloud.invoke("kinesis", "DescribeStreamSummary", stream, call.caller)
    precision = config.get(_PRECISION) or ""
    output = await call.cloud.database.write(lambda tx: _enable(call, tx, precision))
    return output | {"EnableKinesisStreamingConfiguration": config}


def _enable(call: Call, tx: Transaction, precision: str) -> Output:
    table, arn = _table(call, tx), call.params["StreamArn"]
    known = of(table)
    if arn in known:
        raise invalid(
            "Table is not in a valid state to enable Kinesis Streaming Destination:"
            " KinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE"
            " operation."
        )
    if len(known) >= _MAX:
        raise AwsError("LimitExceededException", f"A table has at most {_MAX} destinations.")
    return _save(call, tx, known | {arn: precision}, "ENABLING")


def disable_kinesis_streaming_destination(call: Call, tx: Transaction) -> Output:
    known = _enabled(call, tx, "disable")
    left = {arn: kept for arn, kept in known.items() if arn != call.params["StreamArn"]}
    return _save(call, tx, left, "DISABLING")


def update_kinesis_streaming_destination(call: Call, tx: Transaction) -> Output:
    known, name = _enabled(call, tx, "update"), "UpdateKinesisStreamingConfiguration"
    config = call.params.get(name) or {}
    arn, wanted = call.params["StreamArn"], config.get(_PRECISION)
    if not wanted:
        raise invalid(
            f"Streaming destination cannot be updated with given parameters: {name} cannot be null"
            " or contain only null values"
        )
    if known[arn] == wanted:
        raise invalid(
            f"Invalid Request: Precision is already set to the desired value of {wanted} for"
            f" tableId: {_table(call, tx).document['TableId']}, kdsArn: {arn}"
        )
    changed = known | {arn: wanted}
    return _save(call, tx, changed, "UPDATING") | {name: config}


def describe_kinesis_streaming_destination(call: Call, view: View) -> Output:
    table = _table(call, view)
    described = [
        {"StreamArn": arn, "DestinationStatus": "ACTIVE"}
        | ({_PRECISION: precision} if precision else {})
        for arn, precision in of(table).items()
    ]
    return {"TableName": table.name, "KinesisDataStreamDestinations": described}


def _table(call: Call, view: View) -> Table:
    return definitions.get_described(view, call.config, call.params["TableName"])


def _enabled(call: Call, view: View, verb: str) -> dict[str, str]:
    """dynamodb-058: both refusals are about enabling or disabling, whatever was asked."""
    table, arn = _table(call, view), call.params["StreamArn"]
    known = of(table)
    if arn in known:
        return known
    what = (
        "disable Kinesis Streaming Destination: KinesisStreamingDestination must be ACTIVE to"
        " perform DISABLE operation."
        if verb == "disable"
        else "enable Kinesis Streaming Destination: No streaming destination with streamArn:"
        f" {arn} found for table with tableName: {table.name}"
    )
    raise invalid(f"Table is not in a valid state to {what}")


def _save(call: Call, tx: Transaction, wanted: dict[str, str], status: str) -> Output:
    table = _table(call, tx)
    document: dict[str, Any] = copy.deepcopy(table.document) | {_MEMBER: wanted}
    definitions.save(tx, table, document)
    arn = call.params["StreamArn"]
    return {"TableName": table.name, "StreamArn": arn, "DestinationStatus": status}
