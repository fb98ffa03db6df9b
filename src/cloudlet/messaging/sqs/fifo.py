"""What FIFO queues have on top of SQS's others: groups in order, and nothing twice.

A message waits while an earlier one of its group is out. What was sent under a deduplication
id is remembered for five minutes, deleted or not: sending it again answers as the first time.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from cloudlet.errors import AwsError
from cloudlet.messaging.sqs.queues import Queue
from cloudlet.store.database import Row, Transaction

Entry = dict[str, Any]
_MEMORY_MS = 300_000
_ID = re.compile(r"[!-~]{1,128}")
_FIRST_NUMBER = 18_849_496_460_467_696_128
_TAKEN = "FROM queue_messages AS out WHERE out.queue = :queue AND out.taken_ms IS NOT NULL"
# true of a message whose group has an earlier one out: queues without groups know none
BLOCKED = (
    f"(group_id IS NOT NULL AND group_id IN (SELECT out.group_id {_TAKEN}"
    " AND out.group_id IS NOT NULL AND out.visible_ms > :now) AND (taken_ms IS NULL OR EXISTS ("
    f"SELECT 1 {_TAKEN} AND out.group_id = queue_messages.group_id AND out.visible_ms > :now"
    " AND out.id < queue_messages.id)))"
)
# the next group that nobody had yet; then those that came back, the longest untouched first
_NEW_GROUP = (
    "SELECT group_id, id FROM queue_messages WHERE queue = :queue AND id > :after"
    " AND +visible_ms <= :now AND group_id NOT IN (SELECT value FROM json_each(:seen))"
    f" AND group_id NOT IN (SELECT out.group_id {_TAKEN} AND out.group_id IS NOT NULL)"
    " ORDER BY id LIMIT 1"
)
_OLD_GROUPS = (
    "SELECT group_id FROM queue_messages WHERE queue = :queue AND group_id IS NOT NULL"
    f" AND taken_ms IS NOT NULL AND visible_ms <= :now AND NOT {BLOCKED}"
    " GROUP BY group_id ORDER BY max(taken_ms), min(id) LIMIT :n"
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
            )
    if queue.is_fifo:
        check_ids(queue, entry)
        if entry.get("DelaySeconds"):
            raise _misplaced("DelaySeconds", entry)
    elif entry.get("MessageDeduplicationId"):
        raise _misplaced("MessageDeduplicationId", entry)


def check_ids(queue: Queue, entry: Entry, code: str = "MissingParameter") -> None:
    if not queue.is_fifo:
        return
    if not entry.get("MessageGroupId"):
        raise AwsError(code, "The request must contain the parameter MessageGroupId.")
    by_content = queue.attributes.get("ContentBasedDeduplication") == "true"
    if not entry.get("MessageDeduplicationId") and not by_content:
        raise AwsError(
            "InvalidParameterValue",
            "The queue should either have ContentBasedDeduplication enabled or"
            " MessageDeduplicationId provided explicitly",
        )


def _misplaced(name: str, entry: Entry) -> AwsError:
    return AwsError(
        "InvalidParameterValue",
        f"Value {entry[name]} for parameter {name} is invalid. Reason: The request include"
        " parameter that is not valid for this queue type.",
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
        (
            *_key(queue, told),
            int(sent["SequenceNumber"]) - _FIRST_NUMBER,
            sent["MessageId"],
            now_ms,
        ),
    )


def _key(queue: Queue, told: dict[str, str]) -> tuple[str, str, str]:
    is_alone = queue.attributes.get("DeduplicationScope") == "messageGroup"
    scope = told["MessageGroupId"] if is_alone else ""
    return queue.name, scope, told["MessageDeduplicationId"]


def visible(tx: Transaction, queue: str, now_ms: int, limit: int) -> list[Row]:
    """What a receive takes: as much of a group as there is, then of the next one."""
    given = {"queue": queue, "now": now_ms, "n": limit}
    rows: list[Row] = []
    for group in _groups(tx, given):
        rows += tx.all(
            "SELECT * FROM queue_messages WHERE queue = :queue AND group_id = :group"
            f" AND +visible_ms <= :now AND NOT {BLOCKED} ORDER BY id LIMIT :n",
            {**given, "group": group, "n": limit - len(rows)},
        )
        if len(rows) == limit:
            break
    return rows


def _groups(tx: Transaction, given: dict[str, Any]) -> Iterator[str]:
    seen: list[str] = []
    after = 0
    while found := tx.one(_NEW_GROUP, {**given, "after": after, "seen": json.dumps(seen)}):
        seen.append(found["group_id"])
        after = found["id"]
        yield found["group_id"]
    yield from (row["group_id"] for row in tx.all(_OLD_GROUPS, given))


def visible_ms(tx: Transaction, queue: Queue, group: str, wanted_ms: int) -> int:
    """When a new message is shown: not before an earlier one, whose delay may have been longer."""
    last = tx.one(
        "SELECT visible_ms, taken_ms FROM queue_messages WHERE queue = ? AND group_id = ?"
        " ORDER BY id DESC LIMIT 1",
        (queue.name, group),
    )
    return wanted_ms if last is None or last["taken_ms"] else max(wanted_ms, last["visible_ms"])


def sequence_number(row_id: int) -> str:
    return str(_FIRST_NUMBER + row_id)
