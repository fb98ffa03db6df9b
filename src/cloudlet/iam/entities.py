"""What users, roles, groups, instance profiles and managed policies have in common: a row with a
name, a path and an id; tags; permissions boundaries.

The operations that differ only in the kind they are about are made here, one by one, from one text.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.iam import faults, policies
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

Operation = Callable[[Call, Transaction], Output]
Reading = Callable[[Call, View], Output]


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` as ARNs have it, `title` as members do ("RoleName", "RoleId")."""

    name: str
    title: str
    prefix: str  # of ids
    table: str
    limit: int  # in an account
    key: str = "name"

    @property
    def member(self) -> str:
        """The parameter that names one."""
        return "PolicyArn" if self.key == "arn" else f"{self.title}Name"


USER = Kind("user", "User", "AIDA", "iam_user", 5000)
ROLE = Kind("role", "Role", "AROA", "iam_role", 5000)
GROUP = Kind("group", "Group", "AGPA", "iam_group", 500)
PROFILE = Kind("instance-profile", "InstanceProfile", "AIPA", "iam_profile", 5000)
POLICY = Kind("policy", "Policy", "ANPA", "iam_policy", 5000, "arn")


def find(view: View, kind: Kind, name: str) -> Row:
    row = view.one(f"SELECT * FROM {kind.table} WHERE {kind.key} = ?", (name,))
    if row is None:
        if kind is PROFILE:
            raise faults.no_entity(f"Instance Profile {name} cannot be found.")
        raise faults.no_such_policy(name) if kind is POLICY else faults.no_such(kind.name, name)
    return row


def named(call: Call, view: View, kind: Kind) -> Row:
    return find(view, kind, call.params[kind.member])


def insert(call: Call, tx: Transaction, kind: Kind, **more: Any) -> Row:
    """A new row with what every kind has, and `more`."""
    params, name = call.params, call.params[kind.member]
    if tx.one(f"SELECT 1 FROM {kind.table} WHERE name = ?", (name,)):
        raise faults.exists("Instance Profile" if kind is PROFILE else kind.title, name)
    if tx.value(f"SELECT count(*) FROM {kind.table}") >= kind.limit:
        raise faults.quota(f"{kind.title}sPerAccount", kind.limit)
    if kind in (USER, ROLE):
        more["boundary"] = params.get("PermissionsBoundary")
        if more["boundary"] is not None:
            policies.check_attachable(tx, more["boundary"])
    if kind is not GROUP:
        more["tags"] = tags_text(params.get("Tags"))
    values = {
        "name": name,
        "id": unique_id(call.config, kind.prefix),
        "path": params.get("Path", "/"),
        "created_ms": call.now_ms,
        **more,
    }
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    tx.run(f"INSERT INTO {kind.table} ({columns}) VALUES ({marks})", tuple(values.values()))
    return find(tx, kind, name)


def rows(call: Call, view: View, kind: Kind) -> list[Row]:
    """Those below `PathPrefix`, by name."""
    prefix = call.params.get("PathPrefix") or "/"
    found = view.all(f"SELECT * FROM {kind.table} ORDER BY name COLLATE BINARY")
    return [row for row in found if row["path"].startswith(prefix)]


def arn_of(call: Call, kind: Kind, row: Row) -> str:
    return iam_arn(call.config, kind.name, row["path"], row["name"])


def shown(call: Call, kind: Kind, row: Row, full: bool = True) -> dict[str, Any]:
    """The members that every kind has; listings leave boundary and tags out, as AWS does."""
    output = {
        "Path": row["path"],
        f"{kind.title}Name": row["name"],
        f"{kind.title}Id": row["id"],
        "Arn": arn_of(call, kind, row),
        "CreateDate": row["created_ms"] // 1000,
    }
    if full and kind in (USER, ROLE) and row["boundary"]:
        output["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": row["boundary"],
        }
    if full and kind is not GROUP and orjson.loads(row["tags"]):
        output["Tags"] = tag_list(row["tags"])
    return output


