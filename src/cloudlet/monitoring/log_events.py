"""Log events: put, read one stream both ways, search a group.

Events are ordered by time, those of one time by arrival; a token is a place in that order.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

import heapq
from collections.abc import Iterator

from cloudlet.call import Call, Output
from cloudlet.errors import NotImplementedByCloudlet
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.monitoring.filter_patterns import compile_pattern
from cloudlet.monitoring.ingestion import EVENT_BYTES, Line, event_id
from cloudlet.monitoring.log_groups import require_group
from cloudlet.monitoring.log_streams import require_stream
from cloudlet.store.database import Row, Transaction, View
from cloudlet.wire.service import in_thread

_EVENTS_MAX = 10_000
_ANSWER_BYTES_MAX = 1 << 20
_SCANNED_MAX = 200_000  # events looked at for one page of a search
_BATCH_BYTES_MAX = 1_048_576
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_FUTURE_MS = 2 * _HOUR_MS
_PAST_MS = 14 * _DAY_MS
_EVER_MS = 1 << 62
Place = tuple[int, int]  # time, id


def put_log_events(call: Call, tx: Transaction) -> Output:
    if call.params.get("entity"):
        raise NotImplementedByCloudlet("entity")
    stream, events = require_stream(call, tx), call.params["logEvents"]
    sizes = [len(event["message"].encode()) + EVENT_BYTES for event in events]
    if sum(sizes) > _BATCH_BYTES_MAX:
        message = f"Upload too large: {sum(sizes)} bytes exceeds limit of {_BATCH_BYTES_MAX}"
        raise invalid(message)
    times = [int(event["timestamp"]) for event in events]
    if times != sorted(times):
        raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
    if times[-1] - times[0] > _DAY_MS:
        message = "The batch of log events in a single PutLogEvents request cannot span more than"
        raise invalid(f"{message} 24 hours.")
    days = tx.value("SELECT retention_days FROM log_groups WHERE name = ?", (stream["log_group"],))
    oldest_ms = call.now_ms - _PAST_MS
    expired_ms = max(oldest_ms, call.now_ms - days * _DAY_MS) if days else oldest_ms
    newest_ms = call.now_ms + _FUTURE_MS
    call.state.intake.write(
        tx,
        [
            Line(stream["log_group"], stream["name"], time_ms, event["message"])
            for event, time_ms in zip(events, times, strict=True)
            if expired_ms <= time_ms <= newest_ms
        ],
    )
    return {
        "nextSequenceToken": "0",
        "rejectedLogEventsInfo": _rejected(times, oldest_ms, expired_ms, newest_ms),
    }


def _rejected(times: list[int], oldest_ms: int, expired_ms: int, newest_ms: int) -> Output | None:
    """Indexes of the first event that is kept, or no longer kept."""
    old = sum(time_ms < oldest_ms for time_ms in times)
    expired = sum(time_ms < expired_ms for time_ms in times)
    fine = sum(time_ms <= newest_ms for time_ms in times)
    info = {
        "tooOldLogEventEndIndex": old or None,
        "expiredLogEventEndIndex": expired if expired > old else None,
        "tooNewLogEventStartIndex": fine if fine < len(times) else None,
    }
    return info if any(value is not None for value in info.values()) else None


def get_log_events(call: Call, view: View) -> Output:
    """Tokens name a direction and the last place seen: "f/…" and "b/…"."""
    params = call.params
    stream = require_stream(call, view)
    limit = min(int(params.get("limit") or _EVENTS_MAX), _EVENTS_MAX)
    token = params.get("nextToken") or ("f/" if params.get("startFromHead") else "b/")
    if token[:2] not in ("f/", "b/"):
        raise invalid("The specified nextToken is invalid.")
    is_forward = token[0] == "f"
    place = _place(token[2:]) if token[2:] else ((-1, 0) if is_forward else (_EVER_MS, 0))
    compare, order = (">", "ASC") if is_forward else ("<", "DESC")
    rows = view.all(
        "SELECT * FROM log_events WHERE stream = ? AND time_ms >= ? AND time_ms < ?"
        f" AND (time_ms, id) {compare} (?, ?) ORDER BY time_ms {order}, id {order} LIMIT ?",
        (
            stream["id"], int(params.get("startTime") or 0),
            int(params.get("endTime") or _EVER_MS), *place, limit,
        ),
    )  # fmt: skip
    kept = _within_size(rows)
    kept = kept if is_forward else kept[::-1]
    first, last = (_placed(kept[0]), _placed(kept[-1])) if kept else (place, place)
    return {
        "events": [
            {"timestamp": r["time_ms"], "message": r["message"], "ingestionTime": r["ingested_ms"]}
            for r in kept
        ],
        "nextForwardToken": f"f/{_text(last)}",
        "nextBackwardToken": f"b/{_text(first)}",
    }


@in_thread
def filter_log_events(call: Call, view: View) -> Output:
    """A page ends where enough was found or looked at: it may be empty and not the last."""
    params = call.params
    if params.get("logStreamNames") and params.get("logStreamNamePrefix"):
        raise invalid("logStreamNamePrefix and logStreamNames are mutually exclusive.")
    if params.get("startFromHead") is False:
        raise NotImplementedByCloudlet("A search from the end")
    group = require_group(call, view)
    pattern = compile_pattern(params.get("filterPattern") or "")
    limit = min(int(params.get("limit") or _EVENTS_MAX), _EVENTS_MAX)
    after = _place(params["nextToken"]) if params.get("nextToken") else (-1, 0)
    until_ms = params.get("endTime")
    span = (int(params.get("startTime") or 0), _EVER_MS if until_ms is None else int(until_ms))
    names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix") or ""
    streams = [
        row
        for row in view.all("SELECT * FROM log_streams WHERE log_group = ?", (group,))
        if (row["name"] in names if names else row["name"].startswith(prefix))
    ]
    output: Output = {"events": [], "searchedLogStreams": []}
    for number, (name, row) in enumerate(in_order(view, streams, span, after)):
        if pattern(row["message"]) is not None:
            output["events"].append(_event(row, name))
        if len(output["events"]) == limit or number == _SCANNED_MAX:
            output["nextToken"] = _text(_placed(row))
            break
    return output


def in_order(
    view: View, streams: list[Row], span: tuple[int, int], after: Place = (-1, 0)
) -> Iterator[tuple[str, Row]]:
    """(stream's name, event) of all the streams, merged as they are read. `span` includes both."""

    def events(stream: Row) -> Iterator[tuple[str, Row]]:
        rows = view.rows(
            "SELECT * FROM log_events WHERE stream = ? AND time_ms BETWEEN ? AND ?"
            " AND (time_ms, id) > (?, ?) ORDER BY time_ms, id",
            (stream["id"], *span, *after),
        )
        return ((stream["name"], row) for row in rows)

    busy = [
        stream
        for stream in streams
        if stream["last_ms"] is not None
        and stream["last_ms"] >= max(span[0], after[0])
        and stream["first_ms"] <= span[1]
    ]
    return heapq.merge(*map(events, busy), key=lambda each: _placed(each[1]))


def _event(row: Row, name: str) -> Output:
    return {
        "logStreamName": name,
        "timestamp": row["time_ms"],
        "message": row["message"],
        "ingestionTime": row["ingested_ms"],
        "eventId": event_id(row["time_ms"], row["id"]),
    }


def _within_size(rows: list[Row]) -> list[Row]:
    size_bytes = 0
    for number, row in enumerate(rows):
        size_bytes += len(row["message"]) + EVENT_BYTES
        if size_bytes > _ANSWER_BYTES_MAX and number:
            return rows[:number]
    return rows


def _placed(row: Row) -> Place:
    return row["time_ms"], row["id"]


def _text(place: Place) -> str:
    return f"{place[0] + 1:020d}{place[1]:020d}"


def _place(token: str) -> Place:
    if len(token) != 40 or not (token.isascii() and token.isdigit()):
        raise invalid("The specified nextToken is invalid.")
    return min(int(token[:20]) - 1, _EVER_MS), min(int(token[20:]), _EVER_MS)
