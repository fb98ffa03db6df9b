"""What a machine's readings say of its parts: windows of event time, and when a part is worn.

Pure: a state (plain JSON) and one record in, the closed windows out. Folding a record twice changes
nothing: a reading is known by its moment, and a closed window never opens again. So it does not
matter how the stream cuts its batches or how often it brings one.

A window is *over* when even the cautious estimate of its median is above the part's limit:
`median - 2 · 1.4826 · MAD / √n > limit`. Medians ignore outliers as long as they are fewer than
half; four windows in a row (20 minutes) outlast what is no wear: a steep slope, a hot hour.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Any

from catalogue import PARTS

WINDOW_S = 300
LATENESS_S = 120  # how long a window waits for its readings
MIN_READINGS = 8  # fewer say nothing: a drop-out of the sensor
WINDOWS_OVER = 4
_SIGMA = 1.4826  # the MAD of a normal distribution, as a standard deviation

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window of one part. `worn`: this one is the last of enough."""

    part: str
    installation: int
    start: int
    middle: float
    low: float
    readings: int
    over: int

    @property
    def worn(self) -> bool:
        return self.over >= WINDOWS_OVER


def new_state() -> State:
    part = {"installation": 1, "since": 0, "closed": -1, "over": 0, "share": None}
    return {"at": 0, "parts": {name: {**part, "open": {}} for name in PARTS}}


def fold(state: State, record: dict[str, Any]) -> list[Window]:
    if record["type"] == "replaced":
        replace(state["parts"][record["part"]], record["installation"], record["at"])
        return []
    for name, value in record["sensors"].items():
        if value is not None:
            deviation = PARTS[name].deviation(value, record["load"], record["air"])
            add(state["parts"][name], record["at"], deviation)
    state["at"] = max(state["at"], record["at"])
    return [
        window
        for name, part in state["parts"].items()
        for window in close(name, part, state["at"] - LATENESS_S)
    ]


def replace(part: State, installation: int, at: int) -> None:
    """A new part: what the old one's sensor said, and may still say belatedly, counts no more."""
    if installation <= part["installation"]:
        return
    since = max(part["since"], at)
    part.update(installation=installation, since=since, over=0, share=None)
    part["open"] = {
        start: kept
        for start, values in part["open"].items()
        if (kept := {at: value for at, value in values.items() if int(at) >= since})
    }


def add(part: State, at: int, deviation: float) -> None:
    start = at - at % WINDOW_S
    if at >= part["since"] and start > part["closed"]:
        part["open"].setdefault(str(start), {})[str(at)] = round(deviation, 3)


def close(name: str, part: State, until: int) -> list[Window]:
    """Closes the windows that ended by then, oldest first."""
    closed = []
    for start in sorted(map(int, part["open"])):
        if start + WINDOW_S > until:
            break
        values = list(part["open"].pop(str(start)).values())
        part["closed"] = start
        if len(values) < MIN_READINGS:
            continue
        middle, low = estimate(values)
        part["over"] = part["over"] + 1 if low > PARTS[name].limit else 0
        part["share"] = round(middle / PARTS[name].limit, 3)
        found = (part["installation"], start, round(middle, 3), round(low, 3), len(values))
        closed.append(Window(name, *found, part["over"]))
    return closed


def estimate(values: list[float]) -> tuple[float, float]:
    """The median, and what it is at least."""
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    return middle, middle - 2 * _SIGMA * spread / sqrt(len(values))
