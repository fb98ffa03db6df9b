"""Signatures: botocore's are right, altered ones are not, refusals are AWS's."""

import asyncio
import hashlib

import pytest

from cloudlet.auth import sigv4
from cloudlet.auth.sigv4 import Verifier
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body, Request
from tests.unit.auth.signing import CALLER, KEY, NOW_MS, REGION, Known, lookup, signed, verify

S3 = "http://127.0.0.1:4566"
JSON = {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0"}
TEMPORARY = Known("ASIATEMPORARY", "secret", "to/ken+==", NOW_MS + 60_000)


def refused(request: Request, *known: Known, **options: object) -> AwsError:
    with pytest.raises(AwsError) as caught:
        verify(request, *known, **options)  # type: ignore[arg-type]
    return caught.value


def plain(query: str = "", method: str = "GET", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/b/k", query, {"host": "h", **named}, Body.of(b""))


@pytest.mark.parametrize(
    "path", ["/", "/b/a%20b", "/b//x/../y", "/b/%C3%A4%2B", "/b/a%2Fb", "/b/~"]
)
@pytest.mark.parametrize("presign_s", [None, 300])
def test_s3_paths_as_they_are(path: str, presign_s: int | None) -> None:
    verdict = verify(signed(f"{S3}{path}?list-type=2&prefix=a%2F&x", presign_s=presign_s))
    assert verdict.caller is CALLER
    assert verdict.is_presigned == (presign_s is not None)
    assert verdict.service == "s3"


@pytest.mark.parametrize("path", ["/", "/f/arn%3Aaws%3Alambda/x", "/a/./b/../c//d/", "/%40c/i%3D"])
def test_other_services_normalise_and_encode_twice(path: str) -> None:
    verify(signed(f"{S3}{path}?Qualifier=1", service="lambda"))


def test_body_of_other_services_is_signed_and_given_back() -> None:
    request = signed(S3, "POST", service="dynamodb", headers=JSON, body=b"{}")
    assert verify(request).payload == hashlib.sha256(b"{}").hexdigest()
    assert asyncio.run(request.body.read(10)) == b"{}"
    request = signed(S3, "POST", service="dynamodb", headers=JSON, body=b"{}")
    request.body = Body.of(b"[]")
    assert refused(request).code == "InvalidSignatureException"


def test_presigned_for_other_services() -> None:
    url = f"{S3}/?Action=GetCallerIdentity&Version=2011-06-15"
    assert verify(signed(url, service="sts", presign_s=60)).service == "sts"
    late = refused(signed(url, service="sts", presign_s=60), now_ms=NOW_MS + 61_000)
    assert (late.code, late.status) == ("SignatureDoesNotMatch", 403)


def test_repeated_query_keys_and_spaces_in_headers() -> None:
    headers = {"x-amz-meta-a": "  one   two  ", "x-amz-date": "gone"}
    verify(signed(f"{S3}/b?k=2&k=1&k=10&k=", headers=headers))


def test_equal_but_differently_encoded_requests_match() -> None:
    request = signed(f"{S3}/b/a%28b%29?prefix=a%20b")
    request.raw_path, request.query = "/b/a(b)", "prefix=a+b"
    verify(request)


def test_no_signature_is_anonymous() -> None:
    assert asyncio.run(Verifier().verify(plain(), lookup(), NOW_MS, REGION)) is None


@pytest.mark.parametrize(
    "change", ["method", "path", "query", "header", "host", "signature", "payload"]
)
@pytest.mark.parametrize("presign_s", [None, 300])
def test_any_change_is_refused(change: str, presign_s: int | None) -> None:
    headers = {"x-amz-meta-a": "1"}
    body = b"" if presign_s else b"x"
    request = signed(f"{S3}/b/k?a=1", "PUT", headers=headers, body=body, presign_s=presign_s)
    match change:
        case "method":
            request.method = "GET"
        case "path":
            request.raw_path = "/b/other"
        case "query":
            request.query = request.query.replace("a=1", "a=2")
        case "header":
            request.headers["x-amz-meta-a"] = "2"
            if presign_s:
                request.headers["x-amz-meta-b"] = "2"
        case "host":
            request.headers["host"] = "127.0.0.1"
        case "signature" if presign_s:
            request.query = request.query.replace("Signature=", "Signature=0")
        case "signature":
            request.headers["authorization"] += "0"
        case "payload":
            if presign_s:
                return
            request.headers["x-amz-content-sha256"] = "0" * 64
    error = refused(request)
    assert error.code in ("SignatureDoesNotMatch", "AccessDenied")
    assert error.status == 403


def test_mismatch_shows_what_was_signed() -> None:
    request = signed(f"{S3}/b/k")
    request.headers["authorization"] = request.headers["authorization"][:-4] + "beef"
    fields = refused(request).fields
    assert fields["AWSAccessKeyId"] == KEY
    assert fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert fields["CanonicalRequest"].startswith("GET\n/b/k\n")
    assert fields["SignatureProvided"].endswith("beef")
    request = signed(f"{S3}/%2Fb/k")  # s3-036
    request.headers["authorization"] = request.headers["authorization"][:-4] + "beef"
    assert refused(request).fields["CanonicalRequest"].startswith("GET\n//b/k\n")


def test_headers_not_signed() -> None:
    request = signed(f"{S3}/b/k", "PUT", presign_s=60)
    request.headers["x-amz-acl"] = "public-read"
    assert refused(request).fields == {"HeadersNotSigned": "x-amz-acl"}
    request = signed(f"{S3}/b/k")
    header = request.headers["authorization"]
    request.headers["authorization"] = header.replace("SignedHeaders=host;", "SignedHeaders=")
    assert refused(request).fields == {"HeadersNotSigned": "host"}
    request = signed(S3, "POST", service="dynamodb", headers=JSON)
    request.headers["authorization"] = request.headers["authorization"].replace("host;", "")
    assert "'Host'" in refused(request).message


@pytest.mark.parametrize(
    ("seconds", "is_fine"), [(-899, True), (899, True), (-901, False), (901, False)]
)
def test_skew(seconds: int, is_fine: bool) -> None:
    request = signed(f"{S3}/b")
    if is_fine:
        verify(request, now_ms=NOW_MS + seconds * 1000)
        return
    error = refused(request, now_ms=NOW_MS + seconds * 1000)
    assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
    assert error.fields["MaxAllowedSkewMilliseconds"] == 900_000


@pytest.mark.parametrize(
    ("seconds", "text"), [(301, "Signature expired"), (-301, "not yet current")]
)
def test_skew_of_other_services(seconds: int, text: str) -> None:
    request = signed(S3, "POST", service="dynamodb", headers=JSON, body=b"{}")
    error = refused(request, now_ms=NOW_MS + seconds * 1000)
    assert error.code == "InvalidSignatureException"
    assert text in error.message


def test_presigned_expiry() -> None:
    request = signed(f"{S3}/b/k", presign_s=60)
    verify(request, now_ms=NOW_MS + 60_000)
    error = refused(request, now_ms=NOW_MS + 60_001)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert set(error.fields) == {"X-Amz-Expires", "Expires", "ServerTime"}
    assert refused(request, now_ms=NOW_MS - 901_000).message == "Request is not valid yet"


@pytest.mark.parametrize("value", ["-1", "604801", "x", "", "9" * 30])
def test_presigned_lifetimes(value: str) -> None:
    request = signed(f"{S3}/b/k", presign_s=60)
    request.query = request.query.replace("Expires=60", f"Expires={value}")
    assert refused(request).code == "AuthorizationQueryParametersError"
    verify(signed(f"{S3}/b/k", presign_s=604_800))
    now = signed(f"{S3}/b/k", presign_s=0)
    assert refused(now).message == "Request has expired"


@pytest.mark.parametrize("presign_s", [None, 60])
def test_wrong_region_or_service(presign_s: int | None) -> None:
    code = (
        "AuthorizationHeaderMalformed"
        if presign_s is None
        else ("AuthorizationQueryParametersError")
    )
    error = refused(signed(f"{S3}/b", region="eu-west-1", presign_s=presign_s))
    assert (error.code, error.status, error.fields) == (code, 400, {"Region": REGION})
    assert "the region 'eu-west-1' is wrong; expecting 'us-east-1'" in error.message
    error = refused(signed(f"{S3}/b", service="sqs", presign_s=presign_s), service="s3")
    assert error.code == code
    error = refused(signed(S3, "POST", service="s3", headers=JSON), service="dynamodb")
    assert error.code == "InvalidSignatureException"
    error = refused(signed(S3, "POST", service="dynamodb", headers=JSON, region="x"))
    assert "valid region" in error.message


def test_global_services_sign_for_us_east_1() -> None:
    request = signed(S3, "POST", service="iam")
    asyncio.run(Verifier().verify(request, lookup(Known()), NOW_MS, "eu-central-1"))


def test_unknown_key() -> None:
    assert refused(signed(f"{S3}/b"), TEMPORARY).code == "InvalidAccessKeyId"
    json = refused(signed(S3, "POST", service="dynamodb", headers=JSON), TEMPORARY)
    assert (json.code, json.status) == ("UnrecognizedClientException", 400)
    query = refused(signed(S3, "POST", service="sts"), TEMPORARY)
    assert (query.code, query.status) == ("InvalidClientTokenId", 403)
    rest = refused(signed(S3, service="lambda"), TEMPORARY)
    assert (rest.code, rest.status) == ("UnrecognizedClientException", 403)


@pytest.mark.parametrize("presign_s", [None, 60])
def test_session_tokens(presign_s: int | None) -> None:
    good = signed(f"{S3}/b", credential=TEMPORARY, presign_s=presign_s)
    assert verify(good, TEMPORARY).caller is CALLER
    error = refused(good, TEMPORARY, now_ms=NOW_MS + 60_000)
    assert (error.code, error.status) == ("ExpiredToken", 400)
    other = Known(TEMPORARY.access_key, TEMPORARY.secret, "other")
    assert refused(good, other).code == "InvalidToken"
    assert refused(good, Known(TEMPORARY.access_key, TEMPORARY.secret)).code == "InvalidToken"
    without = Known(TEMPORARY.access_key, TEMPORARY.secret)
    bare = signed(f"{S3}/b", credential=without, presign_s=presign_s)
    assert refused(bare, TEMPORARY).code == "InvalidAccessKeyId"


def test_session_tokens_of_other_services() -> None:
    request = signed(S3, "POST", service="dynamodb", headers=JSON, credential=TEMPORARY)
    assert refused(request, TEMPORARY, now_ms=NOW_MS + 60_000).code == "ExpiredTokenException"
    other = Known(TEMPORARY.access_key, TEMPORARY.secret, "other")
    assert refused(request, other).code == "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (plain(authorization="AWS AKID:sig"), "InvalidRequest"),
        (plain("AWSAccessKeyId=a&Signature=b&Expires=1"), "InvalidRequest"),
        (plain(authorization="Bearer x"), "InvalidArgument"),
        (plain(authorization="AWS4-HMAC-SHA256 Credential=a"), "AuthorizationHeaderMalformed"),
        (
            plain(authorization="AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0"),
            "AuthorizationHeaderMalformed",
        ),
        (plain("X-Amz-Algorithm=AWS4-HMAC-SHA256"), "AuthorizationQueryParametersError"),
        (plain("X-Amz-Signature=1", authorization="AWS4-HMAC-SHA256 x"), "InvalidArgument"),
        (plain(authorization="Bearer x", x_amz_target="A.B"), "IncompleteSignatureException"),
        (plain(authorization="AWS a:b", x_amz_target="A.B"), "IncompleteSignatureException"),
        (
            plain(authorization="AWS4-HMAC-SHA256 Credential=a", x_amz_target="A.B"),
            "IncompleteSignatureException",
        ),
        (
            plain(
                method="POST",
                authorization="AWS a:b",
                content_type="application/x-www-form-urlencoded",
            ),
            "IncompleteSignature",
        ),
    ],
)
def test_what_does_not_parse(request_: Request, code: str) -> None:
    assert refused(request_).code == code


