"""Mapping templates: `$input`, `$util`, `$context` and `$stageVariables` for the VTL engine.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

import base64
import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import orjson

from cloudlet.gateway.rest import jsonpath
from cloudlet.gateway.rest.faults import misconfigured
from cloudlet.gateway.rest.passage import Headers, Passage
from cloudlet.gateway.rest.vtl import Template, VtlError
from cloudlet.gateway.rest.vtl_values import Methods, json_value, text

_ESCAPES = {
    "'": "\\'", '"': '\\"', "\\": "\\\\", "/": "\\/",
    "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f",
}  # fmt: skip
_ESCAPED = re.compile(r"""['"\\/\x00-\x1f\x7f-\U0010ffff]""")
_compiled = lru_cache(maxsize=512)(Template)


def render(source: str, passage: Passage, body: str) -> str:
    """`body` is the request's, in request templates; the integration's in response templates."""
    variables = {
        "input": _Input(body, passage),
        "util": _UTIL,
        "context": passage.scope,
        "stageVariables": dict(passage.served.variables),
    }
    try:
        return _compiled(source).render(variables)
    except VtlError as error:
        raise misconfigured(f"Unable to transform: {error}") from error


class _Input(Methods):
    def __init__(self, body: str, passage: Passage) -> None:
        self._body = body
        self._passage = passage
        self._document: Any = None
        self._is_parsed = False
        self.methods = {"json": self._json, "path": self._path, "params": self._params}
        # gateway-056: an empty body is an empty object to templates
        self.properties = {"body": body or "{}"}

    def _find(self, path: str) -> Any:
        if not self._is_parsed:
            self._is_parsed = True
            try:
                self._document = orjson.loads(self._body) if self._body else None
            except ValueError:
                self._document = None
        if self._document is None:
            return None
        try:
            return jsonpath.find(self._document, path)
        except jsonpath.PathError as error:
            raise VtlError(f"Invalid JSON path: {error}") from error

    def _json(self, path: str = "$") -> str:
        found = self._find(path)
        if found is None and not self._body and path == "$":
            return "{}"
        return '""' if found is None else orjson.dumps(found).decode()

    def _path(self, path: str = "$") -> Any:
        found = self._find(path)
        if found is None and not self._body and path == "$":
            return {}
        return json_value(found)

    def _params(self, name: str | None = None) -> Any:
        passage = self._passage
        places: dict[str, dict[str, str]] = {
            "path": passage.path_parameters,
            "querystring": {key: values[-1] for key, values in passage.query.items()},
            "header": Headers(passage.headers),
        }
        if name is None:
            return places
        for values in places.values():
            found = values.get(name)
            if found is not None:
                return found
        return ""


def _escape_javascript(value: Any) -> str:
    def escaped(found: re.Match[str]) -> str:
        character = found.group()
        if character in _ESCAPES:
            return _ESCAPES[character]
        units = character.encode("utf-16-be", "surrogatepass").hex().upper()
        return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))

    return _ESCAPED.sub(escaped, text(value))


def _parse_json(value: Any) -> Any:
    try:
        return json_value(orjson.loads(value))
    except (TypeError, ValueError) as error:
        raise VtlError("parseJson: not JSON") from error


def _as_text(value: Any) -> str:
    return "" if value is None else text(value)


class _Util(Methods):
    methods = {  # noqa: RUF012
        "escapeJavaScript": _escape_javascript,
        "parseJson": _parse_json,
        "urlEncode": lambda value: quote_plus(_as_text(value), safe="*-._"),
        "urlDecode": lambda value: unquote_plus(_as_text(value)),
        "base64Encode": lambda value: base64.b64encode(_as_text(value).encode()).decode(),
        "base64Decode": lambda value: base64.b64decode(_as_text(value)).decode(errors="replace"),
    }


_UTIL = _Util()
