"""Events on their way from a bus to the targets of its rules, as facts in the outbox.

The fact's target is the rule, not the rule's target: `targets` delivers it, with the rule's retry
policy and dead-letter queue, asking for permission as EventBridge.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events import outbox
from cloudlet.events.patterns import compile_pattern
from cloudlet.messaging import inputs, rules
from cloudlet.policy.context import resource_account
from cloudlet.store.database import Transaction, View

_ENTRIES_MAX = 10
_BYTES_MAX = 1_048_576
Document = dict[str, Any]


def put_events(call: Call, tx: Transaction) -> Output:
    entries = call.params["Entries"]
    if call.params.get("EndpointId"):
        raise NotImplementedByCloudlet("PutEvents with EndpointId")
    if len(entries) > _ENTRIES_MAX:
        raise AwsError(
            "ValidationException",
            "1 validation error detected: Value at 'entries' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_ENTRIES_MAX}",
            400,
        )
    if sum(_size(entry) for entry in entries) >= _BYTES_MAX:
        raise AwsError(
            "ValidationException",
            "Total size of the entries in the request is over the limit.",
            400,
        )
    results = [_put(call, tx, entry) for entry in entries]
    failed = sum("ErrorCode" in result for result in results)
    return {"FailedEntryCount": failed, "Entries": results}


def publish(tx: Transaction, config: Config, bus: str, event: Document) -> None:
    """Puts a fact for each target of each rule of the bus that the event matches."""
    for rule in _rules(tx, bus):
        pattern = rule.get("EventPattern")
        if rule["State"] == "ENABLED" and pattern and _compiled(pattern)(event):
            fire(tx, config, rule, event)


def fire(tx: Transaction, config: Config, rule: Document, event: Document) -> None:
    """One event to all targets of a rule."""
    for target in rules.targets_of(tx, rule["EventBusName"], rule["Name"]):
        outbox.put(
            tx,
            rule["Arn"],
            inputs.render(target, event, rule["Arn"]),
            source=rule["Arn"],
            now_ms=config.now_ms(),
            attributes={
                "target": target["Arn"],
                "principal": "events.amazonaws.com",
                "role": target.get("RoleArn"),
                "sqs": target.get("SqsParameters"),
                "dead_letter": (target.get("DeadLetterConfig") or {}).get("Arn"),
                "retry": target.get("RetryPolicy") or {},
            },
        )


def event_of(config: Config, entry: Document) -> Document:
    """The event document of a PutEvents entry; `Detail` is JSON text or already parsed."""
    detail = entry["Detail"]
    moment = entry.get("Time")
    seconds = moment.timestamp() if isinstance(moment, datetime) else config.now_ms() / 1000
    return {
        "version": "0",
        "id": config.new_id(),
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": config.account,
        "time": timestamp(seconds),
        "region": config.region,
        "resources": entry.get("Resources") or [],
        "detail": orjson.loads(detail) if isinstance(detail, str) else detail,
    }


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _put(call: Call, tx: Transaction, entry: Document) -> Document:
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return {
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": f"Parameter {member} is not valid. Reason: {member} is a required "
                "argument.",
            }
    if entry["Source"].startswith("aws."):
        return {
            "ErrorCode": "NotAuthorizedForSourceException",
            "ErrorMessage": "Not authorized for the source.",
        }
    name = str(entry.get("EventBusName") or "default")
    bus = name.rsplit("/", 1)[-1]
    if name.startswith("arn:") and resource_account(name, "") != call.config.account:
        message = "Entries for buses of several accounts in one call are not implemented."
        return {"ErrorCode": "NotImplemented", "ErrorMessage": message}
    try:
        event = event_of(call.config, entry)
    except ValueError:
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    if not isinstance(event["detail"], dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    rules.check_bus(tx, bus)
    event["account"] = call.caller.account or event["account"]  # the sender's, whose bus it may be
    publish(tx, call.config, bus, event)
    return {"EventId": event["id"]}


def _rules(view: View, bus: str) -> list[Document]:
    rows = view.all("SELECT document FROM event_rules WHERE bus = ? ORDER BY name", (bus,))
    return [orjson.loads(row["document"]) for row in rows]


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    return compile_pattern(pattern)


def _size(entry: Document) -> int:
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or []
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") else 0)
