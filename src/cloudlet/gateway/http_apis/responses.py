"""Operations on what WebSocket APIs answer: route responses and integration responses.

A route with a route response sends back what its integration answers; an integration response says
how that is rendered, chosen by the status.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
"""

import re

from cloudlet.call import Call
from cloudlet.errors import NotImplementedByCloudlet, refuse
from cloudlet.gateway import configuration
from cloudlet.gateway.api_parts import Part
from cloudlet.gateway.configuration import Document, bad_request, chosen, conflict, new_id
from cloudlet.store.database import Transaction

_KEY = re.compile(r"\$default|/.+/")
_DEFAULT = (None, "", "$default", "\\$default")


def _save_route_response(call: Call, tx: Transaction, before: Document | None) -> Document:
    """Makes a WebSocket route answer with what its function returns; the key never changes."""
    params, api_id = call.params, call.params["ApiId"]
    if before is None:
        configuration.part(tx, api_id, "route", params["RouteId"])
    if params.get("RouteResponseKey", "$default") != "$default":
        raise bad_request("RouteResponseKey must be $default")
    absent = ("ModelSelectionExpression", "ResponseModels", "ResponseParameters")
    refuse(params, *absent, what="A route response with {}")
    if before is not None:
        return before
    document = {
        "RouteResponseId": new_id(6),
        "RouteResponseKey": "$default",
        "RouteId": params["RouteId"],
    }
    key = ("routeresponse", document["RouteResponseId"])
    configuration.save_part(tx, api_id, key, document, parent=params["RouteId"])
    configuration.changed(call, tx, api_id)
    return document


def _save_integration_response(call: Call, tx: Transaction, before: Document | None) -> Document:
    params, api_id = call.params, call.params["ApiId"]
    document = before or _new(call, tx)
    absent = ("ContentHandlingStrategy", "ResponseParameters")
    refuse(params, *absent, what="An integration response with {}")
    if params.get("TemplateSelectionExpression") not in _DEFAULT:
        raise NotImplementedByCloudlet("TemplateSelectionExpression of an integration response")
    document |= chosen(
        params, "IntegrationResponseKey ResponseTemplates TemplateSelectionExpression"
    )
    key = document["IntegrationResponseKey"]
    if not _KEY.fullmatch(key):
        raise bad_request("IntegrationResponseKey must be $default or a pattern: /200/")
    integration_id, identifier = document["IntegrationId"], document["IntegrationResponseId"]
    for other in configuration.parts(tx, api_id, "integrationresponse", integration_id):
        is_own = other["IntegrationResponseId"] == identifier
        if other["IntegrationResponseKey"] == key and not is_own:
            raise conflict(f"Integration response {key} already exists")
    stored = ("integrationresponse", identifier)
    configuration.save_part(tx, api_id, stored, document, parent=integration_id)
    configuration.changed(call, tx, api_id)
    return document


def _new(call: Call, tx: Transaction) -> Document:
    api_id, integration_id = call.params["ApiId"], call.params["IntegrationId"]
    if configuration.api(tx, api_id)["ProtocolType"] != "WEBSOCKET":
        raise bad_request("IntegrationResponses are supported only for WEBSOCKET APIs")
    configuration.part(tx, api_id, "integration", integration_id)
    return {"IntegrationResponseId": new_id(7), "IntegrationId": integration_id}


ROUTE_RESPONSE = Part("RouteResponse", _save_route_response, parent="Route")
INTEGRATION_RESPONSE = Part("IntegrationResponse", _save_integration_response, parent="Integration")
