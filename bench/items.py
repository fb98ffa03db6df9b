"""DynamoDB against moto, MiniStack and dynalite, and cloudlet with a million items against itself.

Every table has partitions of 100 items, and requests go to keys all over it. The million items
belong to a cloudlet of their own, filled through its store before it serves; its windows are taken
in turn with the others'.
"""

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from math import nan
from typing import Any

import orjson

from bench import load
from bench.contenders import Contender
from bench.node_peers import Dynalite, are_installed
from bench.results import Row, Table
from bench.storage import PEERS, warm, windows
from cloudlet.dynamodb import definitions, keys, values
from cloudlet.store.database import Database, Transaction

_FEW, _MANY = 10**3, 10**6
_IN_PARTITION = 100
_PARTITIONS_AT_ONCE = 1000  # in one transaction
_REQUESTS = 300  # different ones of a kind
_WINDOW = 0.2  # of the seconds given: there are many
_SPELLED = {_FEW: "10³", _MANY: "10⁶"}
_NAMED = {"TableName": "bench"}
_NOTE = (
    f"Tables of {_FEW:,} items, and one of cloudlet's own of {_MANY:,}. Query answers 100 items,"
    " BatchWriteItem puts 25, TransactWriteItems puts two, updates one and checks one. dynalite,"
    " MiniStack and moto keep items in memory; dynalite has no transactions."
)
Params = dict[str, Any]


def dynamodb(seconds: float) -> Table:
    node = [Dynalite()] if are_installed() else []
    table = Table("DynamoDB", [*PEERS, *[contender.name for contender in node]], notes=[_NOTE])
    contenders = [*(Contender(name) for name in ("cloudlet", *PEERS)), *node]
    many = Contender("cloudlet")
    try:
        for contender in (*contenders, many):
            contender.start()
            _make_table(contender)
        for contender in contenders:
            _fill(contender)
        _fill_store(many)
        many.name = "many"
        every = [*contenders, many]
        warm(every, {each.name: _requests(each, "GetItem", _get, _FEW) for each in every})
        for operation, make in _OPERATIONS.items():
            for clients in (1, 16):
                for row in _rows(operation, make, contenders, many, (clients, seconds * _WINDOW)):
                    table.add(row)
        memory = {c.name: c.memory_mib() for c in contenders}
        table.add(Row("memory afterwards", "MiB", memory, more_is_better=False))
    finally:
        for contender in (*contenders, many):
            contender.stop()
    return table


def _rows(
    operation: str,
    make: Callable[[int], Params],
    contenders: list[Contender],
    many: Contender,
    window: tuple[int, float],
) -> Iterator[Row]:
    clients, seconds = window
    what = f"{operation}, {clients} client{'s' if clients > 1 else ''}"
    every = [*contenders, many]
    asked = {c.name: _requests(c, operation, make, _MANY if c is many else _FEW) for c in every}
    for own in (contenders[0], many):  # what is asked for has been read once from the disk
        load.send(own.endpoint, asked[own.name], connections=4)
    taken = windows(what, every, asked, connections=clients, seconds=seconds)
    rates = {name: nan if each.failed else each.rate for name, each in taken.items()}
    times = {size: taken[c.name].p50_ms for size, c in ((_FEW, contenders[0]), (_MANY, many))}
    big = rates.pop(many.name)
    yield Row(f"{what}, {_SPELLED[_FEW]} items", "ops/s", rates)
    yield Row(f"{what}, {_SPELLED[_MANY]} items", "ops/s", {"cloudlet": big})
    ratio = {"cloudlet": times[_MANY] / times[_FEW]}
    yield Row(f"{what}: p50 of {_SPELLED[_MANY]} ÷ of {_SPELLED[_FEW]}", "×", ratio, False)


