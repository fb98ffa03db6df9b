"""The maker's data sheet: what each part's sensor should say, and from when on a part is ordered.

A layer, because detection and the page must mean the same limit.
"""

from dataclasses import asdict, dataclass
from typing import Any

REFERENCE_LOAD = 0.6  # of the engine's full load
REFERENCE_AIR = 20.0  # °C


@dataclass(frozen=True, slots=True)
class Part:
    """A sensor says `nominal`, plus something per load and per degree, while its part is sound."""

    label: str
    sensor: str
    unit: str
    nominal: float
    per_load: float
    per_degree: float
    limit: float  # the deviation from that at which about three quarters of a life are over

    def deviation(self, value: float, load: float, air: float) -> float:
        load_effect = self.per_load * (load - REFERENCE_LOAD)
        return value - self.nominal - load_effect - self.per_degree * (air - REFERENCE_AIR)


PARTS = {
    "fuel_injector": Part("Fuel injector", "injection correction", "%", 0.0, 2.0, 0.03, 8.0),
    "hydraulic_pump": Part("Hydraulic pump", "case drain flow", "l/min", 4.0, 1.5, 0.04, 3.5),
    "air_filter": Part("Air filter", "intake restriction", "kPa", 2.0, 2.2, 0.0, 2.4),
    "clutch": Part("Clutch", "slip", "%", 1.2, 1.6, 0.01, 2.5),
    "alternator": Part("Alternator", "voltage ripple", "mV", 45.0, 12.0, 0.2, 60.0),
}


def sheet() -> dict[str, dict[str, Any]]:
    return {name: asdict(part) for name, part in PARTS.items()}
