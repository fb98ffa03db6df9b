"""The record of what a stack has made: read and written by the deployment, step by step.

A resource has one `ready` row. A row is `creating` from before the first API call until the
resource is complete, and `doomed` when it is only waiting to be deleted (replaced, removed from
the template, or left from a failed creation). So a crash at any moment leaves rows that tell the
next deployment what exists. Each change of a row may bring an event, in the same transaction.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cloudlet.call import Cloud
from cloudlet.config import Config
from cloudlet.events import outbox
from cloudlet.store.database import Row, Transaction, View

CREATING, READY, DOOMED = "creating", "ready", "doomed"
TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, slots=True)
class Stack:
    name: str
    id: str


@dataclass(slots=True)
class Record:
    """One row of `template_resources`."""

    logical_id: str
    type: str
    token: str
    id: int = 0
    physical_id: str = ""
    state: str = CREATING
    digest: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    policy: str = ""

    @classmethod
    def of(cls, row: Row) -> "Record":
        return cls(
            row["logical_id"],
            row["type"],
            row["token"],
            row["id"],
            row["physical_id"],
            row["state"],
            row["digest"],
            json.loads(row["properties"]),
            json.loads(row["attributes"]),
            row["policy"],
        )


class Event(NamedTuple):
    """A line of DescribeStackEvents, without what its stack and resource say."""

    status: str
    reason: str = ""


@dataclass(slots=True)
class Details:
    """What the API tells of a stack, and what its next update starts from."""

    created_ms: int
    parent: str = ""
    deleted_ms: int | None = None
    description: str = ""
    body: str = ""  # the template as given
    processed: str = ""  # after its transforms, JSON; "": as given
    parameters: dict[str, str] = field(default_factory=dict)  # as given
    resolved: dict[str, str] = field(default_factory=dict)  # of the parameter store's names
    hidden: list[str] = field(default_factory=list)  # parameters with NoEcho
    capabilities: list[str] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    role: str = ""
    outputs: list[dict[str, str]] = field(default_factory=list)
    change_set: str = ""
    updated_ms: int | None = None
    disable_rollback: bool = False
    is_protected: bool = False
    topics: list[str] = field(default_factory=list)  # that are told of each event


def digest(properties: dict[str, Any]) -> str:
    """Equal exactly for equal properties."""
    text = json.dumps(properties, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find(view: View, name: str) -> Stack | None:
    """The stack of that name or id, unless it is deleted."""
    row = view.one("SELECT name, id FROM template_stacks WHERE name = ? OR id = ?", (name, name))
    return None if row is None else Stack(row["name"], row["id"])


def status(view: View, stack: Stack) -> str:
    """A deleted stack's is DELETE_COMPLETE."""
    found = view.value("SELECT status FROM template_stacks WHERE id = ?", (stack.id,))
    return str(found or "DELETE_COMPLETE")


def stack_outputs(view: View, stack: str) -> dict[str, str]:
    """The outputs of the stack's last successful deployment."""
    text = view.value("SELECT outputs FROM template_stacks WHERE name = ?", (stack,))
    return dict(json.loads(text)) if text else {}


def records(view: View, stack: str) -> list[Record]:
    rows = view.all("SELECT * FROM template_resources WHERE stack = ? ORDER BY id", (stack,))
    return [Record.of(row) for row in rows]


def details(view: View, stack: Stack) -> Details:
    row = view.one("SELECT * FROM template_details WHERE id = ?", (stack.id,))
    if row is None:  # made before there was an API
        updated_ms = view.value("SELECT updated_ms FROM template_stacks WHERE id = ?", (stack.id,))
        return Details(int(updated_ms or 0))
    rest = json.loads(row["document"])
    return Details(row["created_ms"], row["parent"], row["deleted_ms"], **rest)


def put_details(tx: Transaction, stack: Stack, found: Details) -> None:
    rest = asdict(found)
    times = (rest.pop("created_ms"), rest.pop("deleted_ms"))
    tx.run(
        "INSERT OR REPLACE INTO template_details (id, name, parent, created_ms, deleted_ms,"
        " document) VALUES (?, ?, ?, ?, ?, ?)",
        (stack.id, stack.name, rest.pop("parent"), *times, json.dumps(rest)),
    )


def named(config: Config, name: str) -> Stack:
    """A stack yet to be made."""
    return Stack(name, config.arn("cloudformation", f"stack/{name}/{config.new_id()}"))


def insert(tx: Transaction, config: Config, stack: Stack, template: str = "") -> None:
    tx.run(
        "INSERT INTO template_stacks (name, id, template, status, updated_ms)"
        " VALUES (?, ?, ?, 'REVIEW_IN_PROGRESS', ?)",
        (stack.name, stack.id, template, config.now_ms()),
    )


async def open_stack(cloud: Cloud, name: str, template: str) -> Stack:
    """The stack of that name, made if there is none."""
    stack = find(cloud.database.view(), name)
    if stack is None:
        stack = Stack(
            name, cloud.config.arn("cloudformation", f"stack/{name}/{cloud.config.new_id()}")
        )
        made = stack
        await cloud.database.write(lambda tx: insert(tx, cloud.config, made, template))
    return stack


