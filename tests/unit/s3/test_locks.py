"""Object Lock: what is locked stays, for whom and how long."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cloudlet.call import Caller
from cloudlet.errors import AwsError
from cloudlet.s3 import (
    buckets,
    bulk,
    copying,
    lifecycle,
    locks,
    multipart,
    objects,
    permissions,
    reading,
    retention,
    settings,
    sweep,
)
from cloudlet.s3.schema import SCHEMA
from tests.unit.s3.conftest import BUCKET, Shelf
from tests.unit.s3.test_versions import everything, ids

PROTECTED = "AccessDenied: Access Denied because object protected by object lock."
DAY_S = 86_400


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Shelf]:
    bench = Shelf(tmp_path, SCHEMA)
    bench.call(buckets.create_bucket, Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    yield bench
    bench.close()


def later(shelf: Shelf, days: float) -> datetime:
    now = datetime.fromtimestamp(shelf.clock.now_ms / 1000, UTC)
    return now + timedelta(days=days)


def configure(shelf: Shelf, **default: Any) -> None:
    wanted: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
    if default:
        wanted["Rule"] = {"DefaultRetention": default}
    shelf.call(locks.put_object_lock_configuration, Bucket=BUCKET, ObjectLockConfiguration=wanted)


def locked(shelf: Shelf, mode: str = "GOVERNANCE", days: float = 1, **params: Any) -> str:
    """A version that is retained so long."""
    version: str = shelf.call(
        objects.put_object, b"x", headers={"x-amz-trailer": "x-amz-checksum-crc32"},
        Bucket=BUCKET, Key="k",
        ObjectLockMode=mode, ObjectLockRetainUntilDate=later(shelf, days), **params,
    )["VersionId"]  # fmt: skip
    return version


def put(shelf: Shelf, **params: Any) -> str:
    version: str = shelf.put("k", b"x", **params)["VersionId"]
    return version


def retain(shelf: Shelf, version: str, mode: str = "", days: float = 0, **params: Any) -> None:
    wanted = {"Mode": mode, "RetainUntilDate": later(shelf, days)} if mode else {}
    shelf.call(
        retention.put_object_retention,
        Bucket=BUCKET, Key="k", VersionId=version, Retention=wanted, **params,
    )  # fmt: skip


def hold(shelf: Shelf, version: str, status: str) -> None:
    shelf.call(
        retention.put_object_legal_hold,
        Bucket=BUCKET, Key="k", VersionId=version, LegalHold={"Status": status},
    )  # fmt: skip


def remove(shelf: Shelf, version: str, **params: Any) -> Any:
    return shelf.call(objects.delete_object, Bucket=BUCKET, Key="k", VersionId=version, **params)


def test_a_bucket_made_with_locks_keeps_versions_for_ever(safe: Shelf) -> None:
    assert safe.call(settings.get_bucket_versioning, Bucket=BUCKET) == {"Status": "Enabled"}
    for status, code in (("Suspended", "InvalidBucketState"), ("Enabled", "")):
        wanted = {"Bucket": BUCKET, "VersioningConfiguration": {"Status": status}}
        if code:
            with pytest.raises(AwsError, match=code):
                safe.call(settings.put_bucket_versioning, **wanted)
        else:
            safe.call(settings.put_bucket_versioning, **wanted)


def test_a_bucket_that_keeps_versions_can_have_locks(shelf: Shelf) -> None:
    """s3-040: since 2023, without a token."""
    with pytest.raises(AwsError, match="ObjectLockConfigurationNotFoundError"):
        shelf.call(locks.get_object_lock_configuration, Bucket=BUCKET)
    for status in ("", "Suspended"):
        if status:
            _turn(shelf, status)
        with pytest.raises(AwsError, match="InvalidBucketState: Versioning must be 'Enabled'"):
            configure(shelf)
    _turn(shelf, "Enabled")
    configure(shelf, Mode="COMPLIANCE", Years=1)
    found = shelf.call(locks.get_object_lock_configuration, Bucket=BUCKET)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}
    assert found["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled", "Rule": rule}


def _turn(shelf: Shelf, status: str) -> None:
    wanted = {"Status": status}
    shelf.call(settings.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration=wanted)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, "MalformedXML"),
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
        ({"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}, "MalformedXML"),
        ({"Rule": {}}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
        ({"Mode": "governance", "Days": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": -1}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": 101}, "InvalidRetentionPeriod"),
    ],
)
def test_configurations_that_are_none(safe: Shelf, wanted: dict[str, Any], code: str) -> None:
    if "Mode" in wanted:
        wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": wanted}}
    with pytest.raises(AwsError, match=code):
        safe.call(
            locks.put_object_lock_configuration, Bucket=BUCKET, ObjectLockConfiguration=wanted
        )


def test_retained_versions_stay_until_their_time(safe: Shelf) -> None:
    for mode, bypass in (("GOVERNANCE", False), ("COMPLIANCE", True)):
        version = put(safe)
        retain(safe, version, mode, 2)
        with pytest.raises(AwsError, match=PROTECTED):
            remove(safe, version, BypassGovernanceRetention=bypass)
        safe.clock.advance(2 * DAY_S)
        assert remove(safe, version) == {"VersionId": version}


def test_governance_can_be_bypassed(safe: Shelf) -> None:
    version = put(safe)
    retain(safe, version, "GOVERNANCE", 2)
    with pytest.raises(AwsError, match=PROTECTED):
        retain(safe, version, "GOVERNANCE", 1)
    with pytest.raises(AwsError, match=PROTECTED):
        retain(safe, version, "COMPLIANCE", 2)
    retain(safe, version, "GOVERNANCE", 3)  # longer is always possible
    retain(safe, version, "GOVERNANCE", 1, BypassGovernanceRetention=True)
    retain(safe, version, BypassGovernanceRetention=True)  # no retention at all
    with pytest.raises(AwsError, match="NoSuchObjectLockConfiguration"):
        safe.call(retention.get_object_retention, Bucket=BUCKET, Key="k")
    retain(safe, version, "GOVERNANCE", 2)
    remove(safe, version, BypassGovernanceRetention=True)


def test_compliance_only_grows(safe: Shelf) -> None:
    version = put(safe)
    retain(safe, version, "COMPLIANCE", 2)
    for wanted in (("COMPLIANCE", 1), ("GOVERNANCE", 3), ()):
        with pytest.raises(AwsError, match=PROTECTED):
            retain(safe, version, *wanted, BypassGovernanceRetention=True)
    retain(safe, version, "COMPLIANCE", 4)
    got = safe.call(retention.get_object_retention, Bucket=BUCKET, Key="k")["Retention"]
    assert got == {"Mode": "COMPLIANCE", "RetainUntilDate": later(safe, 4).timestamp()}


def test_a_legal_hold_has_no_end_and_no_bypass(safe: Shelf) -> None:
    version = put(safe)
    with pytest.raises(AwsError, match="NoSuchObjectLockConfiguration"):
        safe.call(retention.get_object_legal_hold, Bucket=BUCKET, Key="k")
    with pytest.raises(AwsError, match="MalformedXML"):
        hold(safe, version, "on")
    hold(safe, version, "ON")
    retain(safe, version, "GOVERNANCE", 1)
    safe.clock.advance(1000 * DAY_S)
    with pytest.raises(AwsError, match=PROTECTED):
        remove(safe, version, BypassGovernanceRetention=True)
    hold(safe, version, "OFF")
    got = safe.call(retention.get_object_legal_hold, Bucket=BUCKET, Key="k")
    assert got == {"LegalHold": {"Status": "OFF"}}
    remove(safe, version)


def test_markers_and_new_versions_are_welcome(safe: Shelf) -> None:
    version = put(safe)
    hold(safe, version, "ON")
    newer = put(safe)
    marker = safe.call(objects.delete_object, Bucket=BUCKET, Key="k")["VersionId"]
    for operation in (retention.get_object_retention, retention.get_object_legal_hold):
        with pytest.raises(AwsError, match="MethodNotAllowed"):
            safe.call(operation, Bucket=BUCKET, Key="k", VersionId=marker)
    remove(safe, marker)
    remove(safe, newer)
    assert ids(everything(safe)) == [("k", version, True)]


def test_each_version_of_a_bulk_deletion_for_itself(safe: Shelf) -> None:
    kept, free = put(safe), put(safe)
    retain(safe, kept, "GOVERNANCE", 1)
    named = {"Objects": [{"Key": "k", "VersionId": each} for each in (kept, free)]}
    answer = safe.call(bulk.delete_objects, Bucket=BUCKET, Delete=named)
    assert answer["Deleted"] == [{"Key": "k", "VersionId": free}]
    assert [(each["VersionId"], each["Code"]) for each in answer["Errors"]] == [
        (kept, "AccessDenied")
    ]
    params = {"Bucket": BUCKET, "Delete": named, "BypassGovernanceRetention": True}
    user = _user("s3:DeleteObjectVersion")  # who may delete, but not bypass
    assert len(safe.call(bulk.delete_objects, caller=user, **params)["Errors"]) == 2
    assert "Errors" not in safe.call(bulk.delete_objects, **params)


def _user(*actions: str) -> Caller:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return Caller("user", "arn:aws:iam::000000000000:user/u", "000000000000", policies=(policy,))


def test_only_buckets_with_locks_know_them(shelf: Shelf) -> None:
    version = put_plain(shelf)
    for value in (True, False):
        with pytest.raises(AwsError, match="only applicable to Object Lock enabled buckets"):
            remove(shelf, version, BypassGovernanceRetention=value)
    emptied = shelf.call(
        bulk.delete_objects,
        Bucket=BUCKET, Delete={"Objects": [{"Key": "other"}]}, BypassGovernanceRetention=True,
    )  # fmt: skip
    assert "Errors" not in emptied
    for change in (lambda: retain(shelf, version, "GOVERNANCE", 1), lambda: hold(shelf, "", "ON")):
        with pytest.raises(AwsError, match="Bucket is missing Object Lock Configuration"):
            change()


def put_plain(shelf: Shelf) -> str:
    shelf.put("k", b"x")
    return "null"


def test_defaults_of_the_bucket(safe: Shelf) -> None:
    configure(safe, Mode="GOVERNANCE", Days=3)
    with pytest.raises(AwsError, match=r"required for Put Object requests"):
        put(safe)
    version = locked(safe, "COMPLIANCE", 1)
    assert safe.get("k", VersionId=version)["ObjectLockMode"] == "COMPLIANCE"
    safe.call(copying.copy_object, Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/k")
    head = safe.get("copy")
    assert head["ObjectLockMode"] == "GOVERNANCE"  # a copy has the default, not its source's
    assert head["ObjectLockRetainUntilDate"] == later(safe, 3).timestamp()


def test_what_is_to_be_locked_brings_a_digest(safe: Shelf) -> None:
    """s3-042: of single puts and of parts."""
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later(safe, 1)}
    for wanted in (lock, {"ObjectLockLegalHoldStatus": "ON"}):
        with pytest.raises(AwsError, match=r"InvalidRequest: Content-MD5 OR x-amz-checksum-"):
            put(safe, **wanted)
    upload = safe.start("k", ObjectLockLegalHoldStatus="ON")
    part = {"Bucket": BUCKET, "Key": "k", "UploadId": upload, "PartNumber": 1}
    with pytest.raises(AwsError, match="required for Put Part requests"):
        safe.call(multipart.upload_part, b"x", **part)
    trailer = {"x-amz-trailer": "x-amz-checksum-crc32"}
    etag = safe.call(multipart.upload_part, b"x", headers=trailer, **part)["ETag"]
    done = safe.complete("k", upload, [{"PartNumber": 1, "ETag": etag}])
    with pytest.raises(AwsError, match=PROTECTED):
        remove(safe, done["VersionId"])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"ObjectLockMode": "GOVERNANCE"}, "must both be supplied"),
        ({"ObjectLockRetainUntilDate": 1}, "must both be supplied"),
        ({"ObjectLockMode": "SOFT", "ObjectLockRetainUntilDate": 1}, "Unknown wormMode directive"),
        ({"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": 0}, "in the future!"),
        ({"ObjectLockLegalHoldStatus": "on"}, "Legal Hold must be either of 'ON' or 'OFF'"),
        ({"ObjectLockEventHold": "ON"}, "event holds is not implemented"),
    ],
)
def test_locks_that_are_none(safe: Shelf, wanted: dict[str, Any], message: str) -> None:
    if "ObjectLockRetainUntilDate" in wanted:
        wanted["ObjectLockRetainUntilDate"] = later(safe, wanted["ObjectLockRetainUntilDate"])
    for write in (safe.put, safe.start):
        with pytest.raises(AwsError, match=message):
            write("k", **wanted)


def test_dates_are_repeated_as_aws_prints_them(safe: Shelf) -> None:
    """s3-041: a date that is past comes back in Seattle's time."""
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)}
    put(safe)
    with pytest.raises(AwsError, match="in the future!") as caught:
        safe.call(retention.put_object_retention, Bucket=BUCKET, Key="k", Retention=past)
    assert caught.value.fields == {
        "ArgumentName": "RetainUntilDate",
        "ArgumentValue": "Tue Dec 31 16:00:00 PST 2019",
    }


