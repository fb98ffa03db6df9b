"""Forms of browsers: their policies, what their fields mean, and their bytes in any pieces."""

import asyncio
import base64
import json
from typing import Any

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request, Response
from cloudlet.s3 import form_policy, forms, objects
from cloudlet.wire import header_text
from cloudlet.wire.multipart_form import FileBody, Form, boundary_of, open_form
from tests.unit.s3.conftest import BUCKET, Shelf

NOW_MS = 1_700_000_000_000
LATER = "2033-01-01T00:00:00.000Z"
FIELDS = {"bucket": BUCKET, "key": "user/a.txt", "policy": "-", "content-type": "image/png"}
COVERED = [
    {"bucket": BUCKET},
    ["starts-with", "$key", "user/"],
    ["starts-with", "$Content-Type", ""],
]


def policy(*conditions: Any, **changes: Any) -> str:
    document = {"expiration": LATER, "conditions": [*COVERED, *conditions], **changes}
    return base64.b64encode(json.dumps(document).encode()).decode()


def refused(text: str, **fields: str) -> AwsError:
    with pytest.raises(AwsError) as caught:
        form_policy.check(text, FIELDS | fields, NOW_MS)
    return caught.value


def test_a_policy_that_holds() -> None:
    assert form_policy.check(policy(), FIELDS, NOW_MS) is None
    assert form_policy.check(policy(["content-length-range", "5", 10]), FIELDS, NOW_MS) == (5, 10)
    free = {"x-ignore-me": "1", "x-amz-checksum-sha256": "x", "signature": "x"}  # s3-030
    assert form_policy.check(policy(), FIELDS | free, NOW_MS) is None


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"acl": "private"}, 'Policy Condition failed: ["eq", "$acl", "private"]'),
        (["eq", "key", "user/a.txt"], 'Policy Condition failed: ["eq", "key", "user/a.txt"]'),
        (["eq", "$key", "USER/a.txt"], 'Policy Condition failed: ["eq", "$key", "USER/a.txt"]'),
        (["content-length-range", "x", 1], 'failed: ["content-length-range", "x", 1]'),
    ],
)
def test_conditions_that_fail(condition: Any, message: str) -> None:
    error = refused(policy(condition))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert message in error.message


def test_s3_109_a_policy_names_the_bucket() -> None:
    document = {"expiration": LATER, "conditions": COVERED[1:]}
    error = refused(base64.b64encode(json.dumps(document).encode()).decode())
    assert error.message == "Invalid according to Policy: Extra input fields: bucket"


@pytest.mark.parametrize(
    "text",
    [
        "%",
        policy(extra=1),
        policy([]),
        policy(expiration=True),
        base64.b64encode(b"[]").decode(),
        policy({}),
        policy({"acl": "a", "b": "c"}),
        policy({"acl": 1}),
        policy(["content-length-range", 1]),
        policy(["content-length-range", -1, 2]),
        policy(["like", "$key", "x"]),
        policy(conditions={}),
        policy(expiration="tomorrow"),
        base64.b64encode(b'{"conditions": []}').decode(),
        base64.b64encode(b'{"expiration": "2033-01-01T00:00:00Z"}').decode(),
    ],
)
def test_documents_that_are_no_policies(text: str) -> None:
    error = refused(text)
    assert (error.code, error.status) == ("InvalidPolicyDocument", 400)


def test_expired_and_uncovered() -> None:
    assert refused(policy(expiration="2001-01-01T00:00:00Z")).message.endswith("Policy expired.")
    assert refused(policy(), acl="private").message.endswith("Extra input fields: acl")


def body_of(*parts: tuple[str, bytes], boundary: str = "b") -> bytes:
    head = "\r\n".join(("--{0}", 'Content-Disposition: form-data; name="{1}"', "", ""))
    text = b"".join(head.format(boundary, name).encode() + value + b"\r\n" for name, value in parts)
    return text + f"--{boundary}--\r\n".encode()


async def _read(data: bytes, step: int) -> tuple[Form, bytes]:
    pieces = iter([data[at : at + step] for at in range(0, len(data), step)])

    async def receive() -> bytes:
        return next(pieces, b"")

    request = Request("POST", "/shelf", "", {}, Body(receive, len(data)))
    form = await open_form(request, b"b")
    return form, b"".join([chunk async for chunk in form.body])


