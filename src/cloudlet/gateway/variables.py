"""`$context` and its neighbours: how configurations name what a request brings along.

A context is a nested dictionary in AWS's names (`{"identity": {"sourceIp": …}}`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.exchange import Request

Context = Mapping[str, Any]
_SOURCE = re.compile(
    r"\$?(?:(?:method|route)\.)?(?:request\.(header|querystring)|(context|stageVariables))\.(.+)"
)


def lookup(context: Context, path: str) -> Any:
    """The value that `identity.sourceIp` names, or None; a name may itself contain dots."""
    if path in context:
        return context[path]
    first, _, rest = path.partition(".")
    value = context.get(first)
    return lookup(value, rest) if rest and isinstance(value, Mapping) else None


def text(value: Any) -> str:
    """How AWS writes a value where text is wanted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def identity(
    sources: list[str], request: Request, context: Context, variables: Mapping[str, str]
) -> tuple[str, ...] | None:
    """What an authorizer's identity sources say of a request; None if one is missing or empty.

    HTTP (`$request.header.X`), REST (`method.request.header.X`) and WebSocket APIs
    (`route.request.header.X`) differ in prefixes only.
    """
    values = []
    for source in sources:
        found = _SOURCE.fullmatch(source.strip())
        if found is None:
            return None
        place, name = found.group(1) or found.group(2), found.group(3)
        if place == "header":
            value = request.headers.get(name.lower())
        elif place == "querystring":
            value = dict(request.arguments()).get(name)
        elif place == "context":
            value = text(lookup(context, name))
        else:
            value = variables.get(name)
        if not value:
            return None
        values.append(value)
    return tuple(values)


def is_source(source: str) -> bool:
    return _SOURCE.fullmatch(source.strip()) is not None
