"""Events on their way from a bus to the targets of its rules, as facts in the outbox.

The fact's target is the rule, not the rule's target: `targets` delivers it, with the rule's retry
policy and dead-letter queue, asking for permission as EventBridge.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events import outbox
from cloudlet.events.patterns import matcher
from cloudlet.messaging.eventbridge import archives, rules
from cloudlet.policy.context import resource_account
from cloudlet.store.database import Transaction, View

_log = logging.getLogger(__name__)
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
        )
    if sum(_size(entry) for entry in entries) >= _BYTES_MAX:
        raise AwsError(
            "ValidationException", "Total size of the entries in the request is over the limit."
        )
    results = [_put(call, tx, entry) for entry in entries]
    failed = sum("ErrorCode" in result for result in results)
    return {"FailedEntryCount": failed, "Entries": results}


@dataclass(frozen=True, slots=True)
class Told:
    """What goes with an event, and of a replay: for which rules alone it is. `was_sent`: from
    another bus."""

    trace_id: str = ""
    only: frozenset[str] = frozenset()
    was_sent: bool = False


def publish(
    tx: Transaction, config: Config, bus: str, event: Document, told: Told = Told()
) -> None:
    """Puts a fact for each target of each rule of the bus that the event matches."""
    if "replay-name" not in event:
        archives.keep(tx, bus, event, config.now_ms())
    for rule in _rules(tx, bus):
        pattern = rule.get("EventPattern")
        if told.only and rule["Arn"] not in told.only:
            continue
        if rule["State"] != "DISABLED" and pattern and _is_meant(rule, event):
            fire(tx, config, rule, event, told)


def _is_meant(rule: Document, event: Document) -> bool:
    """Nobody can be told that an event is too big for a rule: it would come again for ever."""
    try:
        return matcher(rule["EventPattern"])(event)
    except AwsError as error:
        _log.error("rule %s passes over an event: %s", rule["Arn"], error)
        return False


def fire(
    tx: Transaction, config: Config, rule: Document, event: Document, told: Told = Told()
) -> None:
    """One event to all targets of a rule."""
    payload, now_ms = orjson.dumps(event), config.now_ms()
    attributes: Document = {"principal": "events.amazonaws.com", "received_ms": now_ms}
    if told.trace_id:
        attributes["trace_id"] = told.trace_id
    if told.was_sent:
        attributes["was_sent"] = True
    for target in rules.targets_of(tx, rule["EventBusName"], rule["Name"]):
        attributes["target"] = rules.with_role(rule, target)
        outbox.put(
            tx, rule["Arn"], payload, source=rule["Arn"], now_ms=now_ms, attributes=attributes
        )
        attributes["is_further"] = True  # of an event that was counted with the rule's first target


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
    name = str(entry.get("EventBusName") or "default")
    bus = name.rsplit("/", 1)[-1]
    if "_event" in entry:  # a rule's, of whichever account
        rules.check_bus(tx, bus)
        publish(tx, call.config, bus, entry["_event"], Told(was_sent=True))
        return {"EventId": entry["_event"]["id"]}
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return _refused(
                "InvalidArgument",
                f"Parameter {member} is not valid. Reason: {member} is a required argument.",
            )
    if entry["Source"].startswith("aws."):
        return _refused("NotAuthorizedForSourceException", "Not authorized for the source.")
    if name.startswith("arn:") and resource_account(name, "") != call.config.account:
        message = "Entries for buses of several accounts in one call are not implemented."
        return _refused("NotImplemented", message)
    try:
        event = event_of(call.config, entry)
    except ValueError:
        return _refused("MalformedDetail", "Detail is malformed.")
    if not isinstance(event["detail"], dict):
        return _refused("MalformedDetail", "Detail is malformed.")
    if not rules.has_bus(tx, bus):  # an entry for no bus is taken, as AWS does, and leads nowhere
        return {"EventId": event["id"]}
    event["account"] = call.caller.account or event["account"]  # the sender's, whose bus it may be
    publish(tx, call.config, bus, event, Told(entry.get("TraceHeader") or ""))
    return {"EventId": event["id"]}


def _refused(code: str, message: str) -> Document:
    return {"ErrorCode": code, "ErrorMessage": message}


def _rules(view: View, bus: str) -> list[Document]:
    rows = view.all("SELECT document FROM event_rules WHERE bus = ? ORDER BY name", (bus,))
    return [orjson.loads(row["document"]) for row in rows]


def _size(entry: Document) -> int:
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or []
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") else 0)
