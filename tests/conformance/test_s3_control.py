"""S3 Control: tags of buckets by ARN, and the account's public access block."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.server import Server

ACCOUNT = "000000000000"


@pytest.fixture
def control(server: Server) -> Iterator[Any]:
    client = server.client("s3control")
    client.meta.events.register_first("request-created.s3-control", _call_by_address)
    yield client
    client.delete_public_access_block(AccountId=ACCOUNT)


def _call_by_address(request: Any, **_: Any) -> None:
    """The client puts the account before the host's name, and an address has none."""
    request.url = request.url.replace(f"//{ACCOUNT}.", "//").replace("//123456789012.", "//")


def open_to_all(bucket: str) -> dict[str, str]:
    arn = f"arn:aws:s3:::{bucket}/*"
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    return {"Bucket": bucket, "Policy": json.dumps(policy)}


def test_tags_by_arn_are_the_bucket_s_own(server: Server, control: Any) -> None:
    """s3-104"""
    s3 = server.client("s3")
    s3.create_bucket(Bucket="control-tags")
    named = {"AccountId": ACCOUNT, "ResourceArn": "arn:aws:s3:::control-tags"}
    assert control.list_tags_for_resource(**named)["Tags"] == []
    first = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert control.tag_resource(**named, Tags=first)["ResponseMetadata"]["HTTPStatusCode"] == 204
    control.tag_resource(**named, Tags=[{"Key": "a", "Value": "3"}])
    both = [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    assert control.list_tags_for_resource(**named)["Tags"] == both
    assert s3.get_bucket_tagging(Bucket="control-tags")["TagSet"] == both
    control.untag_resource(**named, TagKeys=["b"])
    assert s3.get_bucket_tagging(Bucket="control-tags")["TagSet"] == both[:1]
    control.untag_resource(**named, TagKeys=["a"])
    with pytest.raises(ClientError, match="NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket="control-tags")
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    with pytest.raises(ClientError, match="Bucket tag count cannot be greater than 50"):
        control.tag_resource(**named, Tags=many)


def test_what_has_no_tags_here(server: Server, control: Any) -> None:
    for arn, refusal in (
        ("arn:aws:s3:::control-nowhere", "NoSuchBucket"),
        (f"arn:aws:s3:us-east-1:{ACCOUNT}:accesspoint/a", "NotImplemented"),
    ):
        with pytest.raises(ClientError, match=refusal):
            control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn)
    with pytest.raises(ClientError, match="AccessDenied"):
        control.list_tags_for_resource(AccountId="123456789012", ResourceArn="arn:aws:s3:::b")


def test_the_account_s_block_holds_for_every_bucket(server: Server, control: Any) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="control-block")
    s3.delete_public_access_block(Bucket="control-block")
    with pytest.raises(ClientError, match="NoSuchPublicAccessBlockConfiguration"):
        control.get_public_access_block(AccountId=ACCOUNT)
    block = {"BlockPublicPolicy": True}
    control.put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=block)
    told = control.get_public_access_block(AccountId=ACCOUNT)["PublicAccessBlockConfiguration"]
    assert [name for name, is_on in told.items() if is_on] == ["BlockPublicPolicy"]
    with pytest.raises(ClientError, match="BlockPublicPolicy setting"):
        s3.put_bucket_policy(**open_to_all("control-block"))
    control.delete_public_access_block(AccountId=ACCOUNT)
    s3.put_bucket_policy(**open_to_all("control-block"))


def test_a_bucket_named_as_the_api_s_paths(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="v20180820")
    s3.put_object(Bucket="v20180820", Key="tags/k", Body=b"data")
    assert s3.get_object(Bucket="v20180820", Key="tags/k")["Body"].read() == b"data"
