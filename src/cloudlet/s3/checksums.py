"""S3's checksums: which one a request brings or asks for, computing, combining and checking them.

An object has one checksum: the algorithm its writer chose, or CRC64NVME. Of multipart uploads it
covers the whole object (CRCs, combined from those of the parts without reading them again) or is a
digest of the parts' digests ("COMPOSITE").
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from awscrt import checksums as crt

from cloudlet.call import Call
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.wire.digests import NEW, Digest, decode, encode, new

__all__ = ["Digest", "encode", "new"]

DEFAULT = "CRC64NVME"
FULL, COMPOSITE = "FULL_OBJECT", "COMPOSITE"


_COMBINE: Mapping[str, Callable[[int, int, int], int]] = {
    "CRC32": crt.combine_crc32,
    "CRC32C": crt.combine_crc32c,
    "CRC64NVME": crt.combine_crc64nvme,
}
_MEMBERS = {name: f"Checksum{name}" for name in NEW}


def member(algorithm: str) -> str:
    """The output and input member of an algorithm's value: "ChecksumSHA256"."""
    return f"Checksum{algorithm}"


def known(algorithm: str) -> str:
    """The algorithm's name as the API spells it, or the refusal."""
    name = algorithm.upper()
    if name not in NEW:
        raise faults.invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            f"types: [{', '.join(sorted(NEW))}]"
        )
    return name


def given(params: Mapping[str, Any]) -> tuple[str, str] | None:
    """The one (algorithm, value) among a request's or a part's members."""
    found = _all(params)
    if len(found) > 1:
        raise _several()
    return found[0] if found else None


def _several() -> AwsError:
    return faults.invalid_request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )


def of_part(part: Mapping[str, Any]) -> tuple[str, str] | None:
    """The one (algorithm, value) of a part as a completion's document names it."""
    found = _all(part)
    try:
        for algorithm, value in found:
            decode(algorithm, value)
        return given(part)
    except AwsError as error:
        several = "".join(f"{algorithm}:{value};" for algorithm, value in found)
        raise faults.invalid_argument(
            "Invalid Base64 or multiple checksums present in request",
            "Checksum",
            several if len(found) > 1 else found[0][1],
        ) from error


def _all(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, params[each]) for name, each in _MEMBERS.items() if params.get(each) is not None]


def announced(call: Call) -> str:
    """The algorithm a body's checksum will be of, "" when none: header, trailer or SDK's word."""
    header = given(call.params)
    trailer = call.request.headers.get("x-amz-trailer", "").strip().lower()
    asked = call.params.get("ChecksumAlgorithm")
    name = header[0] if header else ""
    if trailer.startswith("x-amz-checksum-"):
        if name:
            raise _several()
        name = known(trailer.removeprefix("x-amz-checksum-"))
    if not asked:
        return name
    if not name:
        if "x-amz-sdk-checksum-algorithm" in call.request.headers:
            raise faults.invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* "
                "or x-amz-trailer headers were found."
            )
        return known(asked)  # s3-011: presigned URLs name the algorithm alone
    if known(asked) != name:
        raise faults.invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return name


def expected(call: Call, trailers: Mapping[str, str], algorithm: str) -> bytes | None:
    """The digest that the client says the body has; trailers are known after its end."""
    header = given(call.params)
    if header:
        return decode(algorithm, header[1])
    value = trailers.get(f"x-amz-checksum-{algorithm.lower()}")
    return None if value is None else decode(algorithm, value, "trailing header")


def type_of_upload(algorithm: str, asked: str | None) -> str:
    """FULL_OBJECT or COMPOSITE for a new multipart upload."""
    if not algorithm:
        if asked:
            raise faults.invalid_request(
                "The x-amz-checksum-type header can only be used with the "
                "x-amz-checksum-algorithm header."
            )
        return FULL
    kind = asked.upper() if asked else (FULL if algorithm == "CRC64NVME" else COMPOSITE)
    if kind not in (FULL, COMPOSITE):
        raise faults.invalid_request("Value for x-amz-checksum-type header is invalid.")
    possible = (FULL,) if algorithm == "CRC64NVME" else (COMPOSITE, FULL)
    if kind not in possible or (kind == FULL and algorithm not in _COMBINE):
        raise faults.invalid_request(
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum "
            "algorithm."
        )
    return kind


def of_parts(algorithm: str, kind: str, parts: Iterable[tuple[str, int]]) -> str:
    """The checksum of an object made of parts, from each part's (value, size)."""
    if kind == COMPOSITE:
        whole, count = new(algorithm), 0
        for value, _ in parts:
            whole.update(base64.b64decode(value))
            count += 1
        return f"{encode(whole.digest())}-{count}"
    combined, size_bytes = 0, len(new(algorithm).digest())
    for value, length in parts:
        part = int.from_bytes(base64.b64decode(value), "big")
        combined = _COMBINE[algorithm](combined, part, length)
    return encode(combined.to_bytes(size_bytes, "big"))


def output(checksum: tuple[str, str, str]) -> dict[str, str]:
    """The output members of a stored (algorithm, type, value)."""
    algorithm, kind, value = checksum
    return {member(algorithm): value, "ChecksumType": kind}
