"""The errors that readers of the API see: RFC 9457 problem details.

Whoever knows a rule raises `Problem`; `web` formats it. https://www.rfc-editor.org/rfc/rfc9457
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class Problem(Exception):
    """`kind` is the last part of the problem's type; `extra` are its own members."""

    def __init__(self, status: int, kind: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers: dict[str, str] = extra.pop("headers", {})
        self.extra = extra

    def document(self, request_id: str) -> dict[str, Any]:
        return {
            "type": f"urn:lambdashare:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": request_id,
            **self.extra,
        }


def malformed(detail: str) -> Problem:
    return Problem(400, "malformed", detail)


def not_found(detail: str) -> Problem:
    return Problem(404, "not-found", detail)


def conflict(detail: str, **extra: Any) -> Problem:
    return Problem(409, "conflict", detail, **extra)


def invalid(errors: Mapping[str, str]) -> Problem:
    """`errors` maps JSON pointers to what is wrong there."""
    listed = [{"pointer": pointer, "detail": detail} for pointer, detail in errors.items()]
    return Problem(422, "invalid", "The request is not valid.", errors=listed)
