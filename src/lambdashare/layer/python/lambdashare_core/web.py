"""HTTP for handlers behind an HTTP API (payload format 2.0): requests, answers, dispatch.

A function hands `dispatch` a table of route keys as API Gateway writes them (`GET /v1/stats`);
the gateway has matched the path already, so nothing is matched twice.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from lambdashare_core.problems import Problem, malformed

MAX_BODY_BYTES = 1 << 20

log = logging.getLogger("lambdashare")
log.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    route: str
    path: str
    parameters: Mapping[str, str]  # of the path, percent-decoded
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    domain: str
    id: str

    def json(self) -> dict[str, Any]:
        if len(self.body) > MAX_BODY_BYTES:
            raise Problem(413, "too-large", f"The body is bigger than {MAX_BODY_BYTES} bytes.")
        try:
            document = json.loads(self.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise malformed(f"The body is not JSON: {error}.") from None
        if not isinstance(document, dict):
            raise malformed("The body must be a JSON object.")
        return document

    def wants_json(self) -> bool:
        accepted = self.headers.get("accept", "")
        return "json" in accepted and "text/html" not in accepted


@dataclass(slots=True)
class Answer:
    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def as_event(self) -> dict[str, Any]:
        return {"statusCode": self.status, "headers": self.headers, "body": self.body}


Handler = Callable[[Request], Answer]


def json_answer(document: Any, status: int = 200, **headers: str) -> Answer:
    """Header names are given with underscores: `cache_control="no-store"`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    common = {"content-type": "application/json", "cache-control": "no-store"}
    return Answer(status, json.dumps(document, ensure_ascii=False), common | named)


def problem_answer(problem: Problem, request_id: str) -> Answer:
    answer = json_answer(problem.document(request_id), problem.status)
    answer.headers["content-type"] = "application/problem+json"
    answer.headers |= problem.headers
    return answer


def request_of(event: Mapping[str, Any]) -> Request:
    context = event["requestContext"]
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    query = dict(parse_qsl(event.get("rawQueryString", ""), keep_blank_values=True))
    return Request(
        method=context["http"]["method"],
        route=event["routeKey"],
        path=event.get("rawPath", "/"),
        parameters={k: unquote(v) for k, v in (event.get("pathParameters") or {}).items()},
        query=query,
        headers={k.lower(): v for k, v in (event.get("headers") or {}).items()},
        body=raw,
        domain=context.get("domainName", "localhost"),
        id=context.get("requestId", ""),
    )


def dispatch(
    event: Mapping[str, Any],
    routes: Mapping[str, Handler],
    on_problem: Callable[[Request, Problem], Answer] | None = None,
) -> dict[str, Any]:
    """Answer one request; `$default` in `routes` takes what no other key names."""
    request = request_of(event)
    handler = routes.get(request.route) or routes["$default"]
    try:
        answer = handler(request)
    except Problem as problem:
        answer = on_problem(request, problem) if on_problem else _plain(request, problem)
    except Exception:
        log.exception("request %s failed", request.id)
        failure = Problem(500, "internal", "Something went wrong here; it has been logged.")
        answer = _plain(request, failure)
    answer.headers.setdefault("x-request-id", request.id)
    return answer.as_event()


def _plain(request: Request, problem: Problem) -> Answer:
    return problem_answer(problem, request.id)
