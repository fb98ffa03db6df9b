"""Checks and defaults of routes and integrations, shared by their operations and the import.

Options that the data plane cannot honour are refused here, by name.
"""

import re

from cloudlet.errors import NotImplementedByCloudlet, refuse
from cloudlet.gateway.configuration import Document, bad_request, chosen, new_id
from cloudlet.gateway.http_apis import mapping, service_integrations

_ROUTE_KEY = re.compile(r"(GET|PUT|POST|DELETE|OPTIONS|HEAD|PATCH|ANY) (/\S*)")
_SEGMENT = re.compile(r"\{[\w.:-]+\+?\}|[^{}]*")
_LAMBDA_URI = re.compile(
    r"arn:aws[\w-]*:apigateway:[\w-]+:lambda:path/[\d-]+/functions/(.+)/invocations"
)
_KINDS = {
    "HTTP": ("AWS_PROXY", "HTTP_PROXY"),
    "WEBSOCKET": ("AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"),
}
_ABSENT = {
    "HTTP": ("RequestTemplates", "TemplateSelectionExpression"),
    "WEBSOCKET": ("ResponseParameters",),
}
_ROUTE = (
    "ModelSelectionExpression OperationName RequestModels RouteKey"
    " RouteResponseSelectionExpression Target"
)
_INTEGRATION = (
    "ConnectionType CredentialsArn Description IntegrationMethod IntegrationType IntegrationUri"
    " IntegrationSubtype PassthroughBehavior PayloadFormatVersion RequestParameters"
    " RequestTemplates ResponseParameters TemplateSelectionExpression TimeoutInMillis"
)
_TIMEOUT_MS_MAX = {"HTTP": 30_000, "WEBSOCKET": 29_000}


def route(params: Document, protocol: str, existing: Document | None = None) -> Document:
    """The route's document after `params`; raises on what is wrong or not there."""
    refuse(params, "ApiKeyRequired", "RequestParameters", what="A route with {}")
    for name in ("ModelSelectionExpression", "RequestModels"):
        if params.get(name) and protocol == "HTTP":
            raise bad_request(f"{name} is supported only for WEBSOCKET APIs")
    document: Document = existing or {
        "RouteId": new_id(7),
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
    }
    document |= chosen(params, _ROUTE)
    key = document["RouteKey"]
    _authorize(params, document, protocol)
    if protocol == "HTTP" and key != "$default":
        check_route_key(key)
    expression = document.get("RouteResponseSelectionExpression")
    if expression and (protocol == "HTTP" or expression != "$default"):
        raise bad_request("RouteResponseSelectionExpression must be $default, for WebSocket APIs")
    target = document.get("Target")
    if target is not None and not target.startswith("integrations/"):
        raise bad_request("Target must be of the form integrations/{integration-id}")
    return document


def _authorize(params: Document, route: Document, protocol: str) -> None:
    """Takes what a route's parameters say of authorization into its document."""
    route |= chosen(params, "AuthorizationType AuthorizerId AuthorizationScopes")
    kind = route["AuthorizationType"]
    if kind not in ("NONE", "AWS_IAM", "CUSTOM", *(["JWT"] if protocol == "HTTP" else [])):
        raise bad_request(f"AuthorizationType {kind} is not supported for {protocol} APIs")
    if protocol == "WEBSOCKET" and kind != "NONE" and route["RouteKey"] != "$connect":
        raise bad_request("Authorization is only supported on the $connect route")
    if kind in ("NONE", "AWS_IAM"):
        route.pop("AuthorizerId", None)
    elif not route.get("AuthorizerId"):
        raise bad_request(f"AuthorizerId is required for AuthorizationType {kind}")
    if route.get("AuthorizationScopes") and kind != "JWT":
        raise bad_request("AuthorizationScopes are only supported for JWT authorizers")


def check_route_key(key: str) -> None:
    match = _ROUTE_KEY.fullmatch(key)
    if not match:
        raise bad_request(
            "The provided route key is not formatted properly for HTTP protocol. "
            'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
        )
    segments = match.group(2)[1:].split("/")
    for position, segment in enumerate(segments):
        is_greedy = segment.endswith("+}")
        if not _SEGMENT.fullmatch(segment) or (is_greedy and position < len(segments) - 1):
            raise bad_request(f"Invalid path segment {segment!r} in the route key")


def integration(params: Document, protocol: str, existing: Document | None = None) -> Document:
    document: Document = existing or {
        "IntegrationId": new_id(7),
        "ConnectionType": "INTERNET",
        "TimeoutInMillis": _TIMEOUT_MS_MAX[protocol],
        "PayloadFormatVersion": None if protocol == "HTTP" else "1.0",
    }
    document |= chosen(params, _INTEGRATION)
    _refuse_absent(params, document, protocol)
    if not 50 <= document["TimeoutInMillis"] <= _TIMEOUT_MS_MAX[protocol]:
        raise bad_request(f"Timeout should be between 50 ms and {_TIMEOUT_MS_MAX[protocol]} ms")
    if protocol == "HTTP":
        _check_mapping(document)
    if document.get("IntegrationSubtype"):
        service_integrations.check(document)
        return document
    if document["IntegrationType"] == "MOCK":
        return document
    if not document.get("IntegrationUri"):
        raise bad_request("IntegrationUri is required for this integration type")
    if document["IntegrationType"] == "AWS_PROXY":
        document["IntegrationMethod"] = "POST"
        function_arn(document["IntegrationUri"])
        if document["PayloadFormatVersion"] not in ("1.0", "2.0"):
            raise bad_request("PayloadFormatVersion is a required parameter for integration")
    return document


def _refuse_absent(params: Document, document: Document, protocol: str) -> None:
    kind = document.get("IntegrationType")
    if kind not in _KINDS[protocol]:
        raise bad_request(f"IntegrationType {kind} is not supported for {protocol} APIs")
    if document.get("IntegrationSubtype") and protocol != "HTTP":
        raise bad_request("IntegrationSubtype is supported only for HTTP APIs")
    if document["ConnectionType"] != "INTERNET":
        raise NotImplementedByCloudlet(f"ConnectionType {document['ConnectionType']}")
    if "user/" in (document.get("CredentialsArn") or ""):
        raise NotImplementedByCloudlet("An integration with its caller's credentials")
    absent = (*_ABSENT[protocol], "TlsConfig", "ContentHandlingStrategy")
    refuse(params, *absent, what=f"An integration of a {protocol} API with {{}}")


def _check_mapping(document: Document) -> None:
    """A parameter that an update sets to "" is gone."""
    for name in ("RequestParameters", "ResponseParameters"):
        kept = {key: value for key, value in (document.get(name) or {}).items() if value != ""}
        document[name] = kept or None
    if document.get("IntegrationSubtype"):
        if document["ResponseParameters"]:
            raise NotImplementedByCloudlet("ResponseParameters with an IntegrationSubtype")
        return
    mapping.check_request(document["RequestParameters"] or {})
    mapping.check_response(document["ResponseParameters"] or {})


def function_arn(uri: str) -> str:
    """The function of an integration URI: a function's ARN, or API Gateway's form around one."""
    match = _LAMBDA_URI.fullmatch(uri)
    arn = match.group(1) if match else uri
    if arn.startswith("arn:") and ":lambda:" in arn and ":function:" in arn:
        return arn
    raise bad_request(f"Invalid function ARN or invalid URI: {uri}")
