"""Inventories: lists of a bucket's objects as CSV, put into another bucket each day or week.

Written page by page into a temporary file, so that memory stays flat. Whether reports may be put
there, the destination's policy decides.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html
"""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import IO, Any
from urllib.parse import quote_plus

from cloudlet.call import Call, Caller, Cloud, Output, Result
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.exchange import Body
from cloudlet.s3 import announce, configurations, faults, records, replication, traits
from cloudlet.s3.bucket import Bucket, of_name, put_setting, setting
from cloudlet.s3.configurations import INVENTORY, Document
from cloudlet.s3.records import Record
from cloudlet.store.database import Transaction, View

CHECK_S = 600
_DAY_MS = 86_400_000
_EVERY_MS = {"Daily": _DAY_MS, "Weekly": 7 * _DAY_MS}
_BLOCK_BYTES = 256 << 10
_FIELDS = (
    "Size",
    "LastModifiedDate",
    "StorageClass",
    "ETag",
    "IsMultipartUploaded",
    "ReplicationStatus",
    "EncryptionStatus",
    "ChecksumAlgorithm",
)
_ABSENT = (
    "ObjectLockRetainUntilDate",
    "ObjectLockMode",
    "ObjectLockLegalHoldStatus",
    "IntelligentTieringAccessTier",
    "BucketKeyStatus",
    "ObjectAccessControlList",
    "ObjectOwner",
    "LifecycleExpirationDate",
)
_log = logging.getLogger(__name__)


def put_bucket_inventory_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.put(call, tx, INVENTORY, _check)


def get_bucket_inventory_configuration(call: Call, view: View) -> Output:
    return configurations.get(call, view, INVENTORY)


def delete_bucket_inventory_configuration(call: Call, tx: Transaction) -> Result:
    return configurations.delete(call, tx, INVENTORY)


def list_bucket_inventory_configurations(call: Call, view: View) -> Output:
    return configurations.listed(call, view, INVENTORY)


def _check(wanted: Document) -> None:
    to = (wanted.get("Destination") or {}).get("S3BucketDestination") or {}
    fields = wanted.get("OptionalFields") or []
    fits = (
        to.get("Format") in ("CSV", "ORC", "Parquet")
        and (wanted.get("Schedule") or {}).get("Frequency") in _EVERY_MS
        and wanted.get("IncludedObjectVersions") in ("All", "Current")
        and wanted.get("IsEnabled") is not None
        and not set(fields) - {*_FIELDS, *_ABSENT}
    )
    if not fits:
        raise faults.malformed_xml()
    configurations.check_destination(to.get("Bucket"))
    if to["Format"] != "CSV":
        raise NotImplementedByCloudlet(f"S3 inventories in {to['Format']}")
    if to.get("Encryption"):
        raise NotImplementedByCloudlet("Encryption of S3 inventories")
    for field in fields:
        if field in _ABSENT:
            raise NotImplementedByCloudlet(f"The inventory field {field}")


async def report(cloud: Cloud) -> None:
    """All inventories that are due."""
    view, now_ms = cloud.database.view(), cloud.config.now_ms()
    for name, wanted in configurations.all_of(view, INVENTORY):
        bucket = of_name(view, name)
        if bucket is None or not wanted["IsEnabled"]:
            continue
        last_ms = (setting(view, bucket.id, "inventoried") or {}).get(wanted["Id"], 0)
        if now_ms - last_ms < _EVERY_MS[wanted["Schedule"]["Frequency"]]:
            continue
        try:
            await _report(cloud, bucket, wanted)
        except AwsError as error:
            _log.warning("the inventory %s of %s is not delivered: %s", wanted["Id"], name, error)
        await cloud.database.write(partial(_note, bucket, wanted["Id"], now_ms))


def _note(bucket: Bucket, name: str, now_ms: int, tx: Transaction) -> None:
    known = setting(tx, bucket.id, "inventoried") or {}
    put_setting(tx, bucket.id, "inventoried", {**known, name: now_ms})


