"""Gateway responses: what API Gateway itself answers; every type has a default.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import re

from cloudlet.call import Call, Output
from cloudlet.gateway.rest import checks, documents, faults, patches
from cloudlet.gateway.rest.documents import Document, bad_request
from cloudlet.store.database import Transaction, View

# the defaults of the two classes keep the status that a fault has
STATUS: dict[str, str | None] = {
    **{kind: str(status) for kind, status in sorted(faults.STATUS.items())},
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "WAF_FILTERED": "403",  # never sent: there is no firewall
}
_PARAMETER = re.compile(r"gatewayresponse\.header\.\S+")
_VALUE = re.compile(
    r"'.*'|stageVariables\.\w+|context\.[\w.-]+"
    r"|method\.request\.(multivalue)?(header|querystring|path)\.\S+|method\.request\.body\S*",
    re.DOTALL,
)


def put_gateway_response(call: Call, tx: Transaction) -> Output:
    api_id = documents.api(call, tx)["id"]
    members = documents.chosen(call.params, "statusCode responseParameters responseTemplates")
    return save(tx, api_id, call.params["responseType"], members)


def get_gateway_response(call: Call, view: View) -> Output:
    documents.api(call, view)
    return _found(view, call.params["restApiId"], call.params["responseType"])


def get_gateway_responses(call: Call, view: View) -> Output:
    api_id = documents.api(call, view)["id"]
    return documents.page([_found(view, api_id, kind) for kind in STATUS], call.params)


def update_gateway_response(call: Call, tx: Transaction) -> Output:
    before = get_gateway_response(call, tx)
    document = patches.changed(call, "response", before)
    return save(tx, call.params["restApiId"], before["responseType"], document)


def delete_gateway_response(call: Call, tx: Transaction) -> None:
    before = get_gateway_response(call, tx)
    if before["defaultResponse"]:
        raise documents.not_found("response")
    documents.delete_part(tx, call.params["restApiId"], "response", before["responseType"])


def save(tx: Transaction, api_id: str, kind: str, members: Document) -> Document:
    """gateway-301: no templates at all means the default one (SAM sends an empty map)."""
    document = {**_default(kind), **members, "defaultResponse": False}
    if not document["responseTemplates"]:
        document["responseTemplates"] = _default(kind)["responseTemplates"]
    if document.get("statusCode"):
        checks.status(document["statusCode"])
    for name, value in document["responseParameters"].items():
        if not _PARAMETER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise bad_request(
                f"Invalid gateway response parameter specified: {name} mapped to {value}"
            )
    documents.save_part(tx, api_id, ("response", kind), document)
    return document


def _found(view: View, api_id: str, kind: str) -> Document:
    return documents.find_part(view, api_id, "response", kind) or _default(kind)


def _default(kind: str) -> Document:
    if kind not in STATUS:
        raise bad_request(f"Invalid gateway response type: {kind}")
    return {
        "responseType": kind,
        "statusCode": STATUS[kind],
        "responseParameters": {},
        "responseTemplates": {"application/json": faults.DEFAULT_BODY},
        "defaultResponse": True,
    }