def test_asymmetric_signatures_are_not_implemented() -> None:
    for request in (
        plain(authorization="AWS4-ECDSA-P256-SHA256 Credential=a"),
        plain("X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256"),
    ):
        assert isinstance(refused(request), NotImplementedByCloudlet)
    request = signed(f"{S3}/b")
    request.headers["x-amz-content-sha256"] = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
    assert isinstance(refused(request), NotImplementedByCloudlet)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=X", "AuthorizationQuery"),
        ("aws4_request", "aws5_request", "AuthorizationQuery"),
        ("%2Fs3%2F", "%2F", "AuthorizationQuery"),
        ("20261118%2F", "2026111%2F", "AuthorizationQuery"),
        ("20261118%2F", "20261117%2F", "AuthorizationQuery"),
        ("X-Amz-Date=2026", "X-Amz-Date=2O26", "AuthorizationQuery"),
        ("X-Amz-Date=202611", "X-Amz-Date=202699", "AuthorizationQuery"),
        ("X-Amz-Expires=60&", "", "AuthorizationQuery"),
    ],
)
def test_damaged_queries(old: str, new: str, code: str) -> None:
    request = signed(f"{S3}/b/k", presign_s=60)
    assert old in request.query
    request.query = request.query.replace(old, new)
    assert refused(request).code.startswith(code)


