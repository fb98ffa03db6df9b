"""CloudWatch Logs: groups, streams, events, retention.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

import base64
import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.monitoring.ingestion import mark_times
from cloudlet.store.database import Row, Transaction, View

_RETENTION_DAYS = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827,
                   2192, 2557, 2922, 3288, 3653}  # fmt: skip
_EVENTS_MAX = 10_000
_ANSWER_BYTES_MAX = 1 << 20
_BATCH_BYTES_MAX = 1_048_576
_NAME = re.compile(r"[\.\-_/#A-Za-z0-9]{1,512}")


def create_log_group(call: Call, tx: Transaction) -> None:
    params = call.params
    name = params["logGroupName"]
    if not _NAME.fullmatch(name):
        raise AwsError("InvalidParameterException", f"The log group name {name!r} is not valid.")
    if params.get("kmsKeyId"):
        raise NotImplementedByCloudlet("kmsKeyId")
    if tx.value("SELECT 1 FROM log_groups WHERE name = ?", (name,)):
        raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
    tags = orjson.dumps(params.get("tags") or {}).decode()
    tx.run(
        "INSERT INTO log_groups (name, created_ms, tags) VALUES (?, ?, ?)",
        (name, call.now_ms, tags),
    )


def delete_log_group(call: Call, tx: Transaction) -> None:
    _require_group(tx, call.params["logGroupName"])
    tx.run("DELETE FROM log_groups WHERE name = ?", (call.params["logGroupName"],))


def describe_log_groups(call: Call, view: View) -> Output:
    params = call.params
    if params.get("logGroupNamePattern"):
        raise NotImplementedByCloudlet("logGroupNamePattern")
    prefix, after = params.get("logGroupNamePrefix") or "", params.get("nextToken") or ""
    limit = min(int(params.get("limit") or 50), 50)
    rows = view.all(
        "SELECT * FROM log_groups WHERE substr(name, 1, ?) = ? AND name > ? ORDER BY name LIMIT ?",
        (len(prefix), prefix, after, limit + 1),
    )
    output: Output = {"logGroups": [_group(call, view, row) for row in rows[:limit]]}
    if len(rows) > limit:
        output["nextToken"] = rows[limit - 1]["name"]
    return output


def _group(call: Call, view: View, row: Row) -> Output:
    arn = call.config.arn("logs", f"log-group:{row['name']}")
    size = view.value(
        "SELECT coalesce(sum(length(message) + 26), 0) FROM log_events WHERE stream IN"
        " (SELECT id FROM log_streams WHERE log_group = ?)",
        (row["name"],),
    )
    return {
        "logGroupName": row["name"],
        "creationTime": row["created_ms"],
        "retentionInDays": row["retention_days"],
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": size,
    }


def put_retention_policy(call: Call, tx: Transaction) -> None:
    days = int(call.params["retentionInDays"])
    _require_group(tx, call.params["logGroupName"])
    if days not in _RETENTION_DAYS:
        raise AwsError(
            "InvalidParameterException", f"retentionInDays must be one of {sorted(_RETENTION_DAYS)}"
        )
    tx.run(
        "UPDATE log_groups SET retention_days = ? WHERE name = ?",
        (days, call.params["logGroupName"]),
    )


def delete_retention_policy(call: Call, tx: Transaction) -> None:
    _require_group(tx, call.params["logGroupName"])
    tx.run(
        "UPDATE log_groups SET retention_days = NULL WHERE name = ?",
        (call.params["logGroupName"],),
    )


def create_log_stream(call: Call, tx: Transaction) -> None:
    group, name = call.params["logGroupName"], call.params["logStreamName"]
    _require_group(tx, group)
    known = (group, name)
    if tx.value("SELECT 1 FROM log_streams WHERE log_group = ? AND name = ?", known):
        raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
    tx.run(
        "INSERT INTO log_streams (log_group, name, created_ms) VALUES (?, ?, ?)",
        (*known, call.now_ms),
    )


def delete_log_stream(call: Call, tx: Transaction) -> None:
    tx.run("DELETE FROM log_streams WHERE id = ?", (_stream(call, tx)["id"],))


def describe_log_streams(call: Call, view: View) -> Output:
    params = call.params
    group = _group_name(params)
    _require_group(view, group)
    prefix = params.get("logStreamNamePrefix") or ""
    by_time = params.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise AwsError(
            "InvalidParameterException",
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        )
    order = "coalesce(last_ms, 0), name" if by_time else "name"
    if params.get("descending"):
        order = ", ".join(f"{column} DESC" for column in order.rsplit(", ", 1))
    limit, offset = min(int(params.get("limit") or 50), 50), _number(params.get("nextToken"))
    rows = view.all(
        "SELECT * FROM log_streams WHERE log_group = ? AND substr(name, 1, ?) = ?"
        f" ORDER BY {order} LIMIT ? OFFSET ?",
        (group, len(prefix), prefix, limit + 1, offset),
    )
    output: Output = {"logStreams": [_described(call, row) for row in rows[:limit]]}
    if len(rows) > limit:
        output["nextToken"] = str(offset + limit)
    return output


def _described(call: Call, row: Row) -> Output:
    return {
        "logStreamName": row["name"],
        "creationTime": row["created_ms"],
        "firstEventTimestamp": row["first_ms"],
        "lastEventTimestamp": row["last_ms"],
        "lastIngestionTime": row["last_ms"],
        "uploadSequenceToken": "0",
        "arn": call.config.arn("logs", f"log-group:{row['log_group']}:log-stream:{row['name']}"),
        "storedBytes": 0,
    }


def put_log_events(call: Call, tx: Transaction) -> Output:
    stream, events = _stream(call, tx), call.params["logEvents"]
    if sum(len(event["message"].encode()) + 26 for event in events) > _BATCH_BYTES_MAX:
        raise AwsError("InvalidParameterException", "Upload too large: the limit is 1048576 bytes.")
    times = [int(event["timestamp"]) for event in events]
    if times != sorted(times):
        raise AwsError(
            "InvalidParameterException",
            "Log events in a single PutLogEvents request must be in chronological order.",
        )
    if not events or len(events) > _EVENTS_MAX:
        raise AwsError("InvalidParameterException", f"1 to {_EVENTS_MAX} events are allowed.")
    tx.run_many(
        "INSERT INTO log_events (stream, time_ms, ingested_ms, message) VALUES (?, ?, ?, ?)",
        [(stream["id"], int(e["timestamp"]), call.now_ms, e["message"]) for e in events],
    )
    mark_times(tx, stream["id"], times[0], times[-1])
    return {"nextSequenceToken": "0"}


def get_log_events(call: Call, view: View) -> Output:
    """Tokens name a direction and the last row seen: "f/<id>" and "b/<id>"."""
    params = call.params
    stream = _stream(call, view)
    limit = min(int(params.get("limit") or _EVENTS_MAX), _EVENTS_MAX)
    token = params.get("nextToken") or ("f/0" if params.get("startFromHead") else "b/0")
    is_forward, position = token.startswith("f/"), _number(token[2:])
    where = ["stream = ?", "time_ms >= ?", "time_ms < ?"]
    values: list[Any] = [
        stream["id"],
        int(params.get("startTime") or 0),
        int(params.get("endTime") or 1 << 62),
    ]
    if position:
        where.append("id > ?" if is_forward else "id < ?")
        values.append(position)
    rows = view.all(
        f"SELECT * FROM log_events WHERE {' AND '.join(where)}"
        f" ORDER BY id {'ASC' if is_forward else 'DESC'} LIMIT ?",
        (*values, limit),
    )
    kept = _within_size(rows)
    kept = kept if is_forward else kept[::-1]
    first = kept[0]["id"] if kept else position
    last = kept[-1]["id"] if kept else position
    return {
        "events": [
            {"timestamp": r["time_ms"], "message": r["message"], "ingestionTime": r["ingested_ms"]}
            for r in kept
        ],
        "nextForwardToken": f"f/{last}",
        "nextBackwardToken": f"b/{first}",
    }


def filter_log_events(call: Call, view: View) -> Output:
    """Term patterns only: every term must occur, -term must not, ?a ?b is one of them."""
    params = call.params
    group = _group_name(params)
    _require_group(view, group)
    matches = term_pattern(params.get("filterPattern") or "")
    limit = min(int(params.get("limit") or _EVENTS_MAX), _EVENTS_MAX)
    prefix, streams = params.get("logStreamNamePrefix") or "", params.get("logStreamNames") or []
    rows = view.rows(
        "SELECT e.*, s.name FROM log_events AS e JOIN log_streams AS s ON s.id = e.stream"
        " WHERE s.log_group = ? AND substr(s.name, 1, ?) = ? AND e.id > ? AND e.time_ms >= ?"
        " AND e.time_ms <= ? ORDER BY e.id",
        (
            group, len(prefix), prefix, _number(params.get("nextToken")),
            int(params.get("startTime") or 0), int(params.get("endTime") or 1 << 62),
        ),
    )  # fmt: skip
    found: list[Row] = []
    output: Output = {"searchedLogStreams": []}
    for row in rows:
        if (streams and row["name"] not in streams) or not matches(row["message"]):
            continue
        if len(found) == limit:
            output["nextToken"] = str(found[-1]["id"])
            break
        found.append(row)
    output["events"] = [_event(row) for row in found]
    return output


def _event(row: Row) -> Output:
    return {
        "logStreamName": row["name"],
        "timestamp": row["time_ms"],
        "message": row["message"],
        "ingestionTime": row["ingested_ms"],
        "eventId": base64.b16encode(row["id"].to_bytes(8, "big")).decode(),
    }


def term_pattern(pattern: str) -> Any:
    """A predicate on messages for CloudWatch's unstructured filter patterns."""
    pattern = pattern.strip()
    if pattern.startswith(("{", "[", "%")):
        raise NotImplementedByCloudlet(f"The filter pattern {pattern!r}")
    terms = [
        (mark, quoted or plain)
        for mark, quoted, plain in re.findall(r'([?-]?)(?:"([^"]*)"|(\S+))', pattern)
    ]
    wanted = [term for mark, term in terms if mark == ""]
    unwanted = [term for mark, term in terms if mark == "-"]
    either = [term for mark, term in terms if mark == "?"]

    def matches(message: str) -> bool:
        return (
            all(term in message for term in wanted)
            and not any(term in message for term in unwanted)
            and (not either or any(term in message for term in either))
        )

    return matches


def _within_size(rows: list[Row]) -> list[Row]:
    size_bytes = 0
    for number, row in enumerate(rows):
        size_bytes += len(row["message"]) + 26
        if size_bytes > _ANSWER_BYTES_MAX and number:
            return rows[:number]
    return rows


def _group_name(params: dict[str, Any]) -> str:
    name: str = params.get("logGroupName") or params.get("logGroupIdentifier") or ""
    return name.split(":log-group:")[-1].removesuffix(":*")


def _require_group(view: View, name: str) -> None:
    if not view.value("SELECT 1 FROM log_groups WHERE name = ?", (name,)):
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")


def _stream(call: Call, view: View) -> Row:
    group = _group_name(call.params)
    _require_group(view, group)
    row = view.one(
        "SELECT * FROM log_streams WHERE log_group = ? AND name = ?",
        (group, call.params["logStreamName"]),
    )
    if row is None:
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
    return row


def _number(token: str | None) -> int:
    if not token:
        return 0
    if not token.isdigit():
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
    return int(token)
