"""Distributions compiled for serving: origins, path patterns, what is forwarded and added.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
"""

import re
from dataclasses import dataclass
from typing import Any

from cloudlet.call import Caller
from cloudlet.exchange import Request
from cloudlet.gateway.cloudfront import distributions, items, policies
from cloudlet.gateway.cloudfront.items import Document, Item, members
from cloudlet.store.database import View

_S3 = re.compile(r"(?P<bucket>[a-z0-9.-]+)\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")
_API = re.compile(r"(?P<api>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")


@dataclass(frozen=True, slots=True)
class Origin:
    domain: str
    path: str
    bucket: str | None
    api_id: str | None
    signing: str  # as CloudFront: "always", "never", or "no-override" of the viewer's signature
    headers: tuple[tuple[str, str], ...]
    protocol: str = "http-only"  # of other services: "https-only", "match-viewer"
    ports: tuple[int, int] = (80, 443)
    connect_s: float = 10
    read_s: float = 30

    def caller(self, request: Request, account: str, distribution_arn: str) -> Caller | None:
        """CloudFront, where its origin access control signs; None where it doesn't."""
        is_viewers = "authorization" in request.headers and self.signing == "no-override"
        if self.signing == "never" or is_viewers:
            return None
        context = {"aws:SourceArn": distribution_arn, "aws:SourceAccount": account}
        return Caller("service", "cloudfront.amazonaws.com", account, context=context)

    def address(self, viewers: str) -> str:
        """Of a service that is not in this cloud."""
        is_tls = self.protocol == "https-only" or (
            self.protocol == "match-viewer" and viewers == "https"
        )
        port = self.ports[is_tls]
        name = self.domain if port in (80, 443) else f"{self.domain}:{port}"
        return f"{'https' if is_tls else 'http'}://{name}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which names are passed to the origin: "none", "all", "some" or "all-but"."""

    mode: str
    names: frozenset[str] = frozenset()

    def takes(self, name: str) -> bool:
        if self.mode == "some":
            return name in self.names
        return self.mode == "all" or (self.mode == "all-but" and name not in self.names)


@dataclass(frozen=True, slots=True)
class Caching:
    """A cache policy: for how long, and what is in the key besides the path."""

    min_s: int
    default_s: int
    max_s: int
    headers: Selection
    cookies: Selection
    queries: Selection
    encodes: bool  # Accept-Encoding is in the key, so that the edge may compress


@dataclass(frozen=True, slots=True)
class Behavior:
    pattern: re.Pattern[str] | None  # None: the default
    origin: Origin
    methods: frozenset[str]
    headers: tuple[Selection, ...]
    cookies: tuple[Selection, ...]
    queries: tuple[Selection, ...]
    response_policy: Document | None
    caching: Caching | None  # None: nothing is kept
    compresses: bool

    @property
    def drops_cookies(self) -> bool:
        """Where no cookies go to the origin, none come back."""
        return all(selection.mode == "none" for selection in self.cookies)


@dataclass(frozen=True, slots=True)
class Distribution:
    id: str
    arn: str
    hosts: tuple[str, ...]
    root: str
    behaviors: tuple[Behavior, ...]  # the default comes last
    errors: dict[int, Document]

    def behavior(self, path: str) -> Behavior:
        for behavior in self.behaviors[:-1]:
            if behavior.pattern is not None and behavior.pattern.fullmatch(path):
                return behavior
        return self.behaviors[-1]


def compile_all(view: View, account: str) -> list[Distribution]:
    """Enabled distributions, the oldest first."""
    return [
        _distribution(view, item, account)
        for item in items.every(view, "distribution")
        if item.document["Enabled"]
    ]


def pattern(text: str) -> re.Pattern[str]:
    """`*` is any run of characters, slashes too; `?` is one; the leading slash may be left out."""
    text = text if text.startswith(("/", "*")) else f"/{text}"
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in text), re.DOTALL)


def _distribution(view: View, item: Item, account: str) -> Distribution:
    config = item.document
    origins = {o["Id"]: _origin(view, o) for o in members(config["Origins"])}
    behaviors = [
        _behavior(view, b, origins, pattern(b["PathPattern"]))
        for b in members(config.get("CacheBehaviors"))
    ]
    behaviors.append(_behavior(view, config["DefaultCacheBehavior"], origins, None))
    aliases = [alias.lower() for alias in members(config.get("Aliases"))]
    return Distribution(
        item.id,
        distributions.arn(account, item.id),
        (*aliases, distributions.domain(item.id)),
        config.get("DefaultRootObject") or "",
        tuple(behaviors),
        {int(e["ErrorCode"]): e for e in members(config.get("CustomErrorResponses"))},
    )


