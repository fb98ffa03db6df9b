"""Applying lifecycle rules: expires and moves objects and aborts uploads that are due.

Works in small transactions over key order, so that a sweep of millions never holds the writer for
long; what it does to an object is decided on the row as it is then.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cloudlet.call import Cloud
from cloudlet.s3 import lifecycle, locks, multipart, records, traits, transitions, versions
from cloudlet.s3.announce import LIFECYCLE, Event, announce
from cloudlet.s3.bucket import COLUMNS, Bucket, of_name, setting
from cloudlet.s3.records import object_of
from cloudlet.store.database import Row, Transaction, View

_BATCH = 500
Rules = list[dict[str, Any]]
# of the versions of a key that are due: the id (None: the key itself), the storage class it is
# to go to ("": it expires)
Deeds = list[tuple[str | None, str]]
Deed = tuple[str, str | None, str]  # the same with its key
Due = Callable[[Cloud, View, Bucket, Rules, str], Deeds]


async def sweep_lifecycle(cloud: Cloud) -> int:
    """One pass over all buckets with rules; answers how much was done."""
    count = 0
    for bucket in _ruled(cloud.database.view()):
        for table, due in (("s3_object", _due), ("s3_version", _due_versions)):
            after: str | None = ""
            while after is not None:
                with cloud.database.snapshot() as view:
                    keys = _page(view, table, bucket, after)
                    rules = setting(view, bucket.id, "lifecycle") or []
                    found = [key for key in keys if due(cloud, view, bucket, rules, key)]
                await asyncio.sleep(0)  # others have their turn between pages
                after = keys[-1] if len(keys) == _BATCH else None
                if found:
                    count += await cloud.database.write(_expiring(cloud, bucket.name, due, found))
        count += await cloud.database.write(_aborting(cloud, bucket.name))
    return count


def _ruled(view: View) -> list[Bucket]:
    rows = view.all(
        f"SELECT {COLUMNS} FROM s3_bucket JOIN s3_setting"
        " ON bucket = id AND s3_setting.name = 'lifecycle'"
    )
    return [Bucket(*row) for row in rows]


def _page(view: View, table: str, bucket: Bucket, after: str) -> list[str]:
    rows = view.all(
        f"SELECT DISTINCT key FROM {table} WHERE bucket = ? AND key > ? ORDER BY key LIMIT ?",
        (bucket.id, after, _BATCH),
    )
    return [row["key"] for row in rows]


def _due(cloud: Cloud, view: View, bucket: Bucket, rules: Rules, key: str) -> Deeds:
    """The key, if its current version has expired or is to be moved."""
    row = view.one(
        "SELECT size, modified_ms, tags, traits, 0 AS noncurrent_ms FROM s3_object"
        " WHERE bucket = ? AND key = ?",
        (bucket.id, key),
    )
    if row is None:
        return []
    now_ms = cloud.config.now_ms()
    for rule in rules:
        due_ms = lifecycle.due_ms(rule, row["modified_ms"])
        is_past = due_ms is not None and due_ms <= now_ms
        if is_past and lifecycle.applies(rule, key, row["size"], json.loads(row["tags"])):
            return [(None, "")]
    kind = _move(cloud, view, bucket, _of_key(rules, key, row), (row, 0))
    return [(None, kind)] if kind else []


def _of_key(rules: Rules, key: str, row: Row) -> Rules:
    return [each for each in rules if lifecycle.applies(each, key, *_sized(row))]


def _move(cloud: Cloud, view: View, bucket: Bucket, own: Rules, version: tuple[Row, int]) -> str:
    """Which class the version (its row, how many noncurrent ones are newer) goes to."""
    row, newer = version
    outdated_ms = row["noncurrent_ms"]
    part = "NoncurrentVersionTransitions" if outdated_ms else "Transitions"
    due = lifecycle.moves(own, part, outdated_ms or row["modified_ms"], cloud.config.now_ms())
    if not due:
        return ""
    kind = traits.storage_class(object_of(row["traits"]))
    minimum = lifecycle.minimum_of(view, bucket.id)
    return transitions.chosen(due, transitions.Version(kind, row["size"], newer), minimum)


def _due_versions(cloud: Cloud, view: View, bucket: Bucket, rules: Rules, key: str) -> Deeds:
    """Versions that were noncurrent for long enough, and a delete marker that is all there is."""
    rows = view.all(
        "SELECT version_id, noncurrent_ms, modified_ms, size, etag, tags, traits FROM s3_version"
        " WHERE bucket = ? AND key = ? ORDER BY version DESC",
        (bucket.id, key),
    )
    now_ms = cloud.config.now_ms()
    noncurrent = [row for row in rows if row["noncurrent_ms"]]
    due: Deeds = []
    for newer, row in enumerate(noncurrent):
        own, version_id = _of_key(rules, key, row), row["version_id"] or "null"
        outdated = (row["noncurrent_ms"], newer, now_ms)
        is_outdated = any(lifecycle.is_outdated(each, *outdated) for each in own)
        if is_outdated and not locks.holds_text(row["traits"], now_ms):
            due.append((version_id, ""))
        elif row["etag"] and (kind := _move(cloud, view, bucket, own, (row, newer))):
            due.append((version_id, kind))
    if len(rows) == 1 and not noncurrent:
        own = _of_key(rules, key, rows[0])
        if any(lifecycle.ends_marker(each, rows[0]["modified_ms"], now_ms) for each in own):
            due.append((rows[0]["version_id"] or "null", ""))
    return due


def _sized(row: Row) -> tuple[int, dict[str, str]]:
    return row["size"], json.loads(row["tags"])


def _expiring(cloud: Cloud, name: str, due: Due, keys: list[str]) -> Any:
    def change(tx: Transaction) -> int:
        bucket, count = of_name(tx, name), 0
        if bucket is None:
            return 0
        rules = setting(tx, bucket.id, "lifecycle") or []
        for key in keys:
            for version_id, kind in due(cloud, tx, bucket, rules, key):  # as it is now
                done = _moved if kind else _expired
                event = done(cloud, tx, bucket, (key, version_id, kind))
                announce(cloud.config, tx, bucket, event, LIFECYCLE)
                count += 1
        return count

    return change


def _expired(cloud: Cloud, tx: Transaction, bucket: Bucket, deed: Deed) -> Event:
    key, version_id, _ = deed
    erased = versions.erase(cloud, tx, bucket, key, version_id)
    assert erased is not None
    kind = "DeleteMarkerCreated" if erased.is_kept else "Delete"
    return Event(f"LifecycleExpiration:{kind}", "Lifecycle Expiration", key, *erased[:2])


def _moved(cloud: Cloud, tx: Transaction, bucket: Bucket, deed: Deed) -> Event:
    key, version_id, kind = deed
    if version_id is None:
        record = records.load(tx, bucket.id, key)
    else:
        record = versions.find(tx, bucket.id, key, version_id)
    assert record is not None
    record.traits = {**record.traits, "class": kind}
    records.put_traits(tx, record)
    event = Event.about("LifecycleTransition", "", record)
    told = {"transitionEventData": {"destinationStorageClass": kind}}
    return replace(
        event,
        version=records.next_version(tx),
        more={"lifecycleEventData": told},
        detail={"destination-storage-class": kind},
    )


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
