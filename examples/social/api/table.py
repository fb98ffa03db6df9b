"""The table: its keys, and transactions that are tried again while others are in the way.

Which item has which key is the README's table of access patterns.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-modeling-nosql.html
"""

import os
import random
import time
from typing import Any

import boto3
from boto3.dynamodb.conditions import ConditionBase, Key
from problems import Problem

ATTEMPTS = 10
PROFILE = "PROFILE"
NEW = "attribute_not_exists(pk)"
THERE = "attribute_exists(pk)"

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
client = table.meta.client

Item = dict[str, Any]


class Refused(Exception):
    """A condition did not hold: `failed` has the places of these writes."""

    def __init__(self, failed: set[int]) -> None:
        super().__init__(failed)
        self.failed = failed


def key(pk: str, sk: str) -> Item:
    return {"pk": pk, "sk": sk}


def user_key(handle: str) -> Item:
    return key(f"USER#{handle}", PROFILE)


def get(pk: str, sk: str) -> Item | None:
    found: Item | None = table.get_item(Key=key(pk, sk), ConsistentRead=True).get("Item")
    return found


def get_many(keys: list[Item]) -> list[Item]:
    """At most 100; what is not there is left out."""
    found: list[Item] = []
    wanted = {table.name: {"Keys": keys, "ConsistentRead": True}} if keys else {}
    while wanted:
        answer = client.batch_get_item(RequestItems=wanted)
        found += answer["Responses"].get(table.name, [])
        wanted = answer.get("UnprocessedKeys") or {}
    return found


def query(names: tuple[str, str], partition: str, before: str, limit: int, **more: Any) -> Any:
    """(items, newest first, and whether there are more); `names` are those of the two keys."""
    condition: ConditionBase = Key(names[0]).eq(partition)
    if before:
        condition &= Key(names[1]).lt(before)
    found = table.query(
        KeyConditionExpression=condition, ScanIndexForward=False, Limit=limit, **more
    )
    return found["Items"], "LastEvaluatedKey" in found


def put(item: Item, condition: str = "") -> Item:
    return {"Put": _write(condition, Item=item)}


def delete(item_key: Item, condition: str = "", **values: Any) -> Item:
    return {"Delete": _write(condition, values, Key=item_key)}


def add(item_key: Item, counter: str, amount: int) -> Item:
    """Counts on an item that must be there."""
    update = _write(THERE, {"amount": amount}, Key=item_key)
    expression = {"UpdateExpression": "ADD #c :amount", "ExpressionAttributeNames": {"#c": counter}}
    return {"Update": update | expression}


def _write(condition: str, values: Item | None = None, **more: Any) -> Item:
    write: Item = {"TableName": table.name, **more}
    if condition:
        write["ConditionExpression"] = condition
    if values:
        write["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    return write


def transact(*writes: Item) -> None:
    """All or none. Raises Refused when a condition is why."""
    for attempt in range(ATTEMPTS):
        try:
            client.transact_write_items(TransactItems=list(writes))
            return
        except client.exceptions.TransactionCanceledException as error:
            codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
        failed = {n for n, code in enumerate(codes) if code == "ConditionalCheckFailed"}
        if failed:
            raise Refused(failed)
        time.sleep(random.uniform(0, 0.02 * 2**attempt))  # another transaction has these items
    raise Problem(503, "Busy", "Many do this at the same time. Try again.", retry_after_s=1)
