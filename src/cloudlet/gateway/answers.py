"""Answers that gateways give themselves: JSON."""

from typing import Any

import orjson

from cloudlet.exchange import Response


def json(status: int, document: Any, *headers: tuple[str, str]) -> Response:
    body = orjson.dumps(document, default=str)
    return Response(status, [("content-type", "application/json"), *headers], body)


def message(status: int, text: str | None, *headers: tuple[str, str]) -> Response:
    return json(status, {"message": text}, *headers)
