"""Versions of objects: which one a request means, keeping them, bringing them back, delete markers.

`s3_object` holds the current version of each key, so that reads and listings cost what they cost
without versioning; the others are in `s3_version`. A version id hides its place in the order of
writes, so that a listing goes on after a version that is gone by now.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
"""

import re
from typing import NamedTuple

from cloudlet.call import Call, Cloud, Output
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.s3 import faults, records
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.s3.conditions import http_date
from cloudlet.s3.records import Inline, Record
from cloudlet.store.database import Transaction, View

_ID = re.compile("[0-9a-f]{32}")
_KEPT = records.COLUMNS
_MARKER = '["", "", ""]'  # its checksum


class Erased(NamedTuple):
    """What a deletion did. `version` orders events; `is_marker`: one was made or removed."""

    version: int
    version_id: str
    is_marker: bool
    is_kept: bool  # a marker was made, nothing is lost


def new_id(config: Config, version: int) -> str:
    mask = int(config.new_id().replace("-", "")[-16:], 16)
    return f"{version ^ mask:016x}{mask:016x}"


def place_of(version_id: str) -> int:
    """The place in the order of writes."""
    return int(version_id[:16], 16) ^ int(version_id[16:], 16)


def check_id(version_id: str | None, name: str = "versionId") -> None:
    if version_id == "":
        raise faults.invalid_argument("Version id cannot be the empty string", name, "")
    if version_id not in (None, "null") and not _ID.fullmatch(version_id):
        raise faults.invalid_argument("Invalid version id specified", name, version_id)


def find(view: View, bucket: int, key: str, version_id: str) -> Record | None:
    """The version of that id, a delete marker perhaps."""
    stored = "" if version_id == "null" else version_id
    row = view.one(
        "SELECT * FROM s3_object WHERE bucket = ? AND key = ? AND version_id = ?",
        (bucket, key, stored),
    )
    if row is None and not stored:
        row = view.one(
            "SELECT * FROM s3_version WHERE bucket = ? AND key = ? AND version_id = ''",
            (bucket, key),
        )
    elif row is None:
        row = view.one(
            "SELECT * FROM s3_version WHERE bucket = ? AND key = ? AND version = ?"
            " AND version_id = ?",
            (bucket, key, place_of(stored), stored),
        )
    return None if row is None else Record.of(row)


def chosen(call: Call, view: View, bucket: Bucket) -> Record | None:
    """The object, or the version of it, that the call names. None: there is no current one."""
    key, version_id = call.params["Key"], call.params.get("VersionId")
    if version_id is None:
        load = records.load_whole if call.operation == "GetObject" else records.load
        return load(view, bucket.id, key)
    check_id(version_id)
    record = find(view, bucket.id, key, version_id)
    if record is None:
        raise no_such_version(key, version_id)
    if record.is_marker:
        raise _not_of_markers(call, record)
    return record


def named(view: View, bucket: Bucket, key: str, version_id: str | None) -> Record | None:
    """The object, or the version of it, that is named, if it is there and no delete marker."""
    if version_id in (None, ""):
        return records.load(view, bucket.id, key)
    is_one = version_id == "null" or _ID.fullmatch(version_id)
    record = find(view, bucket.id, key, version_id) if is_one else None
    return None if record is None or record.is_marker else record


def existing(call: Call, view: View, *, is_change: bool = False) -> tuple[Bucket, Record]:
    """The same, where an answer needs one. A change of what is deleted is no method."""
    bucket = of_call(call, view)
    record = chosen(call, view, bucket)
    newest = _newest(view, bucket.id, call.params["Key"]) if record is None and is_change else None
    if newest is not None and newest.is_marker:
        raise _not_of_markers(call, newest)
    if record is None:
        newest = _newest(view, bucket.id, call.params["Key"]) if bucket.versioning else None
        # s3-047: who asks for tags or locks of a marker hears what it is; who reads its ACL, not
        if newest is not None and call.operation != "GetObjectAcl":
            raise _not_of_markers(call, newest)
        raise faults.no_such_key(call.params["Key"])
    return bucket, record


def no_such_version(key: str, version_id: str) -> AwsError:
    message = "The specified version does not exist."
    return AwsError("NoSuchVersion", message, 404, Key=key, VersionId=version_id)


def missing(view: View, bucket: Bucket, key: str) -> AwsError:
    """There is no such key, and if that is because of a delete marker, headers say so."""
    error = faults.no_such_key(key)
    newest = _newest(view, bucket.id, key) if bucket.versioning else None
    if newest is not None:
        error.fields["_headers"] = _headers(newest)
    return error


def _headers(marker: Record) -> list[tuple[str, str]]:
    return [("x-amz-delete-marker", "true"), ("x-amz-version-id", marker.version_id or "null")]


def _not_of_markers(call: Call, marker: Record) -> AwsError:
    """s3-016: GET and HEAD of a delete marker by its id."""
    error = faults.method_not_allowed(Method=call.request.method, ResourceType="DeleteMarker")
    modified = ("Last-Modified", http_date(marker.modified_ms))
    error.fields["_headers"] = [*_headers(marker), ("Allow", "DELETE"), modified]
    return error


def _newest(view: View, bucket: int, key: str) -> Record | None:
    row = view.one(
        "SELECT * FROM s3_version WHERE bucket = ? AND key = ? ORDER BY version DESC LIMIT 1",
        (bucket, key),
    )
    return None if row is None else Record.of(row)


