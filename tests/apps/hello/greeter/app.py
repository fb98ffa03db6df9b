"""Greets, and counts how often each guest came: by name, by card, by the clock."""

import json
import os
from typing import Any

import boto3

guests = boto3.resource("dynamodb").Table(os.environ["GUESTS"])


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if "Records" in event:
        return {"came": [sign(record["s3"]["object"]["key"]) for record in event["Records"]]}
    if event.get("clock"):
        return {"came": sign("the clock")}
    name = event["pathParameters"]["name"]
    greeting = {"hello": name, "visits": sign(name)}
    return {"statusCode": 200, "headers": {"x-greeter": "1"}, "body": json.dumps(greeting)}


def sign(name: str) -> int:
    changed = guests.update_item(
        Key={"name": name},
        UpdateExpression="ADD visits :one",
        ExpressionAttributeValues={":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    return int(changed["Attributes"]["visits"])
