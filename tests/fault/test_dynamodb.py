"""kill -9 under transactions: table, index, stream and model tell the same, whenever it comes.

What a writer's items are after its n-th transaction is computed, not remembered; how many were done
stands in an item of its own, written by the same transactions.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.fault.test_kill import Writers, pages
from tests.server import Server

pytestmark = pytest.mark.fault
ROUNDS = 3
WRITERS = 4
ITEMS = 3  # of each writer
TABLE = {"TableName": "ledger"}
_ACTIONS = ("put", "move", "leave", "delete")


class Movers(Writers):
    """Each puts, moves between index partitions, takes out of the index and deletes, in turn."""

    def client(self) -> Any:
        return self.server.client("dynamodb")

    def write(self, client: Any, name: str) -> None:
        _, writer, turn = name.split("-")
        done = self.done.setdefault(writer, self.before.get(writer, 0))
        self.tried[writer] = done + 1
        transact(client, writer, done + 1)
        self.done[writer] = done + 1
        self.note(name, turn)

    def __init__(self, server: Server, round_: int, before: dict[str, int]) -> None:
        super().__init__(server, round_)
        self.before, self.done, self.tried = before, dict[str, int](), dict[str, int]()


def transact(client: Any, writer: str, turn: int) -> None:
    """A token makes it happen once, however often it is asked for."""
    note = {
        "Key": {"pk": {"S": f"turn-{writer}"}},
        "UpdateExpression": "SET n = :turn",
        "ConditionExpression": "n = :before OR (attribute_not_exists(n) AND :before = :none)",
        "ExpressionAttributeValues": {
            ":turn": {"N": str(turn)},
            ":before": {"N": str(turn - 1)},
            ":none": {"N": "0"},
        },
    }
    count = {
        "Key": {"pk": {"S": "all"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    updates = [{"Update": TABLE | each} for each in (note, count)]
    client.transact_write_items(
        TransactItems=[action(writer, turn), *updates], ClientRequestToken=f"{writer}-{turn}"
    )


def place(writer: str, turn: int) -> tuple[str, str]:
    """The item that a turn is about, and what is done to it."""
    return f"{writer}-{turn % ITEMS}", _ACTIONS[turn // ITEMS % len(_ACTIONS)]


def action(writer: str, turn: int) -> dict[str, Any]:
    name, kind = place(writer, turn)
    key = {"pk": {"S": name}}
    if kind == "put":
        return {"Put": TABLE | {"Item": key | {"group": {"S": "new"}, "n": {"N": str(turn)}}}}
    if kind == "delete":
        return {"Delete": TABLE | {"Key": key}}
    group = {":group": {"S": f"g{turn % 2}"}} if kind == "move" else {}
    text = "SET n = :n, #group = :group" if kind == "move" else "SET n = :n REMOVE #group"
    changed = {
        "Key": key,
        "UpdateExpression": text,
        "ExpressionAttributeNames": {"#group": "group"},
        "ExpressionAttributeValues": {":n": {"N": str(turn)}} | group,
    }
    return {"Update": TABLE | changed}


def model(done: dict[str, int]) -> dict[str, Any]:
    """The whole table, by key."""
    table: dict[str, Any] = {}
    for writer, turns in done.items():
        for turn in range(1, turns + 1):
            name, kind = place(writer, turn)
            if kind == "delete":
                table.pop(name, None)
                continue
            item = {"pk": {"S": name}, "n": {"N": str(turn)}}
            if kind != "leave":
                item["group"] = {"S": "new" if kind == "put" else f"g{turn % 2}"}
            table[name] = item
        table[f"turn-{writer}"] = {"pk": {"S": f"turn-{writer}"}, "n": {"N": str(turns)}}
    table["all"] = {"pk": {"S": "all"}, "n": {"N": str(sum(done.values()))}}
    return table


def test_table_index_stream_and_model_agree(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    _create(server.client("dynamodb"))
    done: dict[str, int] = {}
    for round_ in range(ROUNDS):
        movers = Movers(server, round_, done)
        movers.run_and_kill()
        server.start()
        client = server.client("dynamodb")
        done = done | movers.done
        _check_between(client, done, movers.tried)
        for writer, turn in movers.tried.items():  # what was not answered is asked for again
            transact(client, writer, turn)
        done |= movers.tried
        table = _by_key(pages(client, "scan", ConsistentRead=True, **TABLE))
        assert table == model(done)
        index = _by_key(pages(client, "scan", IndexName="by-group", **TABLE))
        assert index == {name: item for name, item in table.items() if "group" in item}
        assert _replayed(server) == table
    server.stop()


def _create(client: Any) -> None:
    client.create_table(
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "group", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-group",
                "KeySchema": [{"AttributeName": "group", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        **TABLE,
    )


def _by_key(items: list[dict[str, Any]]) -> dict[str, Any]:
    assert len({item["pk"]["S"] for item in items}) == len(items)
    return {item["pk"]["S"]: item for item in items}


def _check_between(client: Any, done: dict[str, int], tried: dict[str, int]) -> None:
    """Of what was under way a transaction may be there; of what was answered none is missing."""
    for writer, turns in done.items():
        item = client.get_item(Key={"pk": {"S": f"turn-{writer}"}}, **TABLE).get("Item")
        there = int(item["n"]["N"]) if item else 0
        assert turns <= there <= tried.get(writer, turns)


def _replayed(server: Server) -> dict[str, Any]:
    """The table as its stream tells it; each record's old image is what was there."""
    streams = server.client("dynamodbstreams")
    arn = streams.list_streams(**TABLE)["Streams"][0]["StreamArn"]
    table: dict[str, Any] = {}
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        at = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        while (page := streams.get_records(ShardIterator=at.get("ShardIterator")))["Records"]:
            for record in page["Records"]:
                change = record["dynamodb"]
                name = change["Keys"]["pk"]["S"]
                assert table.pop(name, None) == change.get("OldImage")
                if "NewImage" in change:
                    table[name] = change["NewImage"]
            at = {"ShardIterator": page["NextShardIterator"]}
    return table