def test_locks_are_shown_to_those_who_may_see_them(safe: Shelf) -> None:
    locked(safe, ObjectLockLegalHoldStatus="ON")
    seen = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
    for actions, expected in (
        (["s3:GetObject"], ()),
        (["s3:GetObject", "s3:GetObjectLegalHold"], seen[2:]),
        (["s3:GetObject", "s3:GetObjectRetention"], seen[:2]),
        (["s3:*"], seen),
    ):
        head = safe.call(reading.head_object, caller=_user(*actions), Bucket=BUCKET, Key="k")
        assert tuple(name for name in seen if name in head) == expected


def test_lifecycle_rules_pass_over_what_is_locked(safe: Shelf) -> None:
    kept, _, free, _ = put(safe), put(safe), put(safe), put(safe)
    hold(safe, kept, "ON")
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
    safe.call(
        lifecycle.put_bucket_lifecycle_configuration,
        Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]},
    )  # fmt: skip
    safe.clock.advance(3 * DAY_S)
    assert asyncio.run(sweep.sweep_lifecycle(safe.cloud)) == 2
    assert kept in [each[1] for each in ids(everything(safe))]
    assert free not in [each[1] for each in ids(everything(safe))]


def test_lifecycle_rules_wait_for_the_end_of_locks(safe: Shelf) -> None:
    """Each version goes with the first sweep after its lock, whatever its mode."""
    governed, compliant = locked(safe, days=5), locked(safe, "COMPLIANCE", 10)
    held, current = locked(safe, days=5), put(safe)
    hold(safe, held, "ON")
    expired = {"NoncurrentDays": 1}
    rule = {"ID": "o", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": expired}
    safe.call(
        lifecycle.put_bucket_lifecycle_configuration,
        Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]},
    )  # fmt: skip
    left = []
    for days in (3, 3, 5, 100):
        safe.clock.advance(days * DAY_S)
        asyncio.run(sweep.sweep_lifecycle(safe.cloud))
        left.append({each[1] for each in ids(everything(safe))})
    assert left[0] == {governed, compliant, held, current}
    assert left[1] == {compliant, held, current}
    assert left[2] == left[3] == {held, current}
    hold(safe, held, "OFF")
    asyncio.run(sweep.sweep_lifecycle(safe.cloud))
    assert {each[1] for each in ids(everything(safe))} == {current}


