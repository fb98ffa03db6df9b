"""Access control lists, which are off (BucketOwnerEnforced): only the owner's full control exists.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError
from cloudlet.s3 import bucket as buckets
from cloudlet.s3 import faults, versions
from cloudlet.s3.announce import Actor, Event, announce
from cloudlet.store.database import Transaction, View

_GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")
_OFF = ("private", "bucket-owner-full-control")
_CANNED = (
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "log-delivery-write",
)


def check(params: Params) -> None:
    """Refuses what needs ACLs; the two canned ones that say what holds anyway pass."""
    canned = params.get("ACL", "private")
    if canned not in (*_OFF, *_CANNED):
        raise faults.invalid_argument("The canned ACL is not valid", "x-amz-acl", canned)
    if canned not in _OFF or any(params.get(grant) for grant in _GRANTS):
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)


def get_bucket_acl(call: Call, view: View) -> Output:
    buckets.of_call(call, view)
    return _full_control(call)


def get_object_acl(call: Call, view: View) -> Output:
    versions.existing(call, view)
    return _full_control(call)


def put_bucket_acl(call: Call, tx: Transaction) -> None:
    buckets.of_call(call, tx)
    _check_put(call)


def put_object_acl(call: Call, tx: Transaction) -> None:
    bucket, record = versions.existing(call, tx)
    _check_put(call)
    event = Event.about("ObjectAcl:Put", "", record)
    announce(call.config, tx, bucket, event, Actor.of(call))


def _check_put(call: Call) -> None:
    check(call.params)
    policy = call.params.get("AccessControlPolicy")
    if policy is not None and policy.get("Grants") != _full_control(call)["Grants"]:
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)


def _full_control(call: Call) -> dict[str, Any]:
    owner = buckets.owner(call)
    grantee = {**owner, "Type": "CanonicalUser"}
    return {"Owner": owner, "Grants": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]}
