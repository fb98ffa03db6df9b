"""Putting and deleting objects, and their tags. Reading is in `reading`, copying in `copying`.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.s3 import attributes, checksums, conditions, faults, intake, lifecycle, records
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

    expires = await contents.keep(call.cloud.database, change)
    return {**written(record), **expires}


def place(call: Call, tx: Transaction, record: Record, data: bytes | None, how: str) -> Output:
    """Makes the record the object at its key, if conditions hold, and tells of it."""
    bucket = of_call(call, tx)
    record.bucket = bucket.id
    if conditions.of_write(call.params):
        conditions.check_write(call.params, record.key, _etag(tx, bucket, record.key))
    records.store(tx, call.cloud.blobs, record, data)
    reason = {"Copy": "CopyObject", "Put": "PutObject"}.get(how, how)
    event = Event(
        f"ObjectCreated:{how}", reason, record.key, record.version, record.size, record.etag
    )
    announce(call.config, tx, bucket, event, Actor.of(call))
    return dict(lifecycle.expiration(tx, record))


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
    attributes.check_version(call.params)
    attributes.refuse_absent(call.params)
    if call.params.get("BypassGovernanceRetention"):
        raise faults.invalid_argument(
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets."
        )
    bucket = of_call(call, tx)
    _check_delete(call, tx, bucket)
    erase(call, tx, bucket, call.params["Key"], "DeleteObject")
    return Result({}, 204)


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


def erase(call: Call, tx: Transaction, bucket: Bucket, key: str, reason: str) -> None:
    if records.remove(tx, call.cloud.blobs, bucket.id, key):
        event = Event("ObjectRemoved:Delete", reason, key, records.next_version(tx))
        announce(call.config, tx, bucket, event, Actor.of(call))


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
        try:
            attributes.check_key(key)
            attributes.check_version(each)
            if each.get("ETag"):
                condition = {"IfMatch": each["ETag"]}
                conditions.check_write(condition, key, _etag(tx, bucket, key))
        except AwsError as error:
            errors.append({"Key": key, "Code": error.code, "Message": error.message})
            continue
        erase(call, tx, bucket, key, "DeleteObject")
        deleted.append({"Key": key})
    output: Output = {} if wanted.get("Quiet") else {"Deleted": deleted}
    return {**output, "Errors": errors} if errors else output
