"""What few objects have beside contents, headers and tags, as one JSON document a version.

Traits are settled when an object is written (put, copied, its upload begun) and shown by GET and
HEAD. Most objects have none: `{}` costs nothing to keep or to read. Names: `class` (storage class),
`replication` and `replicas` (see `replication`), `lock` (retention and legal hold, see `locks`),
`restore` (of an archived one: {"until_ms": when the restored copy goes; 0 = being retrieved}),
`owner` and `acl` (see `acl`).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
"""

from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError
from cloudlet.s3 import acl, locks, replication
from cloudlet.s3.bucket import Bucket
from cloudlet.s3.conditions import http_date

Traits = dict[str, Any]
STANDARD = "STANDARD"
ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # not to be read before they are restored
_CLASSES = {
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    *ARCHIVES,
}


def of_write(call: Call, bucket: Bucket) -> Traits:
    """Of the object that the call writes into the bucket; checks all that it says of them."""
    kept = _storage(call.params)
    lock = locks.of_write(call, call.cloud.database.view(), bucket)
    kept.update(acl.of_write(call, call.cloud.database.view(), bucket))
    if lock:
        kept["lock"] = lock
    if replication.is_copy(call):
        kept[replication.TRAIT] = replication.REPLICA
    return kept


def shown(traits: Traits) -> Output:
    """Output members of GET and HEAD."""
    output: Output = {}
    if "class" in traits:
        output["StorageClass"] = traits["class"]
    if status := replication.status_of(traits):
        output["ReplicationStatus"] = status
    if "restore" in traits:
        until_ms = traits["restore"]["until_ms"]
        expiry = f', expiry-date="{http_date(until_ms)}"' if until_ms else ""
        output["Restore"] = f'ongoing-request="{"false" if until_ms else "true"}"{expiry}'
    return output


def restore_status(traits: Traits) -> Output:
    """The same in listings."""
    if "restore" not in traits:
        return {}
    until_ms = traits["restore"]["until_ms"]
    expiry = {"RestoreExpiryDate": until_ms / 1000} if until_ms else {}
    return {"IsRestoreInProgress": not until_ms, **expiry}


def is_archived(traits: Traits) -> bool:
    """Whether there is no copy to read."""
    restored = traits.get("restore", {}).get("until_ms")
    return storage_class(traits) in ARCHIVES and not restored


def check_readable(traits: Traits) -> None:
    if is_archived(traits):
        raise AwsError(
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
            403,
            StorageClass=traits["class"],
        )


def check_source(traits: Traits) -> None:
    if is_archived(traits):
        raise AwsError(
            "ObjectNotInActiveTierError",
            "The source object of the COPY action is not in the active tier.",
            403,
        )


def storage_class(traits: Mapping[str, Any]) -> str:
    found: str = traits.get("class", STANDARD)
    return found


def _storage(params: Params) -> Traits:
    wanted = params.get("StorageClass", STANDARD)
    if wanted == STANDARD:
        return {}
    if wanted not in _CLASSES:
        raise AwsError(
            "InvalidStorageClass",
            "The storage class you specified is not valid",
            400,
            StorageClassRequested=wanted,
        )
    return {"class": wanted}
