"""ExecuteStatement, BatchExecuteStatement and ExecuteTransaction.

A statement becomes the `Search` or the `Write` that Query, Scan and the operations on items have,
so that there is one evaluator and one way to the data. Messages are as AWS answers.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from cloudlet.call import Call, Output, Params
from cloudlet.dynamodb import (
    capacity,
    definitions,
    items,
    keys,
    partiql_grammar,
    partiql_plan,
    partiql_reads,
    storage,
    transactions,
    values,
    writes,
)
from cloudlet.dynamodb.capacity import Consumed, read_units
from cloudlet.dynamodb.conditions import Bindings
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.expressions import Expressions
from cloudlet.dynamodb.keys import Key, KeyMismatch
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.partiql_plan import Keyed
from cloudlet.dynamodb.partiql_reads import Bound
from cloudlet.dynamodb.storage import Stored
from cloudlet.dynamodb.values import Item
from cloudlet.dynamodb.writes import Write
from cloudlet.errors import AwsError
from cloudlet.store.database import Transaction, View

T = TypeVar("T")
_MIXED = "{} API does not support both read and write operations in the same request."
_READ_BY_KEY = "Select statements within {} must specify the primary key in the where clause."
_NOT_KEYED = "Where clause does not contain a mandatory equality on all key attributes"
_LONG = 16_000  # characters: all statements of a call
_BATCH, _TRANSACTION = "BatchExecuteStatement", "ExecuteTransaction"


async def execute_statement(call: Call) -> Output:
    """Reads as Query and Scan do, or writes one item."""
    each = partiql_reads.bound(call.params)
    if each.statement.verb == "EXISTS":
        raise invalid("EXISTS can only be used in ExecuteTransaction write requests.")
    if each.statement.verb != "SELECT":
        return await call.cloud.database.write(lambda tx: _write(call, tx, each))
    with call.cloud.database.snapshot() as view:
        table, index = partiql_reads.source(view, call, each.statement)
    if partiql_reads.queries(each, table, index) is None:  # a scan
        return await asyncio.to_thread(_on_snapshot, call, each)
    return _on_snapshot(call, each)


def _on_snapshot(call: Call, each: Bound) -> Output:
    with call.cloud.database.snapshot() as view:
        return partiql_reads.select(call, view, each)


def _write(call: Call, tx: Transaction, each: Bound) -> Output:
    write = _prepared(call, tx, each)
    consumed = Consumed(write.table)
    items.change(call, tx, write, consumed)
    output: Output = {"Items": _returned(each, write)}
    capacity.settle(call, "Write", output, consumed)
    return output


def _returned(each: Bound, write: Write) -> list[Item]:
    shown = items.returned(write, each.statement.returning).get("Attributes")
    return [shown] if shown else []


# One item


def _keyed(each: Bound, table: Table) -> Keyed:
    return partiql_plan.keyed(each.text, table.hash_key, table.range_key)


def _prepared(call: Call, view: View, each: Bound) -> Write:
    """What the statement writes, or checks; raises KeyMismatch where it names no one item."""
    statement, b = each.statement, each.bindings
    table = definitions.get(view, call.config, statement.table)
    plan = _keyed(each, table)
    found = Expressions(dict(plan.by_kind), Bindings(plan.names, b.values))
    if statement.verb == "INSERT":
        given = {name: b.values[value.name] for name, value in statement.item.items()}
        item, size_bytes = values.canonical_item(given)
        if size_bytes > values.ITEM_MAX_BYTES:
            raise invalid("Item size has exceeded the maximum allowed size")
        write = writes.put_of(table, Stored(item, size_bytes), found, each.params)
        write.is_insert = True
        return write
    if not plan.is_complete:
        raise KeyMismatch(_NOT_KEYED)
    for name, value in plan.again:
        if statement.verb != "EXISTS" and b.values[value.name] != _key_value(each, plan, name):
            raise KeyMismatch(
                f"Multiple conditions on same key {name}. Only single item Update/Insert/Delete are"
                " supported"
            )
    key = keys.of_key(table, {name: _key_value(each, plan, name) for name in plan.key})
    if statement.verb == "UPDATE":
        return writes.update_of(table, key, found, each.params)
    kind = {"DELETE": "delete", "EXISTS": "check"}[statement.verb]
    return writes.keyed_of(kind, table, key, found, each.params)


def _key_value(each: Bound, plan: Keyed, name: str) -> Any:
    return each.bindings.values[plan.key[name].name]


@dataclass(slots=True)
class _Get:
    table: Table
    key: Key
    stored: Stored | None

    def item(self, each: Bound) -> Output:
        return {"Item": partiql_reads.columns(each, self.stored.item)} if self.stored else {}


def _get(call: Call, view: View, each: Bound, operation: str) -> _Get:
    """A SELECT that names one item by its key and says nothing else."""
    table, _ = partiql_reads.source(view, call, each.statement)
    plan = _keyed(each, table)
    is_once = all(
        each.bindings.values[value.name] == _key_value(each, plan, name)
        for name, value in plan.again
    )
    is_exact = plan.is_complete and is_once and not plan.has_rest
    if each.statement.index_name is not None or not is_exact:
        raise invalid(_READ_BY_KEY.format(operation))
    given = {name: _key_value(each, plan, name) for name in plan.key}
    key = keys.of_key(table, given)[0]
    return _Get(table, key, storage.get(view, table, key))


# Batches


async def batch_execute_statement(call: Call) -> Output:
    """Up to 25 reads or writes of single items, each for itself."""
    verbs = await _beside(call.params["Statements"], _verbs)
    if "SELECT" in verbs and len(verbs) > 1:
        raise invalid(_MIXED.format(_BATCH))
    if "SELECT" in verbs:
        with call.cloud.database.snapshot() as view:
            return _batch(call, view, _batch_get)
    return await call.cloud.database.write(
        lambda tx: _batch(call, tx, cast(Callable[..., Output], _batch_write))
    )


async def _beside(statements: list[Params], read: Callable[[list[Params]], T]) -> T:
    """Reads statements, not on the event loop if they are long."""
    if sum(len(each["Statement"]) for each in statements) > _LONG:
        return await asyncio.to_thread(read, statements)
    return read(statements)


def _verbs(statements: list[Params]) -> set[str]:
    """Of those that can be read."""
    verbs = set()
    for each in statements:
        with suppress(AwsError):
            verbs.add(partiql_grammar.parse(each["Statement"]).verb)
    return verbs


def _batch(call: Call, view: View, run: Callable[..., Output]) -> Output:
    by_table: dict[str, Consumed] = {}
    done: set[str] = set()
    responses, kind = [], "Read" if run is _batch_get else "Write"
    _check_distinct(call, view)
    for params in call.params["Statements"]:
        response: Output = {}
        try:
            each = partiql_reads.bound(params)
            table = definitions.get(view, call.config, each.statement.table)
            response["TableName"] = table.name
            consumed = by_table.setdefault(table.name, Consumed(table))
            response.update(run(call, view, each, consumed))
            done.add(table.name)
        except AwsError as error:
            code = transactions.REASONS.get(error.code, "ValidationError")
            if code == "ValidationError":
                response.pop("TableName", None)
            response["Error"] = {"Code": code, "Message": error.message, **error.fields}
        responses.append(response)
    output: Output = {"Responses": responses}
    capacity.settle_all(call, kind, output, [by_table[name] for name in by_table if name in done])
    return output


def _check_distinct(call: Call, view: View) -> None:
    """dynamodb-080: statements that can be read are of different items, or none is done."""
    places = [_place(call, view, params) for params in call.params["Statements"]]
    named = [place for place in places if place is not None]
    if len(set(named)) < len(named):
        raise invalid("Provided list of item keys contains duplicates")


def _place(call: Call, view: View, params: Params) -> tuple[int, Key] | None:
    with suppress(AwsError, KeyError):
        each = partiql_reads.bound(params)
        table = definitions.get(view, call.config, each.statement.table)
        plan = _keyed(each, table)
        if each.statement.verb == "SELECT" and (each.statement.index_name or plan.has_rest):
            return None
        named = each.statement.item or plan.key
        given = {name: each.bindings.values[named[name].name] for name in table.key_names()}
        return table.id, keys.of_key(table, given)[0]
    return None


def _batch_get(call: Call, view: View, each: Bound, consumed: Consumed) -> Output:
    got = _get(call, view, each, _BATCH)
    size_bytes = got.stored.size_bytes if got.stored else 0
    consumed.add(read_units(size_bytes, each.params.get("ConsistentRead") is True))
    return got.item(each)


def _batch_write(call: Call, tx: Transaction, each: Bound, consumed: Consumed) -> Output:
    if each.statement.verb == "EXISTS":
        raise invalid("EXISTS can only be used in ExecuteTransaction write requests.")
    write = _prepared(call, tx, each)
    try:
        items.change(call, tx, write, consumed)
    except AwsError:
        consumed.fail(max(write.size_bytes, write.old.size_bytes if write.old else 0))
        raise
    shown = _returned(each, write)
    return {"Item": shown[0]} if shown else {}


# Transactions


async def execute_transaction(call: Call) -> Output:
    """Up to 100 reads, or writes and checks, of single items: all or none."""
    bounds = await _beside(call.params["TransactStatements"], _bounds)
    verbs = {each.statement.verb for each in bounds}
    if "SELECT" in verbs and len(verbs) > 1:
        raise invalid(_MIXED.format(_TRANSACTION))
    for number, each in enumerate(bounds):
        _within(number, partial(_check_transacted, each))
    if "SELECT" in verbs:
        with call.cloud.database.snapshot() as view:
            return _transact_get(call, view, bounds)
    return await call.cloud.database.write(lambda tx: _transact_write(call, tx, bounds))


def _bounds(statements: list[Params]) -> list[Bound]:
    for params in statements:
        partiql_reads.parameters(params)  # refused before anything is read
    return [
        _within(number, partial(partiql_reads.bound, params))
        for number, params in enumerate(statements)
    ]


def _within(number: int, run: Callable[[], T]) -> T:
    """Names the statement in refusals, but not of what is wrong with parameters."""
    try:
        return run()
    except AwsError as error:
        if error.code != "ValidationException" or isinstance(error, KeyMismatch):
            raise
        raise invalid(
            f"Validation failed in TransactStatements[{number}]: {error.message}"
        ) from None


def _check_transacted(each: Bound) -> None:
    if each.statement.returning != "NONE":
        raise invalid("RETURNING clause is not supported in ExecuteTransaction.")
    if each.statement.index_name is not None:
        raise invalid("Reads on indices are not supported within transactions.")


def _all(bounds: list[Bound], run: Callable[[Bound], T]) -> list[T]:
    """dynamodb-045: missing tables and keys that don't fit cancel, with a reason for each."""
    found: list[T] = []
    reasons: list[Mapping[str, Any]] = []
    for number, each in enumerate(bounds):
        try:
            found.append(_within(number, partial(run, each)))
            reasons.append({"Code": "None"})
        except AwsError as error:
            code = transactions.REASONS.get(error.code)
            if code is None and not isinstance(error, KeyMismatch):
                raise
            message = error.message
            if code is None and each.statement.verb != "INSERT":
                message = "The provided key element does not match the schema"
            reasons.append({"Code": code or "ValidationError", "Message": message})
    if len(found) < len(bounds):
        raise transactions.cancelled([dict(reason) for reason in reasons])
    return found


