"""Log groups: names, retention, tags.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

import re
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.monitoring.filter_conditions import invalid
from cloudlet.store import stored
from cloudlet.store.database import Row, Transaction, View

_RETENTION_DAYS = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827,
                   2192, 2557, 2922, 3288, 3653}  # fmt: skip
_NAME = re.compile(r"[\.\-_/#A-Za-z0-9]{1,512}")
_TAGS_MAX = 50


def create_log_group(call: Call, tx: Transaction) -> None:
    params = call.params
    name = params["logGroupName"]
    if not _NAME.fullmatch(name):
        raise invalid(f"The log group name {name!r} is not valid.")
    refuse(params, "kmsKeyId", "deletionProtectionEnabled")
    if params.get("logGroupClass", "STANDARD") != "STANDARD":
        raise NotImplementedByCloudlet(f"logGroupClass {params['logGroupClass']}")
    if tx.value("SELECT 1 FROM log_groups WHERE name = ?", (name,)):
        raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
    tx.run(
        "INSERT INTO log_groups (name, created_ms, tags) VALUES (?, ?, ?)",
        (name, call.now_ms, orjson.dumps(params.get("tags") or {}).decode()),
    )


def delete_log_group(call: Call, tx: Transaction) -> None:
    name = require_group(call, tx)
    tx.run("DELETE FROM log_groups WHERE name = ?", (name,))


def describe_log_groups(call: Call, view: View) -> Output:
    params = call.params
    prefix, pattern = params.get("logGroupNamePrefix"), params.get("logGroupNamePattern")
    if prefix and pattern:
        raise invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
    rows, token = _page(call, view, prefix or "", pattern or "", min(params.get("limit") or 50, 50))
    return {"logGroups": [_described(call, view, row) for row in rows], "nextToken": token}


def list_log_groups(call: Call, view: View) -> Output:
    params = call.params
    refuse(params, "dataSources", "fieldIndexNames", "logGroupTags")
    rows, token = _page(
        call, view, "", params.get("logGroupNamePattern") or "", params.get("limit") or 50
    )
    groups = [
        {
            "logGroupName": row["name"],
            "logGroupArn": group_arn(call, row["name"]),
            "logGroupClass": "STANDARD",
        }
        for row in rows
    ]
    return {"logGroups": groups, "nextToken": token}


def _page(
    call: Call, view: View, prefix: str, part: str, limit: int
) -> tuple[list[Row], str | None]:
    refuse(call.params, "accountIdentifiers", "includeLinkedAccounts")
    names = [_name_of(each) for each in call.params.get("logGroupIdentifiers") or []]
    if call.params.get("logGroupClass", "STANDARD") != "STANDARD":
        return [], None
    rows = view.all(
        "SELECT * FROM log_groups WHERE substr(name, 1, ?) = ? AND instr(name, ?) AND name > ?"
        " AND (? = '[]' OR name IN (SELECT value FROM json_each(?))) ORDER BY name LIMIT ?",
        (
            len(prefix), prefix, part, call.params.get("nextToken") or "",
            *(orjson.dumps(names).decode(),) * 2, limit + 1,
        ),
    )  # fmt: skip
    return rows[:limit], rows[limit - 1]["name"] if len(rows) > limit else None


def _described(call: Call, view: View, row: Row) -> Output:
    arn = group_arn(call, row["name"])
    size = view.value(
        "SELECT coalesce(sum(bytes), 0) FROM log_sizes JOIN log_streams ON id = stream"
        " WHERE log_group = ?",
        (row["name"],),
    )
    filters = view.value(
        "SELECT count(*) FROM log_filters WHERE log_group = ? AND kind = 'metric'", (row["name"],)
    )
    return {
        "logGroupName": row["name"],
        "creationTime": row["created_ms"],
        "retentionInDays": row["retention_days"],
        "metricFilterCount": filters,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": size,
    }


def put_retention_policy(call: Call, tx: Transaction) -> None:
    days = int(call.params["retentionInDays"])
    name = require_group(call, tx)
    if days not in _RETENTION_DAYS:
        raise invalid(f"retentionInDays must be one of {sorted(_RETENTION_DAYS)}")
    tx.run("UPDATE log_groups SET retention_days = ? WHERE name = ?", (days, name))


def delete_retention_policy(call: Call, tx: Transaction) -> None:
    name = require_group(call, tx)
    tx.run("UPDATE log_groups SET retention_days = NULL WHERE name = ?", (name,))


def tag_resource(call: Call, tx: Transaction) -> None:
    tags = {**_tags(call, tx), **call.params["tags"]}
    if len(tags) > _TAGS_MAX:
        raise AwsError("TooManyTagsException", f"A log group can have {_TAGS_MAX} tags.")
    _save_tags(call, tx, tags)


def untag_resource(call: Call, tx: Transaction) -> None:
    gone = call.params.get("tagKeys") or call.params.get("tags") or []
    kept = {name: value for name, value in _tags(call, tx).items() if name not in gone}
    _save_tags(call, tx, kept)


def list_tags_for_resource(call: Call, view: View) -> Output:
    return {"tags": _tags(call, view)}


# the same by their older names
tag_log_group = tag_resource
untag_log_group = untag_resource
list_tags_log_group = list_tags_for_resource


def _tags(call: Call, view: View) -> dict[str, str]:
    sql = "SELECT tags FROM log_groups WHERE name = ?"
    return stored.find(view, sql, (require_group(call, view),)) or {}


def _save_tags(call: Call, tx: Transaction, tags: dict[str, str]) -> None:
    text = orjson.dumps(tags).decode()
    tx.run("UPDATE log_groups SET tags = ? WHERE name = ?", (text, group_name(call.params)))


def group_arn(call: Call, name: str) -> str:
    return call.config.arn("logs", f"log-group:{name}")


def group_name(params: dict[str, Any]) -> str:
    names = ("logGroupName", "logGroupIdentifier", "resourceArn")
    return _name_of(next((params[name] for name in names if params.get(name)), ""))


def _name_of(identifier: str) -> str:
    """`arn:aws:logs:…:log-group:NAME:*` or a bare name."""
    return identifier.split(":log-group:")[-1].removesuffix(":*")


def require_group(call: Call, view: View, identifier: str = "") -> str:
    name = _name_of(identifier) if identifier else group_name(call.params)
    if not view.value("SELECT 1 FROM log_groups WHERE name = ?", (name,)):
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return name
