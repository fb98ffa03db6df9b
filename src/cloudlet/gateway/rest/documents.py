"""The store of REST APIs: documents of an API, of its parts, and of what the account owns.

Parts live below an API (`kind` "resource", "model", "authorizer", "validator", "response",
"documentationpart", "documentationversion", "stage", and deployments in their own table); items
belong to the account ("usageplan", "account").
"""

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.gateway.configuration import bad_request, chosen, conflict, new_id
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

__all__ = ["bad_request", "chosen", "conflict", "new_id"]
Document = stored.Document
TOPIC = "rest:"
PAGE_MAX = 500
_MISSING = {
    "resource": "Invalid Resource identifier specified",
    "method": "Invalid Method identifier specified",
    "integration": "Invalid Integration identifier specified",
    "status": "Invalid Response status code specified",
    "model": "Invalid model name specified: {}",
    "authorizer": "Invalid Authorizer identifier specified",
    "validator": "Invalid Request Validator identifier specified",
    "stage": "Invalid stage identifier specified",
    "deployment": "Invalid Deployment identifier specified",
    "response": "Gateway response type not defined on api",
    "documentationpart": "Invalid Documentation part identifier specified",
    "documentationversion": "Invalid Documentation version specified: {}",
    "apikey": "Invalid API Key identifier specified",
    "usageplan": "Invalid Usage Plan ID specified",
    "basepathmapping": "Invalid base path mapping identifier specified",
}


def not_found(kind: str, identifier: str = "") -> AwsError:
    return AwsError("NotFoundException", _MISSING[kind].format(identifier), 404)


def limit_exceeded(message: str) -> AwsError:
    return AwsError("LimitExceededException", message, 429)


# --- APIs ---


def api(call: Call, view: View, api_id: str | None = None) -> Document:
    """The API that the call is about."""
    wanted = api_id or call.params["restApiId"]
    document = stored.find(view, "SELECT document FROM rest_apis WHERE api_id = ?", (wanted,))
    if document is None:
        message = f"Invalid API identifier specified {call.config.account}:{wanted}"
        raise AwsError("NotFoundException", message, 404)
    return document


def apis(view: View) -> list[Document]:
    return stored.every(view, "SELECT document FROM rest_apis ORDER BY created_ms, api_id")


def save_api(tx: Transaction, document: Document, now_ms: int) -> None:
    stored.save(tx, "rest_apis", {"api_id": document["id"]}, document, created_ms=now_ms)


def changed(tx: Transaction, api_id: str) -> None:
    tx.touch(TOPIC + api_id)


def all_changed(tx: Transaction) -> None:
    """Keys and usage plans may concern every API."""
    for row in tx.all("SELECT api_id FROM rest_apis"):
        changed(tx, row["api_id"])


# --- parts of an API ---


def part(call: Call, view: View, kind: str, identifier: str) -> Document:
    api_id = call.params["restApiId"]
    document = find_part(view, api_id, kind, identifier)
    if document is None:
        api(call, view)
        raise not_found(kind, identifier)
    return document


def find_part(view: View, api_id: str, kind: str, identifier: str) -> Document | None:
    sql = "SELECT document FROM rest_parts WHERE api_id = ? AND kind = ? AND id = ?"
    return stored.find(view, sql, (api_id, kind, identifier))


def parts(view: View, api_id: str, kind: str) -> list[Document]:
    sql = "SELECT document FROM rest_parts WHERE api_id = ? AND kind = ? ORDER BY id"
    return stored.every(view, sql, (api_id, kind))


def save_part(tx: Transaction, api_id: str, key: tuple[str, str], document: Document) -> None:
    """`key` is (kind, id)."""
    place = {"api_id": api_id, "kind": key[0], "id": key[1]}
    stored.save(tx, "rest_parts", place, document)


def delete_part(tx: Transaction, api_id: str, kind: str, identifier: str) -> None:
    tx.run(
        "DELETE FROM rest_parts WHERE api_id = ? AND kind = ? AND id = ?",
        (api_id, kind, identifier),
    )


def delete_parts(tx: Transaction, api_id: str, kind: str) -> None:
    tx.run("DELETE FROM rest_parts WHERE api_id = ? AND kind = ?", (api_id, kind))


def deployment(call: Call, view: View, identifier: str) -> Document:
    for found in deployments(view, api(call, view)["id"]):
        if found["id"] == identifier:
            return found
    raise not_found("deployment")


def deployments(view: View, api_id: str) -> list[Document]:
    sql = "SELECT document FROM rest_deployments WHERE api_id = ? ORDER BY created_ms, id"
    return stored.every(view, sql, (api_id,))


# --- items of the account ---


def item(view: View, kind: str, identifier: str) -> Document:
    sql = "SELECT document FROM rest_items WHERE kind = ? AND id = ?"
    document = stored.find(view, sql, (kind, identifier))
    if document is None:
        raise not_found(kind, identifier)
    return document


def items(view: View, kind: str) -> list[Document]:
    sql = "SELECT document FROM rest_items WHERE kind = ? ORDER BY created_ms, id"
    return stored.every(view, sql, (kind,))


def save_item(tx: Transaction, key: tuple[str, str], document: Document, now_ms: int) -> None:
    place = {"kind": key[0], "id": key[1]}
    stored.save(tx, "rest_items", place, document, created_ms=now_ms)


def delete_item(tx: Transaction, kind: str, identifier: str) -> None:
    item(tx, kind, identifier)
    tx.run("DELETE FROM rest_items WHERE kind = ? AND id = ?", (kind, identifier))


# --- lists ---


def page(found: list[Document], params: Document) -> Document:
    """One page of a list operation: `limit`, and `position` (the place to go on at)."""
    limit = params.get("limit") or 25
    if not 1 <= limit <= PAGE_MAX:
        raise bad_request(f"Invalid limit parameter: must be between 1 and {PAGE_MAX}")
    position = params.get("position") or "0"
    if not position.isdecimal():
        raise bad_request("Invalid position parameter")
    start, end = int(position), int(position) + limit
    output: Document = {"items": found[start:end]}
    if end < len(found):
        output["position"] = str(end)
    return output
