"""A browser, pages of λShare in it, and files to send."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.server import Server

# Chromium reports these answers as errors of the page, though it asked for them.
_ANSWERED = re.compile(r"Failed to load resource: .* (404|409|410) ")
_ASKED = re.compile(r"/(s|h|v1/hashes|v1/shares)/|/nowhere$")
_PATIENCE_MS = 60_000

OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, lambdashare: Server) -> Iterator[OpenPage]:
    """Pages that know nothing of each other; the test fails for whatever one of them complains.

    `forgiven` is a pattern of console errors that the test provokes.
    """
    contexts, complaints = [], list[str]()

    def told(message: ConsoleMessage, forgiven: str) -> None:
        expected = _ANSWERED.search(message.text) and _ASKED.search(message.location["url"])
        expected = expected or (forgiven and re.search(forgiven, message.text))
        if message.type == "error" and not expected:
            complaints.append(f"{message.text} ({message.location['url']})")

    def opened(forgiven: str = "", **options: Any) -> Page:
        settings = {"locale": "en-US", "reduced_motion": "reduce"} | options
        context = browser.new_context(base_url=lambdashare.url, **settings)
        context.set_default_timeout(_PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: told(message, forgiven))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_page()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """New content each time: other tests may look for theirs by its sums."""
    path = tmp_path / "sample ü.txt"
    path.write_bytes(b"what is sent is what arrives\n" * 4000 + os.urandom(16))
    return path
