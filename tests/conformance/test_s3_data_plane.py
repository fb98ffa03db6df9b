"""Objects over HTTP, field by field: archives, parts, checksums, bodies that lie or break off."""

import base64
import hashlib
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.fault.sharing import eventually
from tests.server import Server


@pytest.fixture
def s3(server: Server) -> Any:
    return server.client("s3")


def refusal(call: Any, **params: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    answer = refused.value.response
    error = answer["Error"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]


def test_an_archived_object_is_read_after_its_restore(s3: Any, bucket: str) -> None:
    named = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**named, Body=b"old", StorageClass="DEEP_ARCHIVE")
    message = "The operation is not valid for the object's storage class"
    assert refusal(s3.get_object, **named) == (403, "InvalidObjectState", message)
    answer = s3.restore_object(**named, RestoreRequest={"Days": 1})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    again = refusal(s3.restore_object, **named, RestoreRequest={"Days": 1})
    assert again[:2] == (409, "RestoreAlreadyInProgress")
    eventually(lambda: 'ongoing-request="false"' in s3.head_object(**named)["Restore"])
    assert s3.get_object(**named)["Body"].read() == b"old"
    answer = s3.restore_object(**named, RestoreRequest={"Days": 2})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    listed = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])
    status = listed["Contents"][0]["RestoreStatus"]
    assert (status["IsRestoreInProgress"], status["RestoreExpiryDate"].hour) == (False, 0)


def test_times_are_listed_in_whole_seconds(s3: Any, bucket: str) -> None:
    """s3-068: with three zeros, where events have milliseconds."""
    bodies: list[bytes] = []
    s3.meta.events.register(
        "before-parse.s3", lambda response_dict, **_: bodies.append(response_dict["body"])
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.list_objects_v2(Bucket=bucket)
    s3.list_object_versions(Bucket=bucket)
    s3.create_multipart_upload(Bucket=bucket, Key="k")
    s3.list_multipart_uploads(Bucket=bucket)
    s3.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k")
    assert sum(b".000Z<" in body for body in bodies) == 4


def test_empty_numbers_of_a_query_are_none(s3: Any, bucket: str) -> None:
    """s3-069"""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]

    def empty(request: Any, **_: Any) -> None:
        request.url += "&part-number-marker=&max-parts="

    s3.meta.events.register("before-sign.s3.ListParts", empty)
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert (listed["PartNumberMarker"], listed["MaxParts"]) == (0, 1000)


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_trailing_checksums(s3: Any, bucket: str, name: str) -> None:
    body = b"0123456789" * 10_000
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=name)
    read = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    value = put[f"Checksum{name}"]
    assert (read[f"Checksum{name}"], read["ChecksumType"]) == (value, "FULL_OBJECT")
    assert read["Body"].read() == body
    wrong = base64.b64encode(bytes(len(base64.b64decode(value)))).decode()
    params = {"Bucket": bucket, "Key": "k", "Body": body, f"Checksum{name}": wrong}
    message = f"The {name} you specified did not match the calculated checksum."
    assert refusal(s3.put_object, **params) == (400, "BadDigest", message)
    params[f"Checksum{name}"] = "bad"
    message = f"Value for x-amz-checksum-{name.lower()} header is invalid."
    assert refusal(s3.put_object, **params) == (400, "InvalidRequest", message)


def test_several_checksums_and_wrong_md5s(s3: Any, bucket: str) -> None:
    body = b"body"
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    sha1 = base64.b64encode(hashlib.sha1(body).digest()).decode()
    named = {"Bucket": bucket, "Key": "k", "Body": body}
    code = refusal(s3.put_object, **named, ChecksumCRC32=crc32, ChecksumSHA1=sha1)
    assert code[:2] == (400, "InvalidRequest")
    assert refusal(s3.put_object, **named, ContentMD5="x")[:2] == (400, "InvalidDigest")
    md5 = base64.b64encode(bytes(16)).decode()
    assert refusal(s3.put_object, **named, ContentMD5=md5)[:2] == (400, "BadDigest")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="k")


def test_a_body_that_breaks_off_leaves_nothing(s3: Any, bucket: str) -> None:
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    where = urlsplit(url)
    head = (
        f"PUT {where.path}?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\n"
        "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 80), timeout=60) as line:
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(b"x" * 500)
    s3.put_object(Bucket=bucket, Key="other", Body=b"1")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["other"]
