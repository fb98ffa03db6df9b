"""An S3 bucket as an origin: GET and HEAD of its objects as CloudFront, so that its policy decides.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
"""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from cloudlet.call import ANONYMOUS, Cloud
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Request, Response
from cloudlet.gateway.cloudfront.behaviors import Origin

_TEXTS = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentRange": "content-range",
    "ContentType": "content-type",
    "ETag": "etag",
    "AcceptRanges": "accept-ranges",
    "ExpiresString": "expires",
    "VersionId": "x-amz-version-id",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}


async def fetch(
    cloud: Cloud, origin: Origin, request: Request, raw_path: str, distribution_arn: str
) -> Response:
    """`raw_path` is the viewer's, or that of an error page."""
    if request.method not in ("GET", "HEAD"):
        raise NotImplementedByCloudlet(f"{request.method} to an S3 origin of a distribution")
    caller = origin.caller(request, cloud.config.account, distribution_arn)
    if caller is None and origin.signing == "no-override":
        raise NotImplementedByCloudlet("A viewer's own signature for an S3 origin")
    key = unquote(origin.path + raw_path)[1:]
    if not key:
        return _failure(request, AwsError("AccessDenied", "Access Denied", 403))
    operation = "GetObject" if request.method == "GET" else "HeadObject"
    params = {"Bucket": origin.bucket, "Key": key, **_conditions(request)}
    try:
        output = await cloud.invoke("s3", operation, params, caller or ANONYMOUS)
    except AwsError as error:
        return _failure(request, error)
    return _success(output)


def _conditions(request: Request) -> dict[str, Any]:
    """Those that S3 looks at."""
    headers = request.headers
    params: dict[str, Any] = {
        "Range": headers.get("range"),
        "IfMatch": headers.get("if-match"),
        "IfNoneMatch": headers.get("if-none-match"),
        "IfModifiedSince": _date(headers.get("if-modified-since", "")),
        "IfUnmodifiedSince": _date(headers.get("if-unmodified-since", "")),
    }
    return {member: value for member, value in params.items() if value is not None}


def _date(text: str) -> datetime | None:
    """A date that cannot be read is a condition that was not made (RFC 9110)."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _success(output: dict[str, Any]) -> Response:
    headers = [
        (header, str(output[member])) for member, header in _TEXTS.items() if output.get(member)
    ]
    if output.get("ContentLength") is not None:
        headers.append(("content-length", str(output["ContentLength"])))
    modified = output.get("LastModified")
    if modified is not None:
        headers.append(("last-modified", _http_date(modified)))
    headers += [(f"x-amz-meta-{k}", v) for k, v in (output.get("Metadata") or {}).items()]
    body = output.get("Body")
    return Response(206 if output.get("ContentRange") else 200, headers, body or b"")


def _http_date(moment: Any) -> str:
    if isinstance(moment, str):
        return moment
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(int(moment), UTC)
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _failure(request: Request, error: AwsError) -> Response:
    if error.status == 304:
        etag = error.fields.get("ETag")
        return Response(304, [("etag", etag)] if etag else [])
    if request.method == "HEAD":
        return Response(error.status, [("content-type", "application/xml")])
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"<RequestId>{escape(request.id)}</RequestId></Error>"
    )
    return Response(error.status, [("content-type", "application/xml")], body.encode())
