"""One write of one item, prepared from parameters and then performed in a transaction.

PutItem, UpdateItem, DeleteItem, BatchWriteItem and TransactWriteItems all come down to a `Write`.
"""

from collections.abc import Iterable, Sequence
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

UNCHANGED = Change(0, 0, {})
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
    change: Change = UNCHANGED


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


def read(view: View, prepared: Sequence[Write]) -> None:
    """The old items of different keys."""
    for group in _by_table(prepared):
        table = group[0].table
        if len(group) == 1:
            group[0].old = storage.get(view, table, group[0].key)
            continue
        found = storage.get_all(view, table, [write.key for write in group])
        for write in group:
            write.old = found.get(write.key)


def _by_table(prepared: Sequence[Write]) -> Iterable[Sequence[Write]]:
    if len(prepared) == 1:
        return (prepared,)
    groups: dict[int, list[Write]] = {}
    for write in prepared:
        groups.setdefault(write.table.id, []).append(write)
    return groups.values()


def check(write: Write) -> None:
    """Tests the condition and computes the new item."""
    if "ConditionExpression" in write.expressions.by_kind:
        _check_condition(write)
    if write.kind == "put":
        write.new = Stored(write.item, write.size_bytes)
    elif write.kind == "update":
        write.new = None if _only_removes(write) else _updated(write)
    else:
        write.new = None


def _check_condition(write: Write) -> None:
    old_item = write.old.item if write.old else {}
    if write.expressions.holds("ConditionExpression", old_item):
        return
    if write.is_insert:
        raise AwsError("DuplicateItemException", "Duplicate primary key exists in table")
    fields = {"Item": old_item} if write.returns_old_on_failure and write.old else {}
    raise AwsError(
        "ConditionalCheckFailedException", "The conditional request failed", 400, **fields
    )


def _only_removes(write: Write) -> bool:
    """dynamodb-031: taking away from an item that isn't there doesn't make one."""
    actions = write.expressions.actions
    if write.old is not None or not actions:
        return False
    return all(action.section in ("REMOVE", "DELETE") for action in actions)


def _updated(write: Write) -> Stored:
    old = write.old or Stored(*values.canonical_item(write.item))
    base, size_bytes = old.item, old.size_bytes
    found = write.expressions
    try:
        item = updates.apply(found.actions, found.bindings, base)
    except AwsError as error:
        if found.is_legacy and error.message == updates.WRONG_TYPE:
            raise invalid("Type mismatch for attribute to update") from None
        raise
    for name in {str(path[0]) for path in updates.touched(found.actions, found.bindings)}:
        size_bytes += _settled(name, base, item)
    if size_bytes > values.ITEM_MAX_BYTES:
        raise invalid("Item size to update has exceeded the maximum allowed size")
    for index in write.table.indexes:
        keys.check_index_keys(write.table, index, item)
    return Stored(item, size_bytes)


def _settled(name: str, old: Item, item: Item) -> int:
    """Brings what became of an attribute to its one spelling; by how much it grew."""
    before, after = old.get(name), item.get(name)
    if before is after:
        return 0
    grown = -values.canonical_item({name: before})[1] if before is not None else 0
    if after is not None:
        spelled, size_bytes = values.canonical_item({name: after})
        item.update(spelled)
        grown += size_bytes
    return grown


def perform(tx: Transaction, config: Config, prepared: Sequence[Write]) -> None:
    context = storage.context(config)
    for group in _by_table(prepared):
        versions = [(write.key, (write.old, write.new)) for write in group]
        changes = storage.change(tx, group[0].table, versions, context)
        for write, change in zip(group, changes, strict=True):
            write.change = change


def collection(write: Write, params: Params) -> dict[str, Any] | None:
    """The size estimate of the item's collection, which only tables with LSIs have."""
    has_local = any(not index.is_global for index in write.table.indexes)
    if params.get("ReturnItemCollectionMetrics") != "SIZE" or not has_local:
        return None
    hash_key = write.table.hash_key
    return {
        "ItemCollectionKey": {hash_key: write.item[hash_key]},
        "SizeEstimateRangeGB": [0.0, 1.0],
    }
