"""The record of what a stack has made: read and written by the deployment, step by step.

A resource has one `ready` row. A row is `creating` from before the first API call until the
resource is complete, and `doomed` when it is only waiting to be deleted (replaced, removed from
the template, or left from a failed creation). So a crash at any moment leaves rows that tell the
next deployment what exists.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cloudlet.call import Cloud
from cloudlet.store.database import Row, Transaction, View

CREATING, READY, DOOMED = "creating", "ready", "doomed"


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


def digest(properties: dict[str, Any]) -> str:
    """Equal exactly for equal properties."""
    text = json.dumps(properties, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find(view: View, name: str) -> Stack | None:
    row = view.one("SELECT name, id FROM template_stacks WHERE name = ?", (name,))
    return None if row is None else Stack(row["name"], row["id"])


def stack_outputs(view: View, stack: str) -> dict[str, str]:
    """The outputs of the stack's last successful deployment."""
    text = view.value("SELECT outputs FROM template_stacks WHERE name = ?", (stack,))
    return dict(json.loads(text)) if text else {}


def records(view: View, stack: str) -> list[Record]:
    rows = view.all("SELECT * FROM template_resources WHERE stack = ? ORDER BY id", (stack,))
    return [Record.of(row) for row in rows]


async def open_stack(cloud: Cloud, name: str, template: str) -> Stack:
    """The stack of that name, made if there is none."""
    new_id = cloud.config.arn("cloudformation", f"stack/{name}/{cloud.config.new_id()}")

    def change(tx: Transaction) -> Stack:
        found = find(tx, name)
        if found is not None:
            return found
        tx.run(
            "INSERT INTO template_stacks (name, id, template, status, updated_ms)"
            " VALUES (?, ?, ?, 'REVIEW_IN_PROGRESS', ?)",
            (name, new_id, template, cloud.config.now_ms()),
        )
        return Stack(name, new_id)

    found = find(cloud.database.view(), name)
    return found if found is not None else await cloud.database.write(change)


async def settle(
    cloud: Cloud, stack: Stack, status: str, outputs: dict[str, str] | None = None
) -> None:
    """Writes how a deployment ended; a failed one keeps the outputs of the last good one."""

    def change(tx: Transaction) -> None:
        tx.run(
            "UPDATE template_stacks SET status = ?, updated_ms = ?,"
            " outputs = coalesce(?, outputs) WHERE name = ?",
            (
                status,
                cloud.config.now_ms(),
                None if outputs is None else json.dumps(outputs),
                stack.name,
            ),
        )

    await cloud.database.write(change)


async def remove_stack(cloud: Cloud, stack: Stack) -> None:
    await cloud.database.write(
        lambda tx: tx.run("DELETE FROM template_stacks WHERE name = ?", (stack.name,))
    )


async def save(cloud: Cloud, stack: Stack, *changed: Record) -> None:
    """Writes rows (a new one gets its id), all in one transaction."""

    def change(tx: Transaction) -> list[int]:
        return [_write(tx, stack, record) for record in changed]

    for record, row_id in zip(changed, await cloud.database.write(change), strict=True):
        record.id = row_id


async def forget(cloud: Cloud, record: Record) -> None:
    await cloud.database.write(
        lambda tx: tx.run("DELETE FROM template_resources WHERE id = ?", (record.id,))
    )


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
