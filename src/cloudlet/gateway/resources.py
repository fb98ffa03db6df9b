"""Operations on the parts of an API: routes, integrations, stages, deployments.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html
"""

import re

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.gateway import access_log, authorizers, configuration, models, parts
from cloudlet.gateway.configuration import Document, bad_request
from cloudlet.store.database import Transaction, View

_STAGE_NAME = re.compile(r"\$default|[A-Za-z0-9_-]{1,128}")


def create_route(call: Call, tx: Transaction) -> Output:
    api_id = call.params["ApiId"]
    protocol = configuration.api(tx, api_id)["ProtocolType"]
    route = parts.route(call.params, protocol)
    _check_unique(tx, api_id, route)
    _check_target(tx, api_id, route)
    authorizers.check_route(tx, api_id, route)
    models.check_route(tx, api_id, route)
    configuration.save_part(tx, api_id, ("route", route["RouteId"]), route)
    configuration.changed(call, tx, api_id)
    return route


def get_route(call: Call, view: View) -> Output:
    return configuration.part(view, call.params["ApiId"], "route", call.params["RouteId"])


def get_routes(call: Call, view: View) -> Output:
    return _list(call, view, "route")


def update_route(call: Call, tx: Transaction) -> Output:
    api_id = call.params["ApiId"]
    protocol = configuration.api(tx, api_id)["ProtocolType"]
    existing = configuration.part(tx, api_id, "route", call.params["RouteId"])
    route = parts.route(call.params, protocol, existing)
    _check_unique(tx, api_id, route)
    _check_target(tx, api_id, route)
    authorizers.check_route(tx, api_id, route)
    models.check_route(tx, api_id, route)
    configuration.save_part(tx, api_id, ("route", route["RouteId"]), route)
    configuration.changed(call, tx, api_id)
    return route


def delete_route(call: Call, tx: Transaction) -> None:
    _delete(call, tx, "route", call.params["RouteId"])


def create_integration(call: Call, tx: Transaction) -> Output:
    api_id = call.params["ApiId"]
    integration = parts.integration(call.params, configuration.api(tx, api_id)["ProtocolType"])
    key = ("integration", integration["IntegrationId"])
    configuration.save_part(tx, api_id, key, integration)
    return integration


def get_integration(call: Call, view: View) -> Output:
    params = call.params
    return configuration.part(view, params["ApiId"], "integration", params["IntegrationId"])


def get_integrations(call: Call, view: View) -> Output:
    return _list(call, view, "integration")


def update_integration(call: Call, tx: Transaction) -> Output:
    api_id, identifier = call.params["ApiId"], call.params["IntegrationId"]
    protocol = configuration.api(tx, api_id)["ProtocolType"]
    existing = configuration.part(tx, api_id, "integration", identifier)
    integration = parts.integration(call.params, protocol, existing)
    configuration.save_part(tx, api_id, ("integration", identifier), integration)
    configuration.changed(call, tx, api_id)
    return integration


def delete_integration(call: Call, tx: Transaction) -> None:
    api_id, identifier = call.params["ApiId"], call.params["IntegrationId"]
    for route in configuration.parts(tx, api_id, "route"):
        if route.get("Target") == f"integrations/{identifier}":
            raise AwsError(
                "ConflictException",
                f"Cannot delete Integration '{identifier}'. It is referenced by a Route.",
                409,
            )
    _delete(call, tx, "integration", identifier)


def create_stage(call: Call, tx: Transaction) -> Output:
    api_id, name = call.params["ApiId"], call.params["StageName"]
    api = configuration.api(tx, api_id)
    is_allowed = _STAGE_NAME.fullmatch(name)
    if not is_allowed or (name == "$default" and api["ProtocolType"] == "WEBSOCKET"):
        raise bad_request("Invalid stage name")
    if any(stage["StageName"] == name for stage in configuration.parts(tx, api_id, "stage")):
        raise AwsError("ConflictException", "Stage already exists", 409)
    stage: Document = {
        "StageName": name,
        "AutoDeploy": False,
        "CreatedDate": call.now_ms / 1000,
        "RouteSettings": {},
        "StageVariables": {},
        "Tags": call.params.get("Tags") or {},
    }
    return _save_stage(call, tx, stage)


def get_stage(call: Call, view: View) -> Output:
    return configuration.part(view, call.params["ApiId"], "stage", call.params["StageName"])


def get_stages(call: Call, view: View) -> Output:
    return _list(call, view, "stage")


def update_stage(call: Call, tx: Transaction) -> Output:
    stage = configuration.part(tx, call.params["ApiId"], "stage", call.params["StageName"])
    return _save_stage(call, tx, stage)


def delete_access_log_settings(call: Call, tx: Transaction) -> None:
    api_id, name = call.params["ApiId"], call.params["StageName"]
    stage = configuration.part(tx, api_id, "stage", name)
    stage.pop("AccessLogSettings", None)
    configuration.save_part(tx, api_id, ("stage", name), stage)
    configuration.changed(call, tx, api_id)


