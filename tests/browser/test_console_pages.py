"""The pages on bus, dead letters, replays, queries and contracts in headless Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import is_installed
from tests.browser.pages import tab
from tests.browser.placing import LINE, put
from tests.fakes.serving import Served

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(2)</script><a hx-get='/evil'>"
DONE = "select count(*) from orders where in_flight is null"
LETTERS = "select count(*) from messages where queue = 'QuarantineQueue'"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve an order just below the high value, and dead letters of three causes."""
    with Served(tmp_path_factory.mktemp("console") / "data") as served:
        put(served, "NEAR-1", items=[{**LINE, "unit_price": 999.99}], total=999.99)
        put(served, "WRONG-1", currency="EURO")
        put(served, "WRONG-2", currency="BTC")
        put(served, "EMPTY-1", items=[])
        put(served, HOSTILE, customer_id=HOSTILE, currency=HOSTILE)
        served.until(LETTERS, 4)
        yield served


def test_a_new_event_appears_on_top_and_text_in_a_form_stays(
    browser: Browser, server: Served
) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/bus")
        expect(page.locator("#badge")).to_have_text(re.compile("^live"))
        page.get_by_label("Source").fill("half a")
        put(server, "LIVE-1")
        expect(page.locator("[data-row]").first).to_contain_text("LIVE-1")
        expect(page.get_by_label("Source")).to_have_value("half a")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_wrong_currency_is_put_right_and_redriven(
    browser: Browser, server: Served, *, scripts: bool
) -> None:
    name = f"FIX-{'WITH' if scripts else 'WITHOUT'}"
    put(server, name, currency="EURO")
    with tab(browser, server.address, java_script_enabled=scripts) as opened:
        page = opened.open("/dead-letters")
        for _ in range(100):
            page.goto(f"{server.address}/console/dead-letters?order={name}")
            if page.locator("article").count():
                break
        page.locator("article h2 a").click()
        page.locator("tbody a").first.click()
        page.get_by_role("link", name="Edit").click()
        editor = page.get_by_label("Event in JSON")
        editor.fill(editor.input_value().replace('"EURO"', '"EURO2"'))
        opened.is_expecting_loss = True  # the check answers 422
        page.get_by_role("button", name="Check").click()
        expect(page.locator("#problems")).to_contain_text("detail.currency")
        opened.is_expecting_loss = False
        editor.fill(editor.input_value().replace('"EURO2"', '"EUR"'))
        page.get_by_role("button", name="Check").click()
        expect(page.locator(".changes")).to_contain_text('"EUR"')
        page.get_by_role("button", name="Save and redrive").click()
        expect(page.locator(".notice")).to_contain_text("is redriven")
        expect(page.locator(".trail")).to_contain_text("Edited")
    server.until(f"select count(*) from orders where order_id = '{name}'", 1)


def test_a_group_is_discarded_by_keyboard_and_put_back(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/dead-letters?q=items")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.get_by_role("link", name=re.compile("^Discard it")).focus()
        page.keyboard.press("Enter")
        page.get_by_label(re.compile("^Why they need")).fill("a test")
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("The job has started")
        expect(page.locator("#live")).to_contain_text("1 of 1 handled")
        page.keyboard.press("g")
        page.keyboard.press("a")
        expect(page.get_by_role("heading", level=1)).to_have_text("Activity")
        page.get_by_role("link", name=re.compile("^job")).first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Put it back").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".notice")).to_contain_text("are put back")
        expect(page.locator("h1")).to_have_text("Undo of a discard of 1 dead letter")


def test_a_replay_is_cancelled(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/replays/new")
        page.get_by_label("Name").fill("by-browser")
        page.get_by_label("Events a second").fill("1")
        page.get_by_role("button", name="Dry run").click()
        page.get_by_role("button", name="Start the replay").click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("h2 .tag").first).to_have_text("Cancelled")


def test_a_query_is_saved_as_it_is_shown_and_a_long_one_is_cancelled(
    browser: Browser, server: Served, tmp_path: Path
) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/queries")
        page.get_by_label("SQL").fill("select 'a' as name, 7 as n")
        page.get_by_role("button", name="Run").click()
        expect(page.locator("table.rows")).to_contain_text("7")
        with page.expect_download() as saved:
            page.get_by_role("link", name="CSV").click()
        saved.value.save_as(tmp_path / "answer.csv")
        assert (tmp_path / "answer.csv").read_text() == "name,n\na,7\n"
        page = opened.open("/queries")
        page.get_by_label("SQL").fill("select count(*) from range(100000000000) a")
        page.get_by_label("Dialect").select_option("duckdb")
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("heading", name=re.compile("^Running for"))).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".notice")).to_contain_text("was cancelled")


PATHS = [
    "/dead-letters/jobs",
    "/orders/WRONG-1/resend",
    "/orders/WRONG-1",
    "/bus",
    "/bus/1",
    "/bus/5",
    "/bus/rules",
    "/bus/rules/HighValueRule",
    "/dead-letters",
    "/dead-letters?by=queue",
    "/dead-letters/closed",
    "/replays",
    "/replays/new?start=2020-01-01T00:00:00&end=2100-01-01T00:00:00",
    "/queries",
    "/queries/orders_by_status",
    "/contracts",
    "/contracts/order-created",
    "/contracts/check",
    "/contracts/order-created/send",
    "/activity?platform=yes",
]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_each_page_fits_and_is_accessible(
    browser: Browser, server: Served, width: int, colours: Any
) -> None:
    size = {"width": width, "height": 900}
    with tab(browser, server.address, viewport=size, color_scheme=colours) as opened:
        page = opened.open("/dead-letters")
        letter = page.locator(".samples a").first.get_attribute("href")
        group = page.locator("article h2 a").first.get_attribute("href")
        more = [str(link).removeprefix("/console") for link in (letter, group)]
        for path in [*PATHS, *more, f"{more[0]}/edit"]:
            page = opened.open(path)
            if path.startswith("/queries/"):  # the page of a running query loads again
                expect(page.locator("h2 .count")).to_be_visible(timeout=15_000)
            expect(page.locator("#badge")).to_have_text(re.compile("^live"), timeout=15_000)
            wide, narrow = opened.width()
            assert wide <= narrow, path
            assert opened.findings() == [], path


def test_text_that_is_typed_while_a_query_runs_stays(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        sql = "select count(*) from range(100000000000) a"
        page = opened.open(f"/queries/sql?dialect=duckdb&q={sql}")
        running = page.locator("[data-again] h2")
        began = running.inner_text()
        page.get_by_label("SQL").fill("select 1 as another")
        expect(running).not_to_have_text(began)
        expect(page.get_by_label("SQL")).to_have_value("select 1 as another")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("[data-again]")).to_have_count(0)