def test_permissions(safe: Shelf) -> None:
    lock = {
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": later(safe, 2),
        "ObjectLockLegalHoldStatus": "ON",
    }
    params = {"Bucket": BUCKET, "Key": "k"}
    needs = permissions.requirements(safe.made(operation="PutObject", **params, **lock))
    actions = ["s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"]
    assert [need.action for need in needs] == actions
    assert needs[0].context == {
        "s3:object-lock-mode": "GOVERNANCE",
        "s3:object-lock-legal-hold": "ON",
        "s3:object-lock-retain-until-date": later(safe, 2).isoformat(),
        "s3:object-lock-remaining-retention-days": "2",
    }
    wanted = {"Mode": "COMPLIANCE", "RetainUntilDate": later(safe, 1.5)}
    call = safe.made(
        operation="PutObjectRetention", Retention=wanted, BypassGovernanceRetention=True, **params
    )
    needs = permissions.requirements(call)
    assert [need.action for need in needs] == [
        "s3:PutObjectRetention",
        "s3:BypassGovernanceRetention",
    ]
    assert needs[0].context["s3:object-lock-mode"] == "COMPLIANCE"
    assert needs[0].context["s3:object-lock-remaining-retention-days"] == "2"
    made = safe.made(operation="CreateBucket", Bucket="b", ObjectLockEnabledForBucket=True)
    assert [need.action for need in permissions.requirements(made)] == [
        "s3:CreateBucket",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketVersioning",
    ]


def test_dates_at_the_ends_of_time(safe: Shelf) -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    with pytest.raises(AwsError, match="must be in the future"):
        safe.put("k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=first)
    last = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
    keys = locks.condition_keys({"ObjectLockRetainUntilDate": last}, 0)
    assert keys["s3:object-lock-retain-until-date"].startswith("9999-12-31")
