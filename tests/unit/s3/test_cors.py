"""CORS: rules, preflights, headers of answers."""

from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.s3 import cors
from tests.unit.s3.conftest import Shelf

RULE = {
    "AllowedOrigins": ["https://*.example.com", "http://localhost:8000"],
    "AllowedMethods": ["PUT", "GET"],
    "AllowedHeaders": ["content-*", "x-amz-date"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 300,
}


def put(shelf: Shelf, *rules: Any) -> None:
    shelf.call(cors.put_bucket_cors, Bucket="shelf", CORSConfiguration={"CORSRules": list(rules)})


def request(method: str = "OPTIONS", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/shelf/k", "", named, Body.of(b""))


def asked(origin: str, method: str, headers: str = "") -> Request:
    return request(
        origin=origin,
        access_control_request_method=method,
        access_control_request_headers=headers,
    )


def test_configuration(shelf: Shelf) -> None:
    with pytest.raises(AwsError, match="NoSuchCORSConfiguration"):
        shelf.call(cors.get_bucket_cors, Bucket="shelf")
    put(shelf, RULE)
    assert shelf.call(cors.get_bucket_cors, Bucket="shelf") == {"CORSRules": [RULE]}
    shelf.call(cors.delete_bucket_cors, Bucket="shelf")
    with pytest.raises(AwsError, match="NoSuchCORSConfiguration"):
        shelf.call(cors.get_bucket_cors, Bucket="shelf")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], "MalformedXML"),
        ([RULE] * 101, "MalformedXML"),
        ([{**RULE, "AllowedMethods": ["PATCH"]}], "InvalidRequest"),
        ([{**RULE, "AllowedOrigins": ["*.*"]}], "InvalidRequest"),
        ([{**RULE, "AllowedHeaders": ["x-*-*"]}], "InvalidRequest"),
        ([{**RULE, "ExposeHeaders": ["x-*"]}], "InvalidRequest"),
        ([{"AllowedMethods": ["GET"]}], "MalformedXML"),
    ],
)
def test_rules_are_checked(shelf: Shelf, rules: list[Any], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        put(shelf, *rules)


def test_preflight(shelf: Shelf) -> None:
    put(shelf, RULE)
    answer = cors.preflight(
        shelf.cloud, asked("https://a.example.com", "PUT", "Content-Type, X-Amz-Date"), "shelf"
    )
    headers = dict(answer.headers)
    assert answer.status == 200
    assert headers["Access-Control-Allow-Origin"] == "https://a.example.com"
    assert headers["Access-Control-Allow-Methods"] == "PUT, GET"
    assert headers["Access-Control-Allow-Headers"] == "content-type, x-amz-date"
    assert headers["Access-Control-Expose-Headers"] == "ETag"
    assert headers["Access-Control-Max-Age"] == "300"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"].startswith("Origin")


@pytest.mark.parametrize(
    ("origin", "method", "headers", "status"),
    [
        ("https://example.org", "PUT", "", 403),
        ("https://a.example.com", "DELETE", "", 403),
        ("https://a.example.com", "PUT", "x-other", 403),
        ("https://a.example.com", "PATCH", "", 400),
        ("", "PUT", "", 400),
    ],
)
def test_refused_preflights(
    shelf: Shelf, origin: str, method: str, headers: str, status: int
) -> None:
    put(shelf, RULE)
    with pytest.raises(AwsError) as refused:
        cors.preflight(shelf.cloud, asked(origin, method, headers), "shelf")
    assert refused.value.status == status


def test_preflight_without_rules(shelf: Shelf) -> None:
    for bucket, why in (("shelf", "CORS is not enabled"), ("nowhere", "Bucket not found")):
        for method in ("GET", ""):
            with pytest.raises(AwsError, match=f"AccessForbidden: CORSResponse: {why}") as refused:
                cors.preflight(shelf.cloud, asked("https://a", method), bucket)
            fields = {"Method": method or "OPTIONS", "ResourceType": "BUCKET"}
            assert refused.value.fields == fields


def test_headers_of_answers(shelf: Shelf) -> None:
    put(shelf, RULE, {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"]})
    put_from = request("PUT", origin="http://localhost:8000")
    assert ("Access-Control-Allow-Origin", "http://localhost:8000") in cors.headers(
        shelf.cloud, put_from, "shelf"
    )
    anybody = dict(cors.headers(shelf.cloud, request("HEAD", origin="https://x"), "shelf"))
    assert anybody["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in anybody
    assert cors.headers(shelf.cloud, request("PUT", origin="https://x"), "shelf") == []
    assert cors.headers(shelf.cloud, request("GET"), "shelf") == []
    for change in ({"headers": "x-other"}, {"method": "DELETE"}):  # s3-034
        would = {f"access-control-request-{name}": value for name, value in change.items()}
        origin = {"origin": "https://a.example.com"}
        put_too = request("PUT", **origin, **would)
        assert cors.headers(shelf.cloud, put_too, "shelf") == []
    assert cors.headers(shelf.cloud, request("GET", origin="https://x"), "nowhere") == []
