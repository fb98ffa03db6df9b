"""ImportTable: a new table from objects in S3, as DynamoDB's JSON or as CSV.

Objects are taken in the order of their keys, and lines in batches; a batch's items and the place
behind it are one transaction, so that nothing is counted twice after a crash. What is no item is
counted as an error, and told in the log group /aws-dynamodb/imports.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Format.html
"""

import asyncio
import csv
import gzip
import io
import tempfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import IO, Any, NamedTuple

import orjson

from cloudlet.call import Call, Caller, Cloud, Output, Params
from cloudlet.dynamodb import definitions, encryption, keys, storage, tables, transfers, values
from cloudlet.dynamodb.definitions import Table
from cloudlet.dynamodb.numerics import invalid
from cloudlet.dynamodb.storage import Stored
from cloudlet.dynamodb.transfers import Job
from cloudlet.errors import AwsError, NotImplementedByCloudlet
from cloudlet.store.database import Transaction, View

_BATCH = 500
_LINE_MAX = 4 << 20  # an item of 400 KB, with every letter escaped, has less
_LOGS = "/aws-dynamodb/imports"
_TOLD = (
    "ClientToken",
    "S3BucketSource",
    "InputFormat",
    "InputFormatOptions",
    "InputCompressionType",
    "TableCreationParameters",
)
_COUNTS = ("ProcessedSizeBytes", "ProcessedItemCount", "ImportedItemCount", "ErrorCount")
_BROKEN = (OSError, EOFError, zlib.error, csv.Error, UnicodeError)


async def import_table(call: Call) -> Output:
    """Creates the table, and begins to fill it."""
    key_arn = await encryption.key_of(call, call.params["TableCreationParameters"])
    return await call.cloud.database.write(lambda tx: _begin(call, tx, key_arn))


def _begin(call: Call, tx: Transaction, key_arn: str | None) -> Output:
    params = call.params
    compression = params.get("InputCompressionType", "NONE")
    if params["InputFormat"] == "ION" or compression == "ZSTD":
        raise NotImplementedByCloudlet(f"Imports of {params['InputFormat']} with {compression}")
    before = transfers.repeated(call, tx, "Import")
    if before is not None:
        return {"ImportTableDescription": before.described()}
    wanted = params["TableCreationParameters"]
    made = tables.create(replace(call, params=wanted), tx, key_arn)["TableDescription"]
    told = {name: params[name] for name in _TOLD if params.get(name) is not None}
    told |= {"InputCompressionType": compression, "TableId": made["TableId"]}
    told |= {"CloudWatchLogGroupArn": f"{call.config.arn('logs', f'log-group:{_LOGS}')}:*"}
    job = transfers.new(call, "Import", made["TableArn"], {**told, **dict.fromkeys(_COUNTS, 0)})
    job.state["place"] = ["", 0]  # an object's key, and how many of its lines are done
    transfers.begin(tx, job)
    return {"ImportTableDescription": job.described()}


def describe_import(call: Call, view: View) -> Output:
    """How far an import is, and what it could not take."""
    job = transfers.find(view, call.params["ImportArn"], "Import")
    return {"ImportTableDescription": job.described()}


def list_imports(call: Call, view: View) -> Output:
    """The latest first."""
    jobs, token = transfers.page(view, "Import", call.params, call.params.get("PageSize"))
    names = ("ImportArn", "ImportStatus", "TableArn", "S3BucketSource", "CloudWatchLogGroupArn",
             "InputFormat", "StartTime", "EndTime")  # fmt: skip
    shown = [{n: v for n, v in job.described().items() if n in names} for job in jobs]
    return {"ImportSummaryList": shown, **({"NextToken": token} if token else {})}


async def run(cloud: Cloud, job: Job, caller: Caller | None) -> None:
    """All objects that begin with the prefix, from where the last run ended."""
    source = job.told["S3BucketSource"]
    wanted: Params = {"Bucket": source["S3Bucket"], "Prefix": source.get("S3KeyPrefix", "")}
    if source.get("S3BucketOwner"):
        wanted["ExpectedBucketOwner"] = source["S3BucketOwner"]
    while True:
        listed = await cloud.invoke("s3", "ListObjectsV2", dict(wanted), caller)
        for entry in listed.get("Contents") or ():
            if entry["Key"] >= job.state["place"][0]:
                await _take(cloud, job, caller, entry["Key"])
        token = listed.get("NextContinuationToken")
        if not token:
            return
        wanted["ContinuationToken"] = token


