"""The fake cloud as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.template.fakes import FakeCloud


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCloud]:
    fake = FakeCloud(tmp_path)
    yield fake
    fake.bench.close()
