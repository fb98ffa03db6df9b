"""Presigned URLs of signature version 2, against botocore's own signer."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloudlet.auth import sigv2
from cloudlet.call import Caller
from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire import models

CALLER = Caller("root", "arn:aws:iam::000000000000:root", "000000000000")


@dataclass(frozen=True)
class Key:
    access_key: str = "AKIAEXAMPLE"
    secret: str = "secret"
    session_token: str | None = None
    expires_ms: int | None = None
    caller: Caller = CALLER


def presigned(
    path: str = "/bucket/a%20key",
    query: str = "",
    *,
    key: Key | None = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> tuple[Request, int]:
    """A request as botocore presigns it, and a moment at which it is valid."""
    key = key or Key()
    url = f"http://127.0.0.1:4566{path}{'?' + query if query else ''}"
    request = AWSRequest(method, url, headers=headers or {}, auth_path=path)
    credentials = Credentials(key.access_key, key.secret, key.session_token)
    HmacV1QueryAuth(credentials, expires=60).add_auth(request)
    parts = urlsplit(request.url)
    arguments = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    made = Request(method, parts.path, parts.query, {"host": parts.netloc}, Body.of(b""))
    return made, int(arguments["Expires"]) * 1000 - 1000


def lookup(key: Key) -> Callable[[str], Key | None]:
    return lambda access_key: key if access_key == key.access_key else None


@pytest.mark.parametrize(
    ("query", "method"),
    [
        ("", "GET"),
        ("", "PUT"),
        ("uploads=", "POST"),
        ("response-content-disposition=attachment", "GET"),
        ("prefix=x", "GET"),
    ],
)
def test_what_botocore_presigns_is_accepted(query: str, method: str) -> None:
    request, now_ms = presigned(query=query, method=method)
    assert sigv2.is_presigned(request)
    assert sigv2.verify(request, lookup(Key()), now_ms).caller is CALLER


def test_session_tokens_travel_in_the_query() -> None:
    key = Key(session_token="to/ken+=", expires_ms=1 << 60)
    request, now_ms = presigned(key=key)
    assert sigv2.verify(request, lookup(key), now_ms).credential is key
    other = Key(session_token="another")
    with pytest.raises(AwsError, match="InvalidToken"):
        sigv2.verify(request, lookup(other), now_ms)
    with pytest.raises(AwsError, match="ExpiredToken"):
        sigv2.verify(request, lookup(Key(session_token="to/ken+=", expires_ms=0)), now_ms)
    unsigned, now_ms = presigned()
    with pytest.raises(AwsError, match="InvalidAccessKeyId"):
        sigv2.verify(unsigned, lookup(key), now_ms)


def test_changes_are_noticed() -> None:
    request, now_ms = presigned()
    for changed in (
        Request("PUT", request.raw_path, request.query, request.headers, request.body),
        Request("GET", "/bucket/other", request.query, request.headers, request.body),
        Request("GET", request.raw_path, request.query + "&acl", request.headers, request.body),
        Request(
            "GET", request.raw_path, request.query + "&x-amz-acl=a", request.headers, request.body
        ),
    ):
        with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
            sigv2.verify(changed, lookup(Key()), now_ms)
    with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
        sigv2.verify(request, lookup(Key(secret="wrong")), now_ms)
    with pytest.raises(AwsError, match="InvalidAccessKeyId"):
        sigv2.verify(request, lambda access_key: None, now_ms)


def test_it_ends_in_time() -> None:
    request, now_ms = presigned()
    with pytest.raises(AwsError, match="Request has expired"):
        sigv2.verify(request, lookup(Key()), now_ms + 2000)
    bad = Request("GET", "/b/k", "AWSAccessKeyId=a&Signature=b&Expires=soon", {}, Body.of(b""))
    with pytest.raises(AwsError, match="Invalid date"):
        sigv2.verify(bad, lookup(Key()), now_ms)


def in_header(path: str, **changes: str) -> Request:
    """As botocore signs it in headers, with some of these changed afterwards."""
    request = AWSRequest("PUT", f"http://127.0.0.1{path}", headers={}, auth_path=path)
    HmacV1Auth(Credentials("AKIAEXAMPLE", "secret")).add_auth(request)
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    return Request("PUT", path.rstrip("/"), "", {**headers, **changes}, Body.of(b""))


def now_of(request: Request) -> int:
    return int(parsedate_to_datetime(request.headers["date"]).timestamp() * 1000)


@pytest.mark.parametrize("path", ["/bucket/key", "/bucket/"])
def test_headers_of_version_2(path: str) -> None:
    request = in_header(path)
    assert sigv2.is_signed(request)
    assert sigv2.verify_header(request, lookup(Key()), now_of(request)).caller is CALLER


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"authorization": "AWS HAHAHA"}, "InvalidArgument"),
        ({"authorization": "AWS NOBODY:xyz"}, "InvalidAccessKeyId"),
        ({"content-type": "text/other"}, "SignatureDoesNotMatch"),
        ({"x-amz-date": "Bad Date"}, "AccessDenied"),
        ({"x-amz-date": "Tue, 07 Jul 1950 21:53:04 GMT"}, "AccessDenied"),
        ({"x-amz-date": "Tue, 07 Jul 9999 21:53:04 GMT"}, "RequestTimeTooSkewed"),
    ],
)
def test_bad_headers_of_version_2(changes: dict[str, str], code: str) -> None:
    request = in_header("/bucket/key")
    now_ms = now_of(request)
    request.headers.update(changes)
    with pytest.raises(AwsError) as caught:
        sigv2.verify_header(request, lookup(Key()), now_ms)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("PUT", "retention"),
        ("PUT", "legal-hold="),
        ("DELETE", "public%41ccessBlock"),
        ("PUT", "%61cl"),
        ("DELETE", "version%49d=x"),
        ("PUT", "x-amz-acl=public-read"),
    ],
)
def test_a_link_is_for_one_thing(method: str, more: str) -> None:
    """Nothing that changes what is asked for can be added, however it is spelt."""
    request, now_ms = presigned(method=method)
    request.query += f"&{more}"
    with pytest.raises(AwsError) as caught:
        sigv2.verify(request, lookup(Key()), now_ms)
    assert caught.value.status == 403


def test_what_is_said_twice_is_signed_twice() -> None:
    request, now_ms = presigned(headers={"x-amz-acl": "private"}, method="PUT")
    sigv2.verify(request, lookup(Key()), now_ms)
    for query in (
        f"x-amz-acl=public-read&{request.query}",
        f"X-Amz-Acl=public-read&{request.query}",
    ):
        twice = Request("PUT", request.path, query, request.headers, Body.of(b""))
        with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
            sigv2.verify(twice, lookup(Key()), now_ms)


def test_all_sub_resources_are_known() -> None:
    service = models.load("s3").service
    paths = [service.operation_model(name).http["requestUri"] for name in service.operation_names]
    named = {n for p in paths for n, _ in parse_qsl(urlsplit(p).query, keep_blank_values=True)}
    assert named <= sigv2._SUBRESOURCES | sigv2._NEVER_SIGNED | {"list-type"}
