"""Import of OpenAPI documents: a new REST API, or into one (merge, overwrite).

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway.rest import (
    apis,
    checks,
    definitions,
    documents,
    methods,
    models,
    parts,
    resources,
    responses,
)
from cloudlet.gateway.rest.definitions import Definition, Method
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store.database import Transaction

_SETTINGS = {"description", "version", "binaryMediaTypes", "minimumCompressionSize", "policy"}
_PARAMETERS = {"basepath", "endpointConfigurationTypes", "ignore", "mode"}


async def import_rest_api(call: Call) -> Output:
    found = await asyncio.to_thread(_read, call)
    if "name" not in found.api:
        raise bad_request("Unable to parse API definition: info.title is required")

    def create(tx: Transaction) -> Output:
        return _fill(call, tx, apis.new_api(call, tx, found.api), found)

    return await call.cloud.database.write(create)


async def put_rest_api(call: Call) -> Output:
    """`merge` adds and replaces what the document has; `overwrite` leaves nothing else."""
    found = await asyncio.to_thread(_read, call)
    return await call.cloud.database.write(lambda tx: _put_api(call, tx, found))


def _put_api(call: Call, tx: Transaction, found: Definition) -> Output:
    before = documents.api(call, tx)
    mode = call.params.get("mode") or "merge"
    if mode not in ("merge", "overwrite"):
        raise bad_request("Invalid mode specified. Must be one of [merge, overwrite]")
    kept = before
    if mode == "overwrite":
        kept = {name: value for name, value in before.items() if name not in _SETTINGS}
        for kind in ("model", "authorizer", "validator", "response", "documentationpart"):
            documents.delete_parts(tx, before["id"], kind)
        apis.add_models(tx, before["id"])
    endpoint = {**before["endpointConfiguration"], **found.api.pop("endpointConfiguration", {})}
    api = {**kept, **found.api, "endpointConfiguration": endpoint}
    checks.rest_api(api)
    documents.save_api(tx, api, call.now_ms)
    return _fill(call, tx, api, found, overwrite=mode == "overwrite")


async def import_documentation_parts(call: Call) -> Output:
    found = await asyncio.to_thread(definitions.read, call.params["body"])

    def change(tx: Transaction) -> Output:
        api_id = documents.api(call, tx)["id"]
        if (call.params.get("mode") or "merge") == "overwrite":
            documents.delete_parts(tx, api_id, "documentationpart")
        return {"ids": _save_documentation(tx, api_id, found, call.now_ms), "warnings": []}

    return await call.cloud.database.write(change)


def _read(call: Call) -> Definition:
    parameters = call.params.get("parameters") or {}
    if unknown := sorted(parameters.keys() - _PARAMETERS):
        raise bad_request(f"Invalid import parameter specified: {', '.join(unknown)}")
    found = definitions.read(_with_variables(call))
    if parameters.get("endpointConfigurationTypes"):
        types = parameters["endpointConfigurationTypes"].split(",")
        found.api.setdefault("endpointConfiguration", {})["types"] = types
    prefix = _prefix(parameters.get("basepath") or "ignore", found.base_path)
    for method in found.methods:
        method.path = prefix + method.path
    if found.warnings and call.params.get("failOnWarnings"):
        raise bad_request("Warnings found during import:\n\t" + "\n\t".join(found.warnings))
    return found


def _with_variables(call: Call) -> bytes:
    """The document with AWS's variables, which an import resolves.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/import-api-aws-variables.html
    """
    config = call.config
    body: bytes = call.params["body"]
    values = {"AccountId": config.account, "Partition": "aws", "Region": config.region}
    for name, value in values.items():
        body = body.replace(b"${AWS::%s}" % name.encode(), value.encode())
    return body


def _prefix(mode: str, base_path: str) -> str:
    if mode not in ("ignore", "prepend", "split"):
        raise bad_request("Invalid basepath mode. Must be one of [ignore, prepend, split]")
    if mode == "split":
        base_path = base_path.partition("/")[2]
    return f"/{base_path}" if base_path and mode != "ignore" else ""


def _fill(
    call: Call, tx: Transaction, api: Document, found: Definition, *, overwrite: bool = False
) -> Output:
    api_id = api["id"]
    _save_models(tx, api_id, found)
    ids = {
        "authorizer": _save_named(tx, api_id, parts.AUTHORIZER, found.authorizers),
        "validator": _save_named(tx, api_id, parts.VALIDATOR, found.validators),
    }
    for kind, members in found.responses.items():
        with _about(f"put gateway response '{kind}'"):
            responses.save(tx, api_id, kind, members)
    _save_documentation(tx, api_id, found, call.now_ms)
    tree = _Tree(tx, api_id, overwrite)
    for method in found.methods:
        _put(tx, tree, method, ids)
    tree.save()
    return {**api, "warnings": found.warnings or None}


def _save_models(tx: Transaction, api_id: str, found: Definition) -> None:
    url = models.reference(api_id, "")
    for name, members in found.models.items():
        old = documents.find_part(tx, api_id, "model", name) or {"id": new_id(6)}
        schema = definitions.with_references(members["schema"], url)
        model = {"id": old["id"], **members, "schema": schema}
        with _about(f"create model '{name}'"):
            checks.model(model)
            for other in models.referred(schema):
                if other not in found.models and not documents.find_part(
                    tx, api_id, "model", other
                ):
                    raise bad_request(f"Invalid model identifier specified: {other}")
        documents.save_part(tx, api_id, ("model", name), model)


def _save_named(
    tx: Transaction, api_id: str, part: parts.Part, wanted: dict[str, Document]
) -> dict[str, str]:
    """Name → id; a part of the same name is replaced and keeps its id."""
    old = {each.get("name"): each["id"] for each in documents.parts(tx, api_id, part.kind)}
    ids = {}
    for name, members in wanted.items():
        ids[name] = old.get(name) or new_id(6)
        document = {"id": ids[name], **part.defaults, "name": name, **members}
        with _about(f"create {part.kind} '{name}'"):
            part.check(document)
        documents.save_part(tx, api_id, (part.kind, ids[name]), document)
    return ids


def _save_documentation(tx: Transaction, api_id: str, found: Definition, now_ms: int) -> list[str]:
    ids = []
    for given in found.documentation:
        members = {**given, "properties": orjson.dumps(given.get("properties") or {}).decode()}
        ids.append(parts.save_new(tx, api_id, parts.DOCUMENTATION, members, now_ms)["id"])
    return ids


class _Tree:
    """The resources of an API while an import fills them."""

    def __init__(self, tx: Transaction, api_id: str, overwrite: bool) -> None:
        self._tx = tx
        self.api_id = api_id
        found = documents.parts(tx, api_id, "resource")
        self._ids = {resource["path"]: resource["id"] for resource in found}
        if overwrite:
            documents.delete_parts(tx, api_id, "resource")
            found = [resource for resource in found if "parentId" not in resource]
            found[0]["resourceMethods"] = {}
        self._found = found
        self._by_path = {resource["path"]: resource for resource in found}

    def at(self, path: str) -> Document:
        path = "/" + path.strip("/")
        resource = self._by_path.get(path)
        if resource is None:
            above, _, part = path.rpartition("/")
            resource = resources.new(self.at(above), part, self._found)
            resource["id"] = self._ids.get(path, resource["id"])
            self._found.append(resource)
            self._by_path[path] = resource
        return resource

    def save(self) -> None:
        for resource in self._found:
            documents.save_part(self._tx, self.api_id, ("resource", resource["id"]), resource)


def _put(tx: Transaction, tree: _Tree, method: Method, ids: dict[str, dict[str, str]]) -> None:
    where = f"on resource at path '{method.path}'"
    with _about(f"create resource at path '{method.path}'"):
        resource = tree.at(method.path)
    members = {name: value for name, value in method.members.items() if value not in ({}, None)}
    if method.authorizer:
        members["authorizerId"] = ids["authorizer"].get(method.authorizer)
    with _about(f"put method '{method.verb}' {where}"):
        if method.validator:
            if method.validator not in ids["validator"]:
                raise bad_request(f"Request validator '{method.validator}' is not defined")
            members["requestValidatorId"] = ids["validator"][method.validator]
        document = methods.new_method(method.verb, members)
        checks.method(tx, tree.api_id, document)
        for response in method.responses:
            checks.method_response(tx, tree.api_id, response)
            document.setdefault("methodResponses", {})[response["statusCode"]] = response
    with _about(f"put integration on '{method.verb}' {where}"):
        _put_integration(document, method, resource["id"])
    resource["resourceMethods"][method.verb] = document


def _put_integration(document: Document, method: Method, resource_id: str) -> None:
    if method.integration is None:
        return
    integration = methods.new_integration(method.integration, resource_id)
    checks.integration(integration, document)
    document["methodIntegration"] = integration
    for response in method.integration_responses:
        checks.integration_response(response, document)
        found = integration.setdefault("integrationResponses", {})
        found[response["statusCode"]] = response


@contextmanager
def _about(what: str) -> Iterator[None]:
    """Says what an import could not do."""
    try:
        yield
    except NotImplementedByCloudlet:
        raise
    except AwsError as error:
        raise bad_request(
            f"Errors found during import:\n\tUnable to {what}: {error.message}"
        ) from (error)
