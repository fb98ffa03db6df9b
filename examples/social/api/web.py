"""Proxy events → requests, results → proxy answers."""

import json
from dataclasses import dataclass
from typing import Any

from problems import Problem, malformed

Result = tuple[int, Any]  # status and body; a Problem is a body, too


@dataclass(frozen=True, slots=True)
class Request:
    id: str
    user: str  # "" before there is a session
    path: dict[str, str]
    query: dict[str, str]
    body: str

    @classmethod
    def of(cls, event: dict[str, Any]) -> "Request":
        context = event["requestContext"]
        return cls(
            id=context["requestId"],
            user=(context.get("authorizer") or {}).get("handle", ""),
            path=event.get("pathParameters") or {},
            query=event.get("queryStringParameters") or {},
            body=event.get("body") or "",
        )

    def fields(self, **limits: int) -> dict[str, str]:
        """The members of the body, all texts, with their greatest lengths.

        The gateway checks bodies against models only if they say that they are JSON.
        """
        try:
            found = json.loads(self.body)
            json.dumps(found, ensure_ascii=False).encode()  # halves of surrogate pairs are no text
        except ValueError:
            raise malformed("The body must be JSON.") from None
        if not isinstance(found, dict) or found.keys() - limits.keys():
            raise malformed(f"The body has no other members than {', '.join(limits)}.")
        for name, value in found.items():
            if not isinstance(value, str) or not 0 < len(value) <= limits[name]:
                raise malformed(f"'{name}' must be a text of 1 to {limits[name]} characters.")
        return found

    def limit(self, default: int, maximum: int) -> int:
        given = self.query.get("limit", str(default))
        if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= maximum:
            raise malformed(f"'limit' must be from 1 to {maximum}.")
        return int(given)


def problem(refusal: Problem, request_id: str) -> Result:
    return refusal.status, refusal


def answer(status: int, body: Any, request_id: str) -> dict[str, Any]:
    headers = {"access-control-allow-origin": "*", "cache-control": "no-store"}
    if isinstance(body, Problem):
        headers["content-type"] = "application/problem+json"
        if body.retry_after_s:
            headers["retry-after"] = str(body.retry_after_s)
        body = {"title": body.title, "status": status, "detail": body.detail} | {
            "request_id": request_id
        }
    elif body is not None:
        headers["content-type"] = "application/json"
    text = "" if body is None else json.dumps(body, ensure_ascii=False)
    return {"statusCode": status, "headers": headers, "body": text}
