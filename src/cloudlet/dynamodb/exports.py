"""ExportTableToPointInTime: a table as files in S3, in DynamoDB's own JSON, laid out as AWS does.

`data/*.json.gz` hold an item in each line; `manifest-files.json` lists them with their checksums,
and `manifest-summary.json`, written last, tells that all is there. cloudlet keeps no history: it
exports the table as it is when the job runs, so that is the only moment one can ask for, and
point-in-time recovery need not be on.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import asyncio
import gzip
import hashlib
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

import orjson

from cloudlet.call import Call, Caller, Cloud, Output
from cloudlet.dynamodb import definitions, transfers
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.transfers import Job
from cloudlet.errors import AwsError, NotImplementedByCloudlet, refuse
from cloudlet.exchange import Body
from cloudlet.store.database import Transaction, View

_FILE_BYTES = 64 << 20  # of items, before they are compressed
_BLOCK_BYTES = 256 << 10
_TOLD = ("ClientToken", "S3Bucket", "S3BucketOwner", "S3Prefix", "S3SseAlgorithm", "S3SseKmsKeyId")
_WHOLE = {"ExportFormat": "DYNAMODB_JSON", "ExportType": "FULL_EXPORT"}


class _File(NamedTuple):
    contents: IO[bytes]
    size: int
    items: int
    md5: str


def export_table_to_point_in_time(call: Call, tx: Transaction) -> Output:
    """Begins a full export of the table as it is."""
    params = call.params
    for name, only in _WHOLE.items():
        if params.get(name) not in (None, only):
            raise NotImplementedByCloudlet(f"{name} {params[name]}")
    refuse(params, "IncrementalExportSpecification", "FilterSpecification", what="Exports with {}")
    before = transfers.repeated(call, tx, "Export")
    if before is not None:
        return {"ExportDescription": before.described()}
    table = definitions.find(tx, call.config, params["TableArn"])
    if table is None:
        raise AwsError("TableNotFoundException", f"Table not found: {params['TableArn']}")
    _check_moment(call, table)
    told = {name: params[name] for name in _TOLD if params.get(name) is not None}
    told.setdefault("S3SseAlgorithm", "AES256")
    moment = {"ExportTime": call.now_ms, "TableId": table.document["TableId"]}
    job = transfers.new(call, "Export", table.arn, {**told, **_WHOLE, **moment})
    transfers.begin(tx, job)
    return {"ExportDescription": job.described()}


def _check_moment(call: Call, table: Table) -> None:
    """dynamodb-046: the present second, or none."""
    wanted = call.params.get("ExportTime")
    if wanted is None:
        return
    wanted_s = wanted.timestamp() if isinstance(wanted, datetime) else float(wanted)
    if int(wanted_s) != call.now_ms // 1000:
        raise AwsError(
            "InvalidExportTimeException",
            f"The specified ExportTime is outside of the point in time recovery window of table"
            f" {table.name}: cloudlet keeps no history, and exports the present moment",
        )


def describe_export(call: Call, view: View) -> Output:
    """How far an export is, or where it lies."""
    job = transfers.find(view, call.params["ExportArn"], "Export")
    return {"ExportDescription": job.described()}


def list_exports(call: Call, view: View) -> Output:
    """The latest first."""
    jobs, token = transfers.page(view, "Export", call.params, call.params.get("MaxResults"))
    names = ("ExportArn", "ExportStatus", "ExportType")
    shown = [{name: job.described()[name] for name in names} for job in jobs]
    return {"ExportSummaries": shown, **({"NextToken": token} if token else {})}


async def run(cloud: Cloud, job: Job, caller: Caller | None) -> None:
    """All files, the summary last; begun anew, whatever was there before is written again."""
    job.told["ExportTime"] = cloud.config.now_ms()
    prefix = f"{job.told['S3Prefix'].rstrip('/')}/" if job.told.get("S3Prefix") else ""
    place = _Place(cloud, job, caller, f"{prefix}AWSDynamoDB/{job.id}")
    await place.put("_started", Body.of(b""))
    with ExitStack() as stack:
        files = await asyncio.to_thread(_written, cloud, job, stack)
        lines = [await place.put_data(file) for file in files]
    listed = await place.put_manifest("manifest-files", b"".join(lines))
    job.told["ItemCount"] = sum(file.items for file in files)
    job.told["BilledSizeBytes"] = sum(file.size for file in files)
    job.told["EndTime"] = cloud.config.now_ms()
    summary = orjson.dumps(_summary(job, listed))
    job.told["ExportManifest"] = await place.put_manifest("manifest-summary", summary)


class _Place(NamedTuple):
    """Where the files of one export go."""

    cloud: Cloud
    job: Job
    caller: Caller | None
    folder: str

    async def put(self, name: str, body: Body) -> tuple[str, str]:
        """The object's key and ETag."""
        told, key = self.job.told, f"{self.folder}/{name}"
        params: dict[str, Any] = {"Bucket": told["S3Bucket"], "Key": key, "Body": body}
        if told.get("S3BucketOwner"):
            params["ExpectedBucketOwner"] = told["S3BucketOwner"]
        if told["S3SseAlgorithm"] == "KMS":
            params["ServerSideEncryption"] = "aws:kms"
            if told.get("S3SseKmsKeyId"):
                params["SSEKMSKeyId"] = told["S3SseKmsKeyId"]
        output = await self.cloud.invoke("s3", "PutObject", params, self.caller)
        return key, output.get("ETag", "").strip('"')

    async def put_data(self, file: _File) -> bytes:
        """A line of the manifest."""

        async def receive() -> bytes:
            return await asyncio.to_thread(file.contents.read, _BLOCK_BYTES)

        name = f"data/{self.cloud.config.new_id()[-26:]}.json.gz"
        key, etag = await self.put(name, Body(receive, file.size))
        line = {
            "itemCount": file.items,
            "md5Checksum": file.md5,
            "etag": etag,
            "dataFileS3Key": key,
        }
        return orjson.dumps(line) + b"\n"

    async def put_manifest(self, name: str, contents: bytes) -> str:
        key, _ = await self.put(f"{name}.json", Body.of(contents))
        digest = hashlib.md5(contents, usedforsecurity=False).digest()
        await self.put(f"{name}.checksum", Body.of(b64encode(digest)))
        return key


