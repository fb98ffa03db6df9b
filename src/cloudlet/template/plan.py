"""What a deployment would do: wanted resources − existing ones → steps.

Wanted resources are put in an order in which everything a resource refers to comes before it.
Values that are known only later (the ARN of a function yet to be made) are promises, see
`intrinsics`. The plan refuses what cannot work or would lose data before anything is changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudlet.template import lookups
from cloudlet.template.document import Document
from cloudlet.template.intrinsics import Known, Scope, promised, references, resolve
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources.kind import Kind, Properties
from cloudlet.template.resources.table import find
from cloudlet.template.stacks import READY, Record, digest
from cloudlet.template.words import words

Tags = Sequence[Mapping[str, str]]
_LATE = (
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGatewayV2::Deployment",
    "AWS::Logs::SubscriptionFilter",
)
_MEMBERS = words("Type Properties DependsOn Condition DeletionPolicy UpdateReplacePolicy Metadata")
_POLICIES = ("", "Delete", "Retain", "RetainExceptOnCreate")
# types whose tags are a map; all others take CloudFormation's list
_MAPS = ("AWS::ApiGatewayV2::", "AWS::SSM::")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the template, its properties not resolved."""

    logical_id: str
    type: str
    kind: Kind
    properties: Properties
    needs: frozenset[str] = frozenset()
    policy: str = ""  # DeletionPolicy
    replace_policy: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """`action`: "create", "update", "replace" or "delete"; `changed` names the properties."""

    action: str
    logical_id: str
    type: str
    changed: tuple[str, ...] = ()
    properties: Properties = field(default_factory=dict, compare=False)


def resources(document: Document, scope: Scope) -> list[Resource]:
    """The template's resources in dependency order; all that is unsupported, in one error."""
    present = {
        logical_id: member
        for logical_id, member in document["Resources"].items()
        if "Condition" not in member or scope.condition(member["Condition"])
    }
    scope.declared = frozenset(present)
    problems = [each for name, member in present.items() for each in _problems(name, member)]
    try:
        check_types(present)
    except TemplateError as error:
        raise TemplateError("; ".join([error.message, *problems])) from None
    if problems:
        raise TemplateError("The template uses what cloudlet does not have: " + "; ".join(problems))
    return _ordered([_resource(name, member, present) for name, member in present.items()])


def check_types(members: Mapping[str, Any]) -> None:
    """Names all resource types that there are not."""
    unknown = sorted({each["Type"] for each in members.values() if find(each["Type"]) is None})
    if unknown:
        raise TemplateError(
            f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]"
        )


async def make(
    wanted: Iterable[Resource], records: Iterable[Record], scope: Scope, tags: Tags = ()
) -> list[Step]:
    """The steps, deletions last; `scope` learns what stays as it is."""
    wanted, ready = list(wanted), {each.logical_id: each for each in records if each.state == READY}
    steps: list[Step] = []
    for resource in wanted:
        record = ready.get(resource.logical_id)
        properties = tagged(resource, await resolved(resource, scope), tags)
        check(resource, properties)
        step = decide(resource, record, properties)
        if step is not None:
            steps.append(step)
        if record is not None and (step is None or _keeps_identity(resource, step)):
            scope.resources[resource.logical_id] = Known(record.physical_id, record.attributes)
    names = {resource.logical_id for resource in wanted}
    gone = [record for record in reversed(list(records)) if record.logical_id not in names]
    steps += [Step("delete", each.logical_id, each.type) for each in gone if each.state == READY]
    return steps


def decide(resource: Resource, record: Record | None, properties: Properties) -> Step | None:
    """What brings the resource to these properties; None if nothing has to be done."""
    name, kind = resource.logical_id, resource.kind
    if record is None:
        return Step("create", name, resource.type, tuple(properties), properties)
    if record.type != resource.type:
        raise TemplateError(
            f"Update of resource type is not permitted. The new template modifies resource type of"
            f" the following resources: [{name}]"
        )
    if record.digest and record.digest == digest(properties):
        return None
    old = record.properties
    keys = sorted({*properties, *old})
    changed = tuple(key for key in keys if properties.get(key) != old.get(key))
    must_replace = kind.update is None or any(key in kind.fixed for key in changed)
    if not must_replace or not changed:
        return Step("update", name, resource.type, changed, properties)
    given = properties.get(kind.name) if kind.name else None
    if given and given == old.get(kind.name):
        raise TemplateError(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing."
            f" Rename {given} and update the stack again.",
            where=name,
        )
    return Step("replace", name, resource.type, changed, properties)


