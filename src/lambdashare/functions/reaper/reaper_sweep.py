"""What no event brings: shares whose time is up, and what bucket and table have not in common."""

import os
from collections.abc import Iterator
from typing import Any

import reaper_bury
from botocore.exceptions import ClientError
from lambdashare_core import shares, tables
from lambdashare_core.moments import hour_of, now_ms
from lambdashare_core.tables import Item

HOUR_MS = 3_600_000
LOOK_BACK_HOURS = 3  # the reconciliation finds what was missed for longer
YOUNG_MS = 2 * HOUR_MS  # URLs live one hour: what is younger may still be on its way
STALE_UPLOAD_MS = 48 * HOUR_MS
BY_EXPIRY = "by-expiry"


def expire() -> int:
    """Bury what has expired by now, found by the hour of expiry."""
    now = now_ms()
    buried = 0
    for hours in range(LOOK_BACK_HOURS + 1):
        names = {"hour": hour_of(now - hours * HOUR_MS), "now": now}
        condition = "expires_hour = :hour AND expires_at <= :now"
        for meta in list(tables.query(shares.table(), condition, names, IndexName=BY_EXPIRY)):
            whole = tables.get(shares.table(), share=meta["share"], item="share")
            if whole:
                reaper_bury.bury(whole, shares.over(whole) or "expired")
                buried += 1
    return buried


def reconcile() -> dict[str, int]:
    return {
        "expired": _bury_overdue(),
        "objects": _delete_orphans(),
        "uploads": _abort_stale(),
    }


def _bury_overdue() -> int:
    """Shares that are over, and files that have lost their share, by a scan."""
    now = now_ms()
    buried = 0
    heads: dict[str, Item] = {}
    for item in _all_items():
        if item["item"] == "share" or item["share"] not in heads:
            heads[item["share"]] = item
    for share, head in heads.items():
        meta = head if head["item"] == "share" else _head_of(share, head, now)
        if meta and shares.over(meta) and not meta.get("tombstone"):
            reaper_bury.bury(meta, shares.over(meta))
            buried += 1
    return buried


def _head_of(share: str, item: Item, now: int) -> Item | None:
    """A share is put last: give it time before calling its files lost."""
    meta = tables.get(shares.table(), share=share, item="share")
    if meta is None and now - item.get("created_at", 0) > YOUNG_MS:
        return _lost(share, now)
    return meta


def _lost(share: str, now: int) -> Item:
    return {"share": share, "owner": "", "created_at": now, "expires_at": now}


def _all_items() -> Iterator[Item]:
    pages = tables.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=shares.table()):
        yield from map(tables.item_of, page["Items"])


def _delete_orphans() -> int:
    """Objects whose share is over or never was (a late PUT, a lost delete)."""
    s3, bucket = tables.client("s3"), os.environ["UPLOADS_BUCKET"]
    deleted = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        old = [thing for thing in page.get("Contents", []) if _age_ms(thing) > YOUNG_MS]
        orphans = [{"Key": thing["Key"]} for thing in old if not _is_wanted(thing["Key"])]
        if orphans:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": orphans, "Quiet": True})
            deleted += len(orphans)
    return deleted


def _age_ms(thing: dict[str, Any]) -> float:
    return now_ms() - float(thing["LastModified"].timestamp()) * 1000


def _is_wanted(key: str) -> bool:
    address = shares.of_object_key(key)
    if address is None:
        return False
    meta = tables.get(shares.table(), share=address[0], item="share")
    return meta is not None and not meta.get("tombstone")


def _abort_stale() -> int:
    s3, bucket = tables.client("s3"), os.environ["UPLOADS_BUCKET"]
    aborted = 0
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            if now_ms() - upload["Initiated"].timestamp() * 1000 < STALE_UPLOAD_MS:
                continue
            try:
                s3.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                aborted += 1
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchUpload":
                    raise
    return aborted
