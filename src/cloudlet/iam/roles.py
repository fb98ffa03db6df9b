"""Roles: what functions and deployments act as.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.iam import documents, faults, policies
from cloudlet.iam.identifiers import (
    changed,
    iam_arn,
    page,
    tag_list,
    tags_text,
    unique_id,
    without_tags,
)
from cloudlet.store.database import Row, Transaction, View

_SESSION_S = 3600
_TRUST_BYTES_MAX = 2048


def find(view: View, name: str) -> Row:
    row = view.one("SELECT * FROM iam_role WHERE name = ?", (name,))
    if row is None:
        raise faults.no_such("role", name)
    return row


def create_role(call: Call, tx: Transaction) -> Output:
    """Makes a role; it may do nothing yet."""
    params = call.params
    name = params["RoleName"]
    if tx.one("SELECT 1 FROM iam_role WHERE name = ?", (name,)):
        raise faults.exists("Role", name)
    trust = documents.trust(params["AssumeRolePolicyDocument"])
    documents.check_size(_TRUST_BYTES_MAX, trust)
    boundary = params.get("PermissionsBoundary")
    if boundary is not None:
        policies.check_attachable(tx, boundary)
    tx.run(
        "INSERT INTO iam_role VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            unique_id(call.config, "AROA"),
            params.get("Path", "/"),
            trust,
            params.get("Description"),
            params.get("MaxSessionDuration", _SESSION_S),
            boundary,
            call.now_ms,
            tags_text(params.get("Tags")),
        ),
    )
    return {"Role": _role(call, find(tx, name), full=True)}


def get_role(call: Call, view: View) -> Output:
    return {"Role": _role(call, find(view, call.params["RoleName"]), full=True)}


def list_roles(call: Call, view: View) -> Output:
    prefix = call.params.get("PathPrefix", "/")
    rows = view.all("SELECT * FROM iam_role ORDER BY name COLLATE BINARY")
    rows = [row for row in rows if row["path"].startswith(prefix)]
    return page(rows, call.params, "Roles", lambda row: _role(call, row, full=False))


def update_role(call: Call, tx: Transaction) -> Output:
    role = find(tx, call.params["RoleName"])
    tx.run(
        "UPDATE iam_role SET description = ?, max_session_s = ? WHERE name = ?",
        (
            call.params.get("Description", role["description"]),
            call.params.get("MaxSessionDuration", role["max_session_s"]),
            role["name"],
        ),
    )
    return {}


def update_role_description(call: Call, tx: Transaction) -> Output:
    role = find(tx, call.params["RoleName"])
    tx.run(
        "UPDATE iam_role SET description = ? WHERE name = ?",
        (call.params["Description"], role["name"]),
    )
    return {"Role": _role(call, find(tx, role["name"]), full=True)}


def update_assume_role_policy(call: Call, tx: Transaction) -> Output:
    role = find(tx, call.params["RoleName"])
    trust = documents.trust(call.params["PolicyDocument"])
    documents.check_size(_TRUST_BYTES_MAX, trust)
    tx.run("UPDATE iam_role SET trust = ? WHERE name = ?", (trust, role["name"]))
    return {}


def delete_role(call: Call, tx: Transaction) -> Output:
    """Refused while policies hang on it; its sessions end with it."""
    role = find(tx, call.params["RoleName"])
    policies.check_unused(tx, "role", role["name"])
    tx.run("DELETE FROM iam_session WHERE owner_id = ?", (role["id"],))
    tx.run("DELETE FROM iam_role WHERE name = ?", (role["name"],))
    changed(call, tx)
    return {}


def put_role_policy(call: Call, tx: Transaction) -> Output:
    policies.put_inline(call, tx, "role", find(tx, call.params["RoleName"])["name"])
    return {}


def get_role_policy(call: Call, view: View) -> Output:
    name = find(view, call.params["RoleName"])["name"]
    return {"RoleName": name, **policies.inline(call, view, "role", name)}


def list_role_policies(call: Call, view: View) -> Output:
    return policies.inline_names(call, view, "role", find(view, call.params["RoleName"])["name"])


def delete_role_policy(call: Call, tx: Transaction) -> Output:
    policies.delete_inline(call, tx, "role", find(tx, call.params["RoleName"])["name"])
    return {}


def attach_role_policy(call: Call, tx: Transaction) -> Output:
    policies.attach(call, tx, "role", find(tx, call.params["RoleName"])["name"])
    return {}


def detach_role_policy(call: Call, tx: Transaction) -> Output:
    policies.detach(call, tx, "role", find(tx, call.params["RoleName"])["name"])
    return {}


def list_attached_role_policies(call: Call, view: View) -> Output:
    return policies.attached(call, view, "role", find(view, call.params["RoleName"])["name"])


def put_role_permissions_boundary(call: Call, tx: Transaction) -> Output:
    role = find(tx, call.params["RoleName"])
    policies.check_attachable(tx, call.params["PermissionsBoundary"])
    _set_boundary(call, tx, role["name"], call.params["PermissionsBoundary"])
    return {}


def delete_role_permissions_boundary(call: Call, tx: Transaction) -> Output:
    _set_boundary(call, tx, find(tx, call.params["RoleName"])["name"], None)
    return {}


def _set_boundary(call: Call, tx: Transaction, name: str, arn: str | None) -> None:
    tx.run("UPDATE iam_role SET boundary = ? WHERE name = ?", (arn, name))
    changed(call, tx)


def tag_role(call: Call, tx: Transaction) -> Output:
    role = find(tx, call.params["RoleName"])
    _set_tags(call, tx, role, tags_text(call.params["Tags"], role["tags"]))
    return {}


def untag_role(call: Call, tx: Transaction) -> Output:
    role = find(tx, call.params["RoleName"])
    _set_tags(call, tx, role, without_tags(role["tags"], call.params["TagKeys"]))
    return {}


def list_role_tags(call: Call, view: View) -> Output:
    role = find(view, call.params["RoleName"])
    return {"Tags": tag_list(role["tags"]), "IsTruncated": False}


def _set_tags(call: Call, tx: Transaction, role: Row, tags: str) -> None:
    tx.run("UPDATE iam_role SET tags = ? WHERE name = ?", (tags, role["name"]))
    changed(call, tx)


def _role(call: Call, row: Row, full: bool) -> dict[str, Any]:
    """Listings leave boundary and tags out, as AWS does."""
    role = {
        "Path": row["path"],
        "RoleName": row["name"],
        "RoleId": row["id"],
        "Arn": iam_arn(call.config, "role", row["path"], row["name"]),
        "CreateDate": row["created_ms"] // 1000,
        "AssumeRolePolicyDocument": documents.encoded(row["trust"]),
        "Description": row["description"],
        "MaxSessionDuration": row["max_session_s"],
    }
    if full and row["boundary"]:
        role["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": row["boundary"],
        }
    if full and orjson.loads(row["tags"]):
        role["Tags"] = tag_list(row["tags"])
    return role
