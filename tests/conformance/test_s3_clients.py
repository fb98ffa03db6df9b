"""S3 through boto3: signatures, refusals, versions, keys of clients. Tools have their own file."""

import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.server import Server

LARGE_BYTES = 20 * 1024 * 1024 + 17


@pytest.mark.parametrize("version", [None, "s3v4"])  # None: boto3's default, version 2 here
def test_presigned_urls_both_ways(server: Server, bucket: str, version: str | None) -> None:
    client = server.client("s3", config=Config(signature_version=version))
    put = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "p"})
    get = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "p"})
    assert server.http.request("PUT", put, body=b"presigned").status == 200
    assert server.http.request("GET", get).data == b"presigned"
    spoiled = server.http.request("GET", get[:-1] + ("0" if get[-1] != "0" else "1"))
    assert spoiled.status == 403 and b"SignatureDoesNotMatch" in spoiled.data


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "InvalidAccessKeyId"),
        ({"aws_session_token": "made-up"}, "InvalidToken"),
    ],
)
def test_wrong_credentials_are_refused(
    server: Server, bucket: str, change: dict[str, Any], code: str
) -> None:
    settings: dict[str, Any] = {
        "endpoint_url": server.endpoint,
        "region_name": "us-east-1",
        **server.credentials(),
        **change,
    }
    with pytest.raises(ClientError) as refused:
        boto3.client("s3", **settings).list_objects_v2(Bucket=bucket)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["RequestId"]


def test_a_client_of_another_region_finds_its_way(server: Server, bucket: str) -> None:
    """The refusal names the right region; botocore then signs for it."""
    client = server.client("s3", region_name="eu-west-1")
    refusals: list[str] = []
    client.meta.events.register(
        "needs-retry.s3.ListObjectsV2",
        lambda response, **_: refusals.append(response[1].get("Error", {}).get("Code", "")),
    )
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert refusals == ["AuthorizationHeaderMalformed", ""]


def test_nobody_reads_without_a_signature(server: Server, bucket: str) -> None:
    server.client("s3").put_object(Bucket=bucket, Key="k", Body=b"secret")
    answer = server.http.request("GET", f"{server.endpoint}/{bucket}/k")
    assert answer.status == 403 and b"<Code>AccessDenied</Code>" in answer.data
    assert b"secret" not in answer.data


def test_what_is_not_there_says_so(server: Server, bucket: str) -> None:
    """s3-038: Amazon S3 took torrents out of service in April 2022, and we never had them."""
    with pytest.raises(ClientError) as refused:
        server.client("s3").get_object_torrent(Bucket=bucket, Key="k")
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert "GetObjectTorrent" in refused.value.response["Error"]["Message"]


def test_versions_over_the_network(server: Server, bucket: str) -> None:
    """Headers of versions and delete markers, as boto3 reads them."""
    s3 = server.client("s3")
    wanted = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=wanted)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    listed = s3.list_object_versions(Bucket=bucket)
    assert [each["VersionId"] for each in listed["Versions"]] == [second, first]
    assert listed["DeleteMarkers"][0]["IsLatest"] is True
    with pytest.raises(ClientError) as gone:
        s3.get_object(Bucket=bucket, Key="k")
    headers = gone.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true"
    with pytest.raises(ClientError) as refused:
        s3.head_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert refused.value.response["ResponseMetadata"]["HTTPHeaders"]["allow"] == "DELETE"
    assert refused.value.response["Error"]["Code"] == "405"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    boto3_bucket = boto3.resource(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.root_key["AccessKeyId"],
        aws_secret_access_key=server.root_key["SecretAccessKey"],
    ).Bucket(bucket)
    boto3_bucket.object_versions.delete()
    boto3_bucket.delete()


def test_a_clients_own_key(server: Server, bucket: str, tmp_path: Path) -> None:
    """SSE-C through boto3's transfer manager: parts, ranges and copies need the key."""
    s3, file, back = server.client("s3"), tmp_path / "file", tmp_path / "back"
    file.write_bytes(os.urandom(LARGE_BYTES))
    rule = {"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}  # new buckets refuse SSE-C
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    keys = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    s3.upload_file(str(file), bucket, "k", ExtraArgs=keys)
    s3.download_file(bucket, "k", str(back), ExtraArgs=keys)
    assert back.read_bytes() == file.read_bytes()
    with pytest.raises(ClientError, match="400"):
        s3.head_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError, match="403"):
        s3.head_object(Bucket=bucket, Key="k", **{**keys, "SSECustomerKey": "x" * 32})
    source = {"Bucket": bucket, "Key": "k"}
    theirs = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": "k" * 32}
    kms = {"ServerSideEncryption": "aws:kms"}
    s3.copy(source, bucket, "copy", ExtraArgs={**theirs, **kms}, SourceClient=_keyed(server, keys))
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["ServerSideEncryption"] == "aws:kms"
    assert got["Body"].read() == file.read_bytes()


def _keyed(server: Server, keys: dict[str, str]) -> Any:
    """A client that brings the key when it asks for the size of a source."""
    client = server.client("s3")
    client.meta.events.register_first(
        "before-parameter-build.s3.HeadObject", lambda params, **_: params.update(keys)
    )
    return client