def test_dates() -> None:
    request = signed(f"{S3}/b")
    del request.headers["x-amz-date"]
    error = refused(request)
    assert (error.code, error.status) == ("AccessDenied", 403)
    request = signed(f"{S3}/b", headers={"Date": "Wed, 18 Nov 2026 11:06:40 GMT"})
    if "x-amz-date" not in request.headers:  # botocore keeps a Date header that was there
        verify(request)
    request = signed(S3, "POST", service="dynamodb", headers=JSON)
    del request.headers["x-amz-date"]
    assert refused(request).code == "IncompleteSignatureException"
    request = signed(S3, "POST", service="dynamodb", headers=JSON)
    header = request.headers["authorization"]
    request.headers["authorization"] = header.replace("/20261118/", "/20261117/")
    assert "Date in Credential scope" in refused(request).message
    request.headers["authorization"] = header.replace("aws4_request", "x")
    assert "terminator" in refused(request).message


def test_payload_header() -> None:
    request = signed(f"{S3}/b")
    request.headers["x-amz-content-sha256"] = "x"
    assert refused(request).code == "InvalidArgument"
    del request.headers["x-amz-content-sha256"]
    assert refused(request).code == "InvalidRequest"
    headers = {"x-amz-content-sha256": sigv4.UNSIGNED_CHUNKS_TRAILER}
    request = signed(f"{S3}/b/k", "PUT", presign_s=60)
    request.headers |= headers  # unsigned in a presigned upload: still says how it is encoded
    assert verify(request).payload == sigv4.UNSIGNED_CHUNKS_TRAILER


