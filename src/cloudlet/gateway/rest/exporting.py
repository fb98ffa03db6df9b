"""Export of a deployed stage as OpenAPI 2 or 3, with API Gateway's extensions if wanted.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import yaml

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.rest import documents, snapshots
from cloudlet.gateway.rest.definitions import VENDOR
from cloudlet.gateway.rest.documents import Document, bad_request
from cloudlet.store.database import View
from cloudlet.wire.service import in_thread

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # PyYAML may lack libyaml
_EXTENSIONS = {"integrations", "authorizers", "apigateway"}
_PLACES = {"querystring": "query", "path": "path", "header": "header"}
_SCHEMES: dict[str, Document] = {
    "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        f"{VENDOR}authtype": "awsSigv4",
    },
}
_MODEL = re.compile(r'"\$ref":\s*"https://apigateway\.amazonaws\.com/restapis/\w+/models/(\w+)"')


@in_thread
def get_export(call: Call, view: View) -> Output:
    params = call.params
    documents.part(call, view, "stage", params["stageName"])
    found = snapshots.load(view, params["restApiId"], params["stageName"])
    assert found is not None
    kind = params["exportType"]
    if kind not in ("swagger", "oas30"):
        raise bad_request("Invalid export type specified. Must be one of [oas30, swagger]")
    given = (params.get("parameters") or {}).get("extensions", "")
    wanted = set(filter(None, given.split(",")))
    if wanted - _EXTENSIONS:
        raise NotImplementedByCloudlet(f"Export with extensions {given}")
    document = _Writer(found, kind == "oas30", wanted).document(call)
    accepts = params.get("accepts") or "application/json"
    if accepts == "application/yaml":
        unshared = json.loads(json.dumps(document))  # or YAML would have aliases
        body, suffix = yaml.dump(unshared, Dumper=_Dumper, sort_keys=False).encode(), "yaml"
    elif accepts in ("application/json", "*/*"):
        body, suffix = json.dumps(document, indent=2).encode(), "json"
    else:
        raise bad_request(f"Invalid accepts type specified: {accepts}")
    name = f"{kind}_{datetime.fromtimestamp(call.now_ms / 1000, UTC):%Y-%m-%dT%H-%M-%S}Z.{suffix}"
    return {
        "contentType": accepts.replace("*/*", "application/json"),
        "contentDisposition": f'attachment; filename="{name}"',
        "body": body,
    }


class _Writer:
    """One snapshot in one version of OpenAPI."""

    def __init__(self, found: snapshots.Deployed, is_v3: bool, extensions: set[str]) -> None:
        self.stage = found.stage
        self.snapshot = found.snapshot
        self.is_v3 = is_v3
        self.all = "apigateway" in extensions
        self.integrations = self.all or "integrations" in extensions
        self.authorizers = self.all or "authorizers" in extensions
        self.used: set[str] = set()  # names of the security schemes that methods refer to

    def document(self, call: Call) -> Document:
        api = self.snapshot["restApi"]
        info = {"title": api["name"], "description": api.get("description")}
        info["version"] = api.get("version") or _version(api)
        paths = {
            resource["path"]: {
                f"{VENDOR}any-method" if verb == "ANY" else verb.lower(): self._operation(method)
                for verb, method in sorted(resource["resourceMethods"].items())
            }
            for resource in sorted(self.snapshot["resources"], key=lambda each: str(each["path"]))
            if resource["resourceMethods"]
        }
        for resource in self.snapshot["resources"]:
            self._path_parameters(resource, paths.get(resource["path"]) or {})
        host = f"{api['id']}.execute-api.{call.config.region}.amazonaws.com"
        document = {**self._head(host, info), "paths": paths, **self._parts()}
        return {**document, **(self._settings(api) if self.all else {})}

    def _head(self, host: str, info: Document) -> Document:
        base, info = f"/{self.stage['stageName']}", _present(info)
        if self.is_v3:
            variables = {"basePath": {"default": base}}
            server = {"url": f"https://{host}/{{basePath}}", "variables": variables}
            return {"openapi": "3.0.1", "info": info, "servers": [server]}
        head = {"swagger": "2.0", "info": info, "host": host}
        return {**head, "basePath": base, "schemes": ["https"]}

    def _parts(self) -> Document:
        schemas = {name: _schema(model, self) for name, model in self.snapshot["models"].items()}
        schemes = {name: self._scheme(name) for name in sorted(self.used)}
        if self.is_v3:
            return {"components": _present({"schemas": schemas, "securitySchemes": schemes})}
        return _present({"securityDefinitions": schemes, "definitions": schemas})

    def _settings(self, api: Document) -> Document:
        validators = {
            validator.get("name") or validator["id"]: {
                name: validator[name]
                for name in ("validateRequestParameters", "validateRequestBody")
            }
            for validator in self.snapshot["validators"].values()
        }
        kept = ("statusCode", "responseParameters", "responseTemplates")
        responses = {
            kind: _present({name: response.get(name) for name in kept})
            for kind, response in self.snapshot["gatewayResponses"].items()
        }
        settings = {
            "binary-media-types": api.get("binaryMediaTypes"),
            "minimum-compression-size": api.get("minimumCompressionSize"),
            "api-key-source": api["apiKeySource"] if api["apiKeySource"] != "HEADER" else None,
            "policy": self.snapshot.get("policy"),
            "gateway-responses": responses,
            "request-validators": validators,
        }
        return {VENDOR + name: value for name, value in _present(settings).items()}

    def _operation(self, method: Document) -> Document:
        operation: Document = {"operationId": method.get("operationName")}
        parameters = [
            self._parameter(name, is_required)
            for name, is_required in (method.get("requestParameters") or {}).items()
        ]
        bodies: Document = method.get("requestModels") or {}
        if self.is_v3 and bodies:
            operation["requestBody"] = {"content": self._content(bodies), "required": True}
        elif bodies:
            operation["consumes"] = sorted(bodies)
            schema = self._reference(next(iter(bodies.values())))
            body = {"in": "body", "name": "body", "required": True, "schema": schema}
            parameters.append(body)
        operation["parameters"] = parameters
        self._responses(operation, method.get("methodResponses") or {})
        operation["security"] = list(self._security(method))
        validator = self.snapshot["validators"].get(method.get("requestValidatorId"))
        if self.all and validator:
            name = validator.get("name") or validator["id"]
            operation[f"{VENDOR}request-validator"] = name
        if self.integrations and "methodIntegration" in method:
            operation[f"{VENDOR}integration"] = _integration(method["methodIntegration"])
        return {"responses": {}, **_present(operation)}

    def _parameter(self, name: str, is_required: bool) -> Document:
        place, _, short = name.removeprefix("method.request.").partition(".")
        place = _PLACES[place.removeprefix("multivalue")]
        kind = {"schema": {"type": "string"}} if self.is_v3 else {"type": "string"}
        return {"name": short, "in": place, "required": is_required or place == "path", **kind}

    def _path_parameters(self, resource: Document, item: Document) -> None:
        """OpenAPI wants every variable of a path declared."""
        for name in re.findall(r"\{([^}+]+)\+?\}", resource["path"]):
            for operation in item.values():
                known = operation.setdefault("parameters", [])
                if not any((each["in"], each["name"]) == ("path", name) for each in known):
                    known.append(self._parameter(f"method.request.path.{name}", True))

    def _responses(self, operation: Document, responses: Document) -> None:
        operation["responses"] = described = {}
        for status, response in sorted(responses.items()):
            text = {"schema": {"type": "string"}} if self.is_v3 else {"type": "string"}
            headers = {
                name.rpartition("header.")[2]: text
                for name in response.get("responseParameters") or {}
            }
            bodies = response.get("responseModels") or {}
            described[status] = {
                "description": f"{status} response",
                **_present({"headers": headers}),
            }
            if self.is_v3:
                described[status] |= _present({"content": self._content(bodies)})
            elif bodies:
                operation.setdefault("produces", []).extend(
                    kind for kind in bodies if kind not in operation.get("produces", [])
                )
                described[status]["schema"] = self._reference(next(iter(bodies.values())))

    def _content(self, bodies: Document) -> Document:
        return {kind: {"schema": self._reference(name)} for kind, name in bodies.items()}

    def _reference(self, name: str) -> Document:
        return {"$ref": ("#/components/schemas/" if self.is_v3 else "#/definitions/") + name}

    def _security(self, method: Document) -> Iterator[dict[str, list[str]]]:
        names = []
        if method["authorizationType"] == "AWS_IAM":
            names.append("sigv4")
        authorizer = self.snapshot["authorizers"].get(method.get("authorizerId"))
        if authorizer and method["authorizationType"] == "CUSTOM":
            names.append(authorizer["name"])
        if method.get("apiKeyRequired"):
            names.append("api_key")
        self.used.update(names)
        for name in names:
            yield {name: []}

    def _scheme(self, name: str) -> Document:
        if name in _SCHEMES:
            return _SCHEMES[name]
        found = next(a for a in self.snapshot["authorizers"].values() if a["name"] == name)
        source = str(found.get("identitySource") or "")
        is_token = found["type"] == "TOKEN"
        header = source.rpartition("header.")[2] if is_token else "Unused"
        scheme: Document = {"type": "apiKey", "name": header, "in": "header"}
        scheme[f"{VENDOR}authtype"] = found.get("authType", "custom")
        if self.authorizers:
            members = {
                k: v for k, v in found.items() if k not in ("id", "name", "type", "authType")
            }
            scheme[f"{VENDOR}authorizer"] = {**members, "type": found["type"].lower()}
        return scheme


def _integration(found: Document) -> Document:
    document = {
        name: value
        for name, value in found.items()
        if name not in ("integrationResponses", "cacheNamespace") and value not in ([], {})
    }
    document["type"] = document["type"].lower()
    document["passthroughBehavior"] = document["passthroughBehavior"].lower()
    responses = {
        response.get("selectionPattern") or "default": {
            name: value for name, value in response.items() if name != "selectionPattern"
        }
        for response in (found.get("integrationResponses") or {}).values()
    }
    return {**document, **_present({"responses": responses})}


def _schema(model: Document, writer: _Writer) -> Any:
    place = "#/components/schemas/" if writer.is_v3 else "#/definitions/"
    schema = json.loads(_MODEL.sub(rf'"$ref": "{place}\1"', model["schema"]))
    return {name: value for name, value in schema.items() if name != "$schema"}


def _version(api: Document) -> str:
    return f"{datetime.fromtimestamp(api['createdDate'], UTC):%Y-%m-%dT%H:%M:%SZ}"


def _present(document: Document) -> Document:
    return {name: value for name, value in document.items() if value not in (None, {}, [])}
