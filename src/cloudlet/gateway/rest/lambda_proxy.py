"""AWS_PROXY: the event of payload format 1.0, and a function's answer → HTTP.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import binascii
import re
from typing import Any

import orjson

from cloudlet.exchange import Response
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.mapping import remapped
from cloudlet.gateway.rest.passage import Passage

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_MEMBERS = frozenset(("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"))


def event(passage: Passage) -> dict[str, Any]:
    request, headers = passage.request, passage.headers
    query, body = passage.query, passage.body
    is_binary = bool(body) and passage.served.is_binary(request.headers.get("content-type"))
    content = base64.b64encode(body).decode() if is_binary else body.decode(errors="replace")
    return {
        "resource": passage.method.path,
        "path": passage.path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": passage.header_lists,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": passage.path_parameters or None,
        "stageVariables": passage.served.variables or None,
        "requestContext": passage.context,
        "body": content or None,
        "isBase64Encoded": is_binary,
    }


def response(passage: Passage, payload: bytes) -> Response:
    """Raises Fault where the answer is not of the form that API Gateway asks for."""
    try:
        answer = orjson.loads(payload)
    except ValueError:
        raise _malformed() from None
    if not isinstance(answer, dict) or not answer.keys() <= _MEMBERS:
        raise _malformed()
    try:
        status = int(answer.get("statusCode") or 200)
        headers = _headers(answer)
    except (TypeError, ValueError, AttributeError):
        raise _malformed() from None
    if not 200 <= status <= 599:
        raise _malformed()
    if not any(name == "content-type" for name, _ in headers) and status not in (204, 304):
        headers.append(("content-type", "application/json"))
    return Response(status, headers, _body(passage, answer))


def _malformed() -> Fault:
    reason = "Malformed Lambda proxy response"
    return Fault("DEFAULT_5XX", status=502, reason=reason)


def _headers(answer: dict[str, Any]) -> list[tuple[str, str]]:
    single = {name.lower(): value for name, value in (answer.get("headers") or {}).items()}
    headers: list[tuple[str, str]] = []
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        if not isinstance(values, list):
            raise TypeError(name)
        lower = name.lower()
        # gateway-058: the single value comes behind the many
        more = [single.pop(lower)] if lower in single and single[lower] not in values else []
        single.pop(lower, None)
        headers += [(lower, _value(value)) for value in (*values, *more)]
    headers += [(name, _value(value)) for name, value in single.items()]
    if not all(_HEADER_NAME.fullmatch(name) for name, _ in headers):
        raise ValueError("a header's name")
    return list(remapped(headers))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list) or "\n" in str(value) or "\r" in str(value):
        raise TypeError("a header's value")
    return "" if value is None else str(value)


def _body(passage: Passage, answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise _malformed()
    accepts_binary = passage.served.is_binary(passage.request.headers.get("accept"))
    if not answer.get("isBase64Encoded") or not accepts_binary:
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise Fault("API_CONFIGURATION_ERROR", reason="Unable to base64 decode the body.") from None
