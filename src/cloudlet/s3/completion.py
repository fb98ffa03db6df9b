"""Completing multipart uploads: the parts named are checked, the object is made of them.

Completion strings the parts' segments together; no byte is copied, and no part is read again.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

import hashlib
import json
from typing import Any

from cloudlet.call import Call, Output
from cloudlet.errors import AwsError
from cloudlet.s3 import attributes, checksums, conditions, encryption, faults, multipart, records
from cloudlet.s3.bucket import address, of_call
from cloudlet.s3.multipart import Upload
from cloudlet.s3.objects import made, place, written
from cloudlet.s3.records import Record
from cloudlet.s3.seals import Kept
from cloudlet.store.database import Row, Transaction
from cloudlet.wire.digests import mismatch

PART_BYTES_MIN = 5 << 20


def complete_multipart_upload(call: Call, tx: Transaction) -> Output:
    conditions.check_write_header(call.params)
    attributes.refuse_absent(call.params)
    checksums.given(call.params)  # before all else: several are refused
    done = _completed(call, tx)
    if done is not None:
        return done
    upload = multipart.of_id(call, tx)
    wanted = (call.params.get("MultipartUpload") or {}).get("Parts") or []
    if call.params.get("MultipartUpload") is None:
        raise faults.invalid_request("You must specify at least one part")
    if not wanted:
        raise faults.malformed_xml()
    if upload.algorithm or call.params.get("SSECustomerAlgorithm"):
        encryption.check_upload(call, upload.encryption)
    rows = _chosen(tx, upload, wanted)
    record = _assembled(call, upload, rows)
    _check_whole(call, upload, record)
    _check_all_said(upload, wanted)
    records.hold(tx, record.segments)  # before the parts let go of the same blobs
    multipart.drop(tx, call.cloud.blobs, upload.id)
    more = place(call, tx, record, None, "CompleteMultipartUpload")
    if upload.disturbed:
        conditions.check_undisturbed(call.params, upload.key)
    return {**_completion(call, record), **more}


def _completion(call: Call, record: Record) -> Output:
    bucket = call.params["Bucket"]
    location = address(call.request, bucket, record.key)
    place = {"Bucket": bucket, "Key": record.key, "Location": location}
    output = {**place, **written(record)}
    if "_unsummed" in record.encryption:
        for name in checksums.output(record.checksum):
            del output[name]
    return output


def _completed(call: Call, tx: Transaction) -> Output | None:
    """A client that lost the answer asks again and gets it, while the object is still there."""
    record = records.load(tx, of_call(call, tx).id, call.params["Key"])
    if record is None or not record.upload or record.upload != call.params["UploadId"]:
        return None
    return {**_completion(call, record), **made(record)}


def _chosen(tx: Transaction, upload: Upload, wanted: list[dict[str, Any]]) -> list[Row]:
    rows = {
        row["number"]: row
        for row in tx.all("SELECT * FROM s3_part WHERE upload = ? ORDER BY number", (upload.id,))
    }
    chosen: list[Row] = []
    for each, following in zip(wanted, [*wanted[1:], {}], strict=True):
        if not {"PartNumber", "ETag"} <= each.keys():
            raise faults.malformed_xml()
        number = each["PartNumber"]
        if number < 1:
            text = "PartNumber must be >= 1"
            raise faults.invalid_argument(text, "PartNumber", number)
        if number == following.get("PartNumber"):
            continue  # s3-065: of a part that is named again the last name counts
        if chosen and number <= chosen[-1]["number"]:
            raise AwsError(
                "InvalidPartOrder",
                "The list of parts was not in ascending order. Parts must be ordered by part "
                "number.",
                400,
                UploadId=upload.id,
            )
        row = rows.get(number)
        if row is None or _etag(each) != row["etag"]:
            raise _invalid_part(upload, each)
        _check_part(upload, each, row)
        chosen.append(row)
    for row in chosen[:-1]:
        if row["size"] < PART_BYTES_MIN:
            raise AwsError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                400,
                ProposedSize=row["size"],
                MinSizeAllowed=PART_BYTES_MIN,
                PartNumber=row["number"],
                ETag=row["etag"],
            )
    return chosen


def _etag(each: dict[str, Any]) -> str:
    return str(each["ETag"]).strip('"')


def _invalid_part(upload: Upload, each: dict[str, Any]) -> AwsError:
    return AwsError(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been "
        "uploaded, or the specified entity tag may not match the part's entity tag.",
        400,
        UploadId=upload.id,
        PartNumber=each["PartNumber"],
        ETag=_etag(each),
    )


def _check_part(upload: Upload, each: dict[str, Any], row: Row) -> None:
    said = checksums.of_part(each)
    if said is None:
        return
    if upload.algorithm and said[0] != upload.algorithm:
        raise AwsError(
            "BadDigest",
            f"The {said[0].lower()} you specified for part {row['number']} did not match what we "
            "received.",
            400,
        )
    if said != (upload.algorithm, row["checksum"]):
        raise _invalid_part(upload, each)


def _check_all_said(upload: Upload, wanted: list[dict[str, Any]]) -> None:
    """Composite checksums are told part by part."""
    if upload.type != checksums.COMPOSITE:
        return
    for each in wanted:
        if checksums.given(each) is None:
            raise faults.invalid_request(
                "The upload was created using a "
                f"{upload.algorithm.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {each['PartNumber']} in the "
                "request."
            )


def _assembled(call: Call, upload: Upload, rows: list[Row]) -> Record:
    md5s = b"".join(bytes.fromhex(row["etag"]) for row in rows)
    etag = f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(rows)}"
    algorithm = upload.kept_algorithm
    values = [(row["checksum"], row["size"]) for row in rows]
    value = checksums.of_parts(algorithm, upload.type, values)
    return Record(
        upload.bucket,
        upload.key,
        sum(row["size"] for row in rows),
        etag,
        call.now_ms,
        (algorithm, upload.type, value),
        json.loads(upload.tags),
        json.loads(upload.headers),
        json.loads(upload.metadata),
        [(row["number"], row["size"], row["checksum"]) for row in rows],
        [piece for row in rows for piece in records.segments_of(row["segments"])],
        upload=upload.id,
        encryption=_kept(upload),
        traits=upload.traits,
    )


def _kept(upload: Upload) -> Kept:
    """s3-056: of a sealed object whose uploader named no checksum, the completion tells none; nor
    do reads, with a key of the client's."""
    unsummed = upload.encryption and not upload.algorithm
    return {**upload.encryption, "_unsummed": True} if unsummed else upload.encryption


def _check_whole(call: Call, upload: Upload, record: Record) -> None:
    params = call.params
    kind = params.get("ChecksumType")
    chosen = upload.type if upload.algorithm else "null"
    if kind is not None and kind != chosen:
        raise faults.invalid_request(
            f"The upload was created using the {chosen} checksum mode. The complete request "
            "must use the same checksum mode."
        )
    size = params.get("MpuObjectSize")
    if size is not None and size != record.size:
        raise faults.invalid_request(
            f"The provided 'x-amz-mp-object-size' header value {size} does not match what was "
            f"computed: {record.size}"
        )
    said = checksums.given(params)
    algorithm, _, value = record.checksum
    if said is None or (not upload.algorithm and said[0] != algorithm):
        return  # s3-096: nothing is made of another algorithm's where the uploader named none
    # s3-097: a checksum without its type is taken for one of parts, unless nothing else can be
    is_amiss = upload.algorithm not in ("", checksums.DEFAULT) and kind != upload.type
    is_amiss = is_amiss and upload.type == checksums.FULL
    if is_amiss or (said[0], said[1].split("-")[0]) != (algorithm, value.split("-")[0]):
        raise mismatch(algorithm.lower())
