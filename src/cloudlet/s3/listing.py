"""Listing keys: range scans over the index that skip whole prefixes.

Cost depends on what is listed, not on how much is stored: a page costs its rows, a common prefix
one seek.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cloudlet.call import Call, Output, Params
from cloudlet.s3 import acl, announce, conditions, faults, traits
from cloudlet.s3.bucket import of_call
from cloudlet.s3.records import object_of
from cloudlet.store.database import Row, View

PAGE_MAX = 1000
_LAST = "\U0010ffff"
_COLUMNS = "key, size, etag, modified_ms, checksum, traits"
Start = tuple[str, tuple[Any, ...]]  # a condition on where to begin, and its values
Rows = Callable[[str, tuple[Any, ...], int], Iterator[Row]]  # condition, values, limit


@dataclass(slots=True)
class Page:
    rows: list[Row] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str = ""  # the last row's key or the last prefix
    is_truncated: bool = False

    def __len__(self) -> int:
        return len(self.rows) + len(self.prefixes)


def after_prefix(prefix: str) -> str | None:
    """The smallest string above all that start with the prefix; None = there is none."""
    stem = prefix.rstrip(_LAST)
    if not stem:
        return None
    code = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if code == 0xD800 else code)


def current(view: View, bucket: int) -> Rows:
    """The current versions: one for each key."""

    def rows(condition: str, values: tuple[Any, ...], limit: int) -> Iterator[Row]:
        return view.rows(
            f"SELECT {_COLUMNS} FROM s3_object WHERE bucket = ? AND {condition}"
            " ORDER BY key LIMIT ?",
            (bucket, *values, limit),
        )

    return rows


def start_after(params: Params, after: str, *, is_key: bool = False) -> Start | None:
    """A marker in a common prefix passes over all of it; a key to start after (V2's) doesn't."""
    prefix, delimiter = params.get("Prefix") or "", params.get("Delimiter") or ""
    common = common_prefix(after, prefix, delimiter)
    if common is not None and (common == after or not is_key):
        return _beyond(common)
    return ("key > ?", (after,)) if after and after >= prefix else ("key >= ?", (prefix,))


def fill(rows: Rows, params: Params, starts: list[Start | None], limit: int) -> Page:
    """A page of rows and common prefixes, from one start after the other."""
    prefix, delimiter = params.get("Prefix") or "", params.get("Delimiter") or ""
    page = Page()
    for start in starts:
        while start is not None and limit and not page.is_truncated:
            start = _run(rows, (prefix, delimiter), start, (page, limit))
    return page


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter or not key.startswith(prefix):
        return None
    end = key.find(delimiter, len(prefix))
    return None if end < 0 else key[: end + len(delimiter)]


def _beyond(prefix: str) -> Start | None:
    following = after_prefix(prefix)
    return None if following is None else ("key >= ?", (following,))


def _run(
    rows: Rows, shape: tuple[str, str], start: Start, filled: tuple[Page, int]
) -> Start | None:
    """Takes rows until a common prefix appears; answers where to seek next, None at the end."""
    (prefix, delimiter), (condition, values), (page, limit) = shape, start, filled
    end = after_prefix(prefix)
    if end is not None:
        condition, values = f"{condition} AND key < ?", (*values, end)
    for row in rows(condition, values, limit - len(page) + 1):
        if len(page) == limit:
            page.is_truncated = True
            return None
        common = common_prefix(row["key"], prefix, delimiter)
        if common is not None:
            page.prefixes.append(common)
            page.last = common
            return _beyond(common)
        page.rows.append(row)
        page.last = row["key"]
    return None


def limit_of(value: Any, name: str) -> int:
    """A page size as asked for, at most 1000."""
    number = PAGE_MAX if value is None else int(value)
    if not 0 <= number < 1 << 31:
        raise faults.invalid_argument(
            f"Argument {name} must be an integer between 0 and 2147483647", name, value
        )
    return min(number, PAGE_MAX)


def encoder(params: Params) -> Callable[[str], str]:
    """encoding-type=url lets keys through that XML can't hold."""
    kind = params.get("EncodingType")
    if kind is None:
        return lambda text: text
    if kind != "url":
        raise faults.invalid_argument(
            "Invalid Encoding Method specified in Request", "encoding-type", kind
        )
    return lambda text: quote(text, safe="/*-._~")


def list_objects(call: Call, view: View) -> Output:
    bucket, params = of_call(call, view), call.params
    limit, encode = limit_of(params.get("MaxKeys"), "max-keys"), encoder(params)
    marker = params.get("Marker") or ""
    page = fill(current(view, bucket.id), params, [start_after(params, marker)], limit)
    output = output_of(call, page, encode)
    output.update(Marker=encode(marker), MaxKeys=limit)
    if page.is_truncated and params.get("Delimiter"):
        output["NextMarker"] = encode(page.last)
    owners = acl.owners(call, bucket)
    output["Contents"] = [_shown(call, row, encode, owners(row["traits"])) for row in page.rows]
    return output


def list_objects_v2(call: Call, view: View) -> Output:
    bucket, params = of_call(call, view), call.params
    limit, encode = limit_of(params.get("MaxKeys"), "max-keys"), encoder(params)
    token, start = params.get("ContinuationToken"), params.get("StartAfter") or ""
    after = start if token is None else _from_token(token)
    began = start_after(params, after, is_key=token is None)
    page = fill(current(view, bucket.id), params, [began], limit)
    output = output_of(call, page, encode)
    output.update(MaxKeys=limit, KeyCount=len(page))
    if token is not None:  # s3-091: it is told instead of the key to start after
        output["ContinuationToken"] = token
    elif start:
        output["StartAfter"] = encode(start)
    if page.is_truncated:
        output["NextContinuationToken"] = _to_token(page.last)
    owners = acl.owners(call, bucket) if params.get("FetchOwner") else lambda traits: None
    output["Contents"] = [_shown(call, row, encode, owners(row["traits"])) for row in page.rows]
    return output


def output_of(call: Call, page: Page, encode: Callable[[str], str]) -> Output:
    params = call.params
    output: Output = {
        "Name": params["Bucket"],
        "Prefix": encode(params.get("Prefix") or ""),
        "IsTruncated": page.is_truncated,
        "CommonPrefixes": [{"Prefix": encode(each)} for each in page.prefixes],
    }
    if params.get("Delimiter"):
        output["Delimiter"] = encode(params["Delimiter"])
    if params.get("EncodingType"):
        output["EncodingType"] = params["EncodingType"]
    return output


def _shown(
    call: Call, row: Row, encode: Callable[[str], str], owned_by: dict[str, str] | None
) -> dict[str, Any]:
    shown = listed(row, encode, owned_by)
    if "RestoreStatus" in (call.params.get("OptionalObjectAttributes") or ()):
        status = traits.restore_status(object_of(row["traits"]))
        shown.update({"RestoreStatus": status} if status else {})
    return shown


def listed(
    row: Row, encode: Callable[[str], str], owned_by: dict[str, str] | None
) -> dict[str, Any]:
    algorithm, kind, _ = json.loads(row["checksum"])
    listed = {
        "Key": encode(row["key"]),
        "LastModified": announce.second(row["modified_ms"]),
        "ETag": conditions.quoted(row["etag"]),
        "ChecksumAlgorithm": [algorithm],
        "ChecksumType": kind,
        "Size": row["size"],
        "StorageClass": traits.storage_class(object_of(row["traits"])),
    }
    return {**listed, "Owner": owned_by} if owned_by else listed


def _to_token(last: str) -> str:
    return base64.urlsafe_b64encode(f"1{last}".encode()).decode()


def _from_token(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith("1"):
        raise faults.invalid_argument(
            "The continuation token provided is incorrect", "continuation-token", token or None
        )
    return text[1:]