def test_payload_in_the_query() -> None:
    url = f"{S3}/b/k?X-Amz-Content-Sha256="
    assert verify(signed(url + "UNSIGNED-PAYLOAD", "PUT", presign_s=60)).payload == sigv4.UNSIGNED
    assert refused(signed(url + "odd", "PUT", presign_s=60)).code == "InvalidArgument"


def test_open_access_takes_any_unknown_key() -> None:
    verifier = Verifier(open_credential=lambda key: Known(key, ""))
    request = signed(f"{S3}/b", credential=Known("test", "test"))
    verdict = asyncio.run(verifier.verify(request, lookup(), NOW_MS, REGION))
    assert verdict is not None
    assert (verdict.credential.access_key, verdict.signing_key) == ("test", b"")


def test_signing_keys_are_kept_but_not_for_ever() -> None:
    """AWS's documented example of a derived key."""
    verifier = Verifier()
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    key = verifier.signing_key(secret, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    for number in range(1025):
        verifier.signing_key(secret, str(number), "r", "s")
    assert verifier.signing_key(secret, "20150830", "us-east-1", "iam") == key


def test_the_documented_example() -> None:
    """`GET /test.txt` of AWS's "Signature calculations" page."""
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": "20130524T000000Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
        "aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }
    request = Request("GET", "/test.txt", "", headers, Body.of(b""))
    assert verify(request, now_ms=1_369_353_600_000).caller is CALLER
