"""Which requests are told from their first bytes to be light: nothing unusual is."""

import pytest

from cloudlet.front.light import REQUEST_BYTES_MAX, Light, light

_SCOPE = "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/s3/aws4_request, x\r\n"
_GET = f"GET /bucket/key HTTP/1.1\r\nHost: 127.0.0.1:4566\r\n{_SCOPE}\r\n"
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
    ],
)
def test_a_light_request_tells_its_size(text: str) -> None:
    data = text.encode()
    assert light(data) == light(data + b"GET /") == Light(len(data), "PutItem" in text)
    assert light(data[: data.index(b"\r\n\r\n")]) == Light(0)  # more is needed


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
        "x" * REQUEST_BYTES_MAX,
        "\x16\x03\x01",
    ],
)
def test_what_is_unusual_is_none(text: str) -> None:
    assert light(text.encode("latin-1")) is None
