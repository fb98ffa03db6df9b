"""Static websites out of buckets: their configuration, and the answers to visitors.

Visitors are anonymous: what they may see is what the bucket's policy lets everybody read.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from cloudlet.call import ANONYMOUS, Call, Cloud, Output, Result
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.s3 import faults
from cloudlet.s3.bucket import drop_setting, of_call, of_name, put_setting, setting
from cloudlet.store.database import Transaction, View

RULES_MAX = 50
Rule = dict[str, Any]
Headers = list[tuple[str, str]]
# request header → parameter
_CONDITIONS = {
    "range": "Range",
    "if-match": "IfMatch",
    "if-none-match": "IfNoneMatch",
    "if-modified-since": "IfModifiedSince",
    "if-unmodified-since": "IfUnmodifiedSince",
}
# output member → response header
_HEADERS = {
    "AcceptRanges": "Accept-Ranges",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentLength": "Content-Length",
    "ContentRange": "Content-Range",
    "ContentType": "Content-Type",
    "ETag": "ETag",
    "Expires": "Expires",
}


def put_bucket_website(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    wanted = call.params.get("WebsiteConfiguration") or {}
    if wanted.get("RedirectAllRequestsTo"):
        if set(wanted) != {"RedirectAllRequestsTo"}:
            raise faults.invalid_argument(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            )
        _check_redirect({**wanted["RedirectAllRequestsTo"]})
    else:
        suffix = (wanted.get("IndexDocument") or {}).get("Suffix", "")
        if not suffix or "/" in suffix:
            raise faults.invalid_argument("The IndexDocument Suffix is not well formed")
        if "ErrorDocument" in wanted and not wanted["ErrorDocument"].get("Key"):
            raise faults.invalid_argument("The ErrorDocument Key is not well formed")
    rules = wanted.get("RoutingRules") or []
    if len(rules) > RULES_MAX:
        raise faults.invalid_request(
            f"{len(rules)} routing rules provided, the number of routing rules in a website "
            f"configuration is limited to {RULES_MAX}."
        )
    for rule in rules:
        _check_rule(rule)
    put_setting(tx, bucket.id, "website", wanted)


def _check_rule(rule: Rule) -> None:
    redirect = rule.get("Redirect")
    if not redirect:
        raise faults.malformed_xml()
    if "ReplaceKeyWith" in redirect and "ReplaceKeyPrefixWith" in redirect:
        raise faults.invalid_request(
            "You can only define ReplaceKeyPrefix or ReplaceKey but not both."
        )
    code = str(redirect.get("HttpRedirectCode", "301"))
    if not (code.isdigit() and code != "300" and 300 < int(code) < 400):
        raise faults.invalid_request(
            f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except "
            "300."
        )
    error = (rule.get("Condition") or {}).get("HttpErrorCodeReturnedEquals")
    if error is not None and not (str(error).isdigit() and 400 <= int(error) < 600):
        raise faults.invalid_request(
            f"The provided HTTP error code ({error}) is not valid. Valid codes are 4XX or 5XX."
        )
    _check_redirect(redirect)


def _check_redirect(redirect: dict[str, Any]) -> None:
    if redirect.get("Protocol", "http") not in ("http", "https"):
        raise faults.invalid_request(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be "
            "selected automatically."
        )


def get_bucket_website(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    found: Output | None = setting(view, bucket.id, "website")
    if found is None:
        raise _no_website(bucket.name)
    return found


def delete_bucket_website(call: Call, tx: Transaction) -> Result:
    drop_setting(tx, of_call(call, tx).id, "website")
    return Result({}, 204)


def _no_website(name: str) -> AwsError:
    return AwsError(
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
        404,
        BucketName=name,
    )


async def answer(cloud: Cloud, request: Request, bucket: str) -> Response:
    """One page of the bucket's site, a redirect, or an error as the site wants it shown."""
    try:
        site = _site(cloud, request, bucket)
    except AwsError as error:
        return _error_page(request, error)
    everything = site.get("RedirectAllRequestsTo")
    if everything:
        return _redirect(request, {**everything, "HttpRedirectCode": "301"}, "", _key(request))
    key = _key(request)
    rule = _rule(site, key, None)
    if rule is not None:
        return _redirect(request, rule["Redirect"], _prefix(rule), key)
    suffix = site["IndexDocument"]["Suffix"]
    page = key + suffix if not key or key.endswith("/") else key
    try:
        return _page(request, await _fetch(cloud, request, bucket, page))
    except AwsError as error:
        if error.status == 304:
            return Response(304, [(name, str(value)) for name, value in error.fields.items()])
        if page == key and await _is_folder(cloud, bucket, f"{key}/{suffix}"):
            return Response(302, [("Location", "/" + quote(key) + "/")])
        return await _failed(cloud, request, site, (bucket, key, error))


