"""Aliases: names that can be moved from key to key.

https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html
"""

import re
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.kms import lookup
from cloudlet.store.database import Row, Transaction, View

_NAME = re.compile(r"alias/[a-zA-Z0-9/_-]+")


def create_alias(call: Call, tx: Transaction) -> None:
    name = call.params["AliasName"]
    _check(name)
    key = lookup.find(call, tx, call.params["TargetKeyId"])
    lookup.check_kept(call.config, key)
    if tx.value("SELECT 1 FROM kms_alias WHERE name = ?", (name,)):
        arn = call.config.arn("kms", name)
        raise AwsError("AlreadyExistsException", f"An alias with the name {arn} already exists")
    lookup.put_alias(call, tx, name, key["id"])


def _check(name: str) -> None:
    if not name.startswith("alias/"):
        raise lookup.invalid(
            'Alias must start with the prefix "alias/". Please see '
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
        )
    if not _NAME.fullmatch(name):
        raise AwsError(
            "InvalidAliasNameException", f"{name} contains invalid characters for an alias"
        )
    if name.startswith(lookup.OWN):
        raise AwsError("NotAuthorizedException", "")


def update_alias(call: Call, tx: Transaction) -> None:
    name = call.params["AliasName"]
    _check(name)
    key = lookup.find(call, tx, call.params["TargetKeyId"])
    lookup.check_kept(call.config, key)
    _known(call, tx, name)
    lookup.put_alias(call, tx, name, key["id"])


def _known(call: Call, view: View, name: str) -> Row:
    row = view.one("SELECT * FROM kms_alias WHERE name = ?", (name,))
    if row is None:
        raise lookup.not_found(f"Alias {call.config.arn('kms', name)} is not found.")
    return row


def delete_alias(call: Call, tx: Transaction) -> None:
    name = call.params["AliasName"]
    _check(name)
    _known(call, tx, name)
    tx.run("DELETE FROM kms_alias WHERE name = ?", (name,))


def list_aliases(call: Call, view: View) -> Output:
    sql, wanted = "SELECT * FROM kms_alias ORDER BY name", call.params.get("KeyId")
    rows = view.all(sql)
    if wanted:
        key = lookup.find(call, view, wanted)
        rows = [row for row in rows if row["key"] == key["id"]]
    return lookup.page(call, "Aliases", [_listed(call, row) for row in rows], 50)


def _listed(call: Call, row: Row) -> dict[str, Any]:
    return {
        "AliasName": row["name"],
        "AliasArn": call.config.arn("kms", row["name"]),
        "TargetKeyId": row["key"],
        "CreationDate": row["created_ms"] / 1000,
        "LastUpdatedDate": row["updated_ms"] / 1000,
    }
