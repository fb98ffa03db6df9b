"""OpenAPI 3 documents with API Gateway's extensions → routes and integrations.

What aws-sam-translator writes for `AWS::Serverless::HttpApi` is what must work; what cannot be
served (authorizers, other integrations) is refused by name.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
"""

from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.configuration import Document, bad_request

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"


@dataclass(frozen=True, slots=True)
class ImportedRoute:
    route: Document  # members of CreateRoute
    integration: Document  # members of CreateIntegration


@dataclass(frozen=True, slots=True)
class Definition:
    api: Document
    tags: dict[str, str]
    routes: list[ImportedRoute]


def read(body: Any, basepath: str | None = None) -> Definition:
    """`body` is the document's text (JSON or YAML), or already parsed."""
    if basepath not in (None, "", "ignore"):
        raise NotImplementedByCloudlet(f"Import with Basepath {basepath}")
    document = _parse(body)
    if not str(document.get("openapi", "")).startswith("3."):
        raise bad_request("Unable to process OpenAPI definition: openapi 3.x is required")
    info = document.get("info") or {}
    title = info.get("title")
    if not title:
        raise bad_request("Unable to process OpenAPI definition: info.title is required")
    api: Document = {"Name": str(title), "Version": str(info.get("version", ""))}
    if info.get("description"):
        api["Description"] = str(info["description"])
    cors = document.get("x-amazon-apigateway-cors")
    if cors:
        api["CorsConfiguration"] = _cors(cors)
    if document.get("security"):
        raise NotImplementedByCloudlet("An OpenAPI security requirement (authorizers)")
    tags = {
        str(tag["name"]): str(tag["x-amazon-apigateway-tag-value"])
        for tag in document.get("tags") or []
        if "x-amazon-apigateway-tag-value" in tag
    }
    return Definition(api, tags, list(_routes(document)))


def _parse(body: Any) -> Document:
    if isinstance(body, dict):
        return body
    try:
        text = body.decode() if isinstance(body, bytes) else str(body)
        parsed = orjson.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"Unable to parse OpenAPI definition: {error}") from None
    if not isinstance(parsed, dict):
        raise bad_request("Unable to parse OpenAPI definition: not an object")
    return parsed


def _cors(cors: Any) -> Document:
    if not isinstance(cors, dict):
        raise bad_request("x-amazon-apigateway-cors must be an object")
    return {name[:1].upper() + name[1:]: value for name, value in cors.items()}


def _routes(document: Document) -> list[ImportedRoute]:
    routes = []
    for path, item in (document.get("paths") or {}).items():
        for method, operation in (item or {}).items():
            if method.lower() in _METHODS:
                verb = method.upper()
            elif method == _ANY:
                verb = "ANY"
            else:
                continue  # parameters, summary, servers
            key = "$default" if path in ("$default", "/$default") else f"{verb} {path}"
            routes.append(_route(document, key, operation or {}))
    return routes


def _route(document: Document, key: str, operation: Document) -> ImportedRoute:
    if operation.get("security"):
        raise NotImplementedByCloudlet(f"An authorizer on the route {key!r}")
    integration = operation.get(_INTEGRATION)
    if isinstance(integration, dict) and "$ref" in integration:
        integration = _resolve(document, integration["$ref"])
    if not isinstance(integration, dict):
        raise bad_request(f"Route {key!r} has no {_INTEGRATION}")
    route = {"RouteKey": key, "OperationName": operation.get("operationId")}
    kind = str(integration.get("type", "")).upper()
    return ImportedRoute(
        route,
        {
            "IntegrationType": kind,
            "IntegrationMethod": integration.get("httpMethod"),
            "IntegrationUri": integration.get("uri"),
            "PayloadFormatVersion": integration.get("payloadFormatVersion"),
            "TimeoutInMillis": integration.get("timeoutInMillis"),
            "CredentialsArn": integration.get("credentials"),
            "ConnectionType": integration.get("connectionType"),
            "RequestParameters": integration.get("requestParameters"),
            "ResponseParameters": integration.get("responseParameters"),
            "IntegrationSubtype": integration.get("subtype"),
        },
    )


def _resolve(document: Document, reference: str) -> Any:
    value: Any = document
    for name in reference.removeprefix("#/").split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value
