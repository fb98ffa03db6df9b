"""Payloads of APIs with a `minimumCompressionSize`: answers are compressed, requests inflated."""

import gzip
import zlib

import pytest

from cloudlet.exchange import Response
from tests.harness import Bench
from tests.unit.gateway.cloud import answers, event, request
from tests.unit.gateway.rest_cloud import ask, deploy, method


def _answer(bench: Bench, body: str, accepted: str, minimum: int | None = 10) -> Response:
    deploy(bench, {"GET /": method()}, api={"minimumCompressionSize": minimum})
    answers(bench, {"statusCode": 200, "body": body})
    return ask(bench, request("GET", "/", {"accept-encoding": accepted}))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("br, deflate", "deflate"), ("gzip;q=0, deflate;q=0.5", "deflate")],
)
def test_a_large_answer_is_compressed(bench: Bench, accepted: str, coding: str) -> None:
    response = _answer(bench, "x" * 100, accepted)
    assert dict(response.headers)["content-encoding"] == coding
    assert isinstance(response.body, bytes)
    inflate = gzip.decompress if coding == "gzip" else zlib.decompress
    assert inflate(response.body) == b"x" * 100


@pytest.mark.parametrize(
    ("body", "accepted", "minimum"),
    [("x" * 9, "gzip", 10), ("x" * 99, "br", 10), ("x" * 99, "gzip", None), ("", "gzip", 0)],
)
def test_other_answers_are_left_alone(
    bench: Bench, body: str, accepted: str, minimum: int | None
) -> None:
    response = _answer(bench, body, accepted, minimum)
    assert "content-encoding" not in dict(response.headers)
    assert response.body == body.encode()


def _post(bench: Bench, body: bytes, coding: str) -> Response:
    deploy(bench, {"POST /": method()}, api={"minimumCompressionSize": 0})
    answers(bench, {"statusCode": 200, "body": ""})
    return ask(bench, request("POST", "/", {"content-encoding": coding}, body))


def test_a_compressed_request_is_inflated(bench: Bench) -> None:
    for coding, body in (("gzip", gzip.compress(b"hello")), ("deflate", zlib.compress(b"hello"))):
        assert _post(bench, body, coding).status == 200
        assert event(bench)["body"] == "hello"


def test_what_cannot_be_inflated_is_refused(bench: Bench) -> None:
    assert _post(bench, b"hello", "br").status == 415
    assert _post(bench, b"hello", "gzip").status == 400
    assert _post(bench, gzip.compress(bytes(11 * 1024 * 1024)), "gzip").status == 413
