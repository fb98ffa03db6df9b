"""The lake: which tables it has, where they lie, how an object of it is read and replaced.

    raw/date=D/<first>-<last>.parquet         what the stream told of orders of day D
    warehouse/fact_…/date=D/part.parquet      facts; a partition is one object
    warehouse/dim_…/dim_….parquet             dimensions; one object each
    marts/…/….parquet, marts/report.json      aggregates

S3 replaces an object as a whole, so a reader sees a partition as it was or as it is. `write` with
an `expected` ETag refuses when somebody else was faster (Contended).
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import hashlib
import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import ClientError

READERS = 8
CONNECTIONS = 64
NOTHING = ""  # the ETag of an object that is not there
MOMENT = pa.timestamp("ms")  # UTC
LINE = pa.struct(
    {
        "sku": pa.string(),
        "name": pa.string(),
        "category": pa.string(),
        "quantity": pa.int32(),
        "unit_price_cents": pa.int64(),
        "discount_cents": pa.int64(),
    }
)
CUSTOMER = pa.struct(
    {"id": pa.string(), "segment": pa.string(), "city": pa.string(), "since": pa.date32()}
)
STORE = pa.struct({"id": pa.string(), "name": pa.string(), "city": pa.string()})

SCHEMAS = {
    "raw": pa.schema(
        {
            "sequence": pa.string(),  # of the change in the stream, in 40 digits
            "event": pa.string(),
            "order_id": pa.string(),
            "order_date": pa.date32(),
            "version": pa.int32(),
            "status": pa.string(),
            "ordered_at": MOMENT,
            "recorded_at": MOMENT,
            "corrected_at": MOMENT,
            "customer": CUSTOMER,
            "store": STORE,
            "lines": pa.list_(pa.field("element", LINE)),
        }
    ),
    "fact_sales": pa.schema(
        {
            "date_key": pa.int32(),
            "customer_key": pa.int64(),
            "product_key": pa.int64(),
            "store_key": pa.int64(),
            "order_id": pa.string(),
            "line": pa.int32(),
            "quantity": pa.int32(),
            "unit_price_cents": pa.int64(),
            "discount_cents": pa.int64(),
            "amount_cents": pa.int64(),
            "version": pa.int32(),
            "ordered_at": MOMENT,
        }
    ),
    "fact_orders": pa.schema(
        {
            "date_key": pa.int32(),
            "customer_key": pa.int64(),
            "store_key": pa.int64(),
            "order_id": pa.string(),
            "version": pa.int32(),
            "lines": pa.int32(),
            "units": pa.int32(),
            "first_amount_cents": pa.int64(),
            "amount_cents": pa.int64(),
            "is_late": pa.bool_(),
            "is_corrected": pa.bool_(),
            "is_cancelled": pa.bool_(),
            "ordered_at": MOMENT,
            "recorded_at": MOMENT,
        }
    ),
    "dim_customer": pa.schema(
        {
            "customer_key": pa.int64(),
            "customer_id": pa.string(),
            "segment": pa.string(),
            "city": pa.string(),
            "valid_from": pa.date32(),
            "valid_to": pa.date32(),  # the last day; null = still
            "is_current": pa.bool_(),
            "updated_at": MOMENT,
        }
    ),
    "dim_product": pa.schema(
        {
            "product_key": pa.int64(),
            "sku": pa.string(),
            "name": pa.string(),
            "category": pa.string(),
            "updated_at": MOMENT,
        }
    ),
    "dim_store": pa.schema(
        {
            "store_key": pa.int64(),
            "store_id": pa.string(),
            "name": pa.string(),
            "city": pa.string(),
            "updated_at": MOMENT,
        }
    ),
    "dim_date": pa.schema(
        {
            "date_key": pa.int32(),
            "day": pa.date32(),
            "year": pa.int32(),
            "quarter": pa.int32(),
            "month": pa.int32(),
            "week": pa.int32(),
            "weekday": pa.int32(),  # 1 = Monday
            "is_weekend": pa.bool_(),
        }
    ),
    "daily_sales": pa.schema(
        {
            "date_key": pa.int32(),
            "store": pa.string(),
            "category": pa.string(),
            "orders": pa.int64(),
            "units": pa.int64(),
            "amount_cents": pa.int64(),
        }
    ),
    "product_sales": pa.schema(
        {
            "month": pa.string(),
            "sku": pa.string(),
            "product": pa.string(),
            "category": pa.string(),
            "units": pa.int64(),
            "amount_cents": pa.int64(),
        }
    ),
    "daily_orders": pa.schema(
        {
            "date_key": pa.int32(),
            "store": pa.string(),
            "orders": pa.int64(),
            "lines": pa.int64(),
            "units": pa.int64(),
            "late": pa.int64(),
            "corrected": pa.int64(),
            "cancelled": pa.int64(),
            "first_amount_cents": pa.int64(),
            "amount_cents": pa.int64(),
        }
    ),
}  # fmt: skip
PARTITIONED = ("raw", "fact_sales", "fact_orders")
MARTS = ("daily_sales", "product_sales", "daily_orders")
REPORT = "marts/report.json"


class Contended(Exception):
    """Somebody else has changed the object since we looked."""


def place(table: str) -> str:
    """The prefix under which all of a table's objects are, and nothing else."""
    if table == "raw":
        return "raw/"
    return f"marts/{table}/" if table in MARTS else f"warehouse/{table}/"


