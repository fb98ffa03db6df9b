"""The Metrics table: what is counted, per minute, hour and day.

A minute has a few rows (shards), so that no key is hot; hours and days have one each, written by
`rollup` alone. A row is flat: every counter is a number attribute (`lat_500`: hashes that took
up to 500 ms; `type_video`), `revision` counts its changes, `folded` is the part of it that went
into the coarser row, at revision `folded_revision`.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from lambdashare_core.moments import rfc3339

PLAIN = ("uploads", "bytes", "downloads", "verifications", "hashes", "quarantined")
SHARDS = 8
BOUNDS_MS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 900_000)
BEYOND_MS = 86_400_000
MAJOR_TYPES = ("image", "video", "audio", "text", "application")
STEP_S = {"minute": 60, "hour": 3600, "day": 86400}
_LENGTHS = {"minute": 16, "hour": 13, "day": 10}  # of an RFC 3339 time


def table() -> str:
    return os.environ["METRICS_TABLE"]


def moment_of(ms: int, step: str) -> str:
    """`2026-11-23T10:31`, `2026-11-23T10` or `2026-11-23`."""
    return rfc3339(ms)[: _LENGTHS[step]]


def start_of(moment: str) -> str:
    """A moment as a full time."""
    return moment + "0000-01-01T00:00:00.000Z"[len(moment) :]


def row_names(step: str) -> list[str]:
    return [f"minute#{shard}" for shard in range(SHARDS)] if step == "minute" else [step]


def latency_counter(ms: int) -> str:
    return f"lat_{next((bound for bound in BOUNDS_MS if ms <= bound), BEYOND_MS)}"


def type_counter(media_type: str) -> str:
    major = media_type.partition("/")[0]
    return f"type_{major if major in MAJOR_TYPES else 'other'}"


def counters_of(row: Mapping[str, Any]) -> Counter[str]:
    """Only the counters of a row."""
    return Counter({name: value for name, value in row.items() if is_counter(name)})


def is_counter(name: str) -> bool:
    return name in PLAIN or name.startswith(("lat_", "type_"))


def summed(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(counters_of(row))
    return total


def view(counts: Mapping[str, int]) -> dict[str, Any]:
    """Counters as the API and the WebSocket show them."""
    document: dict[str, Any] = {name: counts.get(name, 0) for name in PLAIN}
    document["histogram"] = _named(counts, "lat_")
    document["types"] = _named(counts, "type_")
    return document


def _named(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    found = {n.removeprefix(prefix): v for n, v in counts.items() if n.startswith(prefix) and v}
    return dict(sorted(found.items()))


def percentile(histogram: Mapping[str, int], share: float) -> int | None:
    """The upper bound of the bucket in which that share of the hashes was done."""
    total = sum(histogram.values())
    reached = 0
    for bound, count in sorted((int(bound), count) for bound, count in histogram.items()):
        reached += count
        if reached >= share * total:
            return bound
    return None
