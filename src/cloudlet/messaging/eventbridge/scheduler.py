"""EventBridge Scheduler: schedules and groups.

https://docs.aws.amazon.com/scheduler/latest/APIReference/
"""

import hashlib
import re
from datetime import datetime
from typing import Any

import orjson

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.messaging.eventbridge import expressions, sdk_targets
from cloudlet.messaging.eventbridge.rules import TOPIC, service_of
from cloudlet.store import stored
from cloudlet.store.database import Transaction, View

_NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")
# services with a target of their own, and what that must have; others are universal targets
_TARGETS = {
    "lambda": "",
    "sqs": "",
    "sns": "",
    "events": "EventBridgeParameters",
    "kinesis": "KinesisParameters",
    "aws-sdk": "",
}
_ABSENT_IN_TARGETS = (
    "EcsParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
    "SageMakerPipelineParameters",
)
_INPUT_BYTES_MAX = 262_144
_MINUTE_MS = 60_000
Document = dict[str, Any]


def create_schedule(call: Call, tx: Transaction) -> Output:
    """The same again with the same token answers as the first time."""
    group, name = _key(call)
    _check_group(tx, group)
    row = tx.one("SELECT * FROM schedules WHERE group_name = ? AND name = ?", (group, name))
    if row is None:
        return _save(call, tx, call.now_ms)
    if row["token"] is not None and row["token"] == call.params.get("ClientToken"):
        return {"ScheduleArn": orjson.loads(row["document"])["Arn"]}
    raise AwsError("ConflictException", f"Schedule {name} already exists.", 409)


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
    if params.get("GroupName"):
        _check_group(view, params["GroupName"])
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


def tag_resource(call: Call, tx: Transaction) -> None:
    added = {tag["Key"]: tag["Value"] for tag in call.params["Tags"]}
    _save_tags(call, tx, _tags(call, tx) | added)


def untag_resource(call: Call, tx: Transaction) -> None:
    gone = set(call.params["TagKeys"])
    _save_tags(call, tx, {k: v for k, v in _tags(call, tx).items() if k not in gone})


def list_tags_for_resource(call: Call, view: View) -> Output:
    return {"Tags": [{"Key": k, "Value": v} for k, v in _tags(call, view).items()]}


def _tags(call: Call, view: View) -> dict[str, str]:
    """Groups alone have tags; the default one has a row once it has some."""
    name = call.params["ResourceArn"].rpartition("/")[2]
    _check_group(view, name)
    text = view.value("SELECT tags FROM schedule_groups WHERE name = ?", (name,))
    tags: dict[str, str] = orjson.loads(text or "{}")
    return tags


def _save_tags(call: Call, tx: Transaction, tags: dict[str, str]) -> None:
    tx.run(
        "INSERT INTO schedule_groups (name, created_ms, modified_ms, tags) VALUES (?, 0, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET tags = excluded.tags, modified_ms ="
        " excluded.modified_ms",
        (call.params["ResourceArn"].rpartition("/")[2], call.now_ms, orjson.dumps(tags).decode()),
    )


def _key(call: Call) -> tuple[str, str]:
    return call.params.get("GroupName") or "default", call.params["Name"]


def _schedule(view: View, group: str, name: str) -> Document:
    sql = "SELECT document FROM schedules WHERE group_name = ? AND name = ?"
    found = stored.find(view, sql, (group, name))
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Schedule {name} does not exist.", 404)
    return found


def _check_group(view: View, name: str) -> None:
    known = view.value("SELECT 1 FROM schedule_groups WHERE name = ?", (name,))
    if name != "default" and known is None:
        raise AwsError("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)


def _groups(call: Call, view: View) -> list[Document]:
    rows = view.all("SELECT * FROM schedule_groups WHERE name <> 'default' ORDER BY name")
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
    turn_ms = _first_turn_ms(document, call.now_ms)
    tx.run(
        "INSERT OR REPLACE INTO schedules (group_name, name, document, due_ms, turn_ms, token)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            *(group, name, orjson.dumps(document).decode()),
            *(due_of(document, turn_ms), turn_ms, params.get("ClientToken")),
        ),
    )
    tx.touch(TOPIC)
    return {"ScheduleArn": document["Arn"]}


def window_ms(document: Document) -> int:
    """How much later than its turn a schedule may be fired."""
    return int(document["FlexibleTimeWindow"].get("MaximumWindowInMinutes") or 0) * _MINUTE_MS


def due_of(document: Document, turn_ms: int | None) -> int | None:
    """A turn's own moment within the window: any, but the same whoever asks."""
    span_ms = window_ms(document)
    if turn_ms is None or not span_ms:
        return turn_ms
    digest = hashlib.sha256(f"{document['Arn']} {turn_ms}".encode()).digest()
    return turn_ms + int.from_bytes(digest[:8]) % span_ms


def _first_turn_ms(document: Document, now_ms: int) -> int | None:
    if document["State"] != "ENABLED":
        return None
    expression, zone = document["ScheduleExpression"], document["ScheduleExpressionTimezone"]
    if expression.startswith("at("):
        # messaging-041: turns have a minute's precision, so one of this minute is taken at once;
        # StartDate and EndDate are not for one-time schedules
        turn_ms = expressions.first_ms(expression, zone, now_ms - _MINUTE_MS)
        if turn_ms is None:
            raise _invalid(f"Invalid Schedule Expression {expression}: it is in the past.")
        return turn_ms
    start_ms = max(now_ms, int((document["StartDate"] or 0) * 1000))
    return in_time(document, expressions.first_ms(expression, zone, start_ms))


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
    start, end = _seconds(params.get("StartDate")), _seconds(params.get("EndDate"))
    if start is not None and end is not None and start >= end:
        raise _invalid("The StartDate must come before the EndDate.")
    _check_target(params["Target"])


def _check_target(target: Document) -> None:
    arn = target["Arn"]
    service = service_of(arn)
    if not service:
        raise _invalid(f"Provided Arn {arn} is not in correct format.")
    if service not in _TARGETS:
        raise NotImplementedByCloudlet(f"A schedule's target {arn}")
    refuse(target, *_ABSENT_IN_TARGETS, what="{} of a schedule's target")
    text = target.get("Input") or ""
    if len(text.encode()) > _INPUT_BYTES_MAX:
        raise _invalid(f"Input must be at most {_INPUT_BYTES_MAX} bytes.")
    needed = _TARGETS[service]
    if needed and not target.get(needed):
        raise _invalid(f"{needed} must be specified for the target {arn}.")
    if service in ("events", "lambda", "aws-sdk") and text:
        _check_json(text)
    if service == "events" and not text:
        raise _invalid(f"Input must be specified for the target {arn}.")
    if service == "aws-sdk":
        sdk_targets.parse(arn)
    if service == "sqs" and arn.endswith(".fifo") and not target.get("SqsParameters"):
        raise _invalid(f"SqsParameters must be specified for the FIFO queue {arn}.")


def _check_json(text: str) -> None:
    try:
        orjson.loads(text)
    except ValueError:
        raise _invalid("Input is not valid JSON.") from None


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
    return AwsError("ValidationException", message)
