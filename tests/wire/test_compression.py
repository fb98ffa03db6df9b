"""Compressed requests and answers."""

import asyncio
import gzip
import zlib
from asyncio import run
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire.compression import chosen, deflated, inflated

BODY = b'{"TableName": "t"}'
TARGET = {"x-amz-target": "DynamoDB_20120810.PutItem"}


def _zipped(data: bytes) -> bytes:
    """Without the time: tests are named by it, and must be called the same in all processes."""
    return gzip.compress(data, mtime=0)


def _request(**headers: str) -> Request:
    return Request("POST", "/", "", dict(headers), Body.of(b""))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", _zipped(BODY)),
        ("gzip", _zipped(BODY[:5]) + _zipped(BODY[5:])),
        ("deflate", zlib.compress(BODY)),
        ("", BODY),
    ],
)
def test_requests_are_inflated(encoding: str, body: bytes) -> None:
    request = _request(**TARGET, **{"content-encoding": encoding})
    assert run(inflated(request, body, 1 << 20)) == BODY


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("garbage", BODY),
        ("gzip", BODY),
        ("gzip", b""),
        ("gzip", _zipped(BODY)[:-1]),
        ("gzip", _zipped(b" " * (2 << 20))),
    ],
)
def test_what_cannot_be_inflated(encoding: str, body: bytes) -> None:
    """dynamodb-037: DynamoDB answers 500 to all of it."""
    with pytest.raises(AwsError) as error:
        run(inflated(_request(**TARGET, **{"content-encoding": encoding}), body, 1 << 20))
    assert error.value.status == 500


def test_other_services_say_what_is_wrong() -> None:
    with pytest.raises(AwsError) as error:
        run(inflated(_request(**{"content-encoding": "gzip"}), BODY, 1 << 20))
    assert (error.value.code, error.value.status) == ("SerializationException", 400)
    assert run(inflated(_request(**{"content-encoding": "aws-chunked"}), BODY, 1 << 20)) == BODY


def test_bombs_are_inflated_beside_the_event_loop() -> None:
    bomb = _zipped(b" " * (3 << 20))
    loops = []

    class Watched(bytes):
        def __getitem__(self, place: Any) -> bytes:  # type: ignore[override]
            loops.append(asyncio._get_running_loop())
            return super().__getitem__(place)

    request = _request(**{"content-encoding": "gzip"})
    with pytest.raises(AwsError) as error:
        run(inflated(request, Watched(bomb), 1 << 20))
    assert error.value.code == "RequestEntityTooLarge"
    assert set(loops) == {None}


def test_members_are_counted() -> None:
    request = _request(**{"content-encoding": "gzip"})
    many = _zipped(b"x")
    assert run(inflated(request, many * 9_999, 1 << 20)) == b"x" * 9_999
    with pytest.raises(AwsError, match="too many members"):
        run(inflated(request, many * 10_001, 1 << 20))
    assert run(inflated(request, _zipped(bytes(100_000)), 1 << 20)) == bytes(100_000)


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
