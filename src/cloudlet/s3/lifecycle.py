"""Lifecycle rules: configuring them, which objects they are for, and when. `sweep` applies them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.s3 import faults, transitions
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction, View

RULES_MAX = 1000
_NEWER_MAX = 100
_DAY_MS = 86_400_000
Rule = dict[str, Any]


def put_bucket_lifecycle_configuration(call: Call, tx: Transaction) -> Output:
    bucket = of_call(call, tx)
    rules = (call.params.get("LifecycleConfiguration") or {}).get("Rules") or []
    if not 1 <= len(rules) <= RULES_MAX:
        raise faults.malformed_xml()
    minimum = call.params.get("TransitionDefaultMinimumObjectSize", transitions.ALL)
    if minimum not in (transitions.ALL, transitions.VARIES):
        raise faults.invalid_request(f"Invalid TransitionDefaultMinimumObjectSize found: {minimum}")
    checked = [_checked(rule, call.config.new_id()) for rule in rules]
    if len({rule["ID"] for rule in checked}) < len(checked):
        raise faults.invalid_argument(
            "Rule ID must be unique. Found same ID for more than one rule"
        )
    put_setting(tx, bucket.id, "lifecycle", checked)
    put_setting(tx, bucket.id, "lifecycle-minimum", minimum)
    return {"TransitionDefaultMinimumObjectSize": minimum}


def minimum_of(view: View, bucket: int) -> str:
    """Which objects are too small to be moved."""
    found: str | None = setting(view, bucket, "lifecycle-minimum")
    return found or transitions.ALL


def get_bucket_lifecycle_configuration(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    rules = setting(view, bucket.id, "lifecycle")
    if not rules:
        message = "The lifecycle configuration does not exist"
        raise AwsError("NoSuchLifecycleConfiguration", message, 404, BucketName=bucket.name)
    minimum = minimum_of(view, bucket.id)
    return {"Rules": rules, "TransitionDefaultMinimumObjectSize": minimum}


def delete_bucket_lifecycle(call: Call, tx: Transaction) -> None:
    drop_setting(tx, of_call(call, tx).id, "lifecycle")


def _checked(rule: Rule, new_id: str) -> Rule:
    """The rule as it is stored: JSON, with an ID."""
    expiration, outdating = rule.get("Expiration"), rule.get("NoncurrentVersionExpiration")
    if rule.get("Status") not in ("Enabled", "Disabled") or ("Filter" in rule) == (
        "Prefix" in rule
    ):
        raise faults.malformed_xml()
    abort = rule.get("AbortIncompleteMultipartUpload")
    moves = any(rule.get(part) for part in transitions.KINDS)
    if not expiration and not abort and not outdating and not moves:
        raise faults.invalid_request("At least one action needs to be specified in a rule")
    if len(rule.get("ID") or "") > 255:
        raise faults.invalid_argument("ID length should not exceed allowed limit of 255")
    marks = "ExpiredObjectDeleteMarker" in (expiration or {})
    actions = (("AbortIncompleteMultipartUpload", abort), ("ExpiredObjectDeleteMarker", marks))
    _check_filter(rule.get("Filter") or {}, [name for name, wanted in actions if wanted])
    if outdating is not None:
        _check_outdating(rule, outdating)
    if abort and abort.get("DaysAfterInitiation", 0) < 1:
        raise _not_positive("'DaysAfterInitiation' for AbortIncompleteMultipartUpload action")
    checked = {**rule, "ID": rule.get("ID") or new_id}
    if expiration:
        checked["Expiration"] = _checked_expiration(expiration)
    if rule.get("Transitions"):
        checked["Transitions"] = [_dated(each) for each in rule["Transitions"]]
    transitions.check(
        checked, f"filter '(prefix={prefix(rule)})'" if prefix(rule) else "filter '()'"
    )
    return checked


def _checked_expiration(expiration: dict[str, Any]) -> dict[str, Any]:
    if len(expiration) != 1:
        raise faults.malformed_xml()
    if "ExpiredObjectDeleteMarker" in expiration:
        return expiration
    if "Days" in expiration:
        if expiration["Days"] < 1:
            raise _not_positive("'Days' for Expiration action")
        return {"Days": expiration["Days"]}
    return _dated(expiration)


def _dated(action: dict[str, Any]) -> dict[str, Any]:
    """The action with its date, if it has one, in the stored form."""
    if "Date" not in action:
        return action
    date = action["Date"]
    moment = date if isinstance(date, datetime) else datetime.fromisoformat(str(date))
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if not text.endswith("T00:00:00.000Z"):
        raise faults.invalid_argument("'Date' must be at midnight GMT", "Date", text)
    return {**action, "Date": text}


def _check_outdating(rule: Rule, wanted: dict[str, int]) -> None:
    if "NoncurrentDays" not in wanted:
        raise faults.malformed_xml()
    if wanted["NoncurrentDays"] < 1:
        raise _not_positive("'NoncurrentDays' for NoncurrentVersionExpiration action")
    if not 1 <= wanted.get("NewerNoncurrentVersions", 1) <= _NEWER_MAX:
        raise faults.invalid_argument(
            "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive "
            f"integer up to {_NEWER_MAX}"
        )
    if "NewerNoncurrentVersions" in wanted and "Filter" not in rule:
        raise faults.malformed_xml()


def _check_filter(chosen: dict[str, Any], actions: list[str]) -> None:
    if len(chosen) > 1:
        raise faults.malformed_xml()
    parts = {**chosen, **(chosen.get("And") or {})}
    if "And" in chosen and len(chosen["And"]) + len(chosen["And"].get("Tags", [""])) < 3:
        raise faults.malformed_xml()
    tags = [*parts.get("Tags", []), *([parts["Tag"]] if "Tag" in parts else [])]
    if len({tag["Key"] for tag in tags}) < len(tags):
        raise AwsError("InvalidRequest", "Duplicate Tag Keys are not allowed.", 400)
    by_size = "ObjectSizeGreaterThan" in parts or "ObjectSizeLessThan" in parts
    if actions and (tags or by_size):
        what = "Tags" if tags else "object size"
        raise faults.invalid_request(f"{actions[0]} cannot be specified with {what}")


def _not_positive(what: str) -> AwsError:
    return faults.invalid_argument(f"{what} must be a positive integer")


def prefix(rule: Rule) -> str:
    chosen = rule.get("Filter") or {}
    inner = chosen.get("And") or {}
    return str(rule.get("Prefix") or chosen.get("Prefix") or inner.get("Prefix") or "")


def applies(rule: Rule, key: str, size_bytes: int, tags: dict[str, str]) -> bool:
    """Whether an enabled rule's filter selects the object."""
    if rule["Status"] != "Enabled" or not key.startswith(prefix(rule)):
        return False
    chosen = rule.get("Filter") or {}
    parts = {**chosen, **(chosen.get("And") or {})}
    wanted = [*parts.get("Tags", []), *([parts["Tag"]] if "Tag" in parts else [])]
    if any(tags.get(tag["Key"]) != tag.get("Value", "") for tag in wanted):
        return False
    if size_bytes <= parts.get("ObjectSizeGreaterThan", -1):
        return False
    return bool(size_bytes < parts.get("ObjectSizeLessThan", size_bytes + 1))


