"""S3 Control: what an account says of all its buckets, and their tags by ARN.

Of the account's public access block the stricter switch holds, its own or the bucket's; tags are
the bucket's very own. Of the rest of this API (access points, batch jobs, Outposts) there is none.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_AWS_S3_Control.html
"""

from cloudlet.call import Call, Output, Requirement, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults
from cloudlet.s3.bucket import Bucket, of_name, put_setting, setting
from cloudlet.s3.public_access import asked, drop_account, not_found, of_account, put_account
from cloudlet.s3.settings import checked_tags, tag_set
from cloudlet.store.database import Transaction, View

_BUCKET_ARN = "arn:aws:s3:::"
_BLOCK = {
    "GetPublicAccessBlock": "GetAccountPublicAccessBlock",
    "PutPublicAccessBlock": "PutAccountPublicAccessBlock",
    "DeletePublicAccessBlock": "PutAccountPublicAccessBlock",
}


def requirements(call: Call) -> list[Requirement]:
    """Raises AccessDenied to who names another account than the own."""
    if call.params.get("AccountId") != call.config.account:
        raise AwsError("AccessDenied", "Access Denied", 403)
    name = call.operation
    return [Requirement(f"s3:{_BLOCK.get(name, name)}", call.params.get("ResourceArn", "*"))]


def get_public_access_block(call: Call, view: View) -> Output:
    block = of_account(view)
    if block is None:
        raise not_found()
    return {"PublicAccessBlockConfiguration": block}


def put_public_access_block(call: Call, tx: Transaction) -> None:
    put_account(tx, asked(call))


def delete_public_access_block(call: Call, tx: Transaction) -> Result:
    drop_account(tx)
    return Result({}, 204)


def list_tags_for_resource(call: Call, view: View) -> Output:
    return {"Tags": tag_set(_tags(view, _bucket(call, view)))}


def tag_resource(call: Call, tx: Transaction) -> None:
    """Adds to the tags that are there; one of the same key is replaced."""
    bucket = _bucket(call, tx)
    added = checked_tags(call.params.get("Tags") or [], 50)
    tags = _tags(tx, bucket) | added
    put_setting(tx, bucket.id, "tagging", checked_tags(tag_set(tags), 50))


def untag_resource(call: Call, tx: Transaction) -> None:
    bucket = _bucket(call, tx)
    gone = call.params.get("TagKeys") or []
    kept = {key: value for key, value in _tags(tx, bucket).items() if key not in gone}
    put_setting(tx, bucket.id, "tagging", kept)


def _bucket(call: Call, view: View) -> Bucket:
    arn: str = call.params["ResourceArn"]
    name = arn.removeprefix(_BUCKET_ARN)
    if name == arn or "/" in name:
        raise NotImplementedByCloudlet(f"Tagging {arn}")
    bucket = of_name(view, name)
    if bucket is None:
        raise faults.no_such_bucket(name)
    return bucket


def _tags(view: View, bucket: Bucket) -> dict[str, str]:
    return setting(view, bucket.id, "tagging") or {}
