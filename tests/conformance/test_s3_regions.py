"""Buckets in other regions (s3-099): who signs for which."""

import urllib.request
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.server import Server


@pytest.fixture
def there(server: Server) -> Any:
    return server.client("s3", region_name="eu-west-3")


def placed(region: str) -> dict[str, Any]:
    return {"CreateBucketConfiguration": {"LocationConstraint": region}}


def test_who_signs_for_a_region_makes_buckets_there(server: Server, there: Any) -> None:
    there.create_bucket(Bucket="region-paris", **placed("eu-west-3"))
    for region in ("us-west-1", "us-east-1"):
        with pytest.raises(ClientError, match="IllegalLocationConstraintException"):
            there.create_bucket(Bucket="region-oregon", **placed(region))
    answer = there.head_bucket(Bucket="region-paris")
    assert answer["BucketRegion"] == "eu-west-3"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/xml"  # s3-100
    there.put_object(Bucket="region-paris", Key="k", Body=b"there")
    here = server.client("s3")
    assert here.get_object(Bucket="region-paris", Key="k")["Body"].read() == b"there"
    with urllib.request.urlopen(
        there.generate_presigned_url("get_object", Params={"Bucket": "region-paris", "Key": "k"})
    ) as answer:
        assert answer.read() == b"there"
    form = there.generate_presigned_post("region-paris", "posted")
    fields = {**form["fields"], "file": ("name", b"form")}
    assert urllib3.request("POST", form["url"], fields=fields).status == 204


def test_others_are_refused(server: Server, there: Any) -> None:
    here = server.client("s3")
    here.create_bucket(Bucket="region-tokyo", **placed("ap-northeast-1"))
    for bucket, region in (("region-tokyo", "ap-northeast-1"), ("region-none", "us-east-1")):
        url = there.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        answer = urllib3.request("GET", url)
        assert answer.status == 400 and b"<Region>%b</Region>" % region.encode() in answer.data