def _requests(
    contender: Contender, operation: str, make: Callable[[int], Params], count: int
) -> list[load.Request]:
    """The same for all contenders with as many items."""
    chance = random.Random(count)
    numbers = [chance.randrange(count // _IN_PARTITION) for _ in range(_REQUESTS)]
    return [_request(contender, operation, make(number)) for number in numbers]


def _request(contender: Contender, operation: str, params: Params) -> load.Request:
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }
    body = json.dumps(params).encode()
    return load.signed(
        contender.endpoint, contender.key, "dynamodb", "POST", "/", body=body, headers=headers
    )


def _make_table(contender: Contender) -> None:
    client = contender.client("dynamodb")
    types = {"pk": "S", "sk": "N"}
    client.create_table(
        **_NAMED,
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(**_NAMED)


def _fill(contender: Contender) -> None:
    places = [(n // _IN_PARTITION, n % _IN_PARTITION) for n in range(_FEW)]
    batches = [_batch(places[n : n + 25]) for n in range(0, _FEW, 25)]
    requests = [_request(contender, "BatchWriteItem", batch) for batch in batches]
    if not load.send(contender.endpoint, requests, connections=1):
        raise SystemExit(f"{contender.name} did not take the items")


def _fill_store(contender: Contender) -> None:
    contender.pause()
    database = Database(contender.folder)
    for first in range(0, _MANY // _IN_PARTITION, _PARTITIONS_AT_ONCE):
        database.write_now(partial(_store, range(first, first + _PARTITIONS_AT_ONCE)))
    database.close()
    contender.start()


def _store(partitions: range, tx: Transaction) -> None:
    """Rows as PutItem makes them; those of a partition differ from others' in its name alone."""
    (table,) = definitions.all_tables(tx)
    name = _item(0, 0)["pk"]["S"]
    models = []
    for number in range(_IN_PARTITION):
        item, size_bytes = values.canonical_item(_item(0, number))
        models.append((keys.of_item(table, item).sk, size_bytes, orjson.dumps(item)))
    rows: list[tuple[Any, ...]] = []
    for partition in partitions:
        first = _item(partition, 0)
        pk, own = keys.of_item(table, first).pk, first["pk"]["S"].encode()
        rows += [(pk, sk, size, raw.replace(name.encode(), own)) for sk, size, raw in models]
    tx.run_many(
        f"INSERT INTO {table.sql_table} (pk, sk, size, item) VALUES (?, ?, ?, ?)", sorted(rows)
    )
    tx.run(
        "UPDATE dynamodb_counts SET items = items + ?, bytes = bytes + ? WHERE table_id = ?",
        (len(rows), sum(row[2] for row in rows), table.id),
    )


def _item(partition: int, number: int) -> Params:
    return {
        **_key(partition, number),
        "name": {"S": f"item {number}"},
        "payload": {"S": "x" * 120},
        "flag": {"BOOL": True},
    }


def _key(partition: int, number: int) -> Params:
    return {"pk": {"S": f"partition-{partition:05}"}, "sk": {"N": str(number)}}


def _put(partition: int) -> Params:
    return {**_NAMED, "Item": _item(partition, partition % _IN_PARTITION)}


def _get(partition: int) -> Params:
    return {**_NAMED, "Key": _key(partition, partition % _IN_PARTITION)}


def _update(partition: int, number: int = 1) -> Params:
    return {
        **_NAMED,
        "Key": _key(partition, number),
        "UpdateExpression": "SET flag = :f ADD hits :one",
        "ExpressionAttributeValues": {":f": {"BOOL": False}, ":one": {"N": "1"}},
    }


def _query(partition: int) -> Params:
    return {
        **_NAMED,
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": _key(partition, 0)["pk"]},
    }


def _batch(places: list[tuple[int, int]]) -> Params:
    puts = [{"PutRequest": {"Item": _item(*place)}} for place in places]
    return {"RequestItems": {_NAMED["TableName"]: puts}}


def _transaction(partition: int) -> Params:
    check = {
        **_NAMED,
        "Key": _key(partition, 10),
        "ConditionExpression": "attribute_exists(pk)",
    }
    puts = [{"Put": {**_NAMED, "Item": _item(partition, number)}} for number in (11, 12)]
    update = {"Update": _update(partition, 13)}
    return {"TransactItems": [*puts, update, {"ConditionCheck": check}]}


_OPERATIONS: dict[str, Callable[[int], Params]] = {
    "PutItem": _put,
    "GetItem": _get,
    "UpdateItem": _update,
    "Query": _query,
    "BatchWriteItem": lambda partition: _batch([(partition, 20 + n) for n in range(25)]),
    "TransactWriteItems": _transaction,
}