def _site(cloud: Cloud, request: Request, name: str) -> dict[str, Any]:
    with cloud.database.snapshot() as view:
        bucket = of_name(view, name)
        if bucket is None:
            raise faults.no_such_bucket(name)
        site: dict[str, Any] | None = setting(view, bucket.id, "website")
    if site is None:
        raise _no_website(name)
    if request.method not in ("GET", "HEAD"):
        raise AwsError(
            "MethodNotAllowed", "The specified method is not allowed against this resource.", 405
        )
    return site


def _key(request: Request) -> str:
    return request.path.removeprefix("/")


async def _fetch(cloud: Cloud, request: Request, bucket: str, key: str) -> Output:
    params = {
        name: request.headers[header]
        for header, name in _CONDITIONS.items()
        if header in request.headers
    }
    operation = "HeadObject" if request.method == "HEAD" else "GetObject"
    return await cloud.invoke("s3", operation, {"Bucket": bucket, "Key": key, **params}, ANONYMOUS)


async def _is_folder(cloud: Cloud, bucket: str, index: str) -> bool:
    try:
        await cloud.invoke("s3", "HeadObject", {"Bucket": bucket, "Key": index}, ANONYMOUS)
    except AwsError:
        return False
    return True


def _page(request: Request, output: Output) -> Response:
    location = output.get("WebsiteRedirectLocation")
    if location:
        return Response(301, [("Location", location)])
    headers = [
        (header, str(output[member]))
        for member, header in _HEADERS.items()
        if output.get(member) is not None
    ]
    modified = output.get("LastModified")
    if modified is not None:
        moment = (
            modified if isinstance(modified, datetime) else datetime.fromtimestamp(modified, UTC)
        )
        headers.append(("Last-Modified", format_datetime(moment, usegmt=True)))
    for name, value in (output.get("Metadata") or {}).items():
        headers.append((f"x-amz-meta-{name}", value))
    status = 206 if output.get("ContentRange") else 200
    return Response(status, headers, output.get("Body", b""))


def _rule(site: dict[str, Any], key: str, status: int | None) -> Rule | None:
    """The first rule for the key and, after a failure, for its status."""
    for rule in site.get("RoutingRules") or []:
        wanted = (rule.get("Condition") or {}).get("HttpErrorCodeReturnedEquals")
        if (str(status) if status else None) == (
            str(wanted) if wanted else None
        ) and key.startswith(_prefix(rule)):
            found: Rule = rule
            return found
    return None


def _prefix(rule: Rule) -> str:
    return str((rule.get("Condition") or {}).get("KeyPrefixEquals") or "")


def _redirect(request: Request, redirect: dict[str, Any], prefix: str, key: str) -> Response:
    if "ReplaceKeyWith" in redirect:
        key = redirect["ReplaceKeyWith"]
    elif "ReplaceKeyPrefixWith" in redirect:
        key = redirect["ReplaceKeyPrefixWith"] + key[len(prefix) :]
    protocol = redirect.get("Protocol", request.scheme)
    host = redirect.get("HostName", request.host)
    query = f"?{request.query}" if request.query else ""
    location = f"{protocol}://{host}/{quote(key)}{query}"
    return Response(int(redirect.get("HttpRedirectCode", 301)), [("Location", location)])


async def _failed(
    cloud: Cloud, request: Request, site: dict[str, Any], failure: tuple[str, str, AwsError]
) -> Response:
    """By rule, by the site's error document, or by a plain page."""
    bucket, key, error = failure
    rule = _rule(site, key, error.status)
    if rule is not None:
        return _redirect(request, rule["Redirect"], _prefix(rule), key)
    document = (site.get("ErrorDocument") or {}).get("Key")
    if not document or not 400 <= error.status < 500:
        return _error_page(request, error)
    plain = Request(request.method, "/", "", {}, request.body, id=request.id)
    try:
        page = _page(plain, await _fetch(cloud, plain, bucket, document))
    except AwsError as second:
        return _error_page(request, error, second)
    page.status = error.status if page.status == 200 else page.status
    return page


def _error_page(request: Request, error: AwsError, second: AwsError | None = None) -> Response:
    title = f"{error.status} {HTTPStatus(error.status).phrase}"
    facts = {"Code": error.code, "Message": error.message, **error.fields, "RequestId": request.id}
    items = "".join(f"<li>{escape(n)}: {escape(str(v))}</li>\n" for n, v in facts.items())
    text = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
        f"<ul>\n{items}</ul>\n"
    )
    if second is not None:
        text += (
            "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n"
            f"<ul>\n<li>Code: {escape(second.code)}</li>\n"
            f"<li>Message: {escape(second.message)}</li>\n</ul>\n"
        )
    headers: Headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("x-amz-error-code", error.code),
        ("x-amz-error-message", error.message),
    ]
    body = b"" if request.method == "HEAD" else f"{text}<hr/>\n</body>\n</html>\n".encode()
    return Response(error.status, headers, body)
