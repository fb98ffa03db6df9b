"""Authorizers, models, request validators, documentation parts and versions of an API.

They are alike: a table says how each is addressed, checked and changed, and the operations are
made from it.
https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cloudlet.call import Call, Output
from cloudlet.gateway.rest import checks, documentation, documents, patches
from cloudlet.gateway.rest.documents import Document, new_id
from cloudlet.store.database import Transaction, View
from cloudlet.wire.service import Operation, made

_AUTHORIZER = (
    "name type authType authorizerUri authorizerCredentials identitySource providerARNs"
    " identityValidationExpression authorizerResultTtlInSeconds jwtConfiguration"
)
_VALIDATOR = "name validateRequestBody validateRequestParameters"


@dataclass(frozen=True, slots=True)
class Part:
    """`noun` in operation names, `address` the parameter and `key` the member that name one."""

    kind: str
    noun: str
    address: str
    members: str
    defaults: Mapping[str, object]
    check: Callable[[Document], None]
    key: str = "id"
    unique: str = ""  # a member whose value no two parts share
    most: int = 2000  # of them in an API

    def create(self, call: Call, tx: Transaction) -> Output:
        api_id = documents.api(call, tx)["id"]
        return save_new(tx, api_id, self, documents.chosen(call.params, self.members), call.now_ms)

    def get(self, call: Call, view: View) -> Output:
        return documents.part(call, view, self.kind, call.params[self.address])

    def list(self, call: Call, view: View) -> Output:
        api_id = documents.api(call, view)["id"]
        found = documents.parts(view, api_id, self.kind)
        if self.kind == "documentationpart":
            found = documentation.filtered(found, call.params)
        return documents.page(found, call.params)

    def update(self, call: Call, tx: Transaction) -> Output:
        document = patches.changed(call, self.kind, self.get(call, tx))
        self.check(document)
        key = (self.kind, call.params[self.address])
        documents.save_part(tx, call.params["restApiId"], key, document)
        return document

    def delete(self, call: Call, tx: Transaction) -> None:
        api_id, name = call.params["restApiId"], call.params[self.address]
        self.get(call, tx)
        for where in _references(tx, api_id, self.kind, name):
            raise documents.conflict(
                f"Cannot delete {self.kind} '{name}', is referenced in {where}"
            )
        documents.delete_part(tx, api_id, self.kind, name)


def save_new(tx: Transaction, api_id: str, part: Part, members: Document, now_ms: int) -> Document:
    document: Document = {"id": new_id(6), **part.defaults, **members}
    if part.kind == "documentationversion":
        document["createdDate"] = now_ms // 1000
        del document["id"]
    part.check(document)
    others = documents.parts(tx, api_id, part.kind)
    if len(others) >= part.most:
        raise documents.limit_exceeded(f"Maximum number of {part.noun}s for this API is reached")
    if part.unique and any(other[part.unique] == document[part.unique] for other in others):
        name = document[part.unique]
        raise documents.conflict(
            f"{part.noun} {part.unique} already exists for this REST API: {name}"
        )
    documents.save_part(tx, api_id, (part.kind, document[part.key]), document)
    return document


def _unchecked(document: Document) -> None:
    """Nothing but what the model of the API says."""


AUTHORIZER = Part(
    "authorizer",
    "Authorizer",
    "authorizerId",
    _AUTHORIZER,
    {"authType": "custom", "authorizerResultTtlInSeconds": 300},
    checks.authorizer,
    unique="name",
    most=10,
)
MODEL = Part(
    "model",
    "Model",
    "modelName",
    "name description schema contentType",
    {},
    checks.model,
    key="name",
    unique="name",
)
VALIDATOR = Part(
    "validator",
    "RequestValidator",
    "requestValidatorId",
    _VALIDATOR,
    {"validateRequestBody": False, "validateRequestParameters": False},
    _unchecked,
)
DOCUMENTATION = Part(
    "documentationpart",
    "DocumentationPart",
    "documentationPartId",
    "location properties",
    {},
    documentation.check,
    unique="location",
)
_VERSION = Part(
    "documentationversion",
    "DocumentationVersion",
    "documentationVersion",
    "version description",
    {},
    _unchecked,
    key="version",
    unique="version",
)
_PARTS = (AUTHORIZER, MODEL, VALIDATOR, DOCUMENTATION, _VERSION)


def operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for each in _PARTS:
        one = {"Create": each.create, "Get": each.get, "Update": each.update}
        found |= made(each.noun, **one, Delete=each.delete) | made(f"{each.noun}s", Get=each.list)
    return found


def create_documentation_version(call: Call, tx: Transaction) -> Output:
    """A version may be put on a stage at once."""
    params = call.params
    params["version"] = params["documentationVersion"]
    version = _VERSION.create(call, tx)
    if params.get("stageName"):
        stage = documents.part(call, tx, "stage", params["stageName"])
        stage["documentationVersion"] = version["version"]
        documents.save_part(tx, params["restApiId"], ("stage", stage["stageName"]), stage)
    return version


def _references(view: View, api_id: str, kind: str, name: str) -> Iterator[str]:
    """Where the API still refers to a part."""
    if kind == "documentationversion":
        for stage in documents.parts(view, api_id, "stage"):
            if stage.get("documentationVersion") == name:
                yield f"stage '{stage['stageName']}'"
    if kind == "model":
        for model in documents.parts(view, api_id, "model"):
            if model["name"] != name and f'/models/{name}"' in model.get("schema", ""):
                yield f"model '{model['name']}'"
    for resource in documents.parts(view, api_id, "resource"):
        for verb, method in resource["resourceMethods"].items():
            used = {
                "authorizer": [method.get("authorizerId")],
                "validator": [method.get("requestValidatorId")],
                "model": _models_of(method),
            }.get(kind, [])
            if name in used:
                yield f"method '{verb} {resource['path']}'"


def _models_of(method: Document) -> list[str]:
    found = list((method.get("requestModels") or {}).values())
    for response in (method.get("methodResponses") or {}).values():
        found += (response.get("responseModels") or {}).values()
    return found
