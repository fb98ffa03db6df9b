"""CloudFront's own policies, under the ids that AWS gave them.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-response-headers-policies.html
"""

from typing import Any

Document = dict[str, Any]


def _named(*names: str) -> Document:
    return {"Quantity": len(names), "Items": list(names)}


def _cache(name: str, ttls: tuple[int, int, int], query: str = "none", *headers: str) -> Document:
    minimum, default, maximum = ttls
    is_compressed = name in ("CachingOptimized",) or name.startswith("UseOrigin")
    parameters: Document = {
        "EnableAcceptEncodingGzip": is_compressed,
        "EnableAcceptEncodingBrotli": is_compressed,
        "HeadersConfig": {"HeaderBehavior": "whitelist" if headers else "none"},
        "CookiesConfig": {"CookieBehavior": "all" if name.startswith("UseOrigin") else "none"},
        "QueryStringsConfig": {"QueryStringBehavior": query},
    }
    if headers:
        parameters["HeadersConfig"]["Headers"] = _named(*headers)
    return {
        "Name": f"Managed-{name}",
        "MinTTL": minimum,
        "DefaultTTL": default,
        "MaxTTL": maximum,
        "ParametersInCacheKeyAndForwardedToOrigin": parameters,
    }


def _origin(name: str, headers: Document, cookies: str, query: str) -> Document:
    return {
        "Name": f"Managed-{name}",
        "HeadersConfig": headers,
        "CookiesConfig": {"CookieBehavior": cookies},
        "QueryStringsConfig": {"QueryStringBehavior": query},
    }


def _white(*names: str) -> Document:
    return {"HeaderBehavior": "whitelist", "Headers": _named(*names)}


_SECURITY: Document = {
    "XSSProtection": {"Override": False, "Protection": True, "ModeBlock": True},
    "FrameOptions": {"Override": False, "FrameOption": "SAMEORIGIN"},
    "ReferrerPolicy": {"Override": False, "ReferrerPolicy": "strict-origin-when-cross-origin"},
    "ContentTypeOptions": {"Override": True},
    "StrictTransportSecurity": {"Override": False, "AccessControlMaxAgeSec": 31536000},
}


def _cors(is_preflighted: bool) -> Document:
    methods = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")
    cors: Document = {
        "AccessControlAllowOrigins": _named("*"),
        "AccessControlAllowHeaders": _named("*") if is_preflighted else _named(),
        "AccessControlAllowMethods": _named(*methods) if is_preflighted else _named("GET", "HEAD"),
        "AccessControlAllowCredentials": False,
        "OriginOverride": False,
    }
    if is_preflighted:
        cors["AccessControlExposeHeaders"] = _named("*")
    return cors


CACHE: dict[str, Document] = {
    "658327ea-f89d-4fab-a63d-7e88639e58f6": _cache("CachingOptimized", (1, 86400, 31536000)),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": _cache(
        "CachingOptimizedForUncompressedObjects", (1, 86400, 31536000)
    ),
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": _cache("CachingDisabled", (0, 0, 0)),
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": _cache(
        "UseOriginCacheControlHeaders", (0, 0, 31536000), "none", "host", "origin"
    ),
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": _cache(
        "UseOriginCacheControlHeaders-QueryStrings", (0, 0, 31536000), "all", "host", "origin"
    ),
}
ORIGIN: dict[str, Document] = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": _origin(
        "AllViewer", {"HeaderBehavior": "allViewer"}, "all", "all"
    ),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": _origin(
        "AllViewerExceptHostHeader",
        {"HeaderBehavior": "allExcept", "Headers": _named("host")},
        "all",
        "all",
    ),
    "59781a5b-3903-41f3-afcb-af62929ccde1": _origin(
        "CORS-CustomOrigin", _white("origin"), "none", "none"
    ),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": _origin(
        "CORS-S3Origin",
        _white("origin", "access-control-request-headers", "access-control-request-method"),
        "none",
        "none",
    ),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": _origin(
        "UserAgentRefererHeaders", _white("user-agent", "referer"), "none", "none"
    ),
}
RESPONSE: dict[str, Document] = {
    "67f7725c-6f97-4210-82d7-5512b31e9d03": {
        "Name": "Managed-SecurityHeadersPolicy",
        "SecurityHeadersConfig": _SECURITY,
    },
    "60669652-455b-4ae9-85a4-c4c02393f86c": {
        "Name": "Managed-SimpleCORS",
        "CorsConfig": _cors(False),
    },
    "5cc3b908-e619-4b99-88e5-2cf7f45965bd": {
        "Name": "Managed-CORS-With-Preflight",
        "CorsConfig": _cors(True),
    },
    "e61eb60c-9c35-4d20-a928-2b84e02af89c": {
        "Name": "Managed-CORS-and-SecurityHeadersPolicy",
        "CorsConfig": _cors(False),
        "SecurityHeadersConfig": _SECURITY,
    },
    "eaab4381-ed33-4a86-88ca-d9558dc6cd63": {
        "Name": "Managed-CORS-with-preflight-and-SecurityHeadersPolicy",
        "CorsConfig": _cors(True),
        "SecurityHeadersConfig": _SECURITY,
    },
}
