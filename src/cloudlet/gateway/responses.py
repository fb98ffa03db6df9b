"""Operations on what WebSocket APIs answer: route responses and integration responses.

A route with a route response sends back what its integration answers; an integration response says
how that is rendered, chosen by the status.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
"""

import re

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway import configuration
from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.store.database import Transaction, View

_KEY = re.compile(r"\$default|/.+/")
_DEFAULT = (None, "", "$default", "\\$default")


def create_route_response(call: Call, tx: Transaction) -> Output:
    """Makes a WebSocket route answer with what its function returns."""
    api_id, route_id = call.params["ApiId"], call.params["RouteId"]
    configuration.part(tx, api_id, "route", route_id)
    if call.params["RouteResponseKey"] != "$default":
        raise bad_request("RouteResponseKey must be $default")
    _refuse_models(call)
    document = {
        "RouteResponseId": configuration.new_id(6),
        "RouteResponseKey": "$default",
        "RouteId": route_id,
    }
    key = ("routeresponse", document["RouteResponseId"])
    configuration.save_part(tx, api_id, key, document, parent=route_id)
    configuration.changed(call, tx, api_id)
    return document


def get_route_response(call: Call, view: View) -> Output:
    params = call.params
    return configuration.part(view, params["ApiId"], "routeresponse", params["RouteResponseId"])


def get_route_responses(call: Call, view: View) -> Output:
    api_id, route_id = call.params["ApiId"], call.params["RouteId"]
    configuration.part(view, api_id, "route", route_id)
    found = configuration.parts(view, api_id, "routeresponse", route_id)
    return configuration.page(found, call.params)


def delete_route_response(call: Call, tx: Transaction) -> None:
    _delete(call, tx, "routeresponse")


def update_route_response(call: Call, tx: Transaction) -> Output:
    """Nothing of it can change: the key is always `$default`."""
    if call.params.get("RouteResponseKey", "$default") != "$default":
        raise bad_request("RouteResponseKey must be $default")
    _refuse_models(call)
    params = call.params
    return configuration.part(tx, params["ApiId"], "routeresponse", params["RouteResponseId"])


def create_integration_response(call: Call, tx: Transaction) -> Output:
    api_id, integration_id = call.params["ApiId"], call.params["IntegrationId"]
    if configuration.api(tx, api_id)["ProtocolType"] != "WEBSOCKET":
        raise bad_request("IntegrationResponses are supported only for WEBSOCKET APIs")
    configuration.part(tx, api_id, "integration", integration_id)
    document = {
        "IntegrationResponseId": configuration.new_id(7),
        "IntegrationId": integration_id,
    }
    return _save(call, tx, document)


def get_integration_response(call: Call, view: View) -> Output:
    params = call.params
    return configuration.part(
        view, params["ApiId"], "integrationresponse", params["IntegrationResponseId"]
    )


def get_integration_responses(call: Call, view: View) -> Output:
    api_id, integration_id = call.params["ApiId"], call.params["IntegrationId"]
    configuration.part(view, api_id, "integration", integration_id)
    found = configuration.parts(view, api_id, "integrationresponse", integration_id)
    return configuration.page(found, call.params)


def update_integration_response(call: Call, tx: Transaction) -> Output:
    return _save(call, tx, get_integration_response(call, tx))


def delete_integration_response(call: Call, tx: Transaction) -> None:
    _delete(call, tx, "integrationresponse")


def _delete(call: Call, tx: Transaction, kind: str) -> None:
    member = {"routeresponse": "RouteResponseId"}.get(kind, "IntegrationResponseId")
    configuration.delete_part(tx, call.params["ApiId"], kind, call.params[member])
    configuration.changed(call, tx, call.params["ApiId"])


def _refuse_models(call: Call) -> None:
    for name in ("ModelSelectionExpression", "ResponseModels", "ResponseParameters"):
        if call.params.get(name):
            raise NotImplementedByCloudlet(f"A route response with {name}")


def _save(call: Call, tx: Transaction, document: Document) -> Output:
    params, api_id = call.params, call.params["ApiId"]
    for name in ("ContentHandlingStrategy", "ResponseParameters"):
        if params.get(name):
            raise NotImplementedByCloudlet(f"An integration response with {name}")
    if params.get("TemplateSelectionExpression") not in _DEFAULT:
        raise NotImplementedByCloudlet("TemplateSelectionExpression of an integration response")
    for name in ("IntegrationResponseKey", "ResponseTemplates", "TemplateSelectionExpression"):
        if params.get(name) is not None:
            document[name] = params[name]
    key = document["IntegrationResponseKey"]
    if not _KEY.fullmatch(key):
        raise bad_request("IntegrationResponseKey must be $default or a pattern: /200/")
    integration_id, identifier = document["IntegrationId"], document["IntegrationResponseId"]
    for other in configuration.parts(tx, api_id, "integrationresponse", integration_id):
        is_own = other["IntegrationResponseId"] == identifier
        if other["IntegrationResponseKey"] == key and not is_own:
            raise AwsError("ConflictException", f"Integration response {key} already exists", 409)
    stored = ("integrationresponse", identifier)
    configuration.save_part(tx, api_id, stored, document, parent=integration_id)
    configuration.changed(call, tx, api_id)
    return document
