"""Consumers of enhanced fan-out: names under which a stream is read at full speed each.

https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kinesis import tokens
from cloudlet.kinesis.lookup import invalid, missing, require
from cloudlet.kinesis.streams import consumer_count
from cloudlet.store.database import Row, Transaction, View

_CONSUMERS_MAX = 20  # of a stream
_PAGE = 100


def register_stream_consumer(call: Call, tx: Transaction) -> Output:
    params, stream = call.params, require(call, tx)
    name, account = params["ConsumerName"], call.config.account
    if _named(tx, stream["arn"], name) is not None:
        message = f"Consumer {name} under stream {stream['name']} already exists for account"
        raise AwsError("ResourceInUseException", f"{message} {account}.")
    if consumer_count(tx, stream) >= _CONSUMERS_MAX:
        message = f"A stream has at most {_CONSUMERS_MAX} registered consumers."
        raise AwsError("LimitExceededException", message)
    consumer: Row = tx.run(
        "INSERT INTO kinesis_consumers (arn, stream, name, created_ms, tags)"
        " VALUES (?, ?, ?, ?, ?) RETURNING *",
        (
            f"{stream['arn']}/consumer/{name}:{call.now_ms // 1000}",
            *(stream["id"], name, call.now_ms, orjson.dumps(params.get("Tags") or {}).decode()),
        ),
    ).fetchone()
    return {"Consumer": _described(consumer)}


def _described(consumer: Row) -> dict[str, Any]:
    return {
        "ConsumerName": consumer["name"],
        "ConsumerARN": consumer["arn"],
        "ConsumerStatus": "ACTIVE",
        "ConsumerCreationTimestamp": consumer["created_ms"] // 1000,
    }


def _named(view: View, stream_arn: str, name: str) -> Row | None:
    return view.one(
        "SELECT c.* FROM kinesis_consumers AS c JOIN kinesis_streams AS s ON s.id = c.stream"
        " WHERE s.arn = ? AND c.name = ?",
        (stream_arn, name),
    )


def find(call: Call, view: View) -> Row | None:
    """By its own ARN, or by its stream's and its name."""
    params = call.params
    arn, stream, name = (params.get(key) for key in ("ConsumerARN", "StreamARN", "ConsumerName"))
    if arn:
        return view.one("SELECT * FROM kinesis_consumers WHERE arn = ?", (arn,))
    return _named(view, stream, name) if stream and name else None


def require_consumer(call: Call, view: View) -> Row:
    params, found = call.params, find(call, view)
    is_named = params.get("StreamARN") and params.get("ConsumerName")
    if not params.get("ConsumerARN") and not is_named:
        raise invalid("Must provide either ConsumerARN, or StreamARN and ConsumerName.")
    if found is None:
        name = params.get("ConsumerName") or params["ConsumerARN"].rpartition("/")[2]
        raise missing(f"Consumer {name}, account {call.config.account} not found.")
    return found


def deregister_stream_consumer(call: Call, tx: Transaction) -> None:
    consumer = require_consumer(call, tx)
    tx.run("DELETE FROM kinesis_consumers WHERE arn = ?", (consumer["arn"],))
    tx.touch(f"stream:{consumer['arn'].partition('/consumer/')[0]}")


def describe_stream_consumer(call: Call, view: View) -> Output:
    consumer = require_consumer(call, view)
    stream_arn = consumer["arn"].partition("/consumer/")[0]
    return {"ConsumerDescription": {**_described(consumer), "StreamARN": stream_arn}}


def list_stream_consumers(call: Call, view: View) -> Output:
    stream, limit = require(call, view), call.params.get("MaxResults", _PAGE)
    after = ""
    if token := call.params.get("NextToken"):
        owner, (after, made_ms) = tokens.opened(view, "NextToken", token)
        if owner["id"] != stream["id"]:
            raise invalid("NextToken is of another stream.")
        tokens.check_age(call.now_ms, made_ms)
    rows = view.all(
        "SELECT * FROM kinesis_consumers WHERE stream = ? AND name > ? ORDER BY name LIMIT ?",
        (stream["id"], after, limit + 1),
    )
    output: Output = {"Consumers": [_described(row) for row in rows[:limit]]}
    if len(rows) > limit:
        last = rows[limit - 1]["name"]
        output["NextToken"] = tokens.sealed(stream, "NextToken", last, call.now_ms)
    return output
