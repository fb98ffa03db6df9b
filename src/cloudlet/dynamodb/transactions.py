"""TransactWriteItems and TransactGetItems.

The one writer thread makes transactions serialisable without locks, so they are never cancelled for
a conflict. A request's token is kept for ten minutes; the same request with the same token is
answered without doing it again.
See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

import hashlib
from typing import Any

import orjson

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import definitions, expressions, keys, storage, writes
from cloudlet.dynamodb.capacity import Consumed, read_units, settle_all
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.keys import Key, KeyMismatch
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.values import canonical_item
from cloudlet.dynamodb.writes import Write
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

TOKEN_LIFE_MS = 10 * 60 * 1000
_REQUEST_BYTES = 4 << 20
READ, _WRITTEN = "ReadCapacityUnits", "WriteCapacityUnits"
REASONS = {  # error → how a cancellation, or a batch, calls it
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "DuplicateItemException": "DuplicateItem",
    "ResourceNotFoundException": "ResourceNotFound",
}
_ASKED = ("TransactItems", "TransactStatements")
_KINDS = {"Put": "put", "Update": "update", "Delete": "delete", "ConditionCheck": "check"}


def transact_write_items(call: Call, tx: Transaction) -> Output:
    """Up to 100 writes and checks, all or none."""
    token = call.params.get("ClientRequestToken")
    if token is not None and is_repeated(call, tx, token):
        return repeated(call, tx, _prepare_all(call, tx))
    return commit(call, tx, _prepare_all(call, tx))


def commit(call: Call, tx: Transaction, prepared: list[Write]) -> Output:
    """All of these, or none and the reasons."""
    if len({(write.table.id, write.key) for write in prepared}) < len(prepared):
        raise invalid("Transaction request cannot include multiple operations on one item")
    _check_all(tx, prepared)
    writes.perform(tx, call.config, [write for write in prepared if write.kind != "check"])
    for write in prepared:
        if write.kind == "check" and write.old:
            write.change = storage.Change(write.old.size_bytes, 0, {})
    return answer(call, prepared, is_transaction=True)


def is_repeated(call: Call, tx: Transaction, token: str) -> bool:
    """Has this request been done? Remembers it if not."""
    owned = f"{call.caller.account}/{token}"
    asked = {name: call.params[name] for name in _ASKED if name in call.params}
    digest = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()
    row = tx.one("SELECT digest, created_ms FROM dynamodb_tokens WHERE token = ?", (owned,))
    if row is not None and row[1] > call.now_ms - TOKEN_LIFE_MS:
        if row[0] != digest:
            raise AwsError(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request."
                " Do not reuse a client token with different requests, unless the requests are"
                " identical",
            )
        return True
    tx.run(
        "INSERT OR REPLACE INTO dynamodb_tokens (token, digest, created_ms) VALUES (?, ?, ?)",
        (owned, digest, call.now_ms),
    )
    return False


def _prepare_all(call: Call, tx: Transaction) -> list[Write]:
    """dynamodb-035: the first item that doesn't fit its table cancels, with a reason of its own;
    what expressions say wrong is the request's fault, and refused as that."""
    actions: list[Params] = call.params["TransactItems"]
    prepared: list[Write] = []
    try:
        for action in actions:
            prepared.append(_prepare(call, tx, action))
    except AwsError as error:
        _screen(actions)
        if not isinstance(error, KeyMismatch):
            raise
        reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in actions]
        reasons[len(prepared)] = {"Code": "ValidationError", "Message": error.message}
        raise cancelled(reasons) from None
    return prepared


def _screen(actions: list[Params]) -> None:
    """dynamodb-074: what is wrong with an action's parameters comes before all of the tables."""
    for action in actions:
        for kind, params in action.items():
            update = ["UpdateExpression"] * (kind == "Update")
            read = "ProjectionExpression" if kind == "Get" else "ConditionExpression"
            expressions.of(params, *update, read)
            canonical_item(params.get("Item") or params.get("Key") or {})


