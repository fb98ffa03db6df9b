"""However changes are batched, repeated and mixed: the facts are what Orders says in the end."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples.warehouse.memory import (
    Document,
    Shop,
    Warehouse,
    corrected,
    customer,
    line,
    order,
)

SETTINGS = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LINES = st.lists(
    st.builds(
        line,
        st.sampled_from(["P-1", "P-2"]),
        st.integers(1, 9),
        st.integers(1, 10**12),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=3,
)
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 5),  # which order
        st.integers(0, 3),  # its day
        st.sampled_from(["placed", "placed", "cancelled", "removed"]),
        st.sampled_from(["2026-01-01", "2026-02-01"]),  # its customer's version
        LINES,
    ),
    min_size=1,
    max_size=25,
)


def changed(shop: Shop, change: tuple[Any, ...]) -> None:
    number, day, status, since, lines = change
    order_id = f"O-{number}"
    old = shop.orders.get(order_id)
    if status == "removed":
        if old:
            shop.remove(order_id)
        return
    new = order(order_id, day, status=status, lines=lines, customer=customer(since))
    shop.put(corrected(new, version=old["version"] + 1) if old else new)


def batches(records: list[Document], data: st.DataObject) -> Iterator[list[Document]]:
    """Cut anywhere, some again and cut otherwise, in any order."""
    for _ in range(2):
        cuts = data.draw(st.lists(st.integers(0, len(records)), max_size=6).map(sorted))
        yield from (
            records[start:end]
            for start, end in zip([0, *cuts], [*cuts, len(records)], strict=True)
            if start < end
        )


def expected(shop: Shop) -> list[tuple[Any, ...]]:
    return sorted(
        (
            order["order_date"], order["order_id"], number, line["quantity"],
            line["quantity"] * line["unit_price_cents"] - line["discount_cents"],
        )
        for order in shop.orders.values()
        if order["status"] != "cancelled"
        for number, line in enumerate(order["lines"], 1)
    )  # fmt: skip


def found(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    columns = ("date", "order_id", "line", "quantity", "amount_cents")
    rows = warehouse.rows("fact_sales")
    return sorted(tuple(row[column] for column in columns) for row in rows)


@SETTINGS
@given(changes=CHANGES, data=st.data())
def test_facts_are_what_orders_says(
    warehouse: Warehouse, changes: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    warehouse.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse.transform_app, "SMALL_OBJECTS_MAX", 2)
        shop = Shop()
        for change in changes:
            changed(shop, change)
        for batch in data.draw(st.permutations(list(batches(shop.records, data)))):
            assert warehouse.capture(*batch) == []
            if data.draw(st.booleans()):
                warehouse.transform()
        warehouse.transform()
    assert found(warehouse) == expected(shop)
    assert warehouse.state.marks == {}
    for table in ("customer", "product", "store", "date"):
        known = {row[f"{table}_key"] for row in warehouse.rows(f"dim_{table}")}
        assert {row[f"{table}_key"] for row in warehouse.rows("fact_sales")} <= known
