"""CloudFront distributions: create, read, change, delete, tag. What the edge cannot do is refused.

TLS is for whoever stands in front of cloudlet.
https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html
"""

from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.gateway.cloudfront import items, policies
from cloudlet.gateway.cloudfront.items import Document, Item, members
from cloudlet.store.database import Transaction, View

_KIND = "distribution"
_ABSENT = (
    "Logging", "WebACLId", "OriginGroups", "Staging", "ContinuousDeploymentPolicyId",
    "AnycastIpListId", "TenantConfig", "ViewerMtlsConfig", "ConnectionFunctionAssociation",
)  # fmt: skip
_ABSENT_IN_BEHAVIORS = (
    "LambdaFunctionAssociations", "FunctionAssociations", "TrustedSigners", "TrustedKeyGroups",
    "FieldLevelEncryptionId", "RealtimeLogConfigArn", "SmoothStreaming", "GrpcConfig",
)  # fmt: skip


def create_distribution(call: Call, tx: Transaction) -> Output:
    return _create(call, tx, call.params["DistributionConfig"], {})


def create_distribution_with_tags(call: Call, tx: Transaction) -> Output:
    both = call.params["DistributionConfigWithTags"]
    tags = {tag["Key"]: tag.get("Value", "") for tag in members(both.get("Tags"))}
    return _create(call, tx, both["DistributionConfig"], tags)


def get_distribution(call: Call, view: View) -> Output:
    item = named(view, call.params["Id"])
    return {"Distribution": _describe(call, item), "ETag": item.etag}


def get_distribution_config(call: Call, view: View) -> Output:
    item = named(view, call.params["Id"])
    return {"DistributionConfig": item.document, "ETag": item.etag}


def update_distribution(call: Call, tx: Transaction) -> Output:
    item = named(tx, call.params["Id"])
    items.check_etag(item, call.params.get("IfMatch"))
    config = call.params["DistributionConfig"]
    if config["CallerReference"] != item.document["CallerReference"]:
        raise AwsError("IllegalUpdate", "CallerReference cannot be changed.")
    _check(tx, config, item.id)
    item = items.change(tx, item, _with_defaults(config), call.now_ms)
    items.changed(call, tx)
    return {"Distribution": _describe(call, item), "ETag": item.etag}


def delete_distribution(call: Call, tx: Transaction) -> None:
    item = named(tx, call.params["Id"])
    items.check_etag(item, call.params.get("IfMatch"))
    if item.document["Enabled"]:
        raise AwsError(
            "DistributionNotDisabled",
            "The distribution you are trying to delete has not been disabled.",
            409,
        )
    items.remove(tx, item)
    items.changed(call, tx)


def list_distributions(call: Call, view: View) -> Output:
    marker = call.params.get("Marker") or ""
    found = sorted(items.every(view, _KIND), key=lambda item: item.id)
    entries = [_summary(call, item) for item in found if item.id >= marker]
    return {"DistributionList": items.page(entries, call.params)}


def list_tags_for_resource(call: Call, view: View) -> Output:
    item = named(view, call.params["Resource"].rsplit("/", 1)[-1])
    return {"Tags": {"Items": [{"Key": k, "Value": v} for k, v in item.tags.items()]}}


def tag_resource(call: Call, tx: Transaction) -> None:
    item = named(tx, call.params["Resource"].rsplit("/", 1)[-1])
    added = {tag["Key"]: tag.get("Value", "") for tag in members(call.params["Tags"])}
    items.tag(tx, item, {**item.tags, **added})


def untag_resource(call: Call, tx: Transaction) -> None:
    item = named(tx, call.params["Resource"].rsplit("/", 1)[-1])
    gone = set(members(call.params["TagKeys"]))
    items.tag(tx, item, {k: v for k, v in item.tags.items() if k not in gone})


def arn(account: str, identifier: str) -> str:
    return f"arn:aws:cloudfront::{account}:distribution/{identifier}"


def domain(identifier: str) -> str:
    return f"d{identifier[1:].lower()}.cloudfront.net"


def _create(call: Call, tx: Transaction, config: Document, tags: dict[str, str]) -> Output:
    for other in items.every(tx, _KIND):
        if other.document["CallerReference"] == config["CallerReference"]:
            raise AwsError(
                "DistributionAlreadyExists",
                "The caller reference that you are using to create a distribution is associated "
                f"with another distribution. Already exists: {other.id}",
                409,
            )
    _check(tx, config, "")
    item = items.add(tx, _KIND, _with_defaults(config), call.now_ms, tags)
    items.changed(call, tx)
    return {
        "Distribution": _describe(call, item),
        "ETag": item.etag,
        "Location": f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{item.id}",
    }


def _with_defaults(config: Document) -> Document:
    defaults: Document = {
        "Aliases": {"Quantity": 0},
        "DefaultRootObject": "",
        "CacheBehaviors": {"Quantity": 0},
        "CustomErrorResponses": {"Quantity": 0},
        "PriceClass": "PriceClass_All",
        "ViewerCertificate": {"CloudFrontDefaultCertificate": True},
        "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
        "WebACLId": "",
        "HttpVersion": "http2",
        "IsIPV6Enabled": False,
        "Staging": False,
    }
    given = {name: value for name, value in config.items() if value is not None}
    return {**defaults, **given}


