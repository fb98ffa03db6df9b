"""Rotation: new material for a key every so often; and keys whose deletion is due.

https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
"""

from cloudlet.call import Call, Cloud, Output
from cloudlet.kms import lookup
from cloudlet.kms.keys import own_key
from cloudlet.store.database import Transaction, View

_DAY_MS = 86_400_000
_YEAR_DAYS = 365


def enable_key_rotation(call: Call, tx: Transaction) -> None:
    key, days = own_key(call, tx), call.params.get("RotationPeriodInDays") or _YEAR_DAYS
    lookup.check_usable(call.config, key)
    due_ms = max(key["created_ms"] + days * _DAY_MS, call.now_ms)
    sql = "UPDATE kms_key SET rotation_days = ?, rotation_ms = ? WHERE id = ?"
    tx.run(sql, (days, due_ms, key["id"]))


def disable_key_rotation(call: Call, tx: Transaction) -> None:
    key = own_key(call, tx)
    lookup.check_usable(call.config, key)
    sql = "UPDATE kms_key SET rotation_days = 0, rotation_ms = NULL WHERE id = ?"
    tx.run(sql, (key["id"],))


def get_key_rotation_status(call: Call, view: View) -> Output:
    key = lookup.find(call, view, call.params["KeyId"])
    output: Output = {"KeyId": lookup.arn(call.config, key)}
    is_rotated = bool(key["rotation_days"]) and key["state"] != "PendingDeletion"
    output["KeyRotationEnabled"] = is_rotated
    if is_rotated:
        output["RotationPeriodInDays"] = key["rotation_days"]
        output["NextRotationDate"] = key["rotation_ms"] / 1000
    return output


async def sweep(cloud: Cloud) -> None:
    """Deletes keys that are due, for good, and rotates those that are. A disabled key waits."""
    now_ms = cloud.config.now_ms()

    def change(tx: Transaction) -> None:
        tx.run("DELETE FROM kms_key WHERE deletion_ms <= ?", (now_ms,))
        sql = "SELECT * FROM kms_key WHERE rotation_ms <= ? AND state = 'Enabled'"
        for key in map(dict, tx.all(sql, (now_ms,))):
            wrapped = cloud.blobs.master.derived("kms").new_key().wrapped
            lookup.add_material(cloud.config, wrapped, tx, key)
            due_ms = now_ms + key["rotation_days"] * _DAY_MS
            tx.run("UPDATE kms_key SET rotation_ms = ? WHERE id = ?", (due_ms, key["id"]))

    sql = "SELECT 1 FROM kms_key WHERE deletion_ms <= ? OR rotation_ms <= ?"
    if cloud.database.view().value(sql, (now_ms, now_ms)):
        await cloud.database.write(change)
