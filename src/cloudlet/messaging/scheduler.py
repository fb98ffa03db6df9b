"""EventBridge Scheduler: schedules and groups.

https://docs.aws.amazon.com/scheduler/latest/APIReference/
"""

import re
from datetime import datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.messaging import expressions
from cloudlet.messaging.rules import TOPIC
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")
_TARGET_SERVICES = ("lambda", "sqs")
_ABSENT_IN_TARGETS = (
    "EcsParameters",
    "EventBridgeParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
    "KinesisParameters",
    "SageMakerPipelineParameters",
)
Document = dict[str, Any]


def create_schedule(call: Call, tx: Transaction) -> Output:
    group, name = _key(call)
    _check_group(tx, group)
    if tx.value("SELECT 1 FROM schedules WHERE group_name = ? AND name = ?", (group, name)):
        raise AwsError("ConflictException", f"Schedule {name} already exists.", 409)
    return _save(call, tx, call.now_ms)


def update_schedule(call: Call, tx: Transaction) -> Output:
    """Replaces the schedule; what is not given goes back to its default."""
    existing = _schedule(tx, *_key(call))
    return _save(call, tx, int(existing["CreationDate"] * 1000))


def get_schedule(call: Call, view: View) -> Output:
    return _schedule(view, *_key(call))


def delete_schedule(call: Call, tx: Transaction) -> None:
    group, name = _key(call)
    _schedule(tx, group, name)
    tx.run("DELETE FROM schedules WHERE group_name = ? AND name = ?", (group, name))


def list_schedules(call: Call, view: View) -> Output:
    params = call.params
    found = []
    for row in view.rows("SELECT document FROM schedules ORDER BY group_name, name"):
        document = orjson.loads(row["document"])
        if (
            params.get("GroupName") in (None, document["GroupName"])
            and params.get("State") in (None, document["State"])
            and document["Name"].startswith(params.get("NamePrefix") or "")
        ):
            found.append({**document, "Target": {"Arn": document["Target"]["Arn"]}})
    return _page(params, "Schedules", found)


def create_schedule_group(call: Call, tx: Transaction) -> Output:
    name = call.params["Name"]
    if name == "default" or tx.value("SELECT 1 FROM schedule_groups WHERE name = ?", (name,)):
        raise AwsError("ConflictException", f"Schedule group {name} already exists.", 409)
    tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or []}
    tx.run(
        "INSERT INTO schedule_groups (name, created_ms, modified_ms, tags) VALUES (?, ?, ?, ?)",
        (name, call.now_ms, call.now_ms, orjson.dumps(tags).decode()),
    )
    return {"ScheduleGroupArn": call.config.arn("scheduler", f"schedule-group/{name}")}


def get_schedule_group(call: Call, view: View) -> Output:
    name = call.params["Name"]
    _check_group(view, name)
    return next(group for group in _groups(call, view) if group["Name"] == name)


def list_schedule_groups(call: Call, view: View) -> Output:
    prefix = call.params.get("NamePrefix") or ""
    found = [group for group in _groups(call, view) if group["Name"].startswith(prefix)]
    return _page(call.params, "ScheduleGroups", found)


def delete_schedule_group(call: Call, tx: Transaction) -> None:
    """Deletes the group and its schedules, at once."""
    name = call.params["Name"]
    if name == "default":
        raise _invalid("The default schedule group cannot be deleted.")
    _check_group(tx, name)
    tx.run("DELETE FROM schedules WHERE group_name = ?", (name,))
    tx.run("DELETE FROM schedule_groups WHERE name = ?", (name,))


def _key(call: Call) -> tuple[str, str]:
    return call.params.get("GroupName") or "default", call.params["Name"]


def _schedule(view: View, group: str, name: str) -> Document:
    text = view.value(
        "SELECT document FROM schedules WHERE group_name = ? AND name = ?", (group, name)
    )
    if text is None:
        raise AwsError("ResourceNotFoundException", f"Schedule {name} does not exist.", 404)
    document: Document = orjson.loads(text)
    return document


