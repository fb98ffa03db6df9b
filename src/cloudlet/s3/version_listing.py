"""Listing all versions and delete markers: by key, of each key the newest first.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.s3 import acl, announce, faults, listing, versions
from cloudlet.s3.bucket import of_call
from cloudlet.s3.listing import Source, Start
from cloudlet.store.database import Row, View

_KINDS = ("DeleteMarkers", "Versions")
_COLUMNS = "key, version, version_id, size, etag, modified_ms, checksum, traits"


def _all(view: View, bucket: int) -> Source:
    """Both tables merged, each read in its own order."""

    def rows(condition: str, values: tuple[Any, ...], limit: int) -> Iterator[Row]:
        return view.rows(
            f"SELECT {_COLUMNS}, 0 AS noncurrent_ms FROM s3_object"
            f" WHERE bucket = ? AND {condition} UNION ALL"
            f" SELECT {_COLUMNS}, noncurrent_ms FROM s3_version WHERE bucket = ? AND {condition}"
            " ORDER BY key, version DESC LIMIT ?",
            (bucket, *values, bucket, *values, limit),
        )

    return rows, lambda key, shape, limit: [key]


def list_object_versions(call: Call, view: View) -> Output:
    bucket, params = of_call(call, view), call.params
    limit, encode = listing.limit_of(params.get("MaxKeys"), "max-keys"), listing.encoder(params)
    starts = _starts(view, bucket.id, params)
    page = listing.fill(_all(view, bucket.id), params, starts, limit)
    output = listing.output_of(call, page, encode)
    output.update(
        KeyMarker=encode(params.get("KeyMarker") or ""),
        VersionIdMarker=params.get("VersionIdMarker") or "",
        MaxKeys=limit,
    )
    if page.is_truncated:
        output["NextKeyMarker"] = encode(page.last)
        if page.rows and page.rows[-1]["key"] == page.last:
            output["NextVersionIdMarker"] = page.rows[-1]["version_id"] or "null"
    owners = acl.owners(call, bucket)
    shown = [(bool(row["etag"]), _listed(row, encode, owners(row["traits"]))) for row in page.rows]
    output["_order"] = [_KINDS[is_object] for is_object, _ in shown]
    output["Versions"] = [each for is_object, each in shown if is_object]
    output["DeleteMarkers"] = [each for is_object, each in shown if not is_object]
    return output


def _starts(view: View, bucket: int, params: Params) -> list[Start | None]:
    """After the marker's version; where none is named, after all of the marker's key."""
    key, version_id = params.get("KeyMarker") or "", params.get("VersionIdMarker")
    following = listing.start_after(params, key)
    if not version_id:
        return [following]
    if not key:
        raise faults.invalid_argument(
            "A version-id marker cannot be specified without a key marker.",
            "version-id-marker",
            version_id,
        )
    versions.check_id(version_id, "version-id-marker")
    prefix, delimiter = params.get("Prefix") or "", params.get("Delimiter") or ""
    if not key.startswith(prefix) or listing.common_prefix(key, prefix, delimiter):
        return [following]
    null = versions.find(view, bucket, key, "null") if version_id == "null" else None
    if version_id == "null" and null is None:  # deleted since: what is left of the key comes again
        return [("key >= ?", (key,))]
    place = null.version if null else versions.place_of(version_id)
    return [("key = ? AND version < ?", (key, place)), following]


def _listed(row: Row, encode: Callable[[str], str], owner: dict[str, str]) -> dict[str, Any]:
    named = {"VersionId": row["version_id"] or "null", "IsLatest": row["noncurrent_ms"] == 0}
    if row["etag"]:
        return {**listing.listed(row, encode, owner), **named}
    modified = announce.second(row["modified_ms"] // 1000)
    return {"Key": encode(row["key"]), **named, "LastModified": modified, "Owner": owner}