def _prepare(call: Call, tx: Transaction, action: Params) -> Write:
    given = [name for name in _KINDS if action.get(name) is not None]
    if len(given) != 1:
        none = (
            "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
        )
        several = "TransactItems can only contain one of Check, Put, Update or Delete"
        raise invalid(several if given else none)
    kind, params = _KINDS[given[0]], action[given[0]]
    if kind == "put":
        return writes.prepare_put(tx, call.config, params)
    if kind == "update":
        return writes.prepare_update(tx, call.config, params)
    return writes.prepare_keyed(tx, call.config, params, kind)


def _check_all(tx: Transaction, prepared: list[Write]) -> None:
    """Tests all conditions and computes all new items; raises with a reason per action."""
    reasons: list[dict[str, Any]] = []
    writes.read(tx, prepared)
    for write in prepared:
        try:
            writes.check(write)
            reasons.append({"Code": "None"})
        except AwsError as error:
            code = REASONS.get(error.code, "ValidationError")
            reasons.append({"Code": code, "Message": error.message, **error.fields})
    if any(reason["Code"] != "None" for reason in reasons):
        raise cancelled(reasons)
    if sum(write.new.size_bytes for write in prepared if write.new) > _REQUEST_BYTES:
        raise invalid("Transaction request size cannot exceed 4 MB")


def cancelled(reasons: list[dict[str, Any]]) -> AwsError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    return AwsError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


def answer(call: Call, prepared: list[Write], is_transaction: bool = False) -> Output:
    """What was consumed, and what is told of collections."""
    output: Output = {}
    by_table: dict[int, Consumed] = {}
    for write in prepared:
        consumed = by_table.get(write.table.id)
        if consumed is None:
            kind = _WRITTEN if is_transaction else None
            consumed = by_table[write.table.id] = Consumed(write.table, kind)
        consumed.add_write(write.change, is_transaction)
    settle_all(call, "Write", output, by_table.values())
    metrics: dict[str, list[dict[str, Any]]] = {}
    for write in prepared:
        collection = writes.collection(write, call.params)
        if collection and collection not in metrics.setdefault(write.table.name, []):
            metrics[write.table.name].append(collection)
    if metrics:
        output["ItemCollectionMetrics"] = metrics
    return output


def repeated(call: Call, view: View, prepared: list[Write]) -> Output:
    """dynamodb-056: nothing is done again, but the items are read."""
    output: Output = {}
    by_table: dict[int, Consumed] = {}
    for write in prepared:
        stored = storage.get(view, write.table, write.key)
        consumed = by_table.setdefault(write.table.id, Consumed(write.table, READ))
        consumed.add(read_units(stored.size_bytes if stored else 0, True, is_transaction=True))
    settle_all(call, "Read", output, by_table.values())
    return output


def _wanted(call: Call, view: View) -> list[tuple[expressions.Expressions, Table, Key]]:
    """dynamodb-068: keys that do not fit the table cancel the transaction, each with its reason."""
    wanted, reasons = [], []
    for action in call.params["TransactItems"]:
        params = action["Get"]
        found = expressions.of(params, "ProjectionExpression")
        table = definitions.get(view, call.config, params["TableName"])
        try:
            wanted.append((found, table, keys.of_key(table, params["Key"])[0]))
            reasons.append({"Code": "None"})
        except KeyMismatch as error:
            reasons.append({"Code": "ValidationError", "Message": error.message})
    if len(wanted) < len(reasons):
        raise cancelled(reasons)
    return wanted


def transact_get_items(call: Call, view: View) -> Output:
    """Up to 100 items as they are at one moment."""
    responses = []
    by_table: dict[int, Consumed] = {}
    seen = set()
    total_bytes = 0
    for found, table, key in _wanted(call, view):
        if (table.id, key) in seen:
            raise invalid("Transaction request cannot include multiple operations on one item")
        seen.add((table.id, key))
        stored = storage.get(view, table, key)
        size_bytes = stored.size_bytes if stored else 0
        total_bytes += size_bytes
        consumed = by_table.setdefault(table.id, Consumed(table, READ))
        consumed.add(read_units(size_bytes, True, is_transaction=True))
        responses.append({"Item": found.project(stored.item)} if stored else {})
    if total_bytes > _REQUEST_BYTES:
        raise invalid("Transaction request size cannot exceed 4 MB")
    output: Output = {"Responses": responses}
    settle_all(call, "Read", output, by_table.values())
    return output
