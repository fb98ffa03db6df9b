"""AWS::S3::*: buckets with their settings, and bucket policies.

Each setting is one API call; the tables below say how CloudFormation's names become the API's.
A setting that leaves the template is deleted from the bucket.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cloudlet.config import Config
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, deletes
from cloudlet.template.words import words


class Setting(NamedTuple):
    """`property` becomes `member` of operation `put`; `remove` undoes it."""

    property: str
    put: str
    member: str
    convert: Callable[[Any], Any]
    remove: str = ""
    nothing: Any = None  # what `put` is told when there is no `remove`


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with members renamed, at every depth."""
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {names.get(name, name): _renamed(item, names) for name, item in value.items()}
    return value


def _same(value: Any) -> Any:
    return value


def _cors(value: Any) -> Any:
    names = {
        "CorsRules": "CORSRules",
        "Id": "ID",
        "ExposedHeaders": "ExposeHeaders",
        "MaxAge": "MaxAgeSeconds",
    }
    return _renamed(value, names)


def _notifications(value: Any) -> Any:
    targets = {
        "LambdaConfigurations": ("LambdaFunctionConfigurations", "Function", "LambdaFunctionArn"),
        "QueueConfigurations": ("QueueConfigurations", "Queue", "QueueArn"),
        "TopicConfigurations": ("TopicConfigurations", "Topic", "TopicArn"),
    }
    result: dict[str, Any] = {}
    for name, entries in value.items():
        if name == "EventBridgeConfiguration":
            if shapes.text(entries.get("EventBridgeEnabled", True)) == "true":
                result[name] = {}
            continue
        if name not in targets:
            raise TemplateError(f"NotificationConfiguration.{name} is not a property of a bucket.")
        member, target, arn = targets[name]
        result[member] = [_notification(entry, target, arn) for entry in entries]
    return result


def _notification(entry: Mapping[str, Any], target: str, arn: str) -> dict[str, Any]:
    unknown = entry.keys() - {"Event", "Filter", target}
    if unknown:
        raise TemplateError(f"The property {min(unknown)} is not one of a notification.")
    result: dict[str, Any] = {arn: entry[target], "Events": [entry["Event"]]}
    if "Filter" in entry:
        rules = [
            {"Name": str(rule["Name"]).lower(), "Value": rule["Value"]}
            for rule in entry["Filter"]["S3Key"]["Rules"]
        ]
        result["Filter"] = {"Key": {"FilterRules": rules}}
    return result


_RULE_PARTS = {
    "ExpirationInDays": ("Expiration", "Days"),
    "ExpirationDate": ("Expiration", "Date"),
    "ExpiredObjectDeleteMarker": ("Expiration", "ExpiredObjectDeleteMarker"),
    "NoncurrentVersionExpirationInDays": ("NoncurrentVersionExpiration", "NoncurrentDays"),
}
_RULE_FILTERS = words("Prefix ObjectSizeGreaterThan ObjectSizeLessThan")


def _lifecycle(value: Any) -> Any:
    unknown = value.keys() - {"Rules"}
    if unknown:
        raise TemplateError(
            f"LifecycleConfiguration.{min(unknown)} is not implemented by cloudlet."
        )
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    conditions: dict[str, Any] = {}
    for name, item in rule.items():
        if name in _RULE_PARTS:
            part, member = _RULE_PARTS[name]
            result.setdefault(part, {})[member] = item
        elif name in _RULE_FILTERS:
            conditions[name] = item
        elif name == "TagFilters":
            conditions["Tags"] = item
        else:
            result["ID" if name == "Id" else name] = item
    tags = conditions.get("Tags", [])
    if len(conditions) > 1 or len(tags) > 1:
        result["Filter"] = {"And": conditions}
    elif tags:
        result["Filter"] = {"Tag": tags[0]}
    else:
        result["Filter"] = conditions or {"Prefix": ""}
    return result


def _website(value: Any) -> Any:
    result = dict(value)
    if "IndexDocument" in result:
        result["IndexDocument"] = {"Suffix": result["IndexDocument"]}
    if "ErrorDocument" in result:
        result["ErrorDocument"] = {"Key": result["ErrorDocument"]}
    if "RoutingRules" in result:
        names = {"RedirectRule": "Redirect", "RoutingRuleCondition": "Condition"}
        result["RoutingRules"] = _renamed(result["RoutingRules"], names)
    return result


def _encryption(value: Any) -> Any:
    names = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    return {"Rules": _renamed(value["ServerSideEncryptionConfiguration"], names)}


def _tagging(value: Any) -> Any:
    return {"TagSet": value}


