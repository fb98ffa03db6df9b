"""λShare's page in a real browser, on the real thing: send, prove, receive, find, watch, delete."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

_VERIFIED_MS = 120_000
_PICKER = """() => { window.showSaveFilePicker = async () => {
  const folder = await navigator.storage.getDirectory();
  return window.saved = await folder.getFileHandle('saved', {create: true});
}; }"""


def _accessible(page: Page) -> None:
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


def _send(page: Page, path: Path) -> str:
    """The link, once all three witnesses agree."""
    page.goto("/")
    page.set_input_files(".drop input[type=file] >> nth=0", path)
    page.wait_for_selector(".sending .witnesses.good", timeout=_VERIFIED_MS)
    return page.input_value(".linkfield input")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_send_find_download_verify_delete(page: Page, sample: Path) -> None:
    link = _send(page, sample)
    digest = _sha256(sample)
    assert link.endswith(f"#sha256={digest}")
    expect(page.locator(".sending table.sums tbody tr")).to_have_count(7)
    _accessible(page)

    page.goto(link)
    expect(page.locator("h1")).to_have_text(sample.name)
    expect(page.locator(".verdict.good")).to_contain_text("one the function computed")
    _accessible(page)
    with page.expect_download() as download:
        page.click(".receive a.button")
    assert _sha256(Path(download.value.path())) == digest

    page.goto(f"/h/{digest[:20]}")  # 16 digits would be a CRC64NVME
    expect(page.locator(".found li")).to_contain_text(sample.name)
    _accessible(page)

    page.goto(link)
    page.click("text=Delete now")
    page.click("text=Yes, delete")
    expect(page.locator("h1")).to_have_text("Gone, as intended")
    page.reload()
    expect(page.locator("h1")).to_have_text("Gone, as intended")
    _accessible(page)


def test_verified_download_keeps_nothing_that_does_not_match(page: Page, sample: Path) -> None:
    link = _send(page, sample)
    saved = "() => window.saved.getFile().then(file => file.size)"
    page.goto(link)
    page.evaluate(_PICKER)
    page.click("text=Download and verify")
    expect(page.locator(".receive .verdict.good")).to_be_visible()
    assert page.evaluate(saved) == sample.stat().st_size

    page.goto("about:blank")
    page.goto(re.sub("=.*", "=" + "ab" * 32, link))
    expect(page.locator(".verdict.bad")).to_contain_text("another SHA")
    page.evaluate(_PICKER.replace("'saved'", "'other'"))
    page.click("text=Download and verify")
    expect(page.locator(".receive .verdict.bad")).to_be_visible()
    assert page.evaluate(saved) == 0


def test_verify_page_hashes_here_and_looks_up(page: Page, sample: Path, tmp_path: Path) -> None:
    _send(page, sample)
    page.goto("/verify")
    page.set_input_files(".drop input[type=file]", sample)
    expect(page.locator(".verdict.good")).to_contain_text("Known here")
    assert _sha256(sample) in page.inner_text("table.sums")
    unknown = tmp_path / "unknown"
    unknown.write_bytes(os.urandom(1000))
    page.set_input_files(".drop input[type=file]", unknown)
    expect(page.locator(".verdict.open")).to_contain_text("No public share")
    page.fill(".lookup input", "not a sum")
    page.click(".lookup button")
    expect(page.locator("#lookup-trouble")).to_contain_text("That is not a sum")
    _accessible(page)


def test_analytics_moves_by_itself(page: Page, sample: Path) -> None:
    page.goto("/analytics")
    uploads = page.locator(".tiles dd").first
    expect(uploads).to_have_text(re.compile(r"\d+"))
    before = int(uploads.inner_text())
    _accessible(page)
    other = page.context.new_page()
    _send(other, sample)
    expect(uploads).to_have_text(str(before + 1), timeout=30_000)


def test_large_file_in_many_parts(page: Page, tmp_path: Path) -> None:
    """300 MB: multipart straight to S3, hashed by function and browser, downloaded, compared."""
    large = tmp_path / "large.bin"
    block = os.urandom(1_000_000)
    with large.open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(8, "big") + block[8:])
    link = _send(page, large)
    page.goto(link)
    with page.expect_download(timeout=_VERIFIED_MS) as download:
        page.click(".receive a.button")
    assert _sha256(Path(download.value.path())) == _sha256(large)


def test_a_reload_goes_on_where_it_was(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "reload.bin"
    large.write_bytes(os.urandom(64 << 20))
    devtools = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 12e6}
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", slow)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/")
    page.set_input_files(".drop input[type=file] >> nth=0", large)
    expect(page.locator(".facts .percent")).to_have_text(re.compile(r"^[2-8]\d%"), timeout=30_000)
    page.reload()
    devtools.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    page.set_input_files(".unfinished input[type=file]", large)
    page.wait_for_selector(".sending .witnesses.good", timeout=_VERIFIED_MS)


def test_german_dark_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    for path in ("/", "/verify", "/analytics", "/s/unknown"):
        page.goto(path)
        if path == "/":
            page.click("text=DE")
        expect(page.locator("html")).to_have_attribute("lang", "de")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        _accessible(page)
