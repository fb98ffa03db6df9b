"""api: what is on top, now or at any moment; how often a tag was mentioned; the page.

GET /top?window=1m|5m|1h&at=SECONDS&by=score|count     without `at`: as of the latest post
GET /tags/{tag}?from=SECONDS&to=SECONDS                per 10 s, or per minute over an hour
GET /, /{file}                                         the page
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

import boto3
from buckets import PARTS, STEPS, row, start_of
from trends import Spans, Totals, top

WINDOWS = {"1m": 60, "5m": 300, "1h": 3600}
SHOWN = 10
SERIES_MAX_S = 86400
FINE_S = 3600
SHOWN_S = 1800
DYNAMODB = boto3.client("dynamodb")
TABLE = os.environ["COUNTS_TABLE"]
THREADS = ThreadPoolExecutor(PARTS)
SITE = Path(__file__).parent / "site"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

Answer = dict[str, Any]


def handler(event: dict[str, Any], _context: Any) -> Answer:
    given = event.get("pathParameters") or {}
    query = event.get("queryStringParameters") or {}
    try:
        match event["routeKey"]:
            case "GET /top":
                return document(show_top(query))
            case "GET /tags/{tag}":
                return document(show_series(unquote(given["tag"]), query))
            case _:
                return page(given.get("file", "index.html"))
    except ValueError as error:
        return document({"message": str(error)}, 400)


def show_top(query: dict[str, str]) -> dict[str, Any]:
    window = WINDOWS[chosen(query, "window", WINDOWS, "5m")]
    by = chosen(query, "by", ("score", "count"), "score")
    first, last = extent()
    until = start_of("10s", seconds(query, "at", last))
    since = max(until - window, 0)
    now, trends = top(read, since, until, first)
    trends.sort(key=lambda trend: (-getattr(trend, by), -trend.count, trend.tag))
    return {
        "from": since,
        "to": until,
        "first": first,
        "last": last,
        "posts": now.posts,
        "tags": [asdict(trend) for trend in trends[:SHOWN]],
    }


def show_series(tag: str, query: dict[str, str]) -> dict[str, Any]:
    tag = normalize("NFC", normalize("NFC", tag).casefold())
    last = extent()[1] if "to" not in query else 0
    until = seconds(query, "to", last)
    since = seconds(query, "from", until - SHOWN_S)
    if not 0 < until - since <= SERIES_MAX_S:
        raise ValueError(f"from must be before to, by at most {SERIES_MAX_S} seconds.")
    step = "10s" if until - since <= FINE_S else "1m"
    found: Counter[int] = Counter()
    for item in all_rows([(step, start_of(step, since), until)]):
        found[int(item["start"]["N"])] += json.loads(item["counts"]["S"]).get(tag, 0)
    starts = range(start_of(step, since), until, STEPS[step])
    points = [[start, found[start]] for start in starts]
    return {"tag": tag, "step": STEPS[step], "points": points}


def chosen(query: dict[str, str], name: str, values: Any, default: str) -> str:
    value = query.get(name, default)
    if value not in values:
        raise ValueError(f"{name} must be one of {', '.join(values)}.")
    return value


def seconds(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isdecimal() or len(value) > 10:
        raise ValueError(f"{name} must be a moment in seconds since 1970.")
    return int(value)


def extent() -> tuple[int, int]:
    """When the first and the last posts were written, on the grid of ten seconds; (0, 0): none."""
    firsts = [start for part in range(PARTS) for start in edge("1m", part, forward=True)]
    lasts = [start for part in range(PARTS) for start in edge("10s", part, forward=False)]
    return min(firsts, default=0), max(lasts, default=-STEPS["10s"]) + STEPS["10s"]


def edge(step: str, part: int, *, forward: bool) -> Iterator[int]:
    found = DYNAMODB.query(
        TableName=TABLE,
        KeyConditionExpression="#row = :row",
        ProjectionExpression="#start",
        ExpressionAttributeNames={"#row": "row", "#start": "start"},
        ExpressionAttributeValues={":row": {"S": row(step, part)}},
        ScanIndexForward=forward,
        Limit=1,
    )
    yield from (int(item["start"]["N"]) for item in found["Items"])


def read(wanted: Spans) -> Totals:
    totals = Totals()
    for item in all_rows(wanted):
        totals.posts += int(item["posts"]["N"])
        totals.counts.update(json.loads(item["counts"]["S"]))
    return totals


def all_rows(wanted: Spans) -> Iterator[dict[str, Any]]:
    """Of all parts, which are asked for at the same time."""
    asked = [(span, part) for span in wanted for part in range(PARTS)]
    for items in THREADS.map(lambda one: list(rows(*one[0], one[1])), asked):
        yield from items


def rows(step: str, since: int, until: int, part: int) -> Iterator[dict[str, Any]]:
    pages = DYNAMODB.get_paginator("query").paginate(
        TableName=TABLE,
        KeyConditionExpression="#row = :row AND #start BETWEEN :since AND :until",
        ProjectionExpression="#start, posts, #counts",
        ExpressionAttributeNames={"#row": "row", "#start": "start", "#counts": "counts"},
        ExpressionAttributeValues={
            ":row": {"S": row(step, part)},
            ":since": {"N": str(since)},
            ":until": {"N": str(until - 1)},
        },
    )
    for answer in pages:
        yield from answer["Items"]


def page(name: str) -> Answer:
    path = SITE / name
    if path.parent != SITE or path.suffix not in TYPES or not path.is_file():
        return document({"message": "There is no such page."}, 404)
    headers = {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", "Cache-Control": "no-cache"}
    return {"statusCode": 200, "headers": headers, "body": path.read_text()}


def document(value: Any, status: int = 200) -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    body = json.dumps(value, ensure_ascii=False)
    return {"statusCode": status, "headers": headers, "body": body}
