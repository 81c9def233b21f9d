"""The console in headless Chromium: live, by keyboard, without JavaScript, narrow, dark."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from infra.console.live import MAX_STREAMS
from tests.browser.chromium import is_installed
from tests.browser.pages import tab
from tests.fakes.serving import Served

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(2)</script><a hx-get='/evil'>"
LINE = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}
ORDER: dict[str, Any] = {"customer_id": "C-1", "currency": "GBP", "items": [LINE]}
ADDRESS = {"name": HOSTILE, "street": HOSTILE, "city": HOSTILE, "country": HOSTILE}
LIVE = re.compile(r"^live")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a done, a declined, a waiting and a hostile order, and a dead letter."""
    with Served(tmp_path_factory.mktemp("console") / "data") as served:
        place(served, "DONE-1", email="ada@example.com")
        place(served, "DECLINED-1", payment_token="tok_decline")
        place(served, "WAITS-1", items=[{**LINE, "sku": "VASE-LIMITED"}])
        place(served, "HOSTILE-1", shipping_address=ADDRESS)
        bad = {"EventBusName": "orders-bus", "Source": "orders.service"}
        entry = {**bad, "DetailType": "Order Created", "Detail": '{"bad": "<script>alert(3)"}'}
        served.client("events").put_events(Entries=[entry])
        served.until("select count(*) from orders where in_flight is null", 3)
        served.until("select status from orders where order_id = 'WAITS-1'", "WAITING")
        served.until("select count(*) from messages where queue = 'QuarantineQueue'", 1)
        yield served


def place(served: Served, order_id: str, **changes: Any) -> None:
    status, answer = served.ask("POST", "/orders", {**ORDER, "order_id": order_id, **changes})
    assert status == 201, answer


def test_a_first_visit_sends_an_example_and_follows_it_to_its_shipment(
    browser: Browser, tmp_path: Path
) -> None:
    with Served(tmp_path / "data") as served, tab(browser, served.address) as opened:
        page = opened.open("/")
        expect(page.get_by_role("heading", name="Send an example order")).to_be_visible()
        page.get_by_role("button", name="An ordinary order").click()
        expect(page.locator("h1")).to_have_text(re.compile("^EX-"))
        expect(page.locator(".said")).to_contain_text("paid and shipped")
        expect(page.locator(".story")).to_contain_text("Shipment created")
        expect(page.locator(".title .tag")).to_have_text("Completed")