def _written(cloud: Cloud, job: Job, stack: ExitStack) -> list[_File]:
    """The table at one moment, as compressed temporary files; an empty table is one, too."""
    with cloud.database.snapshot() as view:
        table = definitions.find(view, cloud.config, job.table_arn)
        if table is None or table.document["TableId"] != job.told["TableId"]:
            raise AwsError("TableNotFoundException", f"Table not found: {job.table_arn}")
        rows = view.rows(f"SELECT item FROM {table.sql_table} ORDER BY pk, sk")
        files = [_file(rows, stack)]
        while files[-1].items:
            files.append(_file(rows, stack))
    return files[:-1] or files


def _file(rows: Iterator[Any], stack: ExitStack) -> _File:
    """As many items as fit."""
    contents = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
    items = size_bytes = 0
    with gzip.GzipFile(fileobj=contents, mode="wb", mtime=0, compresslevel=6) as packed:
        for row in rows:
            packed.write(b'{"Item":' + row[0] + b"}\n")
            items += 1
            size_bytes += len(row[0])
            if size_bytes >= _FILE_BYTES:
                break
    size = contents.tell()
    contents.seek(0)
    md5 = hashlib.file_digest(contents, "md5").digest()
    contents.seek(0)
    return _File(contents, size, items, b64encode(md5).decode())


def _summary(job: Job, listed: str) -> dict[str, Any]:
    told = job.told
    return {
        "version": "2020-06-30",
        "exportArn": job.arn,
        "startTime": _iso(told["StartTime"]),
        "endTime": _iso(told["EndTime"]),
        "tableArn": job.table_arn,
        "tableId": told["TableId"],
        "exportTime": _iso(told["ExportTime"]),
        "s3Bucket": told["S3Bucket"],
        "s3Prefix": told.get("S3Prefix"),
        "s3SseAlgorithm": told["S3SseAlgorithm"],
        "s3SseKmsKeyId": told.get("S3SseKmsKeyId"),
        "manifestFilesS3Key": listed,
        "billedSizeBytes": told["BilledSizeBytes"],
        "itemCount": told["ItemCount"],
        "outputFormat": told["ExportFormat"],
        "exportType": told["ExportType"],
    }


def _iso(moment_ms: int) -> str:
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}Z"