def delete_route_settings(call: Call, tx: Transaction) -> None:
    api_id, name = call.params["ApiId"], call.params["StageName"]
    stage = configuration.part(tx, api_id, "stage", name)
    stage.get("RouteSettings", {}).pop(call.params["RouteKey"], None)
    configuration.save_part(tx, api_id, ("stage", name), stage)
    configuration.changed(call, tx, api_id)


def delete_stage(call: Call, tx: Transaction) -> None:
    _delete(call, tx, "stage", call.params["StageName"])


def create_deployment(call: Call, tx: Transaction) -> Output:
    api_id, name = call.params["ApiId"], call.params.get("StageName")
    api = configuration.api(tx, api_id)
    if api["ProtocolType"] == "WEBSOCKET" and not configuration.parts(tx, api_id, "route"):
        raise bad_request("At least one route is required before deploying the Api.")
    description = call.params.get("Description")
    deployment = configuration.deploy(tx, api_id, call.now_ms, auto=False, description=description)
    if name:
        stage = configuration.part(tx, api_id, "stage", name)
        if stage.get("AutoDeploy"):
            raise bad_request("Cannot manually deploy to a stage with AutoDeploy enabled")
        stage["DeploymentId"] = deployment["DeploymentId"]
        configuration.save_part(tx, api_id, ("stage", name), stage)
    configuration.announce(call, tx, api_id)
    return deployment


def get_deployment(call: Call, view: View) -> Output:
    params = call.params
    return configuration.part(view, params["ApiId"], "deployment", params["DeploymentId"])


def get_deployments(call: Call, view: View) -> Output:
    return _list(call, view, "deployment")


def update_deployment(call: Call, tx: Transaction) -> Output:
    api_id, identifier = call.params["ApiId"], call.params["DeploymentId"]
    deployment = configuration.part(tx, api_id, "deployment", identifier)
    deployment["Description"] = call.params.get("Description")
    configuration.save_part(tx, api_id, ("deployment", identifier), deployment)
    return deployment


def delete_deployment(call: Call, tx: Transaction) -> None:
    api_id, identifier = call.params["ApiId"], call.params["DeploymentId"]
    for stage in configuration.parts(tx, api_id, "stage"):
        if stage.get("DeploymentId") == identifier:
            raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    _delete(call, tx, "deployment", identifier)


def _list(call: Call, view: View, kind: str) -> Output:
    api_id = call.params["ApiId"]
    configuration.api(view, api_id)
    return configuration.page(configuration.parts(view, api_id, kind), call.params)


def _delete(call: Call, tx: Transaction, kind: str, identifier: str) -> None:
    api_id = call.params["ApiId"]
    configuration.delete_part(tx, api_id, kind, identifier)
    configuration.changed(call, tx, api_id)


def _check_unique(tx: Transaction, api_id: str, route: Document) -> None:
    for other in configuration.parts(tx, api_id, "route"):
        if other["RouteKey"] == route["RouteKey"] and other["RouteId"] != route["RouteId"]:
            raise AwsError(
                "ConflictException",
                f"Route with key {route['RouteKey']} already exists for this API",
                409,
            )


def _check_target(tx: Transaction, api_id: str, route: Document) -> None:
    target = route.get("Target")
    if target:
        configuration.part(tx, api_id, "integration", target.removeprefix("integrations/"))


def _save_stage(call: Call, tx: Transaction, stage: Document) -> Output:
    params = call.params
    access_log.check(params.get("AccessLogSettings") or {})
    if params.get("ClientCertificateId"):
        raise NotImplementedByCloudlet("A stage with ClientCertificateId")
    for settings in (
        params.get("DefaultRouteSettings"),
        *(params.get("RouteSettings") or {}).values(),
    ):
        _check_settings(settings or {})
    for name in (
        "AccessLogSettings",
        "AutoDeploy",
        "DefaultRouteSettings",
        "DeploymentId",
        "Description",
        "RouteSettings",
        "StageVariables",
    ):
        if params.get(name) is not None:
            stage[name] = params[name]
    api_id = params["ApiId"]
    if stage.get("DeploymentId") and not stage.get("AutoDeploy"):
        configuration.part(tx, api_id, "deployment", stage["DeploymentId"])
    stage["LastUpdatedDate"] = call.now_ms / 1000
    configuration.save_part(tx, api_id, ("stage", stage["StageName"]), stage)
    configuration.changed(call, tx, api_id)
    return configuration.part(tx, api_id, "stage", stage["StageName"])


def _check_settings(settings: Document) -> None:
    if settings.get("DataTraceEnabled") or settings.get("LoggingLevel", "OFF") != "OFF":
        raise NotImplementedByCloudlet("Execution logging of a stage")
