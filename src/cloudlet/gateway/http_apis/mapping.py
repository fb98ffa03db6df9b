"""Parameter mapping of HTTP APIs: what a route changes in requests and in answers.

Keys say where and how (`append:header.x`, `overwrite:path`, `remove:querystring.y`), values are
static or name something (`$request.header.a`, `${context.requestId}/x`, `$response.body.id`).
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import orjson

from cloudlet.exchange import Request, Response
from cloudlet.gateway import variables
from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.gateway.rest import jsonpath

Resolve = Callable[[str], str | None]
_REQUEST_KEY = re.compile(
    r"(append|overwrite|remove):(?:(header|querystring)\.(.+)|(path))", re.DOTALL
)
_RESPONSE_KEY = re.compile(r"(append|overwrite|remove):(?:(header)\.(.+)|(statuscode))", re.DOTALL)
_NAMED = re.compile(
    r"\$\{((?:request|response|context|stageVariables)\b[^}]*)\}"
    r"|^\$((?:request|response|context|stageVariables)\b.*)$",
    re.DOTALL,
)
_KNOWN = ("context", "stageVariables")
_BODY_MAX_BYTES = 100 * 1024  # of a body that a JSONPath looks into
_RESERVED = re.compile(
    r"access-control-.*|apigw-.*|authorization|connection|content-encoding|content-length"
    r"|content-location|forwarded|keep-alive|origin|proxy-authenticate|proxy-authorization|te"
    r"|trailers?|transfer-encoding|upgrade|x-amz-.*|x-amzn-.*|x-forwarded-.*|via|host"
)


def check_request(parameters: Mapping[str, str]) -> None:
    for key, value in parameters.items():
        _check(_REQUEST_KEY, key, value, "request")


def check_response(parameters: Mapping[str, Mapping[str, str]]) -> None:
    for status, changes in parameters.items():
        if not re.fullmatch(r"[2-5]\d\d", status):
            raise bad_request(f"Invalid status code {status!r} in response parameters")
        for key, value in changes.items():
            _check(_RESPONSE_KEY, key, value, "response")


def _check(form: re.Pattern[str], key: str, value: str, what: str) -> None:
    found = form.fullmatch(key)
    if found is None or (found.group(4) and found.group(1) != "overwrite"):
        raise bad_request(f"Invalid mapping expression specified: {key}")
    name = (found.group(3) or "").lower()
    if found.group(2) == "header" and _RESERVED.fullmatch(name):
        raise bad_request(
            f"Operations on header {name} are restricted in {what} parameter mappings"
        )
    for named in _NAMED.findall(value):
        expression = named[0] or named[1]
        if expression.startswith("response") and what == "request":
            raise bad_request(f"Invalid mapping expression specified: {value}")


def on_request(
    parameters: Mapping[str, str], request: Request, path: str, resolve: Resolve
) -> tuple[Request, str]:
    """The request and the path as the integration gets them."""
    headers, query = dict(request.headers), request.query
    for key, expression in parameters.items():
        found = _REQUEST_KEY.fullmatch(key)
        assert found is not None
        how, place, name = found.group(1, 2, 3)
        value = evaluated(expression, resolve)
        if place == "header":
            _change_header(headers, how, name.lower(), value)
        elif place == "querystring":
            query = _change_query(query, how, name, value)
        else:
            path = value if value.startswith("/") else f"/{value}"
    return replace(request, headers=headers, query=query), path


def on_response(
    parameters: Mapping[str, Mapping[str, str]], response: Response, resolve: Resolve
) -> Response:
    changes = parameters.get(str(response.status))
    if not changes:
        return response
    headers: list[tuple[str, str]] = list(response.headers)
    status = response.status
    for key, expression in changes.items():
        found = _RESPONSE_KEY.fullmatch(key)
        assert found is not None
        how, place, name = found.group(1, 2, 3)
        value = evaluated(expression, resolve)
        if place is None:
            status = int(value) if re.fullmatch(r"[2-5]\d\d", value) else status
            continue
        name = name.lower()
        if how != "append":
            headers = [header for header in headers if header[0] != name]
        if how != "remove":
            headers.append((name, value.replace("\r", "").replace("\n", "")))
    return Response(status, headers, response.body)


def evaluated(expression: str, resolve: Resolve) -> str:
    return _NAMED.sub(lambda found: resolve(found.group(1) or found.group(2)) or "", expression)


def resolver(
    request: Request, body: bytes, path: tuple[str, Mapping[str, str]], context: Document
) -> Resolve:
    """Names of `request.…`, `context.…`, `stageVariables.…`; `path` is (path, its parameters)."""

    def resolve(name: str) -> str | None:
        place, _, rest = name.partition(".")
        if place in _KNOWN:
            return _known(place, rest, context)
        if place != "request":
            return None
        part, _, name = rest.partition(".")
        if part == "header":
            return request.headers.get(name.lower())
        if part == "querystring":
            found = [value for key, value in request.arguments() if key == name]
            return ",".join(found) or None
        if part == "path":
            return path[1].get(name) if name else path[0]
        return in_body(body, rest) if part.startswith("body") else None

    return resolve


def response_resolver(response: Response, context: Document) -> Resolve:
    def resolve(name: str) -> str | None:
        place, _, rest = name.partition(".")
        if place in _KNOWN:
            return _known(place, rest, context)
        if rest.startswith("header."):
            wanted = rest[7:].lower()
            return ",".join(v for n, v in response.headers if n == wanted) or None
        body = response.body if isinstance(response.body, bytes) else b""
        return in_body(body, rest) if place == "response" and rest.startswith("body") else None

    return resolve


def _known(place: str, name: str, context: Document) -> str:
    found = context.get("stageVariables") or {} if place == "stageVariables" else context
    return variables.text(variables.lookup(found, name))


def in_body(body: bytes, expression: str) -> str | None:
    """`body`, whole; or what `body.a[0].b` leads to."""
    if expression == "body":
        return body.decode(errors="replace")
    try:
        document = orjson.loads(body[:_BODY_MAX_BYTES])
        value: Any = jsonpath.find(document, expression.removeprefix("body"))
    except (ValueError, jsonpath.PathError):
        return None
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return variables.text(value)


def _change_header(headers: dict[str, str], how: str, name: str, value: str) -> None:
    value = value.replace("\r", "").replace("\n", "")
    if how == "remove":
        headers.pop(name, None)
    elif how == "append" and name in headers:
        headers[name] = f"{headers[name]},{value}"
    else:
        headers[name] = value


def _change_query(query: str, how: str, name: str, value: str) -> str:
    arguments = query.split("&") if query else []
    if how != "append":
        arguments = [a for a in arguments if unquote_plus(a.partition("=")[0]) != name]
    if how != "remove":
        arguments.append(f"{quote_plus(name)}={quote_plus(value)}")
    return "&".join(arguments)
