"""An item of Orders as the warehouse takes it: checked, with whole numbers and moments in UTC.

Whoever reads items reads them by this, so capture and rollup agree about what an order is.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
STATUSES = ("placed", "cancelled")
COUNT_MAX = 10**9
CENTS_MAX = 10**13  # of a line: no sum over an order leaves 64 bits


class NoOrder(ValueError):
    """The item lacks something, or has it in another form."""


def order_of(item: Row) -> Row:
    try:
        return _order(item)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoOrder(f"{item.get('order_id')}: {type(error).__name__} {error}") from error


def _order(item: Row) -> Row:
    if item["status"] not in STATUSES:
        raise ValueError(f"status {item['status']!r}")
    customer, store = item["customer"], item["store"]
    return {
        "order_id": text(item["order_id"]),
        "order_date": date.fromisoformat(item["order_date"]),
        "version": whole(item["version"], COUNT_MAX),
        "status": item["status"],
        "ordered_at": moment(item["ordered_at"]),
        "recorded_at": moment(item["recorded_at"]),
        "corrected_at": moment(item["corrected_at"]) if "corrected_at" in item else None,
        "customer": {
            **{name: text(customer[name]) for name in ("id", "segment", "city")},
            "since": date.fromisoformat(customer["since"]),
        },
        "store": {name: text(store[name]) for name in ("id", "name", "city")},
        "lines": [_line(line) for line in item["lines"]],
    }


def _line(line: Row) -> Row:
    found = {
        **{name: text(line[name]) for name in ("sku", "name", "category")},
        "quantity": whole(line["quantity"], COUNT_MAX),
        "unit_price_cents": whole(line["unit_price_cents"], CENTS_MAX),
        "discount_cents": whole(line["discount_cents"], CENTS_MAX),
    }
    whole(Decimal(amount(found)), CENTS_MAX)
    return found


def amount(line: Row) -> int:
    """In cents."""
    total: int = line["quantity"] * line["unit_price_cents"] - line["discount_cents"]
    return total


def whole(value: Decimal, most: int) -> int:
    """Nothing is rounded here."""
    if value != int(value) or abs(value) > most:
        raise ValueError(f"{value} is no whole number up to {most}")
    return int(value)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def moment(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError(f"{value} does not say in which time zone")
    return found.astimezone(UTC).replace(tzinfo=None)
