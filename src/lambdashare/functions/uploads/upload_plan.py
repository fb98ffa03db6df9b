"""The rules of an upload: what a valid wish is, how big parts are, what a URL is signed for.

S3's limits: parts of 5 MiB to 5 GiB, 10,000 of them, objects of 50 TB, single PUTs of 5 GiB.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import os
import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from lambdashare_core import digests, shares, tables
from lambdashare_core.moments import now_ms, rfc3339
from lambdashare_core.problems import Problem, invalid

MIB = 1 << 20
MIN_PART, DEFAULT_PART, MAX_PART = 5 * MIB, 16 * MIB, 5 << 30
MAX_PARTS = 10_000
MAX_SIZE = 50 * 10**12
MAX_URLS = 100
MIN_EXPIRY_S, MAX_EXPIRY_S = 300, 30 * 86400
MAX_DOWNLOADS = 1_000_000
URL_S = 3600
# C0, DEL and C1, which drive terminals; line separators; what turns the direction of text around,
# so that "gpj.exe" looks like "exe.jpg"
_UNSHOWABLE = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MEDIA_TYPE = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ ]*;[ ]*{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*', re.ASCII
)


@dataclass(frozen=True, slots=True)
class Wish:
    """One file as the sender announces it."""

    name: str
    size: int
    type: str
    part_size: int
    parts: list[dict[str, Any]]

    @property
    def multipart(self) -> bool:
        return self.size > self.part_size


def default_part_size(size: int) -> int:
    """16 MiB, or the whole MiB that keep the parts at or below 10,000."""
    needed = -(-size // MAX_PARTS)
    return max(DEFAULT_PART, -(-needed // MIB) * MIB)


def part_count(size: int, part_size: int) -> int:
    return max(1, -(-size // part_size))


def wishes(document: dict[str, Any]) -> list[Wish]:
    files = document.get("files")
    if not isinstance(files, list) or not files:
        raise invalid({"/files": "must be a list of at least one file"})
    if len(files) > shares.MAX_FILES:
        raise Problem(413, "too-large", f"A share holds at most {shares.MAX_FILES} files.")
    errors: dict[str, str] = {}
    found = [_wish(each, f"/files/{i}", errors) for i, each in enumerate(files)]
    if sum(len(wish.parts) for wish in found) > MAX_URLS:
        errors["/files"] = f"at most {MAX_URLS} parts may be asked for at once"
    if errors:
        raise invalid(errors)
    return found


def _wish(file: Any, at: str, errors: dict[str, str]) -> Wish:
    if not isinstance(file, dict):
        errors[at] = "must be an object"
        return Wish("", 0, "", DEFAULT_PART, [])
    name, size = file.get("name"), file.get("size")
    if problem := name_problem(name):
        errors[f"{at}/name"] = problem
    if not is_count(size):
        errors[f"{at}/size"] = "must be a whole number of bytes, 0 or more"
        size = 0
    if size > MAX_SIZE:
        raise Problem(413, "too-large", f"{name!r} is bigger than {MAX_SIZE} bytes.")
    kind = file.get("type") or "application/octet-stream"
    if not is_media_type(kind):
        errors[f"{at}/type"] = "must be a media type such as text/plain"
    part_size: Any = file.get("part_size") or default_part_size(size)
    if problem := part_size_problem(part_size, size):
        errors[f"{at}/part_size"] = problem
        part_size = default_part_size(size)
    wish = Wish(str(name), size, str(kind), part_size, [])
    parts = asked_parts(file.get("parts") or [], wish.size, part_size, f"{at}/parts", errors)
    return Wish(wish.name, wish.size, wish.type, part_size, parts)


def is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def name_problem(name: Any) -> str:
    if not isinstance(name, str) or not name:
        return "must be a text"
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode"
    if length > 1024:
        return "must be at most 1024 bytes of UTF-8"
    if _UNSHOWABLE.search(name):
        return "must not hold control characters"
    if any(segment in ("", ".", "..") for segment in name.split("/")):
        return "must not hold an empty, '.' or '..' segment"
    return ""


def is_media_type(kind: Any) -> bool:
    """By RFC 9110's grammar: a comma, say, would let a browser see a second type in it."""
    return isinstance(kind, str) and len(kind) <= 255 and bool(_MEDIA_TYPE.fullmatch(kind))


