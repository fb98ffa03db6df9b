"""Users and their access keys.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.iam import attachments, faults
from cloudlet.iam.entities import USER, find, insert, named, rows, shown
from cloudlet.iam.identifiers import access_key_id, changed, page, secret_key
from cloudlet.store.database import Row, Transaction, View

_KEYS_MAX = 2


def create_user(call: Call, tx: Transaction) -> Output:
    return {"User": shown(call, USER, insert(call, tx, USER))}


def get_user(call: Call, view: View) -> Output:
    """Without a name: the caller."""
    name = call.params.get("UserName")
    if name is None and call.caller.kind == "root":
        config = call.config
        arn = f"arn:aws:iam::{config.account}:root"
        user = {"Path": "/", "UserName": config.account, "UserId": config.account, "Arn": arn}
        return {"User": {**user, "CreateDate": 0}}
    return {"User": shown(call, USER, find(view, USER, name or caller_name(call)))}


def list_users(call: Call, view: View) -> Output:
    found = rows(call, view, USER)
    return page(found, call.params, "Users", lambda row: shown(call, USER, row, full=False))


def delete_user(call: Call, tx: Transaction) -> Output:
    user = named(call, tx, USER)
    if tx.one("SELECT 1 FROM iam_access_key WHERE owner = ?", (user["name"],)):
        raise faults.conflict("Cannot delete entity, must delete access keys first.")
    if tx.one("SELECT 1 FROM iam_member WHERE user_name = ?", (user["name"],)):
        raise faults.conflict("Cannot delete entity, must remove user from group first.")
    attachments.check_unused(tx, USER, user["name"])
    tx.run("DELETE FROM iam_session WHERE owner_id = ?", (user["id"],))
    tx.run("DELETE FROM iam_user WHERE name = ?", (user["name"],))
    changed(call, tx)
    return {}


def create_access_key(call: Call, tx: Transaction) -> Output:
    """The only answer that ever shows the secret."""
    user = find(tx, USER, caller_name(call))
    count = tx.value("SELECT count(*) FROM iam_access_key WHERE owner = ?", (user["name"],))
    if count >= _KEYS_MAX:
        raise faults.quota("AccessKeysPerUser", _KEYS_MAX)
    key, secret = access_key_id(call.config, "AKIA"), secret_key(call.config)
    row = (key, user["name"], secret, "Active", call.now_ms)
    tx.run("INSERT INTO iam_access_key VALUES (?, ?, ?, ?, ?)", row)
    created = {"UserName": user["name"], "AccessKeyId": key, "Status": "Active"}
    made = {**created, "SecretAccessKey": secret, "CreateDate": call.now_ms // 1000}
    return {"AccessKey": made}


def list_access_keys(call: Call, view: View) -> Output:
    user = find(view, USER, caller_name(call))
    found = view.all("SELECT * FROM iam_access_key WHERE owner = ? ORDER BY id", (user["name"],))
    return page(found, call.params, "AccessKeyMetadata", _key)


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


def get_access_key_last_used(call: Call, view: View) -> Output:
    key = call.params["AccessKeyId"]
    owner = view.value("SELECT owner FROM iam_access_key WHERE id = ?", (key,))
    if owner is None:
        raise faults.no_such("Access Key", key)
    used = call.state.last_use(view, key)
    if "LastUsedDate" not in used:
        used = {"ServiceName": "N/A", "Region": "N/A"}
    return {"UserName": owner, "AccessKeyLastUsed": used}


def caller_name(call: Call) -> str:
    """`UserName`, or the user who calls."""
    name = call.params.get("UserName")
    if name is None and call.caller.kind == "user":
        name = call.caller.arn.rsplit("/", 1)[-1]
    if name is None:
        text = "Must specify userName when calling with non-User credentials"
        raise AwsError("ValidationError", text)
    return str(name)


def _find_key(call: Call, tx: Transaction) -> Row:
    user, key = find(tx, USER, caller_name(call)), call.params["AccessKeyId"]
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
