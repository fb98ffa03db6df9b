"""Documents in bodies are what their headers say of them."""

import asyncio
import base64
import hashlib
import zlib

import pytest

from cloudlet.errors import AwsError
from cloudlet.exchange import Body, Request
from cloudlet.wire import digests
from cloudlet.wire.protocol import protocol

BODY = b"<Delete><Object><Key>k</Key></Object></Delete>"
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
CRC32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()


def parse(query: str, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(
        "POST", "/bucket/k" if "upload" in query else "/bucket", query, named, Body.of(BODY)
    )
    return asyncio.run(protocol("s3").parse(request)).operation


@pytest.mark.parametrize(
    "headers",
    [{"content_md5": MD5}, {"x_amz_checksum_crc32": CRC32}, {"x_amz_checksum_other": "?"}],
)
def test_right_ones_pass(headers: dict[str, str]) -> None:
    assert parse("delete", **headers) == "DeleteObjects"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_md5": "nonsense"}, "InvalidDigest"),
        ({"content_md5": base64.b64encode(b"0" * 16).decode()}, "BadDigest"),
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "BadDigest: The CRC32 you specified"),
        ({"x_amz_checksum_sha256": "AAAAAA=="}, "InvalidRequest: Value for x-amz-checksum-sha256"),
        ({"content_md5": MD5, "x_amz_checksum_crc32": "AAAAAA=="}, "BadDigest"),
        ({}, "Missing required header for this request: Content-MD5"),
    ],
)
def test_wrong_ones_are_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(AwsError, match=code):
        parse("delete", **headers)


def test_a_completed_upload_brings_the_checksum_of_the_object() -> None:
    """s3-019: not of its document."""
    assert parse("uploadId=1", x_amz_checksum_crc32="AAAAAA==") == "CompleteMultipartUpload"


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("XXHASH64", "26c7827d889f6da3"),
        ("XXHASH3", "9555e8555c62dcfd"),
        ("XXHASH128", "b5e9c1ad071b3e7fc779cfaa5e523818"),
    ],
)
def test_xxhash_in_its_canonical_form(algorithm: str, digest: str) -> None:
    found = digests.new(algorithm)
    for part in (b"he", b"llo"):
        found.update(part)
    assert found.digest().hex() == digest
