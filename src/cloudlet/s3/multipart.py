"""Multipart uploads: beginning one, its parts, giving it up. `completion` ends them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import json
from dataclasses import dataclass
from typing import Any

from cloudlet.call import Call, Output, Result
from cloudlet.s3 import (
    attributes,
    checksums,
    conditions,
    encryption,
    faults,
    intake,
    lifecycle,
    locks,
    records,
    replication,
    traits,
)
from cloudlet.s3.attributes import Attributes
from cloudlet.s3.bucket import of_call
from cloudlet.s3.seals import Kept, shown
from cloudlet.store.blobs import Blobs, Segment
from cloudlet.store.database import Transaction, View

PARTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """`algorithm` is "" where the creator named none; `kept_algorithm` is what is computed."""

    id: str
    bucket: int
    key: str
    created_ms: int
    initiator: str
    algorithm: str
    type: str
    tags: str
    headers: str
    metadata: str
    encryption: dict[str, Any]
    traits: dict[str, Any]
    disturbed: int  # whether its key was written to or deleted meanwhile

    @property
    def kept_algorithm(self) -> str:
        return self.algorithm or checksums.DEFAULT


def of_id(call: Call, view: View) -> Upload:
    bucket, upload_id = of_call(call, view), call.params["UploadId"]
    row = view.one(
        "SELECT id, bucket, key, created_ms, initiator, algorithm, type, tags, headers, metadata,"
        " encryption, traits, disturbed FROM s3_upload WHERE id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket.id, call.params["Key"]),
    )
    if row is None:
        raise faults.no_such_upload(upload_id)
    documents = {name: json.loads(row[name]) for name in ("encryption", "traits")}
    return Upload(**{**dict(row), **documents})


async def create_multipart_upload(call: Call) -> Output:
    said = attributes.of_call(call)
    seal = await encryption.wanted(call, of_call(call, call.cloud.database.view()))
    return await call.cloud.database.write(lambda tx: _create(call, tx, said, seal.kept))


def _create(call: Call, tx: Transaction, said: Attributes, kept: Kept) -> Output:
    bucket = of_call(call, tx)
    params, key = call.params, call.params["Key"]
    algorithm = params.get("ChecksumAlgorithm") or ""
    if algorithm:
        algorithm = checksums.known(algorithm)
    kind = checksums.type_of_upload(algorithm, params.get("ChecksumType"))
    upload_id = call.config.new_id().replace("-", "")
    tx.run(
        "INSERT INTO s3_upload (id, bucket, key, created_ms, initiator, algorithm, type, tags,"
        " headers, metadata, encryption, traits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            upload_id,
            bucket.id,
            key,
            call.now_ms,
            call.caller.arn,
            algorithm,
            kind,
            json.dumps(said.tags),
            json.dumps(said.headers),
            json.dumps(said.metadata),
            json.dumps(kept),
            json.dumps(traits.of_write(call, bucket)),
        ),
    )
    output: Output = {"Bucket": bucket.name, "Key": key, "UploadId": upload_id}
    output.update(shown(kept))
    if algorithm:
        output.update(ChecksumAlgorithm=algorithm, ChecksumType=kind)
    return {**output, **lifecycle.abort_due(tx, bucket.id, key, call.now_ms)}


async def upload_part(call: Call) -> Output:
    number = check_number(call.params["PartNumber"])
    attributes.refuse_absent(call.params)
    upload = of_id(call, call.cloud.database.view())
    if not replication.is_copy(call):
        locks.check_digest(call, "Part", upload.traits.get("lock", {}))
    brought = checksums.announced(call)
    _check_algorithm(upload, brought)
    seal = await encryption.of_upload(call, upload.encryption)
    contents = await intake.receive(call, (upload.kept_algorithm,), seal, inline=False)
    etag, value = seal.etag(call.config, contents.md5), contents.value(upload.kept_algorithm)
    segments = list(contents.segments)

    def change(tx: Transaction) -> None:
        part = (number, contents.size, etag, call.now_ms, value)
        put_part(tx, call.cloud.blobs, of_id(call, tx), part, segments)

    await contents.keep(call.cloud.database, change)
    output: Output = {"ETag": conditions.quoted(etag), **shown(seal.kept)}
    if algorithm := upload.algorithm or brought:
        output[checksums.member(algorithm)] = contents.value(algorithm)
    return output


def check_number(number: int) -> int:
    if not 1 <= number <= PARTS_MAX:
        raise faults.invalid_argument(
            f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive",
            "partNumber",
            number,
        )
    return number


def _check_algorithm(upload: Upload, brought: str) -> None:
    """Composite checksums are made of the ones that clients sent with each part."""
    mismatch = brought and upload.algorithm and brought != upload.algorithm
    if mismatch or (not brought and upload.type == checksums.COMPOSITE):
        raise faults.invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, "
            f"actual checksum Type: {brought.lower() or 'null'}"
        )


def put_part(
    tx: Transaction,
    blobs: Blobs,
    upload: Upload,
    part: tuple[int, int, str, int, str],
    segments: list[Segment],
) -> None:
    """Adds (number, size, etag, modified_ms, checksum), in place of the part of that number."""
    before = tx.one(
        "SELECT segments FROM s3_part WHERE upload = ? AND number = ?", (upload.id, part[0])
    )
    if before is not None:
        records.release(tx, blobs, records.segments_of(before["segments"]))
    records.hold(tx, segments)
    tx.run(
        "INSERT OR REPLACE INTO s3_part (upload, number, size, etag, modified_ms, checksum,"
        " segments) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (upload.id, *part, json.dumps(segments)),
    )


def abort_multipart_upload(call: Call, tx: Transaction) -> Result:
    drop(tx, call.cloud.blobs, of_id(call, tx).id)
    return Result({}, 204)


def drop(tx: Transaction, blobs: Blobs, upload_id: str) -> None:
    """The upload with all its parts."""
    for row in tx.all("SELECT segments FROM s3_part WHERE upload = ?", (upload_id,)):
        records.release(tx, blobs, records.segments_of(row["segments"]))
    tx.run("DELETE FROM s3_upload WHERE id = ?", (upload_id,))
