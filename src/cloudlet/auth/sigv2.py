"""AWS Signature Version 2 in queries: what boto3 presigns for S3 in us-east-1 by default.

Old and only for S3's presigned URLs; version 2 in headers stays refused. What is signed: the verb,
MD5 and type of the content, the expiry, `x-amz-*` headers (SDKs move them into the query), and the
resource with its sub-resources; HMAC-SHA1 with the secret itself, no scope.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

import base64
import hmac
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from cloudlet.auth import refusals, sigv4
from cloudlet.auth.refusals import Dialect
from cloudlet.auth.sigv4 import UNSIGNED, Lookup, Verified
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


def is_presigned(request: Request) -> bool:
    if "AWSAccessKeyId=" not in request.query or "X-Amz-Algorithm=" in request.query:
        return False
    return "AWSAccessKeyId" in dict(request.arguments())


def verify(request: Request, lookup: Lookup, now_ms: int) -> Verified:
    """The verdict on a presigned request of version 2; AwsError for a bad one."""
    if "authorization" in request.headers:
        raise refusals.two_mechanisms()
    found = dict(request.arguments())
    access_key, signature = found["AWSAccessKeyId"], found.get("Signature", "")
    expires_s = _expiry(found, now_ms)
    credential = lookup(access_key)
    if credential is None:
        raise refusals.unknown_key(_S3, access_key)
    sigv4.check_token(_S3, credential, found.get(_TOKEN) or request.headers.get(_TOKEN), now_ms)
    text = string_to_sign(request, expires_s)
    wanted = base64.b64encode(hmac.digest(credential.secret.encode(), text.encode(), "sha1"))
    if not hmac.compare_digest(wanted, signature.encode()):
        raise refusals.mismatch(_S3, access_key, signature, text)
    return Verified(credential, "s3", UNSIGNED, signature, b"", "", "", True)


def string_to_sign(request: Request, expires_s: int) -> str:
    sent = {name.lower(): value for name, value in request.arguments()}
    values = {**request.headers, **sent}
    amazon = sorted(name for name in values if name.startswith("x-amz-"))
    lines = [request.method, values.get("content-md5", ""), values.get("content-type", "")]
    lines += [str(expires_s), *(f"{name}:{values[name].strip()}" for name in amazon)]
    return "\n".join(lines) + f"\n{_resource(request)}"


def _resource(request: Request) -> str:
    bucket = s3_bucket_of_host(request.host)
    path = f"/{bucket}{request.raw_path}" if bucket else request.raw_path
    below = []
    for part in request.query.split("&"):
        name, equals, value = part.partition("=")
        if name in _SUBRESOURCES:
            below.append(f"{name}{equals}{unquote_plus(value)}")
    return f"{path}?{'&'.join(sorted(below))}" if below else path


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
