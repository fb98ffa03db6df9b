"""An HTTP API → an OpenAPI 3 document, with API Gateway's extensions or without them.

What it writes, `openapi` reads back to the same routes, integrations and authorizers.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-export.html
"""

import re
from typing import Any

import orjson
import yaml

from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.gateway.http_apis.openapi import AUTHORIZER_MEMBERS, INTEGRATION_MEMBERS

_SCHEME_MEMBERS = {"IdentitySource": "identitySource", **AUTHORIZER_MEMBERS}
_IAM = "sigv4"


def write(api: Document, snapshot: Document, form: str, extends: bool) -> bytes:
    """`form` is JSON or YAML."""
    document = _document(api, snapshot, extends)
    if form == "JSON":
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)
    if form == "YAML":
        return yaml.safe_dump(document, sort_keys=False).encode()
    raise bad_request("Invalid outputType. Must be one of JSON, YAML")


def _document(api: Document, snapshot: Document, extends: bool) -> Document:
    info = {"title": api["Name"], "version": api.get("Version") or ""}
    if api.get("Description"):
        info["description"] = api["Description"]
    document: Document = {
        "openapi": "3.0.1",
        "info": info,
        "servers": [{"url": api["ApiEndpoint"]}],
    }
    tags = [{"name": n, "x-amazon-apigateway-tag-value": v} for n, v in api["Tags"].items()]
    if tags and extends:
        document["tags"] = tags
    authorizers = {a["AuthorizerId"]: a for a in snapshot.get("authorizers") or ()}
    integrations = {i["IntegrationId"]: i for i in snapshot["integrations"]}
    document["paths"] = _paths(snapshot["routes"], integrations, authorizers, extends)
    schemes = {a["Name"]: _scheme(a) for a in authorizers.values()}
    if any(route.get("AuthorizationType") == "AWS_IAM" for route in snapshot["routes"]):
        schemes[_IAM] = {"type": "apiKey", "name": "Authorization", "in": "header"}
        schemes[_IAM]["x-amazon-apigateway-authtype"] = "awsSigv4"
    if schemes and extends:
        document["components"] = {"securitySchemes": schemes}
    if snapshot.get("cors") and extends:
        cors = {name[:1].lower() + name[1:]: value for name, value in snapshot["cors"].items()}
        document["x-amazon-apigateway-cors"] = cors
    if extends:
        document["x-amazon-apigateway-importexport-version"] = "1.0"
    return document


def _paths(
    routes: list[Document], integrations: Document, authorizers: Document, extends: bool
) -> Document:
    paths: Document = {}
    for route in routes:
        key = route["RouteKey"]
        method, _, path = key.partition(" ") if key != "$default" else ("ANY", "", "/$default")
        verb = "x-amazon-apigateway-any-method" if method == "ANY" else method.lower()
        operation: Document = {
            "responses": {"default": {"description": f"Default response for {key}"}}
        }
        if route.get("OperationName"):
            operation["operationId"] = route["OperationName"]
        names = re.findall(r"\{([^}+]+)\+?\}", path)
        if names:
            operation["parameters"] = [_parameter(name) for name in names]
        if extends:
            operation |= _security(route, authorizers)
            integration = integrations.get(str(route.get("Target", "")).split("/")[-1])
            if integration is not None:
                operation["x-amazon-apigateway-integration"] = _integration(integration)
        if key == "$default":
            operation["isDefaultRoute"] = True
        paths.setdefault(path, {})[verb] = operation
    return paths


def _parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _security(route: Document, authorizers: Document) -> Document:
    kind = route.get("AuthorizationType") or "NONE"
    if kind == "NONE":
        return {}
    name = _IAM if kind == "AWS_IAM" else authorizers[route["AuthorizerId"]]["Name"]
    return {"security": [{name: route.get("AuthorizationScopes") or []}]}


def _integration(integration: Document) -> Document:
    return {"type": integration["IntegrationType"].lower()} | _renamed(
        integration, INTEGRATION_MEMBERS
    )


def _scheme(authorizer: Document) -> Document:
    extension = _renamed(authorizer, _SCHEME_MEMBERS)
    extension["type"] = authorizer["AuthorizerType"].lower()
    token = authorizer.get("JwtConfiguration")
    if token:
        extension["jwtConfiguration"] = {"issuer": token["Issuer"], "audience": token["Audience"]}
        extension["identitySource"] = authorizer["IdentitySource"][0]
    scheme: Document = {"type": "oauth2"} if token else {"type": "apiKey", "in": "header"}
    if not token:
        scheme["name"] = "Unused"
    return {**scheme, "x-amazon-apigateway-authorizer": extension}


def _renamed(document: Document, names: dict[str, str]) -> dict[str, Any]:
    return {new: document[old] for old, new in names.items() if document.get(old) is not None}
