"""Lifecycle rules and the sweep that applies them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import lifecycle, notifications, uploads
from cloudlet.s3.sweep import sweep_lifecycle
from tests.unit.s3.conftest import Shelf
from tests.unit.s3.test_listing import keys, v2
from tests.unit.s3.test_versions import delete, everything, ids, turn

DAY_S = 86_400
EXPIRE = {"ID": "e", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}


def configure(shelf: Shelf, *rules: Any) -> None:
    shelf.call(
        lifecycle.put_bucket_lifecycle_configuration,
        Bucket="shelf",
        LifecycleConfiguration={"Rules": list(rules)},
    )


def sweep(shelf: Shelf) -> int:
    return asyncio.run(sweep_lifecycle(shelf.cloud))


def test_objects_expire_at_the_midnight_after_their_days(shelf: Shelf) -> None:
    configure(shelf, EXPIRE)
    put = shelf.put("tmp/a", b"1" * 100_000)  # on 18 November 2026, 11:06
    assert put["Expiration"] == 'expiry-date="Fri, 20 Nov 2026 00:00:00 GMT", rule-id="e"'
    assert shelf.get("tmp/a")["Expiration"] == put["Expiration"]
    assert "Expiration" not in shelf.put("kept", b"1")
    shelf.clock.advance(DAY_S + 3600 * 12.5)
    assert sweep(shelf) == 0
    shelf.clock.advance(3600)
    assert sweep(shelf) == 1
    assert keys(v2(shelf)) == ["kept"]
    assert shelf.files() == []


def test_a_date(shelf: Shelf) -> None:
    configure(shelf, {**EXPIRE, "Expiration": {"Date": datetime(2026, 11, 19, tzinfo=UTC)}})
    shelf.put("tmp/a")
    assert sweep(shelf) == 0
    shelf.clock.advance(DAY_S)
    assert sweep(shelf) == 1


@pytest.mark.parametrize(
    ("chosen", "gone"),
    [
        ({"Prefix": ""}, ["big", "small", "tagged"]),
        ({"Tag": {"Key": "t", "Value": "1"}}, ["tagged"]),
        ({"ObjectSizeGreaterThan": 1}, ["big"]),
        ({"ObjectSizeLessThan": 2}, ["small", "tagged"]),
        ({"And": {"Prefix": "s", "ObjectSizeLessThan": 2}}, ["small"]),
        ({"And": {"Prefix": "t", "Tags": [{"Key": "t", "Value": "1"}]}}, ["tagged"]),
    ],
)
def test_filters(shelf: Shelf, chosen: dict[str, Any], gone: list[str]) -> None:
    configure(shelf, {**EXPIRE, "Filter": chosen})
    shelf.put("small", b"1")
    shelf.put("big", b"22")
    shelf.put("tagged", b"1", Tagging="t=1")
    shelf.clock.advance(3 * DAY_S)
    sweep(shelf)
    assert sorted({"small", "big", "tagged"} - set(keys(v2(shelf)))) == gone


def test_disabled_rules_and_renewed_objects(shelf: Shelf) -> None:
    configure(shelf, {**EXPIRE, "Status": "Disabled"})
    shelf.put("tmp/a")
    shelf.clock.advance(3 * DAY_S)
    assert sweep(shelf) == 0
    configure(shelf, EXPIRE)
    shelf.put("tmp/a")
    assert sweep(shelf) == 0


def test_many_objects_expire_in_batches(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudlet.s3.sweep._BATCH", 3)
    configure(shelf, EXPIRE)
    for number in range(10):
        shelf.put(f"tmp/{number}")
    shelf.clock.advance(3 * DAY_S)
    assert sweep(shelf) == 10


def test_expiration_is_told(shelf: Shelf) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    target = {"LambdaFunctionArn": arn, "Events": ["s3:LifecycleExpiration:*"]}
    shelf.call(
        notifications.put_bucket_notification_configuration,
        Bucket="shelf",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [target],
            "EventBridgeConfiguration": {},
        },
    )
    configure(shelf, EXPIRE)
    shelf.put("tmp/a")
    shelf.clock.advance(3 * DAY_S)
    sweep(shelf)
    documents = [orjson.loads(fact.payload) for fact in shelf.facts()][-2:]
    assert documents[0]["Records"][0]["eventName"] == "LifecycleExpiration:Delete"
    assert documents[1]["detail"]["reason"] == "Lifecycle Expiration"


def test_stale_uploads_are_aborted(shelf: Shelf) -> None:
    abort = {"DaysAfterInitiation": 1}
    rule = {"Status": "Enabled", "Filter": {"Prefix": "a"}, "AbortIncompleteMultipartUpload": abort}
    configure(shelf, {**rule, "ID": "abort"})
    upload, _ = shelf.start("a"), shelf.start("b")
    shelf.part("a", upload, 1, b"part")
    listed = shelf.call(uploads.list_parts, Bucket="shelf", Key="a", UploadId=upload)
    assert listed["AbortRuleId"] == "abort"
    assert listed["AbortDate"] == datetime(2026, 11, 20, tzinfo=UTC)
    assert sweep(shelf) == 0
    shelf.clock.advance(2 * DAY_S)
    assert sweep(shelf) == 1
    assert shelf.files() == []
    left = shelf.call(uploads.list_multipart_uploads, Bucket="shelf")["Uploads"]
    assert [each["Key"] for each in left] == ["b"]


def test_configuration_is_answered(shelf: Shelf) -> None:
    with pytest.raises(AwsError, match="NoSuchLifecycleConfiguration"):
        shelf.call(lifecycle.get_bucket_lifecycle_configuration, Bucket="shelf")
    configure(shelf, EXPIRE)
    answer = shelf.call(lifecycle.get_bucket_lifecycle_configuration, Bucket="shelf")
    assert answer["Rules"] == [EXPIRE]
    shelf.call(lifecycle.delete_bucket_lifecycle, Bucket="shelf")
    assert sweep(shelf) == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Status": "On"}, "MalformedXML"),
        ({"Prefix": "also"}, "MalformedXML"),
        ({"Expiration": {}}, "InvalidRequest"),
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Days": 1, "Date": datetime(2030, 1, 1, tzinfo=UTC)}}, "MalformedXML"),
        ({"Expiration": {"Date": datetime(2030, 1, 1, 1, tzinfo=UTC)}}, "InvalidArgument"),
        ({"Expiration": {"ExpiredObjectDeleteMarker": True, "Days": 1}}, "MalformedXML"),
        (
            {
                "Expiration": {"ExpiredObjectDeleteMarker": True},
                "Filter": {"Tag": {"Key": "a", "Value": "b"}},
            },
            "ExpiredObjectDeleteMarker cannot be specified with Tags",
        ),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}, "InvalidArgument"),
        ({"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 1}}, "MalformedXML"),
        (
            {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}},
            "InvalidArgument",
        ),
        ({"Filter": {"Prefix": "a", "ObjectSizeLessThan": 1}}, "MalformedXML"),
        ({"Filter": {"And": {"Prefix": "a"}}}, "MalformedXML"),
        ({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}, "InvalidArgument"),
        ({"ID": "x" * 256}, "InvalidArgument"),
    ],
)
def test_rules_are_checked(shelf: Shelf, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        configure(shelf, {**EXPIRE, **changes})


def test_sets_of_rules_are_checked(shelf: Shelf) -> None:
    with pytest.raises(AwsError, match="MalformedXML"):
        configure(shelf)
    with pytest.raises(AwsError, match="Rule ID must be unique"):
        configure(shelf, EXPIRE, EXPIRE)


RULE = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}}


@pytest.fixture
def kept(shelf: Shelf) -> Shelf:
    turn(shelf, "Enabled")
    return shelf


def test_where_versions_are_kept_an_expired_object_gets_a_marker(kept: Shelf) -> None:
    configure(kept, EXPIRE)
    put = kept.put("tmp/a", b"1")
    assert "Expiration" in put
    kept.clock.advance(3 * DAY_S)
    assert sweep(kept) == 1
    assert ids(everything(kept))[0] == ("tmp/a", put["VersionId"], False)
    assert ids(everything(kept))[1][2] is True
    assert sweep(kept) == 0


def test_noncurrent_versions_expire(kept: Shelf) -> None:
    newest = {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}
    configure(kept, {**RULE, "NoncurrentVersionExpiration": newest})
    versions = [kept.put("k", b"1" * 100_000)["VersionId"] for _ in range(5)]
    kept.clock.advance(DAY_S)
    assert sweep(kept) == 0  # at the midnight after
    kept.clock.advance(DAY_S)
    assert sweep(kept) == 2
    assert [each[1] for each in ids(everything(kept))] == versions[:1:-1]
    configure(kept, {**RULE, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    assert sweep(kept) == 2
    assert len(kept.files()) == 1


def test_days_count_from_the_day_a_version_was_replaced(kept: Shelf) -> None:
    configure(kept, {**RULE, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    kept.put("k", b"1")
    kept.clock.advance(30 * DAY_S)
    kept.put("k", b"2")
    assert sweep(kept) == 0
    kept.clock.advance(2 * DAY_S)
    assert sweep(kept) == 1


@pytest.mark.parametrize("expiration", [{"ExpiredObjectDeleteMarker": True}, {"Days": 1}])
def test_a_marker_that_nothing_is_left_of_goes(kept: Shelf, expiration: dict[str, Any]) -> None:
    configure(kept, {**RULE, "Expiration": expiration})
    version = kept.put("k", b"1")["VersionId"]
    delete(kept)
    kept.clock.advance(3 * DAY_S)
    assert sweep(kept) == 0
    delete(kept, VersionId=version)
    assert sweep(kept) == 1
    assert ids(everything(kept)) == []
