"""Tags of keys.

https://docs.aws.amazon.com/kms/latest/developerguide/tagging-keys.html
"""

import json
from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kms import lookup
from cloudlet.kms.lookup import Key
from cloudlet.store.database import Transaction, View

_TAGS_MAX = 50


def merged(before: Mapping[str, str], given: list[dict[str, str]]) -> dict[str, str]:
    tags = {each["TagKey"]: each["TagValue"] for each in given}
    if len(tags) < len(given):
        raise AwsError("TagException", "Duplicate tag keys")
    if any(name.lower().startswith("aws:") for name in tags):
        raise AwsError("TagException", "Tags beginning with aws: are reserved")
    after = {**before, **tags}
    if len(after) > _TAGS_MAX:
        raise AwsError("TagException", "Too many tags")
    return after


def _set(call: Call, tx: Transaction, key: Key, tags: Mapping[str, str]) -> None:
    lookup.check_kept(call.config, key)
    tx.run("UPDATE kms_key SET tags = ? WHERE id = ?", (json.dumps(tags), key["id"]))


def tag_resource(call: Call, tx: Transaction) -> None:
    key = lookup.find(call, tx, call.params["KeyId"])
    _set(call, tx, key, merged(json.loads(key["tags"]), call.params["Tags"]))


def untag_resource(call: Call, tx: Transaction) -> None:
    key, gone = lookup.find(call, tx, call.params["KeyId"]), set(call.params["TagKeys"])
    tags: dict[str, Any] = json.loads(key["tags"])
    _set(call, tx, key, {name: value for name, value in tags.items() if name not in gone})


def list_resource_tags(call: Call, view: View) -> Output:
    tags = json.loads(lookup.find(call, view, call.params["KeyId"])["tags"])
    listed = [{"TagKey": name, "TagValue": value} for name, value in tags.items()]
    return lookup.page(call, "Tags", listed, 50)
