"""The console of a deployed stack in headless Chromium: its polling, its look, its messages."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from infra.deployed.stack import DeployedStack
from kernel import clock
from kernel.order_status import Status
from orders.dynamodb import DynamoOrders
from tests.browser.chromium import is_installed
from tests.browser.pages import Tab, tab
from tests.fakes.aws_port import aws_port
from tests.fakes.records import order
from tests.integration import deployed
from tests.integration.test_stack_console_acting import LETTER, put_in

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

ORDERS = Path(sys.executable).parent / "orders"
PAGES = ("/", "/orders", "/orders/S-1", "/bus", "/dead-letters", "/replays/new", "/queries")


class Opened(NamedTuple):
    """The console of a stack: its address with the key, and the stack."""

    address: str
    stack: DeployedStack

    @property
    def origin(self) -> str:
        """The address without the path."""
        return self.address.partition("/console/")[0]


@pytest.fixture(scope="module")
def console() -> Iterator[Opened]:
    """Serve a stack with an open order and a dead letter."""
    with deployed.stack() as stack, aws_port(stack.names) as address:
        save(stack, "S-1", email="ada@example.com")
        put_in(stack, LETTER)
        command = [str(ORDERS), "console", "--stack", "shop", "--endpoint-url", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield Opened(process.stdout.readline().strip(), stack)
            finally:
                process.send_signal(signal.SIGINT)


def save(stack: DeployedStack, order_id: str, **fields: object) -> None:
    now = clock.now()
    times = {"created_at": now - 60, "updated_at": now - 30, "version": 0}
    DynamoOrders(stack.table()).save(order(order_id=order_id, **times, **fields).change())


@contextmanager
def signed_in(browser: Browser, console: Opened, **options: object) -> Iterator[Tab]:
    with tab(browser, console.origin, **options) as opened:
        opened.page.goto(console.address)
        yield opened


@pytest.mark.parametrize("width", [1400, 400])
def test_the_pages_fit_their_window_and_axe_finds_nothing(
    browser: Browser, console: Opened, width: int
) -> None:
    with signed_in(browser, console, viewport={"width": width, "height": 800}) as opened:
        for path in PAGES:
            opened.open(path)
            wide, narrow = opened.width()
            assert wide <= narrow, path
            assert opened.findings() == [], path


def test_a_page_is_read_again_every_15_seconds_and_not_while_it_is_held(
    browser: Browser, console: Opened
) -> None:
    with signed_in(browser, console) as opened:
        page = opened.page
        page.clock.install()
        opened.open("/orders")
        expect(page.locator("#badge")).to_have_text("every 15 s")
        save(console.stack, "S-2", status=Status.RESERVED)
        page.wait_for_timeout(10)
        assert page.get_by_role("link", name="S-2").count() == 0
        until_shown(page, "S-2")
        page.keyboard.press(".")
        save(console.stack, "S-3", status=Status.RESERVED)
        page.clock.fast_forward(60_000)
        expect(page.locator("#badge")).to_contain_text("held, ")
        assert page.get_by_role("link", name="S-3").count() == 0


def until_shown(page: Page, name: str) -> None:
    """Let the page's time pass, until an order that the server has kept for 10 s is there."""
    for _ in range(40):
        page.clock.fast_forward(15_000)
        page.wait_for_timeout(500)
        if page.get_by_role("link", name=name).count():
            return
    raise AssertionError(f"{name} is not shown")


def test_a_dead_letter_is_looked_at_previewed_and_discarded(
    browser: Browser, console: Opened
) -> None:
    with signed_in(browser, console) as opened:
        page = opened.open("/dead-letters")
        expect(page.locator("#badge")).to_have_text("as of its loading")
        page.get_by_role("button", name="Look at them").click()
        page.get_by_role("link", name="InvalidEvent").click()
        page.get_by_role("link", name="Discard it…").click()
        page.get_by_label("Why they need no action").fill("a test")
        page.get_by_role("button", name="Discard 1 dead letter").click()
        expect(page.locator(".notice.good")).to_contain_text("1 of 1 dead letters were discarded")
