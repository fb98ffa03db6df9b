"""EventBridge's archives: events of a bus, kept in the transaction that published them.

Own keys are absent. `replays` brings events back.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html
"""

from datetime import datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.events.patterns import matcher
from cloudlet.messaging.eventbridge.event_connections import listed
from cloudlet.messaging.eventbridge.rules import check_bus, check_pattern, missing, page
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

Document = dict[str, Any]
_ANSWERED = ("ArchiveArn", "State", "CreationTime")
_DAY_MS = 86_400_000


def create_archive(call: Call, tx: Transaction) -> Output:
    name, source = call.params["ArchiveName"], call.params["EventSourceArn"]
    if tx.value("SELECT 1 FROM event_archives WHERE name = ?", (name,)):
        raise AwsError("ResourceAlreadyExistsException", f"Archive {name} already exists.")
    bus = source.rpartition("event-bus/")[2]
    if source != call.config.arn("events", f"event-bus/{bus}"):
        raise missing(f"Event bus {bus or source} does not exist.")
    check_bus(tx, bus)
    document = {
        "ArchiveName": name,
        "ArchiveArn": call.config.arn("events", f"archive/{name}"),
        "EventSourceArn": source,
        "State": "ENABLED",
        "CreationTime": call.now_ms / 1000,
        "RetentionDays": 0,
    }
    tx.run("INSERT INTO event_archives (name, bus, document) VALUES (?, ?, '{}')", (name, bus))
    return _save(call, tx, document)


def update_archive(call: Call, tx: Transaction) -> Output:
    return _save(call, tx, find(tx, call.params["ArchiveName"]))


def describe_archive(call: Call, view: View) -> Output:
    return _counted(view, find(view, call.params["ArchiveName"]))


def list_archives(call: Call, view: View) -> Output:
    source, state = call.params.get("EventSourceArn"), call.params.get("State")
    if source:
        check_bus(view, source.rpartition("/")[2])
    found = [
        _counted(view, each)
        for each in listed(call, view, "event_archives")
        if source in (None, each["EventSourceArn"]) and state in (None, each["State"])
    ]
    return page(call, "Archives", found, "ArchiveName")


def delete_archive(call: Call, tx: Transaction) -> None:
    """With its events: they go by the foreign key."""
    find(tx, call.params["ArchiveName"])
    tx.run("DELETE FROM event_archives WHERE name = ?", (call.params["ArchiveName"],))


def find(view: View, name: str) -> Document:
    found = stored.find(view, "SELECT document FROM event_archives WHERE name = ?", (name,))
    if found is None:
        raise missing(f"Archive {name} does not exist.")
    return found


def keep(tx: Transaction, bus: str, event: Document, now_ms: int) -> None:
    """Puts an event into each archive of the bus that wants it."""
    rows = tx.all("SELECT name, document ->> '$.EventPattern' AS pattern FROM event_archives"
                  " WHERE bus = ?", (bus,))  # fmt: skip
    for row in rows:
        if row["pattern"] is None or matcher(row["pattern"])(event):
            tx.run(
                "INSERT INTO archived_events (archive, time_ms, kept_ms, event)"
                " VALUES (?, ?, ?, ?)",
                (row["name"], _time_ms(event), now_ms, orjson.dumps(event)),
            )


def sweep(tx: Transaction, now_ms: int) -> None:
    """Deletes events that outlived their archive's retention; 0 days are for ever."""
    tx.run(
        "DELETE FROM archived_events WHERE id IN (SELECT e.id FROM archived_events AS e"
        " JOIN event_archives AS a ON a.name = e.archive"
        " WHERE a.document ->> '$.RetentionDays' > 0"
        " AND e.kept_ms < ? - ? * (a.document ->> '$.RetentionDays'))",
        (now_ms, _DAY_MS),
    )


def _save(call: Call, tx: Transaction, document: Document) -> Output:
    if call.params.get("KmsKeyIdentifier"):
        raise NotImplementedByCloudlet("An archive with KmsKeyIdentifier")
    for name in ("Description", "EventPattern", "RetentionDays"):
        if call.params.get(name) is not None:
            document[name] = call.params[name]
    if document.get("EventPattern"):
        check_pattern(document["EventPattern"])
    else:
        document.pop("EventPattern", None)
    tx.run(
        "UPDATE event_archives SET document = ? WHERE name = ?",
        (orjson.dumps(document).decode(), document["ArchiveName"]),
    )
    return {name: document[name] for name in _ANSWERED}


def _counted(view: View, document: Document) -> Document:
    counts = view.one(
        "SELECT count(*) AS events, coalesce(sum(length(event)), 0) AS bytes FROM archived_events"
        " WHERE archive = ?",
        (document["ArchiveName"],),
    )
    assert counts is not None
    return document | {"EventCount": counts["events"], "SizeBytes": counts["bytes"]}


def _time_ms(event: Document) -> int:
    return int(datetime.fromisoformat(event["time"]).timestamp() * 1000)
