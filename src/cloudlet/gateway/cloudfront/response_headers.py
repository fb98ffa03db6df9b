"""Response headers policies: what the edge adds to, replaces in and removes from an answer.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html
"""

from collections.abc import Iterator

from cloudlet.exchange import Request, Response
from cloudlet.gateway.cloudfront.items import Document, members

Addition = tuple[str, str, bool]  # name, value, replaces the origin's


def apply(policy: Document, request: Request, response: Response) -> None:
    removed = {h["Header"].lower() for h in members(policy.get("RemoveHeadersConfig"))}
    headers = [(n, v) for n, v in response.headers if n.lower() not in removed]
    additions = [
        *_security(policy.get("SecurityHeadersConfig") or {}),
        *_cors(policy.get("CorsConfig"), request),
        *_custom(policy),
    ]
    for name, value, replaces in additions:
        has_own = any(n.lower() == name for n, _ in headers)
        if has_own and not replaces:
            continue
        headers = [h for h in headers if h[0].lower() != name]
        headers.append((name, value))
    response.headers = headers


def _custom(policy: Document) -> Iterator[Addition]:
    for header in members(policy.get("CustomHeadersConfig")):
        yield header["Header"].lower(), header["Value"], bool(header["Override"])


def _security(config: Document) -> Iterator[Addition]:
    if content := config.get("ContentSecurityPolicy"):
        value = content["ContentSecurityPolicy"]
        yield "content-security-policy", value, bool(content["Override"])
    if options := config.get("ContentTypeOptions"):
        yield "x-content-type-options", "nosniff", bool(options["Override"])
    if frame := config.get("FrameOptions"):
        yield "x-frame-options", frame["FrameOption"], bool(frame["Override"])
    if referrer := config.get("ReferrerPolicy"):
        yield "referrer-policy", referrer["ReferrerPolicy"], bool(referrer["Override"])
    if transport := config.get("StrictTransportSecurity"):
        value = f"max-age={transport['AccessControlMaxAgeSec']}"
        value += "; includeSubDomains" if transport.get("IncludeSubdomains") else ""
        value += "; preload" if transport.get("Preload") else ""
        yield "strict-transport-security", value, bool(transport["Override"])
    if xss := config.get("XSSProtection"):
        value = "1" if xss["Protection"] else "0"
        value += "; mode=block" if xss.get("ModeBlock") else ""
        value += f"; report={xss['ReportUri']}" if xss.get("ReportUri") else ""
        yield "x-xss-protection", value, bool(xss["Override"])


def _cors(config: Document | None, request: Request) -> Iterator[Addition]:
    origin = request.headers.get("origin")
    if config is None or origin is None:
        return
    origins = members(config["AccessControlAllowOrigins"])
    if "*" not in origins and origin not in origins:
        return
    replaces = bool(config["OriginOverride"])
    yield "access-control-allow-origin", "*" if "*" in origins else origin, replaces
    if config["AccessControlAllowCredentials"]:
        yield "access-control-allow-credentials", "true", replaces
    if exposed := members(config.get("AccessControlExposeHeaders")):
        yield "access-control-expose-headers", ", ".join(exposed), replaces
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        methods = members(config["AccessControlAllowMethods"])
        yield "access-control-allow-methods", ", ".join(methods), replaces
        if headers := members(config["AccessControlAllowHeaders"]):
            yield "access-control-allow-headers", ", ".join(headers), replaces
        if config.get("AccessControlMaxAgeSec") is not None:
            yield "access-control-max-age", str(config["AccessControlMaxAgeSec"]), replaces
