"""Between method and integration: parameters, bodies and templates, there and back.

https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-data-transformations.html
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from cloudlet.exchange import Response
from cloudlet.gateway.rest import jsonpath, templates
from cloudlet.gateway.rest.faults import Fault, misconfigured
from cloudlet.gateway.rest.passage import Passage
from cloudlet.gateway.variables import lookup, text
from cloudlet.policy import regexes

Values = dict[str, str | list[str]]
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BODY = ("method.request.body", "integration.response.body")
# named so, since the connection to the client has its own
_REMAPPED = frozenset(
    ("connection", "content-length", "date", "server", "www-authenticate", "x-amzn-requestid")
)
_DROPPED = frozenset(("transfer-encoding", "keep-alive", "upgrade", "trailer", "te"))


@dataclass(slots=True)
class Mapped:
    """What an integration is sent; header names in lower case."""

    headers: dict[str, str] = field(default_factory=dict)
    query: Values = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def parameters(passage: Passage) -> Mapped:
    """The integration's request parameters."""
    mapped = Mapped()
    for target, source in (passage.method.integration.get("requestParameters") or {}).items():
        place, _, name = target.removeprefix("integration.request.").partition(".")
        found = value_of(passage, source)
        if found is None or found == "":
            continue
        _put(mapped, place, name, found)
    return mapped


def _put(mapped: Mapped, place: str, name: str, value: Any) -> None:
    if place == "querystring":
        mapped.query[name] = value if isinstance(value, list) else text(value)
        return
    flat = ",".join(map(text, value)) if isinstance(value, list) else text(value)
    if place == "header":
        mapped.headers[name.lower()] = _CONTROL.sub(" ", flat)
    else:
        mapped.path[name] = flat


def value_of(passage: Passage, source: str, response: Response | None = None) -> Any:
    """What a mapping expression names; `response` is the integration's."""
    if source.startswith("'"):
        return source[1:-1]
    for prefix in _BODY:
        if source == prefix or source.startswith(f"{prefix}."):
            body = response.body if response is not None else passage.body
            assert isinstance(body, bytes)
            return _in_body(body, source[len(prefix) + 1 :])
    if source.startswith("context."):
        return lookup(passage.context, source.removeprefix("context."))
    if source.startswith("stageVariables."):
        return passage.served.variables.get(source.removeprefix("stageVariables."))
    if source.startswith("integration.response.") and response is not None:
        place, _, name = source.removeprefix("integration.response.").partition(".")
        found = [value for key, value in response.headers if key.lower() == name.lower()]
        return _of_many(found, place == "multivalueheader")
    place, _, name = source.removeprefix("method.request.").partition(".")
    if place == "path":
        return passage.path_parameters.get(name)
    if place in ("querystring", "multivaluequerystring"):
        values = passage.query.get(name)
        if not values:
            return None
        return values if len(values) > 1 and place != "querystring" else values[-1]
    if place == "multivalueheader":
        lower = name.lower()
        lists = passage.header_lists.items()
        return next((values for key, values in lists if key.lower() == lower), None)
    return passage.headers.get(name)


def _of_many(values: list[str], all_of_them: bool) -> str | None:
    if not values:
        return None
    return ",".join(values) if all_of_them else values[-1]


def _in_body(body: bytes, path: str) -> Any:
    if not path:
        return body.decode(errors="replace")
    try:
        found = jsonpath.find(orjson.loads(body), path)
        return found if isinstance(found, str) or found is None else orjson.dumps(found).decode()
    except (ValueError, TypeError, RecursionError):  # TypeError: nested too deep to be written
        return None


# The request


def request(passage: Passage) -> Mapped:
    """What a non-proxy integration is sent; raises Fault UNSUPPORTED_MEDIA_TYPE."""
    template = _request_template(passage)
    mapped = parameters(passage)
    body = _request_body(passage)
    if template is None:
        mapped.body = body
        return mapped
    mapped.body = templates.render(template, passage, _decoded(body)).encode()
    for place, values in passage.scope["requestOverride"].items():
        for name, value in values.items():
            _put(mapped, place, name, value)
    return mapped


