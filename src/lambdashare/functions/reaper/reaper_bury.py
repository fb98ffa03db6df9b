"""The end of one share: bytes first, then its rows in HashSums, then its items; last, the stone."""

import os
from typing import Any

from botocore.exceptions import ClientError
from lambdashare_core import broadcast, digests, shares, tables
from lambdashare_core.moments import now_ms
from lambdashare_core.tables import Item, attributes_of

TOMBSTONE_S = 90 * 86400


def bury(meta: Item, reason: str) -> None:
    """May be called again at any time; whatever an earlier try left undone is done."""
    share = meta["share"]
    names = {"share": share}
    items = list(tables.query(shares.table(), "#share = :share", names, ConsistentRead=True))
    present = next((item for item in items if item["item"] == "share"), None)
    if present and not present.get("tombstone") and not shares.over(present):
        return  # its expiry was changed meanwhile
    files = [item for item in items if item["item"].startswith("file#")]
    _delete_bytes(files)
    for item in files:
        _mark_rows(item)
    if not (present and present.get("tombstone")):
        _tombstone(meta, files, reason)
        gone = {"type": "gone", "reason": reason}
        broadcast.publish(f"share:{share}", gone)
    _delete_items([item for item in items if item["item"] != "share"])


def _delete_bytes(files: list[Item]) -> None:
    s3, bucket = tables.client("s3"), os.environ["UPLOADS_BUCKET"]
    for item in files:
        if item.get("upload_id") and not item.get("stored_at"):
            _abort(bucket, shares.object_key(item["share"], item["n"]), item["upload_id"])
    for start in range(0, len(files), 1000):
        some = files[start : start + 1000]
        keys = [{"Key": shares.object_key(item["share"], item["n"])} for item in some]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if answer.get("Errors"):
            raise RuntimeError(f"S3 did not delete: {answer['Errors'][:3]}")


def _abort(bucket: str, key: str, upload_id: str) -> None:
    try:
        tables.client("s3").abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise


def _mark_rows(item: Item) -> None:
    """The hash stays findable, as something that was here."""
    now = now_ms()
    named = {"gone": now, "ttl": now // 1000 + TOMBSTONE_S}
    change = "SET gone_at = :gone, #ttl = :ttl"
    condition = "attribute_exists(prefix) AND attribute_not_exists(gone_at)"
    for algorithm, digest in (item.get("digests") or {}).items():
        key = digests.row_key(digest, algorithm, item["share"], item["n"])
        tables.update(os.environ["HASHSUMS_TABLE"], key, change, condition, named)


def _tombstone(meta: Item, files: list[Item], reason: str) -> None:
    now = now_ms()
    buried: list[dict[str, Any]] = [
        {"size": item["size"], "sha256": (item.get("digests") or {}).get("sha256")}
        for item in files
    ]
    stone = {
        "share": meta["share"],
        "item": "share",
        "tombstone": True,
        "reason": reason,
        "owner": meta["owner"],
        "created_at": meta["created_at"],
        "expires_at": meta["expires_at"],
        "gone_at": now,
        "buried": buried,
        "ttl": now // 1000 + TOMBSTONE_S,
    }
    if meta.get("deleted_at"):
        stone["deleted_at"] = meta["deleted_at"]
    tables.client("dynamodb").put_item(TableName=shares.table(), Item=attributes_of(stone))


def _delete_items(items: list[Item]) -> None:
    database = tables.client("dynamodb")
    for start in range(0, len(items), 25):
        waiting: Any = {
            shares.table(): [
                {"DeleteRequest": {"Key": attributes_of({"share": i["share"], "item": i["item"]})}}
                for i in items[start : start + 25]
            ]
        }
        while waiting:
            waiting = database.batch_write_item(RequestItems=waiting)["UnprocessedItems"]
