"""about: the API's description, and the answer to every request that no route takes."""

import json
import re
from typing import Any

from about_openapi import document
from lambdashare_core import links, pages
from lambdashare_core.problems import Problem, not_found
from lambdashare_core.web import Answer, Request, dispatch, json_answer


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    routes = {"GET /v1/openapi.json": describe, "$default": refuse}
    return dispatch(event, routes, pages.problem)


def describe(request: Request) -> Answer:
    described = document()
    described["servers"] = [{"url": links.origin(request) or "/"}]
    return json_answer(described, cache_control="public, max-age=300")


def refuse(request: Request) -> Answer:
    """405 where the path is known by other methods, 404 elsewhere.

    `/{name}` takes a PUT of any name, but for who looks there it is nothing.
    """
    allowed = sorted(_methods(request.path))
    if allowed and (allowed != ["PUT"] or request.method not in ("GET", "HEAD")):
        detail = f"{request.path} takes {', '.join(allowed)}."
        raise Problem(405, "method-not-allowed", detail, headers={"allow": ", ".join(allowed)})
    raise not_found(f"There is nothing at {json.dumps(request.path)[1:-1]}.")


def _methods(path: str) -> set[str]:
    """The most exact path wins, as at the gateway: `/{name}` takes only what nothing else does."""
    for template, item in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            return {method.upper() for method in item if method != "parameters"}
    return set()
