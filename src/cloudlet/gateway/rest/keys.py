"""API keys: create, import, read, change, delete.

https://docs.aws.amazon.com/apigateway/latest/api/API_ApiKey.html
"""

import csv
import io
import secrets
import string
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.gateway.rest import documents, patches
from cloudlet.gateway.rest.documents import Document, bad_request, new_id
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_VALUE_LETTERS = string.ascii_letters + string.digits
_MEMBERS = "name description enabled value customerId tags"
_COLUMNS = {"name", "key", "description", "enabled", "usageplanids"}


def create_api_key(call: Call, tx: Transaction) -> Output:
    members = documents.chosen(call.params, _MEMBERS)
    members["stageKeys"] = [
        _stage_key(call, tx, stage) for stage in call.params.get("stageKeys") or []
    ]
    return _new(call, tx, members)


def _new(call: Call, tx: Transaction, members: Document) -> Document:
    value = members.pop("value", None) or "".join(secrets.choice(_VALUE_LETTERS) for _ in range(40))
    if not 20 <= len(value) <= 128:
        raise bad_request("API Key value should be at least 20 characters")
    if tx.value("SELECT 1 FROM rest_keys WHERE value = ?", (value,)):
        raise documents.conflict("API Key already exists")
    now = call.now_ms // 1000
    key: Document = {
        "id": new_id(),
        "enabled": False,
        "createdDate": now,
        "lastUpdatedDate": now,
        **members,
        "value": value,
    }
    tx.run(
        "INSERT INTO rest_keys VALUES (?, ?, ?, ?)",
        (key["id"], value, call.now_ms, stored.text(key)),
    )
    documents.all_changed(tx)
    return key


def _stage_key(call: Call, tx: Transaction, stage: Any) -> str:
    """Kept and shown; only a usage plan lets a key in, as on AWS."""
    api_id, name = stage.get("restApiId", ""), stage.get("stageName", "")
    if not documents.find_part(tx, api_id, "stage", name):
        raise documents.not_found("stage")
    return f"{api_id}/{name}"


def get_api_key(call: Call, view: View) -> Output:
    key = find(view, call.params["apiKey"])
    return key if call.params.get("includeValue") else _without_value(key)


def get_api_keys(call: Call, view: View) -> Output:
    params = call.params
    found = [
        key if params.get("includeValues") else _without_value(key)
        for key in stored.every(view, "SELECT document FROM rest_keys ORDER BY created_ms, id")
        if str(key.get("name", "")).startswith(params.get("nameQuery") or "")
        and params.get("customerId") in (None, key.get("customerId"))
    ]
    return documents.page(found, params)


def update_api_key(call: Call, tx: Transaction) -> Output:
    before = find(tx, call.params["apiKey"])
    before["stages"] = before.pop("stageKeys", [])
    key = patches.changed(call, "apikey", before)
    key["stageKeys"] = key.pop("stages")
    key["lastUpdatedDate"] = call.now_ms // 1000
    save(tx, key)
    return _without_value(key)


def delete_api_key(call: Call, tx: Transaction) -> None:
    key = find(tx, call.params["apiKey"])
    tx.run("DELETE FROM rest_keys WHERE id = ?", (key["id"],))
    documents.all_changed(tx)


def import_api_keys(call: Call, tx: Transaction) -> Output:
    """`name,key,description,enabled,usageplanIds`, with a header, in any order.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
    """
    if call.params["format"] != "csv":
        raise bad_request("Invalid format specified. Must be one of [csv]")
    ids, warnings = [], []
    for number, row in enumerate(_rows(call.params["body"]), start=2):
        try:
            ids.append(_import(call, tx, row))
        except AwsError as error:
            warnings.append(f"Unable to import key on line {number}: {error.message}")
    if warnings and call.params.get("failOnWarnings"):
        raise bad_request("; ".join(warnings))
    return {"ids": ids, "warnings": warnings}


def _rows(body: bytes) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(body.decode()), skipinitialspace=True)
        rows = [
            {str(name).strip().lower(): value or "" for name, value in row.items()}
            for row in reader
        ]
    except (UnicodeDecodeError, csv.Error):
        raise bad_request("Invalid CSV") from None
    names = {name.strip().lower() for name in reader.fieldnames or []}
    if not {"name", "key"} <= names <= _COLUMNS:
        raise bad_request("Invalid CSV: the header must have the columns name and key")
    return rows


def _import(call: Call, tx: Transaction, row: dict[str, str]) -> str:
    named = row.get("usageplanids", "").replace(" ", "").split(",")
    plans = list(filter(None, dict.fromkeys(named)))
    for plan in plans:
        documents.item(tx, "usageplan", plan)
    members: Document = {
        "name": row["name"],
        "description": row.get("description") or None,
        "enabled": row.get("enabled", "true").lower() in ("", "true"),
        "value": row["key"],
        "stageKeys": [],
    }
    key = _new(call, tx, {name: value for name, value in members.items() if value is not None})
    for plan in plans:
        tx.run("INSERT INTO rest_plan_keys VALUES (?, ?)", (plan, key["id"]))
    return str(key["id"])


def find(view: View, key_id: str) -> Document:
    key = stored.find(view, "SELECT document FROM rest_keys WHERE id = ?", (key_id,))
    if key is None:
        raise documents.not_found("apikey")
    return key


def save(tx: Transaction, key: Document) -> None:
    tx.run("UPDATE rest_keys SET document = ? WHERE id = ?", (stored.text(key), key["id"]))
    documents.all_changed(tx)


def _without_value(key: Document) -> Document:
    return {name: value for name, value in key.items() if name != "value"}
