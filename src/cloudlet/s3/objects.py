"""Putting and deleting objects, and their tags. Reading is in `reading`, copying in `copying`.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from cloudlet.call import Call, Output, Params, Result
from cloudlet.s3 import (
    attributes,
    checksums,
    conditions,
    encryption,
    intake,
    lifecycle,
    locks,
    records,
    replication,
    traits,
    versions,
)
from cloudlet.s3.announce import Actor, Event, announce
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.s3.records import Inline, Record
from cloudlet.s3.seals import shown
from cloudlet.store.database import Transaction


async def put_object(call: Call) -> Output:
    return await _take(call, "Put")


async def post_object(call: Call) -> Output:
    """A browser form's file: PutObject's parameters, from the form's fields (`forms`)."""
    return await _take(call, "Post")


async def _take(call: Call, how: str) -> Output:
    """Takes the body in a stream; the object appears, whole, when all of it is on the disk."""
    said = attributes.of_call(call, is_form=how == "Post")
    conditions.check_write_header(call.params)
    bucket = of_call(call, call.cloud.database.view())  # refuse before the body is taken
    kept = traits.of_write(call, bucket)
    if not replication.is_copy(call):
        locks.check_digest(call, "Object", kept.get("lock", {}))
    seal = await encryption.wanted(call, bucket)
    algorithm = checksums.announced(call) or checksums.DEFAULT
    contents = await intake.receive(call, (algorithm,), seal, inline=True)
    record = Record(
        0,
        call.params["Key"],
        contents.size,
        seal.etag(call.config, contents.md5),
        call.now_ms,
        (algorithm, checksums.FULL, contents.value(algorithm)),
        said.tags,
        said.headers,
        said.metadata,
        segments=list(contents.segments),
        encryption=seal.kept,
        traits=kept,
    )

    def change(tx: Transaction) -> Output:
        records.hold(tx, record.segments)
        return place(call, tx, record, contents.data, how)

    more = await contents.keep(call.cloud.database, change)
    return {**written(record), **more}


def place(call: Call, tx: Transaction, record: Record, data: Inline | None, how: str) -> Output:
    """Makes the record the object at its key, if conditions hold, and tells of it.

    Answers the output members that come of it: version, expiration.
    """
    bucket = of_call(call, tx)
    if conditions.of_write(call.params):
        conditions.check_write(call.params, record.key, etag_of(tx, bucket, record.key))
    rules = replication.begun(call, tx, bucket, record)
    versions.store(call.cloud, tx, bucket, record, data)
    replication.queue(call.config, tx, bucket, rules, replication.told(record))
    reason = {"Copy": "CopyObject", "Put": "PutObject", "Post": "POST Object"}.get(how, how)
    event = Event.about(f"ObjectCreated:{how}", reason, record)
    announce(call.config, tx, bucket, event, Actor.of(call))
    shown = bucket.version(record.version_id) if how == "Copy" else made(record)
    return {**shown, **lifecycle.expiration(tx, record)}


def made(record: Record) -> Output:
    """s3-017: a write that made the null version doesn't tell of versions, but a copy does."""
    return {"VersionId": record.version_id} if record.version_id else {}


def etag_of(tx: Transaction, bucket: Bucket, key: str) -> str | None:
    etag: str | None = tx.value(
        "SELECT etag FROM s3_object WHERE bucket = ? AND key = ?", (bucket.id, key)
    )
    return etag


def written(record: Record) -> Output:
    return {
        "ETag": conditions.quoted(record.etag),
        **checksums.output(record.checksum),
        **shown(record.encryption),
    }


def delete_object(call: Call, tx: Transaction) -> Result:
    """Deleting what isn't there succeeds, except under a condition."""
    versions.check_id(call.params.get("VersionId"))
    attributes.refuse_absent(call.params)
    bucket, key = of_call(call, tx), call.params["Key"]
    locks.check_bypass(call.params, tx, bucket)
    condition = {**call.params, "ETag": call.params.get("IfMatch")}
    conditions.check_delete(condition, key, etag_of(tx, bucket, key))
    return Result(erase(call, tx, bucket, call.params), 204)


def erase(call: Call, tx: Transaction, bucket: Bucket, named: Params) -> Output:
    """Deletes the key or the version of it; answers the output members that tell of it."""
    key, version_id = named["Key"], named.get("VersionId")
    if version_id is not None and bucket.versioning:
        record = versions.find(tx, bucket.id, key, version_id)
        locks.check_deletion(call, {} if record is None else record.traits.get("lock", {}))
    erased = versions.erase(call.cloud, tx, bucket, key, version_id)
    if erased is not None:
        kind = "DeleteMarkerCreated" if erased.is_kept else "Delete"
        event = Event(f"ObjectRemoved:{kind}", "DeleteObject", key, *erased[:2])
        announce(call.config, tx, bucket, event, Actor.of(call))
        if erased.is_kept:
            replication.queue_marker(call, tx, bucket, key)
    elif call.operation == "DeleteObjects":  # s3-077: this one tells even of what was not there
        event = Event("ObjectRemoved:Delete", "DeleteObject", key, records.next_version(tx))
        announce(call.config, tx, bucket, event, Actor.of(call))
    return versions.told(bucket, erased, version_id)
