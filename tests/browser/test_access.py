"""Everybody: keyboards, screen readers (axe-core), phones, dark rooms, German."""

import os
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import FILES, Network, drop, send, sha256, violations

pytestmark = pytest.mark.browser

_SIZES = {"desktop": (1200, 900), "phone": (390, 844)}
_FOCUS = """() => {
  const at = document.activeElement;
  const label = at.closest('label') ?? at;
  const style = getComputedStyle(at), around = getComputedStyle(label);
  const inner = at.nextElementSibling ? getComputedStyle(at.nextElementSibling) : style;
  return {
    name: (at.ariaLabel ?? label.textContent ?? '').trim(),
    marked: [style, around, inner].some(one =>
      one.outlineStyle !== 'none' || one.boxShadow !== 'none'),
  };
}"""


def home(page: Page, _: Path) -> None:
    page.goto("/")
    expect(page.locator("h1")).to_be_visible()


def busy(page: Page, folder: Path) -> None:
    file = folder / "slow.bin"
    file.write_bytes(os.urandom(32 << 20))
    page.goto("/")
    Network(page).slow(3e5)
    page.set_input_files(FILES, file)
    expect(page.locator(".linkfield input")).to_have_value(re.compile("#sha256="))
    expect(page.locator(".total progress, .total [role=progressbar]")).to_be_visible()


def paused(page: Page, folder: Path) -> None:
    busy(page, folder)
    page.locator(".total button").first.click()
    page.locator(".total button.danger").click()  # it asks whether that is meant


def done(page: Page, folder: Path) -> None:
    file = folder / "done.txt"
    file.write_bytes(os.urandom(1000))
    send(page, file)


def several(page: Page, _: Path) -> None:
    page.goto("/")
    drop(page, {"one.txt": "1", "two/three.txt": "3"})
    expect(page.locator(".sending article.file.verified")).to_have_count(2)


def share(page: Page, folder: Path) -> None:
    done(page, folder)
    page.goto(page.input_value(".linkfield input"))
    expect(page.locator(".receive")).to_be_visible()
    expect(page.locator(".owner")).to_be_visible()


def by_hash(page: Page, folder: Path) -> None:
    done(page, folder)
    page.goto(f"/h/{sha256(folder / 'done.txt')}")
    expect(page.locator(".found li")).to_have_count(1)


def verify(page: Page, folder: Path) -> None:
    done(page, folder)
    page.goto("/verify")
    page.set_input_files(".drop input[type=file]", folder / "done.txt")
    expect(page.locator(".verdict.good")).to_be_visible()


def analytics(page: Page, folder: Path) -> None:
    done(page, folder)
    page.goto("/analytics")
    expect(page.locator(".charts canvas")).to_have_count(4)
    page.locator("summary").click()


def unknown(page: Page, _: Path) -> None:
    page.goto(f"/s/{'a' * 22}")
    expect(page.locator(".problem h1")).to_be_visible()


def gone(page: Page, folder: Path) -> None:
    share(page, folder)
    page.locator(".owner button.danger").click()
    page.locator(".owner button.danger").click()
    expect(page.locator(".problem h1")).to_be_visible()
    page.reload()
    expect(page.locator(".problem h1")).to_be_visible()


@pytest.mark.parametrize(
    "show",
    [home, busy, paused, done, several, share, by_hash, verify, analytics, unknown, gone],
    ids=lambda show: show.__name__,
)
def test_axe_finds_nothing(
    open_page: OpenPage, tmp_path: Path, show: Callable[[Page, Path], None]
) -> None:
    page = open_page()
    page.on("dialog", lambda dialog: dialog.accept())
    show(page, tmp_path)
    for language, (size, (width, height)) in product(("en", "de"), _SIZES.items()):
        if page.get_attribute("html", "lang") != language:
            page.locator(f".toggles [lang={language}]").click()
            expect(page.locator("html")).to_have_attribute("lang", language)
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            where = f"{show.__name__}, {size}, {language}, {scheme}"
            assert violations(page) == [], where
            assert page.evaluate("document.documentElement.scrollWidth") <= width, where


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the named thing has the focus, which must always be seen."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(_FOCUS)
        passed.append(focus["name"][:40])
        if re.search(name, focus["name"]):
            assert focus["marked"], f"the focus on {focus['name']!r} cannot be seen"
            return
    raise AssertionError(f"{name!r} is not reached: {passed}")


def test_by_keyboard_alone(open_page: OpenPage, sample: Path) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    # Listened for from the start: asked for just before the key, it may come too late.
    page.on("filechooser", lambda chooser: chooser.set_files(sample))
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUS)["name"] == "Skip to content"
    page.keyboard.press("Enter")
    tab_to(page, "^Choose files")
    page.keyboard.press("Space")
    page.wait_for_selector(".sending .witnesses.good")
    page.locator("#content").focus()
    tab_to(page, "^Copy link")
    page.keyboard.press("Enter")
    expect(page.locator(".link")).to_contain_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.input_value(".linkfield input")
    tab_to(page, "Three witnesses")
    page.keyboard.press("Enter")
    expect(page.locator("details.proof")).not_to_have_attribute("open", "")
    tab_to(page, "^Delete now")
    page.keyboard.press("Enter")
    tab_to(page, "^Yes, delete")
    page.keyboard.press("Enter")
    expect(page.locator(".card.calm")).to_contain_text("Deleted")
    page.goto(link)
    expect(page.locator("h1")).to_have_text("Gone, as intended")
    tab_to(page, "^Send a file")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Send a file. Prove it arrived.")


def test_the_page_speaks_politely(page: Page, sample: Path) -> None:
    """A screen reader hears phases, without having to look for them."""
    page.goto("/")
    page.evaluate("""() => {
      window.heard = [];
      const note = () => document.querySelectorAll('[aria-live=polite], [role=status]')
        .forEach(one => one.textContent && window.heard.push(one.textContent.trim()));
      new MutationObserver(note).observe(document, {subtree: true, childList: true,
        characterData: true});
    }""")
    page.set_input_files(FILES, sample)
    page.wait_for_selector(".sending .witnesses.good")
    page.wait_for_function("window.heard.some(text => text.includes('Verified'))")
    heard = page.evaluate("window.heard")
    assert any("link is ready" in text for text in heard)
