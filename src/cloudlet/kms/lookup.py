"""Keys as calls name them: by id, ARN, alias or alias ARN; and lists of things, page by page.

AWS's own keys (`alias/aws/s3`) are there from their first use on. Their ids follow from account and
service, so that who asks before may be told the same as who asks after.
https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.kms import documents
from cloudlet.store.database import Transaction, View

Key = Mapping[str, Any]  # a row of kms_key
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")
OWN = "alias/aws/"
_PROTECTED = {
    "dynamodb": "DynamoDB data",
    "kinesis": "Kinesis data",
    "lambda": "Lambda functions",
    "s3": "S3 objects",
    "sns": "SNS data",
    "sqs": "SQS messages",
}


def not_found(message: str) -> AwsError:
    return AwsError("NotFoundException", message)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def arn(config: Config, key: Key) -> str:
    return config.arn("kms", f"key/{key['id']}")


def find(call: Call, view: View, given: str, *, aliases: bool = False) -> Key:
    """`aliases`: whether the operation takes those, too. AWS's own keys may not be kept yet."""
    name = _local(call.config, given)
    if name.startswith("alias/") and aliases:
        key_id = view.value("SELECT key FROM kms_alias WHERE name = ?", (name,))
        if key_id is None:
            own = unmade(call, name)
            if own is None:
                raise not_found(f"Alias {call.config.arn('kms', name)} is not found.")
            return own
        name = key_id
    elif not _ID.fullmatch(name):
        raise not_found(f"Invalid keyId '{given}'")
    key = view.one("SELECT * FROM kms_key WHERE id = ?", (name,))
    due_ms = key["deletion_ms"] if key else None
    if key is None or (due_ms is not None and due_ms <= call.now_ms):
        raise not_found(f"Key '{call.config.arn('kms', f'key/{name}')}' does not exist")
    return dict(key)


def _local(config: Config, given: str) -> str:
    """The name inside this account and region."""
    if not given.startswith("arn:"):
        return given
    parts = given.split(":", 5)
    if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith(("key/", "alias/")):
        raise AwsError("InvalidArnException", f"Invalid arn {given}")
    if parts[3] != config.region:
        raise not_found(f"Invalid arn {parts[3]}")
    if parts[4] != config.account:
        noun = "Key" if parts[5].startswith("key/") else "Alias"
        raise not_found(f"{noun} '{given}' does not exist")
    return parts[5].removeprefix("key/")


def unmade(call: Call, alias: str) -> Key | None:
    """One of AWS's own keys as it will be from its first use on."""
    service = alias.removeprefix(OWN)
    if not alias.startswith(OWN) or service not in _PROTECTED:
        return None
    config = call.config
    digits = hashlib.sha256(f"aws/{service} {config.account} {config.region}".encode()).hexdigest()
    parts = (digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32])
    what = _PROTECTED[service]
    return {
        "id": "-".join(parts),
        "created_ms": 0,
        "state": "Enabled",
        "deletion_ms": None,
        "description": f"Default key that protects my {what} when no other key is defined",
        "manager": "AWS",
        "policy": json.dumps(documents.own(config, service)),
        "tags": "{}",
        "rotation_days": 365,
        "rotation_ms": None,
    }


async def for_use(call: Call, given: str) -> Key:
    """By any of its names; one of AWS's own is made where it isn't there yet."""
    key = find(call, call.cloud.database.view(), given, aliases=True)
    if key["created_ms"]:
        return key

    def make(tx: Transaction) -> Key:
        found = find(call, tx, given, aliases=True)
        if found["created_ms"]:
            return found  # somebody else was first
        rotation_ms = call.now_ms + found["rotation_days"] * 86_400_000
        made = {**found, "created_ms": call.now_ms, "rotation_ms": rotation_ms}
        put(call, tx, made)
        put_alias(call, tx, _local(call.config, given), found["id"])
        return made

    return await call.cloud.database.write(make)


def put(call: Call, tx: Transaction, key: Key) -> None:
    """A new key, with its first material."""
    names = ", ".join(key)
    places = ", ".join("?" * len(key))
    tx.run(f"INSERT INTO kms_key ({names}) VALUES ({places})", tuple(key.values()))
    add_material(call.config, call.cloud.blobs.master.derived("kms").new_key().wrapped, tx, key)


def add_material(config: Config, wrapped: str, tx: Transaction, key: Key) -> None:
    tx.run(
        "INSERT INTO kms_material (id, key, created_ms, wrapped) VALUES (?, ?, ?, ?)",
        (config.new_secret(32), key["id"], config.now_ms(), wrapped),
    )


def put_alias(call: Call, tx: Transaction, name: str, key_id: str) -> None:
    tx.run(
        "INSERT INTO kms_alias (name, key, created_ms, updated_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET key = excluded.key, updated_ms = excluded.updated_ms",
        (name, key_id, call.now_ms, call.now_ms),
    )


def check_usable(config: Config, key: Key) -> None:
    if key["state"] == "Disabled":
        raise AwsError("DisabledException", f"{arn(config, key)} is disabled.")
    check_kept(config, key)


def check_kept(config: Config, key: Key) -> None:
    if key["state"] == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{arn(config, key)} is pending deletion.")


def page(call: Call, member: str, items: Sequence[Any], default: int) -> Output:
    """A list operation's answer: what follows the marker, as many as are wanted."""
    try:
        start = int(base64.b64decode(call.params.get("Marker") or "", validate=True) or b"0")
    except (ValueError, binascii.Error) as error:
        raise AwsError("InvalidMarkerException", "The marker is not valid.") from error
    end = start + int(call.params.get("Limit") or default)
    output: Output = {member: list(items[start:end]), "Truncated": end < len(items)}
    if end < len(items):
        output["NextMarker"] = base64.b64encode(str(end).encode()).decode()
    return output
