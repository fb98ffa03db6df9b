"""The named reports: each a table with a title, computed by pyarrow from one mart."""

from collections.abc import Callable
from typing import Any

import lake
import pyarrow as pa
import pyarrow.compute as pc

Document = dict[str, Any]
TOP = 20


def answer(title: str, columns: list[tuple[str, str, str]], table: pa.Table) -> Document:
    """Columns are (name, label, kind): text, count or cents."""
    described = [dict(zip(("name", "label", "kind"), column, strict=True)) for column in columns]
    rows = table.select([name for name, _, _ in columns]).to_pylist()
    return {"title": title, "columns": described, "rows": rows}


def mart(name: str, month: str) -> pa.Table:
    """With a column `month`; of that month alone if one is given."""
    found, _ = lake.read(lake.key_of(name))
    table: pa.Table = found or lake.SCHEMAS[name].empty_table()
    if "month" not in table.column_names:
        table = table.append_column("month", lake.months(table["date_key"]))
    return table.filter(pc.equal(table["month"], month)) if month else table


def summed(table: pa.Table, by: list[str], columns: list[str]) -> pa.Table:
    sums = table.group_by(by).aggregate([(column, "sum") for column in columns])
    return sums.select([*by, *(f"{column}_sum" for column in columns)]).rename_columns(by + columns)


def top_products(month: str) -> Document:
    keys = ["sku", "product", "category"]
    sums = summed(mart("product_sales", month), keys, ["units", "amount_cents"])
    best = sums.sort_by([("amount_cents", "descending"), ("sku", "ascending")]).slice(0, TOP)
    columns = [
        ("product", "Product", "text"),
        ("category", "Category", "text"),
        ("units", "Units", "count"),
        ("amount_cents", "Revenue", "cents"),
    ]
    return answer("Top products", columns, best)


def revenue(month: str) -> Document:
    sums = summed(mart("daily_orders", month), ["month", "store"], ["orders", "amount_cents"])
    columns = [
        ("month", "Month", "text"),
        ("store", "Store", "text"),
        ("orders", "Orders", "count"),
        ("amount_cents", "Revenue", "cents"),
    ]
    ordered = sums.sort_by([("month", "ascending"), ("store", "ascending")])
    return answer("Revenue by month and store", columns, ordered)


def corrections(month: str) -> Document:
    """What orders were worth when first recorded, and what corrections made of it."""
    table = mart("daily_orders", month)
    counts = ["corrected", "cancelled", "late", "first_amount_cents", "amount_cents"]
    sums = summed(table, ["month"], counts).sort_by("month")
    effect = pc.subtract(sums["amount_cents"], sums["first_amount_cents"])
    columns = [
        ("month", "Month", "text"),
        ("corrected", "Corrected", "count"),
        ("cancelled", "Cancelled", "count"),
        ("late", "Late", "count"),
        ("first_amount_cents", "As first recorded", "cents"),
        ("effect_cents", "Effect", "cents"),
        ("amount_cents", "Revenue", "cents"),
    ]
    return answer("Effect of corrections", columns, sums.append_column("effect_cents", effect))


def baskets(month: str) -> Document:
    """Averages over the orders that stand, rounded down to cents and tenths."""
    table = mart("daily_orders", month)
    sums = summed(table, ["store"], ["orders", "cancelled", "units", "amount_cents"])
    rows = [with_averages(row) for row in sums.sort_by("store").to_pylist()]
    columns = [
        ("store", "Store", "text"),
        ("standing", "Orders", "count"),
        ("units_each", "Units per order", "count"),
        ("cents_each", "Value per order", "cents"),
    ]
    names = [name for name, _, _ in columns]
    table = pa.table({name: [row[name] for row in rows] for name in names})
    return answer("Basket size by store", columns, table)


def with_averages(row: Document) -> Document:
    standing = row["orders"] - row["cancelled"]
    return row | {
        "standing": standing,
        "units_each": row["units"] * 10 // standing / 10 if standing else 0,
        "cents_each": row["amount_cents"] // standing if standing else 0,
    }


REPORTS: dict[str, Callable[[str], Document]] = {
    "top-products": top_products,
    "revenue": revenue,
    "corrections": corrections,
    "baskets": baskets,
}
