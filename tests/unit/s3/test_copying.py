"""Copies share bytes; attributes follow the directives."""

import hashlib
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import copying, faults, objects
from tests.unit.s3.conftest import Shelf

BIG = bytes(range(256)) * 1024


def copy(shelf: Shelf, source: Any, key: str, **params: Any) -> Any:
    output = shelf.call(copying.copy_object, Bucket="shelf", Key=key, CopySource=source, **params)
    return output["CopyObjectResult"]


@pytest.mark.parametrize("body", [b"", b"small", BIG])
def test_copies_outlive_their_source(shelf: Shelf, body: bytes) -> None:
    etag = shelf.put("a b", body, ContentType="text/x", Metadata={"m": "1"}, Tagging="t=1")["ETag"]
    files = shelf.files()
    assert copy(shelf, "shelf/a%20b", "copy")["ETag"] == etag
    assert shelf.files() == files
    shelf.call(objects.delete_object, Bucket="shelf", Key="a b")
    got = shelf.get("copy")
    assert got["Body"] == body
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/x", {"m": "1"}, 1)
    shelf.call(objects.delete_object, Bucket="shelf", Key="copy")
    assert shelf.files() == []


def test_directives_replace(shelf: Shelf) -> None:
    shelf.put("a", BIG, ContentType="text/x", Metadata={"m": "1"}, Tagging="t=1")
    copy(
        shelf, "shelf/a", "a", MetadataDirective="REPLACE", TaggingDirective="REPLACE",
        Metadata={"n": "2"}, Tagging="u=1&v=2",
    )  # fmt: skip
    got = shelf.get("a")
    assert (got["Body"], got["Metadata"], got["TagCount"]) == (BIG, {"n": "2"}, 2)
    assert got["ContentType"] == "binary/octet-stream"
    assert len(shelf.files()) == 1


def test_copying_to_itself_must_change_something(shelf: Shelf) -> None:
    shelf.put("a", b"1")
    with pytest.raises(AwsError, match="illegal because it is trying to copy an object to itself"):
        copy(shelf, {"Bucket": "shelf", "Key": "a"}, "a")


def test_another_checksum_is_computed(shelf: Shelf) -> None:
    shelf.put("a", BIG)
    result = copy(shelf, "shelf/a", "b", ChecksumAlgorithm="SHA256")
    assert (
        result["ChecksumSHA256"]
        == shelf.put("c", BIG, ChecksumAlgorithm="SHA256")["ChecksumSHA256"]
    )


def test_copies_of_multipart_objects_have_one_part(shelf: Shelf) -> None:
    upload = shelf.start("a")
    etag = shelf.part("a", upload, 1, BIG)["ETag"]
    shelf.complete("a", upload, [{"PartNumber": 1, "ETag": etag}])
    assert copy(shelf, "shelf/a", "b")["ETag"] == f'"{hashlib.md5(BIG).hexdigest()}"'


def test_s3_015_redirects_are_not_copied(shelf: Shelf) -> None:
    shelf.put("a", b"", WebsiteRedirectLocation="/b")
    copy(shelf, "shelf/a", "c")
    assert "WebsiteRedirectLocation" not in shelf.get("c")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"CopySourceIfMatch": '"x"'}, "PreconditionFailed"),
        ({"CopySourceIfNoneMatch": "*"}, "PreconditionFailed"),
        ({"MetadataDirective": "MAYBE"}, "InvalidArgument"),
        ({"IfMatch": '"x"'}, "NoSuchKey"),
        ({"ExpectedSourceBucketOwner": "1"}, "AccessDenied"),
        ({"ChecksumAlgorithm": "CRC1"}, "InvalidRequest"),
    ],
)
def test_refusals(shelf: Shelf, params: dict[str, str], code: str) -> None:
    shelf.put("a", b"1")
    with pytest.raises(AwsError, match=code):
        copy(shelf, "shelf/a", "b", **params)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("nokey", "InvalidArgument"),
        ("shelf/a?versionId=7", "InvalidArgument"),
        ("shelf/missing", "NoSuchKey"),
        ("nowhere/a", "NoSuchBucket"),
    ],
)
def test_bad_sources(shelf: Shelf, source: str, code: str) -> None:
    shelf.put("a", b"1")

    def elsewhere(params: dict[str, str]) -> None:
        raise faults.no_such_bucket(params["Bucket"])

    shelf.answers["HeadObject"] = elsewhere
    with pytest.raises(AwsError, match=code):
        copy(shelf, source, "b")


def test_a_source_that_changes_meanwhile_is_read_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("a", BIG)
    check, seen, changed = copying._check_unchanged, [], copying._Changed

    def first_changed(call: Any, tx: Any, record: Any) -> None:
        if not seen:
            seen.append(record.version)
            raise changed
        check(call, tx, record)

    monkeypatch.setattr(copying, "_check_unchanged", first_changed)
    copy(shelf, "shelf/a", "b")
    assert shelf.get("b")["Body"] == BIG
    assert len(seen) == 1
