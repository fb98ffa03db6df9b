"""Conditional writes, deletions and reads beyond plain matches."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import bulk, completion, copying, objects, permissions, reading, tagging
from tests.unit.s3.conftest import BUCKET, Shelf
from tests.unit.s3.test_versions import delete, turn

MEANS = "A header you provided implies functionality that is not implemented"
VALUE = "We don't accept the provided value of {} header for this API"


@pytest.mark.parametrize(
    ("params", "header", "message"),
    [
        ({"IfMatch": "*"}, "If-Match", VALUE.format("If-Match")),
        ({"IfNoneMatch": "x"}, "If-None-Match", VALUE.format("If-None-Match")),
        (
            {"IfMatch": "x", "IfNoneMatch": "x"},
            "If-Match,If-None-Match",
            "Multiple conditional request headers present in the request",
        ),
    ],
)
def test_conditions_that_writes_can_not_have(
    shelf: Shelf, params: dict[str, str], header: str, message: str
) -> None:
    upload = shelf.start("k")
    source = {"CopySource": f"{BUCKET}/other"}
    for operation, more in (
        (objects.put_object, {}),
        (copying.copy_object, source),
        (completion.complete_multipart_upload, {"UploadId": upload}),
    ):
        with pytest.raises(AwsError, match=MEANS) as caught:
            shelf.call(operation, Bucket=BUCKET, Key="k", **more, **params)
        assert caught.value.status == 501
        assert caught.value.fields == {"Header": header, "additionalMessage": message}


def test_markers_count_as_nothing(shelf: Shelf) -> None:
    turn(shelf, "Enabled")
    etag = shelf.put("k", b"1")["ETag"]
    delete(shelf)
    for condition in (etag, "0"):
        with pytest.raises(AwsError, match="NoSuchKey"):
            shelf.put("k", b"2", IfMatch=condition)
        with pytest.raises(AwsError, match="NoSuchKey"):
            delete(shelf, IfMatch=condition)
    shelf.put("k", b"2", IfNoneMatch="*")


def test_deletions_compare_the_current_version(shelf: Shelf) -> None:
    turn(shelf, "Enabled")
    old, new = shelf.put("k", b"1"), shelf.put("k", b"2")
    for condition in (old["ETag"], '"0"'):
        with pytest.raises(AwsError, match="PreconditionFailed"):
            delete(shelf, VersionId=old["VersionId"], IfMatch=condition)
    named = [{"Key": "k", "ETag": each} for each in (old["ETag"], new["ETag"])]
    answer = shelf.call(bulk.delete_objects, Bucket=BUCKET, Delete={"Objects": named})
    assert [each["Code"] for each in answer["Errors"]] == ["PreconditionFailed"]
    assert len(answer["Deleted"]) == 1
    shelf.put("k", b"3")
    assert delete(shelf, IfMatch="*")["DeleteMarker"]


def test_headers_of_directory_buckets_are_named(shelf: Shelf) -> None:
    """s3-018: the first of them that came."""
    for params, header in (
        ({"IfMatchSize": 1}, "x-amz-if-match-size"),
        ({"IfMatchSize": 1, "IfMatchLastModifiedTime": 1}, "x-amz-if-match-last-modified-time"),
    ):
        with pytest.raises(AwsError, match=MEANS) as caught:
            delete(shelf, **params)
        assert caught.value.fields == {"Header": header}


def test_an_upload_whose_key_changed_meanwhile(shelf: Shelf) -> None:
    """s3-044: also by a write of the same bytes, also by a copy or another upload."""

    def put() -> Any:
        return shelf.put("k", b"1")

    def copy() -> Any:
        again = {"CopySource": f"{BUCKET}/k", "MetadataDirective": "REPLACE"}
        return shelf.call(copying.copy_object, Bucket=BUCKET, Key="k", **again)

    etag = put()["ETag"]
    for change in (put, copy, lambda: delete(shelf) or put()):
        upload = shelf.start("k")
        parts = [{"PartNumber": 1, "ETag": shelf.part("k", upload, 1, b"p")["ETag"]}]
        change()
        with pytest.raises(AwsError, match="ConditionalRequestConflict") as caught:
            shelf.complete("k", upload, parts, IfMatch=etag)
        assert caught.value.status == 409
        assert caught.value.fields == {"Condition": "If-Match", "Key": "k"}
    upload = shelf.start("k")
    parts = [{"PartNumber": 1, "ETag": shelf.part("k", upload, 1, b"p")["ETag"]}]
    shelf.put("other", b"1")
    shelf.complete("k", upload, parts, IfMatch=etag)


def test_dates_to_come_say_nothing(shelf: Shelf) -> None:
    """s3-048: of reads and of the sources of copies."""
    shelf.put("k", b"1")
    now = datetime.fromtimestamp(shelf.clock.now_ms / 1000, UTC)
    head = {"Bucket": BUCKET, "Key": "k"}
    with pytest.raises(AwsError, match="NotModified"):
        shelf.call(reading.head_object, IfModifiedSince=now, **head)
    later = now + timedelta(days=1)
    shelf.call(reading.head_object, IfModifiedSince=later, **head)
    copy = {"Bucket": BUCKET, "Key": "c", "CopySource": f"{BUCKET}/k"}
    with pytest.raises(AwsError, match="PreconditionFailed"):
        shelf.call(copying.copy_object, CopySourceIfModifiedSince=now, **copy)
    shelf.call(copying.copy_object, CopySourceIfModifiedSince=later, **copy)


def test_who_compares_etags_may_read(shelf: Shelf) -> None:
    """s3-043: a condition on an ETag asks for s3:GetObject, too; `*` doesn't."""
    for operation, action in (("PutObject", "PutObject"), ("DeleteObject", "DeleteObject")):
        for condition, more in (("*", []), ("abc", ["s3:GetObject"])):
            call = shelf.made(operation=operation, Bucket=BUCKET, Key="k", IfMatch=condition)
            needs = permissions.requirements(call)
            assert [need.action for need in needs] == [f"s3:{action}", *more]
    call = shelf.made(operation="DeleteObjects", Bucket=BUCKET)
    needs = permissions.deletion(call, {"Key": "k", "ETag": "abc"})
    assert [need.action for need in needs] == ["s3:DeleteObject", "s3:GetObject"]
    assert needs[0].context == {"s3:if-match": "abc"}


def test_tags_of_a_key_that_is_a_marker(shelf: Shelf) -> None:
    """s3-047: 405, where GET says 404."""
    turn(shelf, "Enabled")
    shelf.put("k", b"1")
    delete(shelf)
    with pytest.raises(AwsError, match="MethodNotAllowed"):
        shelf.call(tagging.get_object_tagging, Bucket=BUCKET, Key="k")
    with pytest.raises(AwsError, match="NoSuchKey"):
        shelf.get("k")
