"""Sending: large, many, paused, reloaded, taken back."""

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from awscrt import checksums
from blake3 import blake3
from playwright.sync_api import Page, Request, Response, WebSocket, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import FILES, VERIFIED_MS, Network, drop, sha256, verified_link
from tests.server import Server

pytestmark = pytest.mark.browser

MIB = 1 << 20
PERCENT = re.compile(r"^[2-8]\d\s?%")
# Notes every change of the phase, and whether the link was there.
_WITNESS = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const step = document.querySelector('.sending .phases [aria-current]');
    const link = document.querySelector('.linkfield input');
    const now = step && [step.textContent.trim(), Boolean(link && link.value)];
    if (now && JSON.stringify(now) !== JSON.stringify(window.seen.at(-1))) window.seen.push(now);
  }).observe(document, {subtree: true, childList: true, attributes: true});
}"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 MB, no two blocks the same."""
    path = tmp_path_factory.mktemp("large") / "expedition.mov"
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def seven_sums(path: Path) -> list[str]:
    """In the order of the page."""
    lanes = [hashlib.new(name) for name in ("sha256", "sha512", "sha1", "md5")]
    third, crc64, crc32 = blake3(), 0, 0
    with path.open("rb") as file:
        while block := file.read(4 * MIB):
            for lane in (*lanes, third):
                lane.update(block)
            crc64 = checksums.crc64nvme(block, crc64)
            crc32 = checksums.crc32(block, crc32)
    first, *others = [lane.hexdigest() for lane in lanes]
    return [first, third.hexdigest(), *others, f"{crc64:016x}", f"{crc32:08x}"]


class Watch:
    """What a page asks for and what it is told."""

    def __init__(self, page: Page) -> None:
        self.asked: list[tuple[str, str]] = []
        self.told: list[dict[str, Any]] = []
        self.stored: list[str] = []
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("websocket", self._socket)

    def _request(self, request: Request) -> None:
        self.asked.append((request.method, urlsplit(request.url).path))

    def _response(self, response: Response) -> None:
        parts = parse_qs(urlsplit(response.url).query).get("partNumber")
        if parts and response.request.method == "PUT" and response.status == 200:
            self.stored += parts

    def _socket(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: self.told.append(json.loads(data)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] == kind]


def test_a_large_file_is_sent_hashed_and_received(
    open_page: OpenPage, lambdashare: Server, large: Path, tmp_path: Path
) -> None:
    page = open_page()
    watch = Watch(page)
    page.goto("/")
    page.evaluate(_WITNESS)
    page.set_input_files(FILES, large)
    link = verified_link(page)

    seen = page.evaluate("window.seen")
    assert seen[0] == ["Uploading", True]  # the link is there while the bytes are on their way
    phases = [phase for phase, _ in itertools.groupby(phase for phase, _ in seen)]
    assert [phase for phase in phases if phase != "Storing"] == ["Uploading", "Hashing", "Verified"]
    steps = ["Uploading", "Storing", "Hashing", "Verified"]  # storing may be too short to be seen
    assert page.locator(".phases li").all_inner_texts() == steps
    progress = [each["hashed_bytes"] for each in watch.of("progress")]
    assert progress and progress == sorted(progress)
    assert [path for method, path in watch.asked if method == "GET" and "/v1/" in path] == []
    assert len(watch.stored) == len(set(watch.stored)) == 18

    sums = seven_sums(large)
    assert page.locator(".sending table.sums td.mono").all_inner_texts() == sums
    browser = page.locator(".witnesses li", has_text="Sender's browser")
    expect(browser).to_contain_text("agrees")
    assert link.endswith(f"#sha256={sums[0]}")

    other = open_page()
    other.goto(link)
    expect(other.locator(".verdict.good")).to_contain_text("one the function computed")
    with other.expect_download(timeout=VERIFIED_MS) as download:
        other.click(".receive a.button")
    assert download.value.suggested_filename == large.name
    assert sha256(Path(download.value.path())) == sums[0]

    target = tmp_path / "by command"
    done = subprocess.run(
        [sys.executable, "-m", "lambdashare.cli", "get", link, "-o", target],
        capture_output=True, text=True, timeout=VERIFIED_MS / 1000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(sums[0]) and sha256(target) == sums[0]


def test_dropped_files_make_one_share(page: Page) -> None:
    page.goto("/")
    files = {"letter.txt": "Dear you,", "empty": "", "list ü.csv": "a,b\n" * 999}
    drop(page, files)
    cards = page.locator(".sending article.file")
    expect(cards).to_have_count(3)
    expect(page.locator(".sending article.file.verified")).to_have_count(3)
    assert cards.locator("h2").all_inner_texts() == list(files)
    digest = hashlib.sha256(b"Dear you,").hexdigest()
    cards.first.locator("summary").click()
    expect(cards.first.locator("table.sums")).to_contain_text(digest)
    page.goto(page.input_value(".linkfield input"))
    expect(page.locator("article.file.verified")).to_have_count(3)


def test_pause_and_resume(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "paused.bin"
    file.write_bytes(os.urandom(96 * MIB))
    watch, network = Watch(page), Network(page)
    page.goto("/")
    network.slow(5e6)
    page.set_input_files(FILES, file)
    expect(page.locator(".facts .percent")).to_have_text(PERCENT)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".facts b")).to_have_text("Paused")
    network.free()
    page.get_by_role("button", name="Resume").click()
    verified_link(page)
    assert sorted(map(int, watch.stored)) == [1, 2, 3, 4, 5, 6]


def test_a_reload_goes_on_where_it_was(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "reloaded.bin"
    file.write_bytes(os.urandom(96 * MIB))
    watch, network = Watch(page), Network(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/")
    network.slow(12e6)
    page.set_input_files(FILES, file)
    while not watch.stored:
        page.wait_for_event("response")
    page.reload()
    before = set(watch.stored)
    network.free()
    expect(page.locator(".unfinished")).to_contain_text("reloaded.bin")
    page.set_input_files(".unfinished input[type=file]", file)
    link = verified_link(page)
    assert link.endswith(sha256(file))
    assert len(watch.stored) == len(set(watch.stored)) <= 6  # none was sent twice
    assert before and len(watch.stored) > len(before)


def test_cancelled_is_gone(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "mistake.bin"
    file.write_bytes(os.urandom(32 * MIB))
    page.goto("/")
    Network(page).slow(1e6)
    page.set_input_files(FILES, file)
    link = page.input_value(".linkfield input")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.locator(".card.calm")).to_contain_text("Nothing has been kept")
    page.goto(link)
    expect(page.locator("h1")).to_have_text("Gone, as intended")


def test_trouble_is_told(open_page: OpenPage) -> None:
    page = open_page("ERR_FAILED")
    page.goto("/")
    drop(page, {})
    expect(page.get_by_role("alert")).to_contain_text("no file in that")
    page.route("**/v1/shares", lambda route: route.abort())
    drop(page, {"a.txt": "a"})
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.unroute("**/v1/shares")
    drop(page, {"a.txt": "a"})
    verified_link(page)
