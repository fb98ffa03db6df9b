"""SQS's own metrics: what calls did, and each minute what queues hold.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
"""

from typing import Any

from cloudlet.call import Call, Cloud, Output
from cloudlet.errors import AwsError

_NAMESPACE = "AWS/SQS"
_GAUGES = {
    "visible": "ApproximateNumberOfMessagesVisible",
    "taken": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


def observe(call: Call, outcome: Output | AwsError, duration_ms: float) -> None:
    if isinstance(outcome, AwsError):
        return
    params, operation = call.params, call.operation
    if operation in ("SendMessage", "SendMessageBatch"):
        entries = params.get("Entries", [params])
        gone = {entry["Id"] for entry in outcome.get("Failed") or []}
        sent = [entry for entry in entries if entry.get("Id") not in gone]
        _add(call, "NumberOfMessagesSent", len(sent))
        for entry in sent:
            size = float(len(entry["MessageBody"].encode()))
            call.cloud.meter.add(_NAMESPACE, "SentMessageSize", _queue(call), size, "Bytes")
    elif operation == "ReceiveMessage":
        count = len(outcome.get("Messages") or [])
        _add(call, "NumberOfMessagesReceived" if count else "NumberOfEmptyReceives", count or 1)
    elif operation == "DeleteMessage":
        _add(call, "NumberOfMessagesDeleted", 1)
    elif operation == "DeleteMessageBatch":
        _add(call, "NumberOfMessagesDeleted", len(outcome.get("Successful") or []))


def _add(call: Call, name: str, count: int) -> None:
    if count:
        call.cloud.meter.add(_NAMESPACE, name, _queue(call), float(count))


def _queue(call: Call) -> tuple[tuple[str, str], ...]:
    return (("QueueName", str(call.params["QueueUrl"]).rsplit("/", 1)[-1]),)


async def measure(cloud: Cloud) -> None:
    now_ms = cloud.config.now_ms()
    rows = cloud.database.view().all(
        "SELECT name, coalesce(sum(visible_ms <= ?1), 0) AS visible,"
        " coalesce(sum(visible_ms > ?1 AND receives > 0), 0) AS taken,"
        " coalesce(sum(visible_ms > ?1 AND receives = 0), 0) AS delayed, min(sent_ms) AS oldest"
        " FROM queues LEFT JOIN queue_messages ON queue = name GROUP BY name",
        (now_ms,),
    )
    for row in rows:
        dimensions: Any = (("QueueName", row["name"]),)
        for column, name in _GAUGES.items():
            cloud.meter.add(_NAMESPACE, name, dimensions, float(row[column]))
        if row["oldest"] is not None:
            age_s = max(0.0, (now_ms - row["oldest"]) / 1000)
            name = "ApproximateAgeOfOldestMessage"
            cloud.meter.add(_NAMESPACE, name, dimensions, age_s, "Seconds")
