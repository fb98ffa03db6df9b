"""Messages of SQS queues: send, receive with long polling, delete, visibility, dead letters.
What is FIFO queues' alone is in `fifo`.

A message is a row; receiving moves its `visible_ms` into the future and gives it a new receipt.
Only the newest receipt of a message deletes it.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

import base64
import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.messaging.sqs import bodies, digests, fairness, fifo, queues
from cloudlet.messaging.sqs.queues import Queue
from cloudlet.store.database import Row, Transaction, View

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RECEIPT = re.compile(r"((\d+)\.[0-9a-f]{16})[0-9a-f]{16}")  # the message's part, the receive's
_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[\w.-]{1,256}(?<!\.)")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_BATCH_MAX_BYTES = 1_048_576
_IN_FLIGHT_MAX = 120_000
_VISIBILITY_MAX_MS = 43_200_000
Entry = dict[str, Any]


def send_message(call: Call, tx: Transaction) -> Output:
    return _send(call, tx, queues.of_call(call, tx), call.params)


def send_message_batch(call: Call, tx: Transaction) -> Output:
    queue = queues.of_call(call, tx)
    entries = _entries(call)
    size = sum(_size(entry) for entry in entries)
    if size > _BATCH_MAX_BYTES:
        raise AwsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {_BATCH_MAX_BYTES} bytes. You have sent {size}"
            " bytes.",
        )
    for (
        entry
    ) in entries:  # messaging-005: what FIFO queues need, the whole batch stands or falls by
        fifo.check_ids(queue, entry, "InvalidParameterValue")
    return _batch(entries, lambda entry: _send(call, tx, queue, entry))


def delete_message(call: Call, tx: Transaction) -> None:
    _delete(call, tx, queues.of_call(call, tx), call.params["ReceiptHandle"])


def delete_message_batch(call: Call, tx: Transaction) -> Output:
    queue = queues.of_call(call, tx)
    return _batch(_entries(call), lambda entry: _delete(call, tx, queue, entry["ReceiptHandle"]))


def change_message_visibility(call: Call, tx: Transaction) -> None:
    _change(call, tx, queues.of_call(call, tx), call.params)


def change_message_visibility_batch(call: Call, tx: Transaction) -> Output:
    queue = queues.of_call(call, tx)
    return _batch(_entries(call), lambda entry: _change(call, tx, queue, entry))


async def receive_message(call: Call) -> Output:
    """Up to ten messages; waits for the first as long as the caller or the queue says."""
    database = call.cloud.database
    queue = queues.of_call(call, database.view())
    wait_s = call.params.get("WaitTimeSeconds")
    if wait_s is None:
        wait_s = queue.number("ReceiveMessageWaitTimeSeconds")
    if not 0 <= wait_s <= 20:
        raise _invalid(
            f"Value {wait_s} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and"
            " <= 20, if provided."
        )
    for name, limits in (("MaxNumberOfMessages", (1, 10)), ("VisibilityTimeout", (0, 43_200))):
        if call.params.get(name) is not None:
            _check_range(name, call.params[name], limits)
    deadline_ms = call.now_ms + wait_s * 1000
    is_attempt = bool(call.params.get("ReceiveRequestAttemptId"))  # maybe not the first
    while True:
        arrivals = call.state.arrivals(queue.name) if call.state is not None else None
        next_ms = _next_visible(database.view(), queue.name, call.now_ms)
        if is_attempt or (next_ms is not None and next_ms <= call.now_ms):
            is_attempt = False
            found = await database.write(lambda tx: _take(call, tx, queue.name))
            if found:
                return {"Messages": found}
            if found is not None:
                continue  # what was due was dead or too old, or another's already
            next_ms = None  # too many are in flight
        if arrivals is None or call.now_ms >= deadline_ms:
            return {}
        until_ms = deadline_ms if next_ms is None else min(deadline_ms, next_ms)
        await arrivals.wait_s(max(0.0, (until_ms - call.now_ms) / 1000))


def insert(tx: Transaction, queue: Queue, entry: Entry, now_ms: int, message_id: str) -> int:
    """Puts a message into a queue; `entry` has the members of SendMessage, already checked, its
    body sealed. Returns the row's id."""
    delay_s = entry.get("DelaySeconds")
    if delay_s is None or queue.is_fifo:  # there, 0 says nothing
        delay_s = queue.number("DelaySeconds")
    system = {
        name: value["StringValue"]
        for name, value in (entry.get("MessageSystemAttributes") or {}).items()
    }
    group, visible_ms = entry.get("MessageGroupId"), now_ms + delay_s * 1000
    if queue.is_fifo and group:
        visible_ms = fifo.visible_ms(tx, queue, group, visible_ms)
    cursor = tx.run(
        "INSERT INTO queue_messages (queue, message_id, body, attributes, system, sent_ms,"
        " visible_ms, group_id, tenant) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            queue.name,
            message_id,
            entry["MessageBody"],
            _stored(entry.get("MessageAttributes") or {}),
            orjson.dumps(system | (entry.get("_system") or {})).decode(),
            now_ms,
            visible_ms,
            group if queue.is_fifo else None,
            None if queue.is_fifo else group,
        ),
    )
    tx.touch(f"queue:{queue.name}")
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def sweep(tx: Transaction, now_ms: int) -> None:
    """Deletes messages that outlived their queue's retention."""
    for row in tx.all("SELECT name FROM queues"):
        queue = queues.find(tx, row["name"])
        if queue is not None:
            _drop_old(tx, queue, now_ms)