def store(
    cloud: Cloud, tx: Transaction, bucket: Bucket, record: Record, data: Inline | None
) -> None:
    """Makes the record the current version at its key, beside the others or in their place."""
    _disturb(tx, bucket.id, record.key)
    spare = _displace(cloud, tx, bucket, record.key)
    record.bucket = bucket.id
    record.version = records.next_version(tx)
    record.version_id = new_id(cloud.config, record.version) if _keeps(bucket) else ""
    records.store(tx, record, data, spare)


def _disturb(tx: Transaction, bucket: int, key: str) -> None:
    """Uploads to the key that are under way can't be completed under conditions any more."""
    where = "WHERE bucket = ? AND key = ? AND disturbed = 0"
    tx.run(f"UPDATE s3_upload SET disturbed = 1 {where}", (bucket, key))


def _keeps(bucket: Bucket) -> bool:
    return bucket.versioning == "Enabled"


def _displace(cloud: Cloud, tx: Transaction, bucket: Bucket, key: str) -> int | None:
    """Makes room for a current version: the one before goes, or becomes noncurrent. Answers what
    `records.replaced` does."""
    if not bucket.versioning:
        return records.replaced(tx, cloud.blobs, bucket.id, key)
    if not _keeps(bucket):
        null = find(tx, bucket.id, key, "null")
        if null is not None:
            _drop(cloud, tx, null)
    place, now_ms = (bucket.id, key), cloud.config.now_ms()
    moved = tx.run(
        f"INSERT INTO s3_version ({_KEPT}, noncurrent_ms) SELECT {_KEPT}, ? FROM s3_object"
        " WHERE bucket = ? AND key = ?",
        (now_ms, *place),
    )
    if moved.rowcount:
        tx.run("DELETE FROM s3_object WHERE bucket = ? AND key = ?", place)
    else:
        _date_newest(tx, bucket.id, key, now_ms)
    return None


def _date_newest(tx: Transaction, bucket: int, key: str, noncurrent_ms: int) -> None:
    tx.run(
        "UPDATE s3_version SET noncurrent_ms = ? WHERE bucket = ? AND key = ? AND version ="
        " (SELECT max(version) FROM s3_version WHERE bucket = ? AND key = ?)"
        " AND (noncurrent_ms = 0) = ?",
        (noncurrent_ms, bucket, key, bucket, key, noncurrent_ms > 0),
    )


def _drop(cloud: Cloud, tx: Transaction, record: Record) -> None:
    records.free(tx, cloud.blobs, record.content, record.segments)
    for table in ("s3_object", "s3_version"):
        tx.run(
            f"DELETE FROM {table} WHERE bucket = ? AND key = ? AND version = ?",
            (record.bucket, record.key, record.version),
        )


def erase(
    cloud: Cloud, tx: Transaction, bucket: Bucket, key: str, version_id: str | None = None
) -> Erased | None:
    """Deletes a version for good, or, where versions are kept, the key by a delete marker.

    None: there was nothing.
    """
    _disturb(tx, bucket.id, key)
    if version_id is None and bucket.versioning:
        return _mark(cloud, tx, bucket, key)
    if version_id is None:
        record = records.load(tx, bucket.id, key)
    else:
        record = find(tx, bucket.id, key, version_id)
    if record is None:
        return None
    _drop(cloud, tx, record)
    if bucket.versioning:
        _restore(tx, bucket.id, key)
    return Erased(records.next_version(tx), record.version_id, record.is_marker, False)


def _mark(cloud: Cloud, tx: Transaction, bucket: Bucket, key: str) -> Erased:
    _displace(cloud, tx, bucket, key)
    version = records.next_version(tx)
    version_id = new_id(cloud.config, version) if _keeps(bucket) else ""
    tx.run(
        f"INSERT INTO s3_version ({_KEPT}, noncurrent_ms)"
        " VALUES (?, ?, 0, '', ?, ?, ?, NULL, '{}', '', '{}', '{}', '[]', '[]', ?, '{}', '{}', 0)",
        (bucket.id, key, cloud.config.now_ms(), version, _MARKER, version_id),
    )
    return Erased(version, version_id, True, True)


def _restore(tx: Transaction, bucket: int, key: str) -> None:
    """After a removal the newest version left is the current one."""
    if tx.value("SELECT 1 FROM s3_object WHERE bucket = ? AND key = ?", (bucket, key)):
        return
    newest = _newest(tx, bucket, key)
    if newest is None:
        return
    if newest.is_marker:
        _date_newest(tx, bucket, key, 0)
        return
    place = (bucket, key, newest.version)
    where = "WHERE bucket = ? AND key = ? AND version = ?"
    tx.run(f"INSERT INTO s3_object ({_KEPT}) SELECT {_KEPT} FROM s3_version {where}", place)
    tx.run(f"DELETE FROM s3_version {where}", place)


def told(bucket: Bucket, erased: Erased | None, version_id: str | None) -> Output:
    """A deletion's output members."""
    if erased is None:
        return {} if version_id is None else {"VersionId": version_id}
    output: Output = dict(bucket.version(erased.version_id))
    return {**output, "DeleteMarker": True} if erased.is_marker else output
