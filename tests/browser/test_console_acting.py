"""An operator's decisions and operations on groups in headless Chromium."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import is_installed
from tests.browser.pages import tab
from tests.browser.placing import LINE, put
from tests.fakes.serving import Served

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

GROUP = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve three orders that wait for a decision, and a group of dead letters."""
    data = tmp_path_factory.mktemp("acting") / "data"
    with Served(data, "--parameter", "HighValueApproval=on") as served:
        for number in (1, 2, 3):
            put(served, f"DEAR-{number}", items=[{**LINE, "quantity": 96}], total=1200.0)
        waiting = "select count(*) from orders where status = 'AWAITING_APPROVAL'"
        served.until(waiting, 3)
        for number in range(GROUP):
            put(served, f"BAD-{number}", currency="EURO")
        served.until("select count(*) from messages where queue = 'QuarantineQueue'", GROUP)
        [(first,)] = served.rows("select min(id) from messages")
        job = {"action": "discard", "ids": [first], "label": "one", "reason": "a test"}
        headers = {"X-Amz-Target": "Orderflow.StartLetterJob"}
        assert served.ask("POST", "/", job, headers) == (200, {"job": 1, "state": "RUNNING"})
        yield served


@pytest.mark.parametrize("script", [True, False])
def test_an_order_is_found_on_the_overview_and_approved(
    browser: Browser, server: Served, *, script: bool
) -> None:
    with tab(browser, server.address, java_script_enabled=script) as opened:
        page = opened.open("/")
        page.get_by_role("link", name="orders wait for an approval").click()
        page.locator("a[data-open]").last.click()
        order_id = page.locator("h1").inner_text()
        page.get_by_label("Reason (recorded with your name").fill("known customer")
        page.get_by_role("button", name="Approve…").click()
        expect(page.get_by_label("Reason (optional)")).to_have_value("known customer")
        page.get_by_role("button", name=f"Approve {order_id}").click()
        expect(page.locator(".notice")).to_contain_text("Approved")
        server.until(f"select status from orders where order_id = '{order_id}'", "COMPLETED")
        page = opened.open("/activity")
        row = page.locator("tr", has_text=order_id)
        expect(row).to_contain_text("approve")
        expect(row).to_contain_text("known customer")


@pytest.mark.parametrize("script", [True, False])
def test_a_group_is_redriven_at_a_pace_paused_and_goes_on(
    browser: Browser, server: Served, *, script: bool
) -> None:
    with tab(browser, server.address, java_script_enabled=script) as opened:
        page = opened.open("/dead-letters?q=currency")
        page.locator("article h2 a").first.click()
        page.get_by_role("link", name=re.compile("^Redrive all")).click()
        page.get_by_label(re.compile("^Pace")).fill("0.5")
        page.get_by_role("button", name=re.compile("^Redrive")).click()
        expect(page.locator(".notice")).to_have_text("The job has started.")
        expect(page.locator("#live")).to_contain_text("0.5 dead letters a second")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live .tag")).to_have_text("Paused")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#live .tag")).to_have_text("Running")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#live .tag")).to_have_text("Cancelled")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_pages_of_decisions_and_jobs_fit_and_are_accessible(
    browser: Browser, server: Served, width: int, colours: Any
) -> None:
    size = {"width": width, "height": 900}
    with tab(browser, server.address, viewport=size, color_scheme=colours) as opened:
        page = opened.open("/dead-letters?q=currency")
        group = str(page.locator("article h2 a").first.get_attribute("href"))
        page.goto(f"{server.address}{group}")
        preview = page.get_by_role("link", name=re.compile("^Redrive")).get_attribute("href")
        paths = [
            "/orders/DEAR-3",
            "/orders/DEAR-3/decision?decision=reject",
            "/dead-letters/jobs/1",
        ]
        paths += [str(preview).removeprefix("/console"), "/orders?customer=C-1", "/activity"]
        for path in paths:
            opened.open(path)
            wide, narrow = opened.width()
            assert wide == narrow, path
            assert opened.findings() == [], path


def test_personal_data_is_shown_when_asked_for_and_stays_shown_while_live(
    browser: Browser, server: Served
) -> None:
    put(server, "PERSON-1", email="ada@example.com")
    done = "select count(*) from orders where order_id = 'PERSON-1' and status = 'COMPLETED'"
    server.until(done, 1)
    with tab(browser, server.address) as opened:
        page = opened.open("/orders/PERSON-1")
        expect(page.locator(".facts").first).not_to_contain_text("ada@")
        page.get_by_role("button", name="Show it").first.click()
        expect(page.locator("#main")).to_contain_text("ada@example.com")
        put(server, "OTHER-1")
        expect(page.locator("#badge")).to_have_text(re.compile("changed"))
        expect(page.locator("#main")).to_contain_text("ada@example.com")


def test_a_view_is_saved_by_name_and_opened(browser: Browser, server: Served) -> None:
    with tab(browser, server.address, java_script_enabled=False) as opened:
        page = opened.open("/orders?status=COMPLETED")
        page.get_by_text("Save this view").click()
        page.get_by_label("Name, for all users").fill("Done ones")
        page.get_by_role("button", name="Save these filters").click()
        page = opened.open("/orders")
        page.get_by_role("link", name="Done ones").click()
        expect(page.locator("#status")).to_have_value("COMPLETED")