def _send(call: Call, tx: Transaction, queue: Queue, entry: Entry) -> Output:
    _check_message(queue, entry)
    sender = call.caller.user_id or call.caller.account
    told = {"SenderId": sender, **fifo.attributes(queue, entry)}
    system = entry.get("MessageSystemAttributes") or {}
    if "x-amzn-trace-id" in call.request.headers and "AWSTraceHeader" not in system:
        told["AWSTraceHeader"] = call.request.headers["x-amzn-trace-id"]
    output = fifo.earlier(tx, queue, told, call.now_ms) if queue.is_fifo else None
    if output is None:
        output = {"MessageId": call.config.new_id()}
        body = bodies.sealed(call.cloud.blobs.master, queue, entry["MessageBody"], call.now_ms)
        kept = {**entry, "MessageBody": body, "_system": told}
        row_id = insert(tx, queue, kept, call.now_ms, output["MessageId"])
        if queue.is_fifo:
            output["SequenceNumber"] = fifo.sequence_number(row_id)
            fifo.remember(tx, queue, told, output, call.now_ms)
    output["MD5OfMessageBody"] = digests.of_body(entry["MessageBody"])
    attributes_digest = digests.of_attributes(entry.get("MessageAttributes") or {})
    if attributes_digest:
        output["MD5OfMessageAttributes"] = attributes_digest
    if system:
        output["MD5OfMessageSystemAttributes"] = digests.of_attributes(system)
    return output


def _check_message(queue: Queue, entry: Entry) -> None:
    body = entry["MessageBody"]
    if not body:
        raise _invalid("The request must contain the parameter MessageBody.", "MissingParameter")
    if _FORBIDDEN.search(body):
        raise _invalid(
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to "
            "#xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
            "InvalidMessageContents",
        )
    largest = queue.number("MaximumMessageSize")
    if _size(entry) > largest:
        raise _invalid(
            f"One or more parameters are invalid. Reason: Message must be shorter than {largest} "
            "bytes."
        )
    _check_range("DelaySeconds", entry.get("DelaySeconds") or 0, (0, 900))
    fifo.check(queue, entry)
    attributes = entry.get("MessageAttributes") or {}
    if len(attributes) > 10:
        raise _invalid("Number of message attributes exceeds the allowed maximum (10).")
    for name, attribute in attributes.items():
        _check_attribute(name, attribute)


