"""Copies within the store. They share the bytes of their source; nothing is written again.

Where a copy needs sums that its source doesn't have (the MD5 of a multipart object or of a range,
another checksum), the bytes are read once, in a thread, while they are pinned.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.s3 import (
    attributes,
    checksums,
    conditions,
    default_encryption,
    encryption,
    faults,
    foreign,
    multipart,
    ranges,
    records,
    service_keys,
    traits,
    versions,
)
from cloudlet.s3.attributes import Attributes
from cloudlet.s3.bucket import of_call, of_name
from cloudlet.s3.intake import BODY_BYTES_MAX
from cloudlet.s3.objects import place
from cloudlet.s3.records import Record
from cloudlet.s3.seals import Seal, rewrapped, shown
from cloudlet.store.blobs import Blobs, BlobWriter, Segment
from cloudlet.store.database import Transaction, View

_RANGE = re.compile(r"bytes=([0-9]{1,20})-([0-9]{1,20})")


class _Source(NamedTuple):
    """A pinned source: small ones have `data`, others `segments`."""

    record: Record
    data: bytes | None
    segments: list[Segment]
    shown: dict[str, str]  # its version, as an output member
    seal: Seal


_HOST = re.compile(r"https?://[^/]+")


class _Changed(Exception):
    """The source was overwritten while it was read; the copy starts again."""


def source_of(call: Call) -> tuple[str, str, str | None]:
    """Bucket, key and version id of x-amz-copy-source, or of its in-process form."""
    given = call.params["CopySource"]
    if isinstance(given, dict):
        return given["Bucket"], given["Key"], given.get("VersionId")
    path, _, query = _HOST.sub("", str(given)).partition("?")  # s3-098: whole URLs are taken, too
    bucket, _, key = unquote_plus(path).removeprefix("/").partition("/")
    if not bucket or not key or bucket.startswith("arn:"):
        name = "x-amz-copy-source"
        raise faults.invalid_argument("Invalid copy source object key", name, name)
    if not query.startswith("versionId="):
        return bucket, key, None
    version_id = unquote(query.removeprefix("versionId="))
    versions.check_id(version_id)
    return bucket, key, version_id


async def copy_object(call: Call) -> Output:
    _check_directives(call)
    said = attributes.of_call(call)
    conditions.check_write_header(call.params)
    while True:
        try:
            async with _pinned(call, None) as source:
                return await _copy(call, said, source)
        except _Changed:
            continue


def _check_directives(call: Call) -> None:
    params = call.params
    for name in ("MetadataDirective", "TaggingDirective"):
        if params.get(name, "COPY") not in ("COPY", "REPLACE"):
            raise faults.invalid_argument(f"Unknown {name}.", name, params[name])
    same = source_of(call) == (params["Bucket"], params["Key"], None)
    changes = (
        params.get("MetadataDirective") == "REPLACE"
        or params.get("TaggingDirective") == "REPLACE"
        or params.get("ServerSideEncryption")
        or params.get("SSECustomerAlgorithm")
        or params.get("StorageClass")
        or params.get("WebsiteRedirectLocation")
        or params.get("ChecksumAlgorithm")
    )
    if same and not changes and not _reseals(call):
        raise faults.invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or "
            "encryption attributes."
        )


def _reseals(call: Call) -> bool:
    """s3-055: a copy onto itself changes something where it is kept in another way afterwards, and
    wherever the bucket has had its default encryption set."""
    view = call.cloud.database.view()
    bucket = of_call(call, view)
    record = records.load(view, bucket.id, call.params["Key"])
    is_set = "SSEAlgorithm" in default_encryption.of_bucket(bucket)
    return is_set or bool(record and record.encryption)


@asynccontextmanager
async def _pinned(call: Call, wanted: str | None) -> AsyncIterator[_Source]:
    """The source object, or a range of it, kept readable meanwhile."""
    name, key, version_id = source_of(call)
    if of_name(call.cloud.database.view(), name) is None:
        place = {"Bucket": name, "Key": key, "VersionId": version_id}
        place["ExpectedBucketOwner"] = call.params.get("ExpectedSourceBucketOwner")
        record = await foreign.described(call, place)
        part = _range(wanted, record.size)
        async with foreign.taken(call, place, record, part) as (data, segments):
            yield _Source(record, data, segments, {}, Seal({}, call.cloud.blobs.master.wrapper))
        return
    seal: Seal | None = None
    while True:
        with call.cloud.database.snapshot() as view:
            record = _load(call, view)
            conditions.check_source(call.params, record, call.now_ms)
            traits.check_source(record.traits)
            part = _range(wanted, record.size)
            seal = encryption.of_kept(call, record.encryption, "CopySource", seal)
            data = None
            if seal is not None and not record.segments:
                data = records.data(view, record, seal.wrapper)[slice(*part)]
        if seal is not None:
            break
        seal = await service_keys.opened(call, record.encryption)
    segments = ranges.cut(record.segments, part)
    reader = call.cloud.blobs.reader(segments)
    try:
        _check_unchanged(call, call.cloud.database.view(), record)  # since it is pinned, it stays
        # s3-054: the null version isn't named
        version = {"CopySourceVersionId": record.version_id} if record.version_id else {}
        yield _Source(record, data, segments, version, seal)
    finally:
        reader.close()


def _load(call: Call, view: View) -> Record:
    bucket_name, key, version_id = source_of(call)
    bucket = of_name(view, bucket_name)
    if bucket is None:
        raise faults.no_such_bucket(bucket_name)
    expected = call.params.get("ExpectedSourceBucketOwner")
    if expected and expected != call.config.account:
        raise faults.access_denied()
    if version_id is None:
        record = records.load(view, bucket.id, key)
    else:
        record = versions.find(view, bucket.id, key, version_id)
    if record is None:
        raise versions.no_such_version(key, version_id) if version_id else faults.no_such_key(key)
    if record.is_marker:
        raise faults.invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version "
            "id."
        )
    return record


def _range(wanted: str | None, size_bytes: int) -> ranges.Range:
    if wanted is None:
        if size_bytes > BODY_BYTES_MAX:
            raise faults.invalid_request(
                "The specified copy source is larger than the maximum allowable size for a copy "
                f"source: {BODY_BYTES_MAX}"
            )
        return 0, size_bytes
    match = _RANGE.fullmatch(wanted)
    first, last = map(int, match.groups()) if match else (1, 0)
    if first > last:
        raise faults.invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            wanted,
        )
    if first >= size_bytes:
        raise faults.invalid_request(
            "The specified copy range is invalid for the source object size"
        )
    if last >= size_bytes:
        raise faults.invalid_argument(
            f"Range specified is not valid for source object of size: {size_bytes}",
            "x-amz-copy-source-range",
            wanted,
        )
    if last - first >= BODY_BYTES_MAX:
        raise AwsError(
            "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", 400
        )
    return first, last + 1


async def _copy(call: Call, said: Attributes, source: _Source) -> Output:
    record, params = source.record, call.params
    algorithm = checksums.known(params.get("ChecksumAlgorithm") or record.checksum[0])
    bucket = of_call(call, call.cloud.database.view())
    seal = await encryption.wanted(call, bucket)
    etag, checksum = record.etag, record.checksum
    if record.parts or algorithm != checksum[0] or seal.kept or record.encryption:
        md5, value = await _sums(call, source, algorithm)
        etag, checksum = seal.etag(call.config, md5), (algorithm, checksums.FULL, value)
    replaces = params.get("MetadataDirective") == "REPLACE"
    retags = params.get("TaggingDirective") == "REPLACE"
    headers = dict(said.headers if replaces else record.headers)
    headers.pop("WebsiteRedirectLocation", None)  # s3-015: a redirect is never copied
    if params.get("WebsiteRedirectLocation"):
        headers["WebsiteRedirectLocation"] = params["WebsiteRedirectLocation"]
    copy = replace(
        record,
        key=params["Key"],
        etag=etag,
        modified_ms=call.now_ms,
        checksum=checksum,
        headers=headers,
        metadata=said.metadata if replaces else record.metadata,
        tags=said.tags if retags else record.tags,
        parts=[],
        content=None,
        upload="",
    )
    copy.traits = traits.of_write(call, bucket)
    copy.encryption = seal.kept
    inline = None if source.data is None else records.sealed(source.data, seal.wrapper)
    async with _kept(call, source, seal, inline=True) as copy.segments:

        def change(tx: Transaction) -> Output:
            _check_unchanged(call, tx, source.record)
            records.hold(tx, copy.segments)
            return place(call, tx, copy, inline, "Copy")

        more = await call.cloud.database.write(change)
    more = {**shown(seal.kept), **source.shown, **more}
    result = {"ETag": conditions.quoted(etag), "LastModified": call.now_ms // 1000}
    result.update(checksums.output(checksum))
    return {"CopyObjectResult": result, **more}


@asynccontextmanager
async def _kept(
    call: Call, source: _Source, seal: Seal, *, inline: bool
) -> AsyncIterator[list[Segment]]:
    """The source's segments as the copy keeps them: the same bytes, their keys wrapped anew.

    Bytes that aren't sealed, or that are to rest on a client's own key, are written again. What was
    written goes when the copy fails.
    """
    has_keys = bool(source.segments) and all(segment.key for segment in source.segments)
    if not source.segments and (inline or not source.data):
        yield []
        return
    if has_keys and (seal.kept == source.seal.kept or "SSECustomerKeyMD5" not in seal.kept):
        yield rewrapped(source.segments, source.seal, seal)
        return
    writing = asyncio.ensure_future(asyncio.to_thread(_rewritten, call.cloud.blobs, source, seal))
    try:
        writer = await asyncio.shield(writing)
    except asyncio.CancelledError:  # a thread can't be cancelled
        writing.add_done_callback(_forget)
        raise
    try:
        yield [writer.segment]
    except (AwsError, _Changed):
        writer.discard()
        raise


def _rewritten(blobs: Blobs, source: _Source, seal: Seal) -> BlobWriter:
    writer = blobs.create(seal.wrapper.new_key())
    reader = blobs.reader(source.segments, source.seal.wrapper)
    try:
        writer.write(source.data or b"")
        while data := reader.read():
            writer.write(data)
        writer.finish()
    except BaseException:
        writer.discard()
        raise
    finally:
        reader.close()
    return writer


def _forget(writing: "asyncio.Future[BlobWriter]") -> None:
    if not writing.cancelled() and writing.exception() is None:
        writing.result().discard()


def _check_unchanged(call: Call, view: View, record: Record) -> None:
    """Its blobs may be gone if it isn't the object any more."""
    if record.bucket and not records.is_there(view, record):
        raise _Changed


