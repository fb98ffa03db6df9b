"""Access control lists of buckets and objects: keeping them, and whose an object is.

An object's owner is a trait where it is not the bucket's account; its list is one where it grants
more than the owner's full control. Where ACLs are off (BucketOwnerEnforced) neither has any effect.
What a list says and allows is in `grants`.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.errors import AwsError
from cloudlet.policy.patterns import literal
from cloudlet.s3 import grants, ownership, records, versions
from cloudlet.s3.announce import Actor, Event, announce
from cloudlet.s3.bucket import (
    ACL,
    ENFORCED,
    Bucket,
    of_call,
    owner_id,
    person,
    put_setting,
    setting,
)
from cloudlet.s3.grants import FULL, Grants
from cloudlet.s3.public_access import blocks, prevented
from cloudlet.store.database import Transaction, View

_WRITES = ("PutObject", "PostObject", "CopyObject", "CreateMultipartUpload")
_FOR_OBJECTS = ("bucket-owner-read", "bucket-owner-full-control")


def owner_of(call: Call, bucket: Bucket, traits: Params) -> str:
    """The account that owns an object."""
    account: str = traits.get("owner", "") if bucket.has_acls else ""
    return account or call.config.account


def owner(call: Call, bucket: Bucket, traits: Params) -> dict[str, str]:
    return person(call, grants.canonical(owner_of(call, bucket, traits)))


def owners(call: Call, bucket: Bucket) -> Callable[[str], dict[str, str]]:
    """For listings: stored traits → the owner."""
    home = person(call, owner_id(call.config.account))
    if not bucket.has_acls:
        return lambda traits: home
    return lambda traits: owner(call, bucket, records.object_of(traits))


def of_object(call: Call, bucket: Bucket, traits: Params) -> Grants:
    """What its list grants."""
    found: Grants | None = traits.get("acl") if bucket.has_acls else None
    if found is not None:
        return found
    return [[grants.canonical(owner_of(call, bucket, traits)), FULL]]


def of_bucket(call: Call, view: View, bucket: Bucket) -> Grants:
    found: Grants | None = setting(view, bucket.id, ACL) if bucket.has_acls else None
    return [[owner_id(call.config.account), FULL]] if found is None else found


def of_write(call: Call, view: View, bucket: Bucket) -> Params:
    """The traits of an object that the call writes."""
    home, params = call.config.account, call.params
    if not bucket.has_acls:
        _check_off(params, owner_id(home))
        return {}
    writer = home if call.caller.kind == "service" else grants.account_of(call.caller)
    given = params.get("ACL") == "bucket-owner-full-control"
    if given and bucket.ownership == ownership.PREFERRED:
        writer = home
    listed = grants.wanted(params, grants.canonical(writer), owner_id(home))
    traits: Params = {} if writer == home else {"owner": writer}
    if listed is not None and listed != [[grants.canonical(writer), FULL]]:
        _check_public(call, view, bucket, listed, "PutObject")
        traits["acl"] = listed
    return traits


def _check_off(params: Params, owner: str) -> None:
    """s3-022: where ACLs are off, `private` is refused as well: only what gives the bucket's owner
    full control may be said."""
    listed = grants.wanted(params, owner, owner)
    fits = listed == [[owner, FULL]] and params.get("ACL") in (None, "bucket-owner-full-control")
    if listed is not None and not fits:
        raise _off()


def _off() -> AwsError:
    return AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)


def of_new_bucket(call: Call, ownership_: str) -> Grants | None:
    """The list of a bucket that is created; None: the default."""
    me = owner_id(call.config.account)
    listed = _for_bucket(call.params, me)
    if listed in (None, [[me, FULL]]):
        return None
    if ownership_ == ENFORCED:
        raise ownership.invalid_with_acl()
    if grants.is_public(listed or []) and not call.config.classic_buckets:
        raise AwsError(
            "InvalidBucketAclWithBlockPublicAccessError",
            "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
            400,
        )
    return listed


def _for_bucket(params: Params, owner: str) -> Grants | None:
    """Canned ACLs for objects alone mean nothing to buckets."""
    if params.get("ACL") in _FOR_OBJECTS:
        params = {**params, "ACL": "private"}
    return grants.wanted(params, owner, owner)


def _check_public(call: Call, view: View, bucket: Bucket, listed: Grants, action: str) -> None:
    if grants.is_public(listed) and blocks(view, bucket)["BlockPublicAcls"]:
        key = "" if action == "PutBucketAcl" else f"/{call.params['Key']}"
        raise prevented(call, action, f"{bucket.name}{key}", "BlockPublicAcls")


def get_bucket_acl(call: Call, view: View) -> Output:
    bucket = of_call(call, view)
    return grants.shown(call, of_bucket(call, view, bucket), owner_id(call.config.account))


def put_bucket_acl(call: Call, tx: Transaction) -> None:
    bucket = of_call(call, tx)
    listed = _for_bucket(call.params, owner_id(call.config.account))
    _check_put(bucket, listed)
    assert listed is not None
    _check_public(call, tx, bucket, listed, "PutBucketAcl")
    put_setting(tx, bucket.id, ACL, listed)


def _check_put(bucket: Bucket, listed: Grants | None) -> None:
    if listed is None:
        raise AwsError(
            "MissingSecurityHeader",
            "Your request was missing a required header",
            400,
            MissingHeaderName="x-amz-acl",
        )
    if not bucket.has_acls:
        raise _off()


def get_object_acl(call: Call, view: View) -> Output:
    bucket, record = versions.existing(call, view)
    owner = grants.canonical(owner_of(call, bucket, record.traits))
    return grants.shown(call, of_object(call, bucket, record.traits), owner)


def put_object_acl(call: Call, tx: Transaction) -> None:
    bucket, record = versions.existing(call, tx, is_change=True)
    me = grants.canonical(owner_of(call, bucket, record.traits))
    listed = grants.wanted(call.params, me, owner_id(call.config.account))
    _check_put(bucket, listed)
    assert listed is not None
    _check_public(call, tx, bucket, listed, "PutObjectAcl")
    record.traits["acl"] = listed
    records.put_traits(tx, record)
    event = replace(Event.about("ObjectAcl:Put", "", record), version=records.next_version(tx))
    announce(call.config, tx, bucket, event, Actor.of(call))


def statements(call: Call, view: View, bucket: Bucket, named: Params) -> list[dict[str, Any]]:
    """What the lists of a bucket, and of the object in it that is named, allow the caller."""
    ignores = blocks(view, bucket)["IgnorePublicAcls"]
    arn, key = f"arn:aws:s3:::{bucket.name}", named.get("Key") or ""
    record = versions.named(view, bucket, key, named.get("VersionId")) if key else None
    mine = grants.account_of(call.caller)
    is_own = record is not None and owner_of(call, bucket, record.traits) == mine
    more: tuple[str, ...] = grants.OF_WRITES if call.operation in _WRITES else ()
    more += grants.OF_OWNERS if is_own else ()
    key = literal(key)  # a name, no pattern
    lists = of_bucket(call, view, bucket)
    found = grants.on_bucket(_effective(lists, ignores), call.caller, arn, key, more)
    if record is None:
        return found
    lists = of_object(call, bucket, record.traits)
    found += grants.on_object(_effective(lists, ignores), call.caller, f"{arn}/{key}")
    if is_own and mine != call.config.account:
        found.append(grants.of_owner(call.caller, f"{arn}/{key}"))
    return found


def _effective(lists: Grants, ignores_public: bool) -> Grants:
    return grants.private(lists) if ignores_public else lists
