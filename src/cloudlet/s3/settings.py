"""Bucket settings that are kept and answered: tags, versioning.

What a setting other than the default would mean isn't implemented here is refused, never stored.
"""

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults, locks
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def checked_tags(tags: list[dict[str, str]], tags_max: int) -> dict[str, str]:
    """A tag set as a dict, checked as AWS does."""
    checked: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not key or len(key) > 128:
            raise AwsError("InvalidTag", "The TagKey you have provided is invalid", 400)
        if len(value) > 256:
            raise AwsError("InvalidTag", "The TagValue you have provided is invalid", 400)
        if key in checked:
            raise AwsError("InvalidTag", "Cannot provide multiple Tags with the same key", 400)
        if key.startswith("aws:"):
            raise AwsError("InvalidTag", "System tags cannot be added/updated by requester", 400)
        checked[key] = value
    if len(checked) > tags_max:
        what = "Object tags" if tags_max == 10 else "Bucket tag count"
        raise AwsError("BadRequest", f"{what} cannot be greater than {tags_max}", 400)
    return checked


def tag_set(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def put_bucket_tagging(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    tags = (call.params.get("Tagging") or {}).get("TagSet")
    if tags is None:
        raise faults.malformed_xml()
    put_setting(tx, bucket.id, "tagging", checked_tags(tags, 50))


def get_bucket_tagging(call: Call, view: View) -> Output:
    tags = setting(view, of_call(call, view).id, "tagging")
    if not tags:
        raise AwsError("NoSuchTagSet", "The TagSet does not exist", 404)
    return {"TagSet": tag_set(tags)}


def delete_bucket_tagging(call: Call, tx: Transaction) -> None:
    drop_setting(tx, of_call(call, tx).id, "tagging")


def get_bucket_versioning(call: Call, view: View) -> Output:
    """Empty: never enabled."""
    status = of_call(call, view).versioning
    return {"Status": status} if status else {}


def put_bucket_versioning(call: Call, tx: Transaction) -> None:
    """What `versions` makes of it holds for writes from now on."""
    bucket = of_call(call, tx)
    wanted = call.params.get("VersioningConfiguration") or {}
    status = wanted.get("Status")
    if wanted.get("MFADelete", "Disabled") != "Disabled" or call.params.get("MFA"):
        raise NotImplementedByCloudlet("S3 MFA delete")
    if status not in (None, "Enabled", "Suspended"):
        raise faults.malformed_xml()
    if status is None:
        raise AwsError(
            "IllegalVersioningConfigurationException",
            "The Versioning element must be specified",
            400,
        )
    locks.check_versioning(tx, bucket, status)
    tx.run("UPDATE s3_bucket SET versioning = ? WHERE id = ?", (status, bucket.id))
