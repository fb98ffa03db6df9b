"""Buckets: creating, finding, listing and deleting them. Their settings are in `settings`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

import base64
import binascii
import ipaddress
import re
from functools import cache
from typing import Any

from botocore.loaders import Loader

from cloudlet.call import Call, Output, Params, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.s3 import acl, faults, locks, multipart, ownership, public_access, settings
from cloudlet.s3.bucket import ACL, of_call, of_name, owner, put_setting, setting
from cloudlet.s3.default_encryption import of_new_bucket
from cloudlet.store.database import Row, Transaction, View

BUCKETS_MAX = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_ALIASES = {"EU": "eu-west-1"}
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def create_bucket(call: Call, tx: Transaction) -> Output:
    """Public access is blocked and ACLs are off from the start, unless `--classic-buckets`."""
    params = call.params
    name = params["Bucket"]
    _check_name(name)
    owned = ownership.of_new(call.config, params.get("ObjectOwnership"))
    listed = acl.of_new_bucket(call, owned)
    _check_options(params)
    place = _place(call)
    location = f"/{name}" if place == "us-east-1" else f"http://{name}.s3.amazonaws.com/"
    output = {"Location": location, "BucketArn": f"arn:aws:s3:::{name}"}
    tags = (params.get("CreateBucketConfiguration") or {}).get("Tags")
    existing = of_name(tx, name)
    if existing is not None:
        if place == existing.region == "us-east-1" and not tags:
            return output  # s3-012: in us-east-1 creating one's own bucket again succeeds
        raise AwsError(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            409,
            BucketName=name,
        )
    if tx.value("SELECT count(*) FROM s3_bucket") >= BUCKETS_MAX:
        raise AwsError(
            "TooManyBuckets", "You have attempted to create more buckets than allowed", 400
        )
    row = tx.run(
        "INSERT INTO s3_bucket (name, region, created_ms, ownership, encryption)"
        " VALUES (?, ?, ?, ?, ?)",
        (name, _ALIASES.get(place, place), call.now_ms, owned, of_new_bucket(call.config)),
    )
    assert row.lastrowid is not None
    if place in _ALIASES:
        put_setting(tx, row.lastrowid, "location", place)
    if not call.config.classic_buckets:
        public_access.block_all(tx, row.lastrowid)
    if listed is not None:
        put_setting(tx, row.lastrowid, ACL, listed)
    if params.get("ObjectLockEnabledForBucket"):
        locks.enable(tx, row.lastrowid)
    if tags:
        put_setting(tx, row.lastrowid, "tagging", _checked(tags))
    return output


def _checked(tags: list[dict[str, str]]) -> dict[str, str]:
    """s3-092: of reserved keys new buckets tell in other words than PutBucketTagging."""
    if any((tag.get("Key") or "").startswith("aws:") for tag in tags):
        raise AwsError(
            "InvalidTag",
            'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system '
            'tags. Remove "aws:" from your tag keys and try again.',
            400,
        )
    return settings.checked_tags(tags, 50)


def _check_name(name: str) -> None:
    fits = _NAME.fullmatch(name) and ".." not in name and ".-" not in name and "-." not in name
    if fits and not name.startswith(_PREFIXES) and not name.endswith(_SUFFIXES):
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            return
    raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=name)


def _check_options(params: Params) -> None:
    configuration = params.get("CreateBucketConfiguration") or {}
    if configuration.get("Bucket") or configuration.get("Location"):
        raise NotImplementedByCloudlet("S3 directory buckets")
    if params.get("BucketNamespace", "global") != "global":
        raise NotImplementedByCloudlet("S3 account-regional bucket namespaces")


def _place(call: Call) -> str:
    """Where the new bucket is to be: s3-099: us-east-1 makes buckets for all regions, every other
    one its own only."""
    configuration = call.params.get("CreateBucketConfiguration") or {}
    said = configuration.get("LocationConstraint") or ""
    here = call.request.region or call.config.region
    if here == "us-east-1" and said != "EU":
        if "LocationConstraint" in configuration and said not in regions(here) - {here}:
            raise AwsError(  # s3-013: us-east-1 is asked for by saying nothing
                "InvalidLocationConstraint",
                "The specified location-constraint is not valid",
                400,
                LocationConstraint=said,
            )
        return said or here
    if _ALIASES.get(said, said) != here:
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {said or 'unspecified'} location constraint is incompatible for the region "
            "specific endpoint this request was sent to.",
            400,
        )
    return said


def head_bucket(call: Call, view: View) -> Result:
    bucket = of_call(call, view)
    output = {"BucketRegion": bucket.region, "BucketArn": f"arn:aws:s3:::{bucket.name}"}
    kind = ("Content-Type", "application/xml")  # s3-100: of the body that HEAD leaves out
    return Result({**output, "AccessPointAlias": False}, headers=[kind])


def get_bucket_location(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    said = setting(view, bucket.id, "location") or bucket.region
    return {"LocationConstraint": None if said == "us-east-1" else said}


def delete_bucket(call: Call, tx: Transaction) -> None:
    """Only an empty one; uploads in progress go with it."""
    bucket = of_call(call, tx)
    tables = ("s3_object", "s3_version")
    if any(tx.value(f"SELECT 1 FROM {each} WHERE bucket = ?", (bucket.id,)) for each in tables):
        more = ". You must delete all versions in the bucket." if bucket.versioning else ""
        raise AwsError(
            "BucketNotEmpty",
            f"The bucket you tried to delete is not empty{more}",
            409,
            BucketName=bucket.name,
        )
    for row in tx.all("SELECT id FROM s3_upload WHERE bucket = ?", (bucket.id,)):
        multipart.drop(tx, call.cloud.blobs, row["id"])
    tx.run("DELETE FROM s3_bucket WHERE id = ?", (bucket.id,))


def list_buckets(call: Call, view: View) -> Output:
    params = call.params
    limit = params.get("MaxBuckets", BUCKETS_MAX)
    if not 1 <= limit <= BUCKETS_MAX:
        raise faults.invalid_argument(
            f"Argument max-buckets must be an integer between 1 and {BUCKETS_MAX}",
            "max-buckets",
            limit,
        )
    region = params.get("BucketRegion", "")
    if region and region not in {call.config.region, *regions(call.config.region)}:
        raise faults.invalid_argument(
            f"Argument value {region} is not a valid AWS Region", "bucket-region"
        )
    prefix = params.get("Prefix", "")
    rows = view.all(
        "SELECT id, name, region, created_ms FROM s3_bucket WHERE name > ? AND ? IN ('', region)"
        " AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
        (_after(params.get("ContinuationToken")), region, len(prefix), prefix, limit + 1),
    )
    output: Output = {
        "Buckets": [_listed(row, paged=bool(set(params) & _PAGING)) for row in rows[:limit]],
        "Owner": owner(call),
    }
    if prefix:
        output["Prefix"] = prefix
    if len(rows) > limit:
        last = rows[limit - 1]["name"]
        output["ContinuationToken"] = base64.urlsafe_b64encode(last.encode()).decode()
    return output


@cache
def regions(here: str) -> frozenset[str]:
    """Those of the partition that `here` is in."""
    for each in Loader().load_data("partitions")["partitions"]:
        if here in each["regions"]:
            return frozenset(name for name in each["regions"] if not name.endswith("-global"))
    return frozenset()


_PAGING = {"MaxBuckets", "ContinuationToken", "Prefix", "BucketRegion"}


def _after(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise faults.invalid_argument(
            "The continuation token provided is incorrect", "continuation-token", token
        ) from error


def _listed(row: Row, *, paged: bool) -> dict[str, Any]:
    listed = {
        "Name": row["name"],
        "CreationDate": row["created_ms"] // 1000,
        "BucketArn": f"arn:aws:s3:::{row['name']}",
    }
    return {**listed, "BucketRegion": row["region"]} if paged else listed
