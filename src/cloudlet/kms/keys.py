"""Keys: making, describing and listing them, switching them off and on, deleting them later.

https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from cloudlet.call import Call, Output, Requirement
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.kms import documents, lookup, tagging
from cloudlet.kms.lookup import Key
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate
from cloudlet.store.database import Transaction, View

_DAY_MS = 86_400_000
_ONLY = {  # what is there of the kinds of keys
    "KeyUsage": "ENCRYPT_DECRYPT",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
    "Origin": "AWS_KMS",
    "MultiRegion": False,
    "CustomKeyStoreId": None,
    "XksKeyId": None,
}


def create_key(call: Call, tx: Transaction) -> Output:
    params = call.params
    for name, there_is in _ONLY.items():
        if params.get(name, there_is) != there_is:
            raise NotImplementedByCloudlet(f"KMS: {name} {params[name]}")
    given = params.get("Policy")
    policy = documents.checked(given) if given else documents.default(call.config)
    key: dict[str, Any] = {
        "id": str(UUID(call.config.new_id())),
        "created_ms": call.now_ms,
        "description": params.get("Description") or "",
        "policy": given or json.dumps(policy),
        "tags": json.dumps(tagging.merged({}, params.get("Tags") or [])),
    }
    _check_lockout(call, policy, key)
    lookup.put(call, tx, key)
    return {"KeyMetadata": _described(call, tx, lookup.find(call, tx, key["id"]))}


def _check_lockout(call: Call, policy: Mapping[str, Any], key: Key) -> None:
    """Who sets a policy must be able to change it."""
    if call.params.get("BypassPolicyLockoutSafetyCheck"):
        return
    arn = lookup.arn(call.config, key)
    wanted = Requirement("kms:PutKeyPolicy", arn)
    context = Context(call.config, call.caller, call.request, wanted)
    own = documents.of_key(json.dumps(policy), arn)
    if not evaluate(call.caller, wanted, context, [own]).is_allowed:
        raise AwsError(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        )


async def describe_key(call: Call) -> Output:
    key = await lookup.for_use(call, call.params["KeyId"])
    return {"KeyMetadata": _described(call, call.cloud.database.view(), key)}


def _described(call: Call, view: View, key: Key) -> dict[str, Any]:
    sql = "SELECT id FROM kms_material WHERE key = ? ORDER BY number DESC"
    described = {
        "AWSAccountId": call.config.account,
        "Arn": lookup.arn(call.config, key),
        "CreationDate": key["created_ms"] / 1000,
        "CurrentKeyMaterialId": view.value(sql, (key["id"],)),
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "Description": key["description"],
        "Enabled": key["state"] == "Enabled",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "KeyId": key["id"],
        "KeyManager": key["manager"],
        "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyState": key["state"],
        "KeyUsage": "ENCRYPT_DECRYPT",
        "MultiRegion": False,
        "Origin": "AWS_KMS",
    }
    if key["deletion_ms"]:
        described["DeletionDate"] = key["deletion_ms"] / 1000
    return described


def list_keys(call: Call, view: View) -> Output:
    sql = "SELECT id FROM kms_key WHERE deletion_ms IS NULL OR deletion_ms > ? ORDER BY id"
    rows = view.all(sql, (call.now_ms,))
    keys = [{"KeyId": row["id"], "KeyArn": lookup.arn(call.config, dict(row))} for row in rows]
    return lookup.page(call, "Keys", keys, 100)


def own_key(call: Call, view: View) -> Key:
    """The key of the call, if it is the customer's to change."""
    key = lookup.find(call, view, call.params["KeyId"])
    if key["manager"] == "AWS":
        arn = lookup.arn(call.config, key)
        text = f"User: {call.caller.arn} is not authorized to perform: kms:{call.operation}"
        raise AwsError("AccessDeniedException", f"{text} on resource: {arn}", 400)
    return key


def enable_key(call: Call, tx: Transaction) -> None:
    _switch(call, tx, "Enabled")


def disable_key(call: Call, tx: Transaction) -> None:
    _switch(call, tx, "Disabled")


def _switch(call: Call, tx: Transaction, state: str) -> None:
    key = own_key(call, tx)
    lookup.check_kept(call.config, key)
    _set(tx, key, state=state)


def _set(tx: Transaction, key: Key, **columns: Any) -> None:
    assignments = ", ".join(f"{name} = ?" for name in columns)
    tx.run(f"UPDATE kms_key SET {assignments} WHERE id = ?", (*columns.values(), key["id"]))


def schedule_key_deletion(call: Call, tx: Transaction) -> Output:
    """After 7 to 30 days nobody can decrypt with it any more."""
    key, days = own_key(call, tx), call.params.get("PendingWindowInDays", 30)
    if not 7 <= days <= 30:
        raise lookup.invalid("PendingWindowInDays must be between 7 and 30.")
    lookup.check_kept(call.config, key)
    due_ms = call.now_ms + days * _DAY_MS
    _set(tx, key, state="PendingDeletion", deletion_ms=due_ms)
    return {
        "KeyId": lookup.arn(call.config, key),
        "DeletionDate": due_ms / 1000,
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    }


def cancel_key_deletion(call: Call, tx: Transaction) -> Output:
    key = own_key(call, tx)
    arn = lookup.arn(call.config, key)
    if key["state"] != "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{arn} is not pending deletion.")
    _set(tx, key, state="Disabled", deletion_ms=None)
    return {"KeyId": arn}


def update_key_description(call: Call, tx: Transaction) -> None:
    key = own_key(call, tx)
    lookup.check_kept(call.config, key)
    _set(tx, key, description=call.params["Description"])


def get_key_policy(call: Call, view: View) -> Output:
    key, name = lookup.find(call, view, call.params["KeyId"]), _policy_name(call)
    return {"Policy": key["policy"], "PolicyName": name}


def _policy_name(call: Call) -> str:
    name: str = call.params.get("PolicyName") or "default"
    if name != "default":
        raise lookup.not_found("No such policy exists")
    return name


def put_key_policy(call: Call, tx: Transaction) -> None:
    key, text = own_key(call, tx), call.params["Policy"]
    _policy_name(call)
    _check_lockout(call, documents.checked(text), key)
    _set(tx, key, policy=text)


def list_key_policies(call: Call, view: View) -> Output:
    lookup.find(call, view, call.params["KeyId"])
    return lookup.page(call, "PolicyNames", ["default"], 100)
