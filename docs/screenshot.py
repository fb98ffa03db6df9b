"""Takes the picture of the page in README: `python -m docs.screenshot` writes docs/page.png.

Starts a λShare of its own, sends two files through the page with Debian's Chromium (CHROMIUM names
another) and waits until all three witnesses agree.
"""

import os
import tempfile
from pathlib import Path
from shutil import which

from playwright.sync_api import FloatRect, Page, sync_playwright
from tests.server import LAMBDASHARE, Server

PICTURE = Path(__file__).parent / "page.png"
FILES = {"film.mkv": 24_000_000, "notes.pdf": 180_000}
BYTES_MAX = 300_000
_PATIENCE_MS = 60_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [_file(Path(folder) / name, size) for name, size in FILES.items()]
        server = Server(Path(folder) / "data", LAMBDASHARE, "--no-watch")
        try:
            _take(server.start().url, files)
        finally:
            server.stop()
    assert PICTURE.stat().st_size < BYTES_MAX
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


def _file(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def _take(url: str, files: list[Path]) -> None:
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or which("chromium")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(
            viewport={"width": 1200, "height": 900},
            device_scale_factor=1,
            locale="en-US",
            reduced_motion="reduce",
        )
        page.set_default_timeout(_PATIENCE_MS)
        _send(page, url, files)
        page.screenshot(path=PICTURE, clip=_part(page), full_page=True)
        browser.close()


def _send(page: Page, url: str, files: list[Path]) -> None:
    page.goto(url)
    page.set_input_files(".drop input[type=file] >> nth=0", files)
    verified = page.locator(".sending article.file.verified")
    verified.nth(len(files) - 1).wait_for()
    page.locator("details.proof summary").first.click()
    page.locator("table.sums").first.wait_for()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")


def _part(page: Page) -> FloatRect:
    """From the top to the end of what was sent."""
    box = page.locator(".sending").bounding_box()
    assert box is not None
    return FloatRect(x=0, y=0, width=1200, height=box["y"] + box["height"] + 8)


if __name__ == "__main__":
    main()
