"""Users and their access keys.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.iam import faults, policies
from cloudlet.iam.identifiers import (
    access_key_id,
    changed,
    iam_arn,
    page,
    secret_key,
    tag_list,
    tags_text,
    unique_id,
)
from cloudlet.store.database import Row, Transaction, View

_KEYS_MAX = 2


def find(view: View, name: str) -> Row:
    row = view.one("SELECT * FROM iam_user WHERE name = ?", (name,))
    if row is None:
        raise faults.no_such("user", name)
    return row


def create_user(call: Call, tx: Transaction) -> Output:
    params = call.params
    name = params["UserName"]
    if tx.one("SELECT 1 FROM iam_user WHERE name = ?", (name,)):
        raise faults.exists("User", name)
    boundary = params.get("PermissionsBoundary")
    if boundary is not None:
        policies.check_attachable(tx, boundary)
    path, tags = params.get("Path", "/"), tags_text(params.get("Tags"))
    identifier = unique_id(call.config, "AIDA")
    row = (name, identifier, path, boundary, call.now_ms, tags)
    tx.run("INSERT INTO iam_user VALUES (?, ?, ?, ?, ?, ?)", row)
    return {"User": _user(call, find(tx, name), full=True)}


def get_user(call: Call, view: View) -> Output:
    """Without a name: the caller."""
    name = call.params.get("UserName")
    if name is None and call.caller.kind == "root":
        config = call.config
        arn = f"arn:aws:iam::{config.account}:root"
        user = {"Path": "/", "UserName": config.account, "UserId": config.account, "Arn": arn}
        return {"User": {**user, "CreateDate": 0}}
    return {"User": _user(call, find(view, name or caller_name(call)), full=True)}


def list_users(call: Call, view: View) -> Output:
    prefix = call.params.get("PathPrefix", "/")
    rows = view.all("SELECT * FROM iam_user ORDER BY name COLLATE BINARY")
    rows = [row for row in rows if row["path"].startswith(prefix)]
    return page(rows, call.params, "Users", lambda row: _user(call, row, full=False))


def delete_user(call: Call, tx: Transaction) -> Output:
    user = find(tx, call.params["UserName"])
    if tx.one("SELECT 1 FROM iam_access_key WHERE owner = ?", (user["name"],)):
        raise faults.conflict("Cannot delete entity, must delete access keys first.")
    policies.check_unused(tx, "user", user["name"])
    tx.run("DELETE FROM iam_session WHERE owner_id = ?", (user["id"],))
    tx.run("DELETE FROM iam_user WHERE name = ?", (user["name"],))
    changed(call, tx)
    return {}


def create_access_key(call: Call, tx: Transaction) -> Output:
    """The only answer that ever shows the secret."""
    user = find(tx, caller_name(call))
    count = tx.value("SELECT count(*) FROM iam_access_key WHERE owner = ?", (user["name"],))
    if count >= _KEYS_MAX:
        raise faults.limit(f"Cannot exceed quota for AccessKeysPerUser: {_KEYS_MAX}")
    key, secret = access_key_id(call.config, "AKIA"), secret_key(call.config)
    row = (key, user["name"], secret, "Active", call.now_ms)
    tx.run("INSERT INTO iam_access_key VALUES (?, ?, ?, ?, ?)", row)
    created = {"UserName": user["name"], "AccessKeyId": key, "Status": "Active"}
    shown = {**created, "SecretAccessKey": secret, "CreateDate": call.now_ms // 1000}
    return {"AccessKey": shown}


def list_access_keys(call: Call, view: View) -> Output:
    user = find(view, caller_name(call))
    rows = view.all("SELECT * FROM iam_access_key WHERE owner = ? ORDER BY id", (user["name"],))
    return page(rows, call.params, "AccessKeyMetadata", _key)


def update_access_key(call: Call, tx: Transaction) -> Output:
    key = _find_key(call, tx)
    status = call.params["Status"]
    if status not in ("Active", "Inactive"):
        raise faults.invalid(f"Invalid status {status}: Active or Inactive.")
    tx.run("UPDATE iam_access_key SET status = ? WHERE id = ?", (status, key["id"]))
    changed(call, tx)
    return {}


def delete_access_key(call: Call, tx: Transaction) -> Output:
    tx.run("DELETE FROM iam_access_key WHERE id = ?", (_find_key(call, tx)["id"],))
    changed(call, tx)
    return {}


def put_user_policy(call: Call, tx: Transaction) -> Output:
    policies.put_inline(call, tx, "user", find(tx, call.params["UserName"])["name"])
    return {}


def get_user_policy(call: Call, view: View) -> Output:
    name = find(view, call.params["UserName"])["name"]
    return {"UserName": name, **policies.inline(call, view, "user", name)}


def list_user_policies(call: Call, view: View) -> Output:
    return policies.inline_names(call, view, "user", find(view, call.params["UserName"])["name"])


def delete_user_policy(call: Call, tx: Transaction) -> Output:
    policies.delete_inline(call, tx, "user", find(tx, call.params["UserName"])["name"])
    return {}


def attach_user_policy(call: Call, tx: Transaction) -> Output:
    policies.attach(call, tx, "user", find(tx, call.params["UserName"])["name"])
    return {}


def detach_user_policy(call: Call, tx: Transaction) -> Output:
    policies.detach(call, tx, "user", find(tx, call.params["UserName"])["name"])
    return {}


def list_attached_user_policies(call: Call, view: View) -> Output:
    return policies.attached(call, view, "user", find(view, call.params["UserName"])["name"])


def caller_name(call: Call) -> str:
    """`UserName`, or the user who calls."""
    name = call.params.get("UserName")
    if name is None and call.caller.kind == "user":
        name = call.caller.arn.rsplit("/", 1)[-1]
    if name is None:
        text = "Must specify userName when calling with non-User credentials"
        raise AwsError("ValidationError", text, 400)
    return str(name)


def _find_key(call: Call, tx: Transaction) -> Row:
    user, key = find(tx, caller_name(call)), call.params["AccessKeyId"]
    sql = "SELECT * FROM iam_access_key WHERE id = ? AND owner = ?"
    row = tx.one(sql, (key, user["name"]))
    if row is None:
        raise faults.no_such("Access Key", key)
    return row


def _key(row: Row) -> dict[str, Any]:
    return {
        "UserName": row["owner"],
        "AccessKeyId": row["id"],
        "Status": row["status"],
        "CreateDate": row["created_ms"] // 1000,
    }


def _user(call: Call, row: Row, full: bool) -> dict[str, Any]:
    user = {
        "Path": row["path"],
        "UserName": row["name"],
        "UserId": row["id"],
        "Arn": iam_arn(call.config, "user", row["path"], row["name"]),
        "CreateDate": row["created_ms"] // 1000,
    }
    if full and row["boundary"]:
        user["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": row["boundary"],
        }
    if full and orjson.loads(row["tags"]):
        user["Tags"] = tag_list(row["tags"])
    return user
