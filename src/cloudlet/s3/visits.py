"""Visitors of websites out of buckets: pages, redirects, errors as a site wants them shown.

Visitors are anonymous: what they may see is what the bucket's policy, or an ACL, lets everybody
read. The sites' configuration is `website`'s.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from cloudlet.call import ANONYMOUS, Cloud, Output
from cloudlet.errors import AwsError
from cloudlet.exchange import Request, Response
from cloudlet.s3 import faults
from cloudlet.s3.bucket import of_name, setting
from cloudlet.s3.website import Rule, no_website
from cloudlet.wire.faults import host_id, signs

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


async def answer(cloud: Cloud, request: Request, bucket: str) -> Response:
    """One page of the bucket's site, a redirect, or an error as the site wants it shown."""
    response = await _answer(cloud, request, bucket)
    response.headers += signs(request.id)
    return response


async def _answer(cloud: Cloud, request: Request, bucket: str) -> Response:
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
            return Response(304, [*_details(error).items()])
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
        raise no_website(name)
    if request.method not in ("GET", "HEAD"):
        raise faults.method_not_allowed(Method=request.method, ResourceType="OBJECT")
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
    details = _details(error)
    facts = {"Code": error.code, "Message": error.message, **details}
    ids = {"RequestId": request.id, "HostId": host_id(request.id)}
    text = f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
    text += _items({**facts, **ids})
    if second is not None:
        text += "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n"
        text += _items({"Code": second.code, "Message": second.message, **_details(second)})
    headers: Headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("x-amz-error-code", error.code),
        ("x-amz-error-message", error.message),
        *((f"x-amz-error-detail-{name}", value) for name, value in details.items()),
    ]
    body = b"" if request.method == "HEAD" else f"{text}<hr/>\n</body>\n</html>\n".encode()
    return Response(error.status, headers, body)


def _details(error: AwsError) -> dict[str, str]:
    return {n: str(value) for n, value in error.fields.items() if not n.startswith("_")}


def _items(facts: dict[str, str]) -> str:
    items = "".join(f"<li>{name}: {escape(value)}</li>\n" for name, value in facts.items())
    return f"<ul>\n{items}</ul>\n"
