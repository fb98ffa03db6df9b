"""DynamoDB against moto, MiniStack and dynalite; windows taken in turn, for S3 too (`buckets`)."""

import json
from typing import Any

from bench import load
from bench.contenders import Contender
from bench.node_peers import Dynalite, are_installed
from bench.results import Row, Table

PEERS = ["moto", "ministack"]
ROUNDS = 3


def windows(
    what: str,
    contenders: list[Contender],
    requests: dict[str, list[load.Request]],
    *,
    connections: int,
    seconds: float,
) -> dict[str, load.Window]:
    """Medians of rounds in turn: what slows the machine for a while slows all."""
    taken: dict[str, list[load.Window]] = {c.name: [] for c in contenders}
    for _ in range(ROUNDS):
        for each in contenders:
            window = load.run(
                each.endpoint, requests[each.name], connections=connections, seconds=seconds
            )
            taken[each.name].append(window)
    medians = {name: load.median(each) for name, each in taken.items()}
    for name, window in medians.items():
        if window.failed:
            print(f"  {what}: {name} failed {window.failed} times")
    return medians


def rates(
    what: str,
    contenders: list[Contender],
    requests: dict[str, list[load.Request]],
    seconds: float,
    connections: int = 16,
) -> Row:
    medians = windows(what, contenders, requests, connections=connections, seconds=seconds)
    return Row(what, "ops/s", {name: window.rate for name, window in medians.items()})


def dynamodb(seconds: float) -> Table:
    node = [Dynalite()] if are_installed() else []
    table = Table("DynamoDB", [*PEERS, *[contender.name for contender in node]])
    contenders = [*(Contender(name) for name in ("cloudlet", *PEERS)), *node]
    for contender in contenders:
        contender.start()
    try:
        for contender in contenders:
            _make_table(contender)
        put = {c.name: [_put_item(c, n) for n in range(3000)] for c in contenders}
        table.rows.append(rates("PutItem, 16 clients", contenders, put, seconds))
        get = {c.name: [_get_item(c, n) for n in range(100)] for c in contenders}
        table.rows.append(rates("GetItem, 16 clients", contenders, get, seconds))
        query = {c.name: [_query(c)] for c in contenders}
        table.rows.append(rates("Query of 100 items, 16 clients", contenders, query, seconds))
        memory = {c.name: c.memory_mib() for c in contenders}
        table.rows.append(Row("memory afterwards", "MiB", memory, more_is_better=False))
    finally:
        for contender in contenders:
            contender.stop()
    return table


def _make_table(contender: Contender) -> None:
    client = contender.client("dynamodb")
    client.create_table(
        TableName="bench",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName="bench")
    for number in range(100):
        client.put_item(TableName="bench", Item=_item("many", number))


def _item(partition: str, number: int) -> dict[str, Any]:
    return {
        "pk": {"S": partition},
        "sk": {"N": str(number)},
        "name": {"S": f"item {number}"},
        "payload": {"S": "x" * 120},
        "flag": {"BOOL": True},
    }


def _dynamodb(contender: Contender, operation: str, params: dict[str, Any]) -> load.Request:
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }
    body = json.dumps(params).encode()
    return load.signed(
        contender.endpoint, contender.key, "dynamodb", "POST", "/", body=body, headers=headers
    )


def _put_item(contender: Contender, number: int) -> load.Request:
    item = _item(f"p{number % 50}", number)
    return _dynamodb(contender, "PutItem", {"TableName": "bench", "Item": item})


def _get_item(contender: Contender, number: int) -> load.Request:
    key = {"pk": {"S": "many"}, "sk": {"N": str(number)}}
    return _dynamodb(contender, "GetItem", {"TableName": "bench", "Key": key})


def _query(contender: Contender) -> load.Request:
    return _dynamodb(
        contender,
        "Query",
        {
            "TableName": "bench",
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": "many"}},
        },
    )
