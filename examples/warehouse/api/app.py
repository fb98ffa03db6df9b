"""api: the report page, and the reports behind it as JSON.

Event: HTTP API requests. Out: `GET /` the page; `GET /api/report` what rollup wrote last, with what
has happened since; `GET /api/reports/<name>?month=YYYY-MM` a named report, computed from the marts.
Only reads, and from small objects alone: nobody can make it scan the warehouse.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import json
import os
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import lake
import named
from boto3.dynamodb.conditions import Key

Answer = dict[str, Any]
SITE = Path(__file__).parent / "site"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def handler(event: dict[str, Any], _context: Any) -> Answer:
    path, query = event["rawPath"], event.get("queryStringParameters") or {}
    if path == "/api/report":
        return told(200, report(query.get("since", "")))
    if path.startswith("/api/reports/"):
        return named_report(path.removeprefix("/api/reports/"), query.get("month", ""))
    return page(path.lstrip("/") or "index.html")


def told(status: int, document: Any) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(document)}


def report(since: str) -> Answer:
    """`since`: the report that the page has already; it is not sent again."""
    content, _ = lake.load(lake.REPORT)
    document = json.loads(content) if content else None
    is_new = document is not None and document["generated_at"] != since
    return {"report": document if is_new else None, "has_report": bool(content), **live()}


@cache
def state() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["STATE_TABLE"])


def live() -> Answer:
    """What the next run of transform has to do, and when Orders last changed."""
    marks = state().query(KeyConditionExpression=Key("kind").eq("pending"))["Items"]
    seen = state().get_item(Key={"kind": "freshness", "name": "orders"}).get("Item")
    at = datetime.fromtimestamp(float(seen["changed_at"]), UTC).isoformat() if seen else None
    return {"changed_at": at, "pending_days": sorted({mark["date"] for mark in marks})}


def named_report(name: str, month: str) -> Answer:
    if name not in named.REPORTS:
        return told(404, {"message": f"Reports: {', '.join(named.REPORTS)}"})
    if month and not MONTH.fullmatch(month):
        return told(400, {"message": "month is YYYY-MM"})
    return told(200, named.REPORTS[name](month))


def page(name: str) -> Answer:
    files = {path.name: path for path in SITE.iterdir()}
    if name not in files:
        return told(404, {"message": "Not Found"})
    kind = f"{TYPES[files[name].suffix]}; charset=utf-8"
    headers = {"content-type": kind, "cache-control": "no-cache"}
    return {"statusCode": 200, "headers": headers, "body": files[name].read_text()}
