"""Compression of payloads, for APIs with a `minimumCompressionSize`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
"""

import gzip
import zlib

from cloudlet.exchange import Response
from cloudlet.gateway.rest.faults import Fault
from cloudlet.gateway.rest.passage import Passage

_WINDOWS = {"gzip": 31, "deflate": 15}


def inflate(passage: Passage, limit_bytes: int) -> None:
    """The request's body as the integration sees it; a bomb stops at the limit."""
    coding = passage.request.headers.get("content-encoding", "identity").strip().lower()
    if _minimum(passage) is None or coding == "identity" or not passage.body:
        return
    if coding not in _WINDOWS:
        raise Fault("UNSUPPORTED_MEDIA_TYPE")
    inflater = zlib.decompressobj(wbits=_WINDOWS[coding])
    try:
        passage.body = inflater.decompress(passage.body, limit_bytes)
    except zlib.error:
        raise Fault("BAD_REQUEST_BODY") from None
    if inflater.unconsumed_tail:
        raise Fault("REQUEST_TOO_LARGE")


def deflate(passage: Passage, response: Response) -> None:
    """Compresses an answer of at least the API's minimum, if the client takes it."""
    minimum, body = _minimum(passage), response.body
    if minimum is None or not isinstance(body, bytes) or len(body) < max(1, minimum):
        return
    names = {name.lower() for name, _ in response.headers}
    coding = _accepted(passage.request.headers.get("accept-encoding", ""))
    if coding is None or "content-encoding" in names:
        return
    response.body = gzip.compress(body, 6, mtime=0) if coding == "gzip" else zlib.compress(body)
    response.headers = [
        *(header for header in response.headers if header[0].lower() != "content-length"),
        ("content-encoding", coding),
    ]


def _minimum(passage: Passage) -> int | None:
    size: int | None = passage.served.api.get("minimumCompressionSize")
    return size


def _accepted(header: str) -> str | None:
    """The first coding we have of those that the client names with a weight above zero."""
    for item in header.lower().split(","):
        coding, _, weight = item.replace(" ", "").partition(";q=")
        if coding in _WINDOWS and weight not in ("0", "0.0", "0.00", "0.000"):
            return coding
    return None
