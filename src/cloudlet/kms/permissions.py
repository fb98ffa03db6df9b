"""What calls need, and on which keys; key policies, without which IAM's count for nothing.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cloudlet.call import Call, Requirement
from cloudlet.kms import ciphers, documents, lookup
from cloudlet.kms.lookup import Key
from cloudlet.store.database import View

_ON_EVERYTHING = ("CreateKey", "ListKeys", "ListAliases", "GenerateRandom")
_ON_ALIAS = ("CreateAlias", "UpdateAlias", "DeleteAlias")
_WITH_ALIASES = ("DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")


def requirements(call: Call) -> list[Requirement]:
    view, action = call.cloud.database.view(), f"kms:{call.operation}"
    if call.operation in _ON_EVERYTHING:
        tags = {
            f"aws:RequestTag/{each['TagKey']}": each["TagValue"]
            for each in call.params.get("Tags") or []
        }
        also = [Requirement("kms:TagResource", "*", tags)] if tags else []
        return [Requirement(action, "*", tags), *also]
    on_alias = []
    if call.operation in _ON_ALIAS:
        on_alias = [Requirement(action, call.config.arn("kms", call.params["AliasName"]))]
    needed = [
        Requirement(each or action, lookup.arn(call.config, key), _context(call, view, key, each))
        for each, key in _keys(call, view)
    ]
    return [*on_alias, *needed]


def _keys(call: Call, view: View) -> Iterator[tuple[str, Key]]:
    """The keys of a call, with the action where it isn't the operation's name."""
    params, name = call.params, call.operation
    if name in ("Decrypt", "ReEncrypt"):
        sealed = ciphers.parse(params["CiphertextBlob"])
        source = "kms:ReEncryptFrom" if name == "ReEncrypt" else ""
        yield source, lookup.find(call, view, sealed.key_id)
    if name == "ReEncrypt":
        wanted = params["DestinationKeyId"]
        yield "kms:ReEncryptTo", lookup.find(call, view, wanted, aliases=True)
    if name in ("UpdateAlias", "DeleteAlias"):
        key = view.value("SELECT key FROM kms_alias WHERE name = ?", (params["AliasName"],))
        if key is not None:
            yield "", lookup.find(call, view, key)
    if name in ("CreateAlias", "UpdateAlias"):
        yield "", lookup.find(call, view, params["TargetKeyId"])
    elif name not in ("Decrypt", "ReEncrypt", "DeleteAlias"):
        yield "", lookup.find(call, view, params["KeyId"], aliases=name in _WITH_ALIASES)


def _context(call: Call, view: View, key: Key, action: str) -> dict[str, Any]:
    params = call.params
    side = {"kms:ReEncryptFrom": "Source", "kms:ReEncryptTo": "Destination"}.get(action, "")
    context: dict[str, Any] = {
        "kms:CallerAccount": call.caller.account,
        "kms:KeyOrigin": "AWS_KMS",
        "kms:KeySpec": "SYMMETRIC_DEFAULT",
        "kms:KeyUsage": "ENCRYPT_DECRYPT",
        "kms:MultiRegion": False,
    }
    given = params.get(f"{side}EncryptionContext") or {}
    context.update({f"kms:EncryptionContext:{name}": value for name, value in given.items()})
    if given:
        context["kms:EncryptionContextKeys"] = list(given)
    names = view.all("SELECT name FROM kms_alias WHERE key = ?", (key["id"],))
    context["kms:ResourceAliases"] = [row["name"] for row in names]
    asked = str(params.get("KeyId", "")).partition(":alias/")
    if asked[1] or asked[0].startswith("alias/"):
        context["kms:RequestAlias"] = f"alias/{asked[2]}" if asked[1] else asked[0]
    tags: Mapping[str, str] = json.loads(key["tags"])
    context.update({f"aws:ResourceTag/{name}": value for name, value in tags.items()})
    for each in params.get("Tags") or []:
        context[f"aws:RequestTag/{each['TagKey']}"] = each["TagValue"]
    return context


def policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    if call.operation in _ON_EVERYTHING:
        return []
    return [
        documents.of_key(key["policy"], lookup.arn(call.config, key))
        for _, key in _keys(call, view)
    ]
