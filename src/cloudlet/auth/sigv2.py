"""AWS Signature Version 2 of S3: in queries, as boto3 presigns in us-east-1 by default, and in
headers, where buckets are classic ones; else `sigv4` refuses it, as AWS's newer buckets do.

What is signed: the verb, MD5 and type of the content, the date or the expiry, `x-amz-*` headers
(SDKs move them into the query), and the resource with its sub-resources; HMAC-SHA1 with the secret
itself, no scope. What the signature doesn't tell apart is refused: a link is for one thing.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

import base64
import hmac
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus

from cloudlet.auth import refusals, sigv4
from cloudlet.auth.refusals import Dialect
from cloudlet.auth.sigv4 import UNSIGNED, Credential, Lookup, Verified
from cloudlet.errors import AwsError
from cloudlet.exchange import Request
from cloudlet.wire.protocol import s3_bucket_of_host

_S3 = Dialect("s3")
_TOKEN = "x-amz-security-token"
_SUBRESOURCES = frozenset(
    (
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory",
        "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "partNumber",
        "policy", "replication", "requestPayment", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning",
        "versions", "website", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type",
        "response-expires",
    )
)  # fmt: skip
# No client signs these; whoever has a link to an object must not reach them with it
_NEVER_SIGNED = frozenset(
    (
        "abac", "annotation", "attributes", "encryption", "intelligent-tiering", "legal-hold",
        "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable",
        "metadataJournalTable", "metadataTable", "ownershipControls", "policyStatus",
        "publicAccessBlock", "renameObject", "retention", "session",
    )
)  # fmt: skip


def is_presigned(request: Request) -> bool:
    if "AWSAccessKeyId=" not in request.query or "X-Amz-Algorithm=" in request.query:
        return False
    return "AWSAccessKeyId" in dict(request.arguments())


def verify(request: Request, lookup: Lookup, now_ms: int) -> Verified:
    """The verdict on a presigned request of version 2; AwsError for a bad one."""
    if "authorization" in request.headers:
        raise refusals.two_mechanisms()
    found = dict(request.arguments())
    if not {"Signature", "Expires"} <= found.keys():
        text = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
        raise AwsError("AccessDenied", f"{text}parameters", 403)
    unsigned = sorted(_NEVER_SIGNED & found.keys())
    if unsigned:
        text = f"Version 2 of query-string authentication does not sign {unsigned[0]}"
        raise AwsError("AccessDenied", text, 403)
    access_key, signature = found["AWSAccessKeyId"], found["Signature"]
    expires_s = _expiry(found, now_ms)
    credential = lookup(access_key)
    if credential is None:
        raise refusals.unknown_key(_S3, access_key)
    sigv4.check_token(_S3, credential, found.get(_TOKEN) or request.headers.get(_TOKEN), now_ms)
    _check(credential, signature, string_to_sign(request, str(expires_s)))
    return Verified(credential, "s3", UNSIGNED, signature, b"", "", "", True)


def is_signed(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith("AWS ")


def verify_header(request: Request, lookup: Lookup, now_ms: int) -> Verified:
    """The verdict on `Authorization: AWS key:signature`; AwsError for a bad one."""
    header = request.headers["authorization"]
    access_key, colon, signature = header.removeprefix("AWS ").strip().partition(":")
    if not colon:
        raise AwsError(
            "InvalidArgument",
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            400,
            ArgumentName="Authorization",
            ArgumentValue=header,
        )
    _check_date(request, now_ms)
    credential = lookup(access_key)
    if credential is None:
        raise refusals.unknown_key(_S3, access_key)
    sigv4.check_token(_S3, credential, request.headers.get(_TOKEN), now_ms)
    is_dated = "x-amz-date" in request.headers  # it is among the signed headers then
    date = "" if is_dated else request.headers.get("date", "")
    _check(credential, signature, string_to_sign(request, date))
    return Verified(credential, "s3", UNSIGNED, signature, b"", "", "", False)


def _check_date(request: Request, now_ms: int) -> None:
    text = request.headers.get("x-amz-date", request.headers.get("date", ""))
    try:
        moment = parsedate_to_datetime(text)
        signed_ms = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
        if signed_ms < 0:
            raise ValueError(text)
    except (ValueError, OverflowError) as error:
        raise refusals.no_date(_S3, "") from error
    if abs(signed_ms - now_ms) > refusals.SKEW_S3_MS:
        raise refusals.skewed(text, now_ms)


def _check(credential: Credential, signature: str, text: str) -> None:
    for signed in (text, _with_slash(text)):
        wanted = hmac.digest(credential.secret.encode(), signed.encode(), "sha1")
        if hmac.compare_digest(base64.b64encode(wanted), signature.encode()):
            return
    raise refusals.mismatch(_S3, credential.access_key, signature, text)


def string_to_sign(request: Request, date: str) -> str:
    """`date` is the expiry in queries."""
    values = dict(request.headers)
    for name, value in request.arguments():
        name = name.lower()
        if values.setdefault(name, value) != value and name.startswith("x-amz-"):
            values[name] += f",{value}"  # said twice: all of it must have been signed
    amazon = sorted(name for name in values if name.startswith("x-amz-"))
    lines = [request.method, values.get("content-md5", ""), values.get("content-type", "")]
    lines += [date, *(f"{name}:{values[name].strip()}" for name in amazon)]
    return "\n".join(lines) + f"\n{_resource(request)}"


def _resource(request: Request) -> str:
    bucket = s3_bucket_of_host(request.host)
    path = f"/{bucket}{request.raw_path}" if bucket else request.raw_path
    below = []
    for part in request.query.split("&"):
        name, equals, value = part.partition("=")
        name = unquote_plus(name)  # as it will be understood
        if name in _SUBRESOURCES:
            below.append(f"{name}{equals}{unquote_plus(value)}")
    return f"{path}?{'&'.join(sorted(below))}" if below else path


def _with_slash(text: str) -> str:
    """Some clients sign `/bucket/` and ask for `/bucket`."""
    *lines, resource = text.split("\n")
    path, mark, query = resource.partition("?")
    path = path if path.count("/") > 1 else f"{path}/"
    return "\n".join((*lines, f"{path}{mark}{query}"))


def _expiry(found: dict[str, str], now_ms: int) -> int:
    try:
        expires_s = int(found["Expires"])
    except (KeyError, ValueError) as error:
        text = f"Invalid date (should be seconds since epoch): {found.get('Expires', '')}"
        raise AwsError("AccessDenied", text, 403) from error
    if expires_s * 1000 < now_ms:
        raise AwsError(
            "AccessDenied",
            "Request has expired",
            403,
            Expires=_moment(expires_s),
            ServerTime=_moment(now_ms // 1000),
        )
    return expires_s


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
