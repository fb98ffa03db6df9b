"""APIs: create, read, change, delete, tag; import of an OpenAPI document.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html
"""

import re
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import refuse
from cloudlet.gateway import configuration, domains
from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.gateway.http_apis import authorizers, openapi, openapi_export, parts
from cloudlet.store.database import Transaction, View

_PROTOCOLS = ("HTTP", "WEBSOCKET")
_MEMBERS = (
    "ApiKeySelectionExpression CorsConfiguration Description DisableExecuteApiEndpoint"
    " DisableSchemaValidation IpAddressType Name RouteSelectionExpression Version"
)


def create_api(call: Call, tx: Transaction) -> Output:
    """Creates an API; `Target` (quick create) adds a route, an integration and a stage."""
    params = call.params
    protocol = params["ProtocolType"]
    if protocol not in _PROTOCOLS:
        raise bad_request(f"Invalid protocol specified. Must be one of {list(_PROTOCOLS)}")
    document = _new(call, protocol)
    _apply(document, params)
    if protocol == "WEBSOCKET":
        if not params.get("RouteSelectionExpression"):
            raise bad_request("RouteSelectionExpression is required for WEBSOCKET protocol APIs")
        if params.get("CorsConfiguration") or params.get("Target"):
            raise bad_request("CorsConfiguration and Target are supported only for HTTP APIs")
    configuration.save_api(tx, document, call.now_ms)
    if params.get("Target"):
        _quick_create(call, tx, document["ApiId"])
    return document


def get_api(call: Call, view: View) -> Output:
    return configuration.api(view, call.params["ApiId"])


def get_apis(call: Call, view: View) -> Output:
    return configuration.page(configuration.apis(view), call.params)


def update_api(call: Call, tx: Transaction) -> Output:
    refuse(call.params, "Target", "CredentialsArn", "RouteKey", what="UpdateApi with {}")
    document = configuration.api(tx, call.params["ApiId"])
    _apply(document, call.params)
    return _save(call, tx, document)


def delete_api(call: Call, tx: Transaction) -> None:
    api_id = call.params["ApiId"]
    configuration.api(tx, api_id)
    mapped = domains.mapping_of_api(tx, api_id)
    if mapped is not None:
        raise bad_request(
            f"Unable to delete the API: it is mapped to the domain name {mapped.domain}"
        )
    tx.run("DELETE FROM gateway_apis WHERE api_id = ?", (api_id,))
    configuration.announce(call, tx, api_id)


def delete_cors_configuration(call: Call, tx: Transaction) -> None:
    document = configuration.api(tx, call.params["ApiId"])
    document.pop("CorsConfiguration", None)
    _save(call, tx, document)


def import_api(call: Call, tx: Transaction) -> Output:
    """A new HTTP API from an OpenAPI 3 document."""
    definition = openapi.read(call.params["Body"], call.params.get("Basepath"))
    document = _new(call, "HTTP")
    return _import(call, tx, document, definition)


def reimport_api(call: Call, tx: Transaction) -> Output:
    """Replaces routes, integrations and settings of an HTTP API; stages stay."""
    definition = openapi.read(call.params["Body"], call.params.get("Basepath"))
    document = configuration.api(tx, call.params["ApiId"])
    if document["ProtocolType"] != "HTTP":
        raise bad_request("Only HTTP APIs can be imported")
    tx.run(
        "DELETE FROM gateway_parts WHERE api_id = ?"
        " AND kind IN ('route', 'integration', 'authorizer')",
        (document["ApiId"],),
    )
    document.pop("CorsConfiguration", None)
    return _import(call, tx, document, definition)


def export_api(call: Call, view: View) -> Output:
    """The API as an OpenAPI 3 document: as it is, or as a stage serves it."""
    params = call.params
    document = configuration.api(view, params["ApiId"])
    if document["ProtocolType"] != "HTTP":
        raise bad_request("Only HTTP APIs can be exported")
    if params["Specification"] != "OAS30":
        raise bad_request("Invalid specification. Must be OAS30")
    snapshot = configuration.snapshot(view, params["ApiId"])
    if params.get("StageName"):
        stage = configuration.part(view, params["ApiId"], "stage", params["StageName"])
        deployed = configuration.part(
            view, params["ApiId"], "deployment", stage.get("DeploymentId") or ""
        )
        snapshot = deployed["_snapshot"]
    extends = params.get("IncludeExtensions") is not False
    body = openapi_export.write(document, snapshot, params["OutputType"], extends)
    return {"body": body}


def get_tags(call: Call, view: View) -> Output:
    owner, _ = _tagged(view, call.params["ResourceArn"])
    return {"Tags": owner.get("Tags") or {}}


def tag_resource(call: Call, tx: Transaction) -> None:
    owner, key = _tagged(tx, call.params["ResourceArn"])
    owner["Tags"] = {**(owner.get("Tags") or {}), **(call.params.get("Tags") or {})}
    _save_tagged(call, tx, owner, key)


def untag_resource(call: Call, tx: Transaction) -> None:
    owner, key = _tagged(tx, call.params["ResourceArn"])
    gone = set(call.params["TagKeys"])
    owner["Tags"] = {k: v for k, v in (owner.get("Tags") or {}).items() if k not in gone}
    _save_tagged(call, tx, owner, key)


