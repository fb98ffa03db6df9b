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
    checks.method(tx, call.params["restApiId"], method)
    return _save_method(call, tx, resource, method)


def new_method(name: str, members: Document) -> Document:
    return {"httpMethod": name, "apiKeyRequired": False, "authorizationType": "NONE", **members}


def get_method(call: Call, view: View) -> Output:
    return _method(call, view)[1]


def update_method(call: Call, tx: Transaction) -> Output:
    resource, before = _method(call, tx)
    method = patches.apply("method", before, call.params.get("patchOperations") or [])
    checks.method(tx, call.params["restApiId"], method)
    return _save_method(call, tx, resource, method)


def delete_method(call: Call, tx: Transaction) -> None:
    resource, method = _method(call, tx)
    del resource["resourceMethods"][method["httpMethod"]]
    _save(call, tx, resource)


def put_method_response(call: Call, tx: Transaction) -> Output:
    resource, method = _method(call, tx)
    responses = method.setdefault("methodResponses", {})
    if call.params["statusCode"] in responses:
        raise documents.conflict("Response already exists for this resource")
    return _save_method_response(
        call, tx, (resource, responses), documents.chosen(call.params, _METHOD_RESPONSE)
    )


def get_method_response(call: Call, view: View) -> Output:
    return _response(call, _method(call, view)[1].get("methodResponses"))


def update_method_response(call: Call, tx: Transaction) -> Output:
    resource, method = _method(call, tx)
    before = _response(call, method.get("methodResponses"))
    response = patches.apply("methodresponse", before, call.params.get("patchOperations") or [])
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
    checks.integration(integration, method)
    before = method.get("methodIntegration") or {}
    if before.get("integrationResponses"):
        integration["integrationResponses"] = before["integrationResponses"]
    method["methodIntegration"] = integration
    _save(call, tx, resource)
    return integration


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
    operations = call.params.get("patchOperations") or []
    integration = patches.apply("integration", _integration(method), operations)
    checks.integration(integration, method)
    method["methodIntegration"] = integration
    _save(call, tx, resource)
    return integration


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
    operations = call.params.get("patchOperations") or []
    response = patches.apply("integrationresponse", before, operations)
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


def _save_integration_response(call: Call, tx: Transaction, response: Document) -> Document:
    resource, method = _method(call, tx)
    integration = _integration(method)
    checks.integration_response(response, method)
    integration.setdefault("integrationResponses", {})[response["statusCode"]] = response
    _save(call, tx, resource)
    return response


def _save(call: Call, tx: Transaction, resource: Document) -> None:
    documents.save_part(tx, call.params["restApiId"], ("resource", resource["id"]), resource)
