"""Which IAM permissions a call needs, and which bucket policies have a say in it.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

import re
from collections.abc import Mapping
from typing import Any

from cloudlet.call import Call, Params, Requirement
from cloudlet.s3 import access, attributes, copying, replication
from cloudlet.s3.bucket import of_name
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
    "GetBucketPolicy": "GetBucketPolicy",
    "PutBucketPolicy": "PutBucketPolicy",
    "DeleteBucketPolicy": "DeleteBucketPolicy",
    "GetBucketPolicyStatus": "GetBucketPolicyStatus",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
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
    "PutObject": ("PutObject",),
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
_REPLICA = {
    "DeleteObject": "ReplicateDelete",
    "PutObjectTagging": "ReplicateTags",
}


def requirements(call: Call) -> list[Requirement]:
    """Unknown operations need nothing: they are refused as not implemented anyway."""
    name, params = call.operation, call.params
    if name == "ListBuckets":
        return [Requirement("s3:ListAllMyBuckets", "*")]
    arn, context = f"arn:aws:s3:::{params.get('Bucket', '')}", _context(params)
    if name in _BUCKET:
        needed = [Requirement(f"s3:{_BUCKET[name]}", arn, context)]
        role = (params.get("ReplicationConfiguration") or {}).get("Role")
        if role:
            needed.append(Requirement("iam:PassRole", role, {"iam:PassedToService": _SERVICE}))
        return needed
    actions = list(_OBJECT.get(name, ()))
    if name in ("PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"):
        actions += [] if not params.get("Tagging") else ["PutObjectTagging"]
        actions += [] if not params.get("ACL") else ["PutObjectAcl"]
    resource = f"{arn}/{params.get('Key', '')}"
    if params.get(replication.MARK):
        return [Requirement(f"s3:{_REPLICA.get(name, 'ReplicateObject')}", resource, context)]
    needed = [
        Requirement(_action(action, params.get("VersionId")), resource, context)
        for action in actions
    ]
    if name in ("CopyObject", "UploadPartCopy"):
        bucket, key, version_id = copying.source_of(call)
        action = _action("GetObject", version_id)
        needed.append(Requirement(action, f"arn:aws:s3:::{bucket}/{key}", _version(version_id)))
    return needed


def deletion(bucket: str, named: Params, context: Mapping[str, Any]) -> Requirement:
    """What deleting one of the objects of a DeleteObjects call needs."""
    version_id = named.get("VersionId")
    resource = f"arn:aws:s3:::{bucket}/{named.get('Key', '')}"
    return Requirement(
        _action("DeleteObject", version_id), resource, {**context, **_version(version_id)}
    )


def _action(action: str, version_id: str | None) -> str:
    """Naming a version, the null version too, is a permission of its own."""
    if version_id is not None and action != "PutObject":
        action = _VERSIONED.sub(r"\1ObjectVersion\2", action)
    return f"s3:{action}"


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"s3:VersionId": version_id}


def _context(params: Params) -> dict[str, Any]:
    context: dict[str, Any] = {
        key: str(params[name]) for name, key in _KEYS.items() if params.get(name) is not None
    }
    if isinstance(params.get("CopySource"), str):
        context["s3:x-amz-copy-source"] = params["CopySource"]
    place = (params.get("CreateBucketConfiguration") or {}).get("LocationConstraint")
    if place:
        context["s3:LocationConstraint"] = place
    if isinstance(params.get("Tagging"), str):
        tags = attributes.tags(params)
        context.update({f"s3:RequestObjectTag/{key}": value for key, value in tags.items()})
        context["s3:RequestObjectTagKeys"] = list(tags)
    return context


def resource_policies(call: Call, view: View) -> list[Mapping[str, Any]]:
    """The policies of the buckets a call touches.

    Where RestrictPublicBuckets holds, a public policy lets in nobody from outside the account.
    """
    names = [call.params.get("Bucket", "")]
    if call.operation in ("CopyObject", "UploadPartCopy"):
        names.append(copying.source_of(call)[0])
    policies: list[Mapping[str, Any]] = []
    for name in dict.fromkeys(names):
        bucket = of_name(view, name)
        policy = None if bucket is None else access.policy_of(view, bucket)
        if bucket is None or policy is None:
            continue
        stranger = call.caller.kind != "service" and call.caller.account != call.config.account
        restricted = access.blocks(view, bucket)["RestrictPublicBuckets"]
        if not (stranger and restricted and access.is_public(policy)):
            policies.append(policy)
    return policies
