"""S3's condition keys that take a look to be known: how a request is signed, an object's tags.

Most calls meet no policy that asks for one, so they are gathered when one does.
https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from cloudlet.call import Call, Params
from cloudlet.exchange import Request
from cloudlet.s3 import versions
from cloudlet.s3.bucket import of_name

_V4, _V2 = "AWS4-HMAC-SHA256", "AWS"
_DATE = "%Y%m%dT%H%M%SZ"


class Keys(Mapping[str, Any]):
    """What parameters say, and more at the first look."""

    def __init__(self, said: Mapping[str, Any], call: Call, named: Params) -> None:
        self._said = said
        self._call = call
        self._named = named  # bucket, key and version of the object it is about
        self._all: dict[str, Any] | None = None

    @property
    def _values(self) -> dict[str, Any]:
        if self._all is None:
            signed = _signed(self._call.request, self._call.now_ms)
            self._all = {**self._said, **signed, **_tags(self._call, self._named)}
        return self._all

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _tags(call: Call, named: Params) -> dict[str, str]:
    if not named.get("Key"):
        return {}
    view = call.cloud.database.view()
    bucket = of_name(view, named.get("Bucket", ""))
    if bucket is None:
        return {}
    record = versions.named(view, bucket, named["Key"], named.get("VersionId"))
    tags = {} if record is None else record.tags
    return {f"s3:ExistingObjectTag/{key}": value for key, value in tags.items()}


def _signed(request: Request, now_ms: int) -> dict[str, Any]:
    header, query = request.headers.get("authorization", ""), request.query
    keys: dict[str, Any] = {}
    if "x-amz-content-sha256" in request.headers:
        keys["s3:x-amz-content-sha256"] = request.headers["x-amz-content-sha256"]
    if header:
        version = _V4 if header.startswith(_V4) else _V2
        return {**keys, "s3:authType": "REST-HEADER", "s3:signatureversion": version}
    if "X-Amz-Signature=" in query:
        age_ms = now_ms - _signed_ms(parse_qs(query).get("X-Amz-Date", [""])[0], now_ms)
        how = {"s3:signatureversion": _V4, "s3:signatureAge": str(age_ms)}
        return {**keys, "s3:authType": "REST-QUERY-STRING", **how}
    if "Signature=" in query:
        return {**keys, "s3:authType": "REST-QUERY-STRING", "s3:signatureversion": _V2}
    return keys


def _signed_ms(date: str, now_ms: int) -> int:
    try:
        return int(datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return now_ms
