"""reaper: ends shares. Bytes go, a tombstone (hashes, sizes, times) stays for a while.

Told by the stream (a share item removed by TTL, or marked as deleted), every minute by a schedule
(TTL lags, expiry does not), and by a slower schedule that reconciles bucket and table both ways.
Every step can be repeated.
"""

import json
from typing import Any

import reaper_bury
import reaper_sweep
from lambdashare_core import tables
from lambdashare_core.web import log


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if "Records" in event:
        return _of_stream(event["Records"])
    if event.get("reconcile"):
        outcome = reaper_sweep.reconcile()
    else:
        outcome = {"expired": reaper_sweep.expire()}
    log.info(json.dumps(outcome))
    return outcome


def _of_stream(records: list[dict[str, Any]]) -> dict[str, Any]:
    for record in records:
        try:
            _of_record(record)
        except Exception:
            log.exception("could not bury")
            failed = record["dynamodb"]["SequenceNumber"]
            return {"batchItemFailures": [{"itemIdentifier": failed}]}
    return {"batchItemFailures": []}


def _of_record(record: dict[str, Any]) -> None:
    change = record["dynamodb"]
    image = change.get("OldImage" if record["eventName"] == "REMOVE" else "NewImage", {})
    meta = tables.item_of(image)
    if meta.get("item") != "share" or meta.get("tombstone"):
        return
    if record["eventName"] == "REMOVE":
        reaper_bury.bury(meta, "deleted" if meta.get("deleted_at") else "expired")
    elif meta.get("deleted_at"):
        reaper_bury.bury(meta, "deleted")
