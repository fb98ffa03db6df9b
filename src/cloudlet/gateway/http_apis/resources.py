"""Operations on the parts of an API: routes, integrations, stages, deployments.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html
"""

import re

from cloudlet.call import Call
from cloudlet.errors import NotImplementedByCloudlet, refuse
from cloudlet.gateway import access_log, configuration, models
from cloudlet.gateway.api_parts import Part
from cloudlet.gateway.configuration import Document, bad_request, chosen, conflict
from cloudlet.gateway.http_apis import authorizers, parts
from cloudlet.store.database import Transaction

_STAGE = (
    "AccessLogSettings AutoDeploy DefaultRouteSettings DeploymentId Description RouteSettings"
    " StageVariables"
)
_STAGE_NAME = re.compile(r"\$default|[A-Za-z0-9_-]{1,128}")


def _save_route(call: Call, tx: Transaction, before: Document | None) -> Document:
    api_id = call.params["ApiId"]
    route = parts.route(call.params, configuration.api(tx, api_id)["ProtocolType"], before)
    _check_unique(tx, api_id, route)
    if target := route.get("Target"):
        configuration.part(tx, api_id, "integration", target.removeprefix("integrations/"))
    authorizers.check_route(tx, api_id, route)
    models.check_route(tx, api_id, route)
    configuration.save_part(tx, api_id, ("route", route["RouteId"]), route)
    configuration.changed(call, tx, api_id)
    return route


def _check_unique(tx: Transaction, api_id: str, route: Document) -> None:
    for other in configuration.parts(tx, api_id, "route"):
        if other["RouteKey"] == route["RouteKey"] and other["RouteId"] != route["RouteId"]:
            raise conflict(f"Route with key {route['RouteKey']} already exists for this API")


def _save_integration(call: Call, tx: Transaction, before: Document | None) -> Document:
    api_id = call.params["ApiId"]
    protocol = configuration.api(tx, api_id)["ProtocolType"]
    integration = parts.integration(call.params, protocol, before)
    key = ("integration", integration["IntegrationId"])
    configuration.save_part(tx, api_id, key, integration)
    if before is not None:  # to a new one no route leads yet
        configuration.changed(call, tx, api_id)
    return integration


def _free_integration(call: Call, tx: Transaction, identifier: str) -> None:
    for route in configuration.parts(tx, call.params["ApiId"], "route"):
        if route.get("Target") == f"integrations/{identifier}":
            raise conflict(
                f"Cannot delete Integration '{identifier}'. It is referenced by a Route."
            )


def _new_stage(call: Call, tx: Transaction) -> Document:
    api_id, name = call.params["ApiId"], call.params["StageName"]
    api = configuration.api(tx, api_id)
    is_allowed = _STAGE_NAME.fullmatch(name)
    if not is_allowed or (name == "$default" and api["ProtocolType"] == "WEBSOCKET"):
        raise bad_request("Invalid stage name")
    if any(stage["StageName"] == name for stage in configuration.parts(tx, api_id, "stage")):
        raise conflict("Stage already exists")
    return {
        "StageName": name,
        "AutoDeploy": False,
        "CreatedDate": call.now_ms / 1000,
        "RouteSettings": {},
        "StageVariables": {},
        "Tags": call.params.get("Tags") or {},
    }


def _save_stage(call: Call, tx: Transaction, before: Document | None) -> Document:
    params = call.params
    stage = before or _new_stage(call, tx)
    access_log.check(params.get("AccessLogSettings") or {})
    refuse(params, "ClientCertificateId", what="A stage with {}")
    routes = (params.get("RouteSettings") or {}).values()
    for settings in (params.get("DefaultRouteSettings") or {}, *routes):
        if settings.get("DataTraceEnabled") or settings.get("LoggingLevel", "OFF") != "OFF":
            raise NotImplementedByCloudlet("Execution logging of a stage")
    stage |= chosen(params, _STAGE)
    api_id = params["ApiId"]
    if stage.get("DeploymentId") and not stage.get("AutoDeploy"):
        configuration.part(tx, api_id, "deployment", stage["DeploymentId"])
    stage["LastUpdatedDate"] = call.now_ms / 1000
    _keep_stage(call, tx, stage)
    return configuration.part(tx, api_id, "stage", stage["StageName"])


def _keep_stage(call: Call, tx: Transaction, stage: Document) -> None:
    api_id = call.params["ApiId"]
    configuration.save_part(tx, api_id, ("stage", stage["StageName"]), stage)
    configuration.changed(call, tx, api_id)


def delete_access_log_settings(call: Call, tx: Transaction) -> None:
    stage = STAGE.get(call, tx)
    stage.pop("AccessLogSettings", None)
    _keep_stage(call, tx, stage)


def delete_route_settings(call: Call, tx: Transaction) -> None:
    stage = STAGE.get(call, tx)
    stage.get("RouteSettings", {}).pop(call.params["RouteKey"], None)
    _keep_stage(call, tx, stage)


def _save_deployment(call: Call, tx: Transaction, before: Document | None) -> Document:
    api_id, description = call.params["ApiId"], call.params.get("Description")
    if before is not None:
        before["Description"] = description
        configuration.save_part(tx, api_id, ("deployment", before["DeploymentId"]), before)
        return before
    api = configuration.api(tx, api_id)
    if api["ProtocolType"] == "WEBSOCKET" and not configuration.parts(tx, api_id, "route"):
        raise bad_request("At least one route is required before deploying the Api.")
    deployment = configuration.deploy(tx, api_id, call.now_ms, auto=False, description=description)
    if call.params.get("StageName"):
        stage = STAGE.get(call, tx)
        if stage.get("AutoDeploy"):
            raise bad_request("Cannot manually deploy to a stage with AutoDeploy enabled")
        stage["DeploymentId"] = deployment["DeploymentId"]
        configuration.save_part(tx, api_id, ("stage", stage["StageName"]), stage)
    configuration.announce(call, tx, api_id)
    return deployment


def _free_deployment(call: Call, tx: Transaction, identifier: str) -> None:
    for stage in configuration.parts(tx, call.params["ApiId"], "stage"):
        if stage.get("DeploymentId") == identifier:
            raise bad_request("Active stages pointing to this deployment must be moved or deleted")


ROUTE = Part("Route", _save_route)
INTEGRATION = Part("Integration", _save_integration, _free_integration)
STAGE = Part("Stage", _save_stage, key="StageName")
DEPLOYMENT = Part("Deployment", _save_deployment, _free_deployment)
