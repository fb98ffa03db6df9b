"""Event documents of HTTP APIs (formats 2.0 and 1.0), and a function's answer → HTTP.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.exchange import Request, Response

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXT_TYPES = ("application/json", "application/javascript", "application/xml")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_HOP_HEADERS = frozenset(
    (
        "connection", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    )
)  # fmt: skip
_NOBODY = (
    "accessKey", "accountId", "caller", "cognitoAmr", "cognitoAuthenticationProvider",
    "cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId",
    "principalOrgId", "user", "userArn",
)  # fmt: skip
# API Gateway keeps the function from setting these itself, under another name
_REMAPPED = {"connection", "content-length", "date", "transfer-encoding", "www-authenticate"}


class MalformedAnswer(Exception):
    """The function's answer is not what the payload format asks for."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an event says of the API around the request."""

    account: str
    api_id: str
    domain: str
    stage: str
    stage_variables: dict[str, str]
    route_key: str


@dataclass(frozen=True, slots=True)
class Admission:
    """What an authorizer found: `kind` is "jwt", "lambda" or "iam", `document` goes to events."""

    kind: str
    document: Any
    principal: str = ""


@dataclass(slots=True)
class Matched:
    """One request, matched: `path` is decoded and carries a named stage, as AWS's does.

    What becomes of it on its way is noted here too, for the events and for the access log.
    """

    request: Request
    target: Target
    path: str
    path_parameters: dict[str, str]
    body: bytes
    now_ms: int
    domain: str = ""  # the custom domain that was asked, and …
    mapped_path: str | None = None  # … the path with its mapping, as format 1.0 tells it
    mapping: str = ""
    admission: Admission | None = None
    dimensions: tuple[tuple[tuple[str, str], ...], ...] = ()  # of the route's metrics
    integration_status: int | None = None
    integration_ms: int = 0
    error: str = ""
    authorizer_error: str = ""


@lru_cache(maxsize=8)
def clf_time(second: int) -> str:
    """`09/Apr/2026:12:00:00 +0000`."""
    t = time.gmtime(second)
    return (
        f"{t.tm_mday:02}/{_MONTHS[t.tm_mon - 1]}/{t.tm_year}:"
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    )


def event(matched: Matched, version: str) -> dict[str, Any]:
    return _event_1(matched) if version == "1.0" else _event_2(matched)


