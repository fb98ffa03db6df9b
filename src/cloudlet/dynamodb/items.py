"""PutItem, GetItem, UpdateItem, DeleteItem.

See https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

import re
from collections.abc import Callable

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import definitions, expressions, keys, paths, storage, updates, writes
from cloudlet.dynamodb.capacity import Consumed, read_units, settle
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import canonical_item
from cloudlet.dynamodb.writes import Write
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

_WRAPPED = re.compile(r"(?s)ExpressionAttributeValues contains invalid value: (.*) for key :\w+")


def get_item(call: Call, view: View) -> Output:
    """The item, or parts of it, by its key."""
    params = call.params
    found = expressions.of(params, "ProjectionExpression")
    table = definitions.get(view, call.config, params["TableName"])
    key, _ = keys.of_key(table, params["Key"])
    row = storage.raw(view, table, key)
    output: Output = {}
    if row is not None:
        passes = call.takes_json and found.projection is None
        output["Item"] = orjson.Fragment(row[0]) if passes else found.project(orjson.loads(row[0]))
    consumed = Consumed(table)
    consumed.add(read_units(row[1] if row else 0, params.get("ConsistentRead") is True))
    settle(call, "Read", output, consumed)
    return output


def put_item(call: Call, tx: Transaction) -> Output:
    """Creates or replaces an item."""
    if call.params.get("ReturnValues", "NONE") not in ("NONE", "ALL_OLD"):
        raise invalid("ReturnValues can only be ALL_OLD or NONE")
    return _perform(call, tx, writes.prepare_put)


def delete_item(call: Call, tx: Transaction) -> Output:
    """Deletes an item; deleting none is fine."""
    if call.params.get("ReturnValues", "NONE") not in ("NONE", "ALL_OLD"):
        raise invalid("ReturnValues can only be ALL_OLD or NONE")
    return _perform(call, tx, writes.prepare_keyed, "delete")


def update_item(call: Call, tx: Transaction) -> Output:
    """Changes parts of an item, or creates it."""
    return _perform(call, tx, writes.prepare_update)


def _perform(call: Call, tx: Transaction, prepare: Callable[..., Write], *kind: str) -> Output:
    try:
        write = prepare(tx, call.config, call.params, *kind)
    except AwsError as error:
        raise _counted(call.params, error, prepare is writes.prepare_update) from None
    consumed = Consumed(write.table)
    change(call, tx, write, consumed)
    output = returned(write, call.params.get("ReturnValues", "NONE"))
    settle(call, "Write", output, consumed)
    output.update(writes.collection_metrics(write, call.params))
    return output


def change(call: Call, tx: Transaction, write: Write, consumed: Consumed) -> None:
    writes.read(tx, [write])
    writes.check(write)
    writes.perform(tx, call.config, [write])
    consumed.add_write(write.change)


def _counted(params: Params, error: AwsError, is_update: bool) -> AwsError:
    """dynamodb-065: what is wrong with a write's parameters, whatever the table, is counted as the
    model's complaints are; and of a value in expressions is not said which one it was."""
    try:
        expressions.of(params, *["UpdateExpression"] * is_update, "ConditionExpression")
        canonical_item(params.get("Item", {}))
    except AwsError as found:
        if found.code == "ValidationException":
            plain = _WRAPPED.sub(r"\1", found.message)
            return invalid(f"1 validation error detected: {plain}")
    return error


def returned(write: Write, mode: str) -> Output:
    """The `Attributes` that ReturnValues asks for."""
    stored = write.new if mode.endswith("_NEW") else write.old
    if mode == "NONE" or stored is None:
        return {}
    if mode.startswith("ALL_"):
        return {"Attributes": stored.item}
    wanted = updates.touched(write.expressions.actions, write.expressions.bindings)
    picked = paths.project(stored.item, wanted)
    return {"Attributes": picked} if picked else {}
