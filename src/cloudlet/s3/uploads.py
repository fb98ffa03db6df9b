"""Listing multipart uploads in progress and their parts.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

import json
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.s3 import acl, announce, checksums, conditions, faults, lifecycle, multipart, traits
from cloudlet.s3.bucket import of_call, owner_id, person
from cloudlet.s3.listing import after_prefix, common_prefix, encoder, limit_of
from cloudlet.store.database import Row, View

_Place = tuple[str, int, str]  # key, created_ms, id


def list_parts(call: Call, view: View) -> Output:
    upload, params = multipart.of_id(call, view), call.params
    owner = acl.owner(call, of_call(call, view), upload.traits)
    limit = limit_of(params.get("MaxParts"), "max-parts")
    marker = int(params.get("PartNumberMarker") or 0)
    rows = view.all(
        "SELECT number, size, etag, modified_ms, checksum FROM s3_part"
        " WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
        (upload.id, marker, limit + 1),
    )
    page = rows[:limit]
    output: Output = {
        "Bucket": params["Bucket"],
        "Key": upload.key,
        "UploadId": upload.id,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1]["number"] if page else 0,
        "MaxParts": limit,
        "IsTruncated": len(rows) > limit > 0,
        "Parts": [_part(upload, row) for row in page],
        "Initiator": _initiator(call, upload.initiator),
        "Owner": owner,
        "StorageClass": traits.storage_class(upload.traits),
    }
    if upload.algorithm:
        output.update(ChecksumAlgorithm=upload.algorithm, ChecksumType=upload.type)
    return {**output, **lifecycle.abort_due(view, upload.bucket, upload.key, upload.created_ms)}


def _part(upload: multipart.Upload, row: Row) -> dict[str, Any]:
    part = {
        "PartNumber": row["number"],
        "LastModified": announce.second(row["modified_ms"] // 1000),
        "ETag": conditions.quoted(row["etag"]),
        "Size": row["size"],
    }
    if upload.algorithm:
        part[checksums.member(upload.algorithm)] = row["checksum"]
    return part


def list_multipart_uploads(call: Call, view: View) -> Output:
    """In order of key, then of initiation."""
    bucket, params = of_call(call, view), call.params
    limit, encode = limit_of(params.get("MaxUploads"), "max-uploads"), encoder(params)
    prefix, delimiter = params.get("Prefix") or "", params.get("Delimiter") or ""
    uploads: list[Row] = []
    prefixes: list[str] = []
    place: _Place | None = _start(call, view, bucket.id, prefix, delimiter)
    is_truncated = False
    while limit and place is not None and (row := _next(view, bucket.id, prefix, place)):
        if len(uploads) + len(prefixes) == limit:
            is_truncated = True
            break
        common = common_prefix(row["key"], prefix, delimiter)
        if common is None:
            uploads.append(row)
            place = (row["key"], row["created_ms"], row["id"])
        else:
            prefixes.append(common)
            following = after_prefix(common)
            place = None if following is None else (following, -1, "")
    # s3-063: the last upload is named on the last page, too, and prefixes never are
    last = (uploads[-1]["key"], uploads[-1]["id"]) if uploads else ("", "")
    owners = acl.owners(call, bucket)
    output: Output = {
        "Bucket": bucket.name,
        "KeyMarker": encode(params.get("KeyMarker") or ""),
        "UploadIdMarker": (params.get("KeyMarker") and params.get("UploadIdMarker")) or "",
        "NextKeyMarker": encode(last[0]),
        "NextUploadIdMarker": last[1],
        "MaxUploads": limit,
        "IsTruncated": is_truncated,
        "Uploads": [
            _upload(call, row, encode(row["key"]), owners(row["traits"])) for row in uploads
        ],
        "CommonPrefixes": [{"Prefix": encode(each)} for each in prefixes],
    }
    if prefix:
        output["Prefix"] = encode(prefix)
    if delimiter:
        output["Delimiter"] = encode(delimiter)
    if params.get("EncodingType"):
        output["EncodingType"] = params["EncodingType"]
    return output


def _start(call: Call, view: View, bucket: int, prefix: str, delimiter: str) -> _Place | None:
    """Without an upload id all uploads of the marker's key are passed over."""
    marker = call.params.get("KeyMarker") or ""
    upload_id = call.params.get("UploadIdMarker") if marker else None
    if marker < prefix:
        return prefix, -1, ""
    if (common := common_prefix(marker, prefix, delimiter)) is not None:
        following = after_prefix(common)
        return None if following is None else (following, -1, "")
    if not upload_id:
        return (marker, 1 << 62, "") if marker else ("", -1, "")
    row = view.one(
        "SELECT key, created_ms FROM s3_upload WHERE id = ? AND bucket = ?", (upload_id, bucket)
    )
    if row is not None and row["key"] != marker:
        raise faults.invalid_argument("Invalid uploadId marker", "upload-id-marker", upload_id)
    return marker, 0 if row is None else row["created_ms"], upload_id


def _next(view: View, bucket: int, prefix: str, place: _Place) -> Row | None:
    end = after_prefix(prefix)
    bound = "" if end is None else " AND key < ?"
    return view.one(
        "SELECT id, key, created_ms, initiator, algorithm, type, traits FROM s3_upload"
        f" WHERE bucket = ? AND (key, created_ms, id) > (?, ?, ?){bound}"
        " ORDER BY key, created_ms, id LIMIT 1",
        (bucket, *place, *([] if end is None else [end])),
    )


def _initiator(call: Call, arn: str) -> dict[str, str]:
    """s3-061: an account's canonical id or a principal's ARN, with a name, unlike owners today."""
    *_, account, name = ["", *arn.split(":")]
    if name == "root":
        return {"DisplayName": account, **person(call, owner_id(account))}
    return {"ID": arn, "DisplayName": name.rpartition("/")[2]}


def _upload(call: Call, row: Row, key: str, owner: dict[str, str]) -> dict[str, Any]:
    upload: dict[str, Any] = {
        "UploadId": row["id"],
        "Key": key,
        "Initiated": announce.second(row["created_ms"] // 1000),
        "StorageClass": traits.storage_class(json.loads(row["traits"])),
        "Owner": owner,
        "Initiator": _initiator(call, row["initiator"]),
    }
    if row["algorithm"]:
        upload.update(ChecksumAlgorithm=row["algorithm"], ChecksumType=row["type"])
    return upload