def _origin(view: View, origin: Document) -> Origin:
    domain = origin["DomainName"].lower()
    bucket, api = _S3.fullmatch(domain), _API.fullmatch(domain)
    own = origin.get("CustomOriginConfig") or {}
    control = items.find(view, "origin-access-control", origin.get("OriginAccessControlId") or "")
    return Origin(
        domain,
        origin.get("OriginPath") or "",
        bucket.group("bucket") if bucket else None,
        api.group("api") if api else None,
        control.document["SigningBehavior"] if control else "never",
        tuple(
            (h["HeaderName"].lower(), h["HeaderValue"])
            for h in members(origin.get("CustomHeaders"))
        ),
        own.get("OriginProtocolPolicy") or "http-only",
        (own.get("HTTPPort") or 80, own.get("HTTPSPort") or 443),
        origin.get("ConnectionTimeout") or 10,
        own.get("OriginReadTimeout") or 30,
    )


def _behavior(
    view: View, behavior: Document, origins: dict[str, Origin], path_pattern: re.Pattern[str] | None
) -> Behavior:
    forwards = list(_forwarding(view, behavior))
    response_id = behavior.get("ResponseHeadersPolicyId")
    return Behavior(
        path_pattern,
        origins[behavior["TargetOriginId"]],
        frozenset(members(behavior.get("AllowedMethods")) or ("GET", "HEAD")),
        tuple(f[0] for f in forwards),
        tuple(f[1] for f in forwards),
        tuple(f[2] for f in forwards),
        policies.document(view, "response-headers-policy", response_id) if response_id else None,
        _caching(view, behavior),
        bool(behavior.get("Compress")),
    )


def _caching(view: View, behavior: Document) -> Caching | None:
    if not behavior.get("CachePolicyId"):
        selections = _legacy(behavior["ForwardedValues"])
        limits, encodes = behavior, bool(behavior.get("Compress"))
        if selections[0].mode == "all":
            return None
    else:
        limits = policies.document(view, "cache-policy", behavior["CachePolicyId"]) or {}
        parameters = limits["ParametersInCacheKeyAndForwardedToOrigin"]
        selections = _selections(parameters)
        encodes = bool(parameters.get("EnableAcceptEncodingGzip"))
    least = limits.get("MinTTL") or 0
    usual = 86_400 if limits.get("DefaultTTL") is None else limits["DefaultTTL"]
    most = 31_536_000 if limits.get("MaxTTL") is None else limits["MaxTTL"]
    usual, most = max(usual, least), max(most, usual, least)
    return Caching(least, usual, most, *selections, encodes) if most else None


def _forwarding(view: View, behavior: Document) -> list[tuple[Selection, Selection, Selection]]:
    """Headers, cookies and query strings that the cache policy and the origin policy pass on."""
    if behavior.get("ForwardedValues") and not behavior.get("CachePolicyId"):
        return [_legacy(behavior["ForwardedValues"])]
    found = []
    cache = policies.document(view, "cache-policy", behavior["CachePolicyId"])
    if cache is not None:
        found.append(_selections(cache["ParametersInCacheKeyAndForwardedToOrigin"]))
    origin_id = behavior.get("OriginRequestPolicyId")
    origin = policies.document(view, "origin-request-policy", origin_id) if origin_id else None
    if origin is not None:
        found.append(_selections(origin))
    return found


def _selections(policy: Document) -> tuple[Selection, Selection, Selection]:
    headers = policy["HeadersConfig"]
    cookies = policy["CookiesConfig"]
    queries = policy["QueryStringsConfig"]
    return (
        _selection(headers["HeaderBehavior"], [h.lower() for h in members(headers.get("Headers"))]),
        _selection(cookies["CookieBehavior"], members(cookies.get("Cookies"))),
        _selection(queries["QueryStringBehavior"], members(queries.get("QueryStrings"))),
    )


def _selection(mode: str, names: list[str]) -> Selection:
    modes: dict[str, Any] = {
        "none": "none",
        "whitelist": "some",
        "allExcept": "all-but",
        "all": "all",
        "allViewer": "all",
        "allViewerAndWhitelistCloudFront": "all",
    }
    return Selection(modes[mode], frozenset(names))


def _legacy(values: Document) -> tuple[Selection, Selection, Selection]:
    headers = [name.lower() for name in members(values.get("Headers"))]
    cookies = values["Cookies"]
    keys = members(values.get("QueryStringCacheKeys"))
    header_mode = "all" if "*" in headers else "whitelist" if headers else "none"
    query_mode = "none" if not values["QueryString"] else "whitelist" if keys else "all"
    return (
        _selection(header_mode, headers),
        _selection(cookies["Forward"], members(cookies.get("WhitelistedNames"))),
        _selection(query_mode, keys),
    )
