"""transform: which version counts, late and cancelled orders, dimensions, runs side by side."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from tests.examples.warehouse.memory import Shop, Warehouse, corrected, customer, line, order


def test_the_last_version_wins(warehouse: Warehouse, shop: Shop) -> None:
    first = order("O-1", lines=[line(quantity=1), line("P-2")])
    second = corrected(first, lines=[line(quantity=3, cents=333, discount=9)])
    records = [shop.put(first), shop.put(second)]
    warehouse.capture(records[1])  # the newer one is delivered first
    warehouse.capture(records[0])
    assert warehouse.transform() == ["2026-03-01"]
    (sale,) = warehouse.rows("fact_sales")
    assert (sale["line"], sale["quantity"], sale["amount_cents"], sale["version"]) == (1, 3, 990, 2)
    (fact,) = warehouse.rows("fact_orders")
    assert fact["is_corrected"] and not fact["is_cancelled"]
    assert (fact["first_amount_cents"], fact["amount_cents"]) == (200, 990)


def test_money_is_exact(warehouse: Warehouse, shop: Shop) -> None:
    lines = [line(cents=10**13 - 1)] * 1001
    warehouse.capture(shop.put(order("O-1", lines=lines)))
    warehouse.transform()
    total = 1001 * (10**13 - 1)
    assert int(float(total)) != total  # no float holds it
    assert warehouse.rows("fact_orders")[0]["amount_cents"] == total
    assert sum(row["amount_cents"] for row in warehouse.rows("fact_sales")) == total


def test_cancelled_and_deleted_orders_vanish(warehouse: Warehouse, shop: Shop) -> None:
    first = order("O-1")
    warehouse.capture(shop.put(first), shop.put(order("O-2")), shop.put(order("O-3")))
    warehouse.transform()
    warehouse.capture(shop.put(corrected(first, status="cancelled")), shop.remove("O-2"))
    warehouse.transform()
    assert [row["order_id"] for row in warehouse.rows("fact_sales")] == ["O-3"]
    facts = {row["order_id"]: row for row in warehouse.rows("fact_orders")}
    assert set(facts) == {"O-1", "O-3"}
    assert facts["O-1"]["is_cancelled"] and facts["O-1"]["amount_cents"] == 0


def test_a_late_order_lands_in_its_own_day(warehouse: Warehouse, shop: Shop) -> None:
    warehouse.capture(shop.put(order("O-1")), shop.put(order("O-2", day=5)))
    warehouse.transform()
    late = order("O-3", recorded_at="2026-03-07T08:00:00Z")
    warehouse.capture(shop.put(late))
    assert warehouse.transform() == ["2026-03-01"]  # and no other day
    rows = warehouse.rows("fact_orders", "2026-03-01")
    assert [(row["order_id"], row["is_late"]) for row in rows] == [("O-1", False), ("O-3", True)]


def test_an_order_moves_with_its_date(warehouse: Warehouse, shop: Shop) -> None:
    first = order("O-1")
    warehouse.capture(shop.put(first))
    warehouse.transform()
    warehouse.capture(shop.put(corrected(first, order_date="2026-03-03")))
    assert warehouse.transform() == ["2026-03-01", "2026-03-03"]
    assert [row["date"] for row in warehouse.rows("fact_sales")] == ["2026-03-03"]


def test_a_customer_has_versions(warehouse: Warehouse, shop: Shop) -> None:
    moved = customer("2026-03-10", city="Graz")
    warehouse.capture(shop.put(order("O-1")), shop.put(order("O-2", day=9, customer=moved)))
    warehouse.transform()
    between = customer("2026-03-05", segment="business")  # told by an order that comes late
    warehouse.capture(shop.put(order("O-3", day=5, customer=between)))
    warehouse.transform()
    rows = sorted(warehouse.rows("dim_customer"), key=lambda row: row["valid_from"])
    assert [(row["valid_from"], row["valid_to"], row["is_current"]) for row in rows] == [
        (date(2026, 1, 1), date(2026, 3, 4), False),
        (date(2026, 3, 5), date(2026, 3, 9), False),
        (date(2026, 3, 10), None, True),
    ]
    keys = {row["order_id"]: row["customer_key"] for row in warehouse.rows("fact_sales")}
    assert [keys["O-1"], keys["O-3"], keys["O-2"]] == [row["customer_key"] for row in rows]
    assert warehouse.rows("dim_date")[0]["weekday"] == 7  # 1 March 2026 is a Sunday


def test_products_keep_the_last_name(warehouse: Warehouse, shop: Shop) -> None:
    new = line() | {"name": "Better name"}
    warehouse.capture(shop.put(order("O-1", day=3, lines=[new])), shop.put(order("O-2")))
    warehouse.transform()
    assert [row["name"] for row in warehouse.rows("dim_product")] == ["Better name"]


def test_repeating_anything_changes_nothing(warehouse: Warehouse, shop: Shop) -> None:
    records = [shop.put(order(f"O-{number}", day=number % 3)) for number in range(9)]
    warehouse.capture(*records)
    warehouse.transform()
    before = dict(warehouse.bucket.objects)
    assert warehouse.transform() == []
    warehouse.capture(*records)
    assert len(warehouse.transform()) == 3
    assert len(warehouse.transform("2026-03-01")) == 1
    assert warehouse.bucket.objects == before


def test_many_raw_objects_become_one(warehouse: Warehouse, shop: Shop) -> None:
    records = [shop.put(order(f"O-{number}")) for number in range(20)]
    for record in records:
        warehouse.capture(record)
    warehouse.transform()
    (compacted,) = warehouse.bucket.keys("raw/")
    assert compacted.startswith("raw/date=2026-03-01/compact-")
    warehouse.capture(*records[3:5])  # delivered once more, cut differently
    warehouse.capture(shop.put(corrected(shop.orders["O-7"], lines=[line(quantity=5)])))
    warehouse.transform()
    assert sum(row["quantity"] for row in warehouse.rows("fact_sales")) == 24


@pytest.fixture
def overtaking(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The next run of transform is overtaken, after it has read, by what is given."""
    app = warehouse.transform_app
    dimensions, waiting = app.dimensions, list[Callable[[], Any]]()

    def overtaken(changes: Any) -> None:
        dimensions(changes)
        if waiting:
            waiting.pop()()

    monkeypatch.setattr(app, "dimensions", overtaken)
    return waiting.append


