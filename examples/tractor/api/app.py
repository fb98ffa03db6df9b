"""api: what the page shows, and the page itself.

GET /fleet           all machines, and how much of each part's limit is used up
GET /orders          the orders, newest first
GET /machines/{machine}/parts/{part}    the last windows of one sensor
GET /, /{file}       the page
"""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from catalogue import PARTS, sheet

DYNAMODB = boto3.resource("dynamodb")
MACHINES = DYNAMODB.Table(os.environ["MACHINES_TABLE"])
WINDOWS = DYNAMODB.Table(os.environ["WINDOWS_TABLE"])
ORDERS = DYNAMODB.Table(os.environ["ORDERS_TABLE"])
SITE = Path(__file__).parent / "site"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
SHOWN_WINDOWS = 96  # eight hours
SHOWN_PART = ("installation", "since", "over", "share")

Answer = dict[str, Any]


def handler(event: dict[str, Any], _context: Any) -> Answer:
    given = event.get("pathParameters") or {}
    match event["routeKey"]:
        case "GET /fleet":
            return document({"parts": sheet(), "machines": fleet()})
        case "GET /orders":
            return document({"orders": orders()})
        case "GET /machines/{machine}/parts/{part}" if given["part"] in PARTS:
            return document({"windows": windows(given["machine"], given["part"])})
        case "GET /" | "GET /{file}":
            return page(given.get("file", "index.html"))
    return document({"message": "There is no such thing here."}, 404)


def fleet() -> list[dict[str, Any]]:
    """A scan: a fleet has tens of machines."""
    machines = []
    for item in scan(MACHINES):
        state = json.loads(item["state"])
        parts = {
            name: {field: part[field] for field in SHOWN_PART}
            for name, part in state["parts"].items()
        }
        machines.append({"machine": item["machine"], "at": state["at"], "parts": parts})
    return sorted(machines, key=lambda machine: machine["machine"])


def orders() -> list[dict[str, Any]]:
    return sorted(scan(ORDERS), key=lambda order: (order["ordered_at"], order["id"]), reverse=True)


def windows(machine: str, part: str) -> list[dict[str, Any]]:
    found = WINDOWS.query(
        KeyConditionExpression=Key("part").eq(f"{machine}#{part}"),
        ScanIndexForward=False,
        Limit=SHOWN_WINDOWS,
    )
    return [item for item in reversed(found["Items"])]


def scan(table: Any) -> list[dict[str, Any]]:
    items, more = [], {}
    while more is not None:
        found = table.scan(ConsistentRead=True, **more)
        items += found["Items"]
        last = found.get("LastEvaluatedKey")
        more = {"ExclusiveStartKey": last} if last else None
    return items


def page(name: str) -> Answer:
    path = SITE / name
    if path.parent != SITE or path.suffix not in TYPES or not path.is_file():
        return document({"message": "There is no such page."}, 404)
    headers = {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", "Cache-Control": "no-cache"}
    return {"statusCode": 200, "headers": headers, "body": path.read_text()}


def document(value: Any, status: int = 200) -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(value, default=number)}


def number(value: Any) -> float | int:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value)} is no number")
    return int(value) if value == value.to_integral_value() else float(value)