def _request_template(passage: Passage) -> str | None:
    integration = passage.method.integration
    known: dict[str, str] = integration.get("requestTemplates") or {}
    content_type = passage.request.headers.get("content-type") or "application/json"
    media = content_type.split(";")[0].strip().lower()
    for key in (content_type, media, "$default"):
        if key in known:
            return known[key]
    behavior = integration.get("passthroughBehavior") or "WHEN_NO_MATCH"
    if behavior == "NEVER" or (behavior == "WHEN_NO_TEMPLATES" and known):
        raise Fault("UNSUPPORTED_MEDIA_TYPE")
    return None


def _request_body(passage: Passage) -> bytes:
    """The body converted as `contentHandling` says; text is made valid UTF-8, as AWS does."""
    handling = passage.method.integration.get("contentHandling")
    if passage.served.is_binary(passage.request.headers.get("content-type")):
        is_text = handling == "CONVERT_TO_TEXT"
        return base64.b64encode(passage.body) if is_text else passage.body
    if handling == "CONVERT_TO_BINARY":
        return _from_base64(passage.body)
    return passage.body.decode(errors="replace").encode()


def _from_base64(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise misconfigured("Unable to base64 decode the body.") from None


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise misconfigured("Unable to transform a binary body.") from None


# The response


def response(passage: Passage, answer: Response, selected_by: str) -> Response:
    """The method's response; `selected_by` is the status, or a function's error message."""
    chosen = _select(passage.method.integration.get("integrationResponses") or {}, selected_by)
    headers: dict[str, str] = {}
    for target, source in (chosen.get("responseParameters") or {}).items():
        found = value_of(passage, source, answer)
        if found is not None and found != "":
            headers[target.removeprefix("method.response.header.").lower()] = text(found)
    kind, template = _response_template(passage, chosen.get("responseTemplates") or {})
    body = _response_body(passage, answer, chosen.get("contentHandling"))
    if template:
        body = templates.render(template, passage, _decoded(body)).encode()
    override = passage.scope["responseOverride"]
    headers |= {name.lower(): text(value) for name, value in override["header"].items()}
    headers.setdefault("content-type", kind)
    return Response(_status(override["status"], chosen), list(remapped(headers.items())), body)


def _status(override: Any, chosen: dict[str, Any]) -> int:
    """gateway-057: an override that is no status from 100 to 599 is ignored."""
    digits = text(override)
    if digits.isdigit() and 200 <= int(digits) < 600:
        return int(digits)
    return int(chosen["statusCode"])


def _select(known: dict[str, dict[str, Any]], selected_by: str) -> dict[str, Any]:
    default = None
    for candidate in known.values():
        pattern = candidate.get("selectionPattern")
        if not pattern:
            default = default or candidate
            continue
        try:
            if regexes.compiled(pattern).fullmatch(selected_by):
                return candidate
        except re.error:
            raise misconfigured(f"Invalid selection pattern: {pattern}") from None
    if default is None:
        raise misconfigured(
            "No match for output mapping and no default endpoint response configured. "
            f"Endpoint Response Status Code: {selected_by}"
        )
    return default


def _response_template(passage: Passage, known: dict[str, str]) -> tuple[str, str]:
    """(content type, template): by the client's Accept, JSON, or the first."""
    accepted = passage.request.headers.get("accept", "").split(",")[-1].split(";")[0].strip()
    for kind in (accepted, "application/json", *known):
        if kind in known:
            return kind, known[kind] or ""
    return "application/json", ""


def _response_body(passage: Passage, answer: Response, handling: str | None) -> bytes:
    body = answer.body
    assert isinstance(body, bytes)
    served = passage.served
    if not served.binary_types and handling is None:
        return body.decode(errors="replace").encode()
    kind = next((v for n, v in answer.headers if n.lower() == "content-type"), None)
    wants_binary = served.is_binary(passage.request.headers.get("accept"))
    if served.is_binary(kind):
        as_text = handling == "CONVERT_TO_TEXT" or (handling is None and not wants_binary)
        return base64.b64encode(body) if as_text else body
    if handling == "CONVERT_TO_BINARY" or (handling is None and wants_binary):
        return _from_base64(body)
    return body.decode(errors="replace").encode()


def remapped(headers: Any) -> Any:
    """Headers that the connection itself has go out as x-amzn-remapped-…, or not at all."""
    for name, value in headers:
        if name in _DROPPED:
            continue
        yield (f"x-amzn-remapped-{name}" if name in _REMAPPED else name), value
