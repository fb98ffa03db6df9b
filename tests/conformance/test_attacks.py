"""Attacks on cloudlet over the network, each of which once worked or nearly did."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.server import Server


def front(server: Server, target: str, host: str = "") -> tuple[int, bytes]:
    headers = {"Host": host} if host else {}
    url = f"http://127.0.0.1:{server.port}{target}"
    answer = server.http.request("GET", url, headers=headers)
    return answer.status, answer.data


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/_cloudlet/health", ""),
        ("/_aws/execute-api/abcdefgh/x", ""),
        ("/x", "abcdefgh.execute-api.localhost"),
        ("/", "some.s3-website.localhost"),
    ],
)
def test_a_signature_in_the_query_opens_only_s3_at_the_front_door(
    server: Server, target: str, host: str
) -> None:
    """Whatever looks signed goes past the distribution: it must not get anywhere but to S3."""
    status, body = front(server, f"{target}?X-Amz-Signature=1", host)
    assert status == 400
    assert b"<Code>AuthorizationQueryParametersError</Code>" in body


def test_presigned_calls_of_other_services_do_not_come_in_by_the_front_door(
    server: Server,
) -> None:
    door = f"http://127.0.0.1:{server.port}"
    sts = server.client("sts", endpoint_url=door)
    parts = urlsplit(sts.generate_presigned_url("get_caller_identity"))
    status, body = front(server, f"{parts.path}?{parts.query}")
    assert status in (400, 403) and b"Arn" not in body


def test_presigned_s3_calls_do(server: Server, names: Iterator[str]) -> None:
    bucket = next(names)
    server.client("s3").create_bucket(Bucket=bucket)
    server.client("s3").put_object(Bucket=bucket, Key="k", Body=b"here")
    signer = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        **server.credentials(),
    )
    url = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    parts = urlsplit(url)
    assert front(server, f"{parts.path}?{parts.query}") == (200, b"here")
    other = parts.query.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601")
    for target in (f"{parts.path}2?{parts.query}", f"{parts.path}?{other}"):
        assert front(server, target)[0] == 403


@pytest.mark.parametrize("name", ["a%0d%0aSet-Cookie", "b%20c", "%C3%A9"])
def test_metadata_of_a_signed_query_has_names_of_headers(
    server: Server, bucket: str, name: str
) -> None:
    """Such an object could be stored, but never be answered again."""
    key = server.root_key
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    request = AWSRequest("PUT", f"{server.endpoint}/{bucket}/k?x-amz-meta-{name}=v")
    S3SigV4QueryAuth(credentials, "s3", "us-east-1").add_auth(request)
    answer = server.http.request("PUT", request.url, body=b"x")
    assert answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.data


def test_one_of_many_conditional_writers_wins(server: Server, bucket: str) -> None:
    s3 = server.client("s3")

    def put(number: int) -> int:
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % number * 50_000, IfNoneMatch="*")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
            return -1
        return number

    with ThreadPoolExecutor(10) as pool:
        won = [number for number in pool.map(put, range(20)) if number >= 0]
    assert len(won) == 1
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"%d" % won[0] * 50_000


def test_a_data_folder_made_for_all_is_closed_to_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    server = Server(data).start()
    try:
        assert data.stat().st_mode & 0o077 == 0
        with pytest.raises(AssertionError, match="in use by another cloudlet"):
            Server(data).start()
    finally:
        assert server.stop() == 0


def test_without_a_signature_nothing_of_the_request_is_looked_at(server: Server) -> None:
    """Not even what is wrong with it: checking texts costs more than sending them."""
    for target, answer in (
        ("DynamoDB_20120810.PutItem", 400),
        ("Kinesis_20131202.PutRecord", 400),
        ("AWSEvents.PutRule", 400),
    ):
        told = server.http.request(
            "POST", server.endpoint, body=b"{", headers={"X-Amz-Target": target}
        )
        assert told.status == answer
        assert "MissingAuthenticationToken" in told.data.decode()
