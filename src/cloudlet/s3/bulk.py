"""Deleting many objects in one call: each key is allowed, checked and deleted for itself.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError
from cloudlet.s3 import attributes, authority, conditions, faults, objects, permissions, versions
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.store.database import Transaction

_DELETES_MAX = 1000


def delete_objects(call: Call, tx: Transaction) -> Output:
    """Each key succeeds or fails for itself; one transaction all the same.

    A bypass of retention where there are no locks does nothing (AWS refuses it, which its documents
    don't say): tools that empty buckets always ask for it.
    """
    bucket = of_call(call, tx)
    attributes.refuse_absent(call.params)
    wanted = call.params.get("Delete") or {}
    named = wanted.get("Objects") or []
    if not 1 <= len(named) <= _DELETES_MAX:
        raise faults.malformed_xml()
    deleted, errors = [], []
    for each in named:
        known = {name: each[name] for name in ("Key", "VersionId") if each.get(name) is not None}
        try:
            _check(call, tx, bucket, each)
            deleted.append({**known, **_told(objects.erase(call, tx, bucket, each))})
        except AwsError as error:
            errors.append({**known, "Code": error.code, "Message": error.message})
    output: Output = {} if wanted.get("Quiet") else {"Deleted": deleted}
    return {**output, "Errors": errors} if errors else output


def _check(call: Call, tx: Transaction, bucket: Bucket, named: Params) -> None:
    policies = authority.of_bucket(call, tx, bucket, named)
    if not all(
        permissions.allows(call, each, policies) for each in permissions.deletion(call, named)
    ):
        raise faults.access_denied()
    attributes.check_key(named.get("Key", ""))
    _check_id(named)
    conditions.check_delete(named, named["Key"], objects.etag_of(tx, bucket, named["Key"]))


def _check_id(named: Params) -> None:
    """s3-045: an id that can't be one is just not there."""
    try:
        versions.check_id(named.get("VersionId"))
    except AwsError as error:
        raise versions.no_such_version(named["Key"], named["VersionId"]) from error


def _told(output: Output) -> Output:
    """A delete marker's version is named apart from the version that was asked for."""
    if not output.get("DeleteMarker"):
        return {}
    return {"DeleteMarker": True, "DeleteMarkerVersionId": output["VersionId"]}