def due_ms(rule: Rule, modified_ms: int) -> int | None:
    """When an object that the rule applies to expires: days later, then the next midnight."""
    expiration = rule.get("Expiration")
    if not expiration or "ExpiredObjectDeleteMarker" in expiration:
        return None
    return _action_ms(expiration, modified_ms)


def _action_ms(action: dict[str, Any], start_ms: int) -> int:
    if "Date" in action:
        return int(datetime.fromisoformat(action["Date"]).timestamp() * 1000)
    return next_midnight_ms(start_ms, action["Days" if "Days" in action else "NoncurrentDays"])


def moves(rules: list[Rule], part: str, start_ms: int, now_ms: int) -> list[tuple[Rule, Rule]]:
    """The transitions of these rules that are due, each with its rule."""
    return [
        (rule, action)
        for rule in rules
        for action in rule.get(part) or ()
        if _action_ms(action, start_ms) <= now_ms
    ]


def is_outdated(rule: Rule, noncurrent_ms: int, newer: int, now_ms: int) -> bool:
    """Whether a version goes that became noncurrent then, before `newer` other noncurrent ones."""
    wanted = rule.get("NoncurrentVersionExpiration")
    if not wanted or newer < wanted.get("NewerNoncurrentVersions", 0):
        return False
    return next_midnight_ms(noncurrent_ms, wanted["NoncurrentDays"]) <= now_ms


def ends_marker(rule: Rule, modified_ms: int, now_ms: int) -> bool:
    """Whether a delete marker goes that no other version is left of."""
    expiration = rule.get("Expiration") or {}
    due = due_ms(rule, modified_ms) if "Days" in expiration else None
    return bool(expiration.get("ExpiredObjectDeleteMarker")) or (due is not None and due <= now_ms)


def next_midnight_ms(start_ms: int, days: int) -> int:
    return -(-(start_ms + days * _DAY_MS) // _DAY_MS) * _DAY_MS


def expiration(view: View, record: Record) -> dict[str, str]:
    """The `Expiration` output member (x-amz-expiration), where a rule applies."""
    rules = setting(view, record.bucket, "lifecycle") or []
    dated = [
        (due, rule["ID"])
        for rule in rules
        if applies(rule, record.key, record.size, record.tags)
        and (due := due_ms(rule, record.modified_ms)) is not None
    ]
    if not dated:
        return {}
    due, rule_id = min(dated, key=lambda each: each[0])  # of equal ones the first
    date = format_datetime(_moment(due), usegmt=True)
    return {"Expiration": f'expiry-date="{date}", rule-id="{rule_id}"'}


def abort_due(view: View, bucket: int, key: str, created_ms: int) -> dict[str, Any]:
    """`AbortDate` and `AbortRuleId` of a multipart upload, where a rule applies."""
    dated = []
    for rule in setting(view, bucket, "lifecycle") or []:
        abort = rule.get("AbortIncompleteMultipartUpload")
        if abort and rule["Status"] == "Enabled" and key.startswith(prefix(rule)):
            due = next_midnight_ms(created_ms, abort["DaysAfterInitiation"])
            dated.append((due, rule["ID"]))
    if not dated:
        return {}
    due, rule_id = min(dated)
    return {"AbortDate": _moment(due), "AbortRuleId": rule_id}


def _moment(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
