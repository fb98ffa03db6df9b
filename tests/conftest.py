"""Fixtures that every kind of test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A cloud with only the outbox; services prepare their own schema: `bench.database.prepare`."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