_SETTINGS = (
    Setting(
        "PublicAccessBlockConfiguration",
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        _same,
        "DeletePublicAccessBlock",
    ),
    Setting(
        "OwnershipControls",
        "PutBucketOwnershipControls",
        "OwnershipControls",
        _same,
        "DeleteBucketOwnershipControls",
    ),
    Setting(
        "BucketEncryption",
        "PutBucketEncryption",
        "ServerSideEncryptionConfiguration",
        _encryption,
        "DeleteBucketEncryption",
    ),
    Setting("CorsConfiguration", "PutBucketCors", "CORSConfiguration", _cors, "DeleteBucketCors"),
    Setting(
        "LifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "LifecycleConfiguration",
        _lifecycle,
        "DeleteBucketLifecycle",
    ),
    Setting(
        "WebsiteConfiguration",
        "PutBucketWebsite",
        "WebsiteConfiguration",
        _website,
        "DeleteBucketWebsite",
    ),
    Setting(
        "VersioningConfiguration",
        "PutBucketVersioning",
        "VersioningConfiguration",
        _same,
        nothing={"Status": "Suspended"},
    ),
    Setting(
        "ObjectLockConfiguration",
        "PutObjectLockConfiguration",
        "ObjectLockConfiguration",
        _same,
        nothing={"ObjectLockEnabled": "Enabled"},  # it stays on; only the default goes
    ),
    Setting("Tags", "PutBucketTagging", "Tagging", _tagging, "DeleteBucketTagging"),
    Setting(
        "NotificationConfiguration",
        "PutBucketNotificationConfiguration",
        "NotificationConfiguration",
        _notifications,
        nothing={},
    ),
)


async def _create_bucket(ctx: Context, properties: Properties) -> Known:
    bucket = ctx.name(properties.get("BucketName"), 63, lower=True)
    region = ctx.cloud.config.region
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    settings: dict[str, Any] = {"CreateBucketConfiguration": place} if place else {}
    if _has_locks(properties):
        settings["ObjectLockEnabledForBucket"] = True
    await ctx.call("s3", "CreateBucket", Bucket=bucket, **settings)
    await ctx.begin(bucket)
    await _apply(ctx, bucket, properties, {})
    return Known(bucket, _attributes(bucket, ctx.cloud.config))


def _has_locks(properties: Properties) -> bool:
    return str(properties.get("ObjectLockEnabled", "false")).lower() == "true"


def _attributes(bucket: str, config: Config) -> dict[str, str]:
    """The website's address is the one that works here: it is shown to people and allowed by CORS
    rules. Browsers know names below localhost."""
    region = config.region
    return {
        "Arn": f"arn:aws:s3:::{bucket}",
        "DomainName": f"{bucket}.s3.amazonaws.com",
        "RegionalDomainName": f"{bucket}.s3.{region}.amazonaws.com",
        "DualStackDomainName": f"{bucket}.s3.dualstack.{region}.amazonaws.com",
        "WebsiteURL": f"http://{bucket}.s3-website-{region}.localhost:{config.aws_port}",
    }


async def _apply(ctx: Context, bucket: str, new: Properties, old: Properties) -> None:
    for setting in _SETTINGS:
        wanted = new.get(setting.property)
        if wanted is not None:
            value = shapes.member("s3", setting.put, setting.member, setting.convert(wanted))
            if not old or wanted != old.get(setting.property):
                await ctx.call("s3", setting.put, Bucket=bucket, **{setting.member: value})
        elif setting.property in old:
            if setting.remove:
                await ctx.call("s3", setting.remove, Bucket=bucket)
            else:
                nothing = {setting.member: setting.nothing}
                await ctx.call("s3", setting.put, Bucket=bucket, **nothing)


async def _update_bucket(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    if _has_locks(new) and not _has_locks(old) and "ObjectLockConfiguration" not in new:
        new = {**new, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    await _apply(ctx, known.physical_id, new, old)
    return known


async def _holds_objects(ctx: Context, bucket: str) -> bool:
    listed = await ctx.call("s3", "ListObjectVersions", Bucket=bucket, MaxKeys=1)
    return bool(listed.get("Versions") or listed.get("DeleteMarkers"))


def _check_bucket(properties: Properties) -> None:
    for setting in _SETTINGS:
        if setting.property in properties:
            value = setting.convert(properties[setting.property])
            shapes.member("s3", setting.put, setting.member, value)
    if properties.get("AccessControl", "Private") != "Private":
        raise TemplateError("AccessControl: only Private is implemented by cloudlet.")


KINDS = (
    Kind(
        "AWS::S3::Bucket",
        frozenset(setting.property for setting in _SETTINGS)
        | words("BucketName AccessControl ObjectLockEnabled"),
        _create_bucket,
        deletes("s3", "DeleteBucket", "Bucket"),
        _update_bucket,
        fixed=words("BucketName"),
        name="BucketName",
        holds_data=_holds_objects,
        check=_check_bucket,
    ),
    Row(
        "AWS::S3::BucketPolicy",
        "s3",
        "PutBucketPolicy PutBucketPolicy DeleteBucketPolicy",
        "Bucket PolicyDocument",
        of="Bucket",
        ref="{Bucket}",
        fixed="Bucket",
        required="Bucket PolicyDocument",
        prepare=lambda given: {"Bucket": given["Bucket"], "Policy": given["PolicyDocument"]},
    ).kind(),
)
