"""Putting and deleting objects, and their tags. Reading is in `reading`, copying in `copying`.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from cloudlet.call import Call, Output, Params, Result
from cloudlet.errors import AwsError
from cloudlet.s3 import (
    attributes,
    checksums,
    conditions,
    faults,
    intake,
    lifecycle,
    records,
    versions,
)
from cloudlet.s3.announce import Actor, Event, announce
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction

_DELETES_MAX = 1000


async def put_object(call: Call) -> Output:
    """Takes the body in a stream; the object appears, whole, when all of it is on the disk."""
    said = attributes.of_call(call)
    conditions.check_write_header(call.params)
    of_call(call, call.cloud.database.view())  # refuse before the body is taken
    algorithm = checksums.announced(call) or checksums.DEFAULT
    contents = await intake.receive(call, (algorithm,), inline=True)
    record = Record(
        0,
        call.params["Key"],
        contents.size,
        contents.md5.hex(),
        call.now_ms,
        (algorithm, checksums.FULL, contents.value(algorithm)),
        said.tags,
        said.headers,
        said.metadata,
        segments=list(contents.segments),
    )

    def change(tx: Transaction) -> Output:
        records.hold(tx, record.segments)
        return place(call, tx, record, contents.data, "Put")

    more = await contents.keep(call.cloud.database, change)
    return {**written(record), **more}


def place(call: Call, tx: Transaction, record: Record, data: bytes | None, how: str) -> Output:
    """Makes the record the object at its key, if conditions hold, and tells of it.

    Answers the output members that come of it: version, expiration.
    """
    bucket = of_call(call, tx)
    if conditions.of_write(call.params):
        conditions.check_write(call.params, record.key, _etag(tx, bucket, record.key))
    versions.store(call.cloud, tx, bucket, record, data)
    reason = {"Copy": "CopyObject", "Put": "PutObject"}.get(how, how)
    event = Event.about(f"ObjectCreated:{how}", reason, record)
    announce(call.config, tx, bucket, event, Actor.of(call))
    return {**made(record), **lifecycle.expiration(tx, record)}


def made(record: Record) -> Output:
    """s3-017: a write that made the null version doesn't tell of versions."""
    return {"VersionId": record.version_id} if record.version_id else {}


def _etag(tx: Transaction, bucket: Bucket, key: str) -> str | None:
    etag: str | None = tx.value(
        "SELECT etag FROM s3_object WHERE bucket = ? AND key = ?", (bucket.id, key)
    )
    return etag


def written(record: Record) -> Output:
    return {
        "ETag": conditions.quoted(record.etag),
        **checksums.output(record.checksum),
        **attributes.SSE,
    }


def delete_object(call: Call, tx: Transaction) -> Result:
    """Deleting what isn't there succeeds, except under a condition."""
    versions.check_id(call.params.get("VersionId"))
    attributes.refuse_absent(call.params)
    if call.params.get("BypassGovernanceRetention"):
        raise faults.invalid_argument(
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets."
        )
    bucket = of_call(call, tx)
    _check_delete(call, tx, bucket)
    return Result(_erase(call, tx, bucket, call.params), 204)


def _check_delete(call: Call, tx: Transaction, bucket: Bucket) -> None:
    params = call.params
    if any(params.get(name) is not None for name in ("IfMatchLastModifiedTime", "IfMatchSize")):
        raise AwsError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
        )
    wanted = params.get("IfMatch")
    if wanted is not None:
        conditions.check_write({"IfMatch": wanted}, params["Key"], _etag(tx, bucket, params["Key"]))


def _erase(call: Call, tx: Transaction, bucket: Bucket, named: Params) -> Output:
    """Deletes the key or the version of it; answers the output members that tell of it."""
    key, version_id = named["Key"], named.get("VersionId")
    erased = versions.erase(call.cloud, tx, bucket, key, version_id)
    if erased is not None:
        kind = "DeleteMarkerCreated" if erased.is_kept else "Delete"
        event = Event(f"ObjectRemoved:{kind}", "DeleteObject", key, *erased[:2])
        announce(call.config, tx, bucket, event, Actor.of(call))
    return versions.told(bucket, erased, version_id)


def delete_objects(call: Call, tx: Transaction) -> Output:
    """Each key succeeds or fails for itself; one transaction all the same."""
    bucket = of_call(call, tx)
    attributes.refuse_absent(call.params)
    wanted = call.params.get("Delete") or {}
    objects = wanted.get("Objects") or []
    if not 1 <= len(objects) <= _DELETES_MAX:
        raise faults.malformed_xml()
    deleted, errors = [], []
    for each in objects:
        key = each.get("Key", "")
        named = {"Key": key}
        if each.get("VersionId") is not None:
            named["VersionId"] = each["VersionId"]
        try:
            attributes.check_key(key)
            versions.check_id(each.get("VersionId"), "VersionId")
            if each.get("ETag"):
                condition = {"IfMatch": each["ETag"]}
                conditions.check_write(condition, key, _etag(tx, bucket, key))
        except AwsError as error:
            errors.append({**named, "Code": error.code, "Message": error.message})
            continue
        deleted.append({**named, **_deleted(_erase(call, tx, bucket, named), named)})
    output: Output = {} if wanted.get("Quiet") else {"Deleted": deleted}
    return {**output, "Errors": errors} if errors else output


def _deleted(told: Output, named: Params) -> Output:
    """DeleteObjects names a delete marker's version apart from the version that was asked for."""
    if not told.get("DeleteMarker"):
        return {}
    return {"DeleteMarker": True, "DeleteMarkerVersionId": told["VersionId"]}
