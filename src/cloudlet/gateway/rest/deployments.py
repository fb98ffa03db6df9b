"""Deployments: frozen snapshots of an API's configuration.

https://docs.aws.amazon.com/apigateway/latest/api/API_Deployment.html
"""

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.gateway.rest import checks, documents, patches, snapshots, stages
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_STAGE = "cacheClusterEnabled cacheClusterSize variables tracingEnabled"


def create_deployment(call: Call, tx: Transaction) -> Output:
    api = documents.api(call, tx)
    snapshot = freeze(tx, api)
    _check(snapshot)
    deployment: Document = {
        "id": new_id(6),
        "createdDate": call.now_ms // 1000,
        **documents.chosen(call.params, "description"),
    }
    tx.run(
        "INSERT INTO rest_deployments VALUES (?, ?, ?, ?, ?)",
        (api["id"], deployment["id"], call.now_ms, *map(stored.text, (deployment, snapshot))),
    )
    if call.params.get("stageName"):
        _serve(call, tx, deployment["id"])
    return deployment


def freeze(view: View, api: Document) -> Document:
    """What `snapshots` describes, of the API as it is now."""
    api_id = api["id"]

    def by(kind: str, key: str) -> Document:
        return {part[key]: part for part in documents.parts(view, api_id, kind)}

    return {
        "restApi": api,
        "resources": documents.parts(view, api_id, "resource"),
        "authorizers": by("authorizer", "id"),
        "models": by("model", "name"),
        "validators": by("validator", "id"),
        "gatewayResponses": by("response", "responseType"),
        "policy": checks.policy(api.get("policy")),
    }


def get_deployment(call: Call, view: View) -> Output:
    deployment = documents.deployment(call, view, call.params["deploymentId"])
    wanted = call.params.get("embed") or []
    if set(wanted) - {"apisummary"}:
        raise NotImplementedByCloudlet(f"embed={','.join(wanted)}")
    if wanted:
        deployment["apiSummary"] = _summary(call, view, deployment["id"])
    return deployment


def get_deployments(call: Call, view: View) -> Output:
    api_id = documents.api(call, view)["id"]
    return documents.page(documents.deployments(view, api_id), call.params)


def update_deployment(call: Call, tx: Transaction) -> Output:
    deployment = documents.deployment(call, tx, call.params["deploymentId"])
    changed = patches.changed(call, "deployment", deployment)
    tx.run(
        "UPDATE rest_deployments SET document = ? WHERE api_id = ? AND id = ?",
        (stored.text(changed), call.params["restApiId"], changed["id"]),
    )
    return changed


def delete_deployment(call: Call, tx: Transaction) -> None:
    api_id, deployment_id = call.params["restApiId"], call.params["deploymentId"]
    documents.deployment(call, tx, deployment_id)
    for stage in documents.parts(tx, api_id, "stage"):
        canary = stage.get("canarySettings") or {}
        if deployment_id in (stage["deploymentId"], canary.get("deploymentId")):
            raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    tx.run("DELETE FROM rest_deployments WHERE api_id = ? AND id = ?", (api_id, deployment_id))


def _check(snapshot: Document) -> None:
    methods = [
        method
        for resource in snapshot["resources"]
        for method in resource["resourceMethods"].values()
    ]
    if not methods:
        raise bad_request("The REST API doesn't contain any methods")
    if not all("methodIntegration" in method for method in methods):
        raise bad_request("No integration defined for method")


def _serve(call: Call, tx: Transaction, deployment_id: str) -> None:
    """Puts the deployment on a stage, new or not; or beside it, as its canary."""
    params = call.params
    stage = documents.find_part(tx, params["restApiId"], "stage", params["stageName"])
    canary = params.get("canarySettings")
    if stage is None and canary:
        raise bad_request("Cannot create a canary deployment on a stage that does not exist")
    if stage is None:
        stage = stages.new(call, tx, deployment_id)
    elif canary:
        stage["canarySettings"] = {**stages.CANARY, **canary, "deploymentId": deployment_id}
    else:
        stage["deploymentId"] = deployment_id
    stage.update(documents.chosen(params, _STAGE))
    if params.get("stageDescription"):
        stage["description"] = params["stageDescription"]
    stages.save(call, tx, stage)


def _summary(call: Call, view: View, deployment_id: str) -> Document:
    snapshot = snapshots.deployed(view, call.params["restApiId"], deployment_id) or {}
    return {
        resource["path"]: {
            verb: {name: method[name] for name in ("authorizationType", "apiKeyRequired")}
            for verb, method in resource["resourceMethods"].items()
        }
        for resource in snapshot["resources"]
        if resource["resourceMethods"]
    }
