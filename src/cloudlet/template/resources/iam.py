"""AWS::IAM::*: roles with their policies, inline policies, managed policies.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_IAM.html.
"""

from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.shapes import text
from cloudlet.template.words import words

_VERSIONS_MAXIMUM = 5  # of one managed policy


async def _create_role(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("RoleName"), 64)
    settings: dict[str, Any] = {
        "RoleName": name,
        "AssumeRolePolicyDocument": text(properties["AssumeRolePolicyDocument"]),
    }
    for key in ("Path", "Description", "PermissionsBoundary", "Tags"):
        if key in properties:
            settings[key] = properties[key]
    if "MaxSessionDuration" in properties:
        settings["MaxSessionDuration"] = int(properties["MaxSessionDuration"])
    made = (await ctx.call("iam", "CreateRole", **settings))["Role"]
    await ctx.begin(name)
    await _role_policies(ctx, name, properties, {})
    return Known(name, {"Arn": made["Arn"], "RoleId": made["RoleId"]})


def _inline(properties: Properties) -> dict[str, str]:
    policies = properties.get("Policies") or []
    return {policy["PolicyName"]: text(policy["PolicyDocument"]) for policy in policies}


async def _role_policies(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    inline, before = _inline(new), _inline(old)
    for policy, document in inline.items():
        if before.get(policy) != document:
            await ctx.call(
                "iam", "PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=document
            )
    for policy in before.keys() - inline.keys():
        await ctx.call("iam", "DeleteRolePolicy", RoleName=name, PolicyName=policy)
    managed = list(dict.fromkeys(new.get("ManagedPolicyArns") or []))
    attached = list(dict.fromkeys(old.get("ManagedPolicyArns") or []))
    for arn in managed:
        if arn not in attached:
            await ctx.call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
    for arn in attached:
        if arn not in managed:
            await ctx.call("iam", "DetachRolePolicy", RoleName=name, PolicyArn=arn)


async def _update_role(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    name = known.physical_id
    trust = text(new["AssumeRolePolicyDocument"])
    if not old or trust != text(old["AssumeRolePolicyDocument"]):
        await ctx.call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust)
    described = {key: new.get(key) for key in ("Description", "MaxSessionDuration")}
    if described != {key: old.get(key) for key in described}:
        await ctx.call(
            "iam",
            "UpdateRole",
            RoleName=name,
            Description=described["Description"] or "",
            MaxSessionDuration=int(described["MaxSessionDuration"] or 3600),
        )
    await _role_policies(ctx, name, new, old)
    await _role_extras(ctx, name, new, old)
    return known


async def _role_extras(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    boundary, before = new.get("PermissionsBoundary"), old.get("PermissionsBoundary")
    if boundary != before and boundary:
        await ctx.call(
            "iam", "PutRolePermissionsBoundary", RoleName=name, PermissionsBoundary=boundary
        )
    elif boundary != before:
        await ctx.call("iam", "DeleteRolePermissionsBoundary", RoleName=name)
    tags, previous = new.get("Tags") or [], old.get("Tags") or []
    if tags != previous:
        gone = {tag["Key"] for tag in previous} - {tag["Key"] for tag in tags}
        if gone:
            await ctx.call("iam", "UntagRole", RoleName=name, TagKeys=sorted(gone))
        if tags:
            await ctx.call("iam", "TagRole", RoleName=name, Tags=tags)


async def _delete_role(ctx: Context, name: str, properties: Properties) -> None:
    """Takes off all that is on the role, whoever put it there (a crash may have)."""
    inline = await ctx.call("iam", "ListRolePolicies", RoleName=name)
    for policy in inline.get("PolicyNames", []):
        await ctx.call("iam", "DeleteRolePolicy", RoleName=name, PolicyName=policy)
    attached = await ctx.call("iam", "ListAttachedRolePolicies", RoleName=name)
    for policy in attached.get("AttachedPolicies", []):
        await ctx.call("iam", "DetachRolePolicy", RoleName=name, PolicyArn=policy["PolicyArn"])
    await ctx.call("iam", "DeleteRole", RoleName=name)


async def _create_policy(ctx: Context, properties: Properties) -> Known:
    document = text(properties["PolicyDocument"])
    for role in properties["Roles"]:
        await ctx.call(
            "iam",
            "PutRolePolicy",
            RoleName=role,
            PolicyName=properties["PolicyName"],
            PolicyDocument=document,
        )
    return Known(properties["PolicyName"], {"Id": properties["PolicyName"]})


async def _update_policy(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    made = await _create_policy(ctx, new)
    gone = [role for role in old.get("Roles", []) if role not in new["Roles"]]
    await _delete_policy(ctx, known.physical_id, {**old, "Roles": gone})
    return made


async def _delete_policy(ctx: Context, name: str, properties: Properties) -> None:
    for role in properties.get("Roles", []):
        await ctx.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=name)


def _check_policy(properties: Properties) -> None:
    if not properties.get("Roles"):
        raise TemplateError("A policy needs Roles (Users and Groups are not implemented).")


async def _create_managed(ctx: Context, properties: Properties) -> Known:
    settings: dict[str, Any] = {
        "PolicyName": ctx.name(properties.get("ManagedPolicyName"), 128),
        "PolicyDocument": text(properties["PolicyDocument"]),
    }
    for key in ("Path", "Description"):
        if key in properties:
            settings[key] = properties[key]
    made = (await ctx.call("iam", "CreatePolicy", **settings))["Policy"]
    arn = made["Arn"]
    ctx.planned_id = arn
    await ctx.begin(arn)
    for role in properties.get("Roles") or []:
        await ctx.call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=arn)
    return Known(arn, {"PolicyArn": arn, "PolicyId": made["PolicyId"]})


async def _update_managed(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    arn = known.physical_id
    if text(new["PolicyDocument"]) != text(old.get("PolicyDocument", "")):
        versions = (await ctx.call("iam", "ListPolicyVersions", PolicyArn=arn))["Versions"]
        spare = [each["VersionId"] for each in versions if not each["IsDefaultVersion"]]
        if len(versions) >= _VERSIONS_MAXIMUM:
            oldest = min(spare, key=lambda version: int(version[1:]))
            await ctx.call("iam", "DeletePolicyVersion", PolicyArn=arn, VersionId=oldest)
        await ctx.call(
            "iam",
            "CreatePolicyVersion",
            PolicyArn=arn,
            PolicyDocument=text(new["PolicyDocument"]),
            SetAsDefault=True,
        )
    roles, before = new.get("Roles") or [], old.get("Roles") or []
    for role in roles:
        if role not in before:
            await ctx.call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=arn)
    for role in before:
        if role not in roles:
            await ctx.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=arn)
    return known


