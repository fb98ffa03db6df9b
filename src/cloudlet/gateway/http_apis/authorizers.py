"""Operations on authorizers of HTTP and WebSocket APIs, and what an authorizer must say.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html
"""

from cloudlet.call import Call
from cloudlet.gateway import configuration
from cloudlet.gateway.api_parts import Part
from cloudlet.gateway.configuration import Document, bad_request, chosen, conflict, new_id
from cloudlet.gateway.http_apis import parts
from cloudlet.gateway.lambda_authorizers import TTL_S_MAX
from cloudlet.gateway.variables import is_source
from cloudlet.store.database import Transaction, View

_MEMBERS = (
    "AuthorizerCredentialsArn AuthorizerPayloadFormatVersion AuthorizerResultTtlInSeconds"
    " AuthorizerType AuthorizerUri EnableSimpleResponses IdentitySource JwtConfiguration Name"
)


def reset_authorizers_cache(call: Call, tx: Transaction) -> None:
    """Drops the verdicts of a stage of an HTTP API."""
    api_id = call.params["ApiId"]
    configuration.part(tx, api_id, "stage", call.params["StageName"])
    configuration.announce(call, tx, api_id)


def authorizer(params: Document, protocol: str, existing: Document) -> Document:
    """The authorizer's document after `params`; raises on what is wrong."""
    document = existing | chosen(params, _MEMBERS)
    if params.get("IdentityValidationExpression"):
        raise bad_request("IdentityValidationExpression is not supported")
    kind = document.get("AuthorizerType")
    if kind not in ("REQUEST", "JWT") or (kind == "JWT" and protocol != "HTTP"):
        raise bad_request(f"Authorizer type {kind} is not supported for {protocol} APIs")
    sources = document.setdefault("IdentitySource", [])
    for source in sources:
        if not is_source(source):
            raise bad_request(f"Invalid identity source: {source}")
    if kind == "JWT":
        _check_jwt(document)
    else:
        _check_function(document, protocol)
    return document


def _check_jwt(document: Document) -> None:
    configured = document.get("JwtConfiguration") or {}
    if not configured.get("Issuer") or not configured.get("Audience"):
        raise bad_request("JwtConfiguration needs an Issuer and an Audience for a JWT authorizer")
    if not configured["Issuer"].startswith(("https://", "http://")):
        raise bad_request(f"Invalid issuer: {configured['Issuer']}. Issuer must be a URL")
    if len(document["IdentitySource"]) != 1:
        raise bad_request("A JWT authorizer needs exactly one identity source")
    for name in ("AuthorizerUri", "AuthorizerPayloadFormatVersion", "EnableSimpleResponses"):
        if document.get(name):
            raise bad_request(f"{name} is not supported for JWT authorizers")


def _check_function(document: Document, protocol: str) -> None:
    if not document.get("AuthorizerUri"):
        raise bad_request("AuthorizerUri is required for REQUEST authorizers")
    parts.function_arn(document["AuthorizerUri"])
    version = document.get("AuthorizerPayloadFormatVersion")
    ttl_s = document.get("AuthorizerResultTtlInSeconds") or 0
    if protocol == "WEBSOCKET":
        for name in ("AuthorizerPayloadFormatVersion", "EnableSimpleResponses"):
            if document.get(name):
                raise bad_request(f"{name} is not supported for WEBSOCKET APIs")
        if ttl_s:
            raise bad_request("AuthorizerResultTtlInSeconds is not supported for WEBSOCKET APIs")
        return
    if version not in ("1.0", "2.0"):
        raise bad_request("AuthorizerPayloadFormatVersion must be 1.0 or 2.0")
    if document.get("EnableSimpleResponses") and version != "2.0":
        raise bad_request("EnableSimpleResponses needs AuthorizerPayloadFormatVersion 2.0")
    if not 0 <= ttl_s <= TTL_S_MAX:
        raise bad_request(f"AuthorizerResultTtlInSeconds must be between 0 and {TTL_S_MAX}")
    if ttl_s and not document["IdentitySource"]:
        raise bad_request("IdentitySource is required when authorizer caching is enabled")


def check_route(view: View, api_id: str, route: Document) -> None:
    """The route's authorizer must be there and be of its type."""
    if not route.get("AuthorizerId"):
        return
    found = configuration.part(view, api_id, "authorizer", route["AuthorizerId"])
    wanted = "JWT" if route["AuthorizationType"] == "JWT" else "REQUEST"
    if found["AuthorizerType"] != wanted:
        raise bad_request(
            f"AuthorizationType {route['AuthorizationType']} does not fit the authorizer's type"
        )


def _save(call: Call, tx: Transaction, before: Document | None) -> Document:
    api_id = call.params["ApiId"]
    protocol = configuration.api(tx, api_id)["ProtocolType"]
    document = authorizer(call.params, protocol, before or {"AuthorizerId": new_id(6)})
    configuration.save_part(tx, api_id, ("authorizer", document["AuthorizerId"]), document)
    configuration.changed(call, tx, api_id)
    return document


def _free(call: Call, tx: Transaction, identifier: str) -> None:
    for route in configuration.parts(tx, call.params["ApiId"], "route"):
        if route.get("AuthorizerId") == identifier:
            raise conflict(f"Cannot delete authorizer '{identifier}'. It is referenced by a route.")


PART = Part("Authorizer", _save, _free)