def turn(
    tx: Transaction, config: Config, stack: Stack, event: Event, outputs: dict[str, str] | None
) -> None:
    """Sets the stack's status, with its event; outputs stay unless there are new ones."""
    tx.run(
        "UPDATE template_stacks SET status = ?, updated_ms = ?,"
        " outputs = coalesce(?, outputs) WHERE id = ?",
        (event.status, config.now_ms(), None if outputs is None else json.dumps(outputs), stack.id),
    )
    note(tx, config, stack, Record(stack.name, TYPE, "", physical_id=stack.id), event)


async def settle(
    cloud: Cloud, stack: Stack, event: Event, also: Callable[[Transaction], None] | None = None
) -> None:
    """With what else is to be seen from then on."""

    def change(tx: Transaction) -> None:
        turn(tx, cloud.config, stack, event, None)
        if also is not None:
            also(tx)

    await cloud.database.write(change)


def drop(tx: Transaction, config: Config, stack: Stack) -> None:
    """The stack is gone but for what it was."""
    turn(tx, config, stack, Event("DELETE_COMPLETE"), None)
    found = details(tx, stack)
    found.deleted_ms = config.now_ms()
    put_details(tx, stack, found)
    for table in ("change_sets", "exports", "imports", "operations"):
        tx.run(f"DELETE FROM template_{table} WHERE stack_id = ?", (stack.id,))
    tx.run("DELETE FROM template_stacks WHERE id = ?", (stack.id,))


async def remove_stack(cloud: Cloud, stack: Stack) -> None:
    await cloud.database.write(lambda tx: drop(tx, cloud.config, stack))


def note(tx: Transaction, config: Config, stack: Stack, record: Record, event: Event) -> None:
    """For DescribeStackEvents, the default bus of EventBridge and the stack's topics."""
    _announce(tx, config, stack, record, event)
    number = tx.run(
        "INSERT INTO template_events (stack_id, logical_id, physical_id, type, status, reason,"
        " at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            stack.id,
            record.logical_id,
            record.physical_id,
            record.type,
            event.status,
            event.reason,
            config.now_ms(),
        ),
    ).lastrowid
    told = tx.value("SELECT document ->> 'topics' FROM template_details WHERE id = ?", (stack.id,))
    for topic in json.loads(told or "[]"):
        message = _message(config, stack, record, event) | {"EventId": str(number)}
        text = "".join(f"{name}='{value}'\n" for name, value in message.items()).encode()
        subject = {"subject": "AWS CloudFormation Notification"}
        outbox.put(tx, topic, text, source=stack.id, now_ms=config.now_ms(), attributes=subject)


def _message(config: Config, stack: Stack, record: Record, event: Event) -> dict[str, str]:
    moment = datetime.fromtimestamp(config.now_ms() / 1000, UTC)
    return {
        "StackId": stack.id,
        "Timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "LogicalResourceId": record.logical_id,
        "Namespace": config.account,
        "PhysicalResourceId": record.physical_id,
        "ResourceProperties": "null",  # they may hold what nobody should read
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason or "",
        "ResourceType": record.type,
        "StackName": stack.name,
        "ClientRequestToken": "null",
    }


def _announce(tx: Transaction, config: Config, stack: Stack, record: Record, event: Event) -> None:
    detail: dict[str, Any] = {
        "stack-id": stack.id,
        "status-details": {"status": event.status, "status-reason": event.reason or ""},
        "client-request-token": "",
    }
    is_stack = record.physical_id == stack.id
    if not is_stack:
        detail["logical-resource-id"] = record.logical_id
        detail["physical-resource-id"] = record.physical_id
        detail["resource-type"] = record.type
    entry = {
        "Source": "aws.cloudformation",
        "DetailType": f"CloudFormation {'Stack' if is_stack else 'Resource'} Status Change",
        "Resources": [stack.id],
        "Detail": detail,
    }
    bus, payload = config.arn("events", "event-bus/default"), json.dumps(entry).encode()
    outbox.put(tx, bus, payload, source=stack.id, now_ms=config.now_ms())


async def save(cloud: Cloud, stack: Stack, *changed: Record, event: Event | None = None) -> None:
    """Writes rows (a new one gets its id) and the first one's event, all in one transaction."""

    def change(tx: Transaction) -> list[int]:
        if event is not None:
            note(tx, cloud.config, stack, changed[0], event)
        return [_write(tx, stack, record) for record in changed]

    for record, row_id in zip(changed, await cloud.database.write(change), strict=True):
        record.id = row_id


async def tell(cloud: Cloud, stack: Stack, record: Record, event: Event) -> None:
    """An event alone."""
    await cloud.database.write(lambda tx: note(tx, cloud.config, stack, record, event))


async def forget(cloud: Cloud, stack: Stack, record: Record, event: Event) -> None:
    def change(tx: Transaction) -> None:
        tx.run("DELETE FROM template_resources WHERE id = ?", (record.id,))
        note(tx, cloud.config, stack, record, event)

    await cloud.database.write(change)


def _write(tx: Transaction, stack: Stack, record: Record) -> int:
    cursor = tx.run(
        "INSERT OR REPLACE INTO template_resources (id, stack, logical_id, type, token,"
        " physical_id, state, digest, properties, attributes, policy)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.id or None,
            stack.name,
            record.logical_id,
            record.type,
            record.token,
            record.physical_id,
            record.state,
            record.digest,
            json.dumps(record.properties, default=str),
            json.dumps(record.attributes, default=str),
            record.policy,
        ),
    )
    return cursor.lastrowid or record.id