def test_of_two_runs_the_one_that_read_less_does_not_win(
    warehouse: Warehouse, shop: Shop, overtaking: Callable[..., None]
) -> None:
    def other() -> None:
        warehouse.capture(shop.put(order("O-2")))
        warehouse.transform()

    warehouse.capture(shop.put(order("O-1")))
    overtaking(other)
    warehouse.transform()
    assert [row["order_id"] for row in warehouse.rows("fact_sales")] == ["O-1", "O-2"]
    assert warehouse.state.marks == {}


def test_a_partition_that_is_again_as_it_was_has_another_etag(
    warehouse: Warehouse, shop: Shop, overtaking: Callable[..., None]
) -> None:
    """Else a slow run would take it for the one it wants to replace."""

    def other() -> None:
        warehouse.capture(shop.remove("O-2"))
        warehouse.transform()

    warehouse.capture(shop.put(order("O-1")))
    warehouse.transform()
    warehouse.capture(shop.put(order("O-2")))
    overtaking(other)
    warehouse.transform()
    assert [row["order_id"] for row in warehouse.rows("fact_sales")] == ["O-1"]


def test_a_run_without_time_leaves_its_marks(warehouse: Warehouse, shop: Shop) -> None:
    warehouse.capture(shop.put(order("O-1")))

    class Hurried:
        get_remaining_time_in_millis = staticmethod(lambda: 1000)

    answer = warehouse.transform_app.handler({}, Hurried())
    assert answer == {"rebuilt": [], "left": ["2026-03-01"]} and warehouse.state.marks
    with pytest.raises(ValueError, match="Invalid isoformat"):
        warehouse.transform("../../marts")
