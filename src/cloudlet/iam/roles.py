"""Roles: what functions and deployments act as; and those that AWS's services make themselves.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
"""

from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.iam import attachments, documents, faults
from cloudlet.iam.entities import ROLE, find, insert, named, rows, shown
from cloudlet.iam.identifiers import changed, page
from cloudlet.store.database import Row, Transaction, View

_SESSION_S = 3600
_TRUST_BYTES_MAX = 2048
_LINKED = "/aws-service-role/"


def create_role(call: Call, tx: Transaction) -> Output:
    """Makes a role; it may do nothing yet."""
    return {"Role": _create(call, tx, _trust(call.params["AssumeRolePolicyDocument"]))}


def _create(call: Call, tx: Transaction, trust: str) -> dict[str, Any]:
    params = call.params
    row = insert(
        call,
        tx,
        ROLE,
        trust=trust,
        description=params.get("Description"),
        max_session_s=params.get("MaxSessionDuration", _SESSION_S),
    )
    return _role(call, tx, row)


def _trust(text: str) -> str:
    trust = documents.trust(text)
    if documents.size(trust) > _TRUST_BYTES_MAX:
        raise faults.quota("ACLSizePerRole", _TRUST_BYTES_MAX)
    return trust


def get_role(call: Call, view: View) -> Output:
    return {"Role": _role(call, view, named(call, view, ROLE))}


def list_roles(call: Call, view: View) -> Output:
    found = rows(call, view, ROLE)
    return page(found, call.params, "Roles", lambda row: brief(call, row))


def update_role(call: Call, tx: Transaction) -> Output:
    role = named(call, tx, ROLE)
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
    name = named(call, tx, ROLE)["name"]
    sql = "UPDATE iam_role SET description = ? WHERE name = ?"
    tx.run(sql, (call.params["Description"], name))
    return {"Role": _role(call, tx, find(tx, ROLE, name))}


def update_assume_role_policy(call: Call, tx: Transaction) -> Output:
    trust = _trust(call.params["PolicyDocument"])
    tx.run("UPDATE iam_role SET trust = ? WHERE name = ?", (trust, _own(call, tx)["name"]))
    return {}


def delete_role(call: Call, tx: Transaction) -> Output:
    """Refused while policies hang on it; its sessions end with it."""
    role = _own(call, tx)
    if tx.one("SELECT 1 FROM iam_profile WHERE role = ?", (role["name"],)):
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise faults.conflict(text)
    attachments.check_unused(tx, ROLE, role["name"])
    return _delete(call, tx, role)


def _delete(call: Call, tx: Transaction, role: Row) -> Output:
    tx.run("DELETE FROM iam_session WHERE owner_id = ?", (role["id"],))
    tx.run("DELETE FROM iam_role WHERE name = ?", (role["name"],))
    changed(call, tx)
    return {}


# --- Service-linked roles


def create_service_linked_role(call: Call, tx: Transaction) -> Output:
    """`AWSServiceRoleFor…` under a path of its own, trusted to that service alone. Its policies are
    the service's affair: nothing here needs them."""
    params, service = call.params, call.params["AWSServiceName"]
    words = service.split(".")[0].replace("-", " ").title().replace(" ", "")
    suffix = f"_{params['CustomSuffix']}" if params.get("CustomSuffix") else ""
    name = f"AWSServiceRoleFor{words}{suffix}"
    if tx.one("SELECT 1 FROM iam_role WHERE name = ?", (name,)):
        raise faults.invalid_input(
            f"Service role name {name} has been taken in this account, please try a different "
            "suffix."
        )
    principal = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = orjson.dumps({"Version": "2012-10-17", "Statement": [principal]}).decode()
    call.params = {**params, "RoleName": name, "Path": f"{_LINKED}{service}/"}
    return {"Role": _create(call, tx, trust)}


def delete_service_linked_role(call: Call, tx: Transaction) -> Output:
    role = named(call, tx, ROLE)
    if not role["path"].startswith(_LINKED):
        raise faults.no_such("role", role["name"])
    _delete(call, tx, role)
    task = f"task{role['path']}{role['name']}/{call.config.new_id()}"
    return {"DeletionTaskId": task}


def get_service_linked_role_deletion_status(call: Call, view: View) -> Output:
    """The role goes with the call that deletes it."""
    if not call.params["DeletionTaskId"].startswith(f"task{_LINKED}"):
        raise faults.no_entity("The deletion task cannot be found.")
    return {"Status": "SUCCEEDED"}


def _own(call: Call, tx: Transaction) -> Row:
    role = named(call, tx, ROLE)
    if role["path"].startswith(_LINKED):
        raise AwsError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{role['name']}' - this role is "
            "only modifiable by AWS",
        )
    return role


def brief(call: Call, row: Row) -> dict[str, Any]:
    return {
        **shown(call, ROLE, row, full=False),
        "AssumeRolePolicyDocument": documents.encoded(row["trust"]),
        "Description": row["description"],
        "MaxSessionDuration": row["max_session_s"],
    }


def _role(call: Call, view: View, row: Row) -> dict[str, Any]:
    used = {} if call.state is None else call.state.last_use(view, row["id"])
    used.pop("ServiceName", None)
    return {**brief(call, row), **shown(call, ROLE, row), "RoleLastUsed": used}
