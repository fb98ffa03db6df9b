"""Buckets and the settings that are answered, not acted on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import buckets, objects, settings
from tests.unit.s3.conftest import Shelf


def test_create_head_delete(shelf: Shelf) -> None:
    made = shelf.call(buckets.create_bucket, Bucket="new-one")
    assert made["Location"] == "/new-one"
    assert shelf.call(buckets.head_bucket, Bucket="new-one")["BucketRegion"] == "us-east-1"
    shelf.call(buckets.delete_bucket, Bucket="new-one")
    with pytest.raises(AwsError, match="NoSuchBucket"):
        shelf.call(buckets.head_bucket, Bucket="new-one")


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "1.2.3.4", "a..b", "-a-", "xn--abc", "abc-s3alias"],
)
def test_names_are_checked(shelf: Shelf, name: str) -> None:
    with pytest.raises(AwsError, match="InvalidBucketName"):
        shelf.call(buckets.create_bucket, Bucket=name)


def test_s3_012_creating_again_in_us_east_1_succeeds(shelf: Shelf) -> None:
    shelf.put("kept")
    shelf.call(buckets.create_bucket, Bucket="shelf")
    assert shelf.get("kept")["Body"] == b""


def test_creating_again_elsewhere_is_refused(shelf: Shelf) -> None:
    shelf.cloud.config = replace(shelf.config, region="eu-central-1")
    place = {"LocationConstraint": "eu-central-1"}
    with pytest.raises(AwsError, match="BucketAlreadyOwnedByYou") as caught:
        shelf.call(buckets.create_bucket, Bucket="shelf", CreateBucketConfiguration=place)
    assert caught.value.status == 409


def test_s3_013_us_east_1_is_not_a_constraint(shelf: Shelf) -> None:
    for place in ("us-east-1", "cn-north-1"):  # and other partitions are out of reach
        with pytest.raises(AwsError, match="InvalidLocationConstraint"):
            shelf.call(buckets.create_bucket, Bucket="other", **placed(place))


def test_s3_099_us_east_1_makes_buckets_for_all_regions(shelf: Shelf) -> None:
    made = shelf.call(buckets.create_bucket, Bucket="far", **placed("eu-west-3"))
    assert made["Location"] == "http://far.s3.amazonaws.com/"
    found = shelf.call(buckets.get_bucket_location, Bucket="far")
    assert found == {"LocationConstraint": "eu-west-3"}
    assert shelf.call(buckets.head_bucket, Bucket="far")["BucketRegion"] == "eu-west-3"
    listed = shelf.call(buckets.list_buckets, BucketRegion="eu-west-3")["Buckets"]
    assert [each["Name"] for each in listed] == ["far"]
    assert len(shelf.call(buckets.list_buckets)["Buckets"]) == 2
    with pytest.raises(AwsError, match="BucketAlreadyOwnedByYou"):
        shelf.call(buckets.create_bucket, Bucket="far", **placed("eu-west-3"))


def test_s3_099_other_regions_make_their_own(shelf: Shelf) -> None:
    shelf.cloud.config = replace(shelf.config, region="eu-west-1")
    for place in ("", "us-east-1", "eu-west-3", "nowhere"):
        with pytest.raises(AwsError, match="IllegalLocationConstraintException"):
            shelf.call(buckets.create_bucket, Bucket="other", **placed(place))
    shelf.call(buckets.create_bucket, Bucket="other", **placed("EU"))
    assert shelf.call(buckets.get_bucket_location, Bucket="other") == {"LocationConstraint": "EU"}
    assert shelf.call(buckets.head_bucket, Bucket="other")["BucketRegion"] == "eu-west-1"


def placed(place: str) -> dict[str, Any]:
    return {"CreateBucketConfiguration": {"LocationConstraint": place}} if place else {}


def test_location(shelf: Shelf) -> None:
    answer = shelf.call(buckets.get_bucket_location, Bucket="shelf")
    assert answer == {"LocationConstraint": None}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"ACL": "public-read"}, "InvalidBucketAclWithObjectOwnership"),
        ({"GrantRead": "id=1"}, "InvalidArgument"),
        ({"ACL": "nonsense"}, "InvalidArgument"),
        ({"ObjectOwnership": "Nobody"}, "InvalidArgument"),
    ],
)
def test_what_new_buckets_may_not_be(shelf: Shelf, params: dict[str, Any], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        shelf.call(buckets.create_bucket, Bucket="other", **params)


def test_only_empty_buckets_are_deleted(shelf: Shelf) -> None:
    shelf.put("a")
    with pytest.raises(AwsError, match="BucketNotEmpty"):
        shelf.call(buckets.delete_bucket, Bucket="shelf")
    shelf.call(objects.delete_object, Bucket="shelf", Key="a")
    shelf.part("b", shelf.start("b"), 1, b"part")
    shelf.call(buckets.delete_bucket, Bucket="shelf")
    assert shelf.files() == []


def test_listing_is_paged(shelf: Shelf) -> None:
    for number in range(5):
        shelf.call(buckets.create_bucket, Bucket=f"box-{number}")
    names: list[str] = []
    token: dict[str, Any] = {}
    while True:
        page = shelf.call(buckets.list_buckets, MaxBuckets=2, Prefix="box", **token)
        names += [each["Name"] for each in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert names == [f"box-{number}" for number in range(5)]
    with pytest.raises(AwsError, match="InvalidArgument"):
        shelf.call(buckets.list_buckets, MaxBuckets=0)


def test_another_owner_is_refused(shelf: Shelf) -> None:
    with pytest.raises(AwsError, match="AccessDenied"):
        shelf.call(buckets.head_bucket, Bucket="shelf", ExpectedBucketOwner="111111111111")


def test_tags(shelf: Shelf) -> None:
    tags = [{"Key": "team", "Value": "a"}]
    with pytest.raises(AwsError, match="NoSuchTagSet"):
        shelf.call(settings.get_bucket_tagging, Bucket="shelf")
    shelf.call(settings.put_bucket_tagging, Bucket="shelf", Tagging={"TagSet": tags})
    assert shelf.call(settings.get_bucket_tagging, Bucket="shelf") == {"TagSet": tags}
    with pytest.raises(AwsError, match="InvalidTag"):
        shelf.call(settings.put_bucket_tagging, Bucket="shelf", Tagging={"TagSet": tags * 2})
    shelf.call(settings.delete_bucket_tagging, Bucket="shelf")


def test_settings_survive_reopening(shelf: Shelf, tmp_path: Path) -> None:
    assert (tmp_path / "cloudlet.db").exists()
    answer = shelf.call(buckets.list_buckets)
    assert [each["Name"] for each in answer["Buckets"]] == ["shelf"]
