"""S3 and DynamoDB against moto and MiniStack."""

import hashlib
import http.client
import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import load
from bench.contenders import Contender
from bench.node_peers import Dynalite, are_installed
from bench.results import Row, Table

PEERS = ["moto", "ministack"]
_ROUNDS = 3
_LARGE_BYTES = 256 << 20


def s3(seconds: float) -> Table:
    table = Table("S3", [*PEERS, "machine"])
    contenders = [Contender(name).start() for name in ("cloudlet", *PEERS)]
    try:
        for contender in contenders:
            contender.client("s3").create_bucket(Bucket="bench")
        for contender in contenders:
            client = contender.client("s3")
            for number in range(100):
                client.put_object(Bucket="bench", Key=f"small-{number}", Body=os.urandom(1024))
        put = {c.name: [_small_put(c, n) for n in range(3000)] for c in contenders}
        table.rows.append(rates("PUT 1 KiB, 16 clients", contenders, put, seconds))
        get = {c.name: [_small_get(c, n) for n in range(100)] for c in contenders}
        table.rows.append(rates("GET 1 KiB, 16 clients", contenders, get, seconds))
        table.rows += _large(contenders)
        table.notes.append(
            "machine: MD5, then write and fsync of the same bytes; and a plain read from the page"
            " cache. Both peers keep objects in memory or in an unsynced temporary file."
        )
        memory = {c.name: c.memory_mib() for c in contenders}
        table.rows.append(Row("memory afterwards", "MiB", memory, more_is_better=False))
    finally:
        for contender in contenders:
            contender.stop()
    return table


def _small_put(contender: Contender, number: int) -> load.Request:
    body = os.urandom(1024)
    return load.signed(
        contender.endpoint, contender.key, "s3", "PUT", f"/bench/small-{number}", body=body
    )


def _small_get(contender: Contender, number: int) -> load.Request:
    return load.signed(contender.endpoint, contender.key, "s3", "GET", f"/bench/small-{number}")


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
    for _ in range(_ROUNDS):
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
) -> Row:
    medians = windows(what, contenders, requests, connections=16, seconds=seconds)
    return Row(what, "ops/s", {name: window.rate for name, window in medians.items()})


def _large(contenders: list[Contender]) -> list[Row]:
    data = os.urandom(1 << 20) * (_LARGE_BYTES >> 20)
    put: dict[str, list[float]] = {}
    get: dict[str, list[float]] = {}
    for _ in range(_ROUNDS):
        for contender in contenders:
            put.setdefault(contender.name, []).append(_transfer(contender, "PUT", data))
            get.setdefault(contender.name, []).append(_transfer(contender, "GET", b""))
        write, read = _machine(data, contenders[0].folder)
        put.setdefault("machine", []).append(write)
        get.setdefault("machine", []).append(read)
    return [
        Row("PUT 256 MiB", "MiB/s", {name: sorted(v)[len(v) // 2] for name, v in put.items()}),
        Row("GET 256 MiB", "MiB/s", {name: sorted(v)[len(v) // 2] for name, v in get.items()}),
    ]


def _transfer(contender: Contender, method: str, data: bytes) -> float:
    """MiB/s of one request over a fresh connection, unsigned payload as browsers send it."""
    address = urlsplit(contender.endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    head = load.signed(
        contender.endpoint, contender.key, "s3", method, "/bench/large",
        headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"} if data else {},
    )  # fmt: skip
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
    headers.pop("Content-Length")
    began = time.perf_counter()
    connection.request(method, "/bench/large", body=data or None, headers=headers)
    answer = connection.getresponse()
    size = 0
    while chunk := answer.read(1 << 20):
        size += len(chunk)
    spent = time.perf_counter() - began
    if answer.status != 200 or (method == "GET" and size != _LARGE_BYTES):
        raise SystemExit(f"{contender.name}: {method} answered {answer.status}, {size} bytes")
    connection.close()
    return (_LARGE_BYTES >> 20) / spent


def _machine(data: bytes, folder: Path) -> tuple[float, float]:
    path = folder / "machine"
    began = time.perf_counter()
    hashlib.md5(data, usedforsecurity=False)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    written = time.perf_counter() - began
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    read = time.perf_counter() - began
    path.unlink()
    return (_LARGE_BYTES >> 20) / written, (_LARGE_BYTES >> 20) / read


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
