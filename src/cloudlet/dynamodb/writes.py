"""One write of one item, prepared from parameters and then performed in a transaction.

PutItem, UpdateItem, DeleteItem, BatchWriteItem and TransactWriteItems all come down to a `Write`.
"""

from dataclasses import dataclass, field
from typing import Any

from cloudlet.call import Params
from cloudlet.config import Config
from cloudlet.dynamodb import definitions, expressions, keys, storage, updates, values
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.expressions import Expressions
from cloudlet.dynamodb.keys import Key
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.storage import Change, Stored
from cloudlet.dynamodb.values import Item
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

_WRONG = "One or more parameter values were invalid: "


@dataclass(slots=True)
class Write:
    """`kind`: "put", "update", "delete" or "check" (a condition without a change)."""

    kind: str
    table: Table
    key: Key
    expressions: Expressions
    item: Item  # the whole item of a put, else the key attributes
    size_bytes: int = 0
    returns_old_on_failure: bool = False
    is_insert: bool = False  # a put that only an existing item can be in the way of
    old: Stored | None = field(default=None)
    new: Stored | None = field(default=None)


def prepare_put(view: View, config: Config, params: Params) -> Write:
    found = expressions.of(params, "ConditionExpression")
    item, size_bytes = values.canonical_item(params["Item"])
    if size_bytes > values.ITEM_MAX_BYTES:
        raise invalid("Item size has exceeded the maximum allowed size")
    table = definitions.get(view, config, params["TableName"])
    return put_of(table, Stored(item, size_bytes), found, params)


def put_of(table: Table, new: Stored, found: Expressions, params: Params) -> Write:
    write = keyed_of("put", table, (keys.of_item(table, new.item), new.item), found, params)
    write.size_bytes = new.size_bytes
    return write


def prepare_update(view: View, config: Config, params: Params) -> Write:
    found = expressions.of(params, "UpdateExpression", "ConditionExpression")
    table = definitions.get(view, config, params["TableName"])
    return update_of(table, keys.of_key(table, params["Key"]), found, params)


def update_of(table: Table, key: tuple[Key, Item], found: Expressions, params: Params) -> Write:
    for path in updates.touched(found.actions, found.bindings):
        if path[0] in table.key_names():
            raise invalid(
                f"{_WRONG}Cannot update attribute {path[0]}. This attribute is part of the key"
            )
    return keyed_of("update", table, key, found, params)


def prepare_keyed(view: View, config: Config, params: Params, kind: str) -> Write:
    """A delete, or a check."""
    found = expressions.of(params, "ConditionExpression")
    table = definitions.get(view, config, params["TableName"])
    return keyed_of(kind, table, keys.of_key(table, params["Key"]), found, params)


def keyed_of(
    kind: str, table: Table, keyed: tuple[Key, Item], found: Expressions, params: Params
) -> Write:
    returns_old = params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return Write(kind, table, keyed[0], found, keyed[1], returns_old_on_failure=returns_old)


def read_and_check(view: View, write: Write) -> None:
    """Reads the old item, tests the condition and computes the new item."""
    write.old = storage.get(view, write.table, write.key)
    old_item = write.old.item if write.old else {}
    if not write.expressions.holds("ConditionExpression", old_item):
        if write.is_insert:
            raise AwsError("DuplicateItemException", "Duplicate primary key exists in table")
        fields: dict[str, Any] = {}
        if write.returns_old_on_failure and write.old:
            fields["Item"] = old_item
        raise AwsError(
            "ConditionalCheckFailedException", "The conditional request failed", 400, **fields
        )
    if write.kind == "put":
        write.new = Stored(write.item, write.size_bytes)
    elif write.kind == "update":
        write.new = None if _only_removes(write) else _updated(write)
    else:
        write.new = None


def _only_removes(write: Write) -> bool:
    """dynamodb-031: taking away from an item that isn't there doesn't make one."""
    actions = write.expressions.actions
    if write.old is not None or not actions:
        return False
    return all(action.section in ("REMOVE", "DELETE") for action in actions)


def _updated(write: Write) -> Stored:
    base = write.old.item if write.old else write.item
    found = write.expressions
    try:
        item = updates.apply(found.actions, found.bindings, base)
    except AwsError as error:
        if found.is_legacy and error.message == updates.WRONG_TYPE:
            raise invalid("Type mismatch for attribute to update") from None
        raise
    item, size_bytes = values.canonical_item(item)
    if size_bytes > values.ITEM_MAX_BYTES:
        raise invalid("Item size to update has exceeded the maximum allowed size")
    for index in write.table.indexes:
        keys.check_index_keys(write.table, index, item)
    return Stored(item, size_bytes)


def perform(tx: Transaction, config: Config, write: Write) -> Change:
    return storage.change(
        tx, write.table, write.key, (write.old, write.new), storage.context(config)
    )


def collection_metrics(write: Write, params: Params) -> dict[str, Any]:
    """The size estimate of the item's collection, which only tables with LSIs have."""
    metrics = collection(write, params)
    return {"ItemCollectionMetrics": metrics} if metrics else {}


def collection(write: Write, params: Params) -> dict[str, Any] | None:
    has_local = any(not index.is_global for index in write.table.indexes)
    if params.get("ReturnItemCollectionMetrics") != "SIZE" or not has_local:
        return None
    hash_key = write.table.hash_key
    return {
        "ItemCollectionKey": {hash_key: write.item[hash_key]},
        "SizeEstimateRangeGB": [0.0, 1.0],
    }
