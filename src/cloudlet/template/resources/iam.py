"""AWS::IAM::*: users, roles and groups with their policies, and all that hangs on them.

The three differ in names alone ("RoleName", "PutRolePolicy"), which are built from `title`.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_IAM.html.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from cloudlet.call import Output
from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.rows import Row, again, deletes
from cloudlet.template.resources.shapes import text
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_VERSIONS_MAXIMUM = 5  # of one managed policy
Item = TypeVar("Item")
_OWNERS = {"Roles": "Role", "Users": "User", "Groups": "Group"}


async def _iam(ctx: Context, operation: str, **params: Any) -> Output:
    return await ctx.call("iam", operation, **params)


def _given(properties: Properties, *names: str) -> dict[str, Any]:
    return {name: properties[name] for name in names if name in properties}


# --- Roles, users and groups


def _entity(title: str, limit: int, properties: str, fixed: str) -> Kind:
    member = f"{title}Name"

    async def create(ctx: Context, new: Properties) -> Known:
        name = ctx.name(new.get(member), limit)
        settings = _given(new, "Path", "Description", "PermissionsBoundary", "Tags")
        if title == "Role":
            settings["AssumeRolePolicyDocument"] = text(new["AssumeRolePolicyDocument"])
            settings["MaxSessionDuration"] = int(new.get("MaxSessionDuration") or 3600)
        made = (await _iam(ctx, f"Create{title}", **{member: name}, **settings))[title]
        await ctx.begin(name)
        await _policies(ctx, title, name, (new, {}))
        await _join(ctx, name, new.get("Groups") or [], [])
        return Known(name, {"Arn": made["Arn"], f"{title}Id": made[f"{title}Id"]})

    async def update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        name = known.physical_id
        if title == "Role":
            await _update_role(ctx, name, new, old)
        elif new.get("Path") != old.get("Path"):
            path = {"NewPath": new.get("Path") or "/"}
            await _iam(ctx, f"Update{title}", **{member: name}, **path)
        await _policies(ctx, title, name, (new, old))
        await _join(ctx, name, new.get("Groups") or [], old.get("Groups") or [])
        await _extras(ctx, title, name, (new, old))
        if title == "Role":
            return known
        arn = (await _iam(ctx, f"Get{title}", **{member: name}))[title]["Arn"]
        return Known(name, {**known.attributes, "Arn": arn})

    async def delete(ctx: Context, name: str, old: Properties) -> None:
        """Takes off all that is on it, whoever put it there (a crash may have)."""
        of = {member: name}
        for policy in (await _iam(ctx, f"List{title}Policies", **of)).get("PolicyNames", []):
            await _iam(ctx, f"Delete{title}Policy", **of, PolicyName=policy)
        attached = await _iam(ctx, f"ListAttached{title}Policies", **of)
        for policy in attached.get("AttachedPolicies", []):
            await _iam(ctx, f"Detach{title}Policy", **of, PolicyArn=policy["PolicyArn"])
        if title == "User":
            for group in (await _iam(ctx, "ListGroupsForUser", **of)).get("Groups", []):
                await _iam(ctx, "RemoveUserFromGroup", **of, GroupName=group["GroupName"])
        await _iam(ctx, f"Delete{title}", **of)

    needed = words("AssumeRolePolicyDocument") if title == "Role" else frozenset()
    return Kind(
        f"AWS::IAM::{title}",
        words(f"{member} Path ManagedPolicyArns Policies {properties}"),
        create,
        delete,
        update,
        fixed=words(f"{member} {fixed}"),
        name=member,
        required=needed,
    )


async def _update_role(ctx: Context, name: str, new: Properties, old: Properties) -> None:
    trust = text(new["AssumeRolePolicyDocument"])
    if not old or trust != text(old["AssumeRolePolicyDocument"]):
        await _iam(ctx, "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust)
    described = {key: new.get(key) for key in ("Description", "MaxSessionDuration")}
    if described != {key: old.get(key) for key in described}:
        await _iam(
            ctx,
            "UpdateRole",
            RoleName=name,
            Description=described["Description"] or "",
            MaxSessionDuration=int(described["MaxSessionDuration"] or 3600),
        )


def _inline(properties: Properties) -> dict[str, str]:
    policies = properties.get("Policies") or []
    return {policy["PolicyName"]: text(policy["PolicyDocument"]) for policy in policies}


async def _policies(
    ctx: Context, title: str, name: str, change: tuple[Properties, Properties]
) -> None:
    """Inline and managed ones, from what they were (the second of `change`) to what they are."""
    of = {f"{title}Name": name}
    inline, before = (_inline(properties) for properties in change)
    for policy, document in inline.items():
        if before.get(policy) != document:
            put = {"PolicyName": policy, "PolicyDocument": document}
            await _iam(ctx, f"Put{title}Policy", **of, **put)
    for policy in before.keys() - inline.keys():
        await _iam(ctx, f"Delete{title}Policy", **of, PolicyName=policy)
    managed = [list(dict.fromkeys(each.get("ManagedPolicyArns") or [])) for each in change]
    for verb, arn in _changes("Attach Detach", managed):
        await _iam(ctx, f"{verb}{title}Policy", **of, PolicyArn=arn)


def _changes(verbs: str, change: Sequence[Sequence[Item]]) -> Iterator[tuple[str, Item]]:
    """The first verb with what is new in the first list, the second with what has left it."""
    (wanted, before), (add, remove) = change, verbs.split()
    yield from ((add, each) for each in wanted if each not in before)
    yield from ((remove, each) for each in before if each not in wanted)


async def _join(ctx: Context, user: str, *change: list[str]) -> None:
    for operation, group in _changes("AddUserToGroup RemoveUserFromGroup", change):
        await _iam(ctx, operation, GroupName=group, UserName=user)


async def _extras(
    ctx: Context, title: str, name: str, change: tuple[Properties, Properties]
) -> None:
    """Boundary and tags; groups have neither."""
    of, (new, old) = {f"{title}Name": name}, change
    boundary, before = new.get("PermissionsBoundary"), old.get("PermissionsBoundary")
    if boundary and boundary != before:
        bound = {"PermissionsBoundary": boundary}
        await _iam(ctx, f"Put{title}PermissionsBoundary", **of, **bound)
    elif before and not boundary:
        await _iam(ctx, f"Delete{title}PermissionsBoundary", **of)
    tagging = Tagging(
        "iam", f"{title}Name", is_list=True, operations=(f"Tag{title}", f"Untag{title}")
    )
    await tagging.update(ctx, name, new, old)


# --- Policies for several owners


def _owners(properties: Properties) -> list[tuple[str, str]]:
    """(title, name) of each that has the policy."""
    return [(title, name) for key, title in _OWNERS.items() for name in properties.get(key) or []]


async def _create_policy(ctx: Context, properties: Properties) -> Known:
    policy = properties["PolicyName"]
    put = {"PolicyName": policy, "PolicyDocument": text(properties["PolicyDocument"])}
    for title, name in _owners(properties):
        await _iam(ctx, f"Put{title}Policy", **{f"{title}Name": name}, **put)
    return Known(policy, {"Id": policy})


async def _update_policy(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    made = await _create_policy(ctx, new)
    kept = _owners(new)
    for title, name in _owners(old):
        if (title, name) not in kept:
            of = {f"{title}Name": name, "PolicyName": known.physical_id}
            await _iam(ctx, f"Delete{title}Policy", **of)
    return made


async def _delete_policy(ctx: Context, policy: str, properties: Properties) -> None:
    for title, name in _owners(properties):
        of = {f"{title}Name": name, "PolicyName": policy}
        await _iam(ctx, f"Delete{title}Policy", **of)


def _check_policy(properties: Properties) -> None:
    if not _owners(properties):
        raise TemplateError("At least one of [Groups,Roles,Users] must be non-empty.")


def _single_policy(title: str) -> Kind:
    """AWS::IAM::RolePolicy and its like: an inline policy of one owner."""
    plural = next(key for key, value in _OWNERS.items() if value == title)

    def several(properties: Properties) -> Properties:
        return {**properties, plural: [properties[f"{title}Name"]]}

    async def create(ctx: Context, new: Properties) -> Known:
        await _create_policy(ctx, several(new))
        return Known(f"{new['PolicyName']}|{new[f'{title}Name']}", {})

    async def delete(ctx: Context, policy: str, old: Properties) -> None:
        await _delete_policy(ctx, policy.split("|")[0], several(old))

    both = words(f"PolicyName {title}Name")
    return Kind(
        f"AWS::IAM::{title}Policy",
        both | {"PolicyDocument"},
        create,
        delete,
        again(create),
        fixed=both,
        required=both | {"PolicyDocument"},
    )


async def _create_managed(ctx: Context, properties: Properties) -> Known:
    made = await _iam(
        ctx,
        "CreatePolicy",
        PolicyName=ctx.name(properties.get("ManagedPolicyName"), 128),
        PolicyDocument=text(properties["PolicyDocument"]),
        **_given(properties, "Path", "Description"),
    )
    arn = made["Policy"]["Arn"]
    ctx.planned_id = arn
    await ctx.begin(arn)
    for title, name in _owners(properties):
        await _iam(ctx, f"Attach{title}Policy", **{f"{title}Name": name}, PolicyArn=arn)
    return Known(arn, {"PolicyArn": arn, "PolicyId": made["Policy"]["PolicyId"]})


async def _update_managed(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    arn = known.physical_id
    if text(new["PolicyDocument"]) != text(old.get("PolicyDocument", "")):
        versions = (await _iam(ctx, "ListPolicyVersions", PolicyArn=arn))["Versions"]
        spare = [each["VersionId"] for each in versions if not each["IsDefaultVersion"]]
        if len(versions) >= _VERSIONS_MAXIMUM:
            oldest = min(spare, key=lambda version: int(version[1:]))
            await _iam(ctx, "DeletePolicyVersion", PolicyArn=arn, VersionId=oldest)
        version = {"PolicyDocument": text(new["PolicyDocument"]), "SetAsDefault": True}
        await _iam(ctx, "CreatePolicyVersion", PolicyArn=arn, **version)
    for verb, (title, name) in _changes("Attach Detach", (_owners(new), _owners(old))):
        await _iam(ctx, f"{verb}{title}Policy", **{f"{title}Name": name}, PolicyArn=arn)
    return known


async def _delete_managed(ctx: Context, arn: str, properties: Properties) -> None:
    for title, name in _owners(properties):
        await _iam(ctx, f"Detach{title}Policy", **{f"{title}Name": name}, PolicyArn=arn)
    versions = (await _iam(ctx, "ListPolicyVersions", PolicyArn=arn)).get("Versions", [])
    for each in versions:
        if not each["IsDefaultVersion"]:
            await _iam(ctx, "DeletePolicyVersion", PolicyArn=arn, VersionId=each["VersionId"])
    await _iam(ctx, "DeletePolicy", PolicyArn=arn)


# --- What joins them: members, instance profiles, keys, service-linked roles


async def _create_addition(ctx: Context, properties: Properties) -> Known:
    for user in properties["Users"]:
        await _iam(ctx, "AddUserToGroup", GroupName=properties["GroupName"], UserName=user)
    return Known(ctx.name(None, 128), {})


async def _update_addition(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await _create_addition(ctx, new)
    is_moved = new["GroupName"] != old.get("GroupName")
    gone = [user for user in old.get("Users") or [] if is_moved or user not in new["Users"]]
    await _delete_addition(ctx, known.physical_id, {**old, "Users": gone})
    return known


async def _delete_addition(ctx: Context, _: str, properties: Properties) -> None:
    for user in properties.get("Users") or []:
        await _iam(ctx, "RemoveUserFromGroup", GroupName=properties["GroupName"], UserName=user)


async def _create_profile(ctx: Context, properties: Properties) -> Known:
    name = ctx.name(properties.get("InstanceProfileName"), 128)
    settings = {"InstanceProfileName": name, **_given(properties, "Path")}
    made = (await _iam(ctx, "CreateInstanceProfile", **settings))["InstanceProfile"]
    await ctx.begin(name)
    for role in properties["Roles"]:
        await _iam(ctx, "AddRoleToInstanceProfile", InstanceProfileName=name, RoleName=role)
    return Known(name, {"Arn": made["Arn"]})


async def _update_profile(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    await _empty_profile(ctx, known.physical_id)
    for role in new["Roles"]:
        of = {"InstanceProfileName": known.physical_id, "RoleName": role}
        await _iam(ctx, "AddRoleToInstanceProfile", **of)
    return known


async def _empty_profile(ctx: Context, name: str) -> None:
    found = await _iam(ctx, "GetInstanceProfile", InstanceProfileName=name)
    for role in found.get("InstanceProfile", {}).get("Roles", []):
        of = {"InstanceProfileName": name, "RoleName": role["RoleName"]}
        await _iam(ctx, "RemoveRoleFromInstanceProfile", **of)


async def _delete_profile(ctx: Context, name: str, properties: Properties) -> None:
    await _empty_profile(ctx, name)
    await _iam(ctx, "DeleteInstanceProfile", InstanceProfileName=name)


async def _create_key(ctx: Context, properties: Properties) -> Known:
    user = properties["UserName"]
    made = (await _iam(ctx, "CreateAccessKey", UserName=user))["AccessKey"]
    known = Known(made["AccessKeyId"], {"SecretAccessKey": made["SecretAccessKey"]})
    await ctx.begin(known.physical_id)
    return await _update_key(ctx, known, properties, {})


async def _update_key(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
    status = new.get("Status") or "Active"
    if status != (old.get("Status") or "Active"):
        key = {"UserName": new["UserName"], "AccessKeyId": known.physical_id}
        await _iam(ctx, "UpdateAccessKey", **key, Status=status)
    return known


KINDS = (
    _entity(
        "Role",
        64,
        "AssumeRolePolicyDocument Description MaxSessionDuration PermissionsBoundary Tags",
        "Path",
    ),
    _entity("User", 64, "Groups PermissionsBoundary Tags", ""),
    _entity("Group", 128, "", ""),
    *(_single_policy(title) for title in _OWNERS.values()),
    Kind(
        "AWS::IAM::Policy",
        words("PolicyName PolicyDocument Roles Users Groups"),
        _create_policy,
        _delete_policy,
        _update_policy,
        fixed=words("PolicyName"),
        required=words("PolicyName PolicyDocument"),
        check=_check_policy,
    ),
    Kind(
        "AWS::IAM::ManagedPolicy",
        words("ManagedPolicyName Path Description PolicyDocument Roles Users Groups"),
        _create_managed,
        _delete_managed,
        _update_managed,
        fixed=words("ManagedPolicyName Path Description"),
        name="ManagedPolicyName",
        required=words("PolicyDocument"),
    ),
    Kind(
        "AWS::IAM::UserToGroupAddition",
        words("GroupName Users"),
        _create_addition,
        _delete_addition,
        _update_addition,
        required=words("GroupName Users"),
    ),
    Kind(
        "AWS::IAM::InstanceProfile",
        words("InstanceProfileName Path Roles"),
        _create_profile,
        _delete_profile,
        _update_profile,
        fixed=words("InstanceProfileName Path"),
        name="InstanceProfileName",
        required=words("Roles"),
    ),
    Kind(
        "AWS::IAM::AccessKey",
        words("UserName Status Serial"),
        _create_key,
        deletes("iam", "DeleteAccessKey", "AccessKeyId", of="UserName"),
        _update_key,
        fixed=words("UserName Serial"),
        required=words("UserName"),
    ),
    Row(
        "AWS::IAM::ServiceLinkedRole",
        "iam",
        "CreateServiceLinkedRole UpdateRole DeleteServiceLinkedRole",
        "AWSServiceName CustomSuffix Description",
        id="RoleName",
        ref="Role.RoleName",
        fixed="AWSServiceName CustomSuffix",
        attributes=lambda made, name: {"RoleName": name},
        without={"Description": ""},
    ).kind(),
)
