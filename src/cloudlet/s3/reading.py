"""Getting objects and what is known of them.

Contents stream from blobs that are pinned: an overwrite or a deletion meanwhile does no harm. Only
between reading the row and pinning may a blob vanish; a second look at the row tells.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from cloudlet.call import Call, Output, Result
from cloudlet.errors import AwsError
from cloudlet.exchange import Streamed
from cloudlet.s3 import (
    attributes,
    checksums,
    conditions,
    encryption,
    faults,
    lifecycle,
    permissions,
    ranges,
    records,
    service_keys,
    traits,
    versions,
)
from cloudlet.s3.bucket import Bucket, of_call
from cloudlet.s3.ranges import Range
from cloudlet.s3.records import Record
from cloudlet.s3.seals import Seal, shown
from cloudlet.store.blobs import BlobReader
from cloudlet.store.database import View
from cloudlet.store.sealing import Wrapper

READ_BYTES = 256 << 10
Found = tuple[Bucket, Record, Seal | None]  # None: only the key service can open it
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


class BlobStream:
    """A response body out of blobs. What the page cache holds is read in place, the rest in a
    thread; closing it gives the blobs free."""

    def __init__(self, reader: BlobReader) -> None:
        self._reader = reader
        self._first = b""

    async def begin(self) -> None:
        """Reads the first bytes, so that damage there is told as an error; found later on, it
        closes the connection in the middle of the body."""
        self._first = await self._next()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self._first = self._first, b""
        while data := data or await self._next():
            yield data
            data = b""

    async def _next(self) -> bytes:
        data = self._reader.read_cached(READ_BYTES)
        return data if data is not None else await asyncio.to_thread(self._reader.read, READ_BYTES)

    async def aclose(self) -> None:
        self._reader.close()


async def get_object(call: Call) -> Result:
    """The whole object, a range of it or one of its parts."""
    bucket, record, wrapper, data, reader = await _open(call)
    try:
        wanted = _wanted(call, record)
        result = _answer(call, bucket, record, wanted)
    except BaseException:
        if reader is not None:
            reader.close()
        raise
    start, end = wanted or (0, record.size)
    if reader is None:
        result.output["Body"] = data[start:end] if wanted else data
        return result
    if wanted is not None:
        ranged = call.cloud.blobs.reader(ranges.cut(record.segments, wanted), wrapper)
        reader.close()
        reader = ranged
    result.output["Body"] = await _begun(reader)
    return result


async def _begun(reader: BlobReader) -> Streamed:
    body = BlobStream(reader)
    try:
        await body.begin()
    except BaseException:
        reader.close()
        raise
    return body


async def head_object(call: Call) -> Result:
    with _reads(call) as view:
        found = _found(call, view)
    if found is None:
        raise await _missing(call)
    bucket, record, seal = found
    conditions.check_read(call.params, record, call.now_ms)
    if seal is None and call.params.get("ChecksumMode"):
        await service_keys.opened(call, record.encryption)  # s3-053: checksums tell of contents
    return _answer(call, bucket, record, _wanted(call, record))


async def _open(call: Call) -> tuple[Bucket, Record, Wrapper, bytes, BlobReader | None]:
    known: Seal | None = None
    while True:
        with _reads(call) as view:
            found = _found(call, view, known)
            if found is None:
                break
            bucket, record, seal = found
            conditions.check_read(call.params, record, call.now_ms)
            traits.check_readable(record.traits)
            if seal is not None and not record.segments:
                data = records.data(view, record, seal.wrapper)
                return bucket, record, seal.wrapper, data, None
        if seal is None:
            known = await service_keys.opened(call, record.encryption)
            continue
        reader = call.cloud.blobs.reader(record.segments, seal.wrapper)
        with call.cloud.database.snapshot() as view:
            if records.is_there(view, record):
                return bucket, record, seal.wrapper, b"", reader
        reader.close()  # overwritten before the pin: look again
    raise await _missing(call)


def _reads(call: Call) -> View:
    """A current version and its bytes come by one statement."""
    database = call.cloud.database
    return database.view() if call.params.get("VersionId") is None else database.snapshot()


def _found(call: Call, view: View, known: Seal | None = None) -> Found | None:
    """The object, or None; what is wrong with the request itself is refused first."""
    attributes.refuse_absent(call.params)
    attributes.check_key(call.params["Key"])
    encryption.refuse_for_reads(call)
    overrides = [name for name in _OVERRIDES if call.params.get(name) is not None]
    for name in overrides:
        if any(c > "\xff" for c in str(call.params[name])):
            what = "Header value cannot be represented using ISO-8859-1."
            header = re.sub("(?<!^)(?=[A-Z])", "-", name).lower()  # response-cache-control
            raise faults.invalid_argument(what, header, call.params[name])
    if overrides and call.caller.kind == "anonymous":
        raise faults.invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests."
        )
    bucket = of_call(call, view)
    record = versions.chosen(call, view, bucket)
    if record is None:
        return None
    return bucket, record, encryption.of_kept(call, record.encryption, "", known)


async def _missing(call: Call) -> AwsError:
    """Who may not list the bucket doesn't learn which keys it lacks: 403 instead of 404."""
    is_own = call.caller.kind == "root" and call.caller.account == call.config.account
    if not is_own and call.caller.kind != "service":
        probe = {"Bucket": call.params["Bucket"], "MaxKeys": 0, "Prefix": call.params["Key"]}
        try:
            await call.cloud.invoke("s3", "ListObjectsV2", probe, call.caller)
        except AwsError as error:
            if error.status == 403:
                return faults.access_denied()
            raise
    with call.cloud.database.snapshot() as view:
        bucket = of_call(call, view)
        return versions.missing(view, bucket, call.params["Key"])


