"""rollup: the warehouse becomes marts and the report that the page shows.

Event: whatever transform's success sends (or a person); what is in it does not matter, all is
computed anew. Out: three marts, each one object, and report.json, written last. The report carries
the proof of itself: the sums over Orders, the source of truth, beside the sums over the facts.
"""

import json
import os
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import lake
import pyarrow as pa
import pyarrow.compute as pc
from orders import NoOrder, amount, order_of

Document = dict[str, Any]
TOP = 10


def handler(_event: Any, _context: Any) -> Document:
    sales, orders = facts("fact_sales"), facts("fact_orders")
    marts = {
        "daily_sales": daily_sales(sales),
        "product_sales": product_sales(sales),
        "daily_orders": daily_orders(orders),
    }
    for name, mart in marts.items():
        lake.write(lake.key_of(name), mart)
    checked = check(source(), sales)
    document = report(marts) | {"check": checked}
    lake.put(lake.REPORT, json.dumps(document).encode(), ContentType="application/json")
    return checked


def facts(table: str) -> pa.Table:
    """All partitions, with the names that the dimensions give to keys."""
    tables = lake.read_all(lake.keys(lake.place(table)))
    joined = pa.concat_tables(tables) if tables else lake.SCHEMAS[table].empty_table()
    if table == "fact_sales":
        joined = named(joined, "dim_product", {"sku": "sku", "name": "product", "category": None})
    return named(joined, "dim_store", {"name": "store"})


def named(table: pa.Table, dimension: str, columns: dict[str, str | None]) -> pa.Table:
    rows, _ = lake.read(lake.key_of(dimension))
    rows = rows or lake.SCHEMAS[dimension].empty_table()
    key = f"{dimension.removeprefix('dim_')}_key"
    wanted = rows.select([key, *columns])
    return table.join(wanted.rename_columns([key, *(to or of for of, to in columns.items())]), key)


def grouped(name: str, table: pa.Table, by: list[str], sums: list[tuple[str, str]]) -> pa.Table:
    """The mart `name`: its columns are `by`, then the aggregates, in this order."""
    groups = table.group_by(by).aggregate(sums).select([*by, *(f"{c}_{how}" for c, how in sums)])
    ordered = groups.sort_by([(column, "ascending") for column in by])
    return ordered.rename_columns(lake.SCHEMAS[name].names).cast(lake.SCHEMAS[name])


def daily_sales(sales: pa.Table) -> pa.Table:
    sums = [("order_id", "count_distinct"), ("quantity", "sum"), ("amount_cents", "sum")]
    return grouped("daily_sales", sales, ["date_key", "store", "category"], sums)


def product_sales(sales: pa.Table) -> pa.Table:
    month = lake.months(sales["date_key"])
    sums = [("quantity", "sum"), ("amount_cents", "sum")]
    by = ["month", "sku", "product", "category"]
    return grouped("product_sales", sales.append_column("month", month), by, sums)


def daily_orders(orders: pa.Table) -> pa.Table:
    counted = ("is_late", "is_corrected", "is_cancelled")
    for flag in counted:  # true counts one
        position = orders.schema.get_field_index(flag)
        orders = orders.set_column(position, flag, orders[flag].cast(pa.int64()))
    summed = ("lines", "units", *counted, "first_amount_cents", "amount_cents")
    sums = [("order_id", "count"), *((column, "sum") for column in summed)]
    return grouped("daily_orders", orders, ["date_key", "store"], sums)


def report(marts: dict[str, pa.Table]) -> Document:
    daily, products, orders = (marts[n] for n in ("daily_sales", "product_sales", "daily_orders"))
    counts = ("orders", "late", "corrected", "cancelled", "first_amount_cents", "amount_cents")
    return {
        "generated_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "totals": {name: pc.sum(orders[name]).as_py() or 0 for name in counts},
        "days": revenue(orders, ["date_key"]).sort_by("date_key").to_pylist(),
        "stores": ranked(orders, ["store"]),
        "categories": ranked(daily, ["category"]),
        "products": ranked(products, ["sku", "product"])[:TOP],
    }


def revenue(table: pa.Table, by: list[str]) -> pa.Table:
    return (
        table.group_by(by)
        .aggregate([("amount_cents", "sum")])
        .rename_columns([*by, "amount_cents"])
    )


def ranked(table: pa.Table, by: list[str]) -> list[Document]:
    order = [("amount_cents", "descending"), (by[0], "ascending")]
    rows: list[Document] = revenue(table, by).sort_by(order).to_pylist()
    return rows


@cache
def table(name: str) -> Any:
    return boto3.resource("dynamodb").Table(os.environ[name])


def source() -> Counter[str]:
    """Sums over Orders itself. Changes that come meanwhile are in or not: see `pending`."""
    sums = Counter[str](orders=0, lines=0, amount_cents=0, unreadable=0)
    query: Document = {"ConsistentRead": True}
    while True:
        page = table("ORDERS_TABLE").scan(**query)
        for item in page["Items"]:
            sums.update(sums_of(item))
        if "LastEvaluatedKey" not in page:
            return sums
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def sums_of(item: Document) -> Counter[str]:
    try:
        order = order_of(item)
    except NoOrder:
        return Counter(unreadable=1)  # capture has told the failures queue of it
    if order["status"] == "cancelled":
        return Counter()
    lines = order["lines"]
    return Counter(orders=1, lines=len(lines), amount_cents=sum(map(amount, lines)))


def check(source: Counter[str], sales: pa.Table) -> Document:
    unreadable = source.pop("unreadable")
    warehouse = {
        "orders": pc.count_distinct(sales["order_id"]).as_py(),
        "lines": sales.num_rows,
        "amount_cents": pc.sum(sales["amount_cents"]).as_py() or 0,
    }
    return {
        "source": dict(source),
        "warehouse": warehouse,
        "is_equal": dict(source) == warehouse,
        "unreadable": unreadable,
    }
