"""Event documents of WebSocket APIs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

import base64
from dataclasses import dataclass
from typing import Any

from cloudlet.exchange import Request
from cloudlet.gateway.http_apis.stages import Stage
from cloudlet.gateway.payloads import Admission, authorizer_1, clf_time

_SPELLED = {"sec-websocket-": "Sec-WebSocket-", "x-amzn-": "X-Amzn-"}


@dataclass(frozen=True, slots=True)
class Origin:
    """The connection that events tell of."""

    id: str
    stage: Stage
    request: Request
    connected_ms: int
    domain: str
    admission: Admission | None = None  # by $connect's authorizer, for all later messages


def connect(origin: Origin, now_ms: int, request_id: str) -> dict[str, Any]:
    document = _handshake(origin)
    arguments = origin.request.arguments()
    if arguments:
        lists: dict[str, list[str]] = {}
        for name, value in arguments:
            lists.setdefault(name, []).append(value)
        document["queryStringParameters"] = dict(arguments)
        document["multiValueQueryStringParameters"] = lists
    document["requestContext"] = _context(origin, "$connect", "CONNECT", (now_ms, request_id))
    return _finished(document, origin)


def message(
    origin: Origin, route_key: str, data: str | bytes, moment: tuple[int, str]
) -> dict[str, Any]:
    """`moment` is (now_ms, request id), as below."""
    context = _context(origin, route_key, "MESSAGE", moment)
    context["messageId"] = moment[1]
    is_binary = isinstance(data, bytes)
    body = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    document = {"requestContext": context, "body": body}
    return _finished(document, origin) | {"isBase64Encoded": is_binary}


def disconnect(origin: Origin, code: int, reason: str, moment: tuple[int, str]) -> dict[str, Any]:
    document = _handshake(origin)
    context = _context(origin, "$disconnect", "DISCONNECT", moment)
    context["disconnectStatusCode"] = code
    context["disconnectReason"] = reason
    document["requestContext"] = context
    return _finished(document, origin)


def _handshake(origin: Origin) -> dict[str, Any]:
    sent = {name.lower().decode("latin-1"): name for name, _ in origin.request.sent}
    headers = {
        sent[name].decode("latin-1") if name in sent else _spelled(name): value
        for name, value in origin.request.headers.items()
    }
    headers["X-Forwarded-For"] = origin.request.client
    return {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
    }


def _spelled(name: str) -> str:
    """gateway-005: WebSocket events spell header names as the client did; these it did not send."""
    for prefix, spelled in _SPELLED.items():
        if name.startswith(prefix):
            return spelled + name[len(prefix) :].title()
    return name.title()


def _context(
    origin: Origin, route_key: str, event_type: str, moment: tuple[int, str]
) -> dict[str, Any]:
    now_ms, request_id = moment
    authorizer, who = authorizer_1(origin.admission)
    return {
        **authorizer,
        "routeKey": route_key,
        "eventType": event_type,
        "extendedRequestId": request_id,
        "requestTime": clf_time(now_ms // 1000),
        "messageDirection": "IN",
        "stage": origin.stage.name,
        "connectedAt": origin.connected_ms,
        "requestTimeEpoch": now_ms,
        "identity": {
            "sourceIp": origin.request.client,
            "userAgent": origin.request.headers.get("user-agent", ""),
            **who,
        },
        "requestId": request_id,
        "domainName": origin.domain,
        "connectionId": origin.id,
        "apiId": origin.stage.api_id,
    }


def _finished(document: dict[str, Any], origin: Origin) -> dict[str, Any]:
    if origin.stage.variables:
        document["stageVariables"] = origin.stage.variables
    document["isBase64Encoded"] = False
    return document