def part_size_problem(part_size: Any, size: int) -> str:
    if not is_count(part_size) or not MIN_PART <= part_size <= MAX_PART:
        return f"must be {MIN_PART} to {MAX_PART}"
    if part_count(size, part_size) > MAX_PARTS:
        return f"would make more than {MAX_PARTS} parts"
    return ""


def asked_parts(
    parts: Any, size: int, part_size: int, at: str, errors: dict[str, str]
) -> list[dict[str, Any]]:
    """The parts that URLs are wanted for; a multipart one must come with its SHA-256."""
    if not isinstance(parts, list) or len(parts) > MAX_URLS:
        errors[at] = f"must be a list of at most {MAX_URLS} parts"
        return []
    count = part_count(size, part_size)
    good = []
    for i, part in enumerate(parts):
        number: Any = part.get("number") if isinstance(part, dict) else None
        if not is_count(number) or not 1 <= number <= count:
            errors[f"{at}/{i}/number"] = f"must be 1 to {count}"
            continue
        sha256 = part.get("sha256")
        needed = size > part_size or sha256 is not None
        if needed and digests.sha256_base64(sha256) is None:
            errors[f"{at}/{i}/sha256"] = "must be the part's SHA-256 in base64"
            continue
        good.append({"number": number, "sha256": sha256})
    return good


def expiry_ms(document: dict[str, Any]) -> int:
    default = int(os.environ.get("DEFAULT_EXPIRY_HOURS", "24")) * 3600
    seconds = document.get("expires_in_s", default)
    if not is_count(seconds) or not MIN_EXPIRY_S <= seconds <= MAX_EXPIRY_S:
        detail = f"must be a whole number of seconds, {MIN_EXPIRY_S} to {MAX_EXPIRY_S}"
        raise invalid({"/expires_in_s": detail})
    return now_ms() + int(seconds) * 1000


def max_downloads(document: dict[str, Any]) -> int | None:
    value = document.get("max_downloads")
    if value is None:
        return None
    if not is_count(value) or not 1 <= value <= MAX_DOWNLOADS:
        raise invalid({"/max_downloads": f"must be null or 1 to {MAX_DOWNLOADS}"})
    return int(value)


def listed(document: dict[str, Any]) -> bool:
    value = document.get("listed", True)
    if not isinstance(value, bool):
        raise invalid({"/listed": "must be true or false"})
    return value


def signed_put(item: tables.Item, part: dict[str, Any]) -> dict[str, Any]:
    """A URL for one part; its length and its SHA-256 are signed, so S3 checks both."""
    number, sha256 = part["number"], part.get("sha256")
    part_size = item["part_size"]
    first = (number - 1) * part_size
    size = min(part_size, item["declared"] - first)
    parameters = {
        "Bucket": os.environ["UPLOADS_BUCKET"],
        "Key": shares.object_key(item["share"], item["n"]),
        "ContentLength": size,
    }
    headers = {}
    if sha256:
        parameters["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = sha256
    if item.get("upload_id"):
        operation = "upload_part"
        parameters |= {"UploadId": item["upload_id"], "PartNumber": number}
    else:
        operation = "put_object"
        parameters["ContentType"] = headers["content-type"] = item["type"]
    url = tables.signer().generate_presigned_url(operation, Params=parameters, ExpiresIn=URL_S)
    expires = rfc3339(now_ms() + URL_S * 1000)
    return {"number": number, "url": url, "headers": headers, "size": size, "expires_at": expires}
