"""Fixtures that every kind of test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Bench
from tests.server import LAMBDASHARE, Server


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A cloud with only the outbox; services prepare their own schema: `bench.database.prepare`."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def lambdashare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """λShare on cloudlet, one for all tests that leave it as they found it."""
    data = tmp_path_factory.mktemp("lambdashare") / "data"
    server = Server(data, LAMBDASHARE, "--no-watch")
    try:
        yield server.start()
    finally:
        server.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright leaves its event loop running in the main thread.

    Where several processes share the work, a file stays in one of them, and so do those tests.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    for item in items:
        is_example = "examples" in item.path.parts
        if item.get_closest_marker("browser"):
            group = "browser of examples" if is_example else "browser"
        else:
            group = str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
