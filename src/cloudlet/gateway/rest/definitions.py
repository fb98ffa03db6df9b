"""OpenAPI 2 and 3 documents with API Gateway's extensions → what they define, version-free.

Nothing is stored here; `importing` does. References inside the document are followed; schemas
become models, whose references to each other are rewritten when the API's id is known.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import orjson
import yaml

from cloudlet.errors import AwsError
from cloudlet.gateway.rest import documents
from cloudlet.gateway.rest.documents import Document, bad_request
from cloudlet.wire import models
from cloudlet.wire.json_codec import Parser

VENDOR = "x-amazon-apigateway-"
_VERBS = ("get", "put", "post", "delete", "options", "head", "patch", f"{VENDOR}any-method")
_KNOWN_EXTENSION = re.compile(
    VENDOR + r"(api-key-source|any-method|auth|authorizer|authtype|binary-media-types|documentation"
    r"|endpoint-configuration|gateway-responses|importexport-version|integrations?"
    r"|minimum-compression-size|policy|request-validators?)"
)
_AUTHORIZER = (
    "authorizerUri authorizerCredentials identitySource identityValidationExpression"
    " authorizerResultTtlInSeconds providerARNs"
)
_LOCATIONS = {"query": "querystring", "path": "path", "header": "header"}
_INTEGRATION = (
    "uri credentials requestParameters requestTemplates contentHandling timeoutInMillis"
    " cacheNamespace cacheKeyParameters connectionId tlsConfig integrationTarget"
)
_TEXT_MAPS = {"requestParameters", "requestTemplates", "responseParameters", "responseTemplates"}
_RESPONSE = "statusCode responseParameters responseTemplates contentHandling"
_REFERENCE = re.compile(r'"\$ref":\s*"#/(?:definitions|components/schemas)/([^"]+)"')
_DEPTH_MAX = 100
_NODES_MAX = 500_000
_BYTES_MAX = 6 * 1024 * 1024
_MALFORMED = "Unable to parse API definition because of a malformed document"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may lack libyaml


@dataclass(slots=True)
class Method:
    """Members of PutMethod and of what belongs to a method. Names stand where ids will."""

    path: str
    verb: str
    members: Document
    authorizer: str = ""
    validator: str = ""
    responses: list[Document] = field(default_factory=list)
    integration: Document | None = None
    integration_responses: list[Document] = field(default_factory=list)


@dataclass(slots=True)
class Definition:
    api: Document
    base_path: str = ""
    models: dict[str, Document] = field(default_factory=dict)  # name → CreateModel members
    authorizers: dict[str, Document] = field(default_factory=dict)
    validators: dict[str, Document] = field(default_factory=dict)
    responses: dict[str, Document] = field(default_factory=dict)
    documentation: list[Document] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(body: bytes) -> Definition:
    """Slow for large documents: to be called in a thread."""
    document = parse(body)
    try:
        bound(document)
        return _Reader(document).read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise bad_request(_MALFORMED) from error


def parse(body: bytes) -> Document:
    if len(body) > _BYTES_MAX:
        raise bad_request(f"API definition is larger than {_BYTES_MAX} bytes")
    try:
        text = body.decode()
        is_json = text.lstrip()[:1] == "{"
        document = orjson.loads(text) if is_json else yaml.load(text, Loader=_Loader)
    except (ValueError, RecursionError, yaml.YAMLError):
        document = None
    if not isinstance(document, dict):
        raise bad_request(_MALFORMED)
    version = str(document.get("swagger") or document.get("openapi") or "")
    if version != "2.0" and not version.startswith("3."):
        raise bad_request(
            "Unable to parse API definition because of a missing or unsupported version: swagger"
            " 2.0 or openapi 3.x is required"
        )
    return document


def bound(value: Any, depth: int = 0, seen: int = 0) -> int:
    """Refuses what YAML's aliases blow up: the document counts as if it was written out."""
    seen += 1
    if depth > _DEPTH_MAX or seen > _NODES_MAX:
        raise bad_request("API definition is too large or too deep")
    members = value.values() if isinstance(value, dict) else value
    if isinstance(value, (dict, list)):
        for member in members:
            seen = bound(member, depth + 1, seen)
    return seen


@cache
def _parser(shape: str) -> Callable[[Any], Any]:
    return Parser().of(models.load("apigateway").service.shape_for(shape))


def _fitting(shape: str, members: Document) -> Document:
    """The members as the API's model wants them; raises where they are of a wrong kind."""
    try:
        fitting: Document = _parser(shape)(members)
    except AwsError as error:
        raise bad_request(f"Unable to parse API definition: {shape}: {error.message}") from error
    return fitting


def model_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name)


