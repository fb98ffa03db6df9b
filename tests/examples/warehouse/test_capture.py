"""capture: names, partitions, what is no order."""

from decimal import Decimal

import pytest

from tests.examples.warehouse.memory import Shop, Warehouse, corrected, line, order


def test_names_come_from_the_first_and_the_last_change(warehouse: Warehouse, shop: Shop) -> None:
    records = [shop.put(order("O-1")), shop.put(order("O-2")), shop.put(order("O-3", day=1))]
    assert warehouse.capture(*records) == []
    one, two = (f"{'0' * 37}{number}" for number in (100, 101))
    three = f"{'0' * 37}102"
    assert warehouse.bucket.keys("raw/") == [
        f"raw/date=2026-03-01/{one}-{two}.parquet",
        f"raw/date=2026-03-02/{three}-{three}.parquet",
    ]
    assert sorted(warehouse.state.marks) == warehouse.bucket.keys("raw/")


def test_a_repeated_batch_writes_the_same_objects(warehouse: Warehouse, shop: Shop) -> None:
    records = [shop.put(order("O-1")), shop.put(order("O-2"))]
    warehouse.capture(*records)
    before = dict(warehouse.bucket.objects)
    warehouse.capture(*records)
    assert warehouse.bucket.objects == before


def test_a_change_of_the_date_concerns_both_days(warehouse: Warehouse, shop: Shop) -> None:
    first = order("O-1")
    warehouse.capture(shop.put(first))
    warehouse.capture(shop.put(corrected(first, order_date="2026-03-05")))
    assert {mark["date"] for mark in warehouse.state.marks.values()} == {"2026-03-01", "2026-03-05"}


@pytest.mark.parametrize(
    "broken",
    [
        {"order_date": "yesterday"},
        {"status": "lost"},
        {"lines": [line() | {"quantity": Decimal("1.5")}]},
        {"lines": [line() | {"unit_price_cents": "100"}]},
        {"lines": [line() | {"name": 7}]},
        {"lines": [line(quantity=2, cents=10**13)]},
        {"lines": 7},
        {"recorded_at": "2026-03-01T10:00:00"},
        {"customer": {"id": "C-1"}},
    ],
)
def test_what_is_no_order_stops_the_batch_behind_the_others(
    warehouse: Warehouse, shop: Shop, broken: dict[str, object]
) -> None:
    records = [shop.put(order("O-1")), shop.put(order("O-2", **broken)), shop.put(order("O-3"))]
    assert warehouse.capture(*records) == [records[1]["dynamodb"]["SequenceNumber"]]
    assert [row["order_id"] for row in warehouse.rows("raw")] == ["O-1"]
    assert warehouse.capture(*records[1:]) == [records[1]["dynamodb"]["SequenceNumber"]]
    assert warehouse.capture(*records[2:]) == []
    assert [row["order_id"] for row in warehouse.rows("raw")] == ["O-1", "O-3"]


def test_what_was_no_order_may_become_one(warehouse: Warehouse, shop: Shop) -> None:
    shop.put({"order_id": "O-1"})
    assert warehouse.capture(shop.put(order("O-1"))) == []
    assert [row["order_id"] for row in warehouse.rows("raw")] == ["O-1"]
    shop.put({"order_id": "O-2"})
    assert warehouse.capture(shop.remove("O-2")) == []
    assert len(warehouse.rows("raw")) == 1
