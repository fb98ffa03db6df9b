"""Classic buckets: what S3 answered before 2023, for programs that still rely on it."""

from dataclasses import replace
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.s3 import access, acl, buckets, default_encryption
from tests.unit.s3.conftest import Shelf


@pytest.fixture
def classic(shelf: Shelf) -> Shelf:
    shelf.config = shelf.cloud.config = replace(shelf.config, classic_buckets=True)
    shelf.call(buckets.create_bucket, Bucket="classic", ACL="public-read")
    return shelf


def _grants(classic: Shelf) -> Any:
    return classic.call(acl.get_bucket_acl, Bucket="classic")


def test_lists_of_owners_with_names(classic: Shelf) -> None:
    """s3-024: names are in answers, and groups come first."""
    listed = _grants(classic)
    assert [grant["Permission"] for grant in listed["Grants"]] == ["READ", "FULL_CONTROL"]
    assert listed["Grants"][1]["Grantee"]["DisplayName"] == listed["Owner"]["DisplayName"]


def test_lists_tell_whether_a_bucket_is_public(classic: Shelf) -> None:
    """s3-025"""
    status = classic.call(access.get_bucket_policy_status, Bucket="classic")
    assert status == {"PolicyStatus": {"IsPublic": True}}
    classic.call(acl.put_bucket_acl, Bucket="classic", ACL="private")
    status = classic.call(access.get_bucket_policy_status, Bucket="classic")
    assert status == {"PolicyStatus": {"IsPublic": False}}


def test_nothing_is_encrypted_by_default(classic: Shelf) -> None:
    with pytest.raises(AwsError, match="ServerSideEncryptionConfigurationNotFoundError"):
        classic.call(default_encryption.get_bucket_encryption, Bucket="classic")
