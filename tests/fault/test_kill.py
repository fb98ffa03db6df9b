"""kill -9 in the middle of writes: what was answered is there, what was not is whole or absent."""

import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from tests.server import Server

pytestmark = pytest.mark.fault
ROUNDS = 4
WRITERS = 4
GONE = (BotoCoreError, ClientError, HTTPError, OSError)


class Writers:
    """Threads that write until the server is gone; `acknowledged` is what was answered."""

    def __init__(self, server: Server, round_: int) -> None:
        self.server = server
        self.round = round_
        self.acknowledged: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]

    def run_and_kill(self, *others: "Writers") -> None:
        """With others, which end together."""
        threads = [thread for each in (self, *others) for thread in each._threads]
        for thread in threads:
            thread.start()
        wanted = random.randint(5, 60)
        deadline = time.monotonic() + 90
        while len(self.acknowledged) < wanted and time.monotonic() < deadline:
            time.sleep(0.002)
        self.server.kill()
        for thread in threads:
            thread.join(90)

    def note(self, key: str, value: Any) -> None:
        with self._lock:
            self.acknowledged[key] = value

    def _write(self, number: int) -> None:
        client = self.client()
        with suppress(*GONE):
            for turn in range(10_000):
                self.write(client, f"{self.round}-{number}-{turn}")

    def client(self) -> Any:
        raise AssertionError("a kind of writer says how")

    def write(self, client: Any, name: str) -> None:
        raise AssertionError("a kind of writer says how")


class Items(Writers):
    def client(self) -> Any:
        return self.server.client("dynamodb")

    def write(self, client: Any, name: str) -> None:
        item = {"pk": {"S": name}, "group": {"S": f"g{len(name) % 3}"}, "n": {"N": "1"}}
        twin = {**item, "pk": {"S": f"{name}-twin"}}
        client.transact_write_items(
            TransactItems=[{"Put": {"TableName": "kill", "Item": each}} for each in (item, twin)]
        )
        self.note(name, item)


def test_items_indexes_and_streams(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    server.client("dynamodb").create_table(
        TableName="kill",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "group")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-group",
                "KeySchema": [
                    {"AttributeName": "group", "KeyType": "HASH"},
                    {"AttributeName": "pk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    truth: dict[str, Any] = {}
    for round_ in range(ROUNDS):
        writers = Items(server, round_)
        writers.run_and_kill()
        truth |= writers.acknowledged
        server.start()
        client = server.client("dynamodb")
        scanned = pages(client, "scan", TableName="kill")
        table = {item["pk"]["S"]: item for item in scanned}
        assert all(table.get(name) == item for name, item in truth.items())
        for name in table:  # a transaction is there as a whole or not at all
            assert name.removesuffix("-twin") in table
            assert name.removesuffix("-twin") + "-twin" in table
        index = pages(client, "scan", TableName="kill", IndexName="by-group")
        assert {item["pk"]["S"]: item for item in index} == table
        assert _replayed(server) == table
    server.stop()


def pages(client: Any, operation: str, **params: Any) -> list[dict[str, Any]]:
    found = client.get_paginator(operation).paginate(**params)
    return [item for page in found for item in page["Items"]]


def _replayed(server: Server) -> dict[str, Any]:
    """The table as its stream tells it."""
    streams = server.client("dynamodbstreams")
    arn = streams.list_streams(TableName="kill")["Streams"][0]["StreamArn"]
    table: dict[str, Any] = {}
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            got = streams.get_records(ShardIterator=iterator)
            for record in got["Records"]:
                image = record["dynamodb"]["NewImage"]
                table[image["pk"]["S"]] = image
            iterator = got.get("NextShardIterator") if got["Records"] else None
    return table
