"""Object ownership: whether a bucket has ACLs at all, and whose the objects are that others put.

BucketOwnerEnforced (ACLs are off) where nothing else is asked for. A bucket without the setting,
because it was deleted or as AWS made buckets until 2020, is as one with ObjectWriter.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from cloudlet.call import Call, Output, Result
from cloudlet.config import Config
from cloudlet.errors import AwsError
from cloudlet.s3 import faults
from cloudlet.s3.bucket import ACL, ENFORCED, Bucket, of_call, owner_id, setting
from cloudlet.store.database import Transaction, View

PREFERRED = "BucketOwnerPreferred"
_WRITER = "ObjectWriter"
_KNOWN = (ENFORCED, PREFERRED, _WRITER)


def of_new(config: Config, wanted: str | None) -> str:
    """Of a bucket that is created."""
    if wanted is None:
        return "" if config.classic_buckets else ENFORCED
    if wanted not in _KNOWN:
        message = f"Invalid x-amz-object-ownership header: {wanted}"
        raise faults.invalid_argument(message, "x-amz-object-ownership")
    return wanted


def invalid_with_acl() -> AwsError:
    return AwsError(
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        400,
    )


def put_bucket_ownership_controls(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    rules = (call.params.get("OwnershipControls") or {}).get("Rules") or []
    wanted = rules[0].get("ObjectOwnership") if len(rules) == 1 else None
    if wanted not in _KNOWN:
        raise faults.malformed_xml()
    if wanted == ENFORCED and not _is_private(call, tx, bucket):
        raise invalid_with_acl()
    tx.run("UPDATE s3_bucket SET ownership = ? WHERE id = ?", (wanted, bucket.id))


def _is_private(call: Call, view: View, bucket: Bucket) -> bool:
    """Whether the bucket's list lets in nobody but the owner."""
    listed = setting(view, bucket.id, ACL) or []
    return all(grantee == owner_id(call.config.account) for grantee, _ in listed)


def get_bucket_ownership_controls(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    if not bucket.ownership:
        raise AwsError(
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
            404,
            BucketName=bucket.name,
        )
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}


def delete_bucket_ownership_controls(call: Call, tx: Transaction) -> Result:
    tx.run("UPDATE s3_bucket SET ownership = '' WHERE id = ?", (of_call(call, tx).id,))
    return Result({}, 204)
