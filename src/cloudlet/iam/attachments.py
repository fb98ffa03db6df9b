"""Inline and attached policies of users, roles and groups: the same seven operations for each.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.iam import documents, faults, policies
from cloudlet.iam.entities import GROUP, ROLE, USER, Kind, Operation, Reading, named
from cloudlet.iam.identifiers import changed, page
from cloudlet.store.database import Transaction, View

_INLINE_BYTES_MAX = {USER: 2048, ROLE: 10_240, GROUP: 5120}
_ATTACHED_MAX = 10


def _inline(kind: Kind) -> tuple[Operation, Reading, Reading, Operation]:
    def put(call: Call, tx: Transaction) -> Output:
        owner, name = named(call, tx, kind)["name"], call.params["PolicyName"]
        document = documents.identity(call.params["PolicyDocument"])
        others = tx.all(
            "SELECT document FROM iam_inline WHERE kind = ? AND owner = ? AND name <> ?",
            (kind.name, owner, name),
        )
        limit = _INLINE_BYTES_MAX[kind]
        if documents.size(document, *(row["document"] for row in others)) > limit:
            text = f"Maximum policy size of {limit} bytes exceeded for {kind.name} {owner}"
            raise faults.limit(text)
        row = (kind.name, owner, name, document)
        tx.run("INSERT OR REPLACE INTO iam_inline VALUES (?, ?, ?, ?)", row)
        changed(call, tx)
        return {}

    def get(call: Call, view: View) -> Output:
        owner, name = named(call, view, kind)["name"], call.params["PolicyName"]
        document = view.value(
            "SELECT document FROM iam_inline WHERE kind = ? AND owner = ? AND name = ?",
            (kind.name, owner, name),
        )
        if document is None:
            raise faults.no_such(f"{kind.name} policy", name)
        text = documents.encoded(document)
        return {kind.member: owner, "PolicyName": name, "PolicyDocument": text}

    def names(call: Call, view: View) -> Output:
        rows = inline_of(view, kind, named(call, view, kind)["name"])
        return page(rows, call.params, "PolicyNames", lambda row: row["name"])

    def delete(call: Call, tx: Transaction) -> Output:
        owner, name = named(call, tx, kind)["name"], call.params["PolicyName"]
        sql = "DELETE FROM iam_inline WHERE kind = ? AND owner = ? AND name = ?"
        if not tx.run(sql, (kind.name, owner, name)).rowcount:
            raise faults.no_such(f"{kind.name} policy", name)
        changed(call, tx)
        return {}

    return put, get, names, delete


put_user_policy, get_user_policy, list_user_policies, delete_user_policy = _inline(USER)
put_role_policy, get_role_policy, list_role_policies, delete_role_policy = _inline(ROLE)
put_group_policy, get_group_policy, list_group_policies, delete_group_policy = _inline(GROUP)


def _attaching(kind: Kind) -> tuple[Operation, Operation, Reading]:
    def attach(call: Call, tx: Transaction) -> Output:
        owner, arn = named(call, tx, kind)["name"], call.params["PolicyArn"]
        policies.check_attachable(tx, arn)
        tx.run("INSERT OR IGNORE INTO iam_attached VALUES (?, ?, ?)", (kind.name, owner, arn))
        if len(attached_to(tx, kind, owner)) > _ATTACHED_MAX:
            raise faults.quota(f"PoliciesPer{kind.title}", _ATTACHED_MAX)
        changed(call, tx)
        return {}

    def detach(call: Call, tx: Transaction) -> Output:
        owner, arn = named(call, tx, kind)["name"], call.params["PolicyArn"]
        sql = "DELETE FROM iam_attached WHERE kind = ? AND owner = ? AND arn = ?"
        if not tx.run(sql, (kind.name, owner, arn)).rowcount:
            raise faults.no_entity(f"Policy {arn} was not found.")
        changed(call, tx)
        return {}

    def attached(call: Call, view: View) -> Output:
        prefix = call.params.get("PathPrefix") or "/"
        arns = attached_to(view, kind, named(call, view, kind)["name"])
        rows = [(arn, arn) for arn in arns if arn.split(":policy", 1)[-1].startswith(prefix)]
        return page(rows, call.params, "AttachedPolicies", lambda row: reference(row[0]))

    return attach, detach, attached


attach_user_policy, detach_user_policy, list_attached_user_policies = _attaching(USER)
attach_role_policy, detach_role_policy, list_attached_role_policies = _attaching(ROLE)
attach_group_policy, detach_group_policy, list_attached_group_policies = _attaching(GROUP)


def inline_of(view: View, kind: Kind, owner: str) -> list[Any]:
    sql = "SELECT name, document FROM iam_inline WHERE kind = ? AND owner = ? ORDER BY name"
    return view.all(sql, (kind.name, owner))


def attached_to(view: View, kind: Kind, owner: str) -> list[str]:
    sql = "SELECT arn FROM iam_attached WHERE kind = ? AND owner = ? ORDER BY arn"
    return [row["arn"] for row in view.all(sql, (kind.name, owner))]


def reference(arn: str) -> dict[str, str]:
    return {"PolicyName": arn.rsplit("/", 1)[-1], "PolicyArn": arn}


def check_unused(tx: Transaction, kind: Kind, owner: str) -> None:
    """Before an owner goes: its policies have to be taken off first."""
    if attached_to(tx, kind, owner):
        raise faults.conflict("Cannot delete entity, must detach all policies first.")
    if inline_of(tx, kind, owner):
        raise faults.conflict("Cannot delete entity, must delete policies first.")
