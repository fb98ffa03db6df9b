"""analytics: what happened to files becomes counters, exactly once, and moves the live charts and
the counts that a share's page shows.

The stream of Files delivers at least once. The id of each event and the counters it changes are
written in one transaction; an id that is there already has been counted.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.html
"""

import random
import time
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from lambdashare_core import broadcast, counters, tables
from lambdashare_core.moments import now_ms
from lambdashare_core.tables import Item, attributes_of
from lambdashare_core.web import log

SEEN_S = 3 * 86400  # a stream keeps its records for one
MINUTES_S = 3 * 86400
MAX_TOGETHER = 40  # events in one transaction of at most 100 writes
ATTEMPTS = 8
USES = ("downloads", "verifications")


@dataclass(frozen=True, slots=True)
class Event:
    """One stream record that counts."""

    id: str
    sequence: str
    at_ms: int
    counts: Counter[str]
    file: Item

    @property
    def row(self) -> tuple[str, str]:
        shard = zlib.crc32(self.id.encode()) % counters.SHARDS
        return f"minute#{shard}", counters.moment_of(self.at_ms, "minute")


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Stops at the first event that cannot be counted: the stream brings it and the rest again."""
    events = [found for record in event["Records"] if (found := event_of(record))]
    counted: list[Event] = []
    for start in range(0, len(events), MAX_TOGETHER):
        some = events[start : start + MAX_TOGETHER]
        done, failed = count(some)
        counted += done
        if failed:
            push(counted)
            return {"batchItemFailures": [{"itemIdentifier": failed.sequence}]}
    push(counted)
    return {"batchItemFailures": []}


def event_of(record: dict[str, Any]) -> Event | None:
    change = record["dynamodb"]
    if "NewImage" not in change:
        return None
    new, old = tables.item_of(change["NewImage"]), tables.item_of(change.get("OldImage", {}))
    if not new["item"].startswith("file#"):
        return None
    counts = counts_of(old, new)
    if not counts:
        return None
    at_ms = round(float(change.get("ApproximateCreationDateTime", now_ms() / 1000)) * 1000)
    return Event(record["eventID"], change["SequenceNumber"], at_ms, counts, new)


def counts_of(old: Item, new: Item) -> Counter[str]:
    """What the change of one file adds to the counters."""
    counts: Counter[str] = Counter()
    if "stored_at" in new and "stored_at" not in old:
        counts["uploads"] += 1
        counts["bytes"] += new["size"] or 0
        counts[counters.type_counter(new["type"])] += 1
    if "digests" in new and "digests" not in old:
        counts["hashes"] += 1
        counts[counters.latency_counter(new["latency_ms"])] += 1
    for name in USES:
        counts[name] += new.get(name, 0) - old.get(name, 0)
    counts["quarantined"] += new["phase"] == "quarantined" != old.get("phase")
    return +counts


def count(events: list[Event]) -> tuple[list[Event], Event | None]:
    """Together if none was counted before, else one by one: (counted now, first failure)."""
    try:
        if _write(events):
            return events, None
        return [event for event in events if _write([event])], None
    except ClientError:
        log.exception("could not count")
        return [], events[0]


def _write(events: list[Event]) -> bool:
    """False if one of them has been counted."""
    for attempt in range(ATTEMPTS):
        try:
            tables.client("dynamodb").transact_write_items(TransactItems=_writes(events))
            return True
        except ClientError as error:
            if tables.failed_condition(error):
                return False
            if not tables.contended(error) or attempt == ATTEMPTS - 1:
                raise
        time.sleep(random.uniform(0.01, 0.05) * 2**attempt)
    return False


def _writes(events: list[Event]) -> list[dict[str, Any]]:
    totals: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for event in events:
        totals[event.row].update(event.counts)
    return [_seen(event) for event in events] + [
        _addition(metric, moment, counts) for (metric, moment), counts in totals.items()
    ]


def _seen(event: Event) -> dict[str, Any]:
    row = {"metric": f"event#{event.id}", "moment": "seen", "ttl": now_ms() // 1000 + SEEN_S}
    return {
        "Put": {
            "TableName": counters.table(),
            "Item": attributes_of(row),
            "ConditionExpression": "attribute_not_exists(metric)",
        }
    }


def _addition(metric: str, moment: str, counts: Counter[str]) -> dict[str, Any]:
    added = ", ".join(f"#{name} :{name}" for name in (*counts, "revision"))
    request = tables.updating(
        counters.table(),
        {"metric": metric, "moment": moment},
        f"ADD {added} SET #ttl = :ttl",
        "",
        {**counts, "revision": 1, "ttl": now_ms() // 1000 + MINUTES_S},
    )
    return {"Update": request}


def push(events: list[Event]) -> None:
    """To those who watch: increments, by minute; of each file its latest counts."""
    minutes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        minutes[counters.moment_of(event.at_ms, "minute")].update(event.counts)
    if not minutes:
        return
    buckets = [
        {"at": counters.start_of(moment), **counters.view(counts)}
        for moment, counts in sorted(minutes.items())
    ]
    broadcast.publish("stats", {"type": "stats", "buckets": buckets})
    used = [event.file for event in events if event.counts.keys() & set(USES)]
    for (share, n), file in {(file["share"], file["n"]): file for file in used}.items():
        now = {name: file.get(name, 0) for name in USES}
        broadcast.publish(f"share:{share}", {"type": "counts", "n": n, **now})
