"""Applying lifecycle rules: expires objects and aborts uploads that are due.

Works in small transactions over key order, so that a sweep of millions never holds the writer for
long; what it does to an object is decided on the row as it is then.
"""

import json
from typing import Any

from cloudlet.call import Cloud
from cloudlet.s3 import lifecycle, multipart, versions
from cloudlet.s3.announce import LIFECYCLE, Event, announce
from cloudlet.s3.bucket import COLUMNS, Bucket, of_name, setting
from cloudlet.store.database import Row, Transaction, View

_BATCH = 500
Rules = list[dict[str, Any]]


async def sweep_lifecycle(cloud: Cloud) -> int:
    """One pass over all buckets with rules; answers how many objects and uploads went."""
    count = 0
    for bucket in _ruled(cloud.database.view()):
        after: str | None = ""
        while after is not None:
            rows = _page(cloud.database.view(), bucket, after)
            after = rows[-1]["key"] if len(rows) == _BATCH else None
            rules = setting(cloud.database.view(), bucket.id, "lifecycle") or []
            due = [row["key"] for row in rows if _is_due(cloud, rules, row)]
            if due:
                count += await cloud.database.write(_expiring(cloud, bucket.name, due))
        count += await cloud.database.write(_aborting(cloud, bucket.name))
    return count


def _ruled(view: View) -> list[Bucket]:
    rows = view.all(
        f"SELECT {COLUMNS} FROM s3_bucket JOIN s3_setting"
        " ON bucket = id AND s3_setting.name = 'lifecycle'"
    )
    return [Bucket(*row) for row in rows]


def _page(view: View, bucket: Bucket, after: str) -> list[Row]:
    return view.all(
        "SELECT key, size, modified_ms, tags FROM s3_object WHERE bucket = ? AND key > ?"
        " ORDER BY key LIMIT ?",
        (bucket.id, after, _BATCH),
    )


def _is_due(cloud: Cloud, rules: Rules, row: Row) -> bool:
    now_ms, tags = cloud.config.now_ms(), json.loads(row["tags"])
    for rule in rules:
        due_ms = lifecycle.due_ms(rule, row["modified_ms"])
        is_past = due_ms is not None and due_ms <= now_ms
        if is_past and lifecycle.applies(rule, row["key"], row["size"], tags):
            return True
    return False


def _expiring(cloud: Cloud, name: str, keys: list[str]) -> Any:
    def change(tx: Transaction) -> int:
        bucket, count = of_name(tx, name), 0
        rules = setting(tx, bucket.id, "lifecycle") or [] if bucket else []
        for key in keys if bucket else []:
            assert bucket is not None
            row = tx.one(
                "SELECT key, size, modified_ms, tags FROM s3_object WHERE bucket = ? AND key = ?",
                (bucket.id, key),
            )
            if row is None or not _is_due(cloud, rules, row):
                continue
            erased = versions.erase(cloud, tx, bucket, key)
            assert erased is not None
            kind = "DeleteMarkerCreated" if erased.is_kept else "Delete"
            event = Event(f"LifecycleExpiration:{kind}", "Lifecycle Expiration", key, *erased[:2])
            announce(cloud.config, tx, bucket, event, LIFECYCLE)
            count += 1
        return count

    return change


def _aborting(cloud: Cloud, name: str) -> Any:
    def change(tx: Transaction) -> int:
        bucket, count, now_ms = of_name(tx, name), 0, cloud.config.now_ms()
        if bucket is None:
            return 0
        rows = tx.all(
            "SELECT id, key, created_ms FROM s3_upload WHERE bucket = ? AND created_ms < ?",
            (bucket.id, now_ms - 86_400_000),
        )
        for row in rows:
            due = lifecycle.abort_due(tx, bucket.id, row["key"], row["created_ms"])
            if due and due["AbortDate"].timestamp() * 1000 <= now_ms:
                multipart.drop(tx, cloud.blobs, row["id"])
                count += 1
        return count

    return change