def with_references(schema: Document, url: str) -> str:
    """The schema's text; `url` is what stands before a model's name."""
    text = json.dumps(schema)
    return _REFERENCE.sub(lambda found: f'"$ref": "{url}{model_name(found[1])}"', text)


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.is_v3 = "openapi" in document
        self.found = Definition({})
        self.components = document.get("components") or {}
        schemes = self.components.get("securitySchemes") if self.is_v3 else None
        self.schemes: Document = schemes or document.get("securityDefinitions") or {}

    def read(self) -> Definition:
        document, found = self.document, self.found
        found.api = self._api()
        found.base_path = self._base_path()
        schemas = self.components.get("schemas") if self.is_v3 else document.get("definitions")
        for name, schema in (schemas or {}).items():
            self._add_model(model_name(name), schema)
        for name, scheme in self.schemes.items():
            if f"{VENDOR}authorizer" in scheme:
                found.authorizers[name] = _authorizer(name, scheme)
        found.validators = {
            str(name): _fitting("RequestValidator", members)
            for name, members in (document.get(f"{VENDOR}request-validators") or {}).items()
        }
        for kind, members in (document.get(f"{VENDOR}gateway-responses") or {}).items():
            found.responses[str(kind)] = _fitting("GatewayResponse", _with_texts(members))
        documentation = document.get(f"{VENDOR}documentation") or {}
        found.documentation = list(documentation.get("documentationParts") or [])
        for path, item in (document.get("paths") or {}).items():
            for verb in _VERBS:
                if verb in (item or {}):
                    found.methods.append(self._method(path, verb, item))
        for name in sorted(set(_extensions(document))):
            if _KNOWN_EXTENSION.fullmatch(name):
                continue
            found.warnings.append(f"Extension {name} is not supported for REST APIs. Ignored.")
        return found

    def _api(self) -> Document:
        document, info = self.document, self.document.get("info") or {}
        policy = document.get(f"{VENDOR}policy")
        source = document.get(f"{VENDOR}api-key-source")
        members = {
            "name": str(info["title"]) if info.get("title") else None,
            "description": info.get("description"),
            "version": str(info["version"]) if "version" in info else None,
            "binaryMediaTypes": document.get(f"{VENDOR}binary-media-types"),
            "minimumCompressionSize": document.get(f"{VENDOR}minimum-compression-size"),
            "apiKeySource": str(source).upper() if source else None,
            "policy": json.dumps(policy) if policy else None,
        }
        endpoint = document.get(f"{VENDOR}endpoint-configuration") or {}
        for server in self._servers():
            endpoint = endpoint or server.get(f"{VENDOR}endpoint-configuration") or {}
        members["disableExecuteApiEndpoint"] = endpoint.get("disableExecuteApiEndpoint")
        if kept := {k: endpoint[k] for k in ("types", "vpcEndpointIds") if endpoint.get(k)}:
            members["endpointConfiguration"] = kept
        return _fitting("RestApi", members)

    def _servers(self) -> list[Document]:
        """gateway-304: servers that are no list are not looked at."""
        servers = self.document.get("servers")
        return servers if isinstance(servers, list) else []

    def _base_path(self) -> str:
        if not self.is_v3:
            return str(self.document.get("basePath") or "").strip("/")
        server = (self._servers() or [{}])[0]
        url = str(server.get("url") or "")
        for name, variable in (server.get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")).lstrip("/"))
        return urlsplit(url).path.strip("/")

    def _add_model(self, name: str, schema: Document) -> None:
        members = {"name": name, "contentType": "application/json", "schema": schema}
        if schema.get("description"):
            members["description"] = schema["description"]
        self.found.models[name] = members

    def _method(self, path: str, verb: str, item: Document) -> Method:
        operation = item[verb] or {}
        name = "ANY" if verb.startswith(VENDOR) else verb.upper()
        method = Method(path, name, {"requestParameters": {}, "requestModels": {}})
        if operation.get("operationId"):
            method.members["operationName"] = str(operation["operationId"])
        for parameter in [*(item.get("parameters") or []), *(operation.get("parameters") or [])]:
            self._parameter(method, self.resolved(parameter), operation)
        for kind, media in (
            self.resolved(operation.get("requestBody")).get("content") or {}
        ).items():
            self._model(method.members["requestModels"], [kind], media)
        self._security(method, operation)
        default = self.document.get(f"{VENDOR}request-validator", "")
        method.validator = str(operation.get(f"{VENDOR}request-validator", default))
        for status, response in (operation.get("responses") or {}).items():
            if str(status).isdigit():
                response = self.resolved(response)
                method.responses.append(self._response(str(status), response, operation))
        integration = self.resolved(operation.get(f"{VENDOR}integration"))
        if integration:
            self._integration(method, integration)
        return method

    def _parameter(self, method: Method, parameter: Document, operation: Document) -> None:
        where, name = parameter.get("in"), str(parameter.get("name"))
        if where == "body":
            kinds = self._media("consumes", operation)
            self._model(method.members["requestModels"], kinds, parameter)
        elif where in _LOCATIONS:
            key = f"method.request.{_LOCATIONS[where]}.{name}"
            is_required = bool(parameter.get("required")) or where == "path"
            method.members["requestParameters"][key] = is_required
        else:
            self.found.warnings.append(
                f"Parameter {name} of {method.verb} {method.path} in {where} is not supported."
                " Ignored."
            )

    def _media(self, member: str, operation: Document) -> list[str]:
        found = operation.get(member) or self.document.get(member) or ["application/json"]
        return [str(kind) for kind in found]

    def _model(self, target: Document, kinds: list[str], holder: Document) -> None:
        """Names the model of `holder`'s schema for these content types."""
        schema = holder.get("schema")
        if not schema:
            return
        name = model_name(str(schema.get("$ref", "")).rpartition("/")[2])
        if not name:
            name = f"MODEL{len(self.found.models):06d}"
            self._add_model(name, schema)
        target.update(dict.fromkeys(kinds, name))

    def _response(self, status: str, response: Document, operation: Document) -> Document:
        headers = response.get("headers") or {}
        members: Document = {
            "statusCode": status,
            "responseParameters": {f"method.response.header.{name}": False for name in headers},
            "responseModels": {},
        }
        if self.is_v3:
            for kind, media in (response.get("content") or {}).items():
                self._model(members["responseModels"], [kind], media)
        else:
            self._model(members["responseModels"], self._media("produces", operation), response)
        return members

    def _security(self, method: Method, operation: Document) -> None:
        auth = operation.get(f"{VENDOR}auth") or {}
        wanted = operation.get("security", self.document.get("security")) or []
        for name, scopes in (pair for each in wanted for pair in each.items()):
            scheme = self.schemes.get(name)
            if scheme is None:
                raise bad_request(f"Invalid security definition referenced: {name}")
            if name in self.found.authorizers:
                method.authorizer = name
                method.members["authorizationType"] = "CUSTOM"
                if scopes:
                    method.members["authorizationScopes"] = scopes
            elif str(scheme.get(f"{VENDOR}authtype", "")).lower() == "awssigv4":
                method.members["authorizationType"] = "AWS_IAM"
            elif scheme.get("type") == "apiKey" and str(scheme.get("name")).lower() == "x-api-key":
                method.members["apiKeyRequired"] = True
            else:
                self.found.warnings.append(f"Security definition {name} is not supported. Ignored.")
        kind = str(auth.get("type", "")).upper()
        if kind:
            method.authorizer = ""
            method.members["authorizationType"] = kind

    def _integration(self, method: Method, given: Document) -> None:
        members = documents.chosen(given, _INTEGRATION)
        members["type"] = str(given.get("type", "")).upper()
        for name in ("httpMethod", "passthroughBehavior", "connectionType", "responseTransferMode"):
            if given.get(name):
                members[name] = str(given[name]).upper()
        if "timeoutInMillis" in members:
            members["timeoutInMillis"] = int(members["timeoutInMillis"])
        members = _fitting("Integration", _with_texts(members))
        method.integration = members
        for pattern, response in (given.get("responses") or {}).items():
            one = _with_texts(documents.chosen(response, _RESPONSE))
            one = _fitting("IntegrationResponse", one)
            if pattern != "default":
                one["selectionPattern"] = str(pattern)
            method.integration_responses.append(one)

    def resolved(self, value: Any) -> Document:
        """What a local reference names; anything else as it is."""
        for _ in range(_DEPTH_MAX):
            reference = value.get("$ref") if isinstance(value, dict) else None
            if not reference:
                return value if isinstance(value, dict) else {}
            value = self.document
            for name in str(reference).removeprefix("#/").split("/"):
                value = value.get(name) if isinstance(value, dict) else None
        raise bad_request("Unable to parse API definition: circular reference")


def _authorizer(name: str, scheme: Document) -> Document:
    given = scheme[f"{VENDOR}authorizer"]
    kind = str(given.get("type", "")).upper()
    members = documents.chosen(given, _AUTHORIZER)
    if "authorizerResultTtlInSeconds" in members:
        members["authorizerResultTtlInSeconds"] = int(members["authorizerResultTtlInSeconds"])
    if kind == "TOKEN":
        members.setdefault("identitySource", f"method.request.header.{scheme.get('name')}")
    auth = str(scheme.get(f"{VENDOR}authtype") or "custom")
    return _fitting("Authorizer", {"name": name, "type": kind, **members, "authType": auth})


def _with_texts(members: Document) -> Document:
    """What must be text may be a number in YAML."""
    fixed = dict(members)
    if fixed.get("statusCode") is not None:
        fixed["statusCode"] = str(fixed["statusCode"])
    for name in fixed.keys() & _TEXT_MAPS:
        given = fixed[name] or {}
        quote = "'" if name.endswith("Parameters") else ""  # a number there is a constant
        fixed[name] = {str(key): _text(value, quote) for key, value in given.items()}
    return fixed


def _text(value: Any, quote: str) -> Any:
    return f"{quote}{value}{quote}" if isinstance(value, int | float) else value


def _extensions(value: Any) -> Iterator[str]:
    """The names of all of Amazon's extensions in the document."""
    if isinstance(value, dict):
        for name, member in value.items():
            if str(name).startswith("x-amazon-"):
                yield str(name)
            yield from _extensions(member)
    elif isinstance(value, list):
        for item in value:
            yield from _extensions(item)
