"""How good detection is: fleets whose parts run until they fail, and what was ordered when.

    python examples/tractor/measure.py --seeds 8 --machines 20 --hours 48

Without a cloud: the simulator's records go straight into the windows of `detect`.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

for folder in ("catalogue/python", "detect"):
    sys.path.insert(0, str(Path(__file__).parent / folder))

from wear import Fleet  # noqa: E402
from windows import WINDOW_S, fold, new_state  # noqa: E402

START = 1_777_874_400  # 2026-05-04, six in the morning

Key = tuple[str, str, int] | tuple[str, str, str, int]


@dataclass
class Quality:
    """`ahead`: from the order to the failure; `damage`: of the part when it was ordered."""

    missed: list[Key]
    ahead: dict[Key, int]
    damage: dict[Key, float]

    def __str__(self) -> str:
        hours = [seconds / 3600 for seconds in self.ahead.values()]
        return (
            f"{len(self.ahead) + len(self.missed)} failed, {len(self.missed)} of them not ordered; "
            f"ordered {min(hours):.1f} h ahead at least, {median(hours):.1f} h in the median; "
            f"{len(self.damage)} orders, at {min(self.damage.values()):.0%} of a life at least"
        )


def orders_of(records: Iterable[dict[str, Any]]) -> dict[Key, int]:
    """When each part was first found to be worn."""
    states: dict[str, Any] = {}
    orders: dict[Key, int] = {}
    for record in records:
        state = states.setdefault(record["machine"], new_state())
        for window in fold(state, record):
            if window.worn:
                key = (record["machine"], window.part, window.installation)
                orders.setdefault(key, window.start + WINDOW_S)
    return orders


def measured(machines: int, seed: int, hours: float) -> Quality:
    fleet = Fleet(machines, seed, START, {})
    orders = orders_of(record for _ in range(int(hours * 360)) for record in fleet.step())
    parts = {(part.machine, part.name, part.installation): part for part in fleet.parts()}
    failed = {key: part.failed_at for key, part in parts.items() if part.failed_at}
    return Quality(
        missed=[key for key, at in failed.items() if orders.get(key, at) >= at],
        ahead={key: at - orders[key] for key, at in failed.items() if orders.get(key, at) < at},
        damage={key: parts[key].damage_at(at) for key, at in orders.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--machines", type=int, default=20)
    parser.add_argument("--hours", type=float, default=48)
    options = parser.parse_args()
    everything = Quality([], {}, {})
    for seed in range(1, options.seeds + 1):
        found = measured(options.machines, seed, options.hours)
        print(f"seed {seed}: {found}", flush=True)
        everything.missed += found.missed
        everything.ahead |= {(str(seed), *key): at for key, at in found.ahead.items()}
        everything.damage |= {(str(seed), *key): part for key, part in found.damage.items()}
    print(f"all: {everything}")


if __name__ == "__main__":
    main()