def _check(view: View, config: Document, own_id: str) -> None:
    refuse(_asked(config), *_ABSENT, what="{} of a distribution")
    countries = (config.get("Restrictions") or {}).get("GeoRestriction") or {}
    if countries.get("RestrictionType", "none") != "none":
        raise NotImplementedByCloudlet("GeoRestriction of a distribution")
    origins = {origin["Id"]: origin for origin in members(config["Origins"])}
    if not origins:
        raise AwsError("InvalidArgument", "The parameter Origins is required.")
    for origin in origins.values():
        _check_origin(view, origin)
    for behavior in (config["DefaultCacheBehavior"], *members(config.get("CacheBehaviors"))):
        _check_behavior(view, behavior, origins)
    _check_aliases(view, config, own_id)
    if (config.get("DefaultRootObject") or "").startswith("/"):
        raise AwsError("InvalidDefaultRootObject", "The default root object must not start with /.")
    for custom in members(config.get("CustomErrorResponses")):
        if bool(custom.get("ResponsePagePath")) != bool(custom.get("ResponseCode")):
            raise AwsError(
                "InvalidArgument",
                "Your request must specify both ResponseCode and ResponsePagePath, or neither.",
            )


def _asked(config: Document) -> Document:
    """Without what is written out and not wanted: empty lists, what is not enabled."""

    def is_wanted(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        if "Quantity" in value or "Items" in value:
            return bool(members(value))
        return bool(value.get("Enabled", True))

    return {name: value for name, value in config.items() if is_wanted(value)}


def _check_origin(view: View, origin: Document) -> None:
    if origin.get("VpcOriginConfig"):
        raise NotImplementedByCloudlet("VpcOriginConfig of an origin")
    if (origin.get("OriginShield") or {}).get("Enabled"):
        raise NotImplementedByCloudlet("OriginShield of an origin")
    if (origin.get("S3OriginConfig") or {}).get("OriginAccessIdentity"):
        raise NotImplementedByCloudlet("OriginAccessIdentity of an origin")
    path = origin.get("OriginPath") or ""
    if path and (not path.startswith("/") or path.endswith("/")):
        raise AwsError(
            "InvalidArgument", "The parameter OriginPath must start with / and must not end with /."
        )
    control = origin.get("OriginAccessControlId")
    if control and items.find(view, "origin-access-control", control) is None:
        raise AwsError("InvalidOriginAccessControl", "The origin access control does not exist.")


def _check_behavior(view: View, behavior: Document, origins: dict[str, Document]) -> None:
    if behavior["TargetOriginId"] not in origins:
        raise AwsError(
            "NoSuchOrigin", "One or more of your origins or origin groups do not exist.", 404
        )
    refuse(_asked(behavior), *_ABSENT_IN_BEHAVIORS, what="{} of a cache behavior")
    for member, kind, noun in (
        ("CachePolicyId", "cache-policy", "CachePolicy"),
        ("OriginRequestPolicyId", "origin-request-policy", "OriginRequestPolicy"),
        ("ResponseHeadersPolicyId", "response-headers-policy", "ResponseHeadersPolicy"),
    ):
        identifier = behavior.get(member)
        if identifier and policies.document(view, kind, identifier) is None:
            raise AwsError(f"NoSuch{noun}", f"The {noun} does not exist.", 404)
    if not behavior.get("CachePolicyId") and not behavior.get("ForwardedValues"):
        raise AwsError("InvalidArgument", "The parameter ForwardedValues is required.")


def _check_aliases(view: View, config: Document, own_id: str) -> None:
    mine = set(members(config.get("Aliases")))
    for other in items.every(view, _KIND):
        taken = mine & set(members(other.document.get("Aliases")))
        if taken and other.id != own_id:
            raise AwsError(
                "CNAMEAlreadyExists",
                "One or more of the CNAMEs you provided are already associated with a "
                "different resource.",
                409,
            )


def named(view: View, identifier: str) -> Item:
    found = items.find(view, _KIND, identifier)
    if found is None:
        raise AwsError("NoSuchDistribution", "The specified distribution does not exist.", 404)
    return found


def _describe(call: Call, item: Item) -> Document:
    return {
        "Id": item.id,
        "ARN": arn(call.config.account, item.id),
        "Status": "Deployed",
        "LastModifiedTime": item.modified_ms / 1000,
        "InProgressInvalidationBatches": 0,
        "DomainName": domain(item.id),
        "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
        "ActiveTrustedKeyGroups": {"Enabled": False, "Quantity": 0},
        "DistributionConfig": item.document,
        "AliasICPRecordals": [],
    }


def _summary(call: Call, item: Item) -> Document:
    config = {name: value for name, value in item.document.items() if name != "CallerReference"}
    described = _describe(call, item)
    shared = ("Id", "ARN", "Status", "LastModifiedTime", "DomainName", "AliasICPRecordals")
    return {**config, **{name: described[name] for name in shared}, "ETag": item.etag}
