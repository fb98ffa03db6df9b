"""What a request says about an object to be: key, headers, user metadata, tags.

Options that would change how the object is kept and aren't implemented are refused here.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

import binascii
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from cloudlet.call import Call, Params
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults, settings

KEY_BYTES_MAX = 1024
METADATA_BYTES_MAX = 2048
_ENCODED_WORD = re.compile(r"=\?utf-8\?([BQ])\?([^?]*)\?=", re.IGNORECASE)
HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
)
_ABSENT = {
    "ObjectLockEventHold": "S3 event holds",
    "ObjectLockEventHoldDurationDays": "S3 event holds",
    "ObjectLockEventHoldDurationYears": "S3 event holds",
    "WriteOffsetBytes": "Appending to objects",
    "AnnotationDirective": "Object annotations",
    "MFA": "S3 MFA delete",
}


@dataclass(frozen=True, slots=True)
class Attributes:
    headers: dict[str, Any]
    metadata: dict[str, str]
    tags: dict[str, str]


def of_call(call: Call, *, is_form: bool = False) -> Attributes:
    """All that a write says, checked."""
    check_key(call.params["Key"])
    refuse_absent(call.params)
    metadata = _metadata(call.params, is_form)
    return Attributes(_headers(call.params), metadata, tags(call.params))


def check_key(key: str) -> None:
    size_bytes = len(key.encode("utf-8", "surrogatepass"))
    if size_bytes > KEY_BYTES_MAX:
        raise AwsError(
            "KeyTooLongError",
            "Your key is too long",
            400,
            Size=size_bytes,
            MaxSizeAllowed=KEY_BYTES_MAX,
        )
    if not key:
        raise faults.invalid_argument("The object key must not be empty", "key", key)


def refuse_absent(params: Params) -> None:
    for name, what in _ABSENT.items():
        if params.get(name):
            raise NotImplementedByCloudlet(what)


def _headers(params: Params) -> dict[str, Any]:
    headers = {name: params[name] for name in HEADERS if params.get(name) not in (None, "")}
    if isinstance(headers.get("Expires"), datetime):
        headers["Expires"] = format_datetime(headers["Expires"], usegmt=True)
    encodings = [each.strip() for each in headers.pop("ContentEncoding", "").split(",")]
    kept = ", ".join(each for each in encodings if each and each != "aws-chunked")
    if kept:
        headers["ContentEncoding"] = kept
    redirect = headers.get("WebsiteRedirectLocation", "/")
    if not redirect.startswith(("/", "http://", "https://")):
        raise AwsError(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
            400,
        )
    return {"ContentType": "binary/octet-stream", **headers}


def _metadata(params: Params, is_form: bool) -> dict[str, str]:
    given = params.get("Metadata") or {}
    decoded = _as_it_is if is_form else _decoded
    metadata = {name.lower(): decoded(value) for name, value in given.items()}
    size_bytes = sum(len(f"{name}{value}".encode()) for name, value in metadata.items())
    if size_bytes > METADATA_BYTES_MAX:
        raise AwsError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            400,
            Size=size_bytes,
            MaxSizeAllowed=METADATA_BYTES_MAX,
        )
    return metadata


def _as_it_is(value: str) -> str:
    """s3-035: fields of forms are text; what looks like an encoded word in one is none."""
    return value


def _decoded(value: str) -> str:
    """s3-064: RFC 2047's encoded words are kept as such, unless plain text would have done."""
    match = _ENCODED_WORD.fullmatch(value)
    if match is None:
        return value
    read = binascii.a2b_base64 if match[1] in "bB" else partial(binascii.a2b_qp, header=True)
    with suppress(binascii.Error, UnicodeError):
        text = read(match[2].encode()).decode()
        return text if text.isascii() and text.isprintable() else value
    return value


def tags(params: Params) -> dict[str, str]:
    """The x-amz-tagging header: a query string."""
    text = params.get("Tagging")
    if not text:
        return {}
    pairs = parse_qsl(text, keep_blank_values=True)
    is_plain = all(settings.well_formed(f"{key}{value}") for key, value in pairs)
    if len(dict(pairs)) < len(pairs) or not is_plain:
        raise faults.invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            "x-amz-tagging",
            text,
        )
    return settings.checked_tags([{"Key": key, "Value": value} for key, value in pairs], 10)
