"""Whether buckets have ACLs, as they are created and as it is changed."""

from dataclasses import replace

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import buckets, ownership, public_access
from tests.unit.s3.conftest import Shelf


def owned(shelf: Shelf, bucket: str = "shelf") -> str:
    answer = shelf.call(ownership.get_bucket_ownership_controls, Bucket=bucket)
    [rule] = answer["OwnershipControls"]["Rules"]
    found: str = rule["ObjectOwnership"]
    return found


def own(shelf: Shelf, *wanted: str) -> None:
    rules = {"Rules": [{"ObjectOwnership": each} for each in wanted]}
    shelf.call(ownership.put_bucket_ownership_controls, Bucket="shelf", OwnershipControls=rules)


def test_enforced_unless_something_else_is_asked_for(shelf: Shelf) -> None:
    assert owned(shelf) == "BucketOwnerEnforced"
    shelf.call(buckets.create_bucket, Bucket="other", ObjectOwnership="BucketOwnerPreferred")
    assert owned(shelf, "other") == "BucketOwnerPreferred"


def test_controls_are_put_and_deleted(shelf: Shelf) -> None:
    own(shelf, "ObjectWriter")
    assert owned(shelf) == "ObjectWriter"
    for _ in range(2):
        shelf.call(ownership.delete_bucket_ownership_controls, Bucket="shelf")
        with pytest.raises(AwsError, match="OwnershipControlsNotFoundError"):
            owned(shelf)
    own(shelf, "BucketOwnerEnforced")


@pytest.mark.parametrize("wanted", [(), ("Nobody",), ("ObjectWriter", "ObjectWriter")])
def test_exactly_one_known_rule(shelf: Shelf, wanted: tuple[str, ...]) -> None:
    with pytest.raises(AwsError, match="MalformedXML"):
        own(shelf, *wanted)


def test_classic_buckets_have_acls_and_block_nothing(shelf: Shelf) -> None:
    shelf.cloud.config = replace(shelf.config, classic_buckets=True)
    shelf.call(buckets.create_bucket, Bucket="classic")
    with pytest.raises(AwsError, match="OwnershipControlsNotFoundError"):
        owned(shelf, "classic")
    with pytest.raises(AwsError, match="NoSuchPublicAccessBlockConfiguration"):
        shelf.call(public_access.get_public_access_block, Bucket="classic")
