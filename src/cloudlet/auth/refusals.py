"""Why a signature is refused, in each service's own words.

S3 speaks in its own codes, services of the JSON protocols in exceptions of AWS's common layer (400
for JSON 1.x, 403 for REST), query services (STS, IAM) in a third way. A `Dialect` knows which.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cloudlet.errors import AwsError
from cloudlet.exchange import Request

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
)
_ELSEWHERE = (
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
SKEW_S3_MS = 15 * 60_000
_INVALID_TOKEN = "The security token included in the request is invalid."
_JSON = {
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "ExpiredToken": "ExpiredTokenException",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a service refuses: `kind` is "s3", "json", "rest-json" or "query"."""

    kind: str

    @property
    def is_s3(self) -> bool:
        return self.kind == "s3"

    def error(self, code: str, message: str, query_status: int = 403) -> AwsError:
        """An error of AWS's common layer, by its query-protocol name."""
        if self.kind == "query":
            return AwsError(code, message, query_status)
        status = 400 if self.kind == "json" else 403
        return AwsError(_JSON[code], message, status)


_S3, _AS_JSON, _AS_REST, _AS_QUERY = map(Dialect, ("s3", "json", "rest-json", "query"))


def dialect(service: str, request: Request) -> Dialect:
    """The dialect of a signing name, or, when a request names no service, of its looks."""
    if service == "s3":
        return _S3
    if "x-amz-target" in request.headers:
        return _AS_JSON
    if service in ("sts", "iam", "sns", "cloudformation", "cloudfront", "monitoring"):
        return _AS_QUERY
    if service:
        return _AS_REST
    content_type = request.headers.get("content-type", "")
    is_form = request.method == "POST" and content_type.startswith(
        "application/x-www-form-urlencoded"
    )
    return _AS_QUERY if is_form else _S3


def missing(how: Dialect) -> AwsError:
    """No credentials at all, where a service has no anonymous callers."""
    if how.is_s3:
        return AwsError("AccessDenied", "Access Denied", 403)
    if how.kind == "json":
        return how.error("MissingAuthenticationToken", "Request is missing Authentication Token")
    text = "Missing Authentication Token"
    return how.error(
        "MissingAuthenticationToken",
        text if how.kind == "rest-json" else "Request is missing Authentication Token",
    )


def unsupported_mechanism(how: Dialect) -> AwsError:
    """Signature version 2, which AWS itself no longer takes in newer regions."""
    text = (
        "The authorization mechanism you have provided is not supported. "
        "Please use AWS4-HMAC-SHA256."
    )
    if how.is_s3:
        return AwsError("InvalidRequest", text, 400)
    return how.error("IncompleteSignature", text, 400)


def unknown_scheme(how: Dialect, header: str) -> AwsError:
    if how.is_s3:
        return AwsError(
            "InvalidArgument",
            "Unsupported Authorization Type",
            400,
            ArgumentName="Authorization",
            ArgumentValue=header,
        )
    return how.error(
        "IncompleteSignature",
        f"Authorization header requires 'Credential' parameter. Authorization={header}",
        400,
    )


def two_mechanisms() -> AwsError:
    return AwsError(
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
        "query string parameter or the Authorization header should be specified",
        400,
        ArgumentName="Authorization",
    )


def malformed(how: Dialect, presigned: bool, detail: str, **fields: str) -> AwsError:
    """The Authorization header or the query parameters don't parse."""
    if not how.is_s3:
        return how.error("IncompleteSignature", detail[:1].upper() + detail[1:], 400)
    if presigned:
        return AwsError("AuthorizationQueryParametersError", detail, 400, **fields)
    return AwsError(
        "AuthorizationHeaderMalformed",
        f"The authorization header is malformed; {detail}",
        400,
        **fields,
    )


def wrong_scope(how: Dialect, presigned: bool, detail: str, common: str, **fields: str) -> AwsError:
    """A credential scope for another region, service or day. `common`: the other services' text."""
    if not how.is_s3:
        return how.error("SignatureDoesNotMatch", common)
    if presigned:
        detail = f"Error parsing the X-Amz-Credential parameter; {detail}"
    return malformed(how, presigned, detail, **fields)


def no_date(how: Dialect, header: str) -> AwsError:
    if how.is_s3:
        text = "AWS authentication requires a valid Date or x-amz-date header"
        return AwsError("AccessDenied", text, 403)
    text = (
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        f"Authorization={header}"
    )
    return how.error("IncompleteSignature", text, 400)


def skewed(sent: str, now_ms: int) -> AwsError:
    """S3's clock and the client's differ too much."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return AwsError(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        403,
        RequestTime=sent,
        ServerTime=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        MaxAllowedSkewMilliseconds=SKEW_S3_MS,
    )


def host_not_signed(how: Dialect) -> AwsError:
    if how.is_s3:
        return headers_not_signed(["host"])
    return how.error(
        "SignatureDoesNotMatch",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    )


def headers_not_signed(names: list[str]) -> AwsError:
    return AwsError(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        403,
        HeadersNotSigned=", ".join(names),
    )


def unknown_key(how: Dialect, access_key: str) -> AwsError:
    if how.is_s3:
        return AwsError(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            403,
            AWSAccessKeyId=access_key,
        )
    return how.error("InvalidClientTokenId", _INVALID_TOKEN)


def invalid_token(how: Dialect, token: str) -> AwsError:
    if how.is_s3:
        text = "The provided token is malformed or otherwise invalid."
        return AwsError("InvalidToken", text, 400, **{"Token-0": token})
    return how.error("InvalidClientTokenId", _INVALID_TOKEN)


def expired_token(how: Dialect, token: str) -> AwsError:
    if how.is_s3:
        text = "The provided token has expired."
        return AwsError("ExpiredToken", text, 400, **{"Token-0": token})
    return how.error("ExpiredToken", "The security token included in the request is expired")


def mismatch(
    how: Dialect, access_key: str, signature: str, string_to_sign: str, canonical: bytes = b""
) -> AwsError:
    """The signature differs. Shows what we signed, as AWS does, so that clients can be repaired."""
    text = canonical.decode("utf-8", "replace")
    if how.is_s3:
        shown = {"CanonicalRequest": text, "CanonicalRequestBytes": canonical.hex(" ")}
        return AwsError(
            "SignatureDoesNotMatch",
            f"{MISMATCH}key and signing method.",
            403,
            AWSAccessKeyId=access_key,
            StringToSign=string_to_sign,
            SignatureProvided=signature,
            StringToSignBytes=string_to_sign.encode().hex(" "),
            **(shown if canonical else {}),
        )
    message = MISMATCH + _ELSEWHERE
    if how.kind != "query":
        message += (
            f"\n\nThe Canonical String for this request should have been\n'{text}'"
            f"\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
        )
    return how.error("SignatureDoesNotMatch", message)
