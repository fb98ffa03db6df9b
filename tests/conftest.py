"""Fixtures that every kind of test may use."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, expect, sync_playwright

from tests.harness import Bench
from tests.server import LAMBDASHARE, Server

_ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
_PATIENCE_MS = 60_000
_LONG, _LONG_S = {"apps", "fault"}, 900  # folders whose tests take minutes on slow machines

os.environ["TZ"] = "Pacific/Kiritimati"  # nothing depends on where the machine stands
time.tzset()
# slow machines may take their time; --hypothesis-profile=explore tries other examples each time
settings.register_profile(
    "explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or which("chromium")
    if chromium is None:
        pytest.skip("Debian's Chromium is not installed (CHROMIUM names another)")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of each file browser tests come last: while Playwright runs, so does its event loop."""
    files = {path: number for number, path in enumerate(dict.fromkeys(i.path for i in items))}
    items.sort(key=lambda i: (files[i.path], i.get_closest_marker("browser") is not None))
    for item in items:
        if item.path.parent.name in _LONG:
            item.add_marker(pytest.mark.timeout(_LONG_S))
