"""What several browser tests do on λShare's page."""

import hashlib
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import CDPSession, Page

VERIFIED_MS = 120_000
_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
_VIOLATIONS = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations']});
  return found.violations.map(one => [one.id, one.nodes.map(node => node.target.join(' '))]);
}"""
FILES = ".drop input[type=file] >> nth=0"
_FREE = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
# Files as a drop brings them: name → text.
_DROP = """files => {
  const transfer = new DataTransfer();
  for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
  return transfer;
}"""


def send(page: Page, path: Path) -> str:
    """The link, once all three witnesses agree."""
    page.goto("/")
    page.set_input_files(FILES, path)
    return verified_link(page)


def verified_link(page: Page) -> str:
    page.wait_for_selector(".sending .witnesses.good", timeout=VERIFIED_MS)
    return page.input_value(".linkfield input")


def drop(page: Page, files: dict[str, str]) -> None:
    transfer = page.evaluate_handle(_DROP, files)
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#content", event, {"dataTransfer": transfer})


class Network:
    """The page's connection, slowed down and let go."""

    def __init__(self, page: Page) -> None:
        self._devtools: CDPSession = page.context.new_cdp_session(page)
        self._devtools.send("Network.enable")

    def slow(self, upload_bytes_per_s: float) -> None:
        wish = _FREE | {"uploadThroughput": upload_bytes_per_s}
        self._devtools.send("Network.emulateNetworkConditions", wish)

    def free(self) -> None:
        self._devtools.send("Network.emulateNetworkConditions", _FREE)


def violations(page: Page) -> list[Any]:
    """What axe-core finds, all its rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.read_text(encoding="utf-8"))
    return list(page.evaluate(_VIOLATIONS))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
