"""`$context` of HTTP APIs: for access logs, parameter mappings and identity sources.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
"""

from typing import Any

from cloudlet.exchange import Response
from cloudlet.gateway.configuration import Document
from cloudlet.gateway.payloads import Matched, about


def of_request(matched: Matched) -> Document:
    """What is known when the request has found its route."""
    request, target = matched.request, matched.target
    context: Document = {
        **about(matched),
        "identity": {
            "sourceIp": request.client,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "path": matched.path,
        "routeKey": target.route_key,
        "stageVariables": target.stage_variables,
    }
    if matched.mapping:
        context["customDomain"] = {"basePathMatched": matched.mapping}
    _authorizer(context, matched)
    return context


def of_answer(matched: Matched, response: Response, now_ms: int) -> Document:
    """The same, and what came of it."""
    context = of_request(matched)
    size = _size(response)
    context |= {
        "status": response.status,
        "responseLength": size,
        "dataProcessed": len(matched.body) + size,
        "responseLatency": now_ms - matched.now_ms,
    }
    if matched.integration_status is not None:
        status, latency_ms = matched.integration_status, matched.integration_ms
        context["integration"] = {
            "status": status,
            "integrationStatus": status,
            "latency": latency_ms,
            "requestId": matched.request.id,
            "error": matched.error,
        }
        context |= {"integrationStatus": status, "integrationLatency": latency_ms}
        context["integrationErrorMessage"] = matched.error
    if response.status >= 400 and matched.integration_status is None:
        text = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
        said = text.get(response.status, matched.error or matched.authorizer_error)
        context["error"] = {"message": said, "messageString": f'"{said}"', "responseType": said}
    return context


def _authorizer(context: Document, matched: Matched) -> None:
    found: dict[str, Any] = {"error": matched.authorizer_error}
    admission = matched.admission
    if admission is not None and admission.kind == "iam":
        iam = admission.document
        context["identity"] |= {
            "accountId": iam["accountId"],
            "caller": iam["callerId"],
            "user": iam["userId"],
            "userArn": iam["userArn"],
        }
    elif admission is not None:
        found |= admission.document or {}
        found["principalId"] = admission.principal
    context["authorizer"] = found


def _size(response: Response) -> int:
    return len(response.body) if isinstance(response.body, bytes) else 0
