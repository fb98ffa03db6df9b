"""AWS::SSM::Parameter and AWS::ECR::Repository.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import deletes
from cloudlet.template.resources.shapes import text
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_PARAMETER_TAGS = Tagging(
    "ssm",
    "ResourceId",
    is_list=True,
    operations=("AddTagsToResource", "RemoveTagsFromResource"),
    more={"ResourceType": "Parameter"},
)
_REPOSITORY_TAGS = Tagging("ecr", "resourceArn", "tags", "tagKeys", is_list=True)


def _settings(properties: Properties) -> dict[str, Any]:
    given = {key: value for key, value in properties.items() if key != "Tags"}
    return shapes.parameters("ssm", "PutParameter", given)


def _known(name: str, properties: Properties) -> Known:
    return Known(name, {"Type": properties["Type"], "Value": text(properties["Value"])})


async def _create_parameter(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("Name"), 1011)
    settings = {**_settings(properties), "Name": name}
    await ctx.call("ssm", "PutParameter", **settings, **_PARAMETER_TAGS.initial(properties))
    await ctx.begin(name)
    return _known(name, properties)


async def _update_parameter(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    name = known.physical_id
    described = {"Description": "", **_settings(new), "Name": name, "Overwrite": True}
    await ctx.call("ssm", "PutParameter", **described)
    await _PARAMETER_TAGS.update(ctx, name, new, old)
    return _known(name, new)


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


KINDS = (
    Kind(
        "AWS::SSM::Parameter",
        words("AllowedPattern DataType Description Name Policies Tags Tier Type Value"),
        _create_parameter,
        deletes("ssm", "DeleteParameter", "Name"),
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
        deletes("ecr", "DeleteRepository", "repositoryName"),
        _update_repository,
        fixed=words("RepositoryName EncryptionConfiguration"),
        name="RepositoryName",
    ),
)