def _new(call: Call, protocol: str) -> Document:
    api_id = configuration.new_id()
    scheme = "wss" if protocol == "WEBSOCKET" else "https"
    return {
        "ApiId": api_id,
        "ApiEndpoint": f"{scheme}://{api_id}.execute-api.{call.config.region}.amazonaws.com",
        "ApiKeySelectionExpression": "$request.header.x-api-key",
        "CreatedDate": call.now_ms / 1000,
        "DisableExecuteApiEndpoint": False,
        "IpAddressType": "ipv4",
        "ProtocolType": protocol,
        "RouteSelectionExpression": "$request.method $request.path",
        "Tags": call.params.get("Tags") or {},
    }


def _apply(document: Document, params: Document) -> None:
    document |= configuration.chosen(params, _MEMBERS)
    if document["ProtocolType"] == "HTTP":
        if document["RouteSelectionExpression"] != "$request.method $request.path":
            raise bad_request(
                "RouteSelectionExpression must be $request.method $request.path for HTTP APIs"
            )
    elif not re.search(r"\$\{?request\.\w", document["RouteSelectionExpression"]):
        raise bad_request("Route selection expression must name a part of the request")
    cors = document.get("CorsConfiguration") or {}
    if cors.get("AllowCredentials") and "*" in (cors.get("AllowOrigins") or []):
        raise bad_request("Cannot set wildcard allowed origin and allow credentials to true")


def _save(call: Call, tx: Transaction, document: Document) -> Document:
    configuration.save_api(tx, document, call.now_ms)
    configuration.changed(call, tx, document["ApiId"])
    return document


def _quick_create(call: Call, tx: Transaction, api_id: str) -> None:
    target = call.params["Target"]
    is_url = target.startswith(("http://", "https://"))
    integration = parts.integration(
        {
            "IntegrationType": "HTTP_PROXY" if is_url else "AWS_PROXY",
            "IntegrationMethod": "ANY" if is_url else "POST",
            "IntegrationUri": target,
            "PayloadFormatVersion": "1.0" if is_url else "2.0",
            "CredentialsArn": call.params.get("CredentialsArn"),
        },
        "HTTP",
    )
    integration["ApiGatewayManaged"] = True
    identifier = integration["IntegrationId"]
    configuration.save_part(tx, api_id, ("integration", identifier), integration)
    route = parts.route(
        {
            "RouteKey": call.params.get("RouteKey") or "$default",
            "Target": f"integrations/{identifier}",
        },
        "HTTP",
    )
    route["ApiGatewayManaged"] = True
    configuration.save_part(tx, api_id, ("route", route["RouteId"]), route)
    stage: dict[str, Any] = {"StageName": "$default", "AutoDeploy": True, "ApiGatewayManaged": True}
    stage |= {"CreatedDate": call.now_ms / 1000}
    configuration.save_part(tx, api_id, ("stage", "$default"), stage)
    configuration.changed(call, tx, api_id)


def _import(call: Call, tx: Transaction, document: Document, found: openapi.Definition) -> Output:
    document.update(found.api)
    document["Tags"] = {**document["Tags"], **found.tags}
    _apply(document, {})
    configuration.save_api(tx, document, call.now_ms)
    api_id = document["ApiId"]
    known: dict[str, str] = {}
    for name, settings in found.authorizers.items():
        identifier = known[name] = configuration.new_id(6)
        made = authorizers.authorizer(settings, "HTTP", {"AuthorizerId": identifier})
        configuration.save_part(tx, api_id, ("authorizer", identifier), made)
    for imported in found.routes:
        integration = parts.integration(imported.integration, "HTTP")
        identifier = integration["IntegrationId"]
        configuration.save_part(tx, api_id, ("integration", identifier), integration)
        own = {"Target": f"integrations/{identifier}"}
        if imported.authorizer:
            own["AuthorizerId"] = known[imported.authorizer]
        route = parts.route({**imported.route, **own}, "HTTP")
        configuration.save_part(tx, api_id, ("route", route["RouteId"]), route)
    configuration.changed(call, tx, api_id)
    return document


def _tagged(view: View, arn: str) -> tuple[Document, tuple[str, str] | None]:
    """The document that `arn:aws:apigateway:region::/apis/ID[/stages/NAME]` names."""
    segments = arn.split("/")
    if len(segments) == 3 and segments[1] == "domainnames":
        return domains.find(view, segments[2]), None
    if len(segments) == 3 and segments[1] == "apis":
        return configuration.api(view, segments[2]), None
    if len(segments) == 5 and segments[3] == "stages":
        stage = configuration.part(view, segments[2], "stage", segments[4])
        return stage, (segments[2], segments[4])
    raise bad_request("Invalid resource ARN")


def _save_tagged(
    call: Call, tx: Transaction, owner: Document, stage: tuple[str, str] | None
) -> None:
    if "DomainName" in owner:
        domains.save(tx, owner, call.now_ms)
    elif stage is None:
        configuration.save_api(tx, owner, call.now_ms)
    else:
        configuration.save_part(tx, stage[0], ("stage", stage[1]), owner)
