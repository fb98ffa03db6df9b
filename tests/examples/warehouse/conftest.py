"""The functions of the warehouse on a lake in memory."""

import pytest

from tests.examples.conftest import Load
from tests.examples.warehouse.memory import Shop, Warehouse


@pytest.fixture
def warehouse(load: Load, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("LAKE", "lake")
    monkeypatch.setenv("STATE_TABLE", "state")
    lake = load("warehouse/lake", "lake")  # and orders, beside it
    capture = load("warehouse/capture")
    return Warehouse(lake, capture, load("warehouse/transform"))


@pytest.fixture
def shop() -> Shop:
    return Shop()
