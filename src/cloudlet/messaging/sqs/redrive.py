"""SQS redrive: tasks that move dead letters back to where they came from, or elsewhere.

A moved message is new: its id, its times and its place in the order. A step of a task is one
transaction, so a crash neither loses nor doubles a message, and the task goes on afterwards. What
comes back to the dead-letter queue meanwhile is left there.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
"""

import base64

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.messaging.sqs import bodies, fifo, messages, queues
from cloudlet.store.database import Row, Transaction, View
from cloudlet.store.sealing import Master

TOPIC = "message-moves"
_STEP = 500
_SHOWN = {
    "state": "Status",
    "source": "SourceArn",
    "destination": "DestinationArn",
    "rate": "MaxNumberOfMessagesPerSecond",
    "moved": "ApproximateNumberOfMessagesMoved",
    "total": "ApproximateNumberOfMessagesToMove",
    "failure": "FailureReason",
    "started_ms": "StartedTimestamp",
}


def start_message_move_task(call: Call, tx: Transaction) -> Output:
    source, destination = call.params["SourceArn"], call.params.get("DestinationArn")
    _check_queue(tx, "SourceArn", source)
    if destination:
        _check_queue(tx, "DestinationArn", destination)
    name = _name(source)
    if not queues.sources_of(call.config, tx, name):
        raise _refused("Source queue must be configured as a Dead Letter Queue.")
    if tx.value("SELECT 1 FROM message_moves WHERE source = ? AND state = 'RUNNING'", (source,)):
        raise _refused(
            "There is already a task running. Only one active task is allowed for a source queue"
            " arn at a given time."
        )
    rate = call.params.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= rate <= 500:
        raise _refused("MaxNumberOfMessagesPerSecond must be between 1 and 500.")
    found = tx.one(
        "SELECT count(*) AS total, max(id) AS last_id FROM queue_messages WHERE queue = ?", (name,)
    )
    assert found is not None
    task = {"taskId": call.config.new_id(), "sourceArn": source}
    handle = base64.b64encode(orjson.dumps(task)).decode()
    tx.run(
        "INSERT INTO message_moves (handle, source, destination, rate, total, last_id, started_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (handle, source, destination, rate, found["total"], found["last_id"] or 0, call.now_ms),
    )
    tx.touch(TOPIC)
    return {"TaskHandle": handle}


def cancel_message_move_task(call: Call, tx: Transaction) -> Output:
    handle = call.params["TaskHandle"]
    try:
        source = str(orjson.loads(base64.b64decode(handle))["sourceArn"])
    except (ValueError, LookupError, TypeError):
        raise _refused("Value for parameter TaskHandle is invalid.") from None
    _check_queue(tx, "SourceArn", source)
    row = tx.one("SELECT * FROM message_moves WHERE handle = ?", (handle,))
    if row is None:
        raise AwsError("ResourceNotFoundException", "Task does not exist.", 404)
    if row["state"] != "RUNNING":
        raise AwsError("UnsupportedOperation", "Only active tasks can be cancelled.")
    _end(tx, row, "CANCELLED")
    return {"ApproximateNumberOfMessagesMoved": row["moved"]}


def list_message_move_tasks(call: Call, view: View) -> Output:
    """The newest first."""
    source = call.params["SourceArn"]
    _check_queue(view, "SourceArn", source)
    rows = view.all(
        "SELECT * FROM message_moves WHERE source = ? ORDER BY started_ms DESC, rowid DESC LIMIT ?",
        (source, min(10, call.params.get("MaxResults") or 1)),
    )
    return {"Results": [_shown(row) for row in rows]}


def _shown(row: Row) -> Output:
    output = {name: row[column] for column, name in _SHOWN.items() if row[column] is not None}
    return output | ({"TaskHandle": row["handle"]} if row["state"] == "RUNNING" else {})


def step(tx: Transaction, config: Config, master: Master) -> int | None:
    """Moves some messages of each task; returns seconds until the next step, None without tasks."""
    rows = tx.all("SELECT * FROM message_moves WHERE state = 'RUNNING'")
    for row in rows:
        _advance(tx, config, row, master)
    if not rows:
        return None
    return int(any(row["rate"] for row in rows))


def _advance(tx: Transaction, config: Config, task: Row, master: Master) -> None:
    found = tx.all(
        "SELECT * FROM queue_messages WHERE queue = :queue AND +visible_ms <= :now"
        f" AND id <= :last AND NOT {fifo.BLOCKED} ORDER BY id LIMIT :n",
        {
            "queue": _name(task["source"]),
            "now": config.now_ms(),
            "last": task["last_id"],
            "n": task["rate"] or _STEP,
        },
    )
    for message in found:
        system = orjson.loads(message["system"])
        origin = system.pop("DeadLetterQueueSourceArn", None)
        target = queues.find(tx, _name(task["destination"] or origin or ""))
        if target is None:
            is_lost = not (task["destination"] or origin)
            _end(tx, task, "FAILED", "CouldNotDetermineMessageSource" if is_lost else
                 "AWS.SimpleQueueService.NonExistentQueue")  # fmt: skip
            return
        body = bodies.opened(master, message["body"])
        entry = {
            "MessageBody": bodies.sealed(master, target, body, config.now_ms()),
            "MessageAttributes": orjson.loads(message["attributes"]),
            "MessageGroupId": message["group_id"] or message["tenant"],
            "_system": system,
        }
        tx.run("DELETE FROM queue_messages WHERE id = ?", (message["id"],))
        messages.insert(tx, target, entry, config.now_ms(), config.new_id())
        tx.run("UPDATE message_moves SET moved = moved + 1 WHERE handle = ?", (task["handle"],))
    if not found:
        _end(tx, task, "COMPLETED")


def _end(tx: Transaction, task: Row, state: str, failure: str | None = None) -> None:
    tx.run(
        "UPDATE message_moves SET state = ?, failure = ? WHERE handle = ?",
        (state, failure, task["handle"]),
    )


def _check_queue(view: View, member: str, arn: str) -> None:
    if queues.find(view, _name(arn)) is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"The resource that you specified for the {member} parameter doesn't exist.",
            404,
        )


def _name(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]


def _refused(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)
