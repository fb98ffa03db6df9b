"""tractor: what the windows say of a fleet whose truth is known, and that they say it once."""

import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples.conftest import Load

START = 1_777_874_400


@pytest.fixture
def wear(load: Load) -> ModuleType:
    return load("tractor", "wear")


@pytest.fixture
def measure(load: Load) -> ModuleType:
    return load("tractor", "measure")


@pytest.fixture
def windows(load: Load) -> ModuleType:
    load("tractor/catalogue/python", "catalogue")
    return load("tractor/detect", "windows")


def worked(fleet: Any, hours: float) -> list[dict[str, Any]]:
    return [record for _ in range(int(hours * 360)) for record in fleet.step()]


@pytest.mark.parametrize("seed", [7, 8])
def test_every_failing_part_is_found_in_time_and_no_sound_one(
    measure: ModuleType, seed: int
) -> None:
    """Nobody fits what is ordered here: parts run until they fail, and are repaired then."""
    found = measure.measured(machines=8, seed=seed, hours=40)
    assert len(found.ahead) > 40
    assert found.missed == []
    assert min(found.ahead.values()) >= 15 * 60
    assert min(found.damage.values()) >= 0.65, "a sound part was ordered"


def test_the_same_seed_is_the_same_fleet(wear: ModuleType) -> None:
    assert worked(wear.Fleet(3, 5, START, {}), 2) == worked(wear.Fleet(3, 5, START, {}), 2)
    assert worked(wear.Fleet(3, 5, START, {}), 1) != worked(wear.Fleet(3, 6, START, {}), 1)


def test_one_part_replaced_changes_no_other(wear: ModuleType) -> None:
    left, right = wear.Fleet(2, 5, START, {}), wear.Fleet(2, 5, START, {})
    worked(left, 1), worked(right, 1)
    right.replace("tractor-01", "clutch")

    def others(fleet: Any) -> list[Any]:
        return [
            (record["at"], name, value)
            for record in worked(fleet, 1)
            if record["type"] == "reading"
            for name, value in record["sensors"].items()
            if (record["machine"], name) != ("tractor-01", "clutch")
        ]

    assert sorted(others(left), key=str) == sorted(others(right), key=str)


def reading(windows: ModuleType, at: int, share: float) -> dict[str, Any]:
    """All sensors so far towards their limits."""
    parts = windows.PARTS.items()
    sensors = {name: part.nominal + share * part.limit for name, part in parts}
    return {"type": "reading", "at": at, "load": 0.6, "air": 20.0, "sensors": sensors}


def test_a_short_disturbance_and_outliers_order_nothing(windows: ModuleType) -> None:
    state = windows.new_state()
    for at in range(0, 4 * 3600, 10):
        share = 3.0 if at % 3600 < 900 else 0.4  # three windows of each hour
        share = -20.0 if at % 50 == 0 else share  # every fifth reading
        assert not [w for w in windows.fold(state, reading(windows, at, share)) if w.worn]


def test_late_readings_count_while_their_window_waits(windows: ModuleType) -> None:
    state = windows.new_state()
    for at in range(0, 300, 10):
        if at != 120:
            assert windows.fold(state, reading(windows, at, 0.5)) == []
    assert windows.fold(state, reading(windows, 410, 0.5)) == []
    assert windows.fold(state, reading(windows, 120, 0.5)) == []
    closed = windows.fold(state, reading(windows, 420, 0.5))
    assert {(window.start, window.readings) for window in closed} == {(0, 30)}
    assert windows.fold(state, reading(windows, 10, 90.0)) == []
    assert state["parts"]["clutch"]["open"].keys() == {"300"}


def test_a_new_part_begins_anew(windows: ModuleType) -> None:
    state = windows.new_state()
    worn = [
        window.part
        for at in range(0, 1800, 10)
        for window in windows.fold(state, reading(windows, at, 1.5))
        if window.worn
    ]
    assert worn.count("clutch") == 2  # the fourth window and the fifth
    replaced = {"type": "replaced", "part": "clutch", "installation": 2, "at": 1800}
    for _ in range(2):
        assert windows.fold(state, replaced) == []
    assert state["parts"]["clutch"] | {"closed": 0} == {
        "installation": 2, "since": 1800, "closed": 0, "over": 0, "share": None, "open": {}
    }  # fmt: skip
    windows.fold(state, reading(windows, 1790, 1.5))
    assert state["parts"]["clutch"]["open"] == {}


RECORDS = st.lists(
    st.tuples(st.integers(0, 120), st.floats(-2, 3), st.integers(0, 19)), min_size=1, max_size=80
)


@settings(deadline=None, max_examples=60)
@given(RECORDS, st.data())
def test_batches_that_come_again_change_nothing(
    request: pytest.FixtureRequest, drawn: list[tuple[int, float, int]], data: st.DataObject
) -> None:
    windows = request.getfixturevalue("windows")
    records = []
    for moment, share, kind in drawn:
        record = reading(windows, moment * 30, share)
        if kind == 0:
            record = {"type": "replaced", "part": "clutch", "at": moment * 30}
            record["installation"] = 1 + sum(one["type"] == "replaced" for one in records) + 1
        records.append(record)
    # A reading says the same whenever it comes.
    first = {}
    records = [first.setdefault((one["type"], one["at"]), one) for one in records]
    once, again = windows.new_state(), windows.new_state()
    for record in records:
        windows.fold(once, record)
    place = 0
    while place < len(records):
        until = data.draw(st.integers(place + 1, len(records)))
        back = data.draw(st.integers(0, place))
        for record in records[back:until]:
            windows.fold(again, json.loads(json.dumps(record)))
        again = json.loads(json.dumps(again))
        place = until
    assert again == json.loads(json.dumps(once))
