"""Gateway responses: what API Gateway itself answers, and how an API may word it.

A `Fault` has one of AWS's response types; an API customises the type or the default of its class.
https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import re
from typing import Any

import orjson

from cloudlet.exchange import Response
from cloudlet.gateway.answers import message
from cloudlet.gateway.rest.passage import Passage
from cloudlet.gateway.variables import lookup, text

# type → (status, x-amzn-ErrorType, message)
_TYPES: dict[str, tuple[int, str, str | None]] = {
    "ACCESS_DENIED": (
        403, "AccessDeniedException", "User is not authorized to access this resource"
    ),
    "API_CONFIGURATION_ERROR": (500, "InternalServerErrorException", "Internal server error"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "AuthorizerConfigurationException", None),
    "AUTHORIZER_FAILURE": (500, "AuthorizerConfigurationException", None),
    "BAD_REQUEST_BODY": (400, "BadRequestException", "Invalid request body"),
    "BAD_REQUEST_PARAMETERS": (400, "BadRequestException", None),
    "DEFAULT_4XX": (400, "BadRequestException", None),
    "DEFAULT_5XX": (500, "InternalServerErrorException", "Internal server error"),
    "EXPIRED_TOKEN": (
        403, "ExpiredTokenException", "The security token included in the request is expired"
    ),
    "INTEGRATION_FAILURE": (
        504, "InternalServerErrorException", "Network error communicating with endpoint"
    ),
    "INTEGRATION_TIMEOUT": (504, "InternalServerErrorException", "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "ForbiddenException", "Forbidden"),
    "INVALID_SIGNATURE": (403, "InvalidSignatureException", None),
    "MISSING_AUTHENTICATION_TOKEN": (
        403, "MissingAuthenticationTokenException", "Missing Authentication Token"
    ),
    "QUOTA_EXCEEDED": (429, "LimitExceededException", "Limit Exceeded"),
    "REQUEST_TOO_LARGE": (413, "RequestTooLargeException", "Request Too Long"),
    "RESOURCE_NOT_FOUND": (404, "NotFoundException", "Not Found"),
    "THROTTLED": (429, "TooManyRequestsException", "Too Many Requests"),
    "UNAUTHORIZED": (401, "UnauthorizedException", "Unauthorized"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "UnsupportedMediaTypeException", "Unsupported Media Type"),
}  # fmt: skip
STATUS = {kind: status for kind, (status, _, _) in _TYPES.items()}
DEFAULT_BODY = '{"message":$context.error.messageString}'
_REFERENCE = re.compile(
    r"\$(?:\{(?P<formal>[\w.-]+)\}"
    r"|(?P<name>(?:context|stageVariables|method\.request\.(?:header|path|querystring))\.[\w.-]*\w))"
)


class Fault(Exception):
    def __init__(
        self,
        kind: str,
        message: str | None = "",
        *,
        status: int | None = None,
        detail: str = "",
        reason: str = "",
    ) -> None:
        """`message` "": the type's; `detail` is $context.error.validationErrorString; `reason` is
        for the execution log only."""
        super().__init__(kind)
        default_status, self.error_type, own = _TYPES[kind]
        self.kind = kind
        self.status = status or default_status
        self.message = own if message == "" else message
        self.detail = detail
        self.reason = reason


def misconfigured(reason: str) -> Fault:
    return Fault("API_CONFIGURATION_ERROR", reason=reason)


def answer(fault: Fault, passage: Passage) -> Response:
    """The API's gateway response for a fault."""
    context = passage.context
    context["error"] = {
        "message": fault.message,
        "messageString": orjson.dumps(fault.message).decode(),
        "responseType": fault.kind,
        "validationErrorString": fault.detail,
    }
    known = passage.served.snapshot.get("gatewayResponses") or {}
    general = "DEFAULT_4XX" if fault.status < 500 else "DEFAULT_5XX"
    custom = known.get(fault.kind) or known.get(general) or {}
    headers = [("x-amzn-errortype", fault.error_type)]
    for target, source in (custom.get("responseParameters") or {}).items():
        value = _parameter(passage, source)
        if value:
            name = target.removeprefix("gatewayresponse.header.").lower()
            headers = [h for h in headers if h[0] != name] + [(name, value)]
    content_type, body = _body(fault, passage, custom.get("responseTemplates") or {})
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", content_type))
    return Response(int(custom.get("statusCode") or fault.status), headers, body.encode())


def bare(fault: Fault) -> Response:
    """The answer where no API is known."""
    return message(fault.status, fault.message, ("x-amzn-errortype", fault.error_type))


def _body(fault: Fault, passage: Passage, templates: dict[str, str]) -> tuple[str, str]:
    if not templates or templates == {"application/json": DEFAULT_BODY}:
        # gateway-055: AWS's refusals begin with a capital letter
        name = "Message" if fault.kind == "ACCESS_DENIED" else "message"
        return "application/json", orjson.dumps({name: fault.message}).decode()
    accepted = passage.request.headers.get("accept", "").split(",")[0].split(";")[0].strip()
    kind = next((k for k in (accepted, "application/json") if k in templates), None)
    kind = kind or next(iter(templates))

    def value(found: re.Match[str]) -> str:
        return _referred(passage, found["formal"] or found["name"])

    return kind, _REFERENCE.sub(value, templates[kind])


def _parameter(passage: Passage, source: str) -> str:
    if source.startswith("'") and source.endswith("'"):
        return source[1:-1]
    return _referred(passage, source)


def _referred(passage: Passage, name: str) -> str:
    places: dict[str, Any] = {
        "context.": passage.context,
        "stageVariables.": passage.served.variables,
        "method.request.header.": passage.headers,
        "method.request.path.": passage.path_parameters,
        "method.request.querystring.": {k: v[-1] for k, v in passage.query.items()},
    }
    for prefix, values in places.items():
        if name.startswith(prefix):
            key = name.removeprefix(prefix)
            return text(values.get(key) if prefix.startswith("method") else lookup(values, key))
    return ""
