"""Small things that AWS was seen to do, other than one would think."""

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from cloudlet.call import ANONYMOUS, Result
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.s3 import buckets, listing, locks, tagging
from cloudlet.s3.copying import source_of
from cloudlet.wire.digests import check_md5
from cloudlet.wire.protocol import protocol
from tests.harness import ROOT
from tests.unit.s3.conftest import Shelf


def test_tokens_are_told_instead_of_keys_to_start_after(shelf: Shelf) -> None:
    """s3-091: and an empty one is none that was given."""
    for key in "ab":
        shelf.put(key)
    first = shelf.call(listing.list_objects_v2, Bucket="shelf", MaxKeys=1, StartAfter="A")
    assert first["StartAfter"] == "A"
    token = {"ContinuationToken": first["NextContinuationToken"]}
    second = shelf.call(listing.list_objects_v2, Bucket="shelf", StartAfter="A", **token)
    assert "StartAfter" not in second and len(second["Contents"]) == 1
    with pytest.raises(AwsError, match="InvalidArgument"):
        shelf.call(listing.list_objects_v2, Bucket="shelf", ContinuationToken="")


@pytest.mark.parametrize(
    ("name", "configuration", "code"),
    [
        ("new", {"Tags": [{"Key": "aws:a", "Value": "b"}]}, "InvalidTag"),  # s3-092
        ("shelf", {"Tags": [{"Key": "a", "Value": "b"}]}, "BucketAlreadyOwnedByYou"),
        ("new", {"LocationConstraint": "nowhere"}, "InvalidLocationConstraint"),
        ("new", {"LocationConstraint": ""}, "InvalidLocationConstraint"),
        ("new", {"LocationConstraint": "EU"}, "IllegalLocationConstraintException"),
    ],
)
def test_new_buckets(shelf: Shelf, name: str, configuration: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError, match=code) as refused:
        shelf.call(buckets.create_bucket, Bucket=name, CreateBucketConfiguration=configuration)
    assert "TagKey" not in refused.value.fields


def test_regions_of_listings_are_checked(shelf: Shelf) -> None:
    assert shelf.call(buckets.list_buckets, BucketRegion="eu-west-1")["Buckets"] == []
    with pytest.raises(AwsError, match="not a valid AWS Region"):
        shelf.call(buckets.list_buckets, BucketRegion="eu-east-1")


def test_keys_without_tags_are_told_with_their_bucket(shelf: Shelf) -> None:
    """s3-093"""
    with pytest.raises(AwsError, match="NoSuchKey") as refused:
        shelf.call(tagging.get_object_tagging, Bucket="shelf", Key="k")
    assert refused.value.fields["Key"] == "shelf/k"


def test_lists_are_written_last() -> None:
    """s3-094"""
    output = {"Buckets": [{"Name": "a"}], "Owner": {"ID": "b"}}
    body = protocol("s3").response("ListBuckets", Result(output), "id").body
    assert isinstance(body, bytes)
    assert body.index(b"<Owner>") < body.index(b"<Buckets>")


def test_digests_that_parts_should_have_had() -> None:
    """s3-095"""
    wanted = hashlib.md5(b"a", usedforsecurity=False).digest()
    for of_part, told in ((True, base64.b64encode(wanted).decode()), (False, wanted.hex())):
        with pytest.raises(AwsError, match="BadDigest") as refused:
            check_md5(wanted, b"other", of_part=of_part)
        assert refused.value.fields["ExpectedDigest"] == told


def test_sources_of_copies_may_be_urls(shelf: Shelf) -> None:
    """s3-098"""
    call = shelf.made(CopySource="http://localhost:4566/shelf/a%20b")
    assert source_of(call) == ("shelf", "a b", None)


def test_strangers_are_told_of_no_owners(shelf: Shelf) -> None:
    """s3-101"""
    shelf.put("k")
    for caller in (ANONYMOUS, ROOT):
        listed = shelf.call(listing.list_objects, Bucket="shelf", caller=caller)["Contents"]
        assert ("Owner" in str(listed)) == (caller is ROOT)


def test_a_lock_configuration_has_a_body(shelf: Shelf) -> None:
    """s3-103"""
    with pytest.raises(AwsError, match="MissingRequestBodyError"):
        shelf.call(locks.put_object_lock_configuration, Bucket="shelf")


def test_listings_name_the_region(shelf: Shelf) -> None:
    """s3-106"""
    for operation in (listing.list_objects, listing.list_objects_v2):
        with shelf.database.snapshot() as view:
            listed = operation(shelf.made(Bucket="shelf"), view)
        assert listed.headers == [("x-amz-bucket-region", "us-east-1")]


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/b/k?uploads", "InvalidRequest"),
        ("GET", "/b/k?versions", "InvalidRequest"),
        ("GET", "/b/k?response-other=x", "InvalidArgument"),
        ("HEAD", "/b/k?response-other=x", "InvalidArgument"),
        ("PUT", "/b/k?partNumber=1", "InvalidArgument"),
        ("GET", "/b?uploads&uploadId=x", "InvalidArgument"),
        ("GET", "/b?start-after=x", "InvalidArgument"),
        ("POST", "/", "MethodNotAllowed"),
    ],
)
def test_requests_that_are_wrong_whatever_is_there(method: str, target: str, code: str) -> None:
    """s3-107"""
    path, _, query = target.partition("?")
    request = Request(method, path, query, {}, Body.of(b""))
    with pytest.raises(AwsError, match=code) as refused:
        asyncio.run(protocol("s3").parse(request))
    assert code != "MethodNotAllowed" or refused.value.fields["ResourceType"] == "SERVICE"


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_only_copies_have_sources(method: str) -> None:
    """s3-107"""
    request = Request(method, "/b/k", "", {"x-amz-copy-source": "b/l"}, Body.of(b""))
    with pytest.raises(AwsError, match="only specify a copy source header for copy requests"):
        asyncio.run(protocol("s3").parse(request))
