"""Bucket settings that are kept and answered: tags, versioning.

What a setting other than the default would mean isn't implemented here is refused, never stored.
"""

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import faults, locks
from cloudlet.s3.bucket import drop_setting, of_call, put_setting, setting
from cloudlet.store.database import Transaction, View

_RESERVED = (  # of buckets, of objects
    "System tags cannot be added/updated by requester",
    "Your TagKey cannot be prefixed with aws:",
)


def checked_tags(tags: list[dict[str, str]], tags_max: int) -> dict[str, str]:
    """A tag set as a dict, checked as AWS does."""
    checked: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key"), tag.get("Value")
        if key is None or value is None:
            raise faults.malformed_xml()
        if not (0 < len(key) <= 128 and well_formed(key)):
            raise _invalid_tag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > 256 or not well_formed(value):
            message = "The TagValue you have provided is invalid"
            raise _invalid_tag(message, TagKey=key, TagValue=value)
        if key in checked:
            raise _invalid_tag("Cannot provide multiple Tags with the same key", TagKey=key)
        if key.startswith("aws:"):
            raise _invalid_tag(_RESERVED[tags_max == 10], TagKey=key)
        checked[key] = value
    if len(checked) > tags_max:
        what = "Object tags" if tags_max == 10 else "Bucket tag count"
        raise AwsError("BadRequest", f"{what} cannot be greater than {tags_max}", 400)
    return checked


def well_formed(text: str) -> bool:
    """Letters, digits and white space of any script, and a few signs."""
    return all(each.isalnum() or each.isspace() or each in "+-=._:/@" for each in text)


def _invalid_tag(message: str, **fields: str) -> AwsError:
    return AwsError("InvalidTag", message, 400, **fields)


def tag_set(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def asked_tags(call: Call) -> list[dict[str, str]]:
    document = call.params.get("Tagging")
    if document is None:
        raise faults.malformed_xml()
    return document.get("TagSet") or []


def put_bucket_tagging(call: Call, tx: Transaction) -> Result:
    bucket = of_call(call, tx)
    put_setting(tx, bucket.id, "tagging", checked_tags(asked_tags(call), 50))
    return Result({}, 204)


def get_bucket_tagging(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    tags = setting(view, bucket.id, "tagging")
    if not tags:
        raise AwsError("NoSuchTagSet", "The TagSet does not exist", 404, BucketName=bucket.name)
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
