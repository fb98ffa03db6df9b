"""How tractors wear: a model that knows nothing of detection, and keeps the truth.

A part has a life drawn from a Weibull distribution (shape 3: wear, not accident). Work uses it up:
damage grows with the cube of the load, with heat or dust, and its sensor deviates with the damage,
slowly first, then fast. At damage 1 the part has failed. Lives are hours instead of seasons, so
that something happens while one looks on.

Sensors are as sensors are: noise, outliers, drop-outs, disturbances that look like wear for some
minutes (a slope, a hot hour), gains that differ from machine to machine. Radio brings readings
twice, late, or not at all.

Every machine and every installation has its own source of randomness: the same seed gives the same
fleet, whatever happens to one of its parts.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

STEP_S = 10
REPAIR_S = 2 * 3600  # a part that failed is changed by then, ordered or not


@dataclass(frozen=True, slots=True)
class Kind:
    """`nominal` … `per_degree` are the maker's; a machine's own differ a little."""

    life_h: float
    nominal: float
    per_load: float
    per_degree: float
    noise: float
    span: float  # the deviation at failure
    curve: float  # how late it shows
    heat: float = 0.0  # doublings of wear per 10 °C
    dust: float = 0.0


KINDS = {
    "fuel_injector": Kind(26, 0.0, 2.0, 0.03, 0.8, 16.0, 2.4, heat=0.1),
    "hydraulic_pump": Kind(30, 4.0, 1.5, 0.04, 0.3, 7.4, 2.6, heat=0.4),
    "air_filter": Kind(14, 2.0, 2.2, 0.0, 0.15, 4.0, 1.8, dust=1.0),
    "clutch": Kind(24, 1.2, 1.6, 0.01, 0.25, 5.4, 2.7),
    "alternator": Kind(28, 45.0, 12.0, 0.2, 5.0, 122.0, 2.5, heat=0.5),
}


@dataclass
class Part:
    """One installation of a part, and what is true of it."""

    machine: str
    name: str
    installation: int
    random: Random
    fitted_at: int
    damage: float = 0.0
    failed_at: int | None = None
    replaced_at: int | None = None
    history: list[tuple[int, float]] = field(default_factory=list)
    _odd_until: int = 0
    _silent_until: int = 0

    def __post_init__(self) -> None:
        self.kind = KINDS[self.name]
        life = self.random.weibullvariate(self.kind.life_h, 3)
        self.life_s = max(life, self.kind.life_h / 3) * 3600
        if self.installation == 1:  # a used fleet
            self.damage = self.random.uniform(0, 0.6)
        self.gain = self.random.gauss(1, 0.05)
        self.offset = self.random.gauss(0, self.kind.noise / 2)
        self.strength = self.random.uniform(0.6, 1.4)

    def wear(self, at: int, load: float, air: float, dust: float) -> None:
        stress = (load / 0.7) ** 3 * 2 ** (self.kind.heat * (air - 20) / 10)
        self.damage += STEP_S / self.life_s * stress * (1 + self.kind.dust * (dust - 0.5))
        if self.damage >= 1 and self.failed_at is None:
            self.failed_at = at
        if at % 600 == 0:
            self.history.append((at, round(self.damage, 4)))

    def sense(self, at: int, load: float, air: float) -> float | None:
        """What the sensor says, if it says anything."""
        kind, random = self.kind, self.random
        if random.random() < 0.0002:
            self._silent_until = at + random.randrange(60, 1200)
        if random.random() < 0.0006:
            self._odd_until = at + random.randrange(120, 360)
        value = kind.nominal + self.offset + self.gain * kind.per_load * (load - 0.6)
        value += kind.per_degree * (air - 20) + random.gauss(0, kind.noise)
        value += kind.span * min(self.damage, 1.2) ** kind.curve
        if at < self._odd_until:
            value += self.strength * kind.span * 0.6
        if random.random() < 0.01:
            value += random.choice((-1, 1)) * kind.span * random.uniform(1, 5)
        is_silent = at < self._silent_until or random.random() < 0.005
        return None if is_silent else round(value, 3)

    def damage_at(self, moment: int) -> float:
        return max((value for at, value in self.history if at <= moment), default=0.0)

    def truth(self) -> dict[str, Any]:
        names = ("machine", "installation", "fitted_at", "failed_at", "replaced_at", "history")
        found = {name: getattr(self, name) for name in names}
        return {"part": self.name, "damage": round(self.damage, 4), **found}


class Machine:
    """Passes over the field at high load, turns at its end, now and then a rest."""

    def __init__(self, name: str, seed: int, start: int, installed: dict[str, int]) -> None:
        self.name = name
        self.seed = seed
        self.random = Random(f"{seed}/{name}")
        self.dust = self.random.uniform(0.2, 1.0)
        self.rests_until = start + self.random.randrange(0, 600, STEP_S)
        self.pass_s = self.random.randrange(240, 420, STEP_S)
        self.history: list[Part] = []
        self.parts: dict[str, Part] = {}
        for part in KINDS:
            self.fit(part, installed.get(part, 1), start)

    def fit(self, part: str, installation: int, at: int) -> None:
        random = Random(f"{self.seed}/{self.name}/{part}/{installation}")
        self.parts[part] = Part(self.name, part, installation, random, at)
        self.history.append(self.parts[part])

    @property
    def broken(self) -> list[Part]:
        return [part for part in self.parts.values() if part.failed_at is not None]

    def step(self, at: int, air: float) -> dict[str, Any] | None:
        """The reading of this moment; None while the engine is off."""
        if self.random.random() < STEP_S / 10_000:
            self.rests_until = at + self.random.randrange(300, 1500, STEP_S)
        if at < self.rests_until or self.broken:
            return None
        is_turning = at % (self.pass_s + 40) >= self.pass_s
        load = min(max(self.random.gauss(0.35 if is_turning else 0.75, 0.05), 0.1), 1.0)
        load = round(load, 3)
        for part in self.parts.values():
            part.wear(at, load, air, self.dust)
        sensors = {name: part.sense(at, load, air) for name, part in self.parts.items()}
        reading = {"type": "reading", "machine": self.name, "at": at, "load": load, "air": air}
        return {**reading, "sensors": sensors}


Arrival = tuple[int, int, dict[str, Any]]


class Fleet:
    """All machines, and the radio between them and the stream."""

    def __init__(
        self, machines: int, seed: int, start: int, installed: dict[str, dict[str, int]]
    ) -> None:
        self.random = Random(f"{seed}/radio")
        self.now = start
        names = [f"tractor-{number:02}" for number in range(1, machines + 1)]
        self.machines = {
            name: Machine(name, seed, start, installed.get(name, {})) for name in names
        }
        self._radio: list[Arrival] = []
        self._sent = 0

    def step(self) -> Iterator[dict[str, Any]]:
        """The next moment of work: what arrives by its end, in order of arrival."""
        air = round(18 + 8 * _day(self.now) + self.random.gauss(0, 0.2), 1)
        for machine in self.machines.values():
            if reading := machine.step(self.now, air):
                self._send(reading)
            for part in machine.broken:
                if part.failed_at is not None and self.now >= part.failed_at + REPAIR_S:
                    self.replace(machine.name, part.name)
        self.now += STEP_S
        while self._radio and self._radio[0][0] < self.now:
            yield heapq.heappop(self._radio)[2]

    def replace(self, machine: str, part: str) -> dict[str, Any]:
        old = self.machines[machine].parts[part]
        old.replaced_at = self.now
        installation = old.installation + 1
        self.machines[machine].fit(part, installation, self.now)
        event = {"type": "replaced", "machine": machine, "at": self.now}
        event |= {"part": part, "installation": installation}
        self._put(self.now, event)
        return event

    def parts(self) -> Iterator[Part]:
        for machine in self.machines.values():
            yield from machine.history

    def _send(self, reading: dict[str, Any]) -> None:
        chance = self.random.random()
        if chance < 0.005:
            return  # lost
        delay = 0
        if chance < 0.025:
            delay = self.random.randrange(10, 55)
        elif chance < 0.027:
            delay = self.random.randrange(300, 1200)
        self._put(self.now + delay, reading)
        if self.random.random() < 0.01:
            self._put(self.now + delay + self.random.randrange(0, 30), reading)

    def _put(self, arrives_at: int, record: dict[str, Any]) -> None:
        self._sent += 1
        heapq.heappush(self._radio, (arrives_at, self._sent, record))


def _day(at: int) -> float:
    """0 at six in the morning and evening, 1 at noon, -1 at midnight."""
    hours = at / 3600 % 24
    return 1 - abs(hours - 12) / 6
