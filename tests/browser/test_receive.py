"""Receiving, verifying, finding by hash, deleting; and the numbers that move meanwhile."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import drop, send, sha256

pytestmark = pytest.mark.browser

_PICKER = """() => { window.showSaveFilePicker = async () => {
  const folder = await navigator.storage.getDirectory();
  return window.saved = await folder.getFileHandle('saved', {create: true});
}; }"""


def test_download_find_delete(page: Page, sample: Path) -> None:
    link = send(page, sample)
    digest = sha256(sample)
    assert link.endswith(f"#sha256={digest}")
    page.goto(link)
    expect(page.locator("h1")).to_have_text(sample.name)
    with page.expect_download() as download:
        page.click(".receive a.button")
    assert download.value.suggested_filename == sample.name
    assert Path(download.value.path()).read_bytes() == sample.read_bytes()
    counted = page.locator("p.note", has_text="verified cop")
    expect(counted).to_have_text("1 download · 0 verified copies")  # by itself, not by a reload
    page.set_input_files(".receive input[type=file]", sample)
    expect(counted).to_have_text("1 download · 1 verified copy")

    page.goto(f"/h/{digest[:16]}")
    expect(page.locator(".found li")).to_contain_text(sample.name)
    expect(page.locator("table.sums")).to_contain_text(digest)

    page.goto(link)
    page.get_by_role("button", name="Delete now").click()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.locator("h1")).to_have_text("Gone, as intended")
    for gone in (link, f"/h/{digest}"):
        answer = page.goto(gone)
        assert answer is None or answer.status == 410
        expect(page.locator("h1")).to_have_text("Gone, as intended")


def test_a_reader_is_told_of_the_end(open_page: OpenPage, sample: Path) -> None:
    """Deleted while somebody looks: without a reload."""
    sender, reader = open_page(), open_page()
    reader.goto(send(sender, sample))
    expect(reader.locator(".receive a.button")).to_be_visible()
    sender.get_by_role("button", name="Delete now").click()
    sender.get_by_role("button", name="Yes, delete").click()
    expect(reader.locator("h1")).to_have_text("Gone, as intended")


def test_what_never_was(page: Page) -> None:
    for path in (f"/s/{'a' * 22}", f"/h/{'0' * 64}", "/nowhere"):
        answer = page.goto(path)
        assert answer is not None and answer.status == 404
        expect(page.locator("h1")).to_have_text("There is nothing here")


def test_verified_download_keeps_nothing_that_does_not_match(page: Page, sample: Path) -> None:
    link = send(page, sample)
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


def test_verify_page_uploads_nothing(page: Page) -> None:
    text = os.urandom(30).hex()
    page.goto("/")
    drop(page, {"known.txt": text})
    page.wait_for_selector(".sending .witnesses.good")
    page.goto("/verify")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    drop(page, {"a copy of it": text})
    expect(page.locator(".verdict.good")).to_contain_text("Known here")
    expect(page.locator(".found")).to_contain_text("known.txt")
    drop(page, {"another": text + "!"})
    expect(page.locator(".verdict.open")).to_contain_text("No public share")
    expect(page.locator("table.sums td.mono")).to_have_count(7)
    assert set(asked) == {"GET"}
    page.fill(".lookup input", "not a sum")
    page.click(".lookup button")
    expect(page.locator("#lookup-trouble")).to_contain_text("That is not a sum")


def test_analytics_moves_by_itself(open_page: OpenPage, sample: Path) -> None:
    page = open_page()
    page.goto("/analytics")
    uploads = page.locator(".tiles dd").first
    expect(uploads).to_have_text(re.compile(r"\d+"))
    names = page.locator(".tiles dt").all_inner_texts()
    assert names[3:] == [
        "Verified copies",
        *(f"Last byte to sums: {part} within" for part in ("half", "99 %")),
    ]
    before = int(uploads.inner_text())
    page.evaluate("window.here = true")
    other = open_page()
    send(other, sample)
    send(other, sample)
    expect(uploads).to_have_text(str(before + 2))
    assert page.evaluate("window.here")  # it was not loaded again
