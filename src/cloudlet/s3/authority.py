"""Who besides the caller's own account has a say in a call: bucket policies and access lists.

All of it is given to the evaluator as policy statements. An object that belongs to neither the
bucket's account nor its policy is its owner's: only its list lets anybody else at it.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
"""

from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Params, Requirement
from cloudlet.policy.evaluation import INTERNAL
from cloudlet.policy.publicity import is_public, listed
from cloudlet.s3 import access, acl, copying, faults, grants, payment, public_access, versions
from cloudlet.s3.bucket import Bucket, of_name
from cloudlet.store.database import View

Policies = list[Mapping[str, Any]]
_PRINCIPALS = ("Principal", "NotPrincipal")
_COPIES = ("CopyObject", "UploadPartCopy")
_READS = ("GetObject", "HeadObject", "GetObjectAttributes")
# What is done to an object itself, not to its place in the bucket → what its list must allow
_ON_OBJECT = {
    **dict.fromkeys((*_READS, "GetObjectTorrent"), "s3:GetObject"),
    **{
        name: f"s3:{name}"
        for name in (
            "GetObjectAcl",
            "PutObjectAcl",
            "GetObjectTagging",
            "PutObjectTagging",
            "DeleteObjectTagging",
        )
    },
}


def resource_policies(call: Call, view: View) -> Policies:
    """Of the buckets and objects that a call touches."""
    if call.caller.kind == "service" and call.caller.arn == INTERNAL:
        return []
    bucket = of_name(view, call.params.get("Bucket", ""))
    policies = []
    if bucket is not None:
        policies = of_bucket(call, view, bucket, call.params, _ON_OBJECT.get(call.operation))
    if call.operation in _COPIES:
        name, key, version_id = copying.source_of(call)
        source = of_name(view, name)
        if source is not None:
            named = {"Key": key, "VersionId": version_id}
            policies += of_bucket(call, view, source, named, "s3:GetObject")
    return policies


def of_bucket(
    call: Call, view: View, bucket: Bucket, named: Params, action: str | None = None
) -> Policies:
    """Of one bucket, and the object in it that is named. `action`: if the call is about the
    object itself."""
    payment.check(call, view, bucket.id)
    policy = access.policy_of(view, bucket)
    policies: Policies = []
    if policy is not None and not _is_restricted(call, view, bucket, policy):
        policies.append(_with_known_users(call, policy))
    if bucket.has_acls:
        statements = acl.statements(call, view, bucket, named)
        if action and not call.config.open_access:
            _check_owner(call, view, (bucket, named), action, statements)
        policies.append({"Statement": statements})
    return policies


def _is_restricted(call: Call, view: View, bucket: Bucket, policy: dict[str, Any]) -> bool:
    """Where RestrictPublicBuckets holds, a public policy lets in nobody from outside."""
    if call.caller.kind == "service" or call.caller.account == call.config.account:
        return False
    return public_access.blocks(view, bucket)["RestrictPublicBuckets"] and is_public(policy)


def _check_owner(
    call: Call,
    view: View,
    place: tuple[Bucket, Params],
    action: str,
    statements: list[dict[str, Any]],
) -> None:
    """Neither the bucket's owner nor its policy gives anybody what belongs to another account."""
    bucket, named = place
    record = versions.named(view, bucket, named["Key"], named.get("VersionId"))
    if record is None or acl.owner_of(call, bucket, record.traits) == call.config.account:
        return
    if not any(action in statement["Action"] for statement in statements):
        raise faults.access_denied()


def _with_known_users(call: Call, policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy with the caller's account where a statement names its canonical user."""
    statements = listed(policy["Statement"])
    if not any(_names_user(each.get(name)) for each in statements for name in _PRINCIPALS):
        return policy
    changed = [
        {
            name: _known(call, value) if name in _PRINCIPALS and _names_user(value) else value
            for name, value in each.items()
        }
        for each in statements
    ]
    return {**policy, "Statement": changed}


def _names_user(principal: Any) -> bool:
    return isinstance(principal, dict) and "CanonicalUser" in principal


def _known(call: Call, named: Mapping[str, Any]) -> dict[str, Any]:
    others = {kind: value for kind, value in named.items() if kind != "CanonicalUser"}
    account = grants.account_of(call.caller)
    if call.caller.kind == "service" or grants.canonical(account) not in listed(
        named["CanonicalUser"]
    ):
        return others
    return {**others, "AWS": [*listed(others.get("AWS", [])), account]}


def waives(call: Call, view: View, requirement: Requirement) -> bool:
    """s3-023: of what isn't there nothing is kept from anybody. Whether the answer is 404 or 403
    is up to the operation, which asks who may list the bucket."""
    name = call.params.get("Bucket", "")
    bucket = of_name(view, name)
    if bucket is None and name and call.operation != "CreateBucket":
        raise faults.no_such_bucket(name)  # told to everybody
    if call.operation not in _READS or not requirement.action.startswith("s3:GetObject"):
        return False
    named = call.params["Key"], call.params.get("VersionId")
    return bucket is not None and named[1] is None and versions.named(view, bucket, *named) is None
