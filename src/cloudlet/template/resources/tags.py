"""Tags: CloudFormation's list of Key and Value, and how each service takes changes of it."""

from dataclasses import dataclass, field
from typing import Any

from cloudlet.template.resources.kind import Context, Properties


def tag_list(tags: Any) -> dict[str, str]:
    """CloudFormation's tags (a list of Key and Value, or a map) as a map."""
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags or []}


@dataclass(frozen=True, slots=True)
class Tagging:
    """A service's TagResource and UntagResource: `arn`, `tags` and `keys` are member names."""

    service: str
    arn: str = "ResourceArn"
    tags: str = "Tags"
    keys: str = "TagKeys"
    is_list: bool = False  # whether `tags` is a list of Key and Value
    operations: tuple[str, str] = ("TagResource", "UntagResource")
    pair: tuple[str, str] = ("Key", "Value")
    wrap: str = ""  # CloudFront's lists are a member of a structure
    more: Properties = field(default_factory=dict)  # further parameters of both

    async def update(self, ctx: Context, arn: str, new: Properties, old: Properties) -> None:
        wanted, before = tag_list(new.get("Tags")), tag_list(old.get("Tags"))
        tag, untag = self.operations
        target = {**self.more, self.arn: arn}
        if gone := sorted(before.keys() - wanted.keys()):
            await ctx.call(self.service, untag, **target, **{self.keys: self._wrapped(gone)})
        if wanted and wanted != before:
            await ctx.call(self.service, tag, **target, **{self.tags: self._written(wanted)})

    def initial(self, properties: Properties, member: str = "Tags") -> dict[str, Any]:
        """The parameter that a creation takes them as; none without tags."""
        tags = tag_list(properties.get("Tags"))
        return {member: self._written(tags)} if tags else {}

    def _written(self, tags: dict[str, str]) -> Any:
        key, value = self.pair
        listed = [{key: k, value: v} for k, v in tags.items()]
        return self._wrapped(listed) if self.is_list else tags

    def _wrapped(self, listed: list[Any]) -> Any:
        return {self.wrap: listed} if self.wrap else listed
