"""A bench with the tables of queues, rules and schedules."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudlet.messaging.schema import SCHEMA
from tests.harness import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SCHEMA)
    yield bench
    bench.close()