def test_a_new_order_appears_without_a_reload(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/orders")
        expect(page.locator("#badge")).to_have_text(LIVE)
        page.evaluate("window.kept = true")
        place(server, "LIVE-1")
        row = page.locator("tr", has_text="LIVE-1")
        expect(row).to_contain_text("Completed")
        assert page.evaluate("window.kept")


def test_updates_are_held_and_go_on(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/orders")
        expect(page.locator("#badge")).to_have_text(LIVE)
        page.keyboard.press(".")
        expect(page.locator("#badge")).to_have_text(re.compile("^held"))
        place(server, "HELD-1")
        expect(page.locator("#badge")).to_have_text(re.compile(r"^held, \d+ new"))
        expect(page.locator("tr", has_text="HELD-1")).to_have_count(0)
        page.keyboard.press(".")
        expect(page.locator("tr", has_text="HELD-1")).to_be_visible()


def test_an_update_keeps_focus_text_and_open_details(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/orders/WAITS-1")
        expect(page.locator("#badge")).to_have_text(LIVE)
        page.locator("#act-note summary").click()
        page.locator("#note-reason").fill("half a")
        place(server, "OTHER-1")
        expect(page.locator("#badge")).to_have_text(re.compile("changed"))
        time.sleep(1)
        page.keyboard.type(" sentence")
        expect(page.locator("#note-reason")).to_have_value("half a sentence")
        page.get_by_role("button", name="Add the note").click()
        expect(page.locator(".notice")).to_have_text("Note added")
        expect(page.locator(".story")).to_contain_text("half a sentence")


def test_the_main_flows_work_by_keyboard_alone(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("o")
        expect(page.locator("h1")).to_have_text("Orders")
        page.keyboard.press("/")
        page.keyboard.type("DECLINED-1")
        page.keyboard.press("Enter")
        expect(page.locator(".said")).to_contain_text("Failed: PaymentDeclined")
        page.wait_for_load_state()  # the script that reads the keys
        page.keyboard.press("]")
        expect(page.locator("#state")).to_be_visible()
        first = page.locator("#state h3").inner_text()
        page.keyboard.press("]")
        expect(page.locator("#state h3")).not_to_have_text(first)
        opened.open("/orders")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator(".said")).to_be_visible()


def test_single_keys_can_be_switched_off(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        page = opened.open("/")
        page.keyboard.press("?")
        page.locator("#keys-on").uncheck()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") != "q"


def test_the_main_flows_work_without_javascript(browser: Browser, server: Served) -> None:
    with tab(browser, server.address, java_script_enabled=False) as opened:
        page = opened.open("/")
        page.get_by_text("Send an example order").click()
        page.get_by_role("button", name="A declined card").click()
        expect(page.locator("h1")).to_have_text(re.compile("^EX-"))
        page.get_by_label("Search an order").fill("DONE-1")
        page.get_by_label("Search an order").press("Enter")
        page.locator('a[data-state="CheckInventory"]').click()
        expect(page.locator("#state")).to_contain_text("CheckInventoryFunction")
        page.locator("#act-note summary").click()
        page.locator("#note-reason").fill("without a script")
        page.get_by_role("button", name="Add the note").click()
        expect(page.locator(".story")).to_contain_text("without a script")
        expect(page.locator("#badge")).to_contain_text("reload")


PATHS = (
    "/",
    "/orders",
    "/orders?status=FAILED",
    "/orders/DONE-1?state=CheckInventory",
    "/orders/WAITS-1",
    "/orders/HOSTILE-1",
    "/bus",
    "/dead-letters",
    "/replays",
    "/queries",
    "/contracts",
    "/activity",
    "/search?q=D",
    "/search?q=nothing",
    "/nowhere",
)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_pages_fit_and_are_accessible(
    browser: Browser, server: Served, width: int, colours: str
) -> None:
    window = {"width": width, "height": 900}
    options = {"viewport": window, "color_scheme": colours, "bypass_csp": True}
    with tab(browser, server.address, **options) as opened:
        opened.is_expecting_loss = True  # 404 is a console message
        for path in PATHS:
            opened.open(path)
            wide, narrow = opened.width()
            assert wide == narrow, path
            assert opened.findings() == [], path


@pytest.mark.parametrize("script", [True, False])
def test_every_page_is_reached_on_a_narrow_screen_without_sideways_scrolling(
    browser: Browser, server: Served, *, script: bool
) -> None:
    options = {"viewport": {"width": 400, "height": 800}, "java_script_enabled": script}
    with tab(browser, server.address, **options) as opened:
        page = opened.open("/")
        for name in ("Orders", "Bus", "Dead letters", "Overview"):
            page.locator(".rail > ul").get_by_role("link", name=name).click()
            expect(page.locator("h1")).to_have_text(name)
        for name in ("Replays", "Queries", "Contracts", "Activity"):
            page.locator(".more > summary").click()
            page.locator(".more").get_by_role("link", name=name).click()
            expect(page.locator("h1")).to_have_text(name)
            expect(page.locator(".more > summary")).to_contain_text(name)
        page.locator(".more > summary").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(".more a").first).to_be_focused()
        if script:
            wide, narrow = page.locator(".rail").evaluate(
                "(rail) => [rail.scrollWidth, rail.clientWidth]"
            )
            assert wide == narrow


def test_colours_are_switched_and_kept(browser: Browser, server: Served) -> None:
    with tab(browser, server.address, color_scheme="light") as opened:
        page = opened.open("/orders")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator(".colours button").click()  # light, as the system already is
        page.locator(".colours button").click()
        expect(page.locator("h1")).to_have_text("Orders")
        opened.open("/")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_reduced_motion_stops_the_pulse(browser: Browser, server: Served) -> None:
    with tab(browser, server.address, reduced_motion="reduce") as opened:
        page = opened.open("/orders/WAITS-1")
        page.get_by_role("link", name="OrderRecovery").last.click()
        running = page.locator(".graph .running .box").first
        expect(running).to_be_visible()
        assert running.evaluate("(box) => getComputedStyle(box).animationName") == "none"


def test_hostile_text_stays_text(browser: Browser, server: Served) -> None:
    with tab(browser, server.address) as opened:
        for path in ("/", "/orders/HOSTILE-1"):
            page = opened.open(path)
            expect(page.locator("#badge")).to_have_text(LIVE)
            assert page.locator("img").count() == 0
            assert page.locator("[hx-get='/evil']").count() == 0


def test_a_tab_reconnects_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served, tab(browser, served.address) as opened:
        page = opened.open("/orders")
        expect(page.locator("#badge")).to_have_text(LIVE)
        begun = time.monotonic()
        opened.is_expecting_loss = True
        port = str(served.port)
        assert served.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 4, "the streams kept the server"
        expect(page.locator("#badge")).to_have_text(re.compile("^not connected"))
        served.arguments = ("--port", port)
        served.start()
        expect(page.locator("#badge")).to_have_text(LIVE, timeout=30_000)
        place(served, "AFTER-1")
        expect(page.locator("tr", has_text="AFTER-1")).to_be_visible()


def test_a_tab_beyond_the_streams_polls(browser: Browser, server: Served) -> None:
    import http.client

    streams = []
    for _ in range(MAX_STREAMS):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/console/live")
        response = connection.getresponse()
        assert response.status == 200
        streams.append((connection, response))
    try:
        with tab(browser, server.address) as opened:
            opened.is_expecting_loss = True  # 503 is a console message
            page = opened.open("/orders")
            expect(page.locator("#badge")).to_have_text("every 5 s")
            place(server, "POLLED-1")
            expect(page.locator("tr", has_text="POLLED-1")).to_be_visible(timeout=12_000)
    finally:
        for connection, _ in streams:
            connection.close()