async def _sums(call: Call, source: _Source, algorithm: str) -> tuple[bytes, str]:
    """MD5 and checksum of the source's bytes."""
    md5, digest = hashlib.md5(usedforsecurity=False), checksums.new(algorithm)
    if source.data is not None:
        md5.update(source.data)
        digest.update(source.data)
    else:
        reader = call.cloud.blobs.reader(source.segments, source.seal.wrapper)
        try:
            while data := await asyncio.to_thread(reader.read):
                await asyncio.to_thread(_update, (md5, digest), data)
        finally:
            reader.close()
    return md5.digest(), checksums.encode(digest.digest())


def _update(digests: tuple[checksums.Digest, ...], data: bytes) -> None:
    for digest in digests:
        digest.update(data)


async def upload_part_copy(call: Call) -> Output:
    number = multipart.check_number(call.params["PartNumber"])
    attributes.refuse_absent(call.params)
    upload = multipart.of_id(call, call.cloud.database.view())
    while True:
        try:
            async with _pinned(call, call.params.get("CopySourceRange")) as source:
                return await _copy_part(call, number, upload, source)
        except _Changed:
            continue


async def _copy_part(call: Call, number: int, upload: multipart.Upload, source: _Source) -> Output:
    seal = await encryption.of_upload(call, upload.encryption)
    md5, value = await _sums(call, source, upload.kept_algorithm)
    etag = seal.etag(call.config, md5)
    async with _kept(call, source, seal, inline=False) as segments:

        def change(tx: Transaction) -> None:
            _check_unchanged(call, tx, source.record)
            size_bytes = sum(segment.length for segment in segments)
            part = (number, size_bytes, etag, call.now_ms, value)
            multipart.put_part(tx, call.cloud.blobs, multipart.of_id(call, tx), part, segments)

        await call.cloud.database.write(change)
    result: Output = {"ETag": conditions.quoted(etag), "LastModified": call.now_ms // 1000}
    if upload.algorithm:
        result[checksums.member(upload.algorithm)] = value
    return {"CopyPartResult": result, **shown(seal.kept), **source.shown}
