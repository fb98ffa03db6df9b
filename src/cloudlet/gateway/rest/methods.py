"""Methods of resources, their responses, integrations and the integrations' responses.

All of them are members of the resource's document, as GetMethod shows them: a table says what each
is made of and checked by, and the operations are made from it.
https://docs.aws.amazon.com/apigateway/latest/api/API_Method.html
"""

from collections.abc import Callable
from dataclasses import dataclass

from cloudlet.call import Call, Output
from cloudlet.gateway.rest import checks, documents, patches
from cloudlet.gateway.rest.documents import Document
from cloudlet.store.database import Transaction, View
from cloudlet.wire.service import Operation, made


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the call's document stands in the resource's: under `key` in `holder`."""

    resource: Document
    method: Document  # that it belongs to; {} for a method itself
    holder: Document
    key: str


@dataclass(frozen=True, slots=True)
class Member:
    """`noun` is in the operations' names; `missing` tells what is not there."""

    noun: str
    members: str
    missing: str
    check: Callable[[View, str, Document, Document], None]  # API, document, its method
    make: Callable[[Call, _Place, Document], Document] = lambda call, place, members: members
    taken: str = ""  # the error if there is one already; "": the new one replaces it

    def put(self, call: Call, tx: Transaction) -> Output:
        place = _place(call, tx, self.noun)
        if self.taken and place.key in place.holder:
            raise documents.conflict(self.taken)
        members = documents.chosen(call.params, self.members)
        return self._save(call, tx, place, self.make(call, place, members))

    def get(self, call: Call, view: View) -> Output:
        return self._found(_place(call, view, self.noun))

    def update(self, call: Call, tx: Transaction) -> Output:
        place = _place(call, tx, self.noun)
        document = patches.changed(call, self.noun.lower(), self._found(place))
        return self._save(call, tx, place, document)

    def delete(self, call: Call, tx: Transaction) -> None:
        place = _place(call, tx, self.noun)
        self._found(place)
        del place.holder[place.key]
        _save_resource(call, tx, place.resource)

    def _found(self, place: _Place) -> Document:
        document: Document | None = place.holder.get(place.key)
        if document is None:
            raise documents.not_found(self.missing)
        return document

    def _save(self, call: Call, tx: Transaction, place: _Place, document: Document) -> Document:
        self.check(tx, call.params["restApiId"], document, place.method)
        place.holder[place.key] = document
        _save_resource(call, tx, place.resource)
        return document


def _place(call: Call, view: View, noun: str) -> _Place:
    resource = documents.part(call, view, "resource", call.params["resourceId"])
    methods, verb = resource["resourceMethods"], call.params["httpMethod"].upper()
    if noun == "Method":
        return _Place(resource, {}, methods, verb)
    method = methods.get(verb)
    if method is None:
        raise documents.not_found("method")
    if noun == "Integration":
        return _Place(resource, method, method, "methodIntegration")
    owner = method if noun == "MethodResponse" else method.get("methodIntegration")
    if owner is None:
        raise documents.not_found("integration")
    responses = f"{noun[0].lower()}{noun[1:]}s"
    return _Place(resource, method, owner.setdefault(responses, {}), call.params["statusCode"])


def _save_resource(call: Call, tx: Transaction, resource: Document) -> None:
    documents.save_part(tx, call.params["restApiId"], ("resource", resource["id"]), resource)


def new_method(name: str, members: Document) -> Document:
    return {"httpMethod": name, "apiKeyRequired": False, "authorizationType": "NONE", **members}


def new_integration(members: Document, resource_id: str) -> Document:
    document = {
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": checks.TIMEOUT_MS_MAX,
        "cacheNamespace": resource_id,
        "cacheKeyParameters": [],
        **members,
    }
    return {name: value for name, value in document.items() if value is not None}


def _integration(call: Call, place: _Place, members: Document) -> Document:
    """The responses of the one that it replaces stay."""
    members["httpMethod"] = call.params.get("integrationHttpMethod")
    before = place.method.get("methodIntegration") or {}
    members["integrationResponses"] = before.get("integrationResponses") or None
    return new_integration(members, place.resource["id"])


_MEMBERS = (
    Member(
        "Method",
        "authorizationType authorizerId apiKeyRequired operationName requestParameters"
        " requestModels requestValidatorId authorizationScopes",
        "method",
        lambda view, api_id, document, _: checks.method(view, api_id, document),
        lambda _, place, members: new_method(place.key, members),
        "Method already exists for this resource",
    ),
    Member(
        "MethodResponse",
        "statusCode responseParameters responseModels",
        "status",
        lambda view, api_id, document, _: checks.method_response(view, api_id, document),
        taken="Response already exists for this resource",
    ),
    Member(
        "Integration",
        "type uri connectionType connectionId credentials requestParameters requestTemplates"
        " passthroughBehavior cacheNamespace cacheKeyParameters contentHandling timeoutInMillis"
        " tlsConfig responseTransferMode integrationTarget",
        "integration",
        lambda view, api_id, document, method: checks.integration(document, method),
        _integration,
    ),
    Member(
        "IntegrationResponse",
        "statusCode selectionPattern responseParameters responseTemplates contentHandling",
        "status",
        lambda view, api_id, document, method: checks.integration_response(document, method),
    ),
)


def operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for each in _MEMBERS:
        found |= made(each.noun, Put=each.put, Get=each.get, Update=each.update, Delete=each.delete)
    return found
