"""Tags: CloudFormation's list of Key and Value, and how each service takes changes of it."""

from dataclasses import dataclass
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

    async def update(self, ctx: Context, arn: str, new: Properties, old: Properties) -> None:
        wanted, before = tag_list(new.get("Tags")), tag_list(old.get("Tags"))
        if gone := sorted(before.keys() - wanted.keys()):
            await ctx.call(self.service, "UntagResource", **{self.arn: arn, self.keys: gone})
        if wanted and wanted != before:
            given = [{"Key": key, "Value": value} for key, value in wanted.items()]
            tags = given if self.is_list else wanted
            await ctx.call(self.service, "TagResource", **{self.arn: arn, self.tags: tags})
