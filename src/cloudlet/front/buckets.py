"""What S3 asks of a door beside its operations: preflights, CORS headers, websites by host name.

Websites live at `BUCKET.s3-website-REGION.amazonaws.com` and, where no DNS helps, at
`BUCKET.s3-website.localhost`.
"""

import re

from cloudlet.call import Cloud
from cloudlet.exchange import Request, Response
from cloudlet.s3 import cors, website
from cloudlet.wire import models
from cloudlet.wire.protocol import s3_bucket_of_host

_WEBSITE = re.compile(
    r"(.+)\.s3-website(?:[.-][a-z0-9-]+)?\.(?:amazonaws\.com|localhost)(?::\d+)?", re.IGNORECASE
)


class Buckets:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def website(self, request: Request) -> Response | None:
        site = _WEBSITE.fullmatch(request.host)
        return await website.answer(self._cloud, request, site.group(1)) if site else None

    async def preflight(self, request: Request) -> Response | None:
        if request.method != "OPTIONS":
            return None
        return cors.preflight(self._cloud, request, bucket_of(request))

    def decorate(self, request: Request, response: Response) -> Response:
        if "origin" in request.headers and models.detect(request) == "s3":
            response.headers += cors.headers(self._cloud, request, bucket_of(request))
        return response


def bucket_of(request: Request) -> str:
    return s3_bucket_of_host(request.host) or request.path.lstrip("/").partition("/")[0]