def _check_group(view: View, name: str) -> None:
    known = view.value("SELECT 1 FROM schedule_groups WHERE name = ?", (name,))
    if name != "default" and known is None:
        raise AwsError("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)


def _groups(call: Call, view: View) -> list[Document]:
    rows = view.all("SELECT * FROM schedule_groups ORDER BY name")
    stored = [(row["name"], row["created_ms"], row["modified_ms"]) for row in rows]
    return [
        {
            "Name": name,
            "Arn": call.config.arn("scheduler", f"schedule-group/{name}"),
            "State": "ACTIVE",
            "CreationDate": created_ms / 1000,
            "LastModificationDate": modified_ms / 1000,
        }
        for name, created_ms, modified_ms in [("default", 0, 0), *stored]
    ]


def _save(call: Call, tx: Transaction, created_ms: int) -> Output:
    params = call.params
    group, name = _key(call)
    _check(params)
    document: Document = {
        "Arn": call.config.arn("scheduler", f"schedule/{group}/{name}"),
        "GroupName": group,
        "Name": name,
        "ScheduleExpression": params["ScheduleExpression"],
        "ScheduleExpressionTimezone": params.get("ScheduleExpressionTimezone") or "UTC",
        "StartDate": _seconds(params.get("StartDate")),
        "EndDate": _seconds(params.get("EndDate")),
        "Description": params.get("Description"),
        "State": params.get("State") or "ENABLED",
        "CreationDate": created_ms / 1000,
        "LastModificationDate": call.now_ms / 1000,
        "Target": params["Target"],
        "FlexibleTimeWindow": params["FlexibleTimeWindow"],
        "ActionAfterCompletion": params.get("ActionAfterCompletion") or "NONE",
    }
    tx.run(
        "INSERT OR REPLACE INTO schedules (group_name, name, document, due_ms) VALUES (?, ?, ?, ?)",
        (group, name, orjson.dumps(document).decode(), _first_due_ms(document, call.now_ms)),
    )
    tx.touch(TOPIC)
    return {"ScheduleArn": document["Arn"]}


def _first_due_ms(document: Document, now_ms: int) -> int | None:
    if document["State"] != "ENABLED":
        return None
    start_ms = max(now_ms, int((document["StartDate"] or 0) * 1000))
    due_ms = expressions.first_ms(
        document["ScheduleExpression"], document["ScheduleExpressionTimezone"], start_ms
    )
    return in_time(document, due_ms)


def in_time(document: Document, due_ms: int | None) -> int | None:
    """None after the schedule's end."""
    end = document.get("EndDate")
    if due_ms is None or (end is not None and due_ms > end * 1000):
        return None
    return due_ms


def _check(params: Document) -> None:
    if not _NAME.fullmatch(params["Name"]):
        raise _invalid("Invalid schedule name.")
    if params.get("KmsKeyArn"):
        raise NotImplementedByCloudlet("A schedule with KmsKeyArn")
    zone = params.get("ScheduleExpressionTimezone") or "UTC"
    try:
        expressions.check(params["ScheduleExpression"], zone, is_scheduler=True)
    except expressions.InvalidExpression:
        raise _invalid(f"Invalid Schedule Expression {params['ScheduleExpression']}.") from None
    window = params["FlexibleTimeWindow"]
    if window["Mode"] == "FLEXIBLE" and not window.get("MaximumWindowInMinutes"):
        raise _invalid("MaximumWindowInMinutes is required for a FLEXIBLE time window.")
    if window["Mode"] == "OFF" and window.get("MaximumWindowInMinutes"):
        raise _invalid("MaximumWindowInMinutes must not be set when the mode is OFF.")
    target = params["Target"]
    service = target["Arn"].split(":")[2] if target["Arn"].count(":") >= 5 else ""
    if service not in _TARGET_SERVICES:
        raise NotImplementedByCloudlet(f"A schedule's target {target['Arn']}")
    for member in _ABSENT_IN_TARGETS:
        if target.get(member):
            raise NotImplementedByCloudlet(f"{member} of a schedule's target")


def _seconds(moment: Any) -> float | None:
    return moment.timestamp() if isinstance(moment, datetime) else moment


def _page(params: Document, member: str, found: list[Document]) -> Output:
    try:
        start = int(params.get("NextToken") or 0)
    except ValueError:
        raise _invalid("Invalid NextToken.") from None
    size = params.get("MaxResults") or 100
    output: Output = {member: found[start : start + size]}
    if start + size < len(found):
        output["NextToken"] = str(start + size)
    return output


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message, 400)
