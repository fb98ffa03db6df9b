"""REST APIs themselves: create, read, change, delete, clone; the account's settings.

https://docs.aws.amazon.com/apigateway/latest/api/API_RestApi.html
"""

from cloudlet.call import Call, Output
from cloudlet.gateway import domains
from cloudlet.gateway.rest import checks, documents, patches, plans
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store.database import Transaction, View

# A securityPolicy is kept for whoever stands in front with TLS, as with domain names.
_MEMBERS = (
    "name description version binaryMediaTypes minimumCompressionSize apiKeySource policy tags"
    " endpointConfiguration disableExecuteApiEndpoint securityPolicy endpointAccessMode"
)
_CLONED = ("resource", "model", "authorizer", "validator", "response", "documentationpart")
_SCHEMA = '{{\n  "$schema": "http://json-schema.org/draft-04/schema#",\n  "title" : "{} Schema",\n'
_MODELS = (
    ("Empty", "This is a default empty schema model", '  "type" : "object"\n}'),
    (
        "Error",
        "This is a default error schema model",
        '  "type" : "object",\n  "properties" : {\n    "message" : { "type" : "string" }\n  }\n}',
    ),
)


def create_rest_api(call: Call, tx: Transaction) -> Output:
    params = call.params
    if params.get("cloneFrom"):
        source = documents.api(call, tx, params["cloneFrom"])
        document = {**source, **documents.chosen(params, _MEMBERS), "id": new_id()}
        document["createdDate"] = call.now_ms // 1000
        checks.rest_api(document)
        documents.save_api(tx, document, call.now_ms)
        for kind in _CLONED:
            tx.run(
                "INSERT INTO rest_parts SELECT ?, kind, id, document FROM rest_parts"
                " WHERE api_id = ? AND kind = ?",
                (document["id"], source["id"], kind),
            )
        return document
    return new_api(call, tx, documents.chosen(params, _MEMBERS))


def new_api(call: Call, tx: Transaction, members: Document) -> Document:
    document: Document = {
        "id": new_id(),
        "createdDate": call.now_ms // 1000,
        "apiKeySource": "HEADER",
        "tags": {},
        "disableExecuteApiEndpoint": False,
        "rootResourceId": new_id(),
        "apiStatus": "AVAILABLE",
        **members,
    }
    endpoint = {"types": ["EDGE"], "ipAddressType": "ipv4"}
    document["endpointConfiguration"] = {**endpoint, **document.get("endpointConfiguration", {})}
    checks.rest_api(document)
    documents.save_api(tx, document, call.now_ms)
    root = {"id": document["rootResourceId"], "path": "/", "resourceMethods": {}}
    documents.save_part(tx, document["id"], ("resource", root["id"]), root)
    add_models(tx, document["id"])
    return document


def add_models(tx: Transaction, api_id: str) -> None:
    """The two that every API has."""
    for name, description, schema in _MODELS:
        model = {
            "id": new_id(6),
            "name": name,
            "description": description,
            "contentType": "application/json",
            "schema": _SCHEMA.format(name) + schema,
        }
        documents.save_part(tx, api_id, ("model", name), model)


def get_rest_api(call: Call, view: View) -> Output:
    return documents.api(call, view)


def get_rest_apis(call: Call, view: View) -> Output:
    return documents.page(documents.apis(view), call.params)


def update_rest_api(call: Call, tx: Transaction) -> Output:
    document = patches.changed(call, "restapi", documents.api(call, tx))
    checks.rest_api(document)
    documents.save_api(tx, document, call.now_ms)
    return document


def delete_rest_api(call: Call, tx: Transaction) -> None:
    api_id = documents.api(call, tx)["id"]
    if mapping := domains.mapping_of_api(tx, api_id):
        raise bad_request(
            "Please remove all base path mappings related to the API in your domain:"
            f" {mapping.domain}"
        )
    plans.forget(call, tx, api_id)
    tx.run("DELETE FROM rest_apis WHERE api_id = ?", (api_id,))
    documents.changed(tx, api_id)


def get_account(call: Call, view: View) -> Output:
    return _account(view)


def update_account(call: Call, tx: Transaction) -> Output:
    account = patches.changed(call, "account", _account(tx))
    role = account.get("cloudwatchRoleArn")
    if role and not role.startswith("arn:aws"):
        raise bad_request("The role ARN does not have required permissions configured")
    documents.save_item(tx, ("account", ""), account, call.now_ms)
    return account


def _account(view: View) -> Document:
    found = documents.items(view, "account")
    throttle = {"burstLimit": 5000, "rateLimit": 10000.0}
    default = {"throttleSettings": throttle, "features": ["UsagePlans"], "apiKeyVersion": "4"}
    return found[0] if found else default
