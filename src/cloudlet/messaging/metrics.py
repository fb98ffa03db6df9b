"""SQS's own metrics: what calls did, and each minute what queues hold. And those of rules and
schedules: how their targets took what they were sent.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
"""

from typing import Any

from cloudlet.call import Call, Cloud, Meter, Output
from cloudlet.errors import AwsError
from cloudlet.events.outbox import Fact

_NAMESPACE = "AWS/SQS"
_SCHEDULER = "AWS/Scheduler"
Dimensions = tuple[tuple[str, str], ...]
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


def invoked(meter: Meter, fact: Fact, error: AwsError | None) -> None:
    """One attempt to call a target, of a rule or of a schedule."""
    namespace, dimensions = _place(fact)
    if namespace == _SCHEDULER:
        _count(meter, namespace, dimensions, "InvocationAttemptCount")
        if error is not None:
            kind = "TargetErrorThrottledCount" if error.status == 429 else "TargetErrorCount"
            _count(meter, namespace, dimensions, kind)
        return
    if fact.attempts == 0:
        _count(meter, namespace, dimensions, "Invocations")
        if not fact.attributes.get("is_further"):
            _count(meter, namespace, dimensions, "MatchedEvents", "TriggeredRules")
    else:
        _count(meter, namespace, dimensions, "RetryInvocationAttempts")
    _count(meter, namespace, dimensions, "InvocationAttempts")
    if error is None:
        _count(meter, namespace, dimensions, "SuccessfulInvocationAttempts")


def failed(meter: Meter, fact: Fact) -> None:
    """The last attempt failed, too."""
    namespace, dimensions = _place(fact)
    is_buried = bool(fact.attributes["target"].get("DeadLetterConfig"))
    if namespace == _SCHEDULER:
        name = "InvocationsSentToDeadLetterCount" if is_buried else "InvocationDroppedCount"
        _count(meter, namespace, dimensions, name)
        return
    _count(meter, namespace, dimensions, "FailedInvocations")
    if is_buried:
        _count(meter, namespace, dimensions, "InvocationsSentToDlq")


def _place(fact: Fact) -> tuple[str, Dimensions]:
    parts = fact.source.split(":", 5)[-1].split("/")
    if fact.attributes["principal"] == "scheduler.amazonaws.com":
        return _SCHEDULER, (("ScheduleGroup", parts[1]),)
    bus = (("EventBusName", parts[1]),) if len(parts) == 3 else ()
    return "AWS/Events", (*bus, ("RuleName", parts[-1]))


def _count(meter: Meter, namespace: str, dimensions: Dimensions, *names: str) -> None:
    for name in names:
        meter.add(namespace, name, dimensions)
