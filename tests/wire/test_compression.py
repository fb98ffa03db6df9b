"""Compressed requests and answers."""

import gzip
import zlib

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire.compression import chosen, deflated, inflated

BODY = b'{"TableName": "t"}'
TARGET = {"x-amz-target": "DynamoDB_20120810.PutItem"}


def _request(**headers: str) -> Request:
    return Request("POST", "/", "", dict(headers), Body.of(b""))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:5]) + gzip.compress(BODY[5:])),
        ("deflate", zlib.compress(BODY)),
        ("", BODY),
    ],
)
def test_requests_are_inflated(encoding: str, body: bytes) -> None:
    request = _request(**TARGET, **{"content-encoding": encoding})
    assert inflated(request, body, 1 << 20) == BODY


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("garbage", BODY),
        ("gzip", BODY),
        ("gzip", b""),
        ("gzip", gzip.compress(BODY)[:-1]),
        ("gzip", gzip.compress(b" " * (2 << 20))),
    ],
)
def test_what_cannot_be_inflated(encoding: str, body: bytes) -> None:
    """dynamodb-037: DynamoDB answers 500 to all of it."""
    with pytest.raises(AwsError) as error:
        inflated(_request(**TARGET, **{"content-encoding": encoding}), body, 1 << 20)
    assert error.value.status == 500


def test_other_services_say_what_is_wrong() -> None:
    with pytest.raises(AwsError) as error:
        inflated(_request(**{"content-encoding": "gzip"}), BODY, 1 << 20)
    assert (error.value.code, error.value.status) == ("SerializationException", 400)
    assert inflated(_request(**{"content-encoding": "aws-chunked"}), BODY, 1 << 20) == BODY


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", ""),
        ("identity", ""),
        ("br, x-gzip", ""),
        ("gzip, deflate", "gzip"),
        ("br, identity, deflate, GZIP", "deflate"),
        ("gzip;q=0.2, deflate; q = 0.5", "deflate"),
        ("*", "gzip"),
        ("*, gzip;q=0.5", "deflate"),
        ("*;q=0, gzip;q=0", ""),
        ("gzip;q=0. x", "gzip"),
        ("gzip;q= 0;q=1", ""),
        ("gzip;q =0;q=1", "gzip"),
        ("gzip;nq=0;q=1", ""),
    ],
)
def test_what_a_client_likes_best(accepted: str, encoding: str) -> None:
    assert chosen(_request(**{"accept-encoding": accepted})) == encoding


def test_answers_are_deflated() -> None:
    assert gzip.decompress(deflated(BODY, "gzip")) == BODY
    assert zlib.decompress(deflated(BODY, "deflate")) == BODY
