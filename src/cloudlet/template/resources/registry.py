"""AWS::SSM::Parameter and AWS::ECR::Repository.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html.
"""

from typing import Any

from cloudlet.errors import AwsError
from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.shapes import text
from cloudlet.template.resources.tags import Tagging, tag_list
from cloudlet.template.words import words

_REPOSITORY_TAGS = Tagging("ecr", "resourceArn", "tags", "tagKeys", is_list=True)


def _settings(properties: Properties) -> dict[str, Any]:
    given = {key: value for key, value in properties.items() if key != "Tags"}
    return shapes.parameters("ssm", "PutParameter", given)


def _known(name: str, properties: Properties) -> Known:
    return Known(name, {"Type": properties["Type"], "Value": text(properties["Value"])})


async def _create_parameter(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("Name"), 1011)
    tags = [{"Key": key, "Value": text(value)} for key, value in _tags(properties).items()]
    settings = {**_settings(properties), "Name": name, **({"Tags": tags} if tags else {})}
    await ctx.call("ssm", "PutParameter", **settings)
    await ctx.begin(name)
    return _known(name, properties)


def _tags(properties: Properties) -> dict[str, str]:
    return tag_list(properties.get("Tags"))


async def _update_parameter(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    name = known.physical_id
    described = {"Description": "", **_settings(new), "Name": name, "Overwrite": True}
    await ctx.call("ssm", "PutParameter", **described)
    wanted, before = _tags(new), _tags(old)
    target = {"ResourceType": "Parameter", "ResourceId": name}
    if gone := sorted(before.keys() - wanted.keys()):
        await ctx.call("ssm", "RemoveTagsFromResource", **target, TagKeys=gone)
    if wanted and wanted != before:
        tags = [{"Key": key, "Value": value} for key, value in wanted.items()]
        await ctx.call("ssm", "AddTagsToResource", **target, Tags=tags)
    return _known(name, new)


async def _delete_parameter(ctx: Context, name: str, properties: Properties) -> None:
    try:
        await ctx.call("ssm", "DeleteParameter", Name=name)
    except AwsError as error:
        if error.code != "ParameterNotFound":
            raise


_POLICIES = {
    "RepositoryPolicyText": ("SetRepositoryPolicy", "policyText", "DeleteRepositoryPolicy"),
    "LifecyclePolicy": ("PutLifecyclePolicy", "lifecyclePolicyText", "DeleteLifecyclePolicy"),
}


async def _create_repository(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("RepositoryName"), 256, lower=True)
    given = {key: value for key, value in properties.items() if key in _CREATED}
    settings = shapes.parameters("ecr", "CreateRepository", given)
    made = await ctx.call("ecr", "CreateRepository", **{**settings, "repositoryName": name})
    await ctx.begin(name)
    await _policies(ctx, name, properties, {})
    found = made["repository"]
    return Known(name, {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]})


_CREATED = words("EncryptionConfiguration ImageScanningConfiguration ImageTagMutability Tags")


async def _policies(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    for property_name, (put, member, remove) in _POLICIES.items():
        document = new.get(property_name)
        if property_name == "LifecyclePolicy" and document:
            document = document.get("LifecyclePolicyText")
        if document:
            await ctx.call("ecr", put, **{"repositoryName": name, member: text(document)})
        elif old.get(property_name):
            await ctx.call("ecr", remove, repositoryName=name)


async def _update_repository(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    name = known.physical_id
    mutability = text(new.get("ImageTagMutability", "MUTABLE"))
    target = {"repositoryName": name}
    await ctx.call("ecr", "PutImageTagMutability", **target, imageTagMutability=mutability)
    scanning = {"ImageScanningConfiguration": new.get("ImageScanningConfiguration") or {}}
    settings = shapes.parameters("ecr", "PutImageScanningConfiguration", scanning)
    await ctx.call("ecr", "PutImageScanningConfiguration", **target, **settings)
    await _policies(ctx, name, new, old)
    await _REPOSITORY_TAGS.update(ctx, known.attributes["Arn"], new, old)
    return known


async def _delete_repository(ctx: Context, name: str, properties: Properties) -> None:
    try:
        await ctx.call("ecr", "DeleteRepository", repositoryName=name)
    except AwsError as error:
        if error.code != "RepositoryNotFoundException":
            raise


KINDS = (
    Kind(
        "AWS::SSM::Parameter",
        words("AllowedPattern DataType Description Name Policies Tags Tier Type Value"),
        _create_parameter,
        _delete_parameter,
        _update_parameter,
        fixed=words("Name DataType Type"),
        name="Name",
        required=words("Type Value"),
        settles=True,
    ),
    Kind(
        "AWS::ECR::Repository",
        _CREATED | words("LifecyclePolicy RepositoryName RepositoryPolicyText EmptyOnDelete"),
        _create_repository,
        _delete_repository,
        _update_repository,
        fixed=words("RepositoryName EncryptionConfiguration"),
        name="RepositoryName",
    ),
)