async def _report(cloud: Cloud, bucket: Bucket, wanted: Document) -> None:
    """The data first, then the manifest, its checksum last."""
    to, now_ms = wanted["Destination"]["S3BucketDestination"], cloud.config.now_ms()
    prefix = f"{to['Prefix']}/" if to.get("Prefix") else ""
    place = f"{prefix}{bucket.name}/{wanted['Id']}"
    data_key = f"{place}/data/{cloud.config.new_id()}.csv.gz"
    with tempfile.TemporaryFile() as file:
        size, md5 = await asyncio.to_thread(_write, cloud, bucket, wanted, file)
        await _put(cloud, bucket, (to["Bucket"], data_key), _body(file, size))
    manifest = {
        "sourceBucket": bucket.name,
        "destinationBucket": to["Bucket"],
        "version": "2016-11-30",
        "creationTimestamp": str(now_ms),
        "fileFormat": "CSV",
        "fileSchema": ", ".join(_columns(wanted)),
        "files": [{"key": data_key, "size": size, "MD5checksum": md5}],
    }
    text = json.dumps(manifest).encode()
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    folder = f"{place}/{moment:%Y-%m-%dT%H-%MZ}"
    await _put(cloud, bucket, (to["Bucket"], f"{folder}/manifest.json"), Body.of(text))
    sum_ = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
    await _put(cloud, bucket, (to["Bucket"], f"{folder}/manifest.checksum"), Body.of(sum_))


async def _put(cloud: Cloud, bucket: Bucket, to: tuple[str, str], body: Body) -> None:
    account = cloud.config.account
    context = {"aws:SourceArn": f"arn:aws:s3:::{bucket.name}", "aws:SourceAccount": account}
    caller = Caller("service", announce.PRINCIPAL, account, context=context)
    params = {"Bucket": to[0].rpartition(":")[2], "Key": to[1], "Body": body}
    await cloud.invoke("s3", "PutObject", params, caller)


def _body(file: IO[bytes], size: int) -> Body:
    async def receive() -> bytes:
        return await asyncio.to_thread(file.read, _BLOCK_BYTES)

    return Body(receive, size)


def _columns(wanted: Document) -> list[str]:
    versions = ["VersionId", "IsLatest", "IsDeleteMarker"]
    is_all = wanted["IncludedObjectVersions"] == "All"
    return ["Bucket", "Key", *(versions if is_all else []), *(wanted.get("OptionalFields") or [])]


def _write(cloud: Cloud, bucket: Bucket, wanted: Document, file: IO[bytes]) -> tuple[int, str]:
    """The compressed lines; answers their size and MD5, with the file at its beginning."""
    prefix = (wanted.get("Filter") or {}).get("Prefix") or ""
    columns = _columns(wanted)
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        lines = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in _rows(cloud.database.view(), bucket, prefix, "IsLatest" in columns):
            if not row["key"].startswith(prefix):
                break
            told = _told(bucket, row)
            lines.writerow([told[column] for column in columns])
        text.flush()
    size = file.tell()
    file.seek(0)
    md5 = hashlib.md5(usedforsecurity=False)
    while block := file.read(_BLOCK_BYTES):
        md5.update(block)
    file.seek(0)
    return size, md5.hexdigest()


def _rows(view: View, bucket: Bucket, prefix: str, with_versions: bool) -> Iterator[Any]:
    """By key from the prefix on, the newest version first."""
    tables = [("s3_object", "1"), *([("s3_version", "noncurrent_ms = 0")] if with_versions else [])]
    query = " UNION ALL ".join(
        f"SELECT {records.COLUMNS}, {latest} AS latest FROM {table} WHERE bucket = ? AND key >= ?"
        for table, latest in tables
    )
    return view.rows(f"{query} ORDER BY key, version DESC", (bucket.id, prefix) * len(tables))


def _told(bucket: Bucket, row: Any) -> dict[str, Any]:
    record, is_latest = Record.of(row), str(bool(row["latest"])).lower()
    status = replication.status_of(record.traits)
    encryption = "SSE-KMS" if "SSEKMSKeyId" in record.encryption else "SSE-S3"
    sealed = "SSE-C" if "SSECustomerKeyMD5" in record.encryption else encryption
    told = {
        "Bucket": bucket.name,
        "Key": quote_plus(record.key, safe="/"),
        "VersionId": record.version_id,
        "IsLatest": is_latest,
        "IsDeleteMarker": str(record.is_marker).lower(),
        "Size": record.size,
        "LastModifiedDate": announce.iso(record.modified_ms),
        "StorageClass": traits.storage_class(record.traits),
        "ETag": record.etag,
        "IsMultipartUploaded": str(bool(record.upload)).lower(),
        "ReplicationStatus": status or "",
        "EncryptionStatus": sealed,
        "ChecksumAlgorithm": record.checksum[0],
    }
    return {**told, "Size": "", "ETag": ""} if record.is_marker else told
