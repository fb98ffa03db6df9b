"""Attacks on cloudlet over the network, each of which once worked or nearly did."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

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
