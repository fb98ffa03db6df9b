"""Sources of copies in another account's bucket: read over there, in the caller's name.

What is read is kept here until the copy is made; then the copy has taken it over, or it goes.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cloudlet.call import Call, Output, Params
from cloudlet.s3 import attributes, checksums, conditions, intake
from cloudlet.s3.ranges import Range
from cloudlet.s3.records import Record
from cloudlet.store.blobs import BlobWriter, Segment

Taken = tuple[bytes | None, list[Segment]]  # small ones are bytes
_CUSTOMER = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")


async def described(call: Call, place: Params) -> Record:
    """As far as its reader learns. Its sums are taken anew: `parts` says so."""
    found = await _ask(call, "HeadObject", {**place, "ChecksumMode": "ENABLED"})
    modified: Any = found["LastModified"]
    record = Record(
        0,
        place["Key"],
        found["ContentLength"],
        found["ETag"].strip('"'),
        int(modified) * 1000,
        ((checksums.given(found) or (checksums.DEFAULT,))[0], checksums.FULL, ""),
        headers={name: found[name] for name in attributes.HEADERS if found.get(name)},
        metadata=found.get("Metadata") or {},
        parts=[(1, found["ContentLength"], "")],
        version_id="" if found.get("VersionId") in (None, "null") else found["VersionId"],
    )
    conditions.check_source(call.params, record, call.now_ms)
    if found.get("TagCount") and call.params.get("TaggingDirective") != "REPLACE":
        tags = (await _ask(call, "GetObjectTagging", place))["TagSet"]
        record.tags = {tag["Key"]: tag["Value"] for tag in tags}
    return record


async def _ask(call: Call, operation: str, params: Params) -> Output:
    params = {name: value for name, value in params.items() if value is not None}
    if operation != "GetObjectTagging":
        keys = {name: call.params.get(f"CopySource{name}") for name in _CUSTOMER}
        params |= {name: value for name, value in keys.items() if value}
    return await call.cloud.invoke("s3", operation, params, call.caller)


@asynccontextmanager
async def taken(call: Call, place: Params, record: Record, part: Range) -> AsyncIterator[Taken]:
    """The bytes of a range, while the copy is made of them."""
    size_bytes = part[1] - part[0]
    if not size_bytes:
        yield b"", []
        return
    span = f"bytes={part[0]}-{part[1] - 1}"
    whole = {**place, "Range": span, "IfMatch": f'"{record.etag}"'}
    body = (await _ask(call, "GetObject", whole))["Body"]
    if isinstance(body, bytes) and size_bytes <= intake.INLINE_BYTES_MAX:
        yield body, []
        return
    writer = call.cloud.blobs.create(call.cloud.blobs.master.wrapper.new_key())
    try:
        await _write(writer, body)
        yield None, [writer.segment]
    finally:
        view = call.cloud.database.view()
        if not view.value("SELECT 1 FROM s3_blob WHERE blob = ?", (writer.blob,)):
            writer.discard()


async def _write(writer: BlobWriter, body: Any) -> None:
    if isinstance(body, bytes):
        await asyncio.to_thread(writer.write, body)
    else:
        try:
            async for chunk in body:
                await asyncio.to_thread(writer.write, chunk)
        finally:
            await body.aclose()
    await asyncio.to_thread(writer.finish)
