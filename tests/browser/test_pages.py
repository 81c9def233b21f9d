"""Pages in a real browser: a hostile page can neither read nor change anything; the shop's can.

`make test-browser` runs these; they need Debian's chromium.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import is_installed, show
from tests.browser.sites import Site
from tests.fakes.serving import Served

pytestmark = pytest.mark.skipif(not is_installed(), reason="chromium is not installed")

CUSTOMER = "SECRET-CUSTOMER"
EVIL = "evil.example"
REBOUND = "127.0.0.2"
"""The address of the hostile site's own server, which the browser keeps using."""

LINE = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}
ORDER = {"customer_id": "EVIL", "currency": "GBP", "items": [LINE]}
PLACED = {**ORDER, "customer_id": CUSTOMER, "order_id": "OURS-1"}
WAITS = {**PLACED, "order_id": "OURS-2", "items": [{**LINE, "quantity": 999_999}]}

ATTEMPTS = 33
"""Attempts of the hostile page on each target."""

UNCHANGED = (
    "select order_id, customer_id, status, email, cancel_requested from orders order by order_id",
    "select order_id, what from timeline order by order_id, seq",
    "select id, queue from messages order by id",
    "select count(*) from events",
    "select count(*) from executions",
    "select count(*) from replays",
    "select count(*) from idempotency_keys",
)
"""Queries whose results a hostile page may not change."""


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def shop_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, shop_port: int) -> Iterator[Served]:
    """Serve a directory with an ended order, a waiting order, and a dead letter."""
    data = tmp_path_factory.mktemp("server") / "data"
    with Served(data, "--parameter", f"CorsOrigins=http://127.0.0.1:{shop_port}") as served:
        for order in (PLACED, WAITS):
            assert served.ask("POST", "/orders", order)[0] == 201
        served.client("events").put_events(Entries=[{**put("OURS-3"), "Detail": '{"bad": true}'}])
        served.until("select status from orders where order_id = 'OURS-1'", "COMPLETED")
        served.until("select status from orders where order_id = 'OURS-2'", "WAITING")
        served.until("select count(*) from messages where queue = 'QuarantineQueue'", 1)
        settled(served)
        yield served


def put(order_id: str) -> dict[str, str]:
    """Return the PutEvents entry of an order."""
    detail = {**ORDER, "order_id": order_id, "total": 10, "timestamp": "2026-01-31T12:00:00Z"}
    return {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": "Order Created",
        "Detail": json.dumps(detail),
    }


def state(server: Served) -> list[Any]:
    return [server.rows(query) for query in UNCHANGED]


def settled(server: Served) -> list[Any]:
    """Return the stored state once it has not changed for half a second."""
    before = state(server)
    while True:
        time.sleep(0.5)
        after = state(server)
        if after == before:
            return after
        before = after


def words(**more: object) -> dict[str, str]:
    """Return the values of the words in a page."""
    values = {"ORDER": ORDER, "PUT": {"Entries": [put("EVIL-1")]}, **more}
    return {
        "ID": "OURS-2",
        "CUSTOMER": CUSTOMER,
        **{
            word: value if isinstance(value, str) else json.dumps(value)
            for word, value in values.items()
        },
    }


def stolen(report: dict[str, Any]) -> dict[str, Any]:
    """Return the attempts in which a page could read a response of the server."""
    return {name: seen for name, seen in report.items() if seen.get("body") or seen.get("status")}


def test_a_page_of_another_origin_reads_nothing_and_changes_nothing(
    server: Served, tmp_path: Path
) -> None:
    before = settled(server)
    targets = {
        "address": f"http://127.0.0.1:{server.port}",
        "name": f"http://localhost:{server.port}",
    }
    site = Site("attack.html", words(TARGETS=targets))
    with site, show(f"http://127.0.0.1:{site.server_port}/attack.html", tmp_path, {}):
        report = site.report()
    assert len(report) == 2 * ATTEMPTS
    assert stolen(report) == {}
    assert settled(server) == before


def test_a_page_of_a_site_on_the_internet_reads_nothing_and_changes_nothing(
    server: Served, tmp_path: Path
) -> None:
    before = settled(server)
    targets = {"address": f"http://127.0.0.1:{server.port}"}
    site, names = Site("attack.html", words(TARGETS=targets)), {EVIL: "127.0.0.1"}
    with site, show(f"http://{EVIL}:{site.server_port}/attack.html", tmp_path, names):
        report = site.report()
    assert len(report) == ATTEMPTS
    assert stolen(report) == {}
    assert settled(server) == before


def test_a_site_whose_name_is_rebound_reads_refusals_alone(server: Served, tmp_path: Path) -> None:
    before = settled(server)
    at = f"http://{EVIL}:{server.port}"  # the page's own origin: nothing is cross-origin for it
    site = Site(
        "attack.html",
        words(TARGETS={"own": at}),
        address=(REBOUND, server.port),
        rebound=("127.0.0.1", server.port),
    )
    with site, show(f"{at}/attack.html", tmp_path, {EVIL: REBOUND}):
        report = site.report()
    assert report["own read"]["status"] == 421
    assert report["own redrive"]["status"] == 421
    assert report["own health"]["status"] == 421
    assert report["own post with cors"]["status"] == 421
    assert {seen.get("status", 421) for seen in report.values()} <= {0, 421}
    assert CUSTOMER not in json.dumps(report)
    assert settled(server) == before


def test_a_page_that_navigates_to_the_server_changes_nothing(
    server: Served, tmp_path: Path
) -> None:
    before = settled(server)
    site = Site("navigate.html", words(AT=f"http://127.0.0.1:{server.port}"))
    with site, show(f"http://127.0.0.1:{site.server_port}/navigate.html", tmp_path, {}):
        site.report()
        assert settled(server) == before


def test_a_page_of_an_allowed_origin_places_reads_and_changes_orders(
    server: Served, shop_port: int, tmp_path: Path
) -> None:
    shop_words = words(AT=f"http://127.0.0.1:{server.port}", ORDER={**ORDER, "customer_id": "PAGE"})
    site = Site("shop.html", shop_words, address=("127.0.0.1", shop_port))
    with site, show(f"http://127.0.0.1:{shop_port}/shop.html", tmp_path, {}):
        report = site.report()
    placed = report["place"]["body"]
    assert (report["place"]["status"], report["place again"]["status"]) == (201, 200)
    assert report["place again"]["body"]["order_id"] == placed["order_id"]
    assert (report["read"]["status"], report["read"]["body"]["customer_id"]) == (200, "PAGE")
    assert (report["wrong"]["status"], report["wrong"]["body"]["field"]) == (422, "customer_id")
    assert report["change"]["body"]["email"] == "new@example.com"
    assert set(report["redrive"]) == set(report["another method"]) == {"error"}
    assert server.rows("select count(*) from orders where customer_id = 'PAGE'") == [(1,)]
    assert server.rows("select count(*) from messages where queue = 'QuarantineQueue'") == [(1,)]