async def _take(cloud: Cloud, job: Job, caller: Caller | None, key: str) -> None:
    """One object, fetched into a temporary file."""
    if job.state["place"][0] != key:
        job.state["place"] = [key, 0]
    params = {"Bucket": job.told["S3BucketSource"]["S3Bucket"], "Key": key}
    answer = await cloud.invoke("s3", "GetObject", params, caller)
    with tempfile.TemporaryFile() as file, closing(_lines(file, job)) as lines:
        await _fetch(answer["Body"], file)
        try:
            await asyncio.to_thread(lambda: [None for _ in islice(lines, job.state["place"][1])])
            while (batch := await asyncio.to_thread(_batch, lines)).lines:
                await cloud.database.write(partial(_store, cloud, job, batch))
        except _BROKEN as error:
            raise invalid(f"The object {key} cannot be read: {error}") from None


async def _fetch(body: Any, file: IO[bytes]) -> None:
    if isinstance(body, bytes):
        file.write(body)
    else:
        try:
            async for chunk in body:
                file.write(chunk)
        finally:
            if hasattr(body, "aclose"):
                await body.aclose()
    file.seek(0)


def _lines(file: IO[bytes], job: Job) -> Generator[Any, None, None]:
    """What there is for each item: a line's bytes, or a row's texts by name."""
    is_packed = job.told["InputCompressionType"] == "GZIP"
    opened: Any = gzip.GzipFile(fileobj=file) if is_packed else file
    if job.told["InputFormat"] != "CSV":
        while line := opened.readline(_LINE_MAX):
            yield line
            while line and not line.endswith(b"\n"):  # no item: of the rest nothing is kept
                line = opened.readline(_LINE_MAX)
        return
    options = (job.told.get("InputFormatOptions") or {}).get("Csv") or {}
    delimiter = options.get("Delimiter", ",")
    with io.TextIOWrapper(opened, encoding="utf-8-sig", newline="") as text:
        yield from csv.DictReader(_limited(text), options.get("HeaderList"), delimiter=delimiter)


def _limited(text: IO[str]) -> Iterator[str]:
    while line := text.readline(_LINE_MAX):
        if len(line) == _LINE_MAX:
            raise csv.Error("a line is too long")
        yield line


class _Batch(NamedTuple):
    raw: list[Any]
    lines: int  # with those that are empty


def _batch(lines: Iterator[Any]) -> _Batch:
    """So many that each batch takes little time and memory, whatever a bomb unpacks to."""
    batch: list[Any] = []
    count = size = 0
    for each in lines:
        count += 1
        if isinstance(each, bytes):
            size += len(each)
            is_empty = each.isspace()
        else:
            size += len(str(each))
            is_empty = False
        if not is_empty:
            batch.append(each)
        if len(batch) == _BATCH or count == 100 * _BATCH or size > _LINE_MAX:
            break
    return _Batch(batch, count)


def _store(cloud: Cloud, job: Job, batch: _Batch, tx: Transaction) -> None:
    table = definitions.find(tx, cloud.config, job.table_arn)
    if table is None or table.document["TableId"] != job.told["TableId"]:
        raise AwsError("ResourceNotFoundException", "The table was deleted during the import")
    counts = dict.fromkeys(_COUNTS, 0)
    for raw in batch.raw:
        counts["ProcessedItemCount"] += 1
        try:
            counts["ProcessedSizeBytes"] += _put(cloud, tx, table, raw)
            counts["ImportedItemCount"] += 1
        except AwsError as error:
            counts["ErrorCount"] += 1
            place = [job.state["place"][0], job.state["place"][1] + counts["ProcessedItemCount"]]
            told = {"importArn": job.arn, "s3Key": place[0], "itemNumber": place[1]}
            message = orjson.dumps({**told, "errorMessage": error.message}).decode()
            cloud.journal.write(tx, _LOGS, f"{job.id}/error", message)
    done = job.state["place"][1] + batch.lines
    further = replace(job, told=dict(job.told), state={**job.state})
    further.state["place"] = [job.state["place"][0], done]
    for name, count in counts.items():
        further.told[name] += count
    transfers.keep(tx, further)
    job.told, job.state = further.told, further.state


def _put(cloud: Cloud, tx: Transaction, table: Table, raw: Any) -> int:
    item, size_bytes = values.canonical_item(_item(table, raw))
    if size_bytes > values.ITEM_MAX_BYTES:
        raise invalid("Item size has exceeded the maximum allowed size")
    key = keys.of_item(table, item)
    old, new = storage.get(tx, table, key), Stored(item, size_bytes)
    storage.change(tx, table, [(key, (old, new))], storage.context(cloud.config))
    return size_bytes


def _item(table: Table, raw: Any) -> dict[str, Any]:
    if isinstance(raw, bytes):
        try:
            item = orjson.loads(raw)["Item"]
        except (ValueError, KeyError, TypeError):
            item = None
        if not isinstance(item, dict):
            raise invalid("The line is no item in DynamoDB JSON")
        return item
    if None in raw or None in raw.values():
        raise invalid("The row has not as many values as there are headers")
    # dynamodb-047: all is text but the keys of table and indexes; what is empty isn't there
    return {name: {table.types.get(name, "S"): text} for name, text in raw.items() if text}
