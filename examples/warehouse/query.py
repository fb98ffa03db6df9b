"""Asks the warehouse in SQL: DuckDB over the very files that Athena reads on AWS.

    python examples/warehouse/query.py "SELECT sum(amount_cents) / 100.0 AS revenue FROM fact_sales"

Tables: raw, fact_sales, fact_orders (with their partition column `date`), dim_customer,
dim_product, dim_store, dim_date, daily_sales, product_sales, daily_orders. pyarrow reads S3 through
AWS_ENDPOINT_URL if that is set, so nothing has to be downloaded, not even an extension.
"""

import argparse
import os
import sys
from pathlib import Path

import boto3
import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import S3FileSystem

sys.path.insert(0, str(Path(__file__).parent / "lake"))
import lake

_HIVE = ds.partitioning(pa.schema({"date": pa.string()}), flavor="hive")


def filesystem() -> S3FileSystem:
    session = boto3.Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise SystemExit("No AWS credentials: see the README on where they come from.")
    keys = credentials.get_frozen_credentials()
    scheme, _, host = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/").rpartition("://")
    endpoint = {"scheme": scheme, "endpoint_override": host} if host else {}
    return S3FileSystem(
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        session_token=keys.token,
        region=session.region_name or "us-east-1",
        **endpoint,
    )


def connected(bucket: str) -> duckdb.DuckDBPyConnection:
    """A database whose tables are the lake's. Filters and columns reach down to the files."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    files = filesystem()
    for name, schema in lake.SCHEMAS.items():
        is_partitioned = name in lake.PARTITIONED
        whole = pa.schema([*schema, pa.field("date", pa.string())]) if is_partitioned else schema
        place, partitioning = f"{bucket}/{lake.place(name)}", _HIVE if is_partitioned else None
        try:
            dataset = ds.dataset(place, whole, "parquet", files, partitioning)
        except FileNotFoundError:  # nothing has been written there yet
            dataset = whole.empty_table()
        connection.register(name, dataset)
    return connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sql")
    parser.add_argument("--bucket", help="the lake's (else from the stack's output)")
    parser.add_argument("--stack", default="warehouse")
    asked = parser.parse_args()
    connected(asked.bucket or bucket_of(asked.stack)).sql(asked.sql).show()


def bucket_of(stack: str) -> str:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    return outputs["Lake"]


if __name__ == "__main__":
    main()
