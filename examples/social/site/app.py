"""site: the web client's files, and its API key.

In comes API Gateway's proxy event of `GET /` or `GET /site/{file}`. The key's value is asked of API
Gateway once per instance. It is no secret: whoever loads the page may read it.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import boto3

HERE = Path(__file__).parent
KINDS = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
}
HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    name = (event.get("pathParameters") or {}).get("file", "index.html")
    if name == "key.json":
        return answer(200, "application/json", json.dumps({"key": key()}))
    if name not in KINDS:
        problem = {"title": "Not found", "status": 404}
        return answer(404, "application/problem+json", json.dumps(problem))
    return answer(200, KINDS[name], (HERE / name).read_text())


@cache
def key() -> str:
    found = boto3.client("apigateway").get_api_key(
        apiKey=os.environ["WEB_KEY_ID"], includeValue=True
    )
    return str(found["value"])


def answer(status: int, kind: str, body: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {**HEADERS, "content-type": kind}, "body": body}
