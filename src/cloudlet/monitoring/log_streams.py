"""Log streams of a group: create, describe, delete.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.monitoring.log_groups import group_arn, require_group
from cloudlet.store.database import Row, Transaction, View


def create_log_stream(call: Call, tx: Transaction) -> None:
    known = (require_group(call, tx), call.params["logStreamName"])
    if set(known[1]) & set(":*"):
        raise invalid("A log stream's name contains no ':' and no '*'.")
    if tx.value("SELECT 1 FROM log_streams WHERE log_group = ? AND name = ?", known):
        raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
    tx.run(
        "INSERT INTO log_streams (log_group, name, created_ms) VALUES (?, ?, ?)",
        (*known, call.now_ms),
    )


def delete_log_stream(call: Call, tx: Transaction) -> None:
    tx.run("DELETE FROM log_streams WHERE id = ?", (require_stream(call, tx)["id"],))


def describe_log_streams(call: Call, view: View) -> Output:
    params = call.params
    group = require_group(call, view)
    prefix = params.get("logStreamNamePrefix") or ""
    by_time = params.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    order = ["coalesce(last_ms, 0)", "name"] if by_time else ["name"]
    if params.get("descending"):
        order = [f"{column} DESC" for column in order]
    limit, after = min(int(params.get("limit") or 50), 50), offset(params.get("nextToken"))
    rows = view.all(
        "SELECT * FROM log_streams LEFT JOIN log_sizes ON stream = id"
        " WHERE log_group = ? AND substr(name, 1, ?) = ?"
        f" ORDER BY {', '.join(order)} LIMIT ? OFFSET ?",
        (group, len(prefix), prefix, limit + 1, after),
    )
    output: Output = {"logStreams": [_described(call, row) for row in rows[:limit]]}
    if len(rows) > limit:
        output["nextToken"] = str(after + limit)
    return output


def _described(call: Call, row: Row) -> dict[str, Any]:
    return {
        "logStreamName": row["name"],
        "creationTime": row["created_ms"],
        "firstEventTimestamp": row["first_ms"],
        "lastEventTimestamp": row["last_ms"],
        "lastIngestionTime": row["last_ms"],
        "uploadSequenceToken": "0",
        "arn": f"{group_arn(call, row['log_group'])}:log-stream:{row['name']}",
        "storedBytes": row["bytes"] or 0,
    }


def require_stream(call: Call, view: View) -> Row:
    row = view.one(
        "SELECT * FROM log_streams WHERE log_group = ? AND name = ?",
        (require_group(call, view), call.params["logStreamName"]),
    )
    if row is None:
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
    return row


def offset(token: str | None) -> int:
    if token and not (token.isascii() and token.isdigit() and len(token) < 18):
        raise invalid("The specified nextToken is invalid.")
    return int(token or 0)
