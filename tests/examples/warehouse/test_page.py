"""The page: before the first order, before the first night, busy, without its API, on a phone."""

from datetime import date

import pytest

from tests.browser.pages import violations
from tests.examples.conftest import Deploy, Load, OpenPage
from tests.examples.warehouse.running import Running, sums


@pytest.mark.browser
def test_page(deploy: Deploy, load: Load, open_page: OpenPage) -> None:
    running = Running(deploy("warehouse", "-p", "BatchWindowSeconds=1"))
    page = open_page(running.server.url)
    page.get_by_role("heading", name="No orders yet").wait_for()
    simulate = load("warehouse", "simulate")
    orders = simulate.simulated(3, 40, date(2026, 11, 20), 5)
    simulate.write(running.table, orders)
    page.get_by_role("heading", name="The first night is still to come").wait_for()
    assert "--transform" in page.locator("#empty-command").inner_text()

    running.settle(orders)
    page.get_by_role("heading", name="The numbers reconcile").wait_for()
    _, lines, cents = sums(orders)
    shown = page.locator("#check-rows").inner_text()
    assert shown.count(f"€{cents / 100:,.2f}") == 2 and shown.count(f"{lines:,}") == 2
    page.get_by_label("Report", exact=True).select_option("baskets")
    page.get_by_role("cell", name="Wien Mitte").wait_for()
    assert "most on" in (page.locator("#days svg").get_attribute("aria-label") or "")
    assert violations(page) == []

    page.route("**/api/report?**", lambda route: route.abort())
    page.get_by_role("alert").filter(has_text="does not answer").wait_for()
    page.unroute("**/api/report?**")
    page.get_by_role("alert").wait_for(state="hidden")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
