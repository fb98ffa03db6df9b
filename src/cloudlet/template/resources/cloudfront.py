"""AWS::CloudFront::*: distributions and the policies that they refer to.

CloudFormation's lists become the API's counted lists (see `shapes`); the names that differ stand
in `_renamed`. Every change carries the ETag of what it changes.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_CloudFront.html.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudlet.template.intrinsics import Known
from cloudlet.template.problems import TemplateError
from cloudlet.template.resources import shapes
from cloudlet.template.resources.kind import Context, Kind, Properties
from cloudlet.template.resources.tags import Tagging
from cloudlet.template.words import words

_TAGS = Tagging("cloudfront", arn="Resource", is_list=True, wrap="Items")
_ALLOWED = ["HEAD", "GET"]  # CloudFormation's default


@dataclass(frozen=True, slots=True)
class Noun:
    """One CloudFront resource: its name in operations and whether it has a `Config` member."""

    noun: str
    attributes: Mapping[str, str]

    @property
    def config(self) -> str:
        return f"{self.noun}Config"

    def convert(self, properties: Properties, reference: str) -> Any:
        value = properties[self.config]
        if self.noun == "Distribution":
            value = _distribution(value, reference)
        return shapes.member("cloudfront", f"Create{self.noun}", self.config, value)

    async def create(self, ctx: Context, properties: Properties) -> Known:
        reference = ctx.name(None, 100)
        config = self.convert(properties, reference)
        made = await ctx.call("cloudfront", f"Create{self.noun}", **{self.config: config})
        found = made[self.noun]
        await ctx.begin(found["Id"])
        await _tag(ctx, found["Id"], properties, {})
        return self._known(found)

    def _known(self, found: Mapping[str, Any]) -> Known:
        attributes = {name: found[member] for name, member in self.attributes.items()}
        return Known(found["Id"], {"Id": found["Id"], **attributes})

    async def update(self, ctx: Context, known: Known, new: Properties, old: Properties) -> Known:
        found = await self._current(ctx, known.physical_id)
        reference = found[self.config].get("CallerReference", "")
        config = self.convert(new, reference)
        target = {"Id": known.physical_id, "IfMatch": found["ETag"]}
        await ctx.call("cloudfront", f"Update{self.noun}", **target, **{self.config: config})
        await _tag(ctx, known.physical_id, new, old)
        return known

    async def delete(self, ctx: Context, physical_id: str, properties: Properties) -> None:
        found = await self._current(ctx, physical_id)
        target = {"Id": physical_id, "IfMatch": found["ETag"]}
        if self.noun == "Distribution" and found[self.config].get("Enabled"):
            config = {**found[self.config], "Enabled": False}
            disabled = await ctx.call(
                "cloudfront", "UpdateDistribution", **target, DistributionConfig=config
            )
            target["IfMatch"] = disabled["ETag"]
        await ctx.call("cloudfront", f"Delete{self.noun}", **target)

    async def _current(self, ctx: Context, physical_id: str) -> dict[str, Any]:
        """The configuration as it is, under its name, and its ETag."""
        found = await ctx.call("cloudfront", f"Get{self.noun}", Id=physical_id)
        return {self.config: found[self.noun][self.config], "ETag": found["ETag"]}

    def check(self, properties: Properties) -> None:
        self.convert(properties, "check")

    def kind(self) -> Kind:
        tags = words("Tags") if self.noun == "Distribution" else frozenset()
        return Kind(
            f"AWS::CloudFront::{self.noun}",
            frozenset({self.config}) | tags,
            self.create,
            self.delete,
            self.update,
            required=frozenset({self.config}),
            check=self.check,
        )


async def _tag(ctx: Context, physical_id: str, new: Properties, old: Properties) -> None:
    """Tags of a distribution (nothing else has them)."""
    arn = f"arn:aws:cloudfront::{ctx.cloud.config.account}:distribution/{physical_id}"
    await _TAGS.update(ctx, arn, new, old)


def _distribution(value: Mapping[str, Any], reference: str) -> dict[str, Any]:
    config: dict[str, Any] = {"CallerReference": reference, "Comment": "", **value}
    for name in ("CNAMEs", "S3Origin", "CustomOrigin"):
        if name in config:
            raise TemplateError(
                f"DistributionConfig.{name} is a legacy property; use Aliases or Origins."
            )
    if "DefaultCacheBehavior" not in config:
        raise TemplateError("DistributionConfig.DefaultCacheBehavior is required.")
    config["Origins"] = [_origin(origin) for origin in config.get("Origins") or []]
    config["DefaultCacheBehavior"] = _behavior(config["DefaultCacheBehavior"])
    if "CacheBehaviors" in config:
        config["CacheBehaviors"] = [_behavior(each) for each in config["CacheBehaviors"]]
    geo = (config.get("Restrictions") or {}).get("GeoRestriction")
    if geo is not None:
        counted = {
            "RestrictionType": geo["RestrictionType"],
            **_counted(geo.get("Locations") or []),
        }
        config["Restrictions"] = {"GeoRestriction": counted}
    return config


def _origin(origin: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(origin)
    if "OriginCustomHeaders" in result:
        result["CustomHeaders"] = result.pop("OriginCustomHeaders")
    result.setdefault("OriginPath", "")
    if "S3OriginConfig" in result:
        result["S3OriginConfig"] = {"OriginAccessIdentity": "", **result["S3OriginConfig"]}
    if "CustomOriginConfig" in result:
        ports = {"HTTPPort": 80, "HTTPSPort": 443}
        result["CustomOriginConfig"] = ports | result["CustomOriginConfig"]
    return result


def _behavior(behavior: Mapping[str, Any]) -> dict[str, Any]:
    """The cached methods go into the allowed ones."""
    result = dict(behavior)
    allowed = result.pop("AllowedMethods", _ALLOWED)
    cached = result.pop("CachedMethods", _ALLOWED)
    result["AllowedMethods"] = {**_counted(allowed), "CachedMethods": _counted(cached)}
    return result


def _counted(items: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(items), "Items": items}


KINDS = tuple(
    Noun(noun, attributes).kind()
    for noun, attributes in (
        ("Distribution", {"DomainName": "DomainName"}),
        ("OriginAccessControl", {}),
        ("ResponseHeadersPolicy", {"LastModifiedTime": "LastModifiedTime"}),
        ("CachePolicy", {"LastModifiedTime": "LastModifiedTime"}),
        ("OriginRequestPolicy", {"LastModifiedTime": "LastModifiedTime"}),
    )
)
