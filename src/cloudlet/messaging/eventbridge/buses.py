"""EventBridge's event buses, and their policies: who else may put events and make rules on them.

Archives of a bus, its own keys and logs are absent.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus.html
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.messaging.eventbridge.rules import (
    bus_name,
    check_bus,
    check_quota,
    invalid,
    missing,
    page,
    tags_text,
)
from cloudlet.policy import evaluation
from cloudlet.store.database import Row, Transaction, View

_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,256}")
_ABSENT = ("EventSourceName", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig")
_POLICY_BYTES_MAX = 10_240
_BUSES_MAX = 100
Document = dict[str, Any]


def create_event_bus(call: Call, tx: Transaction) -> Output:
    name = call.params["Name"]
    _refuse_absent(call)
    if not _NAME.fullmatch(name):
        raise invalid("Parameter Name is not valid.")
    if name == "default" or tx.value("SELECT 1 FROM event_buses WHERE name = ?", (name,)):
        raise AwsError("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
    check_quota(tx.value("SELECT count(*) FROM event_buses WHERE name <> 'default'"), _BUSES_MAX)
    description = call.params.get("Description") or ""
    tags = tags_text(call.params.get("Tags") or [])
    tx.run(
        "INSERT INTO event_buses (name, created_ms, description, tags) VALUES (?, ?, ?, ?)",
        (name, call.now_ms, description, tags),
    )
    return {"EventBusArn": _arn(call, name), "Description": call.params.get("Description")}


def update_event_bus(call: Call, tx: Transaction) -> Output:
    name = _named(call)
    check_bus(tx, name)
    _refuse_absent(call)
    description = call.params.get("Description") or ""
    _change(call, tx, name, "description", description)
    return {"Arn": _arn(call, name), "Name": name, "Description": description or None}


def describe_event_bus(call: Call, view: View) -> Output:
    name = _named(call)
    check_bus(view, name)
    return _described(call, name, _row(view, name))


def list_event_buses(call: Call, view: View) -> Output:
    prefix = call.params.get("NamePrefix") or ""
    rows = {row["name"]: row for row in view.all("SELECT * FROM event_buses")}
    names = [name for name in sorted({"default", *rows}) if name.startswith(prefix)]
    return page(call, "EventBuses", [_described(call, name, rows.get(name)) for name in names])


def delete_event_bus(call: Call, tx: Transaction) -> None:
    name = _named(call)
    if name == "default":
        raise invalid("Cannot delete event bus default.")
    tx.run("DELETE FROM event_rules WHERE bus = ?", (name,))
    tx.run("DELETE FROM event_buses WHERE name = ?", (name,))


def put_permission(call: Call, tx: Transaction) -> None:
    """Replaces the whole policy, or one statement of it."""
    params, name = call.params, bus_name(call)
    check_bus(tx, name)
    if params.get("Policy"):
        try:
            document = orjson.loads(params["Policy"])
            statements = document["Statement"]
        except (ValueError, KeyError, TypeError):
            raise invalid("Parameter Policy is not valid.") from None
        document["Statement"] = statements if isinstance(statements, list) else [statements]
        try:  # one that cannot be read would keep everybody from the bus
            evaluation.statements(document)
        except (AttributeError, TypeError, ValueError):
            raise invalid("Parameter Policy is not valid.") from None
    else:
        document = _without(policy(tx, name), params.get("StatementId"))
        document["Statement"].append(_statement(call, name))
    _save_policy(call, tx, name, document)


def remove_permission(call: Call, tx: Transaction) -> None:
    name = bus_name(call)
    check_bus(tx, name)
    if call.params.get("RemoveAllPermissions"):
        return _change(call, tx, name, "policy", None)
    document = policy(tx, name)
    left = _without(document, call.params.get("StatementId"))
    if left == document:
        raise missing("Statement with the provided id does not exist.")
    _save_policy(call, tx, name, left)


def policy(view: View, name: str) -> Document:
    row = _row(view, name)
    text = row["policy"] if row is not None else None
    return orjson.loads(text) if text else {"Version": "2012-10-17", "Statement": []}


def _statement(call: Call, name: str) -> Document:
    params = call.params
    if "_Statement" in params:  # a template's
        return {**params["_Statement"], "Sid": params["StatementId"]}
    needed = ("Action", "Principal", "StatementId")
    if lacking := [member for member in needed if not params.get(member)]:
        raise invalid(f"Parameter(s) {', '.join(lacking)} must be specified.")
    principal, condition = params["Principal"], params.get("Condition")
    statement: Document = {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": params["Action"],
        "Resource": _arn(call, name),
    }
    if condition:
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return statement


def _without(document: Document, sid: str | None) -> Document:
    kept = [each for each in document["Statement"] if each.get("Sid") != sid]
    return {**document, "Statement": kept}


def _save_policy(call: Call, tx: Transaction, name: str, document: Document) -> None:
    text = orjson.dumps(document).decode() if document["Statement"] else None
    if text and len(text) > _POLICY_BYTES_MAX:
        raise AwsError(
            "PolicyLengthExceededException",
            f"Policy length exceeds the limit of {_POLICY_BYTES_MAX} bytes.",
        )
    _change(call, tx, name, "policy", text)


def _change(call: Call, tx: Transaction, name: str, column: str, value: str | None) -> None:
    """The default bus has a row as soon as there is something to say of it."""
    tx.run(
        f"INSERT INTO event_buses (name, created_ms, modified_ms, {column}) VALUES (?, ?, ?, ?)"
        f" ON CONFLICT (name) DO UPDATE SET {column} = excluded.{column},"
        " modified_ms = excluded.modified_ms",
        (name, 0, call.now_ms, value),
    )


def _described(call: Call, name: str, row: Row | None) -> Output:
    output: Output = {"Name": name, "Arn": _arn(call, name)}
    if row is not None:
        output["Description"] = row["description"] or None
        output["Policy"] = row["policy"]
        output["CreationTime"] = row["created_ms"] / 1000 or None
        output["LastModifiedTime"] = (row["modified_ms"] or row["created_ms"]) / 1000
    return output


def _row(view: View, name: str) -> Row | None:
    return view.one("SELECT * FROM event_buses WHERE name = ?", (name,))


def _arn(call: Call, name: str) -> str:
    return call.config.arn("events", f"event-bus/{name}")


def _named(call: Call) -> str:
    return str(call.params.get("Name") or "default").rsplit("/", 1)[-1]


def _refuse_absent(call: Call) -> None:
    for member in _ABSENT:
        if call.params.get(member):
            raise NotImplementedByCloudlet(f"An event bus with {member}")
