"""Which requests on the AWS port are for an API's own address.

`{api}.execute-api.{region}.amazonaws.com` (or `.localhost`) as the host, or a path
`/_aws/execute-api/{api}/{stage}/…`, in which the stage `$default` may be written out.
"""

import re

from cloudlet.exchange import Request

_HOST = re.compile(
    r"([a-z0-9]+)\.execute-api\.(?:[a-z0-9-]+\.)?(?:amazonaws\.com|localhost)(?::\d+)?"
)
_PATH = re.compile(r"/_aws/execute-api/([a-z0-9]+)(/.*)?")
# gateway-064: a stage's address may end with a slash, which the SDK for JavaScript then doubles
_MANAGEMENT = re.compile(r"(?:/[^/]+)?/*(/(?:@|%40)connections/[^/]+)")


def match(request: Request) -> tuple[str, str] | None:
    """(API id, raw path within the API), or None: not an API's address."""
    path = _PATH.fullmatch(request.raw_path)
    if path:
        inner = path.group(2) or "/"
        for default in ("/$default", "/%24default"):
            if inner == default or inner.startswith(f"{default}/"):
                inner = inner[len(default) :] or "/"
        return path.group(1), inner
    host = _HOST.fullmatch(request.host.lower())
    return (host.group(1), request.raw_path) if host else None


def management_path(raw_path: str) -> str | None:
    """`/@connections/ID` if the path within an API (with or without stage) is for that API."""
    found = _MANAGEMENT.fullmatch(raw_path)
    return found.group(1).replace("%40", "@", 1) if found else None
