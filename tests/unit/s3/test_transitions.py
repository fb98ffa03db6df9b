"""Lifecycle transitions: which rules are refused, and which class an object is in when."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import lifecycle, listing, notifications, transitions, version_listing
from tests.unit.s3.conftest import BUCKET, Shelf
from tests.unit.s3.test_lifecycle import DAY_S, configure, sweep
from tests.unit.s3.test_versions import turn

RULE = {"ID": "m", "Status": "Enabled", "Filter": {"Prefix": ""}}
BIG = b"1" * (128 << 10)


def to(kind: str, days: int) -> dict[str, Any]:
    return {"StorageClass": kind, "Days": days}


def classes(shelf: Shelf) -> dict[str, str]:
    rows = shelf.call(listing.list_objects_v2, Bucket=BUCKET)["Contents"]
    return {row["Key"]: row["StorageClass"] for row in rows}


def test_objects_go_down_from_class_to_class(shelf: Shelf) -> None:
    configure(shelf, {**RULE, "Transitions": [to("STANDARD_IA", 30), to("GLACIER", 60)]})
    shelf.put("big", BIG)
    shelf.put("small", BIG[1:])
    shelf.put("deep", BIG, StorageClass="DEEP_ARCHIVE")
    shelf.clock.advance(31 * DAY_S)
    assert (sweep(shelf), sweep(shelf)) == (1, 0)
    kept = {"small": "STANDARD", "deep": "DEEP_ARCHIVE"}
    assert classes(shelf) == {**kept, "big": "STANDARD_IA"}
    assert shelf.get("big")["StorageClass"] == "STANDARD_IA"
    shelf.clock.advance(30 * DAY_S)
    sweep(shelf)
    assert classes(shelf) == {**kept, "big": "GLACIER"}
    with pytest.raises(AwsError, match="InvalidObjectState"):
        shelf.get("big")


def test_small_objects_move_where_the_rule_or_the_bucket_says_so(shelf: Shelf) -> None:
    small = {"Filter": {"ObjectSizeGreaterThan": 1}}
    configure(shelf, {**RULE, **small, "Transitions": [to("GLACIER_IR", 0)]})
    shelf.put("a", b"12")
    shelf.put("b", b"1")
    shelf.clock.advance(DAY_S)
    sweep(shelf)
    assert classes(shelf) == {"a": "GLACIER_IR", "b": "STANDARD"}
    rules = [
        {**RULE, "ID": "x", "Transitions": [to("INTELLIGENT_TIERING", 0), to("DEEP_ARCHIVE", 1)]}
    ]
    answer = shelf.call(
        lifecycle.put_bucket_lifecycle_configuration,
        Bucket=BUCKET,
        LifecycleConfiguration={"Rules": rules},
        TransitionDefaultMinimumObjectSize=transitions.VARIES,
    )
    assert answer == {"TransitionDefaultMinimumObjectSize": transitions.VARIES}
    read = shelf.call(lifecycle.get_bucket_lifecycle_configuration, Bucket=BUCKET)
    assert read == {"Rules": rules, **answer}
    sweep(shelf)
    assert classes(shelf)["b"] == "STANDARD"
    shelf.clock.advance(DAY_S)
    sweep(shelf)
    assert classes(shelf) == {"a": "DEEP_ARCHIVE", "b": "DEEP_ARCHIVE"}


def test_noncurrent_versions_move_by_their_own_days(shelf: Shelf) -> None:
    turn(shelf, "Enabled")
    move = {"NoncurrentDays": 1, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 1}
    configure(shelf, {**RULE, "NoncurrentVersionTransitions": [move]})
    for _ in range(3):
        shelf.put("k", BIG)
    shelf.clock.advance(2 * DAY_S)
    assert sweep(shelf) == 1
    rows = shelf.call(version_listing.list_object_versions, Bucket=BUCKET)["Versions"]
    assert [row["StorageClass"] for row in rows] == ["STANDARD", "STANDARD", "GLACIER"]


def test_a_move_is_told(shelf: Shelf) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    target = {"LambdaFunctionArn": arn, "Events": ["s3:LifecycleTransition"]}
    shelf.call(
        notifications.put_bucket_notification_configuration,
        Bucket=BUCKET,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [target],
            "EventBridgeConfiguration": {},
        },
    )
    configure(shelf, {**RULE, "Transitions": [to("GLACIER", 0)]})
    shelf.put("k", BIG)
    shelf.clock.advance(DAY_S)
    sweep(shelf)
    notice, bridged = [orjson.loads(fact.payload) for fact in shelf.facts()][-2:]
    told = notice["Records"][0]
    assert (told["eventName"], told["eventVersion"]) == ("LifecycleTransition", "2.3")
    assert told["lifecycleEventData"] == {
        "transitionEventData": {"destinationStorageClass": "GLACIER"}
    }
    assert bridged["detail-type"] == "Object Storage Class Changed"
    assert bridged["detail"]["destination-storage-class"] == "GLACIER"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Transitions": [to("CUPBOARD", 1)]}, "MalformedXML"),
        ({"Transitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
        ({"Transitions": [to("GLACIER", -1)]}, "must be nonnegative"),
        ({"Transitions": [to("STANDARD_IA", 29)]}, "greater than or equal to 30 for storageClass"),
        ({"Transitions": [to("GLACIER", 1), to("GLACIER", 2)]}, "must be different"),
        ({"Transitions": [to("GLACIER", 9), to("DEEP_ARCHIVE", 9)]}, "must be greater than"),
        ({"Transitions": [to("STANDARD_IA", 30), to("GLACIER", 59)]}, "must be 30 days more"),
        ({"Transitions": [to("GLACIER", 9)], "Expiration": {"Days": 9}}, "Expiration action for"),
        (
            {
                "Transitions": [to("GLACIER", 9)],
                "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)},
            },
            "Found mixed 'Date' and 'Days' based Expiration and Transition",
        ),
        (
            {
                "Transitions": [
                    to("GLACIER", 9),
                    {"StorageClass": "DEEP_ARCHIVE", "Date": datetime(2030, 1, 1, tzinfo=UTC)},
                ]
            },
            "Found mixed 'Date' and 'Days' based Transition",
        ),
        ({"NoncurrentVersionTransitions": [{"StorageClass": "GLACIER"}]}, "MalformedXML"),
    ],
)
def test_what_is_refused(shelf: Shelf, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message):
        configure(shelf, {**RULE, **changes})


@pytest.mark.parametrize(
    ("kind", "below", "goes"),
    [
        ("STANDARD", "STANDARD_IA", True),
        ("ONEZONE_IA", "STANDARD_IA", False),
        ("ONEZONE_IA", "GLACIER_IR", False),
        ("ONEZONE_IA", "GLACIER", True),
        ("DEEP_ARCHIVE", "GLACIER", False),
    ],
)
def test_the_waterfall(kind: str, below: str, goes: bool) -> None:
    assert transitions.is_down(kind, below) == goes