def _event_2(matched: Matched) -> dict[str, Any]:
    request, target = matched.request, matched.target
    headers = _headers(request)
    cookies = headers.pop("cookie", None)
    document: dict[str, Any] = {
        "version": "2.0",
        "routeKey": target.route_key,
        "rawPath": matched.path,  # gateway-001: decoded, although it is called raw
        "rawQueryString": request.query,
    }
    if cookies:
        document["cookies"] = [cookie.strip() for cookie in cookies.split(";") if cookie.strip()]
    document["headers"] = headers
    if request.query:
        document["queryStringParameters"] = _joined(request)
    domain = matched.domain or target.domain
    context: dict[str, Any] = {"accountId": target.account, "apiId": target.api_id}
    if matched.admission is not None:
        context["authorizer"] = {matched.admission.kind: matched.admission.document}
    document["requestContext"] = context | {
        "domainName": domain,
        "domainPrefix": domain.split(".", 1)[0],
        "http": {
            "method": request.method,
            "path": matched.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.client,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request.id,
        "routeKey": target.route_key,
        "stage": target.stage,
        "time": clf_time(matched.now_ms // 1000),
        "timeEpoch": matched.now_ms,
    }
    if matched.path_parameters:
        document["pathParameters"] = matched.path_parameters
    if target.stage_variables:
        document["stageVariables"] = target.stage_variables
    if matched.body:
        text, is_encoded = body_text(matched.body, headers.get("content-type", ""))
        document["body"] = text
        document["isBase64Encoded"] = is_encoded
    else:
        document["isBase64Encoded"] = False
    return document


def _event_1(matched: Matched) -> dict[str, Any]:
    request, target = matched.request, matched.target
    headers = _headers(request)
    arguments = request.arguments()
    lists: dict[str, list[str]] = {}
    for name, value in arguments:
        lists.setdefault(name, []).append(value)
    text, is_encoded = (
        body_text(matched.body, headers.get("content-type", "")) if matched.body else (None, False)
    )
    resource = target.route_key.split(" ", 1)[-1]
    path = matched.path if matched.mapped_path is None else matched.mapped_path
    context, who = authorizer_1(matched.admission)
    return {
        "version": "1.0",
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(arguments) or None,
        "multiValueQueryStringParameters": lists or None,
        "requestContext": {
            **about(matched),
            **context,
            "identity": {
                **dict.fromkeys(_NOBODY),
                "sourceIp": request.client,
                "userAgent": headers.get("user-agent", ""),
                **who,
            },
            "path": path,
            "resourceId": target.route_key,
            "resourcePath": resource,
        },
        "pathParameters": matched.path_parameters or None,
        "stageVariables": target.stage_variables or None,
        "body": text,
        "isBase64Encoded": is_encoded,
    }


def about(matched: Matched) -> dict[str, Any]:
    """What `$context` and the events of format 1.0 both tell of a request."""
    request, target = matched.request, matched.target
    domain = matched.domain or target.domain
    return {
        "accountId": target.account,
        "apiId": target.api_id,
        "domainName": domain,
        "domainPrefix": domain.split(".", 1)[0],
        "extendedRequestId": request.id,
        "httpMethod": request.method,
        "protocol": "HTTP/1.1",
        "requestId": request.id,
        "requestTime": clf_time(matched.now_ms // 1000),
        "requestTimeEpoch": matched.now_ms,
        "stage": target.stage,
    }


def authorizer_1(admission: Admission | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What format 1.0 says of an authorizer, in the context and in its `identity`."""
    if admission is None:
        return {}, {}
    if admission.kind == "iam":
        iam = admission.document
        who = {name: iam[name] for name in ("accessKey", "accountId", "userArn")}
        return {}, {**who, "caller": iam["callerId"], "user": iam["userId"]}
    if admission.kind == "jwt":
        return {"authorizer": admission.document}, {}
    principal = {"principalId": admission.principal} if admission.principal else {}
    return {"authorizer": {**principal, **(admission.document or {})}}, {}


def _headers(request: Request) -> dict[str, str]:
    headers = {name: value for name, value in request.headers.items() if name not in _HOP_HEADERS}
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.client}" if forwarded else request.client
    headers.setdefault("x-forwarded-proto", request.scheme)
    headers.setdefault("x-forwarded-port", "443" if request.scheme == "https" else "80")
    headers.setdefault("content-length", str(request.body.length or 0))
    return headers


def _joined(request: Request) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in request.arguments():
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def body_text(body: bytes, content_type: str) -> tuple[str, bool]:
    """The body as an event carries it, and whether that is base64."""
    media = content_type.split(";", 1)[0].strip().lower()
    # gateway-002: forms are base64 in HTTP APIs; text, JSON, XML and JavaScript are not
    is_text = (
        not media
        or media.startswith("text/")
        or media in _TEXT_TYPES
        or media.endswith(("+json", "+xml"))
    )
    if is_text:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def response(payload: bytes, version: str) -> Response:
    """A function's answer → HTTP; raises MalformedAnswer."""
    try:
        answer = orjson.loads(payload) if payload else None
    except ValueError as error:
        raise MalformedAnswer(str(error)) from None
    if isinstance(answer, dict) and ("statusCode" in answer or version == "1.0"):
        return _structured(answer, version)
    if version == "1.0":
        raise MalformedAnswer("statusCode is missing")
    body = answer.encode() if isinstance(answer, str) else orjson.dumps(answer)
    return Response(200, [("content-type", "application/json")], body)


def _structured(answer: dict[str, Any], version: str) -> Response:
    status = answer.get("statusCode")
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    # an interim answer (1xx) would leave the client, or a proxy, waiting for another one
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MalformedAnswer(f"statusCode {status!r}")
    headers = _answered_headers(answer, version)
    body = _answered_body(answer)
    # gateway-003: without a content type, format 2.0 says JSON and 1.0 says plain text
    if not any(name == "content-type" for name, _ in headers) and status not in (204, 304):
        default = "text/plain;charset=UTF-8" if version == "1.0" else "application/json"
        headers.append(("content-type", default))
    return Response(status, headers, body)


def _answered_headers(answer: dict[str, Any], version: str) -> list[tuple[str, str]]:
    single = answer.get("headers") or {}
    multiple = (answer.get("multiValueHeaders") or {}) if version == "1.0" else {}
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise MalformedAnswer("headers are not an object")
    repeated = {str(name).lower(): values for name, values in multiple.items()}
    headers = [
        _header(name, value) for name, value in single.items() if str(name).lower() not in repeated
    ]
    for name, values in repeated.items():
        if not isinstance(values, list):
            raise MalformedAnswer("multiValueHeaders are not lists")
        headers += [_header(name, value) for value in values]
    cookies = (answer.get("cookies") or []) if version == "2.0" else []
    if not isinstance(cookies, list):
        raise MalformedAnswer("cookies are not a list")
    for cookie in cookies:
        headers.append(_header("set-cookie", cookie))
    return headers


def _header(name: Any, value: Any) -> tuple[str, str]:
    if isinstance(value, dict | list):
        raise MalformedAnswer(f"header {name} is not a string")
    if isinstance(value, bool):
        value = "true" if value else "false"
    text = "" if value is None else str(value)
    if "\r" in text or "\n" in text:
        raise MalformedAnswer(f"header {name} has a line break")
    lower = str(name).lower()
    if not _HEADER_NAME.fullmatch(lower):
        raise MalformedAnswer(f"{lower!r} is no name of a header")
    return (f"x-amzn-remapped-{lower}" if lower in _REMAPPED else lower), text


def _answered_body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if isinstance(body, dict | list):
        raise MalformedAnswer("body is not a string")
    text = body if isinstance(body, str) else orjson.dumps(body).decode()
    if not answer.get("isBase64Encoded"):
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedAnswer("body is not base64") from None
