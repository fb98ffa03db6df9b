"""Versioned buckets: what is kept, what is seen, what a deletion does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import (
    acl,
    buckets,
    bulk,
    copying,
    listing,
    notifications,
    objects,
    reading,
    settings,
    tagging,
    version_listing,
)
from cloudlet.s3.permissions import requirements
from cloudlet.s3.schema import SCHEMA
from cloudlet.s3.versions import new_id, place_of
from tests.harness import Bench
from tests.unit.s3.conftest import Shelf
from tests.unit.s3.test_listing import keys, v2

BIG = b"b" * 100_000


def turn(shelf: Shelf, status: str) -> None:
    wanted = {"Status": status}
    shelf.call(settings.put_bucket_versioning, Bucket="shelf", VersioningConfiguration=wanted)


@pytest.fixture
def kept(shelf: Shelf) -> Shelf:
    turn(shelf, "Enabled")
    return shelf


def delete(shelf: Shelf, key: str = "k", **params: Any) -> Any:
    return shelf.call(objects.delete_object, Bucket="shelf", Key=key, **params)


def everything(shelf: Shelf, **params: Any) -> Any:
    return shelf.call(version_listing.list_object_versions, Bucket="shelf", **params)


def ids(output: Any) -> list[tuple[str, str, bool]]:
    rows = [*output["Versions"], *output["DeleteMarkers"]]
    return [(row["Key"], row["VersionId"], row["IsLatest"]) for row in rows]


def test_status_is_answered(shelf: Shelf) -> None:
    assert shelf.call(settings.get_bucket_versioning, Bucket="shelf") == {}
    for status in ("Enabled", "Suspended"):
        turn(shelf, status)
        assert shelf.call(settings.get_bucket_versioning, Bucket="shelf") == {"Status": status}
    with pytest.raises(AwsError, match="MalformedXML"):
        turn(shelf, "Off")
    with pytest.raises(AwsError, match="IllegalVersioningConfiguration"):
        shelf.call(settings.put_bucket_versioning, Bucket="shelf", VersioningConfiguration={})
    wanted = {"Status": "Enabled", "MFADelete": "Enabled"}
    with pytest.raises(AwsError, match="MFA delete is not implemented"):
        shelf.call(settings.put_bucket_versioning, Bucket="shelf", VersioningConfiguration=wanted)


def test_every_write_is_kept(kept: Shelf) -> None:
    first, second = kept.put("k", b"1"), kept.put("k", BIG)
    assert first["VersionId"] != second["VersionId"]
    assert kept.get("k")["VersionId"] == second["VersionId"]
    assert kept.get("k", VersionId=first["VersionId"])["Body"] == b"1"
    assert kept.get("k", VersionId=second["VersionId"], Range="bytes=0-1")["Body"] == b"bb"
    assert (
        kept.call(reading.head_object, Bucket="shelf", Key="k", VersionId=first["VersionId"])[
            "ContentLength"
        ]
        == 1
    )
    assert ids(everything(kept)) == [
        ("k", second["VersionId"], True),
        ("k", first["VersionId"], False),
    ]
    assert keys(v2(kept)) == ["k"]


def test_without_versioning_nothing_tells_of_versions(shelf: Shelf) -> None:
    assert "VersionId" not in shelf.put("k", b"1")
    assert "VersionId" not in shelf.get("k")
    assert delete(shelf) == {}
    shelf.put("k", b"1")
    assert ids(everything(shelf)) == [("k", "null", True)]
    assert shelf.get("k", VersionId="null")["Body"] == b"1"
    delete(shelf, VersionId="null")
    assert ids(everything(shelf)) == []


def test_a_deletion_leaves_a_marker(kept: Shelf) -> None:
    put = kept.put("k", BIG)
    marker = delete(kept)
    assert marker["DeleteMarker"] is True
    assert keys(v2(kept)) == []
    with pytest.raises(AwsError, match="NoSuchKey") as gone:
        kept.get("k")
    assert gone.value.fields["_headers"] == [
        ("x-amz-delete-marker", "true"),
        ("x-amz-version-id", marker["VersionId"]),
    ]
    assert kept.get("k", VersionId=put["VersionId"])["Body"] == BIG
    again = delete(kept)
    assert again["VersionId"] != marker["VersionId"]
    assert ids(everything(kept)) == [
        ("k", put["VersionId"], False),
        ("k", again["VersionId"], True),
        ("k", marker["VersionId"], False),
    ]


def test_a_marker_itself_cannot_be_read(kept: Shelf) -> None:
    """s3-016: 405, and headers that say what it is."""
    marker = delete(kept, "never there")["VersionId"]
    for operation in (
        reading.get_object,
        reading.head_object,
        reading.get_object_attributes,
        tagging.get_object_tagging,
        acl.get_object_acl,
    ):
        with pytest.raises(AwsError, match="MethodNotAllowed") as refused:
            kept.call(operation, Bucket="shelf", Key="never there", VersionId=marker)
        assert refused.value.status == 405
        headers = dict(refused.value.fields["_headers"])
        assert headers["x-amz-delete-marker"] == "true"
        assert headers["Allow"] == "DELETE"


def test_removing_the_marker_brings_the_object_back(kept: Shelf) -> None:
    put = kept.put("k", b"1")
    marker = delete(kept)["VersionId"]
    assert delete(kept, VersionId=marker) == {"VersionId": marker, "DeleteMarker": True}
    assert kept.get("k")["VersionId"] == put["VersionId"]
    assert keys(v2(kept)) == ["k"]


def test_removing_versions_for_good(kept: Shelf) -> None:
    first, second = kept.put("k", BIG)["VersionId"], kept.put("k", BIG)["VersionId"]
    assert delete(kept, VersionId=second) == {"VersionId": second}
    assert kept.get("k")["VersionId"] == first
    assert len(kept.files()) == 1
    assert delete(kept, VersionId=second) == {"VersionId": second}  # nothing there: fine
    delete(kept, VersionId=first)
    assert kept.files() == []
    assert ids(everything(kept)) == []
    with pytest.raises(AwsError, match="NoSuchVersion"):
        kept.get("k", VersionId=first)


def test_the_null_version_while_suspended(shelf: Shelf) -> None:
    shelf.put("k", b"before")
    turn(shelf, "Enabled")
    kept = shelf.put("k", b"kept")["VersionId"]
    assert ids(everything(shelf)) == [("k", kept, True), ("k", "null", False)]
    turn(shelf, "Suspended")
    assert "VersionId" not in shelf.put("k", BIG)  # s3-017
    again = {"CopySource": "shelf/k", "MetadataDirective": "REPLACE"}
    assert shelf.call(copying.copy_object, Bucket="shelf", Key="k", **again)["VersionId"] == "null"
    assert shelf.get("k")["VersionId"] == "null"
    assert shelf.get("k", VersionId="null")["Body"] == BIG
    assert ids(everything(shelf)) == [("k", "null", True), ("k", kept, False)]
    assert delete(shelf) == {"VersionId": "null", "DeleteMarker": True}
    assert shelf.files() == []
    assert ids(everything(shelf)) == [("k", kept, False), ("k", "null", True)]
    assert delete(shelf) == {"VersionId": "null", "DeleteMarker": True}
    shelf.put("k", b"new")
    assert ids(everything(shelf)) == [("k", "null", True), ("k", kept, False)]


@pytest.mark.parametrize("wrong", ["", "nonsense", "0" * 31])
def test_ids_are_checked(kept: Shelf, wrong: str) -> None:
    kept.put("k", b"1")
    with pytest.raises(AwsError, match="InvalidArgument"):
        kept.get("k", VersionId=wrong)
    with pytest.raises(AwsError, match="InvalidArgument"):
        delete(kept, VersionId=wrong)


def test_ids_hide_their_place(kept: Shelf) -> None:
    assert [place_of(new_id(kept.config, place)) for place in (1, 2, 1 << 40)] == [1, 2, 1 << 40]


def test_bulk_deletion(kept: Shelf) -> None:
    version = kept.put("a", b"1")["VersionId"]
    wanted = [{"Key": "a"}, {"Key": "a", "VersionId": version}, {"Key": "a", "VersionId": "x"}]
    output = kept.call(bulk.delete_objects, Bucket="shelf", Delete={"Objects": wanted})
    marked, removed = output["Deleted"]
    assert marked["DeleteMarker"] is True and "VersionId" not in marked
    assert removed == {"Key": "a", "VersionId": version}
    assert output["Errors"][0]["VersionId"] == "x"
    unmark = [{"Key": "a", "VersionId": marked["DeleteMarkerVersionId"]}]
    output = kept.call(bulk.delete_objects, Bucket="shelf", Delete={"Objects": unmark})
    marker = marked["DeleteMarkerVersionId"]
    told = {"VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker}
    assert output["Deleted"] == [{"Key": "a", **told}]


def copy(shelf: Shelf, source: str, **params: Any) -> Any:
    return shelf.call(copying.copy_object, Bucket="shelf", CopySource=f"shelf/{source}", **params)


def test_copies_of_versions(kept: Shelf) -> None:
    first = kept.put("k", BIG)["VersionId"]
    kept.put("k", b"2")
    restored = copy(kept, f"k?versionId={first}", Key="k")
    assert restored["CopySourceVersionId"] == first
    assert kept.get("k")["Body"] == BIG
    assert kept.get("k")["VersionId"] == restored["VersionId"]
    assert len(kept.files()) == 1
    marker = delete(kept)["VersionId"]
    with pytest.raises(AwsError, match="NoSuchKey"):
        copy(kept, "k", Key="other")
    with pytest.raises(AwsError, match="InvalidRequest"):
        copy(kept, f"k?versionId={marker}", Key="other")
    with pytest.raises(AwsError, match="NoSuchVersion"):
        copy(kept, f"k?versionId={new_id(kept.config, 99)}", Key="other")


def test_multipart_makes_a_version(kept: Shelf) -> None:
    before = kept.put("k", b"1")["VersionId"]
    upload = kept.start("k")
    part = kept.call(
        copying.upload_part_copy, Bucket="shelf", Key="k", UploadId=upload, PartNumber=1,
        CopySource=f"shelf/k?versionId={before}",
    )  # fmt: skip
    assert part["CopySourceVersionId"] == before
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    done = kept.complete("k", upload, parts)
    assert kept.get("k")["VersionId"] == done["VersionId"] != before
    assert kept.complete("k", upload, parts)["VersionId"] == done["VersionId"]  # asked again


def test_conditions_look_at_the_current_version(kept: Shelf) -> None:
    put = kept.put("k", b"1", IfNoneMatch="*")
    with pytest.raises(AwsError, match="PreconditionFailed"):
        kept.put("k", b"2", IfNoneMatch="*")
    delete(kept)
    with pytest.raises(AwsError, match="NoSuchKey"):
        kept.put("k", b"2", IfMatch=put["ETag"])
    kept.put("k", b"3", IfNoneMatch="*")
    assert len(ids(everything(kept))) == 3


def test_tags_are_of_versions(kept: Shelf) -> None:
    first = kept.put("k", b"1", Tagging="a=1")["VersionId"]
    second = kept.put("k", b"2")["VersionId"]
    tags = {"TagSet": [{"Key": "a", "Value": "2"}]}
    named = {"Bucket": "shelf", "Key": "k", "VersionId": first}
    assert kept.call(tagging.put_object_tagging, **named, Tagging=tags) == {"VersionId": first}
    assert kept.call(tagging.get_object_tagging, **named)["TagSet"] == tags["TagSet"]
    current = kept.call(tagging.get_object_tagging, Bucket="shelf", Key="k")
    assert current == {"TagSet": [], "VersionId": second}
    assert kept.call(tagging.delete_object_tagging, **named) == {"VersionId": first}
    assert kept.call(tagging.get_object_tagging, **named)["TagSet"] == []


def test_a_bucket_goes_when_its_last_version_has_gone(kept: Shelf) -> None:
    marker = delete(kept)["VersionId"]
    with pytest.raises(AwsError, match="You must delete all versions in the bucket"):
        kept.call(buckets.delete_bucket, Bucket="shelf")
    delete(kept, VersionId=marker)
    kept.call(buckets.delete_bucket, Bucket="shelf")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages(kept: Shelf, size: int, delimiter: str) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        for _ in range(3):
            kept.put(key, b"1")
    delete(kept, "a"), delete(kept, "c")
    whole = everything(kept, Delimiter=delimiter)
    seen: list[Any] = []
    more: dict[str, str] = {}
    while True:
        page = everything(kept, MaxKeys=size, Delimiter=delimiter, **more)
        found = [*page["Versions"], *page["DeleteMarkers"], *page["CommonPrefixes"]]
        assert len(found) <= size
        seen += found
        if not page["IsTruncated"]:
            break
        assert len(found) == size
        more = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            more["VersionIdMarker"] = page["NextVersionIdMarker"]
    wanted = [*whole["Versions"], *whole["DeleteMarkers"], *whole["CommonPrefixes"]]
    assert sorted(map(str, seen)) == sorted(map(str, wanted))
    assert len(wanted) == (14 if not delimiter else 9)


def test_pages_while_deleting(kept: Shelf) -> None:
    """The marker of the next page may be gone: its id still says where it was."""
    for _ in range(5):
        kept.put("k", b"1")
    more: dict[str, str] = {}
    while True:
        page = everything(kept, MaxKeys=2, **more)
        for each in page["Versions"]:
            delete(kept, VersionId=each["VersionId"])
        if not page["IsTruncated"]:
            break
        more = {"KeyMarker": "k", "VersionIdMarker": page["NextVersionIdMarker"]}
    assert ids(everything(kept)) == []
    with pytest.raises(AwsError, match="without a key marker"):
        everything(kept, VersionIdMarker="null")


def test_events_tell_versions(kept: Shelf) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    kept.call(
        notifications.put_bucket_notification_configuration,
        Bucket="shelf",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": events}],
            "EventBridgeConfiguration": {},
        },
    )
    put = kept.put("k", b"1")["VersionId"]
    marker = delete(kept)["VersionId"]
    delete(kept, VersionId=put)
    documents = [orjson.loads(fact.payload) for fact in kept.facts()]
    records = [each["Records"][0] for each in documents if "Records" in each]
    assert [(each["eventName"], each["s3"]["object"]["versionId"]) for each in records] == [
        ("ObjectCreated:Put", put),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", put),
    ]
    details = [each["detail"] for each in documents if "detail" in each]
    assert [each.get("deletion-type") for each in details] == [
        None,
        "Delete Marker Created",
        "Permanently Deleted",
    ]


@pytest.mark.parametrize(
    ("operation", "params", "actions"),
    [
        ("GetObject", {}, ["s3:GetObjectVersion"]),
        ("DeleteObject", {}, ["s3:DeleteObjectVersion"]),
        ("PutObjectTagging", {}, ["s3:PutObjectVersionTagging"]),
        ("GetObjectAttributes", {}, ["s3:GetObjectVersion", "s3:GetObjectVersionAttributes"]),
        ("CopyObject", {"CopySource": "a/b?versionId=null"},
         ["s3:PutObject", "s3:GetObjectVersion"]),
        ("ListObjectVersions", {}, ["s3:ListBucketVersions"]),
    ],
)  # fmt: skip
def test_permissions(
    shelf: Shelf, operation: str, params: dict[str, Any], actions: list[str]
) -> None:
    named = {"Bucket": "shelf", "Key": "k", "VersionId": "null"}
    if operation == "CopyObject":
        del named["VersionId"]
        params = {"CopySource": "shelf/b?versionId=null"}
    needed = requirements(shelf.made(operation=operation, **named, **params))
    assert [each.action for each in needed] == actions


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Bench]:
    """A database as it was before there were versions."""
    before = [part for part in SCHEMA.split("\n\n") if "s3_version" not in part]
    schema = "\n".join(
        line for line in "\n".join(before).splitlines() if not line.startswith("ALTER TABLE")
    )
    bench = Shelf(tmp_path, schema)
    bench.database.write_now(
        lambda tx: [
            tx.run("INSERT INTO s3_bucket (name, region, created_ms) VALUES ('shelf', 'r', 1)"),
            tx.run("INSERT INTO s3_content (data) VALUES (x'6f6c64')"),
            tx.run(
                "INSERT INTO s3_object (bucket, key, size, etag, modified_ms, version, checksum,"
                " content, tags, headers, metadata, parts, segments) VALUES (1, 'k', 3, 'e', 1, 1,"
                """ '["CRC32", "FULL_OBJECT", "v"]', 1, '{}', '{}', '{}', '[]', '[]')"""
            ),
        ]
    )
    bench.close()
    yield bench


def test_older_databases_are_brought_up_to_date(old: Bench) -> None:
    for _ in range(2):
        shelf = Shelf(old.config.data, SCHEMA)
        assert shelf.get("k", VersionId="null")["Body"] == b"old"
        assert keys(v2(shelf)) == ["k"]
        shelf.close()
    shelf = Shelf(old.config.data, SCHEMA)
    turn(shelf, "Enabled")
    shelf.put("k", b"new")
    assert [each[1] for each in ids(everything(shelf))][1] == "null"
    assert shelf.call(listing.list_objects, Bucket="shelf")["Contents"][0]["Size"] == 3
    shelf.close()
