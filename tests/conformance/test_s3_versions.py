"""Versions, locks and conditional writes as boto3 and plain HTTP see them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.server import Server


def signed(server: Server, method: str, path: str, *, signer: type[Any], **query: str) -> Any:
    key = server.root_key
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    request = AWSRequest(method=method, url=f"{server.endpoint}{path}", params=query)
    if signer is SigV4Auth:
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    signer(credentials, "s3", "us-east-1").add_auth(request)
    prepared = request.prepare()
    http = urllib3.PoolManager(retries=False)
    return http.request(method, prepared.url, headers=dict(prepared.headers))


def code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_versions_and_markers_stand_in_one_order(server: Server, bucket: str) -> None:
    """s3-046: by key, of each key the newest first, whether it is a version or a marker."""
    s3 = server.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key="a", Body=b"1")
        s3.delete_object(Bucket=bucket, Key="a")
    s3.put_object(Bucket=bucket, Key="b", Body=b"1")
    answer = signed(server, "GET", f"/{bucket}", signer=SigV4Auth, versions="")
    kinds = re.findall(r"<(Version|DeleteMarker)>", answer.data.decode())
    assert kinds == ["DeleteMarker", "Version", "DeleteMarker", "Version", "Version"]
    listed = s3.list_object_versions(Bucket=bucket)
    assert [row["Key"] for row in listed["Versions"]] == ["a", "a", "b"]
    assert [row["IsLatest"] for row in listed["DeleteMarkers"]] == [True, False]


def test_presigned_conditions(server: Server, bucket: str) -> None:
    """s3-002: conditions of a write may stand in the signed query."""
    where: Any = {"path": f"/{bucket}/k", "signer": S3SigV4QueryAuth, "If-None-Match": "*"}
    assert signed(server, "PUT", **where).status == 200
    assert signed(server, "PUT", **where).status == 412


def test_a_locked_version(server: Server, names: Any) -> None:
    s3, name = server.client("s3"), next(names)
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = s3.put_object(Bucket=name, Key="k", Body=b"x", **lock)["VersionId"]
    head = s3.head_object(Bucket=name, Key="k")
    assert {member: head[member] for member in lock} == lock
    where = {"Bucket": name, "Key": "k", "VersionId": version}
    with pytest.raises(ClientError) as caught:
        s3.delete_object(**where)
    assert code(caught) == (403, "AccessDenied")
    longer = {"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(days=1)}
    s3.put_object_retention(Retention=longer, **where)
    assert s3.get_object_retention(**where)["Retention"] == longer
    s3.put_object_legal_hold(LegalHold={"Status": "OFF"}, **where)
    assert s3.get_object_legal_hold(**where)["LegalHold"] == {"Status": "OFF"}
    s3.delete_object(BypassGovernanceRetention=True, **where)
    configured = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    assert configured == {"ObjectLockEnabled": "Enabled"}


def test_an_upload_whose_key_changed_meanwhile(server: Server, bucket: str) -> None:
    """s3-044: 409 once the condition holds again, 412 or 404 where it doesn't."""
    s3 = server.client("s3")
    where: dict[str, Any] = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(Body=b"1", **where)["ETag"]
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(UploadId=upload, PartNumber=1, Body=b"2", **where)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    done = {"UploadId": upload, "MultipartUpload": parts, **where}
    for change, condition, answer in (
        (lambda: s3.put_object(Body=b"1", **where), {"IfMatch": etag}, (409, "Conflict")),
        (lambda: None, {"IfNoneMatch": "*"}, (412, "PreconditionFailed")),
        (lambda: s3.delete_object(**where), {"IfMatch": etag}, (404, "NoSuchKey")),
        (lambda: None, {"IfNoneMatch": "*"}, (409, "Conflict")),
    ):
        change()
        with pytest.raises(ClientError) as caught:
            s3.complete_multipart_upload(**done, **condition)
        status, name = code(caught)
        assert (status, name.removeprefix("ConditionalRequest")) == answer
    s3.complete_multipart_upload(**done)
