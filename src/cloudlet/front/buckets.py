"""What S3 asks of a door beside its operations: preflights, CORS headers, websites by host name.

Websites live at `BUCKET.s3-website-REGION.amazonaws.com` and, where no DNS helps, at
`BUCKET.s3-website.localhost`.
"""

import re
from collections.abc import Callable

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

    async def website(self, request: Request) -> Response | None:
        site = _WEBSITE.fullmatch(request.host)
        if site is None:
            return None
        bucket = site.group(1)
        return await visits.answer(self._cloud_of(bucket), request, bucket)

    async def preflight(self, request: Request) -> Response | None:
        if request.method != "OPTIONS":
            return None
        bucket = bucket_of(request)
        return cors.preflight(self._cloud_of(bucket), request, bucket)

    def decorate(self, request: Request, response: Response) -> Response:
        if "origin" in request.headers and models.detect(request) == "s3":
            bucket = bucket_of(request)
            response.headers += cors.headers(self._cloud_of(bucket), request, bucket)
        return response


def bucket_of(request: Request) -> str:
    return s3_bucket_of_host(request.host) or request.path.lstrip("/").partition("/")[0]
