"""Which requests are told from their first bytes to be light: nothing unusual is."""

import pytest

from cloudlet.front.light import REQUEST_BYTES_MAX, Light, light

_SCOPE = "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/s3/aws4_request, x\r\n"
_GET = f"GET /bucket/key HTTP/1.1\r\nHost: 127.0.0.1:4566\r\n{_SCOPE}\r\n"
_PUT = _GET.replace("GET", "PUT").replace("Host", "Content-Length: 2\r\nHost") + "{}"
_ITEM = (
    "POST / HTTP/1.1\r\nhost: localhost:4566\r\nContent-Length: 2\r\n"
    "x-amz-target: DynamoDB_20120810.GetItem\r\n\r\n{}"
)


@pytest.mark.parametrize(
    "text",
    [
        _GET,
        _GET.replace("GET", "HEAD"),
        _GET.replace("/key", "?list-type=2"),
        _GET.replace("Host", "Content-Length: 0\r\nHost"),
        _GET.replace("127.0.0.1:4566", "[::1]"),
        _ITEM,
        _ITEM.replace("GetItem", "query"),
        _ITEM.replace("GetItem", "PutItem"),
        _ITEM.replace("x-amz-target", "X-Amz-Target"),
        _PUT,
        _PUT.replace("/key", "/key?x-id=PutObject"),
        _PUT.replace("Host", "Expect: 100-continue\r\nHost"),
    ],
)
def test_a_light_request_tells_its_size(text: str) -> None:
    data = text.encode()
    end = data.index(b"\r\n\r\n")
    found = Light(len(data), "PUT" in text or "PutItem" in text)
    assert light(data) == light(data + b"GET /") == found
    assert light(data[:end]) == Light(0)  # more is needed
    assert light(data[: end + 4]) == found._replace(waits="Expect" in text)


@pytest.mark.parametrize(
    "text",
    [
        _ITEM.replace("GetItem", "CreateTable"),
        _ITEM.replace("POST / ", "POST /x "),
        _ITEM.replace("POST / ", "PUT / "),
        _ITEM.replace("Content-Length: 2", "Content-Length: two"),
        _ITEM.replace("Content-Length: 2", f"Content-Length: {REQUEST_BYTES_MAX}"),
        _ITEM.replace("Content-Length: 2", "Content-Length: 2\r\nContent-Length: 2"),
        _ITEM.replace("Content-Length: 2", "Transfer-Encoding: chunked"),
        _ITEM.replace("x-amz-target", "x-other"),
        _ITEM.replace("x-amz-target", "Expect: 100-continue\r\nx-amz-target"),
        _ITEM.replace("host", "Host: other.example\r\nhost"),
        _ITEM.replace("localhost", "table.example"),
        _GET.replace("GET", "DELETE"),
        _GET.replace("/bucket/key", "/_aws/execute-api/a/b"),
        _GET.replace("/s3/", "/lambda/"),
        _GET.replace("Host", "Content-Length: 5\r\nHost"),
        _GET.replace("Host", "Content-Length: 0\r\nContent-Length: 0\r\nHost"),
        _GET.replace("Host", "Upgrade: websocket\r\nHost"),
        _GET.replace("127.0.0.1:4566", "site.s3-website.localhost:4566"),
        _GET.replace("Host:", "X:\r\n folded\r\nHost:"),
        _GET.replace("\r\nHost", "\nX: y\r\nHost"),
        _GET.replace("GET /", "GET http://other/"),
        _GET.replace("Host", "Expect: 100-continue\r\nHost"),
        _PUT.replace("Host", "Expect: something\r\nHost"),
        _PUT.replace("Host", "Expect: 100-continue\r\nExpect: 100-continue\r\nHost"),
        _PUT.replace("Host", "x-amz-copy-source: /a/b\r\nHost"),
        _PUT.replace("/key", "/key?partNumber=1&uploadId=u"),
        _PUT.replace("/key", "/key?x-id=PutObject&acl"),
        _PUT.replace("/bucket/key", "/_cloudlet/x"),
        _PUT.replace("Content-Length: 2\r\n", ""),
        _PUT.replace("Content-Length: 2", f"Content-Length: {REQUEST_BYTES_MAX}"),
        _PUT.replace("Content-Length: 2", "Transfer-Encoding: chunked"),
        "x" * REQUEST_BYTES_MAX,
        "\x16\x03\x01",
    ],
)
def test_what_is_unusual_is_none(text: str) -> None:
    assert light(text.encode("latin-1")) is None
