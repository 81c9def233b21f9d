"""A stranger's tasks, each begun on the overview, by mouse and by keyboard, in under a minute."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import is_installed
from tests.browser.pages import tab
from tests.browser.placing import LINE, put, send
from tests.fakes.serving import Served, orders

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="chromium is not installed"),
    pytest.mark.parametrize("device", ["mouse", "keyboard"]),
]

MINUTE = 60.0
MAX_TABS = 150
MANY = {**LINE, "quantity": 90_000}


class Hand:
    """A stranger at a page, who has a mouse or a keyboard alone."""

    def __init__(self, page: Page, device: str) -> None:
        self.page, self.device = page, device

    def go(self, name: str, key: str) -> None:
        """Go to a page of the navigation."""
        self.page.wait_for_load_state()  # the script that reads the keys
        if self.device == "mouse":
            self.page.get_by_label("Pages").get_by_role("link", name=name).click()
        else:
            self.page.keyboard.press("g")
            self.page.keyboard.press(key)
        expect(self.page.locator("h1")).to_have_text(name)

    def press(self, target: Locator) -> None:
        """Press a link, a button or the summary of a part."""
        expect(target).to_be_visible()
        if self.device == "mouse":
            target.click()
        else:
            self._reach(target)
            self.page.keyboard.press("Enter")

    def write(self, target: Locator, text: str) -> None:
        """Replace the text of a field."""
        if self.device == "mouse":
            target.fill(text)
        else:
            self._reach(target)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.insert_text(text)

    def date(self, target: Locator, day: datetime) -> None:
        """Write a date into its field, which takes digits alone from a keyboard."""
        if self.device == "mouse":
            target.fill(f"{day:%Y-%m-%d}")
        else:
            self._reach(target)
            self.page.keyboard.type(f"{day:%m%d%Y}")

    def _reach(self, target: Locator) -> None:
        """Move the focus by the tabulator key until an element has it."""
        expect(target).to_be_visible()
        for _ in range(MAX_TABS):
            if target.evaluate("(element) => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{target} has no focus after {MAX_TABS} tabulator keys")


@contextmanager
def stranger(browser: Browser, served: Served, device: str) -> Iterator[Hand]:
    """Open the overview; the task has to end within a minute."""
    with tab(browser, served.address) as opened:
        begun = time.monotonic()
        yield Hand(opened.open("/"), device)
        assert time.monotonic() - begun < MINUTE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve 20 generated orders, and one for each task."""
    data = tmp_path_factory.mktemp("tasks") / "data"
    assert orders("run", "--count", "20", "--data", data, timeout=120).returncode == 0
    stock = data.with_name("stock.csv")
    stock.write_text("sku,on_hand\nTEA-GREEN-100,1000\n")
    assert orders("stock", "receive", stock, "--data", data).returncode == 0
    with Served(data) as served:
        put(served, "FAILED-1", payment_token="tok_decline")
        put(served, "STUCK-1", items=[MANY], total=1_125_000)
        put(served, "NEAR-1", items=[{**LINE, "unit_price": 999.99}], total=999.99)
        put(served, "CANCELLED-1", items=[MANY], total=1_125_000)
        for device in ("mouse", "keyboard"):
            put(served, f"WRONG-{device}", currency="EURO")
        served.until("select count(*) from messages where queue = 'QuarantineQueue'", 2)
        wait(served, "CANCELLED-1", "WAITING")
        send(served, "Order Cancelled", {"order_id": "CANCELLED-1"})
        wait(served, "CANCELLED-1", "CANCELLED")
        wait(served, "FAILED-1", "FAILED")
        wait(served, "STUCK-1", "WAITING")
        yield served


def wait(served: Served, order_id: str, status: str) -> None:
    query = "select count(*) from orders where order_id = '{}' and status = '{}'"
    served.until(query.format(order_id, status), 1)


def test_why_did_an_order_fail(browser: Browser, server: Served, device: str) -> None:
    with stranger(browser, server, device) as hand:
        hand.write(hand.page.get_by_label("Search an order"), "FAILED-1")
        hand.page.keyboard.press("Enter")
        expect(hand.page.locator(".said")).to_contain_text("Failed: PaymentDeclined")
        expect(hand.page.locator(".said")).to_contain_text("nothing was charged")


def test_what_is_stuck_and_on_what(browser: Browser, server: Served, device: str) -> None:
    with stranger(browser, server, device) as hand:
        hand.press(hand.page.get_by_role("link", name="order waits for TEA-GREEN-100"))
        hand.press(hand.page.get_by_role("link", name="STUCK-1"))
        expect(hand.page.locator(".said")).to_contain_text("Waits: TEA-GREEN-100")


