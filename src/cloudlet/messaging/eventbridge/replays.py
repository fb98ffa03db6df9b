"""EventBridge's replays: archived events once more, to the rules of their bus.

A replay goes through its archive in order of the events' times. A step, some events and the
position behind them, is one transaction: after a crash it goes on where it was, without one too
few or too many. What is kept while it runs is not replayed, and what it replays is not kept.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html
"""

from datetime import datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.messaging.eventbridge import archives, publishing
from cloudlet.messaging.eventbridge.event_connections import listed
from cloudlet.messaging.eventbridge.rules import check_bus, invalid, missing, page
from cloudlet.store import stored
from cloudlet.store.database import Row, Transaction, View

Document = dict[str, Any]
TOPIC = "event-replays"
_STEP = 100
_RUNNING = ("STARTING", "RUNNING")
_LISTED = ("ReplayName", "EventSourceArn", "State", "EventStartTime", "EventEndTime",
           "EventLastReplayedTime", "ReplayStartTime", "ReplayEndTime")  # fmt: skip


def start_replay(call: Call, tx: Transaction) -> Output:
    params, name = call.params, call.params["ReplayName"]
    if tx.value("SELECT 1 FROM event_replays WHERE name = ?", (name,)):
        raise AwsError("ResourceAlreadyExistsException", f"Replay {name} already exists.")
    archive = _archive(call, tx, params["EventSourceArn"])
    destination = params["Destination"]
    if ":event-bus/" not in destination["Arn"]:
        raise _wrong("Destination.Arn", "Must contain an event bus ARN.")
    check_bus(tx, destination["Arn"].rpartition("/")[2])
    start_s, end_s = _seconds(params["EventStartTime"]), _seconds(params["EventEndTime"])
    if start_s >= end_s:
        raise _wrong("EventEndTime", "EventStartTime must be before EventEndTime.")
    if destination["Arn"] != archive["EventSourceArn"]:
        raise _wrong("Destination.Arn", "Cross event bus replay is not permitted.")
    document = {
        "ReplayName": name,
        "ReplayArn": call.config.arn("events", f"replay/{name}"),
        "Description": params.get("Description"),
        "State": "STARTING",
        "EventSourceArn": params["EventSourceArn"],
        "Destination": destination,
        "EventStartTime": start_s,
        "EventEndTime": end_s,
        "ReplayStartTime": call.now_ms / 1000,
    }
    tx.run(
        "INSERT INTO event_replays (name, archive, is_running, time_ms, last_id, document)"
        " VALUES (?, ?, 1, ?, coalesce((SELECT max(id) FROM archived_events), 0), ?)",
        (name, archive["ArchiveName"], int(start_s * 1000), orjson.dumps(document).decode()),
    )
    tx.touch(TOPIC)
    return {each: document[each] for each in ("ReplayArn", "State", "ReplayStartTime")}


def describe_replay(call: Call, view: View) -> Output:
    return _find(view, call.params["ReplayName"])


def list_replays(call: Call, view: View) -> Output:
    source, state = call.params.get("EventSourceArn"), call.params.get("State")
    found = [
        {name: each.get(name) for name in _LISTED}
        for each in listed(call, view, "event_replays")
        if source in (None, each["EventSourceArn"]) and state in (None, each["State"])
    ]
    return page(call, "Replays", found, "ReplayName")


def cancel_replay(call: Call, tx: Transaction) -> Output:
    document = _find(tx, call.params["ReplayName"])
    if document["State"] not in _RUNNING:
        text = f"Replay {document['ReplayName']} is not in a valid state for this operation."
        raise AwsError("IllegalStatusException", text)
    _save(tx, _ended(document, "CANCELLED", call.now_ms))
    return {"ReplayArn": document["ReplayArn"], "State": "CANCELLING"}


def step(tx: Transaction, config: Config) -> int | None:
    """Advances each replay; None when there is none."""
    rows = tx.all("SELECT * FROM event_replays WHERE is_running")
    for row in rows:
        _advance(tx, config, row)
    return 0 if rows else None


def _advance(tx: Transaction, config: Config, row: Row) -> None:
    document = orjson.loads(row["document"])
    end_ms = int(document["EventEndTime"] * 1000)
    if not tx.value("SELECT 1 FROM event_archives WHERE name = ?", (row["archive"],)):
        reason = {"StateReason": f"Archive {row['archive']} was deleted."}
        _save(tx, _ended(document, "FAILED", config.now_ms()) | reason)
        return
    found = tx.all(
        "SELECT * FROM archived_events WHERE archive = ? AND (time_ms, id) > (?, ?)"
        " AND time_ms <= ? AND id <= ? ORDER BY time_ms, id LIMIT ?",
        (row["archive"], row["time_ms"], row["event_id"], end_ms, row["last_id"], _STEP),
    )
    bus = document["Destination"]["Arn"].rpartition("/")[2]
    only = frozenset(document["Destination"].get("FilterArns") or ())
    for each in found:
        event = orjson.loads(each["event"]) | {"replay-name": row["name"]}
        publishing.publish(tx, config, bus, event, publishing.Told(only=only))
    if len(found) < _STEP:
        document = _ended(document, "COMPLETED", config.now_ms())
    else:
        document["State"] = "RUNNING"
    if found:
        document["EventLastReplayedTime"] = found[-1]["time_ms"] / 1000
        tx.run(
            "UPDATE event_replays SET time_ms = ?, event_id = ? WHERE name = ?",
            (found[-1]["time_ms"], found[-1]["id"], row["name"]),
        )
    _save(tx, document)


def _ended(document: Document, state: str, now_ms: int) -> Document:
    return {**document, "State": state, "ReplayEndTime": now_ms / 1000}


def _save(tx: Transaction, document: Document) -> None:
    tx.run(
        "UPDATE event_replays SET document = ?, is_running = ? WHERE name = ?",
        (orjson.dumps(document).decode(), document["State"] in _RUNNING, document["ReplayName"]),
    )


def _find(view: View, name: str) -> Document:
    found = stored.find(view, "SELECT document FROM event_replays WHERE name = ?", (name,))
    if found is None:
        raise missing(f"Replay {name} does not exist.")
    return found


def _archive(call: Call, view: View, arn: str) -> Document:
    name = arn.rpartition(":archive/")[2]
    if arn != call.config.arn("events", f"archive/{name}"):
        raise _wrong("EventSourceArn", "Must contain an archive ARN.")
    try:
        return archives.find(view, name)
    except AwsError as error:
        raise _wrong("EventSourceArn", error.message) from None


def _seconds(moment: datetime | float) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else moment


def _wrong(parameter: str, reason: str) -> AwsError:
    return invalid(f"Parameter {parameter} is not valid. Reason: {reason}")
