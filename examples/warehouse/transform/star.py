"""The star schema: what the changes of a day say of facts and dimensions. No input, no output.

The latest change of an order wins: the stream's sequence numbers order the changes of one order.
Keys are computed from business keys, so a partition can be rebuilt without asking the dimensions;
a customer's key names the version of the customer that the order was made by (id and `since`).
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from lake import surrogate
from orders import amount

Row = dict[str, Any]
LATE = timedelta(hours=24)  # from the sale to its record


def distinct(changes: Iterable[Row]) -> list[Row]:
    """In order of the stream, each once, however often it was delivered."""
    by_sequence = {change["sequence"]: change for change in changes}
    return [by_sequence[sequence] for sequence in sorted(by_sequence)]


def facts(changes: list[Row], day: str) -> tuple[list[Row], list[Row]]:
    """fact_sales and fact_orders of one day, from its distinct changes."""
    first: dict[str, Row] = {}
    last: dict[str, Row] = {}
    for change in changes:
        first.setdefault(change["order_id"], change)
        last[change["order_id"]] = change
    sales: list[Row] = []
    orders: list[Row] = []
    for order_id, order in sorted(last.items()):
        if order["event"] == "REMOVE" or order["order_date"].isoformat() != day:
            continue  # deleted, or corrected to be of another day
        orders.append(order_fact(order, first[order_id]))
        if order["status"] != "cancelled":
            sales += sale_facts(order)
    return sales, orders


def shared(order: Row) -> Row:
    return {
        "date_key": date_key(order["order_date"]),
        "customer_key": customer_key(order["customer"]),
        "store_key": surrogate(order["store"]["id"]),
        "order_id": order["order_id"],
        "version": order["version"],
        "ordered_at": order["ordered_at"],
    }


def sale_facts(order: Row) -> list[Row]:
    return [
        {
            **shared(order),
            "product_key": surrogate(line["sku"]),
            "line": number,
            "quantity": line["quantity"],
            "unit_price_cents": line["unit_price_cents"],
            "discount_cents": line["discount_cents"],
            "amount_cents": amount(line),
        }
        for number, line in enumerate(order["lines"], 1)
    ]


def order_fact(order: Row, first: Row) -> Row:
    """Cancelled orders stay here, worth nothing now, with what they were worth first."""
    is_cancelled = order["status"] == "cancelled"
    lines = [] if is_cancelled else order["lines"]
    return {
        **shared(order),
        "lines": len(lines),
        "units": sum(line["quantity"] for line in lines),
        "first_amount_cents": sum(map(amount, first["lines"])),
        "amount_cents": sum(map(amount, lines)),
        "is_late": order["recorded_at"] - order["ordered_at"] > LATE,
        "is_corrected": order["corrected_at"] is not None and not is_cancelled,
        "is_cancelled": is_cancelled,
        "recorded_at": order["recorded_at"],
    }


def date_key(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def customer_key(customer: Row) -> int:
    return surrogate(customer["id"], customer["since"].isoformat())


def observed(change: Row) -> list[tuple[str, Row]]:
    """What a change says of dimensions: (table, row)."""
    at = {"updated_at": change["corrected_at"] or change["recorded_at"]}
    customer, store = change["customer"], change["store"]
    customer_row = {
        "customer_key": customer_key(customer),
        "customer_id": customer["id"],
        "segment": customer["segment"],
        "city": customer["city"],
        "valid_from": customer["since"],
    }
    store_row = {
        "store_key": surrogate(store["id"]),
        "store_id": store["id"],
        "name": store["name"],
        "city": store["city"],
    }
    rows = [("dim_customer", customer_row | at), ("dim_store", store_row | at)]
    for line in change["lines"]:
        named = {name: line[name] for name in ("sku", "name", "category")}
        rows.append(("dim_product", {"product_key": surrogate(line["sku"]), **named, **at}))
    return [*rows, ("dim_date", calendar_day(change["order_date"]))]


def merged(table: str, known: list[Row], seen: Iterable[Row]) -> list[Row]:
    """Known and seen rows, one per key: what was said last. The order of runs does not matter."""
    key = f"{table.removeprefix('dim_')}_key"
    rows: dict[int, Row] = {}
    for row in [*known, *seen]:
        other = rows.get(row[key])
        if other is None or _said(row) > _said(other):
            rows[row[key]] = row
    found = [rows[number] for number in sorted(rows)]
    if table == "dim_customer":
        return intervals(found)
    return found


def _said(row: Row) -> tuple[Any, ...]:
    """When, then what: two that were said at once must have a winner, too."""
    texts = tuple(value for value in row.values() if isinstance(value, str))
    return row.get("updated_at", 0), texts


def intervals(customers: list[Row]) -> list[Row]:
    """Type 2: a version is valid until the day before the next. Late orders may put one between."""
    following: dict[str, Row] = {}
    for row in sorted(customers, key=lambda row: row["valid_from"], reverse=True):
        later = following.get(row["customer_id"])
        row["valid_to"] = later["valid_from"] - timedelta(days=1) if later else None
        row["is_current"] = later is None
        following[row["customer_id"]] = row
    return customers


def calendar_day(day: date) -> Row:
    return {
        "date_key": date_key(day),
        "day": day,
        "year": day.year,
        "quarter": (day.month + 2) // 3,
        "month": day.month,
        "week": day.isocalendar().week,
        "weekday": day.isoweekday(),
        "is_weekend": day.isoweekday() > 5,
    }
