"""BatchGetItem and BatchWriteItem.

All of a batch is done at once; what does not fit into an answer of 16 MB comes back unprocessed.
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.dynamodb import definitions, expressions, keys, writes
from cloudlet.dynamodb.capacity import Consumed, read_units, settle_all
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.keys import Key
from cloudlet.dynamodb.numerics import invalid, worded_anew
from cloudlet.dynamodb.search import PROJECTIONS
from cloudlet.dynamodb.transactions import answer
from cloudlet.dynamodb.values import Item, not_one
from cloudlet.dynamodb.writes import Write
from cloudlet.store.database import Transaction, View

_ANSWER_BYTES = 16 << 20
_GETS_MAX = 100
_WRITES_MAX = 25
_DUPLICATES = "Provided list of item keys contains duplicates"


@worded_anew()
def batch_get_item(call: Call, view: View) -> Output:
    """Up to 100 items of any tables."""
    requests = call.params["RequestItems"]
    if sum(len(request["Keys"]) for request in requests.values()) > _GETS_MAX:
        raise invalid("Too many items requested for the BatchGetItem call")
    asked = {k: v for each in requests.values() for k, v in each.items() if k in PROJECTIONS}
    if len(asked) > 1:  # dynamodb-082: nor are they mixed between tables
        expressions.of(asked, "ProjectionExpression")
    output: Output = {"Responses": {}, "UnprocessedKeys": {}}
    capacities = []
    budget_bytes = _ANSWER_BYTES
    for name, request in requests.items():
        found = expressions.of(request, "ProjectionExpression")
        table = definitions.get(view, call.config, name)
        consumed = Consumed(table)
        capacities.append(consumed)
        items: list[Item] = []
        left: list[Any] = []
        for key, given in _distinct(table, request["Keys"]):
            row = budget_bytes > 0 and view.one(
                f"SELECT item, size FROM {table.sql_table} WHERE pk = ? AND sk = ?", key
            )
            size_bytes = row[1] if row else 0
            if row is False or size_bytes > budget_bytes:
                budget_bytes = 0
                left.append(given)
                continue
            budget_bytes -= size_bytes
            consumed.add(read_units(size_bytes, request.get("ConsistentRead") is True))
            if row:
                items.append(found.project(orjson.loads(row[0])))
        output["Responses"][name] = items
        if left:
            output["UnprocessedKeys"][name] = {**request, "Keys": left}
    settle_all(call, "Read", output, capacities)
    return output


def _distinct(table: Table, given: list[dict[str, Any]]) -> list[tuple[Key, dict[str, Any]]]:
    pairs = [(keys.of_key(table, each)[0], each) for each in given]
    if len({key for key, _ in pairs}) < len(pairs):
        raise invalid(_DUPLICATES)
    return pairs


def batch_write_item(call: Call, tx: Transaction) -> Output:
    """Up to 25 puts and deletes, without conditions; none is done if one is malformed."""
    requests = call.params["RequestItems"]
    if sum(map(len, requests.values())) > _WRITES_MAX:
        raise invalid("Too many items requested for the BatchWriteItem call")
    prepared = [
        _prepare(call, tx, name, request) for name, group in requests.items() for request in group
    ]
    if len({(write.table.id, write.key) for write in prepared}) < len(prepared):
        raise invalid(_DUPLICATES)
    writes.read(tx, prepared)
    for write in prepared:
        writes.check(write)
    writes.perform(tx, call.config, prepared)
    return {"UnprocessedItems": {}, **answer(call, prepared)}


def _prepare(call: Call, tx: Transaction, name: str, request: dict[str, Any]) -> Write:
    put, delete = request.get("PutRequest"), request.get("DeleteRequest")
    if (put is None) == (delete is None):
        raise not_one("has more than one datatypes set" if put else "is empty")
    if put is not None:
        try:
            return writes.prepare_put(tx, call.config, {"TableName": name, "Item": put["Item"]})
        except keys.KeyMismatch:  # dynamodb-051: said of items as of keys
            raise keys.KeyMismatch(keys.MISMATCH) from None
    assert delete is not None
    params = {"TableName": name, "Key": delete["Key"]}
    return writes.prepare_keyed(tx, call.config, params, "delete")
