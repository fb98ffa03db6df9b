"""Groups of users, whose policies their members have; and instance profiles, which hold a role.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.iam import attachments, faults, roles
from cloudlet.iam.entities import GROUP, PROFILE, ROLE, USER, find, insert, named, rows, shown
from cloudlet.iam.identifiers import changed, page
from cloudlet.store.database import Row, Transaction, View

_GROUPS_PER_USER_MAX = 10
_MEMBERS = "SELECT u.* FROM iam_user u JOIN iam_member m ON m.user_name = u.name"
_GROUPS = "SELECT g.* FROM iam_group g JOIN iam_member m ON m.group_name = g.name"


def create_group(call: Call, tx: Transaction) -> Output:
    return {"Group": shown(call, GROUP, insert(call, tx, GROUP))}


def get_group(call: Call, view: View) -> Output:
    """The group, and a page of its users."""
    group = named(call, view, GROUP)
    found = view.all(f"{_MEMBERS} WHERE m.group_name = ? ORDER BY 1", (group["name"],))
    users = page(found, call.params, "Users", lambda row: shown(call, USER, row, full=False))
    return {"Group": shown(call, GROUP, group), **users}


def list_groups(call: Call, view: View) -> Output:
    found = rows(call, view, GROUP)
    return page(found, call.params, "Groups", lambda row: shown(call, GROUP, row))


def delete_group(call: Call, tx: Transaction) -> Output:
    name = named(call, tx, GROUP)["name"]
    if tx.one("SELECT 1 FROM iam_member WHERE group_name = ?", (name,)):
        raise faults.conflict("Cannot delete entity, must remove users from group first.")
    attachments.check_unused(tx, GROUP, name)
    tx.run("DELETE FROM iam_group WHERE name = ?", (name,))
    return {}


def add_user_to_group(call: Call, tx: Transaction) -> Output:
    group, user = named(call, tx, GROUP)["name"], named(call, tx, USER)["name"]
    tx.run("INSERT OR IGNORE INTO iam_member VALUES (?, ?)", (user, group))
    if len(groups_of(tx, user)) > _GROUPS_PER_USER_MAX:
        raise faults.quota("GroupsPerUser", _GROUPS_PER_USER_MAX)
    changed(call, tx)
    return {}


def remove_user_from_group(call: Call, tx: Transaction) -> Output:
    group, user = named(call, tx, GROUP)["name"], named(call, tx, USER)["name"]
    sql = "DELETE FROM iam_member WHERE user_name = ? AND group_name = ?"
    if not tx.run(sql, (user, group)).rowcount:
        raise faults.no_entity(f"User {user} is not in group {group}.")
    changed(call, tx)
    return {}


def list_groups_for_user(call: Call, view: View) -> Output:
    found = groups_of(view, named(call, view, USER)["name"])
    return page(found, call.params, "Groups", lambda row: shown(call, GROUP, row))


def groups_of(view: View, user: str) -> list[Row]:
    return view.all(f"{_GROUPS} WHERE m.user_name = ? ORDER BY 1", (user,))


# --- Instance profiles


def create_instance_profile(call: Call, tx: Transaction) -> Output:
    return {"InstanceProfile": profile(call, tx, insert(call, tx, PROFILE))}


def get_instance_profile(call: Call, view: View) -> Output:
    return {"InstanceProfile": profile(call, view, named(call, view, PROFILE))}


def list_instance_profiles(call: Call, view: View) -> Output:
    return _profiles(call, view, rows(call, view, PROFILE))


def list_instance_profiles_for_role(call: Call, view: View) -> Output:
    return _profiles(call, view, profiles_of(view, named(call, view, ROLE)["name"]))


def delete_instance_profile(call: Call, tx: Transaction) -> Output:
    row = named(call, tx, PROFILE)
    if row["role"]:
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise faults.conflict(text)
    tx.run("DELETE FROM iam_profile WHERE name = ?", (row["name"],))
    return {}


def add_role_to_instance_profile(call: Call, tx: Transaction) -> Output:
    row, role = named(call, tx, PROFILE), named(call, tx, ROLE)["name"]
    if row["role"]:
        raise faults.quota("InstanceSessionsPerInstanceProfile", 1)
    tx.run("UPDATE iam_profile SET role = ? WHERE name = ?", (role, row["name"]))
    return {}


def remove_role_from_instance_profile(call: Call, tx: Transaction) -> Output:
    row, role = named(call, tx, PROFILE), named(call, tx, ROLE)["name"]
    if row["role"] != role:
        text = f"Role {role} in instance profile {row['name']} cannot be found."
        raise faults.no_entity(text)
    tx.run("UPDATE iam_profile SET role = NULL WHERE name = ?", (row["name"],))
    return {}


def profiles_of(view: View, role: str) -> list[Row]:
    return view.all("SELECT * FROM iam_profile WHERE role = ? ORDER BY name", (role,))


def profile(call: Call, view: View, row: Row, full: bool = True) -> dict[str, Any]:
    held = [find(view, ROLE, row["role"])] if row["role"] else []
    output = shown(call, PROFILE, row, full)
    return {**output, "Roles": [roles.brief(call, role) for role in held]}


def _profiles(call: Call, view: View, found: list[Row]) -> Output:
    return page(
        found, call.params, "InstanceProfiles", lambda row: profile(call, view, row, full=False)
    )
