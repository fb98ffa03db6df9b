"""Managed policies and their versions; inline and attached policies of roles and users.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.iam import documents, faults, managed
from cloudlet.iam.identifiers import changed, iam_arn, page, tag_list, tags_text, unique_id
from cloudlet.store.database import Row, Transaction, View

_VERSIONS_MAX = 5
_MANAGED_BYTES_MAX = 6144
_INLINE_BYTES_MAX = {"role": 10_240, "user": 2048}
_ATTACHED_MAX = 10


def create_policy(call: Call, tx: Transaction) -> Output:
    params, path = call.params, call.params.get("Path", "/")
    name = params["PolicyName"]
    arn = iam_arn(call.config, "policy", path, name)
    if tx.one("SELECT 1 FROM iam_policy WHERE arn = ?", (arn,)):
        raise faults.exists("A policy called", name)
    document = documents.identity(params["PolicyDocument"])
    documents.check_size(_MANAGED_BYTES_MAX, document)
    now_ms = call.now_ms
    tags = tags_text(params.get("Tags"))
    identifier = unique_id(call.config, "ANPA")
    row = (arn, name, identifier, path, params.get("Description"), 1, 1, now_ms, now_ms, tags)
    tx.run("INSERT INTO iam_policy VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    tx.run("INSERT INTO iam_policy_version VALUES (?, 1, ?, ?)", (arn, document, now_ms))
    changed(call, tx)
    return {"Policy": _policy(tx, _find(tx, arn))}


def get_policy(call: Call, view: View) -> Output:
    arn = call.params["PolicyArn"]
    if managed.document(arn) is not None:
        return {"Policy": _aws_policy(view, arn)}
    row = _find(view, arn)
    policy = _policy(view, row)
    if row["description"]:
        policy["Description"] = row["description"]
    return {"Policy": {**policy, "Tags": tag_list(row["tags"])}}


def list_policies(call: Call, view: View) -> Output:
    """The customer's own, unless `Scope` asks for AWS's or all."""
    scope, prefix = call.params.get("Scope", "All"), call.params.get("PathPrefix", "/")
    rows: list[Any] = []
    if scope in ("All", "Local"):
        own = view.all("SELECT * FROM iam_policy")
        rows += [(row["arn"], _policy(view, row)) for row in own]
    if scope in ("All", "AWS"):
        arns = [managed.PREFIX + name for name in managed.POLICIES]
        rows += [(arn, _aws_policy(view, arn)) for arn in arns]
    rows = [row for row in sorted(rows, key=lambda row: row[0]) if _wanted(call, row[1], prefix)]
    return page(rows, call.params, "Policies", lambda row: row[1])


def _wanted(call: Call, policy: dict[str, Any], prefix: str) -> bool:
    is_used = policy["AttachmentCount"] > 0
    return policy["Path"].startswith(prefix) and (
        is_used or not call.params.get("OnlyAttached", False)
    )


def delete_policy(call: Call, tx: Transaction) -> Output:
    row = _find_own(tx, call.params["PolicyArn"])
    if _attachments(tx, row["arn"]) or _boundaries(tx, row["arn"]):
        raise faults.conflict("Cannot delete a policy attached to entities.")
    versions = tx.value("SELECT count(*) FROM iam_policy_version WHERE arn = ?", (row["arn"],))
    if versions > 1:
        raise faults.conflict(
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with the policy."
        )
    tx.run("DELETE FROM iam_policy WHERE arn = ?", (row["arn"],))
    changed(call, tx)
    return {}


def create_policy_version(call: Call, tx: Transaction) -> Output:
    row = _find_own(tx, call.params["PolicyArn"])
    count = tx.value("SELECT count(*) FROM iam_policy_version WHERE arn = ?", (row["arn"],))
    if count >= _VERSIONS_MAX:
        raise faults.limit(
            "A managed policy can have up to 5 versions. Before you create a new version, you must "
            "delete an existing version."
        )
    document = documents.identity(call.params["PolicyDocument"])
    documents.check_size(_MANAGED_BYTES_MAX, document)
    number, is_default = row["last_version"] + 1, call.params.get("SetAsDefault", False)
    tx.run(
        "INSERT INTO iam_policy_version VALUES (?, ?, ?, ?)",
        (row["arn"], number, document, call.now_ms),
    )
    tx.run(
        "UPDATE iam_policy SET last_version = ?, default_version = ?, updated_ms = ? WHERE arn = ?",
        (number, number if is_default else row["default_version"], call.now_ms, row["arn"]),
    )
    changed(call, tx)
    seconds = call.now_ms // 1000
    version = {"VersionId": f"v{number}", "IsDefaultVersion": is_default, "CreateDate": seconds}
    return {"PolicyVersion": version}


def get_policy_version(call: Call, view: View) -> Output:
    arn, version = call.params["PolicyArn"], call.params["VersionId"]
    known = managed.document(arn)
    if known is not None:
        if version != "v1":
            raise faults.no_such_version(arn, version)
        text = documents.encoded(orjson.dumps(known).decode())
        return {
            "PolicyVersion": {
                "Document": text,
                "VersionId": "v1",
                "IsDefaultVersion": True,
                "CreateDate": 0,
            }
        }
    row = _find(view, arn)
    found = _version(view, row, version)
    document = documents.encoded(found["document"])
    return {"PolicyVersion": {"Document": document, **_version_output(row, found)}}


def list_policy_versions(call: Call, view: View) -> Output:
    arn = call.params["PolicyArn"]
    if managed.document(arn) is not None:
        only = {"VersionId": "v1", "IsDefaultVersion": True, "CreateDate": 0}
        return {"Versions": [only], "IsTruncated": False}
    row = _find(view, arn)
    found = view.all(
        "SELECT * FROM iam_policy_version WHERE arn = ? ORDER BY version DESC", (row["arn"],)
    )
    return {"Versions": [_version_output(row, item) for item in found], "IsTruncated": False}


def delete_policy_version(call: Call, tx: Transaction) -> Output:
    row = _find_own(tx, call.params["PolicyArn"])
    found = _version(tx, row, call.params["VersionId"])
    if found["version"] == row["default_version"]:
        raise faults.conflict("Cannot delete the default version of a policy.")
    tx.run(
        "DELETE FROM iam_policy_version WHERE arn = ? AND version = ?",
        (row["arn"], found["version"]),
    )
    return {}


def set_default_policy_version(call: Call, tx: Transaction) -> Output:
    row = _find_own(tx, call.params["PolicyArn"])
    found = _version(tx, row, call.params["VersionId"])
    tx.run(
        "UPDATE iam_policy SET default_version = ?, updated_ms = ? WHERE arn = ?",
        (found["version"], call.now_ms, row["arn"]),
    )
    changed(call, tx)
    return {}


# --- Inline and attached policies, for `roles` and `users`


def put_inline(call: Call, tx: Transaction, kind: str, owner: str) -> None:
    name = call.params["PolicyName"]
    document = documents.identity(call.params["PolicyDocument"])
    others = tx.all(
        "SELECT document FROM iam_inline WHERE kind = ? AND owner = ? AND name <> ?",
        (kind, owner, name),
    )
    texts = [row["document"] for row in others]
    documents.check_size(_INLINE_BYTES_MAX[kind], document, *texts)
    tx.run("INSERT OR REPLACE INTO iam_inline VALUES (?, ?, ?, ?)", (kind, owner, name, document))
    changed(call, tx)


def inline(call: Call, view: View, kind: str, owner: str) -> Output:
    name = call.params["PolicyName"]
    document = view.value(
        "SELECT document FROM iam_inline WHERE kind = ? AND owner = ? AND name = ?",
        (kind, owner, name),
    )
    if document is None:
        raise faults.no_such(f"{kind} policy", name)
    return {"PolicyName": name, "PolicyDocument": documents.encoded(document)}


def inline_names(call: Call, view: View, kind: str, owner: str) -> Output:
    rows = view.all(
        "SELECT name FROM iam_inline WHERE kind = ? AND owner = ? ORDER BY name", (kind, owner)
    )
    return page(rows, call.params, "PolicyNames", lambda row: row["name"])


def delete_inline(call: Call, tx: Transaction, kind: str, owner: str) -> None:
    name = call.params["PolicyName"]
    parameters = (kind, owner, name)
    sql = "DELETE FROM iam_inline WHERE kind = ? AND owner = ? AND name = ?"
    if not tx.run(sql, parameters).rowcount:
        raise faults.no_such(f"{kind} policy", name)
    changed(call, tx)


def attach(call: Call, tx: Transaction, kind: str, owner: str) -> None:
    arn = call.params["PolicyArn"]
    check_attachable(tx, arn)
    tx.run("INSERT OR IGNORE INTO iam_attached VALUES (?, ?, ?)", (kind, owner, arn))
    count = tx.value(
        "SELECT count(*) FROM iam_attached WHERE kind = ? AND owner = ?", (kind, owner)
    )
    if count > _ATTACHED_MAX:
        raise faults.limit(
            f"Cannot exceed quota for PoliciesPer{kind.capitalize()}: {_ATTACHED_MAX}"
        )
    changed(call, tx)


def detach(call: Call, tx: Transaction, kind: str, owner: str) -> None:
    arn = call.params["PolicyArn"]
    sql = "DELETE FROM iam_attached WHERE kind = ? AND owner = ? AND arn = ?"
    if not tx.run(sql, (kind, owner, arn)).rowcount:
        raise faults.no_such_policy(arn)
    changed(call, tx)


def attached(call: Call, view: View, kind: str, owner: str) -> Output:
    rows = view.all(
        "SELECT arn FROM iam_attached WHERE kind = ? AND owner = ? ORDER BY arn", (kind, owner)
    )
    prefix = call.params.get("PathPrefix", "/")
    rows = [row for row in rows if row["arn"].split(":policy", 1)[-1].startswith(prefix)]
    return page(
        rows,
        call.params,
        "AttachedPolicies",
        lambda row: {"PolicyName": row["arn"].rsplit("/", 1)[-1], "PolicyArn": row["arn"]},
    )


def check_attachable(view: View, arn: str) -> None:
    if managed.document(arn) is None:
        row = view.one("SELECT arn FROM iam_policy WHERE arn = ?", (arn,))
        if row is None or row["arn"] != arn:
            raise faults.no_such_policy(arn)


def check_unused(tx: Transaction, kind: str, owner: str) -> None:
    """Before an owner goes: its policies have to be taken off first."""
    if tx.one("SELECT 1 FROM iam_attached WHERE kind = ? AND owner = ?", (kind, owner)):
        raise faults.conflict("Cannot delete entity, must detach all policies first.")
    if tx.one("SELECT 1 FROM iam_inline WHERE kind = ? AND owner = ?", (kind, owner)):
        raise faults.conflict("Cannot delete entity, must delete policies first.")


def _find(view: View, arn: str) -> Row:
    row = view.one("SELECT * FROM iam_policy WHERE arn = ?", (arn,))
    if row is None:
        raise faults.no_such_policy(arn)
    return row


def _find_own(view: View, arn: str) -> Row:
    if managed.document(arn) is not None:
        raise faults.invalid(f"ARN {arn} is not valid.")
    return _find(view, arn)


def _version(view: View, row: Row, version: str) -> Row:
    number = int(version[1:].split(".")[0]) if version[1:].split(".")[0].isdecimal() else 0
    found = view.one(
        "SELECT * FROM iam_policy_version WHERE arn = ? AND version = ?", (row["arn"], number)
    )
    if found is None:
        raise faults.no_such_version(row["arn"], version)
    return found


def _version_output(policy: Row, row: Row) -> dict[str, Any]:
    return {
        "VersionId": f"v{row['version']}",
        "IsDefaultVersion": row["version"] == policy["default_version"],
        "CreateDate": row["created_ms"] // 1000,
    }


def _policy(view: View, row: Row) -> dict[str, Any]:
    return {
        "PolicyName": row["name"],
        "PolicyId": row["id"],
        "Arn": row["arn"],
        "Path": row["path"],
        "DefaultVersionId": f"v{row['default_version']}",
        "AttachmentCount": _attachments(view, row["arn"]),
        "PermissionsBoundaryUsageCount": _boundaries(view, row["arn"]),
        "IsAttachable": True,
        "CreateDate": row["created_ms"] // 1000,
        "UpdateDate": row["updated_ms"] // 1000,
    }


def _aws_policy(view: View, arn: str) -> dict[str, Any]:
    path, _, name = arn.split(":policy", 1)[1].rpartition("/")
    return {
        "PolicyName": name,
        "PolicyId": "ANPA" + name.upper().encode().hex().upper()[:17].ljust(17, "0"),
        "Arn": arn,
        "Path": f"{path}/",
        "DefaultVersionId": "v1",
        "AttachmentCount": _attachments(view, arn),
        "PermissionsBoundaryUsageCount": _boundaries(view, arn),
        "IsAttachable": True,
        "CreateDate": 0,
        "UpdateDate": 0,
    }


def _attachments(view: View, arn: str) -> int:
    return int(view.value("SELECT count(*) FROM iam_attached WHERE arn = ?", (arn,)))


def _boundaries(view: View, arn: str) -> int:
    sql = "SELECT (SELECT count(*) FROM iam_role WHERE boundary = ?1)"
    return int(view.value(f"{sql} + (SELECT count(*) FROM iam_user WHERE boundary = ?1)", (arn,)))
