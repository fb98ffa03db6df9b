"""Archived objects (GLACIER, DEEP_ARCHIVE): nobody reads them until a copy of them is restored.

`s3_restore` says what is due: the end of a retrieval, later the end of the restored copy, which
here is a permission to read, for the bytes lie where they always lay.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html
"""

from typing import Any

from cloudlet.call import Call, Cloud, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import announce, faults, records, traits, versions
from cloudlet.s3.announce import PRINCIPAL, Actor, Event
from cloudlet.s3.bucket import COLUMNS, Bucket, owner_id
from cloudlet.s3.lifecycle import next_midnight_ms
from cloudlet.s3.records import Record
from cloudlet.store.database import Row, Transaction

TOPIC = "s3-restore"
# s3-060: minutes to days on AWS
_RETRIEVAL_MS = {"Expedited": 500, "Standard": 1500, "Bulk": 3000}


def restore_object(call: Call, tx: Transaction) -> Result:
    """202: a retrieval was begun. 200: there is a restored copy, which now stays longer."""
    days, tier = _asked(call.params.get("RestoreRequest") or {})
    bucket, record = versions.existing(call, tx)
    kind = traits.storage_class(record.traits)
    if kind not in traits.ARCHIVES:
        message = "Restore is not allowed for the object's current storage class"
        raise AwsError("InvalidObjectState", message, 403, StorageClass=kind)
    if kind == "DEEP_ARCHIVE" and tier == "Expedited":
        raise faults.invalid_argument("Retrieval option is not supported by this storage class")
    before = record.traits.get("restore")
    if before is not None and not before["until_ms"]:
        raise AwsError("RestoreAlreadyInProgress", "Object restore is already in progress", 409)
    if before is not None:
        _restored(tx, record, next_midnight_ms(call.now_ms, days))
        return Result({}, 200)
    record.traits = {**record.traits, "restore": {"until_ms": 0, "days": days}}
    _keep(tx, record, call.now_ms + _RETRIEVAL_MS[tier])
    event = _event(tx, "Post", record, detail={"source-storage-class": kind})
    announce.announce(call.config, tx, bucket, event, Actor.of(call))
    return Result({}, 202)


def _asked(request: dict[str, Any]) -> tuple[int, str]:
    for name in ("Type", "SelectParameters", "OutputLocation"):
        if request.get(name):
            raise NotImplementedByCloudlet(f"RestoreObject with {name}")
    days = request.get("Days")
    parameters = request.get("GlacierJobParameters") or {}
    tier = parameters.get("Tier") or request.get("Tier") or "Standard"
    if days is None or tier not in _RETRIEVAL_MS:
        raise faults.malformed_xml()
    if days < 1:
        raise faults.invalid_argument("restoration days should be at least 1", "Days", days)
    return days, tier


def _restored(tx: Transaction, record: Record, until_ms: int) -> None:
    record.traits = {**record.traits, "restore": {"until_ms": until_ms}}
    _keep(tx, record, until_ms)


def _keep(tx: Transaction, record: Record, due_ms: int) -> None:
    records.put_traits(tx, record)
    tx.run(
        "INSERT OR REPLACE INTO s3_restore (bucket, key, version, due_ms) VALUES (?, ?, ?, ?)",
        (record.bucket, record.key, record.version, due_ms),
    )
    tx.touch(TOPIC)


def _event(tx: Transaction, name: str, record: Record, **members: Any) -> Event:
    return Event(
        f"ObjectRestore:{name}",
        "",
        record.key,
        records.next_version(tx),
        record.version_id,
        record.size,
        record.etag,
        **members,
    )


async def progress(cloud: Cloud) -> int | None:
    """Does what is due; answers when the next is."""

    def change(tx: Transaction) -> int | None:
        now_ms = cloud.config.now_ms()
        for row in tx.all("SELECT * FROM s3_restore WHERE due_ms <= ? LIMIT 1000", (now_ms,)):
            tx.run(
                "DELETE FROM s3_restore WHERE bucket = ? AND key = ? AND version = ?",
                (row["bucket"], row["key"], row["version"]),
            )
            record = records.of_version(tx, row["bucket"], row["key"], row["version"])
            if record is not None and "restore" in record.traits:
                _advance(cloud, tx, _bucket(tx, row), record)
        due_ms: int | None = tx.value("SELECT min(due_ms) FROM s3_restore")
        return due_ms

    return await cloud.database.write(change)


def _bucket(tx: Transaction, row: Row) -> Bucket:
    found = tx.one(f"SELECT {COLUMNS} FROM s3_bucket WHERE id = ?", (row["bucket"],))
    assert found is not None
    return Bucket(*found)


def _advance(cloud: Cloud, tx: Transaction, bucket: Bucket, record: Record) -> None:
    """A retrieval ends, or the restored copy goes."""
    kind, restore = traits.storage_class(record.traits), record.traits["restore"]
    if restore["until_ms"]:
        record.traits = {name: each for name, each in record.traits.items() if name != "restore"}
        records.put_traits(tx, record)
        event = _event(tx, "Delete", record)
    else:
        until_ms = next_midnight_ms(cloud.config.now_ms(), restore["days"])
        _restored(tx, record, until_ms)
        until = announce.iso(until_ms)
        told = {"lifecycleRestorationExpiryTime": until, "lifecycleRestoreStorageClass": kind}
        more = {"glacierEventData": {"restoreEventData": told}}
        detail = {"restore-expiry-time": f"{until[:19]}Z", "source-storage-class": kind}
        event = _event(tx, "Completed", record, more=more, detail=detail)
    actor = Actor(
        f"AmazonCustomer:{owner_id(cloud.config.account)}", PRINCIPAL, "s3.amazonaws.com", ""
    )
    announce.announce(cloud.config, tx, bucket, event, actor)