def _transact_write(call: Call, tx: Transaction, bounds: list[Bound]) -> Output:
    token = call.params.get("ClientRequestToken")
    is_repeated = token is not None and transactions.is_repeated(call, tx, token)
    prepared = _all(bounds, lambda each: _transacted(call, tx, each))
    answer = transactions.repeated if is_repeated else transactions.commit
    return {"Responses": [], **answer(call, tx, prepared)}


def _transacted(call: Call, tx: Transaction, each: Bound) -> Write:
    write = _prepared(call, tx, each)
    if each.statement.verb == "EXISTS" and not _keyed(each, write.table).has_rest:
        raise invalid("EXISTS() must contain a single item read with additional condition")
    return write


def _transact_get(call: Call, view: View, bounds: list[Bound]) -> Output:
    got = _all(bounds, lambda each: _get(call, view, each, _TRANSACTION))
    if len({(each.table.id, each.key) for each in got}) < len(got):
        raise invalid("Transaction request cannot include multiple operations on one item")
    by_table: dict[int, Consumed] = {}
    for each in got:
        consumed = by_table.setdefault(each.table.id, Consumed(each.table, transactions.READ))
        size_bytes = each.stored.size_bytes if each.stored else 0
        consumed.add(read_units(size_bytes, True, is_transaction=True))
    responses = [each.item(bound) for each, bound in zip(got, bounds, strict=True)]
    output: Output = {"Responses": responses}
    capacity.settle_all(call, "Read", output, by_table.values())
    return output
