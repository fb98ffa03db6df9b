"""What few objects have beside contents, headers and tags, as one JSON document a version.

Traits are settled when an object is written (put, copied, its upload begun) and shown by GET and
HEAD. Most objects have none: `{}` costs nothing to keep or to read. Names: `class` (storage class),
`replication` and `replicas` (see `replication`), `lock` (retention and legal hold, see `locks`).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
"""

from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import locks, replication
from cloudlet.s3.bucket import Bucket

Traits = dict[str, Any]
STANDARD = "STANDARD"
_CLASSES = {"REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}


def of_write(call: Call, bucket: Bucket) -> Traits:
    """Of the object that the call writes into the bucket; checks all that it says of them."""
    kept = _storage(call.params)
    lock = locks.of_write(call, call.cloud.database.view(), bucket)
    if lock:
        kept["lock"] = lock
    if call.params.get(replication.MARK):
        kept[replication.TRAIT] = replication.REPLICA
    return kept


def shown(traits: Traits) -> Output:
    """Output members of GET and HEAD."""
    output: Output = {}
    if "class" in traits:
        output["StorageClass"] = traits["class"]
    if status := replication.status_of(traits):
        output["ReplicationStatus"] = status
    return output


def storage_class(traits: Mapping[str, Any]) -> str:
    found: str = traits.get("class", STANDARD)
    return found


def _storage(params: Params) -> Traits:
    wanted = params.get("StorageClass", STANDARD)
    if wanted in _ARCHIVES:
        raise NotImplementedByCloudlet(f"S3 storage class {wanted}")
    if wanted == STANDARD:
        return {}
    if wanted not in _CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", 400)
    return {"class": wanted}
