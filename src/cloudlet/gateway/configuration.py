"""The stored configuration of APIs: documents of an API and of its parts, and deploying them.

A stage always serves a deployment, a snapshot of routes, integrations and CORS. A stage with
AutoDeploy gets a new one with every change, as on AWS, so the data plane knows one path only.
Every change ends with `changed`, which deploys and tells the running gateway.
"""

import secrets
import string

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

Document = stored.Document
_LETTERS = string.ascii_lowercase + string.digits


def new_id(length: int = 10) -> str:
    """An id of AWS's form; random, because names of APIs are public and must not repeat."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def not_found(what: str, identifier: str) -> AwsError:
    return AwsError("NotFoundException", f"Unable to find {what} by ID {identifier}", 404)


def bad_request(message: str) -> AwsError:
    return AwsError("BadRequestException", message)


def conflict(message: str) -> AwsError:
    return AwsError("ConflictException", message, 409)


def chosen(params: Document, names: str) -> Document:
    """The members of `names` that the caller has given."""
    return {name: params[name] for name in names.split() if params.get(name) is not None}


def api(view: View, api_id: str) -> Document:
    sql = "SELECT document FROM gateway_apis WHERE api_id = ?"
    document = stored.find(view, sql, (api_id,))
    if document is None:
        raise AwsError("NotFoundException", f"Invalid API identifier specified {api_id}", 404)
    return document


def apis(view: View) -> list[Document]:
    return stored.every(view, "SELECT document FROM gateway_apis ORDER BY created_ms, api_id")


def save_api(tx: Transaction, document: Document, now_ms: int) -> None:
    stored.save(tx, "gateway_apis", {"api_id": document["ApiId"]}, document, created_ms=now_ms)


def part(view: View, api_id: str, kind: str, identifier: str) -> Document:
    sql = "SELECT document FROM gateway_parts WHERE api_id = ? AND kind = ? AND id = ?"
    document = stored.find(view, sql, (api_id, kind, identifier))
    if document is None:
        api(view, api_id)
        raise not_found(kind.capitalize(), identifier)
    return document


def parts(view: View, api_id: str, kind: str, parent: str | None = None) -> list[Document]:
    sql = (
        "SELECT document FROM gateway_parts WHERE api_id = ? AND kind = ?"
        " AND (? IS NULL OR parent = ?) ORDER BY id"
    )
    return stored.every(view, sql, (api_id, kind, parent, parent))


def save_part(
    tx: Transaction, api_id: str, key: tuple[str, str], document: Document, parent: str = ""
) -> None:
    """`key` is (kind, id)."""
    place = {"api_id": api_id, "kind": key[0], "id": key[1]}
    stored.save(tx, "gateway_parts", place, document, parent=parent)


def delete_part(tx: Transaction, api_id: str, kind: str, identifier: str) -> None:
    part(tx, api_id, kind, identifier)
    tx.run(
        "DELETE FROM gateway_parts WHERE api_id = ? AND kind = ? AND id = ?",
        (api_id, kind, identifier),
    )
    tx.run("DELETE FROM gateway_parts WHERE api_id = ? AND parent = ?", (api_id, identifier))


def snapshot(view: View, api_id: str) -> Document:
    """What a deployment freezes."""
    return {
        "routes": parts(view, api_id, "route"),
        "integrations": parts(view, api_id, "integration"),
        "route_responses": parts(view, api_id, "routeresponse"),
        "authorizers": parts(view, api_id, "authorizer"),
        "models": parts(view, api_id, "model"),
        "responses": parts(view, api_id, "integrationresponse"),
        "cors": api(view, api_id).get("CorsConfiguration"),
    }


def deploy(
    tx: Transaction, api_id: str, now_ms: int, *, auto: bool, description: str | None = None
) -> Document:
    document: Document = {
        "DeploymentId": new_id(6),
        "DeploymentStatus": "DEPLOYED",
        "AutoDeployed": auto,
        "CreatedDate": now_ms / 1000,
        "Description": description or ("Automatic deployment" if auto else None),
        "_snapshot": snapshot(tx, api_id),
    }
    save_part(tx, api_id, ("deployment", document["DeploymentId"]), document)
    return document


def changed(call: Call, tx: Transaction, api_id: str) -> None:
    """Deploys to stages that want it; the gateway forgets what it had compiled."""
    automatic = [s for s in parts(tx, api_id, "stage") if s.get("AutoDeploy")]
    if automatic:
        deployment = deploy(tx, api_id, call.now_ms, auto=True)
        for stage in automatic:
            stage["DeploymentId"] = deployment["DeploymentId"]
            stage["LastUpdatedDate"] = call.now_ms / 1000
            stage["LastDeploymentStatusMessage"] = (
                f"Successfully deployed stage with deployment ID '{deployment['DeploymentId']}'"
            )
            save_part(tx, api_id, ("stage", stage["StageName"]), stage)
        _drop_old_automatic(tx, api_id)
    announce(call, tx, api_id)


def announce(call: Call, tx: Transaction, api_id: str) -> None:
    forget = getattr(call.state, "forget", None)
    if forget is not None:
        tx.after_commit(lambda: forget(api_id))


def _drop_old_automatic(tx: Transaction, api_id: str) -> None:
    """Automatic deployments that no stage serves any more would pile up."""
    served = {stage.get("DeploymentId") for stage in parts(tx, api_id, "stage")}
    for deployment in parts(tx, api_id, "deployment"):
        if deployment["AutoDeployed"] and deployment["DeploymentId"] not in served:
            delete_part(tx, api_id, "deployment", deployment["DeploymentId"])


def page(items: list[Document], params: Document) -> Document:
    """One page of a list operation: MaxResults (as text) and NextToken (an offset)."""
    try:
        start = int(params.get("NextToken") or 0)
        size = int(params.get("MaxResults") or 500)
    except ValueError:
        raise bad_request("Invalid MaxResults or NextToken parameter") from None
    output: Document = {"Items": items[start : start + size]}
    if start + size < len(items):
        output["NextToken"] = str(start + size)
    return output
