"""Transitions of lifecycle rules: checking them, and to which storage class an object is to go.

Classes are in the order of AWS's waterfall: objects only go down. Where several transitions are
due, the lowest class wins.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html
"""

from itertools import pairwise
from typing import Any, NamedTuple

from cloudlet.errors import AwsError
from cloudlet.s3 import faults

Rule = dict[str, Any]
_WATERFALL = (
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
_INFREQUENT = ("STANDARD_IA", "ONEZONE_IA")
_INFREQUENT_DAYS_MIN = 30
_SIZE_MIN = 128 << 10
ALL, VARIES = "all_storage_classes_128K", "varies_by_storage_class"
# list of a rule → (action, its time, the expiration that must come after it)
KINDS = {
    "Transitions": ("Transition", "Days", "Expiration"),
    "NoncurrentVersionTransitions": (
        "NoncurrentVersionTransition",
        "NoncurrentDays",
        "NoncurrentVersionExpiration",
    ),
}


def check(rule: Rule, place: str) -> None:
    """Refuses a rule's transitions as AWS does; dates are in their stored form already."""
    for part, (action, unit, ending) in KINDS.items():
        wanted = rule.get(part) or []
        for each in wanted:
            _check_one(each, action, unit)
        _check_set(wanted, action, unit, place)
        end = rule.get(ending) or {}
        if wanted and ("Date" in end) != ("Date" in wanted[0]) and end.keys() & {"Date", "Days"}:
            raise _mixed("Expiration and Transition", place)
        if any(_time(end, unit) <= _time(each, unit) for each in wanted if _has_time(end, unit)):
            raise faults.invalid_argument(
                f"'{_unit(end, unit)}' in the {ending} action for {place} must be greater than "
                f"'{_unit(end, unit)}' in the {action} action"
            )


def _check_one(each: Rule, action: str, unit: str) -> None:
    kind, days = each.get("StorageClass"), each.get(unit)
    if kind not in _WATERFALL or (days is None) == (unit == "NoncurrentDays" or "Date" not in each):
        raise faults.malformed_xml()
    if days is not None and days < 0:
        raise faults.invalid_argument(f"'{unit}' in {action} action must be nonnegative")
    if days is not None and kind in _INFREQUENT and days < _INFREQUENT_DAYS_MIN:
        raise faults.invalid_argument(
            f"'{unit}' in {action} action must be greater than or equal to "
            f"{_INFREQUENT_DAYS_MIN} for storageClass '{kind}'"
        )


def _check_set(wanted: list[Rule], action: str, unit: str, place: str) -> None:
    if len({each["StorageClass"] for each in wanted}) < len(wanted):
        raise faults.invalid_argument(
            f"'StorageClass' must be different for '{action}' actions in same 'Rule' with {place}"
        )
    if len({"Date" in each for each in wanted}) > 1:
        raise _mixed(action, place)
    downwards = sorted(wanted, key=lambda each: _WATERFALL.index(each["StorageClass"]))
    for first, then in pairwise(downwards):
        gap = _time(then, unit) - _time(first, unit)
        needs = _INFREQUENT_DAYS_MIN if first["StorageClass"] in _INFREQUENT else 1
        if gap < (needs if "Date" not in first else 1):
            more = f"{needs} days more" if needs > 1 else "greater"
            raise faults.invalid_argument(
                f"'{_unit(then, unit)}' in the '{then['StorageClass']}' {action} action for "
                f"{place} must be {more} than '{_unit(first, unit)}' in the "
                f"'{first['StorageClass']}' {action} action"
            )


def _mixed(actions: str, place: str) -> AwsError:
    return faults.invalid_request(
        f"Found mixed 'Date' and 'Days' based {actions} actions in lifecycle rule for {place}"
    )


def _unit(each: Rule, unit: str) -> str:
    return "Date" if "Date" in each else unit


def _has_time(each: Rule, unit: str) -> bool:
    return _unit(each, unit) in each


def _time(each: Rule, unit: str) -> int:
    """Comparable within a rule: days, or the digits of a date."""
    if "Date" in each:
        return int("".join(filter(str.isdigit, each["Date"])))
    days: int = each[unit]
    return days


class Version(NamedTuple):
    """What a transition is decided on; `newer`: how many noncurrent versions are newer."""

    kind: str
    size: int
    newer: int = 0


def is_down(kind: str, to: str) -> bool:
    """Whether objects of the one class may go to the other."""
    if kind not in _WATERFALL:
        return True
    down = _WATERFALL.index(to) > _WATERFALL.index(kind)
    return down and (kind, to) != ("ONEZONE_IA", "GLACIER_IR")


def chosen(due: list[tuple[Rule, Rule]], version: Version, minimum: str) -> str:
    """The class that a version goes to by the transitions (rule, action) that are due, or ""."""
    classes = [
        action["StorageClass"]
        for rule, action in due
        if is_down(version.kind, action["StorageClass"])
        and version.newer >= action.get("NewerNoncurrentVersions", 0)
        and (version.size >= _size_min(rule, action["StorageClass"], minimum))
    ]
    return max(classes, key=_WATERFALL.index, default="")


def _size_min(rule: Rule, kind: str, minimum: str) -> int:
    """Small objects stay where they are, unless the rule speaks of sizes itself."""
    filters = rule.get("Filter") or {}
    if any(name.startswith("ObjectSize") for name in (*filters, *(filters.get("And") or {}))):
        return 0
    return 0 if minimum == VARIES and kind in ("GLACIER", "DEEP_ARCHIVE") else _SIZE_MIN