def _wanted(call: Call, record: Record) -> Range | None:
    number, header = call.params.get("PartNumber"), call.params.get("Range")
    if number is None:
        return ranges.parse(header, record.size)
    if header is not None:
        raise faults.invalid_request(
            "Cannot specify both Range header and partNumber query parameter"
        )
    if not 1 <= number <= 10_000:
        raise faults.invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive", "partNumber", number
        )
    return ranges.of_part(record.parts, number, record.size)


def _answer(call: Call, bucket: Bucket, record: Record, wanted: Range | None) -> Result:
    params = call.params
    start, end = wanted or (0, record.size)
    output: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "ContentLength": end - start,
        "LastModified": record.modified_ms // 1000,
        "ETag": conditions.quoted(record.etag),
        **record.headers,
        **shown(record.encryption),
        **traits.shown(record.traits),
        **bucket.version(record.version_id),
        "Metadata": record.metadata,
    }
    if "lock" in record.traits:
        view = call.cloud.database.view()
        output.update(permissions.lock_shown(call, view, record.traits["lock"]))
    if record.tags:
        output["TagCount"] = len(record.tags)
    for name, member in _OVERRIDES.items():
        if params.get(name) is not None:
            output[member] = params[name]
    if params.get("PartNumber") is not None and record.parts:
        output["PartsCount"] = len(record.parts)
    if str(params.get("ChecksumMode", "")).upper() == "ENABLED":
        output.update(_checksum(record, wanted, params.get("PartNumber")))
    if params.get("VersionId") is None:
        output.update(lifecycle.expiration(call.cloud.database.view(), record))
    if wanted is None or start == end:
        return Result(output)
    output["ContentRange"] = ranges.content_range(wanted, record.size)
    return Result(output, 206)


def _checksum(record: Record, wanted: Range | None, part: int | None) -> dict[str, str]:
    """Of what is answered: the whole or one part; an arbitrary range has none."""
    algorithm, kind, _ = record.checksum
    if {"_unsummed", "SSECustomerKeyMD5"} <= record.encryption.keys():
        return {}  # s3-056
    is_composite = kind == checksums.COMPOSITE and record.parts
    if wanted in (None, (0, record.size)) and not (part and is_composite):
        return checksums.output(record.checksum)
    if part is None or not is_composite:
        return {}
    return checksums.output((algorithm, kind, record.parts[part - 1][2]))


async def get_object_attributes(call: Call) -> Output:
    with call.cloud.database.snapshot() as view:
        found = _found(call, view)
    if found is None:
        raise await _missing(call)
    bucket, record, seal = found
    asked = call.params.get("ObjectAttributes") or []
    if isinstance(asked, str):
        asked = [each.strip() for each in asked.split(",")]
    known = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
    if not asked:
        raise faults.invalid_request(
            "The x-amz-object-attributes header specifying the attributes to be retrieved is "
            "either missing or empty"
        )
    if set(asked) - known:
        raise faults.invalid_argument(
            "Invalid attribute name specified.", "x-amz-object-attributes"
        )
    if seal is None and {"Checksum", "ObjectParts"} & set(asked):
        await service_keys.opened(call, record.encryption)  # s3-053
    algorithm, kind, value = record.checksum
    facts: dict[str, Any] = {
        "ETag": record.etag,  # s3-014: this one comes without quotes
        "Checksum": checksums.output((algorithm, kind, value.partition("-")[0])),  # s3-062
        "StorageClass": traits.storage_class(record.traits),
        "ObjectSize": record.size,
        "ObjectParts": _object_parts(call, record) if record.parts else None,
    }
    output = {name: value for name, value in facts.items() if name in asked}
    shown = bucket.version(record.version_id)
    return {**output, **shown, "LastModified": record.modified_ms // 1000}


def _object_parts(call: Call, record: Record) -> dict[str, Any]:
    """Parts are listed where they have checksums of their own (composite ones)."""
    algorithm, kind, _ = record.checksum
    counted: dict[str, Any] = {"TotalPartsCount": len(record.parts)}
    if kind != checksums.COMPOSITE:
        return counted
    marker = int(call.params.get("PartNumberMarker") or 0)
    limit = min(int(call.params.get("MaxParts", 1000)), 1000)
    numbers = [part for part in record.parts if part[0] > marker]
    page = numbers[:limit]
    return {
        **counted,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1][0] if page else 0,
        "MaxParts": limit,
        "IsTruncated": len(numbers) > len(page),
        "Parts": [
            {"PartNumber": number, "Size": size, checksums.member(algorithm): value}
            for number, size, value in page
        ],
    }
