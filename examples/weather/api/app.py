"""api: what the table knows, as JSON.

In: requests of the REST API (Lambda proxy), which has already refused those without their
parameters. Most requests never come here: the stage's cache answers them. Each answer names the
request that it was made for (`x-made-for`): where that is another one than the answer's own
`x-amzn-RequestId`, the answer came from the cache.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html
"""

import json
import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.conditions import ConditionBase, Key

DAYS_MAX = 3660
Answer = dict[str, Any]
Item = dict[str, Any]


class Problem(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def handler(event: dict[str, Any], _context: Any) -> Answer:
    parameters = {
        **(event.get("pathParameters") or {}),
        **(event.get("queryStringParameters") or {}),
    }
    try:
        status, document = 200, ROUTES[event["resource"]](parameters)
    except Problem as problem:
        status, document = problem.status, {"message": str(problem)}
    headers = {
        "Content-Type": "application/json",
        "Access-Control-Allow-Origin": os.environ["SITE"],
        "Access-Control-Expose-Headers": "x-amzn-RequestId, x-made-for",
        "x-made-for": event["requestContext"]["requestId"],
    }
    return {"statusCode": status, "headers": headers, "body": json.dumps(document, default=float)}


def stations(_parameters: dict[str, str]) -> Answer:
    found = query(Key("station").eq("stations"))
    return {"stations": [{"id": item["time"], **without_keys(item)} for item in found]}


def latest(parameters: dict[str, str]) -> Answer:
    """The newest hour or, where there are days alone, the newest day."""
    newest = [
        item
        for kind in ("hour#", "day#")
        for item in query(of(parameters["id"], kind), ScanIndexForward=False, Limit=1)
    ]
    if not newest:
        raise Problem(404, "there is nothing of this station")
    item = max(newest, key=lambda each: moment(each))
    return {"station": parameters["id"], "time": moment(item), **without_keys(item)}


def days(parameters: dict[str, str]) -> Answer:
    first, last = (day_of(parameters, name) for name in ("from", "to"))
    if first > last:
        raise Problem(400, "from must not be after to")
    if (last - first).days >= DAYS_MAX:
        raise Problem(400, f"at most {DAYS_MAX} days at once")
    between = Key("time").between(f"day#{first}", f"day#{last}")
    found = query(Key("station").eq(parameters["id"]) & between)
    return {
        "station": parameters["id"],
        "days": [{"date": moment(day), **without_keys(day)} for day in found],
    }


def day_of(parameters: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat(parameters[name])
    except ValueError:
        raise Problem(400, f"{name} must be a day like 2014-06-30") from None


def climate(parameters: dict[str, str]) -> Answer:
    found = query(of(parameters["id"], "climate#"))
    months = [{"month": int(moment(item)), **without_keys(item)} for item in found]
    return {"station": parameters["id"], "months": months}


def of(station: str, kind: str) -> ConditionBase:
    return Key("station").eq(station) & Key("time").begins_with(kind)


def query(condition: ConditionBase, **options: Any) -> list[Item]:
    """All pages, unless there is a limit."""
    found: list[Item] = []
    while True:
        page = table().query(KeyConditionExpression=condition, **options)
        found += page["Items"]
        if "LastEvaluatedKey" not in page or "Limit" in options:
            return found
        options["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def moment(item: Item) -> str:
    """`2014-06-30` of `day#2014-06-30`."""
    return str(item["time"]).partition("#")[2]


def without_keys(item: Item) -> Item:
    return {
        name: int(value) if isinstance(value, Decimal) and value % 1 == 0 else value
        for name, value in item.items()
        if name not in ("station", "time")
    }


@cache
def table() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["TABLE"])


ROUTES: dict[str, Callable[[dict[str, str]], Answer]] = {
    "/stations": stations,
    "/stations/{id}/latest": latest,
    "/stations/{id}/days": days,
    "/stations/{id}/climate": climate,
}
