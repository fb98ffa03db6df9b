"""examples/social's web client in a browser: two phones, one society."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.examples.conftest import EXAMPLES, Load, OpenPage
from tests.examples.social.app import PASSWORD, Social

pytestmark = pytest.mark.browser
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True,
}  # fmt: skip
ATTACK = '<img src=x onerror="document.title=\'broken\'"><b>bold?</b> & "quotes"'


def _signed_in(page: Page, handle: str, button: str = "Create an account") -> Page:
    page.get_by_label("User name", exact=True).fill(handle)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name=button).click()
    expect(page.get_by_placeholder("What is new?")).to_be_visible()
    return page


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_one_posts_and_the_other_sees_it(social: Social, open_page: OpenPage) -> None:
    reader = _signed_in(open_page(f"{social.server.url}/", **PHONE), "page_reader")  # leads to /v1/
    writer = _signed_in(open_page(f"{social.url}/", **PHONE), "page_writer")
    expect(reader.get_by_text("It is quiet here.")).to_be_visible()
    assert _fits(reader)

    reader.get_by_label("Find somebody").fill("@Page_Writer")
    reader.keyboard.press("Enter")
    reader.get_by_role("button", name="Follow").click()
    expect(reader.get_by_role("button", name="Following")).to_be_visible()
    expect(reader.locator("#followers")).to_have_text("1")
    reader.get_by_role("link", name="Home").click()

    words = writer.get_by_placeholder("What is new?")
    left, publish = writer.locator("#left"), writer.get_by_role("button", name="Post", exact=True)
    expect(publish).to_be_disabled()
    words.fill("👩‍👩‍👧‍👦🇨🇭é")
    expect(left).to_have_text("277")
    words.fill("x" * 281)
    expect(left).to_have_text("-1")
    expect(publish).to_be_disabled()
    words.fill(ATTACK)
    publish.click()
    expect(writer.locator(".said")).to_have_text(ATTACK)

    reader.get_by_role("button", name="1 new post").click()
    expect(reader.locator(".said")).to_have_text(ATTACK)
    assert _fits(reader) and reader.title() == "Chirrup"
    reader.get_by_role("button", name="Like").click()
    expect(reader.get_by_role("button", name="Like, 1 so far")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(writer.get_by_role("button", name="Like, 1 so far")).to_be_visible()  # by itself

    writer.get_by_role("button", name="Delete").click()
    expect(writer.locator(".post")).to_have_count(0)
    reader.reload()
    expect(reader.get_by_text("It is quiet here.")).to_be_visible()
    reader.get_by_role("button", name="Sign out").click()
    expect(reader.get_by_role("heading", name="Chirrup")).to_be_visible()


def test_what_goes_wrong_is_told(social: Social, open_page: OpenPage) -> None:
    social.sign_up("stumbler")
    page = open_page(f"{social.url}/", **PHONE)
    page.get_by_label("User name", exact=True).fill("stumbler")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
    _signed_in(page, "stumbler", "Sign in")
    page.get_by_label("Find somebody").fill("no_one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("There is no user no_one.")
    page.get_by_role("link", name="Home").click()
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_busy_feed_has_older_pages_and_a_place_on_a_desktop(
    social: Social, open_page: OpenPage, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    simulate = load("social", "simulate")
    command = ["simulate.py", "--url", social.url, "--people", "8", "--posts", "45"]
    monkeypatch.setattr("sys.argv", command)
    simulate.main()
    page = _signed_in(open_page(f"{social.url}/", **PHONE), "tester")
    social.follow("tester", *simulate.FIRST[:8])
    page.reload()
    expect(page.locator(".post")).to_have_count(20)
    page.get_by_role("button", name="Older posts").click()
    expect(page.locator(".post")).to_have_count(40)
    assert _fits(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    box = page.locator("#phone").bounding_box()
    assert box and abs(box["x"] + box["width"] / 2 - 640) < 10 and box["width"] < 480
    if folder := os.environ.get("SCREENSHOTS"):
        _pictures(social, page, Path(folder))


def _pictures(social: Social, page: Page, folder: Path) -> None:
    """The README's, and what to look at by eye."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    expect(page.locator(".post")).to_have_count(20)
    for author in ("ada", "claude"):
        social.post(author, "Look, a new post!")
    expect(page.locator("#news")).to_have_text("2 new posts")
    page.screenshot(path=EXAMPLES / "social/screenshot.png", scale="css")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=folder / "dark.png")
    page.get_by_role("link", name="@").first.click()
    expect(page.locator("#name")).to_be_visible()
    page.screenshot(path=folder / "profile-dark.png")
    page.emulate_media(color_scheme="light")
    page.screenshot(path=folder / "profile.png")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.screenshot(path=folder / "desktop.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Sign out").click()
    page.screenshot(path=folder / "welcome.png")
    _signed_in(page, "empty_handed")
    page.screenshot(path=folder / "empty.png")
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.screenshot(path=folder / "error.png")
