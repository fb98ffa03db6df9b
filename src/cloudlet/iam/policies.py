"""Managed policies and their versions, and who has them; how they get there is `attachments`'.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.iam import documents, faults, managed
from cloudlet.iam.identifiers import changed, iam_arn, page, tag_list, tags_text, unique_id
from cloudlet.store.database import Row, Transaction, View

_VERSIONS_MAX = 5
_MANAGED_BYTES_MAX = 6144
_POLICIES_MAX = 5000
_USERS = {
    "PermissionsPolicy": "SELECT o.* FROM iam_{kind} o JOIN iam_attached a"
    " ON a.kind = '{kind}' AND a.owner = o.name WHERE a.arn = ?",
    "PermissionsBoundary": "SELECT * FROM iam_{kind} WHERE boundary = ?",
}


def create_policy(call: Call, tx: Transaction) -> Output:
    params, path = call.params, call.params.get("Path", "/")
    name = params["PolicyName"]
    arn = iam_arn(call.config, "policy", path, name)
    if tx.one("SELECT 1 FROM iam_policy WHERE name = ? COLLATE NOCASE", (name,)):
        text = f"A policy called {name} already exists. Duplicate names are not allowed."
        raise AwsError("EntityAlreadyExists", text, 409)
    if tx.value("SELECT count(*) FROM iam_policy") >= _POLICIES_MAX:
        raise faults.quota("PoliciesPerAccount", _POLICIES_MAX)
    document = documents.identity(params["PolicyDocument"])
    _check_size(document)
    now_ms = call.now_ms
    tags = tags_text(params.get("Tags"))
    identifier = unique_id(call.config, "ANPA")
    row = (arn, name, identifier, path, params.get("Description"), 1, 1, now_ms, now_ms, tags)
    tx.run("INSERT INTO iam_policy VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    tx.run("INSERT INTO iam_policy_version VALUES (?, 1, ?, ?)", (arn, document, now_ms))
    changed(call, tx)
    return {"Policy": _policy(tx, _find(tx, arn))}


def _check_size(document: str) -> None:
    if documents.size(document) > _MANAGED_BYTES_MAX:
        raise faults.quota("PolicySize", _MANAGED_BYTES_MAX)


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
    scopes = ("Local", "AWS") if scope == "All" else (scope,)
    found = [policy for each in scopes for policy in all_of(view, each)]
    rows = sorted((policy["Arn"], policy) for policy in found if _wanted(call, policy, prefix))
    return page(rows, call.params, "Policies", lambda row: row[1])


def all_of(view: View, scope: str) -> list[dict[str, Any]]:
    if scope == "AWS":
        return [_aws_policy(view, arn) for arn in managed.policies()]
    return [_policy(view, row) for row in view.all("SELECT * FROM iam_policy ORDER BY arn")]


def with_versions(view: View, policy: dict[str, Any]) -> dict[str, Any]:
    """One of `all_of` with the documents of all its versions."""
    known = managed.find(policy["Arn"])
    if known is not None:
        text = documents.encoded(orjson.dumps(known.document).decode())
        return {**policy, "PolicyVersionList": [{"Document": text, **_aws_version(known)}]}
    row = _find(view, policy["Arn"])
    versions = [
        {"Document": documents.encoded(item["document"]), **_version_output(row, item)}
        for item in _versions(view, row)
    ]
    return {**policy, "PolicyVersionList": versions}


def _versions(view: View, row: Row) -> list[Row]:
    sql = "SELECT * FROM iam_policy_version WHERE arn = ? ORDER BY version DESC"
    return view.all(sql, (row["arn"],))


def _wanted(call: Call, policy: dict[str, Any], prefix: str) -> bool:
    is_used = policy["AttachmentCount"] > 0
    usage = call.params.get("PolicyUsageFilter")
    counted = (
        "PermissionsBoundaryUsageCount" if usage == "PermissionsBoundary" else "AttachmentCount"
    )
    return (
        policy["Path"].startswith(prefix)
        and (is_used or not call.params.get("OnlyAttached", False))
        and (usage is None or policy[counted] > 0)
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
    _check_size(document)
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
    known = managed.find(arn)
    if known is not None:
        if version != known.version:
            raise faults.no_such_version(arn, version)
        text = documents.encoded(orjson.dumps(known.document).decode())
        return {"PolicyVersion": {"Document": text, **_aws_version(known)}}
    row = _find(view, arn)
    found = _version(view, row, version)
    document = documents.encoded(found["document"])
    return {"PolicyVersion": {"Document": document, **_version_output(row, found)}}


def list_policy_versions(call: Call, view: View) -> Output:
    arn = call.params["PolicyArn"]
    known = managed.find(arn)
    if known is not None:
        return {"Versions": [_aws_version(known)], "IsTruncated": False}
    row = _find(view, arn)
    found = [_version_output(row, item) for item in _versions(view, row)]
    return {"Versions": found, "IsTruncated": False}


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


# --- Who has them


def list_entities_for_policy(call: Call, view: View) -> Output:
    """Whom a policy is attached to, or bounds."""
    params, arn = call.params, call.params["PolicyArn"]
    check_attachable(view, arn)
    kinds = [params["EntityFilter"]] if params.get("EntityFilter") else ["Group", "Role", "User"]
    usages = [params["PolicyUsageFilter"]] if params.get("PolicyUsageFilter") else list(_USERS)
    prefix = params.get("PathPrefix") or "/"
    found = {
        (kind, row["name"], row["id"])
        for kind in ("Group", "Role", "User")
        for usage in usages
        if kind in kinds and (kind != "Group" or usage == "PermissionsPolicy")
        for row in view.all(_USERS[usage].format(kind=kind.lower()), (arn,))
        if row["path"].startswith(prefix)
    }
    keyed = [(f"{kind}/{name}", kind, name, id_) for kind, name, id_ in sorted(found)]
    output = page(keyed, params, "Entities", lambda row: row)
    entities = output.pop("Entities")
    for kind in ("Group", "Role", "User"):
        output[f"Policy{kind}s"] = [
            {f"{kind}Name": name, f"{kind}Id": id_} for _, of, name, id_ in entities if of == kind
        ]
    return output


def check_attachable(view: View, arn: str) -> None:
    if managed.document(arn) is None:
        row = view.one("SELECT arn FROM iam_policy WHERE arn = ?", (arn,))
        if row is None or row["arn"] != arn:
            raise faults.no_such_policy(arn)


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


def _aws_version(known: managed.Managed) -> dict[str, Any]:
    return {"VersionId": known.version, "IsDefaultVersion": True, "CreateDate": known.updated_s}


def _aws_policy(view: View, arn: str) -> dict[str, Any]:
    known = managed.policies()[arn]
    path, _, name = arn.split(":policy", 1)[1].rpartition("/")
    return {
        "PolicyName": name,
        "PolicyId": "ANPA" + name.upper().encode().hex().upper()[:17].ljust(17, "0"),
        "Arn": arn,
        "Path": f"{path}/",
        "DefaultVersionId": known.version,
        "AttachmentCount": _attachments(view, arn),
        "PermissionsBoundaryUsageCount": _boundaries(view, arn),
        "IsAttachable": True,
        "CreateDate": known.updated_s,
        "UpdateDate": known.updated_s,
    }


def _attachments(view: View, arn: str) -> int:
    return int(view.value("SELECT count(*) FROM iam_attached WHERE arn = ?", (arn,)))


def _boundaries(view: View, arn: str) -> int:
    sql = "SELECT (SELECT count(*) FROM iam_role WHERE boundary = ?1)"
    return int(view.value(f"{sql} + (SELECT count(*) FROM iam_user WHERE boundary = ?1)", (arn,)))
