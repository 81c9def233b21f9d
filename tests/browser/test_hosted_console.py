"""The hosted console in headless Chromium, behind stand-ins for API Gateway and Cognito.

A browser treats 127.0.0.1 as a secure context, so it takes the cookies with ``__Host-`` there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from infra.console.hosted import function
from infra.deployed.stack import DeployedStack
from kernel import clock
from orders.dynamodb import DynamoOrders
from tests.browser.chromium import is_installed
from tests.browser.pages import Tab, tab
from tests.fakes.api_gateway import api_gateway
from tests.fakes.hosted_console import hosted, restart
from tests.fakes.records import order
from tests.fakes.user_pool import UserPool
from tests.integration import deployed
from tests.integration.test_stack_console_acting import LETTER, put_in

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

PAGES = ("/", "/orders", "/orders/H-1", "/bus", "/dead-letters", "/replays/new", "/queries")


class Opened(NamedTuple):
    """The address of the console, and the pool of its users."""

    origin: str
    pool: UserPool
    stack: DeployedStack


@pytest.fixture(scope="module")
def console() -> Iterator[Opened]:
    """Serve the function for a stack with an open order and a dead letter."""
    with deployed.stack() as stack, api_gateway(function.handler) as origin:
        now = clock.now()
        times = {"created_at": now - 60, "updated_at": now - 30, "version": 0}
        DynamoOrders(stack.table()).save(order(order_id="H-1", **times).change())
        put_in(stack, LETTER)
        with hosted(stack, origin) as pool:
            yield Opened(origin, pool, stack)


@contextmanager
def visiting(
    browser: Browser, console: Opened, user: str, path: str, **options: object
) -> Iterator[Tab]:
    """Open a page, and sign in at the pool on the way to it."""
    console.pool.signed_in = ""
    with tab(browser, console.origin, **options) as opened:
        page = opened.open(path)
        assert page.url.startswith(f"{console.pool.origin}/oauth2/authorize?")
        page.get_by_label("Name").fill(user)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{console.origin}/console{path}")
        at_the_pool = f"request: {console.pool.origin}/"
        opened.complaints[:] = [
            each for each in opened.complaints if not each.startswith(at_the_pool)
        ]
        yield opened


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_their_window_and_axe_finds_nothing(
    browser: Browser, console: Opened, width: int, scheme: str
) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with visiting(browser, console, "ada", "/", **options) as opened:
        for path in PAGES:
            opened.open(path)
            wide, narrow = opened.width()
            assert wide <= narrow, path
            assert opened.findings() == [], path


def test_a_person_signs_in_acts_and_signs_out(browser: Browser, console: Opened) -> None:
    with visiting(browser, console, "ada", "/orders/H-1") as opened:
        page = opened.page
        page.get_by_text("Add a note").click()
        page.get_by_label("Note, for the next reader").fill("called the customer")
        page.get_by_role("button", name="Add the note").click()
        expect(page.locator(".notice.good")).to_contain_text("Note added")
        expect(page.locator("main")).to_contain_text("called the customer")
        expect(page.locator("#badge")).to_have_text("every 15 s")

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
        assert page.url == f"{console.origin}/console/signed-out"
        assert console.pool.signed_in == ""
        assert opened.findings() == []
        page.go_back()
        opened.complaints.clear()  # the pool's page has ended the session, a navigation


def test_a_page_whose_session_has_ended_says_so_and_keeps_its_text(
    browser: Browser, console: Opened
) -> None:
    with visiting(browser, console, "ada", "/orders") as opened:
        page = opened.page
        page.clock.install()
        opened.open("/orders")
        page.locator("#q").fill("a text")
        opened.is_expecting_loss = True  # the browser reports the status 401 of the poll
        page.context.clear_cookies()
        page.clock.fast_forward(15_000)
        expect(page.locator("#badge")).to_have_text("signed out: reload to sign in")
        expect(page.locator("#q")).to_have_value("a text")


def test_a_user_without_a_group_can_sign_out(browser: Browser, console: Opened) -> None:
    with visiting(browser, console, "newt", "/orders") as opened:
        opened.is_expecting_loss = True
        expect(opened.page.locator("main")).to_contain_text("You are newt")
        assert opened.findings() == []
        opened.page.get_by_role("button", name="Sign out").click()
        expect(opened.page.get_by_role("heading", name="Signed out")).to_be_visible()
        opened.complaints.clear()


def test_a_new_environment_knows_the_session(browser: Browser, console: Opened) -> None:
    with visiting(browser, console, "rita", "/orders") as opened:
        restart()
        opened.open("/orders/H-1")
        expect(opened.page.locator(".signed")).to_contain_text("rita (read only)")