async def resolved(resource: Resource, scope: Scope) -> Properties:
    try:
        return dict(await lookups.resolved(scope, resolve(scope, resource.properties)))
    except TemplateError as error:
        raise error.inside(resource.logical_id) from None


def tagged(resource: Resource, properties: Properties, tags: Tags) -> Properties:
    """With the stack's tags, where the resource has none of its own by that name."""
    if not tags or "Tags" not in resource.kind.properties:
        return properties
    own = properties.get("Tags")
    if isinstance(own, dict) or (own is None and resource.type.startswith(_MAPS)):
        return {**properties, "Tags": {tag["Key"]: tag["Value"] for tag in tags} | (own or {})}
    named = {tag.get("Key") for tag in own or []}
    return {**properties, "Tags": [*(own or []), *(t for t in tags if t["Key"] not in named)]}


def check(resource: Resource, properties: Properties) -> None:
    """Refuses missing properties, and those that the type's own rules refuse."""
    missing = sorted(resource.kind.required - properties.keys())
    where = f"{resource.logical_id} ({resource.type})"
    if missing:
        raise TemplateError(f"required key [{missing[0]}] not found", where=where)
    if resource.kind.check is None:
        return
    try:
        resource.kind.check(properties)
    except TemplateError as error:
        raise error.inside(where) from None
    except (KeyError, TypeError, AttributeError) as error:
        if not promised(properties):
            raise TemplateError(f"Properties validation failed: {error!r}", where=where) from error


def _keeps_identity(resource: Resource, step: Step) -> bool:
    return step.action == "update" and not resource.kind.settles


def _problems(logical_id: str, member: Mapping[str, Any]) -> Iterable[str]:
    resource_type = member["Type"]
    kind = find(resource_type)
    for name in sorted(member.keys() - _MEMBERS):
        yield f"{logical_id}: the attribute {name}"
    for name in ("DeletionPolicy", "UpdateReplacePolicy"):
        if member.get(name, "") not in _POLICIES:
            yield f"{logical_id}: {name} {member[name]}"
    if kind is not None and not kind.is_open:
        unknown = (member.get("Properties") or {}).keys() - kind.properties
        for name in sorted(unknown):
            yield f"{logical_id}: the property {name} of {resource_type}"


def _resource(name: str, member: Mapping[str, Any], present: Mapping[str, Any]) -> Resource:
    kind = find(member["Type"])
    assert kind is not None
    properties = member.get("Properties") or {}
    needs = {target for what, target in references(properties) if what == "ref"}
    depends = member.get("DependsOn") or []
    for target in [depends] if isinstance(depends, str) else depends:
        needs.add(target)
    return Resource(
        name,
        member["Type"],
        kind,
        properties,
        frozenset(needs & present.keys()),
        member.get("DeletionPolicy", ""),
        member.get("UpdateReplacePolicy", ""),
    )


def _ordered(found: list[Resource]) -> list[Resource]:
    """Dependencies first, otherwise as in the template. Snapshots of an API and subscriptions come
    late: by then AWS, which creates at once whatever it can, has the methods and permissions that
    they do not name."""
    waiting, done, ordered = list(found), set[str](), []
    while waiting:
        ready = [resource for resource in waiting if resource.needs <= done]
        if not ready:
            names = ", ".join(sorted(_cycle(waiting)))
            raise TemplateError(f"Circular dependency between resources: [{names}]")
        ready = [each for each in ready if each.type not in _LATE] or ready
        ordered += ready
        done |= {resource.logical_id for resource in ready}
        waiting = [resource for resource in waiting if resource.logical_id not in done]
    return ordered


def _cycle(waiting: list[Resource]) -> set[str]:
    """The resources of one circle (not those that merely wait for it)."""
    needs = {resource.logical_id: resource.needs for resource in waiting}
    name, path = next(iter(needs)), list[str]()
    while name not in path:
        path.append(name)
        name = min(need for need in needs[name] if need in needs)
    return set(path[path.index(name) :])
