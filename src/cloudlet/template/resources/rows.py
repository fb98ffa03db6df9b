"""Types whose operations take the properties as they are: rows of a table instead of functions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudlet.call import Output
from cloudlet.template.intrinsics import Known
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Create, Delete, Kind, Properties, Update
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words


def deletes(service: str, operation: str, member: str = "", of: str = "") -> Delete:
    """A deletion by one call: its parameters are the properties `of`, and `member`, the physical id
    (`[member]`: a list of it)."""

    async def delete(ctx: Context, physical_id: str, properties: Properties) -> None:
        given = {name: properties[name] for name in of.split() if name in properties}
        if member:
            given[member.strip("[]")] = [physical_id] if member[0] == "[" else physical_id
        await ctx.call(service, operation, **shapes.parameters(service, operation, given))

    return delete


def again(create: Create) -> Update:
    """A change that creates once more: what is there is replaced by it."""

    async def update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        return await create(ctx, new)

    return update


def as_given(properties: Properties) -> Properties:
    return properties


@dataclass(frozen=True, slots=True)
class Row:
    """`operations` create, change ("-": none does) and delete one.

    Its physical id is the property `name`, which is made where it is not given, or else `ref`: of
    properties ("{Bucket}"), or a member of the answer.
    """

    type: str
    service: str
    operations: str
    properties: str
    id: str = ""  # the physical id in a deletion, and without a `name` in a change
    of: str = ""  # what else a deletion names
    name: str = ""
    limit: int = 0  # of a name's length
    ref: str = ""
    fixed: str = ""
    required: str = ""
    tags: Tagging | None = None
    tagged: str = "Arn"  # the attribute by which they are changed; without it: the physical id
    attributes: Callable[[Output, str], Mapping[str, Any]] = lambda made, physical_id: {}
    arn: str = ""  # how the attribute `Arn` ends: "alarm:{}"
    prepare: Callable[[Properties], Properties] = as_given
    without: Mapping[str, Any] = field(default_factory=dict)  # what a change says without them

    async def create(self, ctx: Context, properties: Properties) -> Known:
        operation = self.operations.split()[0]
        named = {self.name: ctx.name(properties.get(self.name), self.limit)} if self.name else {}
        made = await self._call(ctx, operation, properties | named)
        physical_id = named.get(self.name) or self._reference(made, properties)
        await ctx.begin(physical_id)
        attributes = dict(self.attributes(made, physical_id))
        if self.arn:
            attributes["Arn"] = ctx.cloud.config.arn(self.service, self.arn.format(physical_id))
        known = Known(physical_id, attributes)
        await self._tag(ctx, known, properties, {})
        return known

    async def update(self, ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        operation = self.operations.split()[1]
        if operation != "-":
            fixed = {
                key for key in words(self.fixed) if not shapes.has(self.service, operation, key)
            }
            kept = {key: value for key, value in new.items() if key not in fixed}
            key = {self.name or self.id: known.physical_id} if self.name or self.id else {}
            await self._call(ctx, operation, {**self.without, **kept, **key})
        await self._tag(ctx, known, new, old)
        return known

    async def _call(self, ctx: Context, operation: str, properties: Properties) -> Output:
        return await ctx.call(self.service, operation, **self._params(operation, properties))

    def _params(self, operation: str, properties: Properties) -> dict[str, Any]:
        given = {key: value for key, value in properties.items() if key != "Tags"}
        return shapes.parameters(self.service, operation, self.prepare(given))

    def _reference(self, made: Output, properties: Properties) -> str:
        if "{" in self.ref:
            return self.ref.format(**properties)
        found: Any = made
        for member in self.ref.split("."):
            found = found[member]
        return str(found)

    async def _tag(self, ctx: Context, known: Known, new: Properties, old: Properties) -> None:
        if self.tags is not None:
            arn = str(known.attributes.get(self.tagged, known.physical_id))
            await self.tags.update(ctx, arn, new, old)

    def _check(self, properties: Properties) -> None:
        self._params(self.operations.split()[0], properties)

    def kind(self) -> Kind:
        _, change, delete = self.operations.split()
        return Kind(
            self.type,
            words(self.properties),
            self.create,
            deletes(self.service, delete, self.id or self.name, self.of),
            self.update if change != "-" or self.tags else None,
            fixed=words(self.fixed),
            name=self.name if self.name in words(self.fixed) else "",
            required=words(self.required),
            check=self._check,
        )


def policies(type_name: str, one: str, several: str, put: Callable[..., Awaitable[None]]) -> Kind:
    """A policy of one resource (the property `one`) or of `several`, to which `put` gives it: its
    text, or "" when it goes."""
    owners = several or one

    def of(properties: Properties) -> list[str]:
        return list(properties[several] if several else [properties[one]])

    async def create(ctx: Context, properties: Properties) -> Known:
        for owner in of(properties):
            await put(ctx, owner, shapes.text(properties["PolicyDocument"]))
        name = ctx.name(None, 100) if several else str(properties[one])
        return Known(name, {"Id": name})

    async def update(ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        for owner in of(old or new):
            if owner not in of(new):
                await put(ctx, owner, "")
        for owner in of(new):
            await put(ctx, owner, shapes.text(new["PolicyDocument"]))
        return known

    async def delete(ctx: Context, name: str, properties: Properties) -> None:
        for owner in of(properties):
            await put(ctx, owner, "")

    both = words(f"PolicyDocument {owners}")
    fixed = frozenset() if several else words(one)
    return Kind(type_name, both, create, delete, update, fixed=fixed, required=both)
