"""A browser, and λShare on cloudlet for it."""

from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.server import LAMBDASHARE, Server

_ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = which("chromium")
    if chromium is None:
        pytest.skip("Debian's Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lambdashare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("browser") / "data", LAMBDASHARE).start()
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, lambdashare: Server) -> Iterator[Page]:
    """Fails the test for whatever the page throws."""
    context = browser.new_context(locale="en-US", base_url=lambdashare.url)
    page = context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    yield page
    context.close()
    assert thrown == []


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample ü.txt"
    path.write_bytes(b"what is sent is what arrives\n" * 4000)
    return path
