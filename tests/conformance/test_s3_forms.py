"""Browser forms over HTTP, as boto3 signs them; headers beyond measure; connections and errors."""

from typing import Any

import pytest
import urllib3
from botocore.config import Config

from tests.server import Server


@pytest.fixture
def s3(server: Server) -> Any:
    return server.client("s3", config=Config(signature_version="s3v4"))


def _posted(server: Server, post: dict[str, Any], body: bytes, **fields: str) -> Any:
    parts = {**post["fields"], **fields, "file": ("a b+ü.txt", body, "text/plain")}
    return server.http.request("POST", post["url"], fields=parts, redirect=False)


def test_a_signed_form(server: Server, s3: Any, bucket: str) -> None:
    fields = {"success_action_status": "201", "x-amz-meta-who": "me", "Content-Type": "text/x"}
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    conditions += [["content-length-range", 1, 10], ["starts-with", "$key", "in/"]]
    post = s3.generate_presigned_post(bucket, "in/${filename}", fields, conditions)
    answer = _posted(server, post, b"hello")
    etag = '"5d41402abc4b2a76b9719d911017c592"'
    assert (answer.status, answer.headers["ETag"]) == (201, etag)
    for part in (f"<Bucket>{bucket}</Bucket>", "<Key>in/a b+ü.txt</Key>", "in/a%20b%2B%C3%BC.txt"):
        assert part in answer.data.decode()
    got = s3.get_object(Bucket=bucket, Key="in/a b+ü.txt")
    assert (got["Body"].read(), got["ContentType"]) == (b"hello", "text/x")
    assert got["Metadata"] == {"who": "me"}


def test_forms_that_are_refused(server: Server, s3: Any, bucket: str) -> None:
    post = s3.generate_presigned_post(bucket, "k", None, [["content-length-range", 2, 4]])
    for body, changes, refusal in (
        (b"hello", {}, (400, b"<Code>EntityTooLarge</Code>")),
        (b"1", {}, (400, b"<Code>EntityTooSmall</Code>")),
        (b"123", {"key": "other"}, (403, b"Policy Condition failed")),
        (b"123", {"acl": "private"}, (403, b"Extra input fields: acl")),
        (b"123", {"x-amz-signature": "0" * 64}, (403, b"SignatureDoesNotMatch")),
    ):
        answer = _posted(server, post, body, **changes)
        assert answer.status == refusal[0] and refusal[1] in answer.data, answer.data
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    elsewhere = "http://somewhere.test/page?a=b"
    fields = {"success_action_redirect": elsewhere}
    redirecting = s3.generate_presigned_post(bucket, "k", fields, [fields])
    answer = _posted(server, redirecting, b"123")
    assert answer.status == 303
    assert answer.headers["Location"].startswith(f"{elsewhere}&bucket={bucket}&key=k&etag=%22")


def test_who_may_write_may_post(server: Server, s3: Any, bucket: str) -> None:
    """PostObject is PutObject to policies, and nobody's form is anonymous."""
    iam, url = server.client("iam"), f"{server.endpoint}/{bucket}"
    nobody = {"url": url, "fields": {"key": "k"}}
    assert _posted(server, nobody, b"1").status == 403
    user = f"poster-{bucket}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    theirs = server.client(
        "s3",
        config=Config(signature_version="s3v4"),
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    post = theirs.generate_presigned_post(bucket, "k")
    assert _posted(server, post, b"1").status == 403
    allowed = f'{{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::{bucket}/k"}}'
    document = f'{{"Version":"2012-10-17","Statement":[{allowed}]}}'
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document)
    assert _posted(server, post, b"1").status == 204
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_too_many_headers(server: Server, s3: Any, bucket: str) -> None:
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    answer = server.http.request("GET", url, headers={"x-large": "a" * 9000})
    assert answer.status == 400
    assert b"<Code>RequestHeaderSectionTooLarge</Code>" in answer.data
    assert b"<MaxSizeAllowed>8192</MaxSizeAllowed>" in answer.data


def test_a_connection_outlives_errors(server: Server, s3: Any, bucket: str) -> None:
    """What was read to its end leaves the connection as good as new."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    sign = s3.generate_presigned_url
    get = sign("get_object", {"Bucket": bucket, "Key": "k"})
    missing = sign("get_object", {"Bucket": bucket, "Key": "none"})
    with urllib3.connection_from_url(server.endpoint, maxsize=1, retries=False) as pool:
        for url, status in ((missing, 404), (get[:-1], 403), (get, 200), (missing, 404)):
            assert pool.request("GET", url[len(server.endpoint) :]).status == status
        wrong = pool.request("GET", get[len(server.endpoint) :], headers={"Range": "bytes=9-"})
        assert (wrong.status, pool.num_connections) == (416, 1)