def key_of(table: str, date: str = "") -> str:
    """Of a table that is one object, or of one partition of a fact table."""
    return f"{place(table)}date={date}/part.parquet" if date else f"{place(table)}{table}.parquet"


def surrogate(*business_key: str) -> int:
    """A key that every run computes alike: 64 bits of a hash, as dimensions are small."""
    text = "\x1f".join(business_key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def table_of(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMAS[name])


def months(date_keys: Any) -> Any:
    """20260301 → "2026-03", for a column."""
    digits = pc.utf8_slice_codeunits(date_keys.cast(pa.string()), 0, 6)
    return pc.utf8_replace_slice(digits, start=4, stop=4, replacement="-")


@cache
def _client() -> Any:
    return boto3.client("s3", config=Config(max_pool_connections=CONNECTIONS))


def bucket() -> str:
    return os.environ["LAKE"]


def keys(prefix: str) -> list[str]:
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket(), Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def etag_of(key: str) -> str:
    try:
        return str(_client().head_object(Bucket=bucket(), Key=key)["ETag"])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return NOTHING
        raise


def load(key: str) -> tuple[bytes, str]:
    """Content and ETag; of an object that is not there, nothing."""
    try:
        answer = _client().get_object(Bucket=bucket(), Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return b"", NOTHING
        raise
    return answer["Body"].read(), str(answer["ETag"])


def read(key: str, columns: list[str] | None = None) -> tuple[pa.Table | None, str]:
    content, etag = load(key)
    table = pq.read_table(io.BytesIO(content), columns=columns) if content else None
    return table, etag


def read_all(keys: Iterable[str], columns: list[str] | None = None) -> list[pa.Table]:
    """Side by side. Raises Contended when one is gone: a compaction has replaced it."""
    with ThreadPoolExecutor(READERS) as readers:
        tables = [table for table, _ in readers.map(lambda key: read(key, columns), keys)]
    if any(table is None for table in tables):
        raise Contended
    return tables


def write(key: str, table: pa.Table, expected: str | None = None) -> None:
    """The same table gives the same bytes. `expected=None` asks no question."""
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    condition = {"IfMatch": expected} if expected else {"IfNoneMatch": "*"}
    put(key, content.getvalue(), **({} if expected is None else condition))


def put(key: str, content: bytes, **settings: str) -> None:
    try:
        _client().put_object(Bucket=bucket(), Key=key, Body=content, **settings)
    except ClientError as error:
        refused = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")
        if error.response["Error"]["Code"] in refused:
            raise Contended from error
        raise


def delete(keys: list[str]) -> None:
    for start in range(0, len(keys), 1000):
        objects = [{"Key": key} for key in keys[start : start + 1000]]
        _client().delete_objects(Bucket=bucket(), Delete={"Objects": objects, "Quiet": True})
