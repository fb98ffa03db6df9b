"""Which IAM permissions a call needs, and which bucket policies have a say in it.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cloudlet.call import Call, Output, Params, Requirement
from cloudlet.policy.context import Context
from cloudlet.policy.evaluation import evaluate
from cloudlet.s3 import attributes, authority, copying, grants, locks, replication
from cloudlet.s3.bucket import of_name
from cloudlet.s3.request_keys import Keys
from cloudlet.store.database import View

_SERVICE = "s3.amazonaws.com"
# Operations on a bucket → action
_BUCKET = {
    "CreateBucket": "CreateBucket",
    "DeleteBucket": "DeleteBucket",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketLocation": "GetBucketLocation",
    "GetBucketAcl": "GetBucketAcl",
    "PutBucketAcl": "PutBucketAcl",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketCors": "PutBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketOwnershipControls": "GetBucketOwnershipControls",
    "PutBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "GetBucketPolicy": "GetBucketPolicy",
    "PutBucketPolicy": "PutBucketPolicy",
    "DeleteBucketPolicy": "DeleteBucketPolicy",
    "GetBucketPolicyStatus": "GetBucketPolicyStatus",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketLogging": "GetBucketLogging",
    "PutBucketLogging": "PutBucketLogging",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "GetBucketRequestPayment": "GetBucketRequestPayment",
    "PutBucketRequestPayment": "PutBucketRequestPayment",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "GetBucketTagging": "GetBucketTagging",
    "PutBucketTagging": "PutBucketTagging",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketVersioning": "GetBucketVersioning",
    "PutBucketVersioning": "PutBucketVersioning",
    "GetBucketWebsite": "GetBucketWebsite",
    "PutBucketWebsite": "PutBucketWebsite",
    "DeleteBucketWebsite": "DeleteBucketWebsite",
}
# Operations on an object → actions
_OBJECT = {
    "GetObject": ("GetObject",),
    "HeadObject": ("GetObject",),
    "GetObjectAttributes": ("GetObject", "GetObjectAttributes"),
    "GetObjectAcl": ("GetObjectAcl",),
    "PutObjectAcl": ("PutObjectAcl",),
    "GetObjectTagging": ("GetObjectTagging",),
    "PutObjectTagging": ("PutObjectTagging",),
    "DeleteObjectTagging": ("DeleteObjectTagging",),
    "GetObjectRetention": ("GetObjectRetention",),
    "PutObjectRetention": ("PutObjectRetention",),
    "GetObjectLegalHold": ("GetObjectLegalHold",),
    "PutObjectLegalHold": ("PutObjectLegalHold",),
    "PutObject": ("PutObject",),
    "RestoreObject": ("RestoreObject",),
    "PostObject": ("PutObject",),
    "CopyObject": ("PutObject",),
    "DeleteObject": ("DeleteObject",),
    "CreateMultipartUpload": ("PutObject",),
    "UploadPart": ("PutObject",),
    "UploadPartCopy": ("PutObject",),
    "CompleteMultipartUpload": ("PutObject",),
    "AbortMultipartUpload": ("AbortMultipartUpload",),
    "ListParts": ("ListMultipartUploadParts",),
}
# Parameters that ask for a permission more, each of them alone
_MORE: dict[str, Mapping[str, tuple[str, ...]]] = {
    "CreateBucket": {
        "ObjectLockEnabledForBucket": ("PutBucketObjectLockConfiguration", "PutBucketVersioning"),
        "ObjectOwnership": ("PutBucketOwnershipControls",),
        **dict.fromkeys(("ACL", *grants.HEADERS), ("PutBucketAcl",)),
    },
    "DeleteObject": {"BypassGovernanceRetention": ("BypassGovernanceRetention",)},
    "PutObjectRetention": {"BypassGovernanceRetention": ("BypassGovernanceRetention",)},
}
_WRITING = {
    "Tagging": ("PutObjectTagging",),
    **dict.fromkeys(("ACL", *grants.HEADERS), ("PutObjectAcl",)),
    "ObjectLockMode": ("PutObjectRetention",),
    "ObjectLockLegalHoldStatus": ("PutObjectLegalHold",),
}
_MORE |= dict.fromkeys(("PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"), _WRITING)
_CONDITIONAL = {"PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject"}
# Actions that have a kin for versions: s3:GetObjectVersionTagging
_VERSIONED = re.compile("(Get|Put|Delete)Object(|Acl|Tagging|Attributes)")
# Parameters that policies can test → condition keys
_KEYS = {
    "Prefix": "s3:prefix",
    "Delimiter": "s3:delimiter",
    "MaxKeys": "s3:max-keys",
    "ACL": "s3:x-amz-acl",
    "GrantFullControl": "s3:x-amz-grant-full-control",
    "GrantRead": "s3:x-amz-grant-read",
    "GrantReadACP": "s3:x-amz-grant-read-acp",
    "GrantWrite": "s3:x-amz-grant-write",
    "GrantWriteACP": "s3:x-amz-grant-write-acp",
    "MetadataDirective": "s3:x-amz-metadata-directive",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "SSECustomerAlgorithm": "s3:x-amz-server-side-encryption-customer-algorithm",
    "StorageClass": "s3:x-amz-storage-class",
    "WebsiteRedirectLocation": "s3:x-amz-website-redirect-location",
    "ObjectOwnership": "s3:x-amz-object-ownership",
    "VersionId": "s3:VersionId",
    "IfMatch": "s3:if-match",
    "IfNoneMatch": "s3:if-none-match",
}


# What writing a replica needs instead
_REPLICA = {"DeleteObject": "ReplicateDelete", "PutObjectTagging": "ReplicateTags"}


def requirements(call: Call) -> list[Requirement]:
    """Unknown operations need nothing: they are refused as not implemented anyway."""
    name, params = call.operation, call.params
    if name == "ListBuckets":
        return [Requirement("s3:ListAllMyBuckets", "*")]
    arn = f"arn:aws:s3:::{params.get('Bucket', '')}"
    context = Keys(_context(params, call.now_ms), call, params)
    more = dict.fromkeys(
        action
        for param, actions in _MORE.get(name, {}).items()
        if params.get(param)
        for action in actions
    )
    if name in _BUCKET:
        needed = [Requirement(f"s3:{each}", arn, context) for each in (_BUCKET[name], *more)]
        role = (params.get("ReplicationConfiguration") or {}).get("Role")
        if role:
            needed.append(Requirement("iam:PassRole", role, {"iam:PassedToService": _SERVICE}))
        return needed
    actions = [*_OBJECT.get(name, ()), *more]
    if name in _CONDITIONAL and params.get("IfMatch") not in (None, "*"):
        actions.append("GetObject")  # s3-043: who compares ETags learns of the object
    resource = f"{arn}/{params.get('Key', '')}"
    if params.get(replication.MARK):
        return [Requirement(f"s3:{_REPLICA.get(name, 'ReplicateObject')}", resource, context)]
    needed = [
        Requirement(_action(action, params.get("VersionId")), resource, context)
        for action in actions
    ]
    if name in ("CopyObject", "UploadPartCopy"):
        bucket, key, version_id = copying.source_of(call)
        if of_name(call.cloud.database.view(), bucket) is None:
            return needed  # asked for where it is
        action = _action("GetObject", version_id)
        named = {"Bucket": bucket, "Key": key, "VersionId": version_id}
        keys = Keys(_version(version_id), call, named)
        needed.append(Requirement(action, f"arn:aws:s3:::{bucket}/{key}", keys))
    return needed


def deletion(call: Call, named: Params) -> list[Requirement]:
    """What deleting one of the objects of a DeleteObjects call needs."""
    version_id, etag = named.get("VersionId"), named.get("ETag")
    resource = f"arn:aws:s3:::{call.params['Bucket']}/{named.get('Key', '')}"
    context = {**_version(version_id), **({} if etag is None else {"s3:if-match": etag})}
    actions = [_action("DeleteObject", version_id)]
    if call.params.get("BypassGovernanceRetention"):
        actions.append("s3:BypassGovernanceRetention")
    if etag not in (None, "*"):
        actions.append(_action("GetObject", version_id))
    keys = Keys(context, call, {**named, "Bucket": call.params["Bucket"]})
    return [Requirement(action, resource, keys) for action in actions]


def allows(call: Call, requirement: Requirement, policies: list[Mapping[str, Any]]) -> bool:
    """Whether the call's own caller, with the policies of its buckets, has a permission more."""
    if call.config.open_access:
        return True
    context = Context(call.config, call.caller, call.request, requirement)
    return evaluate(call.caller, requirement, context, policies).is_allowed


