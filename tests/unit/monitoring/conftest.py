"""A bench with CloudWatch's state, its clock at a whole minute."""

import asyncio
from typing import Any

import pytest

from cloudlet.monitoring.state import Monitoring
from tests.harness import Bench


@pytest.fixture
def logs(bench: Bench) -> Bench:
    bench.clock.now_ms -= bench.clock.now_ms % 60_000
    bench.state = Monitoring(bench.cloud)
    return bench


def flush(bench: Bench) -> None:
    asyncio.run(bench.state.journal.flush())
    asyncio.run(bench.state.meter.flush())


def points(bench: Bench) -> list[tuple[Any, ...]]:
    """(namespace, name, dimensions, start, summary's sum, count) of all that was measured."""
    flush(bench)
    rows = bench.database.view().all(
        "SELECT namespace, name, dimensions, start_ms, json_extract(summary, '$[0]') AS sum,"
        " json_extract(summary, '$[1]') AS count FROM metrics JOIN metric_points ON metric = id"
        " ORDER BY 1, 2, 3, 4"
    )
    return [tuple(row) for row in rows]
