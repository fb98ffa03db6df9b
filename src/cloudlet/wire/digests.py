"""Digests that requests bring of their bodies: computing and comparing them.

Structured bodies of S3's operations are verified here, as they are parsed; contents of objects
while they stream, by `s3.intake`.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from awscrt import checksums as crt

from cloudlet.errors import AwsError

_HEADER = "x-amz-checksum-"


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._function = function
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


class _XxHash:
    def __init__(self, state: crt.XXHash) -> None:
        self.update = state.update
        self.digest = state.finalize


NEW: Mapping[str, Callable[[], Digest]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(crt.crc32c, 4),
    "CRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "XXHASH64": lambda: _XxHash(crt.XXHash.new_xxhash64()),
    "XXHASH3": lambda: _XxHash(crt.XXHash.new_xxhash3_64()),
    "XXHASH128": lambda: _XxHash(crt.XXHash.new_xxhash3_128()),
}


def new(algorithm: str) -> Digest:
    return NEW[algorithm]()


def encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def decode(algorithm: str, value: str, where: str = "header") -> bytes:
    with suppress(binascii.Error, ValueError):
        digest = base64.b64decode(value, validate=True)
        if len(digest) == len(new(algorithm).digest()):
            return digest
    message = f"Value for {_HEADER}{algorithm.lower()} {where} is invalid."
    raise AwsError("InvalidRequest", message, 400)


def of_content_md5(text: str | None) -> bytes | None:
    """What a Content-MD5 header says."""
    if text is None:
        return None
    with suppress(binascii.Error, ValueError):
        digest = base64.b64decode(text, validate=True)
        if len(digest) == 16:
            return digest
    message = "The Content-MD5 you specified was invalid."
    raise AwsError("InvalidDigest", message, 400, **{"Content-MD5": text})


def check_md5(wanted: bytes | None, digest: bytes, *, of_part: bool = False) -> None:
    """s3-095: parts are told in Base64 what was expected, all else in hexadecimal digits."""
    if wanted is not None and wanted != digest:
        raise AwsError(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            400,
            ExpectedDigest=encode(wanted) if of_part else wanted.hex(),
            CalculatedDigest=encode(digest),
        )


def mismatch(algorithm: str) -> AwsError:
    return AwsError(
        "BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", 400
    )


def verify(headers: Mapping[str, str], body: bytes, *, is_required: bool) -> None:
    """Refuses a body that isn't what the headers say of it, or, where AWS insists, say nothing."""
    wanted = of_content_md5(headers.get("content-md5"))
    if wanted is not None:
        check_md5(wanted, hashlib.md5(body, usedforsecurity=False).digest())
    brought = [name for name in NEW if _HEADER + name.lower() in headers]
    for algorithm in brought:
        digest = new(algorithm)
        digest.update(body)
        if decode(algorithm, headers[_HEADER + algorithm.lower()]) != digest.digest():
            raise mismatch(algorithm)
    if is_required and wanted is None and not any(name.startswith(_HEADER) for name in headers):
        message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        raise AwsError("InvalidRequest", message, 400)