@pytest.mark.parametrize("step", [1, 2, 7, 4096])
def test_a_form_in_any_pieces(step: int) -> None:
    contents = b"\r\n--b"[:-1] + b"\x00\r\n-" * 50
    data = body_of(
        ("Key", "ü".encode()), ("empty", b""), ('file"; filename="C:\\d\\f.txt', contents)
    )
    form, got = asyncio.run(_read(data, step))
    assert form.fields == {"key": "ü", "empty": ""}
    assert form.file_name == "C:\\d\\f.txt"
    assert (got, form.body.length) == (contents, len(contents))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (body_of(("key", b"k")), "InvalidArgument"),
        (body_of(("key", b"x" * 21_000), ("file", b"")), "MaxPostPreDataLengthExceededError"),
        (b"nothing", "MalformedPOSTRequest"),
        (body_of(("file", b"abc"))[:-8], "MalformedPOSTRequest"),
    ],
)
def test_forms_that_are_none(data: bytes, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        asyncio.run(_read(data, 1024))
    assert caught.value.code == code


def test_boundaries() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    assert boundary_of("text/html") == b""


def form_with(contents: bytes, **fields: str) -> Form:
    async def receive() -> bytes:
        return b""

    body = FileBody(receive, b"\r\n--b", contents + b"\r\n--b--")
    return Form({name.replace("_", "-"): value for name, value in fields.items()}, "a/f.txt", body)


def test_fields_become_the_object(shelf: Shelf) -> None:
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
    form = form_with(
        b"hello", key="in/${filename}", content_type="text/x", tagging=tagging,
        x_amz_meta_note="n ", x_amz_meta_word="=?UTF-8?B?YWJj?=",
    )  # fmt: skip
    params = forms.complete(form, BUCKET, NOW_MS)
    shelf.call(objects.post_object, **params)
    got = shelf.get("in/f.txt")
    assert (got["Body"], got["ContentType"]) == (b"hello", "text/x")
    metadata = {"note": "n ", "word": "=?UTF-8?B?YWJj?="}  # s3-035
    assert (got["Metadata"], got["TagCount"]) == (metadata, 1)


@pytest.mark.parametrize(("size", "code"), [(1, "EntityTooSmall"), (11, "EntityTooLarge")])
def test_sizes(shelf: Shelf, size: int, code: str) -> None:
    condition = ["content-length-range", 5, 10]
    form = form_with(b"x" * size, key="user/k", policy=policy(condition), content_type="a/b")
    params = forms.complete(form, BUCKET, shelf.config.now_ms())
    with pytest.raises(AwsError, match=code) as caught:
        shelf.call(objects.post_object, **params)
    assert caught.value.fields["ProposedSize"] == size


@pytest.mark.parametrize(
    ("fields", "status", "location"),
    [
        ({}, 204, "http://h/shelf/k%20y"),
        ({"success_action_status": "200"}, 200, "http://h/shelf/k%20y"),
        ({"success_action_status": "404"}, 204, "http://h/shelf/k%20y"),
        ({"success_action_status": "201"}, 201, "http://h/shelf/k%20y"),
        ({"redirect": "http://x/?a"}, 303, "http://x/?a&bucket=shelf&key=k%20y&etag=%22e%22"),
        ({"success_action_redirect": "/nowhere"}, 204, "http://h/shelf/k%20y"),
    ],
)
def test_answers(fields: dict[str, str], status: int, location: str) -> None:
    request = Request("POST", "/shelf", "", {"host": "h"}, Body.of(b""))
    made = Response(200, [("ETag", '"e"')])
    answer = forms.answer(request, {"Bucket": BUCKET, "Key": "k y"}, fields, made)
    assert (answer.status, dict(answer.headers)["Location"]) == (status, location)
    assert (b"<PostResponse>" in bytes(answer.body)) == (status == 201)  # type: ignore[arg-type]


def test_metadata_beyond_ascii() -> None:
    """s3-032: RFC 2047's words, as recorded on AWS."""
    assert header_text.of_metadata("ÄMÄZÕÑ S3") == "=?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="
    assert header_text.of_metadata("\x00\x01\x02\x03\x04") == "=?UTF-8?B?AAECAwQ=?="
    assert header_text.of_metadata("plain ~\t") == "plain ~\t"
    assert header_text.of_header("a—é") == "a é"


def test_bodies_of_unknown_length(shelf: Shelf) -> None:
    """s3-031: chunks without a length are refused, and so is a PUT that says nothing."""
    call = shelf.made(Bucket=BUCKET, Key="k", Body=Body.of(b"x"))
    call.request.sent = [(b"host", b"h")]
    with pytest.raises(AwsError) as caught:
        asyncio.run(objects.put_object(call))
    assert (caught.value.code, caught.value.status) == ("MissingContentLength", 411)


@pytest.mark.parametrize(
    "document",
    [
        "[" * 14_000,
        '{"expiration": "\\ud800", "conditions": []}',
        f'{{"expiration": "{LATER}", "conditions": [["eq", "$key", "\\ud800"]]}}',
    ],
)
def test_policies_that_cannot_be_read(document: str) -> None:
    assert "Invalid JSON" in refused(base64.b64encode(document.encode()).decode()).message


def test_metadata_that_no_header_could_carry() -> None:
    with pytest.raises(AwsError, match="InvalidArgument"):
        forms._params({"key": "a", "x-amz-meta-a b\té": "v"})
