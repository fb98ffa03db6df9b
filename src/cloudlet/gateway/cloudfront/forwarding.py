"""The request that the edge sends to an origin: what the behavior's policies let through.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
"""

from dataclasses import replace
from urllib.parse import unquote_plus

from cloudlet.exchange import Request
from cloudlet.gateway.cloudfront.behaviors import Behavior, Selection

# passed on whatever the policies say
_ALWAYS = frozenset(
    (
        "content-length",
        "content-type",
        "content-encoding",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "upgrade",
        "connection",
        "x-amz-content-sha256",  # what an origin access control signs
    )
)


def to_origin(request: Request, behavior: Behavior) -> Request:
    """The body is passed on, not read."""
    headers = {
        name: value for name, value in request.headers.items() if _takes_header(behavior, name)
    }
    # beyond CloudFront: functions learn the name that the viewer used
    headers["x-forwarded-host"] = request.host
    if not any(selection.takes("host") for selection in behavior.headers):
        headers["host"] = behavior.origin.domain
    if "user-agent" not in headers:
        headers["user-agent"] = "Amazon CloudFront"
    cookies = _cookies(request, behavior)
    headers.pop("cookie", None)
    if cookies:
        headers["cookie"] = cookies
    headers.update(behavior.origin.headers)
    return replace(request, headers=headers, query=query(request, behavior.queries))


def _takes_header(behavior: Behavior, name: str) -> bool:
    return (
        name in _ALWAYS
        or name.startswith(("sec-websocket-", "x-forwarded-"))
        or any(selection.takes(name) for selection in behavior.headers)
    )


def _cookies(request: Request, behavior: Behavior) -> str:
    cookies = [c.strip() for c in request.headers.get("cookie", "").split(";") if c.strip()]
    return "; ".join(
        c for c in cookies if any(s.takes(c.split("=", 1)[0]) for s in behavior.cookies)
    )


def query(request: Request, selections: tuple[Selection, ...]) -> str:
    """The arguments that one of the selections takes, as they came."""
    if not request.query or any(selection.mode == "all" for selection in selections):
        return request.query
    return "&".join(
        argument
        for argument in request.query.split("&")
        if any(s.takes(unquote_plus(argument.split("=", 1)[0])) for s in selections)
    )