async def _delete_managed(ctx: Context, arn: str, properties: Properties) -> None:
    for role in properties.get("Roles") or []:
        await ctx.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=arn)
    versions = (await ctx.call("iam", "ListPolicyVersions", PolicyArn=arn)).get("Versions", [])
    for each in versions:
        if not each["IsDefaultVersion"]:
            await ctx.call("iam", "DeletePolicyVersion", PolicyArn=arn, VersionId=each["VersionId"])
    await ctx.call("iam", "DeletePolicy", PolicyArn=arn)


KINDS = (
    Kind(
        "AWS::IAM::Role",
        words(
            "AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Path"
            " PermissionsBoundary Policies RoleName Tags"
        ),
        _create_role,
        _delete_role,
        _update_role,
        fixed=words("RoleName Path"),
        name="RoleName",
        required=words("AssumeRolePolicyDocument"),
    ),
    Kind(
        "AWS::IAM::Policy",
        words("PolicyName PolicyDocument Roles"),
        _create_policy,
        _delete_policy,
        _update_policy,
        fixed=words("PolicyName"),
        required=words("PolicyName PolicyDocument"),
        check=_check_policy,
    ),
    Kind(
        "AWS::IAM::ManagedPolicy",
        words("ManagedPolicyName Path Description PolicyDocument Roles"),
        _create_managed,
        _delete_managed,
        _update_managed,
        fixed=words("ManagedPolicyName Path Description"),
        name="ManagedPolicyName",
        required=words("PolicyDocument"),
    ),
)