def _check_attribute(name: str, attribute: dict[str, Any]) -> None:
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise _invalid(f"Message (user) attribute name '{name}' is invalid.")
    kind = attribute["DataType"].split(".")[0]
    if kind not in ("String", "Number", "Binary") or len(attribute["DataType"]) > 256:
        raise _invalid(
            f"The type of message (user) attribute '{name}' is invalid. You must use only the"
            " following supported type prefixes: Binary, Number, String."
        )
    value = attribute.get("BinaryValue" if kind == "Binary" else "StringValue")
    if not value:
        raise _invalid(
            f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        )
    if kind == "String" and _FORBIDDEN.search(value):
        raise _invalid(f"Message (user) attribute '{name}' contains invalid characters.")
    if kind == "Number" and not _NUMBER.fullmatch(value):
        raise _invalid(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def _size(entry: Entry) -> int:
    size = len(entry["MessageBody"].encode())
    for name, attribute in (entry.get("MessageAttributes") or {}).items():
        value = attribute.get("BinaryValue") or (attribute.get("StringValue") or "").encode()
        size += len(name.encode()) + len(attribute["DataType"].encode()) + len(value)
    return size


def _stored(attributes: dict[str, Any]) -> str:
    stored = {}
    for name, attribute in attributes.items():
        kept = {k: v for k, v in attribute.items() if v is not None}
        if isinstance(kept.get("BinaryValue"), bytes):
            kept["BinaryValue"] = base64.b64encode(kept["BinaryValue"]).decode()
        stored[name] = kept
    return orjson.dumps(stored).decode()


def _next_visible(view: View, queue: str, now_ms: int) -> int | None:
    """When to look again. A blocked group's time is that of the message it waits for."""
    value: int | None = view.value(
        "SELECT visible_ms FROM queue_messages WHERE queue = :queue"
        f" AND (visible_ms > :now OR NOT {fifo.BLOCKED}) ORDER BY visible_ms LIMIT 1",
        {"queue": queue, "now": now_ms},
    )
    return value


def _take(call: Call, tx: Transaction, name: str) -> list[Output] | None:
    """None where nothing may be taken for now."""
    queue = queues.find(tx, name)
    if queue is None:
        raise queues.missing()
    now_ms = call.now_ms
    _drop_old(tx, queue, now_ms)
    _bury(call, tx, queue)
    visibility_s = call.params.get("VisibilityTimeout")
    if visibility_s is None:
        visibility_s = queue.number("VisibilityTimeout")
    visible_ms = now_ms + visibility_s * 1000
    attempt = call.params.get("ReceiveRequestAttemptId") if queue.is_fifo else None
    if attempt and (again := _taken_before(call, tx, name, attempt, visible_ms)):
        return again
    most = min(call.params.get("MaxNumberOfMessages") or 1, _room(call, tx, queue))
    if not most:
        return None
    take = fifo.visible if queue.is_fifo else fairness.visible
    rows = take(tx, name, now_ms, most)
    messages = []
    for row in rows:
        known = row["receipt"] or f"{row['id']}.{call.config.new_secret(16)}"
        receipt = known[:-16] + call.config.new_secret(8)
        tx.run(
            "UPDATE queue_messages SET receives = receives + 1, visible_ms = ?, receipt = ?,"
            " attempt = ?, taken_ms = ?, received_ms = coalesce(received_ms, ?) WHERE id = ?",
            (visible_ms, receipt, attempt, now_ms, now_ms, row["id"]),
        )
        messages.append(_message(call, row, receipt, row["receives"] + 1))
    return messages


def _room(call: Call, view: View, queue: Queue) -> int:
    """How many more may be in flight; counted only where there are so many messages at all."""
    span = view.value(
        "SELECT (SELECT max(id) FROM queue_messages WHERE queue = ?1)"
        " - (SELECT min(id) FROM queue_messages WHERE queue = ?1)",
        (queue.name,),
    )
    if (span or 0) < _IN_FLIGHT_MAX:
        return _IN_FLIGHT_MAX
    taken: int = view.value(
        "SELECT count(*) FROM queue_messages WHERE queue = ? AND visible_ms > ? AND receives > 0",
        (queue.name, call.now_ms),
    )
    if taken >= _IN_FLIGHT_MAX and not queue.is_fifo and not call.params.get("WaitTimeSeconds"):
        raise AwsError("OverLimit", f"Too many messages in flight: {taken}.", 403)
    return max(0, _IN_FLIGHT_MAX - taken)


def _taken_before(
    call: Call, tx: Transaction, queue: str, attempt: str, visible_ms: int
) -> list[Output]:
    """The same attempt to receive gets the same messages for as long as they are out."""
    key = (queue, attempt, call.now_ms)
    where = "queue = ? AND attempt = ? AND visible_ms > ?"
    rows = tx.all(f"SELECT * FROM queue_messages WHERE {where} ORDER BY id", key)
    tx.run(f"UPDATE queue_messages SET visible_ms = ? WHERE {where}", (visible_ms, *key))
    return [_message(call, row, row["receipt"], row["receives"]) for row in rows]


def _message(call: Call, row: Row, receipt: str, receives: int) -> Output:
    body = bodies.opened(call.cloud.blobs.master, row["body"])
    message: Output = {
        "MessageId": row["message_id"],
        "ReceiptHandle": base64.b64encode(receipt.encode()).decode(),
        "MD5OfBody": digests.of_body(body),
        "Body": body,
    }
    system = {
        "SentTimestamp": str(row["sent_ms"]),
        "ApproximateReceiveCount": str(receives),
        "ApproximateFirstReceiveTimestamp": str(row["received_ms"] or call.now_ms),
        **orjson.loads(row["system"]),
    }
    if row["group_id"] is not None:
        system["SequenceNumber"] = fifo.sequence_number(row["id"])
    asked = call.params.get("MessageSystemAttributeNames") or call.params.get("AttributeNames")
    wanted = set(asked or ())
    shown = {name: value for name, value in system.items() if name in wanted or "All" in wanted}
    if shown:
        message["Attributes"] = shown
    patterns = call.params.get("MessageAttributeNames") or []
    attributes = {
        name: _restored(value)
        for name, value in orjson.loads(row["attributes"]).items()
        if any(_names(pattern, name) for pattern in patterns)
    }
    if attributes:
        message["MessageAttributes"] = attributes
        message["MD5OfMessageAttributes"] = digests.of_attributes(attributes)
    return message


def _names(pattern: str, name: str) -> bool:
    if pattern in ("All", "*", ".*"):
        return True
    return name.startswith(pattern[:-2]) if pattern.endswith(".*") else name == pattern


def _restored(attribute: dict[str, Any]) -> dict[str, Any]:
    if "BinaryValue" in attribute:
        return {**attribute, "BinaryValue": base64.b64decode(attribute["BinaryValue"])}
    return attribute


def _drop_old(tx: Transaction, queue: Queue, now_ms: int) -> None:
    oldest_ms = now_ms - queue.number("MessageRetentionPeriod") * 1000
    # by the index of times: few messages are so old, many may be in the queue
    tx.run("DELETE FROM queue_messages WHERE +queue = ? AND sent_ms < ?", (queue.name, oldest_ms))


def _bury(call: Call, tx: Transaction, queue: Queue) -> None:
    """Moves messages that were received too often to the dead-letter queue."""
    if queue.redrive is None:
        return
    arn, most = queue.redrive
    grave = queues.find(tx, arn.rsplit(":", 1)[-1])
    if grave is None:
        return
    rows = tx.all(
        "SELECT id, system FROM queue_messages WHERE queue = ? AND +visible_ms <= ?"
        " AND receives > 0 AND receives >= ?",
        (queue.name, call.now_ms, most),
    )
    source = call.config.arn("sqs", queue.name)
    for row in rows:
        system = {"DeadLetterQueueSourceArn": source, **orjson.loads(row["system"])}
        tx.run(
            "UPDATE queue_messages SET queue = ?, visible_ms = ?, receipt = NULL, taken_ms = NULL,"
            " system = ? WHERE id = ?",
            (grave.name, call.now_ms, orjson.dumps(system).decode(), row["id"]),
        )
    if rows:
        tx.touch(f"queue:{grave.name}")


def _receipt(handle: str) -> tuple[int, str, str]:
    """The row, what all receipts of the message begin with, the receipt."""
    try:
        receipt = base64.b64decode(handle, validate=True).decode()
    except ValueError:
        receipt = ""
    match = _RECEIPT.fullmatch(receipt)
    if match is None:
        raise AwsError(
            "ReceiptHandleIsInvalid",
            f'The input receipt handle "{handle}" is not a valid receipt handle.',
        )
    return int(match[2]), match[1], receipt


def _delete(call: Call, tx: Transaction, queue: Queue, handle: str) -> None:
    row_id, _, receipt = _receipt(handle)
    # messaging-003: a FIFO queue's message that is visible again is no longer whoever had it
    if queue.is_fifo and tx.value(
        "SELECT 1 FROM queue_messages WHERE id = ? AND queue = ? AND visible_ms <= ?",
        (row_id, queue.name, call.now_ms),
    ):
        raise _invalid(
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has"
            " expired."
        )
    tx.run(
        "DELETE FROM queue_messages WHERE id = ? AND queue = ? AND receipt = ?",
        (row_id, queue.name, receipt),
    )
    if queue.is_fifo:  # its group goes on
        tx.touch(f"queue:{queue.name}")


def _change(call: Call, tx: Transaction, queue: Queue, entry: Entry) -> None:
    row_id, known, receipt = _receipt(entry["ReceiptHandle"])
    timeout_s = entry.get("VisibilityTimeout") or 0
    _check_range("VisibilityTimeout", timeout_s, (0, 43_200))
    until_ms = call.now_ms + timeout_s * 1000
    row = tx.one(
        "SELECT taken_ms, visible_ms, receipt FROM queue_messages WHERE id = ? AND queue = ?",
        (row_id, queue.name),
    )
    # messaging-006: elsewhere than in FIFO queues any receipt of a message will do, at any time
    given, least_ms = (receipt, call.now_ms + 1) if queue.is_fifo else (known, 0)
    if not row or not (row["receipt"] or "").startswith(given) or row["visible_ms"] < least_ms:
        raise _invalid(
            f"Value {entry['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: "
            "Message does not exist or is not available for visibility timeout change."
        )
    if until_ms > row["taken_ms"] + _VISIBILITY_MAX_MS:
        raise _invalid(
            f"Value {timeout_s} for parameter VisibilityTimeout is invalid. Reason: Total"
            " VisibilityTimeout for the message is beyond the limit [43200 seconds]."
        )
    tx.run("UPDATE queue_messages SET visible_ms = ? WHERE id = ?", (until_ms, row_id))
    tx.touch(f"queue:{queue.name}")


def _entries(call: Call) -> list[Entry]:
    entries: list[Entry] = call.params.get("Entries") or []
    if not entries:
        raise AwsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > 10:
        raise AwsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are 10. You have sent {len(entries)}.",
        )
    seen: set[str] = set()
    for entry in entries:
        if not _ENTRY_ID.fullmatch(entry["Id"]):
            raise AwsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and "
                "underscores. It can be at most 80 letters long.",
            )
        if entry["Id"] in seen:
            raise AwsError("BatchEntryIdsNotDistinct", f"Id {entry['Id']} repeated.")
        seen.add(entry["Id"])
    return entries


def _batch(entries: list[Entry], run: Any) -> Output:
    """Each entry stands alone: one that is refused does not stop the others."""
    successful, failed = [], []
    for entry in entries:
        try:
            successful.append({"Id": entry["Id"], **(run(entry) or {})})
        except AwsError as error:
            failed.append(
                {
                    "Id": entry["Id"],
                    "SenderFault": error.status < 500,
                    "Code": error.code,
                    "Message": error.message,
                }
            )
    return {"Successful": successful or None, "Failed": failed or None}


def _check_range(name: str, value: int, limits: tuple[int, int]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise _invalid(
            f"Value {value} for parameter {name} is invalid. Reason: Must be between {low} and "
            f"{high}, if provided."
        )


def _invalid(message: str, code: str = "InvalidParameterValue") -> AwsError:
    return AwsError(code, message)