def test_a_wrong_currency_is_put_right(browser: Browser, server: Served, device: str) -> None:
    name = f"WRONG-{device}"
    with stranger(browser, server, device) as hand:
        page = hand.page
        hand.press(page.get_by_role("link", name=re.compile("dead letters? in Quarantine")))
        hand.press(page.locator("article h2 a"))
        hand.press(page.locator("tr", has_text=name).locator("a").first)
        hand.press(page.get_by_role("link", name="Edit"))
        editor = page.get_by_label("Event in JSON")
        hand.write(editor, editor.input_value().replace('"EURO"', '"EUR"'))
        hand.press(page.get_by_role("button", name="Check"))
        expect(page.locator(".changes")).to_contain_text('"EUR"')
        hand.press(page.get_by_role("button", name="Save and redrive"))
        expect(page.locator(".notice")).to_contain_text("is redriven")
        server.until(f"select count(*) from orders where order_id = '{name}'", 1)


def test_cancelled_orders_are_replayed_after_a_dry_run(
    browser: Browser, server: Served, device: str
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with stranger(browser, server, device) as hand:
        page = hand.page
        hand.go("Replays", "p")
        hand.press(page.get_by_role("link", name="New replay"))
        hand.write(page.get_by_label("Arrived from"), f"{yesterday:%Y-%m-%dT00:00:00}")
        hand.write(page.get_by_label("Rules"), "OrderChangesRule")
        hand.write(page.get_by_label("Events a second"), "5")
        hand.write(page.get_by_label("Name"), f"by-{device}")
        hand.press(page.get_by_role("button", name="Dry run"))
        expect(page.locator("#main")).to_contain_text("the request was requested before")
        hand.press(page.get_by_role("button", name="Start the replay"))
        expect(page.locator(".facts")).to_contain_text("5 events a second")
        hand.press(page.get_by_role("button", name="Pause"))
        expect(page.locator("h2 .tag").first).to_have_text("Paused")
        hand.press(page.get_by_role("button", name="Go on"))
        expect(page.locator("h2 .tag").first).to_have_text(re.compile("Running|Completed"))


def test_an_order_waits_for_stock_and_is_completed_when_it_arrives(
    browser: Browser, server: Served, device: str, tmp_path: Path
) -> None:
    stock = tmp_path / "stock.csv"
    stock.write_text(f"sku,on_hand\nVASE-LIMITED,2\nOTHER-{device},1\n")
    with stranger(browser, server, device) as hand:
        page = hand.page
        hand.press(page.locator("summary", has_text="Send an example order"))
        hand.press(page.get_by_role("button", name="A sold-out article"))
        expect(page.locator(".said")).to_contain_text("Waits: VASE-LIMITED")
        assert orders("stock", "receive", stock, "--data", server.data).returncode == 0
        expect(page.locator(".title .tag")).to_have_text("Completed", timeout=30_000)


def test_the_revenue_of_a_week_is_downloaded(
    browser: Browser, server: Served, device: str, tmp_path: Path
) -> None:
    with stranger(browser, server, device) as hand:
        page = hand.page
        hand.go("Queries", "q")
        hand.press(page.get_by_role("link", name=re.compile("^Revenue of completed orders by day")))
        expect(page.locator("h2 .count")).to_be_visible()
        hand.date(page.get_by_label("Since"), datetime.now(UTC) - timedelta(days=7))
        hand.press(page.get_by_role("button", name="Run"))
        expect(page.locator("h2 .count")).to_be_visible()
        assert "since=" in page.url
        with page.expect_download() as saved:
            hand.press(page.get_by_role("link", name="CSV"))
        saved.value.save_as(tmp_path / "revenue.csv")
        head, *rows = (tmp_path / "revenue.csv").read_text().splitlines()
        assert "revenue" in head
        assert rows


def test_why_was_an_order_not_flagged(browser: Browser, server: Served, device: str) -> None:
    with stranger(browser, server, device) as hand:
        page = hand.page
        hand.go("Bus", "b")
        hand.write(page.get_by_label("Order", exact=True), "NEAR-1")
        page.keyboard.press("Enter")
        hand.press(page.get_by_role("link", name="Order Created"))
        shown = page.locator("details.verdict[open]")
        expect(shown).to_contain_text("detail.total wants >= 1000, has 999.99")
        hand.press(page.get_by_role("link", name="change this pattern, and see").first)
        pattern = page.get_by_label("Event pattern")
        hand.write(pattern, '{"detail": {"total": [{"numeric": [">", 999]}]}}')
        hand.press(page.get_by_role("button", name="Match"))
        expect(page.locator(".result")).to_contain_text("matches")
