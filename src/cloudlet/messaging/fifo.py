"""What FIFO queues have on top of SQS's others: groups in order, and nothing twice.

A message group stands still while one of its messages is out. What was sent under a deduplication
id is remembered for five minutes, deleted or not: sending it again answers as the first time.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
"""

import hashlib
import re
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.messaging.queues import Queue
from cloudlet.store.database import Row, Transaction

Entry = dict[str, Any]
_MEMORY_MS = 300_000
_ID = re.compile(r"[!-~]{1,128}")
# true of a message whose group waits for one that is out: queues without groups know none
BLOCKED = (
    "(group_id IS NOT NULL AND group_id IN (SELECT group_id FROM queue_messages WHERE"
    " queue = :queue AND group_id IS NOT NULL AND visible_ms > :now AND receives > 0))"
)


def check(queue: Queue, entry: Entry) -> None:
    """Groups are for all queues (elsewhere they only make for fairness), the rest is FIFO's."""
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        value = entry.get(name)
        if value is not None and not _ID.fullmatch(value):
            raise AwsError(
                "InvalidParameterValue",
                f"Value {value} for parameter {name} is invalid. Reason: {name} can only include"
                " alphanumeric and punctuation characters. 1 to 128 in length.",
                400,
            )
    if queue.is_fifo:
        _check_own(queue, entry)
    elif entry.get("MessageDeduplicationId"):
        raise _misplaced("MessageDeduplicationId", entry)


def _check_own(queue: Queue, entry: Entry) -> None:
    if not entry.get("MessageGroupId"):
        message = "The request must contain the parameter MessageGroupId."
        raise AwsError("MissingParameter", message, 400)
    if entry.get("DelaySeconds"):
        raise _misplaced("DelaySeconds", entry)
    by_content = queue.attributes.get("ContentBasedDeduplication") == "true"
    if not entry.get("MessageDeduplicationId") and not by_content:
        raise AwsError(
            "InvalidParameterValue",
            "The queue should either have ContentBasedDeduplication enabled or"
            " MessageDeduplicationId provided explicitly",
            400,
        )


def _misplaced(name: str, entry: Entry) -> AwsError:
    return AwsError(
        "InvalidParameterValue",
        f"Value {entry[name]} for parameter {name} is invalid. Reason: The request include"
        " parameter that is not valid for this queue type.",
        400,
    )


def attributes(queue: Queue, entry: Entry) -> dict[str, str]:
    """The system attributes that say where a message belongs."""
    group = entry.get("MessageGroupId")
    found = {"MessageGroupId": group} if group else {}
    if queue.is_fifo:
        digest = hashlib.sha256(entry["MessageBody"].encode()).hexdigest()
        found["MessageDeduplicationId"] = entry.get("MessageDeduplicationId") or digest
    return found


def earlier(tx: Transaction, queue: Queue, told: dict[str, str], now_ms: int) -> Entry | None:
    """What was answered when the same message was sent before."""
    row = tx.one(
        "SELECT * FROM queue_deduplications WHERE queue = ? AND scope = ? AND id = ?"
        " AND sent_ms > ?",
        (*_key(queue, told), now_ms - _MEMORY_MS),
    )
    if row is None:
        return None
    return {"MessageId": row["message_id"], "SequenceNumber": sequence_number(row["message"])}


def remember(tx: Transaction, queue: Queue, told: dict[str, str], sent: Entry, now_ms: int) -> None:
    tx.run("DELETE FROM queue_deduplications WHERE queue = ? AND sent_ms <= ?",
           (queue.name, now_ms - _MEMORY_MS))  # fmt: skip
    tx.run(
        "INSERT INTO queue_deduplications (queue, scope, id, message, message_id, sent_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*_key(queue, told), int(sent["SequenceNumber"]), sent["MessageId"], now_ms),
    )


def _key(queue: Queue, told: dict[str, str]) -> tuple[str, str, str]:
    is_alone = queue.attributes.get("DeduplicationScope") == "messageGroup"
    scope = told["MessageGroupId"] if is_alone else ""
    return queue.name, scope, told["MessageDeduplicationId"]


def visible(tx: Transaction, queue: str, now_ms: int, limit: int) -> list[Row]:
    """What a receive takes: in the order of sending, but for groups that stand still."""
    return tx.all(
        "SELECT * FROM queue_messages WHERE queue = :queue AND +visible_ms <= :now"
        f" AND NOT {BLOCKED} ORDER BY id LIMIT :n",
        {"queue": queue, "now": now_ms, "n": limit},
    )


def visible_ms(tx: Transaction, queue: Queue, group: str, wanted_ms: int) -> int:
    """When a new message is shown: not before an earlier one, whose delay may have been longer."""
    last_ms = tx.value(
        "SELECT max(visible_ms) FROM queue_messages WHERE queue = ? AND group_id = ?"
        " AND receives = 0",
        (queue.name, group),
    )
    return max(wanted_ms, last_ms or 0)


def sequence_number(row_id: int) -> str:
    return f"{row_id:020d}"
