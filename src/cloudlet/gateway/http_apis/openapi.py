"""OpenAPI 3 documents with API Gateway's extensions → routes and integrations.

What aws-sam-translator writes for `AWS::Serverless::HttpApi` is what must work; what cannot be
served (security schemes of other gateways, other integrations) is refused by name.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import yaml

from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.configuration import Document, bad_request

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_SETTINGS = "x-amazon-apigateway-endpoint-configuration"
# of the API → in a document; a document may call the subtype `subtype`, too
INTEGRATION_MEMBERS = {
    "IntegrationMethod": "httpMethod",
    "IntegrationUri": "uri",
    "PayloadFormatVersion": "payloadFormatVersion",
    "TimeoutInMillis": "timeoutInMillis",
    "CredentialsArn": "credentials",
    "ConnectionType": "connectionType",
    "RequestParameters": "requestParameters",
    "ResponseParameters": "responseParameters",
    "IntegrationSubtype": "integrationSubtype",
}
AUTHORIZER_MEMBERS = {
    "AuthorizerUri": "authorizerUri",
    "AuthorizerCredentialsArn": "authorizerCredentials",
    "AuthorizerPayloadFormatVersion": "authorizerPayloadFormatVersion",
    "AuthorizerResultTtlInSeconds": "authorizerResultTtlInSeconds",
    "EnableSimpleResponses": "enableSimpleResponses",
}


@dataclass(frozen=True, slots=True)
class ImportedRoute:
    route: Document  # members of CreateRoute
    integration: Document  # members of CreateIntegration
    authorizer: str = ""  # its name


@dataclass(frozen=True, slots=True)
class Definition:
    api: Document
    tags: dict[str, str]
    routes: list[ImportedRoute]
    authorizers: dict[str, Document]  # name → members of CreateAuthorizer


def read(body: Any, basepath: str | None = None) -> Definition:
    """`body` is the document's text (JSON or YAML), or already parsed."""
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
    if (document.get(_SETTINGS) or {}).get("disableExecuteApiEndpoint"):
        api["DisableExecuteApiEndpoint"] = True
    tags = {
        str(tag["name"]): str(tag["x-amazon-apigateway-tag-value"])
        for tag in document.get("tags") or []
        if "x-amazon-apigateway-tag-value" in tag
    }
    prefix = _prefix(document, basepath or "ignore")
    return Definition(api, tags, _routes(document, prefix), _authorizers(document))


def _prefix(document: Document, basepath: str) -> str:
    """What goes before the paths: the server's path, all of it or without its first segment."""
    if basepath not in ("ignore", "prepend", "split"):
        raise bad_request("Invalid basepath parameter. Must be one of ignore, prepend, split")
    servers = document.get("servers") or []
    if basepath == "ignore" or not servers:
        return ""
    url = str(servers[0].get("url", ""))
    for name, variable in (servers[0].get("variables") or {}).items():
        url = url.replace("{" + name + "}", str(variable.get("default", "")))
    path = urlsplit(url).path.rstrip("/")
    return (
        path if basepath == "prepend" else path[path.find("/", 1) :] if path.count("/") > 1 else ""
    )


def _schemes(document: Document) -> Document:
    found: Document = (document.get("components") or {}).get("securitySchemes") or {}
    return found


def _authorizers(document: Document) -> dict[str, Document]:
    found = {}
    for name, scheme in _schemes(document).items():
        extension = scheme.get(_AUTHORIZER)
        if not extension:
            continue
        kind = str(extension.get("type", "")).upper()
        sources = extension.get("identitySource") or []
        settings: Document = {
            "Name": name,
            "AuthorizerType": kind,
            "IdentitySource": sources.split(",") if isinstance(sources, str) else sources,
        }
        for ours, theirs in AUTHORIZER_MEMBERS.items():
            if extension.get(theirs) is not None:
                settings[ours] = extension[theirs]
        if "AuthorizerPayloadFormatVersion" in settings:  # SAM writes a number
            settings["AuthorizerPayloadFormatVersion"] = str(
                settings["AuthorizerPayloadFormatVersion"]
            )
        token = extension.get("jwtConfiguration")
        if token:
            audience = token.get("audience") or []
            settings["JwtConfiguration"] = {
                "Issuer": token.get("issuer"),
                "Audience": [audience] if isinstance(audience, str) else audience,
            }
        found[name] = settings
    return found


def _security(document: Document, key: str, operation: Document) -> tuple[Document, str]:
    """Members of the route, and the name of its authorizer."""
    wanted = operation.get("security", document.get("security")) or []
    if len(wanted) > 1 or any(len(each) > 1 for each in wanted):
        raise bad_request(f"Route {key!r} has more than one security requirement")
    for name, scopes in (wanted[0] if wanted else {}).items():
        scheme = _schemes(document).get(name)
        if name == "NONE" and scheme is None:
            break
        if scheme and scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
            return {"AuthorizationType": "AWS_IAM"}, ""
        extension = (scheme or {}).get(_AUTHORIZER)
        if not extension:
            raise NotImplementedByCloudlet(f"The security scheme {name!r} of the route {key!r}")
        kind = "JWT" if str(extension.get("type")).lower() == "jwt" else "CUSTOM"
        return {"AuthorizationType": kind, "AuthorizationScopes": scopes or None}, name
    return {}, ""


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


def _routes(document: Document, prefix: str) -> list[ImportedRoute]:
    routes = []
    for path, item in (document.get("paths") or {}).items():
        for method, operation in (item or {}).items():
            if method.lower() in _METHODS:
                verb = method.upper()
            elif method == _ANY:
                verb = "ANY"
            else:
                continue  # parameters, summary, servers
            key = "$default" if path in ("$default", "/$default") else f"{verb} {prefix}{path}"
            routes.append(_route(document, key, operation or {}))
    return routes


def _route(document: Document, key: str, operation: Document) -> ImportedRoute:
    integration = operation.get(_INTEGRATION)
    if isinstance(integration, dict) and "$ref" in integration:
        integration = _resolve(document, integration["$ref"])
    if not isinstance(integration, dict):
        raise bad_request(f"Route {key!r} has no {_INTEGRATION}")
    security, authorizer = _security(document, key, operation)
    route = {"RouteKey": key, "OperationName": operation.get("operationId"), **security}
    members = {name: integration.get(theirs) for name, theirs in INTEGRATION_MEMBERS.items()}
    members["IntegrationType"] = str(integration.get("type", "")).upper()
    members["IntegrationSubtype"] = integration.get("subtype") or members["IntegrationSubtype"]
    return ImportedRoute(route, members, authorizer)


def _resolve(document: Document, reference: str) -> Any:
    value: Any = document
    for name in reference.removeprefix("#/").split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value