# --- Names, tags and boundaries


def _renaming(kind: Kind) -> Operation:
    def update(call: Call, tx: Transaction) -> Output:
        """Everything follows the new name; references are looked at again at the commit."""
        old, params = named(call, tx, kind)["name"], call.params
        new = params.get(f"New{kind.member}") or old
        table = kind.table
        if new.lower() != old.lower() and tx.one(f"SELECT 1 FROM {table} WHERE name = ?", (new,)):
            raise faults.exists(kind.title, new)
        if "NewPath" in params:
            tx.run(f"UPDATE {table} SET path = ? WHERE name = ?", (params["NewPath"], old))
        tx.run("PRAGMA defer_foreign_keys = 1")
        for sql in (*_FOLLOWING, *_FOLLOWING_USER * (kind is USER)):
            tx.run(sql.format(kind=kind.name), {"new": new, "old": old})
        changed(call, tx)
        return {}

    return update


_FOLLOWING = (
    "UPDATE iam_{kind} SET name = :new WHERE name = :old",
    "UPDATE iam_inline SET owner = :new WHERE kind = '{kind}' AND owner = :old",
    "UPDATE iam_attached SET owner = :new WHERE kind = '{kind}' AND owner = :old",
    "UPDATE iam_member SET {kind}_name = :new WHERE {kind}_name = :old",
)
_FOLLOWING_USER = ("UPDATE iam_access_key SET owner = :new WHERE owner = :old",)
update_user, update_group = _renaming(USER), _renaming(GROUP)


def _tagging(kind: Kind) -> tuple[Operation, Operation, Reading]:
    def save(call: Call, tx: Transaction, row: Row, tags: str) -> Output:
        sql = f"UPDATE {kind.table} SET tags = ? WHERE {kind.key} = ?"
        tx.run(sql, (tags, row[kind.key]))
        changed(call, tx)
        return {}

    def tag(call: Call, tx: Transaction) -> Output:
        row = named(call, tx, kind)
        return save(call, tx, row, tags_text(call.params["Tags"], row["tags"]))

    def untag(call: Call, tx: Transaction) -> Output:
        row = named(call, tx, kind)
        return save(call, tx, row, without_tags(row["tags"], call.params["TagKeys"]))

    def tags(call: Call, view: View) -> Output:
        found = sorted(tag_list(named(call, view, kind)["tags"]), key=lambda tag: tag["Key"])
        keyed = [(tag["Key"], tag) for tag in found]
        return page(keyed, call.params, "Tags", lambda item: item[1])

    return tag, untag, tags


tag_user, untag_user, list_user_tags = _tagging(USER)
tag_role, untag_role, list_role_tags = _tagging(ROLE)
tag_policy, untag_policy, list_policy_tags = _tagging(POLICY)
tag_instance_profile, untag_instance_profile, list_instance_profile_tags = _tagging(PROFILE)


def _bounding(kind: Kind) -> tuple[Operation, Operation]:
    def save(call: Call, tx: Transaction, arn: str | None) -> Output:
        row = named(call, tx, kind)
        tx.run(f"UPDATE {kind.table} SET boundary = ? WHERE name = ?", (arn, row["name"]))
        changed(call, tx)
        return {}

    def put(call: Call, tx: Transaction) -> Output:
        policies.check_attachable(tx, call.params["PermissionsBoundary"])
        return save(call, tx, call.params["PermissionsBoundary"])

    def delete(call: Call, tx: Transaction) -> Output:
        if named(call, tx, kind)["boundary"] is None:
            name = call.params[kind.member]
            text = f"The {kind.name} with name {name} does not have a permissions boundary."
            raise faults.no_entity(text)
        return save(call, tx, None)

    return put, delete


put_user_permissions_boundary, delete_user_permissions_boundary = _bounding(USER)
put_role_permissions_boundary, delete_role_permissions_boundary = _bounding(ROLE)
