"""announce: a new order is published to the topic.

In: INSERTs of the stream of Orders. Out: one message per order, with the order's id.

An order that says it was announced is not announced again. Only a kill between publishing and
saying so can repeat a message; it then carries the same id, by which the desk knows it.
"""

import json
import os
from typing import Any

import boto3
from catalogue import PARTS

ORDERS = boto3.resource("dynamodb").Table(os.environ["ORDERS_TABLE"])
SNS = boto3.client("sns")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    for record in event["Records"]:
        image = record["dynamodb"]["NewImage"]
        key = {"part": image["part"]["S"], "installation": int(image["installation"]["N"])}
        order = ORDERS.get_item(Key=key, ConsistentRead=True).get("Item")
        if order and "announced_at" not in order:
            publish(order)
            announced(key, int(record["dynamodb"]["ApproximateCreationDateTime"]))
    return {"batchItemFailures": []}


def publish(order: dict[str, Any]) -> None:
    part = PARTS[order["name"]]
    text = (
        f"{part.label} of {order['machine']} is wearing out: {part.sensor} is "
        f"{order['deviation']} {part.unit} above what it should be (limit {part.limit})."
    )
    message = {
        "id": order["id"],
        "part": order["part"],
        "installation": int(order["installation"]),
        "text": text,
    }
    SNS.publish(
        TopicArn=os.environ["TOPIC"],
        Subject=f"Order {order['id']}"[:100],
        Message=json.dumps(message),
        MessageAttributes={"part": {"DataType": "String", "StringValue": order["name"]}},
    )


def announced(key: dict[str, Any], moment: int) -> None:
    ORDERS.update_item(
        Key=key,
        UpdateExpression="SET announced_at = if_not_exists(announced_at, :moment)",
        ExpressionAttributeValues={":moment": moment},
    )
