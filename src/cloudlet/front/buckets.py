"""What S3 asks of a door beside its operations: preflights, CORS headers, websites by host name.

Websites live at `BUCKET.s3-website-REGION.amazonaws.com` and, where no DNS helps, at
`BUCKET.s3-website.localhost`.
"""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache

from cloudlet.call import Cloud
from cloudlet.exchange import Request, Response
from cloudlet.s3 import cors, visits
from cloudlet.wire import models
from cloudlet.wire.protocol import s3_bucket_of_host

_WEBSITE = re.compile(
    r"(.+)\.s3-website(?:[.-][a-z0-9-]+)?\.(?:amazonaws\.com|localhost)(?::\d+)?", re.IGNORECASE
)


class Buckets:
    def __init__(self, cloud_of: Callable[[str], Cloud]) -> None:
        """`cloud_of` tells whose bucket it is."""
        self._cloud_of = cloud_of

    def website(self, request: Request) -> Awaitable[Response | None] | None:
        bucket = _site(request.host)
        return visits.answer(self._cloud_of(bucket), request, bucket) if bucket else None

    def preflight(self, request: Request) -> Awaitable[Response | None] | None:
        return self._preflight(request) if request.method == "OPTIONS" else None

    async def _preflight(self, request: Request) -> Response | None:
        bucket = bucket_of(request)
        return cors.preflight(self._cloud_of(bucket), request, bucket)

    def decorate(self, request: Request, response: Response) -> Response:
        if "origin" in request.headers and models.detect(request) == "s3":
            bucket = bucket_of(request)
            response.headers += cors.headers(self._cloud_of(bucket), request, bucket)
        return response


@lru_cache(maxsize=256)
def _site(host: str) -> str:
    """The bucket whose website the host is, or ""."""
    site = _WEBSITE.fullmatch(host)
    return site.group(1) if site else ""


def bucket_of(request: Request) -> str:
    return s3_bucket_of_host(request.host) or request.path.lstrip("/").partition("/")[0]
