"""PutItem, GetItem, UpdateItem, DeleteItem.

See https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
"""

from collections.abc import Callable

import orjson

from cloudlet.call import Call, Output
from cloudlet.dynamodb import definitions, expressions, keys, paths, storage, updates, writes
from cloudlet.dynamodb.capacity import Consumed, read_units, settle
from cloudlet.dynamodb.numerics import invalid, worded_anew
from cloudlet.dynamodb.writes import Write
from cloudlet.store.database import Transaction, View

_COUNT = "1 validation error detected: "


@worded_anew()
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
    return _perform(call, tx, writes.prepare_put)


def delete_item(call: Call, tx: Transaction) -> Output:
    """Deletes an item; deleting none is fine."""
    return _perform(call, tx, writes.prepare_keyed, "delete")


def update_item(call: Call, tx: Transaction) -> Output:
    """Changes parts of an item, or creates it."""
    return _perform(call, tx, writes.prepare_update)


def _perform(call: Call, tx: Transaction, prepare: Callable[..., Write], *kind: str) -> Output:
    returned_values = call.params.get("ReturnValues", "NONE")
    if returned_values not in ("NONE", "ALL_OLD") and prepare is not writes.prepare_update:
        raise invalid(f"{_COUNT}ReturnValues can only be ALL_OLD or NONE")
    with worded_anew(_COUNT):  # dynamodb-065: counted as the model's complaints are
        write = prepare(tx, call.config, call.params, *kind)
    consumed = Consumed(write.table)
    change(call, tx, write, consumed)
    output = returned(write, returned_values)
    settle(call, "Write", output, consumed)
    if metrics := writes.collection(write, call.params):
        output["ItemCollectionMetrics"] = metrics
    return output


def change(call: Call, tx: Transaction, write: Write, consumed: Consumed) -> None:
    writes.read(tx, [write])
    writes.check(write)
    writes.perform(tx, call.config, [write])
    consumed.add_write(write.change)


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
