"""Methods of resources, their responses, integrations and the integrations' responses.

All of them are members of the resource's document, as GetMethod shows them.
https://docs.aws.amazon.com/apigateway/latest/api/API_Method.html
"""

from cloudlet.call import Call, Output
from cloudlet.gateway.rest import checks, documents, patches
from cloudlet.gateway.rest.documents import Document
from cloudlet.store.database import Transaction, View

_METHOD = (
    "authorizationType authorizerId apiKeyRequired operationName requestParameters requestModels"
    " requestValidatorId authorizationScopes"
)
_INTEGRATION = (
    "type uri connectionType connectionId credentials requestParameters requestTemplates"
    " passthroughBehavior cacheNamespace cacheKeyParameters contentHandling timeoutInMillis"
    " tlsConfig responseTransferMode integrationTarget"
)
_METHOD_RESPONSE = "statusCode responseParameters responseModels"
_INTEGRATION_RESPONSE = (
    "statusCode selectionPattern responseParameters responseTemplates contentHandling"
)


def put_method(call: Call, tx: Transaction) -> Output:
    resource = documents.part(call, tx, "resource", call.params["resourceId"])
    name = call.params["httpMethod"].upper()
    if name in resource["resourceMethods"]:
        raise documents.conflict("Method already exists for this resource")
    method = new_method(name, documents.chosen(call.params, _METHOD))
    return _save_method(call, tx, resource, method)


def new_method(name: str, members: Document) -> Document:
    return {"httpMethod": name, "apiKeyRequired": False, "authorizationType": "NONE", **members}


def get_method(call: Call, view: View) -> Output:
    return _method(call, view)[1]


def update_method(call: Call, tx: Transaction) -> Output:
    resource, before = _method(call, tx)
    return _save_method(call, tx, resource, patches.changed(call, "method", before))


def delete_method(call: Call, tx: Transaction) -> None:
    resource, method = _method(call, tx)
    del resource["resourceMethods"][method["httpMethod"]]
    _save(call, tx, resource)


def put_method_response(call: Call, tx: Transaction) -> Output:
    resource, method = _method(call, tx)
    responses = method.setdefault("methodResponses", {})
    if call.params["statusCode"] in responses:
        raise documents.conflict("Response already exists for this resource")
    response = documents.chosen(call.params, _METHOD_RESPONSE)
    return _save_method_response(call, tx, (resource, responses), response)


def get_method_response(call: Call, view: View) -> Output:
    return _response(call, _method(call, view)[1].get("methodResponses"))


def update_method_response(call: Call, tx: Transaction) -> Output:
    resource, method = _method(call, tx)
    before = _response(call, method.get("methodResponses"))
    response = patches.changed(call, "methodresponse", before)
    return _save_method_response(call, tx, (resource, method["methodResponses"]), response)


def delete_method_response(call: Call, tx: Transaction) -> None:
    resource, method = _method(call, tx)
    _response(call, method.get("methodResponses"))
    del method["methodResponses"][call.params["statusCode"]]
    _save(call, tx, resource)


def put_integration(call: Call, tx: Transaction) -> Output:
    resource, method = _method(call, tx)
    members = documents.chosen(call.params, _INTEGRATION)
    members["httpMethod"] = call.params.get("integrationHttpMethod")
    integration = new_integration(members, resource["id"])
    before = method.get("methodIntegration") or {}
    if before.get("integrationResponses"):
        integration["integrationResponses"] = before["integrationResponses"]
    return _save_integration(call, tx, (resource, method), integration)


def new_integration(members: Document, resource_id: str) -> Document:
    document = {
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": checks.TIMEOUT_MS_MAX,
        "cacheNamespace": resource_id,
        "cacheKeyParameters": [],
        **members,
    }
    return {name: value for name, value in document.items() if value is not None}


def get_integration(call: Call, view: View) -> Output:
    return _integration(_method(call, view)[1])


def update_integration(call: Call, tx: Transaction) -> Output:
    resource, method = _method(call, tx)
    integration = patches.changed(call, "integration", _integration(method))
    return _save_integration(call, tx, (resource, method), integration)


def delete_integration(call: Call, tx: Transaction) -> None:
    resource, method = _method(call, tx)
    _integration(method)
    del method["methodIntegration"]
    _save(call, tx, resource)


def put_integration_response(call: Call, tx: Transaction) -> Output:
    response = documents.chosen(call.params, _INTEGRATION_RESPONSE)
    return _save_integration_response(call, tx, response)


def get_integration_response(call: Call, view: View) -> Output:
    return _response(call, _integration(_method(call, view)[1]).get("integrationResponses"))


def update_integration_response(call: Call, tx: Transaction) -> Output:
    before = get_integration_response(call, tx)
    response = patches.changed(call, "integrationresponse", before)
    return _save_integration_response(call, tx, response)


def delete_integration_response(call: Call, tx: Transaction) -> None:
    resource, method = _method(call, tx)
    integration = _integration(method)
    _response(call, integration.get("integrationResponses"))
    del integration["integrationResponses"][call.params["statusCode"]]
    _save(call, tx, resource)


def _method(call: Call, view: View) -> tuple[Document, Document]:
    """(resource, method): the method is part of the resource's document."""
    resource = documents.part(call, view, "resource", call.params["resourceId"])
    method = resource["resourceMethods"].get(call.params["httpMethod"].upper())
    if method is None:
        raise documents.not_found("method")
    return resource, method


def _integration(method: Document) -> Document:
    integration: Document | None = method.get("methodIntegration")
    if integration is None:
        raise documents.not_found("integration")
    return integration


def _response(call: Call, responses: Document | None) -> Document:
    response: Document | None = (responses or {}).get(call.params["statusCode"])
    if response is None:
        raise documents.not_found("status")
    return response


def _save_method(call: Call, tx: Transaction, resource: Document, method: Document) -> Document:
    checks.method(tx, call.params["restApiId"], method)
    resource["resourceMethods"][method["httpMethod"]] = method
    _save(call, tx, resource)
    return method


def _save_method_response(
    call: Call, tx: Transaction, place: tuple[Document, Document], response: Document
) -> Document:
    """`place`: the resource, and the responses of one of its methods."""
    checks.method_response(tx, call.params["restApiId"], response)
    place[1][response["statusCode"]] = response
    _save(call, tx, place[0])
    return response


def _save_integration(
    call: Call, tx: Transaction, place: tuple[Document, Document], integration: Document
) -> Document:
    """`place`: the resource and its method."""
    checks.integration(integration, place[1])
    place[1]["methodIntegration"] = integration
    _save(call, tx, place[0])
    return integration


def _save_integration_response(call: Call, tx: Transaction, response: Document) -> Document:
    resource, method = _method(call, tx)
    integration = _integration(method)
    checks.integration_response(response, method)
    integration.setdefault("integrationResponses", {})[response["statusCode"]] = response
    _save(call, tx, resource)
    return response


def _save(call: Call, tx: Transaction, resource: Document) -> None:
    documents.save_part(tx, call.params["restApiId"], ("resource", resource["id"]), resource)