def lock_shown(call: Call, view: View, lock: Mapping[str, Any]) -> Output:
    """Of what locks an object, that which the caller may see."""
    resource = f"arn:aws:s3:::{call.params['Bucket']}/{call.params['Key']}"
    policies = authority.resource_policies(call, view)
    asked = {"mode": "s3:GetObjectRetention", "hold": "s3:GetObjectLegalHold"}
    context = _version(call.params.get("VersionId"))
    hidden = [
        name
        for name, action in asked.items()
        if name in lock and not allows(call, Requirement(action, resource, context), policies)
    ]
    return locks.shown({name: lock[name] for name in lock if name not in hidden})


def _action(action: str, version_id: str | None) -> str:
    """Naming a version, the null version too, is a permission of its own."""
    if version_id is not None and action != "PutObject":
        action = _VERSIONED.sub(r"\1ObjectVersion\2", action)
    return f"s3:{action}"


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"s3:VersionId": version_id}


def _context(params: Params, now_ms: int) -> dict[str, Any]:
    context: dict[str, Any] = {
        _KEYS[name]: str(value)
        for name, value in params.items()  # there are far fewer than keys
        if value is not None and name in _KEYS
    }
    if isinstance(params.get("CopySource"), str):
        context["s3:x-amz-copy-source"] = unquote(params["CopySource"]).removeprefix("/")
    context.update(locks.condition_keys(params, now_ms))
    place = (params.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    if place:
        context["s3:LocationConstraint"] = place
    if isinstance(params.get("Tagging"), str):
        tags = attributes.tags(params)
        context.update({f"s3:RequestObjectTag/{key}": value for key, value in tags.items()})
        context["s3:RequestObjectTagKeys"] = list(tags)
    return context
