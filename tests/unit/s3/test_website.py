"""Websites: index and error documents, redirects, routing rules."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request, Response
from cloudlet.s3 import reading, visits, website
from tests.unit.s3.conftest import Shelf, drained

SITE = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "oops.html"}}


@pytest.fixture
def site(shelf: Shelf) -> Shelf:
    """A readable bucket with a site; reads go through `invoke`, as visitors' do."""
    for operation in (reading.get_object, reading.head_object):
        shelf.answers["".join(operation.__name__.title().split("_"))] = _reading(shelf, operation)
    shelf.put("index.html", b"home", ContentType="text/html")
    shelf.put("docs/index.html", b"docs")
    shelf.put("oops.html", b"sorry")
    shelf.put("old", b"", WebsiteRedirectLocation="/new")
    configure(shelf, SITE)
    return shelf


def _reading(shelf: Shelf, operation: Any) -> Any:
    def read(params: dict[str, Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: shelf.call(operation, **params)).result()

    return read


def configure(shelf: Shelf, configuration: Any) -> None:
    shelf.call(website.put_bucket_website, Bucket="shelf", WebsiteConfiguration=configuration)


def visit(shelf: Shelf, path: str, method: str = "GET", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw, _, query = path.partition("?")
    request = Request(method, raw, query, {"host": "site.test", **named}, Body.of(b""), id="r-1")
    return asyncio.run(visits.answer(shelf.cloud, request, "shelf"))


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


def test_pages(site: Shelf) -> None:
    home = visit(site, "/")
    assert (home.status, drained(home.body)) == (200, b"home")
    assert header(home, "Content-Type") == "text/html"
    assert drained(visit(site, "/docs/").body) == b"docs"
    head = visit(site, "/index.html", "HEAD")
    assert (head.status, head.body, header(head, "Content-Length")) == (200, b"", "4")
    part = visit(site, "/index.html", range="bytes=0-1")
    assert (part.status, drained(part.body)) == (206, b"ho")


def test_not_modified(site: Shelf) -> None:
    etag = header(visit(site, "/"), "ETag")
    assert etag
    answer = visit(site, "/", if_none_match=etag)
    assert (answer.status, header(answer, "ETag"), answer.body) == (304, etag, b"")


def test_folders_get_their_slash(site: Shelf) -> None:
    answer = visit(site, "/docs")
    assert (answer.status, header(answer, "Location")) == (302, "/docs/")


def test_redirecting_objects(site: Shelf) -> None:
    answer = visit(site, "/old")
    assert (answer.status, header(answer, "Location")) == (301, "/new")


def test_errors_show_the_error_document(site: Shelf) -> None:
    answer = visit(site, "/missing")
    assert (answer.status, drained(answer.body)) == (404, b"sorry")
    configure(site, {**SITE, "ErrorDocument": {"Key": "none.html"}})
    answer = visit(site, "/<b>")
    assert answer.status == 404
    assert isinstance(answer.body, bytes)
    assert b"Code: NoSuchKey" in answer.body and b"<b>" not in answer.body
    assert b"Custom Error Document" in answer.body
    assert header(answer, "x-amz-error-code") == "NoSuchKey"
    assert header(answer, "x-amz-error-detail-Key") == "<b>"
    assert header(answer, "x-amz-request-id") == "r-1"
    ids = f"<li>RequestId: r-1</li>\n<li>HostId: {header(answer, 'x-amz-id-2')}</li>\n</ul>\n<h3>"
    assert ids.encode() in answer.body and b"<li>Key: none.html</li>" in answer.body


def test_private_buckets_answer_403(site: Shelf) -> None:
    def refuse(_: Any) -> Any:
        raise AwsError("AccessDenied", "Access Denied", 403)

    site.answers["GetObject"] = site.answers["HeadObject"] = refuse
    assert visit(site, "/").status == 403


def test_redirecting_everything(site: Shelf) -> None:
    configure(site, {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}})
    answer = visit(site, "/a%20b?x=1")
    assert answer.status == 301
    assert header(answer, "Location") == "https://example.com/a%20b?x=1"


def test_routing_rules(site: Shelf) -> None:
    rules = [
        {
            "Condition": {"KeyPrefixEquals": "docs/"},
            "Redirect": {"ReplaceKeyPrefixWith": "documents/", "HttpRedirectCode": "302"},
        },
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "app/"},
            "Redirect": {"ReplaceKeyWith": "index.html", "HostName": "other.test"},
        },
    ]
    configure(site, {**SITE, "RoutingRules": rules})
    moved = visit(site, "/docs/a")
    assert (moved.status, header(moved, "Location")) == (302, "http://site.test/documents/a")
    lost = visit(site, "/app/x")
    assert (lost.status, header(lost, "Location")) == (301, "http://other.test/index.html")
    assert visit(site, "/elsewhere").status == 404


def test_what_is_no_site(site: Shelf) -> None:
    refused = visit(site, "/", "POST")
    assert refused.status == 405 and isinstance(refused.body, bytes)
    assert b"<li>Method: POST</li>\n<li>ResourceType: OBJECT</li>\n" in refused.body
    site.call(website.delete_bucket_website, Bucket="shelf")
    answer = visit(site, "/")
    assert (answer.status, header(answer, "x-amz-error-code")) == (
        404,
        "NoSuchWebsiteConfiguration",
    )
    with pytest.raises(AwsError, match="NoSuchWebsiteConfiguration"):
        site.call(website.get_bucket_website, Bucket="shelf")


def test_configuration_is_answered(site: Shelf) -> None:
    assert site.call(website.get_bucket_website, Bucket="shelf") == SITE


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        ({**SITE, "ErrorDocument": {}}, "InvalidArgument"),
        ({"RedirectAllRequestsTo": {}}, "MalformedXML"),
        ({**SITE, "RoutingRules": []}, "MalformedXML"),
        (
            {**SITE, "RoutingRules": [{"Redirect": {"HostName": "x"}, "Condition": {}}]},
            "InvalidRequest",
        ),
        ({**SITE, "RedirectAllRequestsTo": {"HostName": "x"}}, "InvalidArgument"),
        ({**SITE, "RoutingRules": [{"Condition": {"KeyPrefixEquals": "a"}}]}, "MalformedXML"),
        ({**SITE, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "200"}}]}, "InvalidRequest"),
        ({**SITE, "RoutingRules": [{"Redirect": {"Protocol": "ftp"}}]}, "InvalidRequest"),
        ({**SITE, "RoutingRules": [{"Redirect": {"HostName": "x"}}] * 51}, "InvalidRequest"),
        (
            {
                **SITE,
                "RoutingRules": [
                    {"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}
                ],
            },
            "InvalidRequest",
        ),
    ],
)
def test_configurations_are_checked(shelf: Shelf, configuration: Any, code: str) -> None:
    with pytest.raises(AwsError, match=code):
        configure(shelf, configuration)
