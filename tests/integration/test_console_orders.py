"""The console's pages of orders in this process: content, filters, actions and hostile text."""

import csv
import io
import json
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from infra.console.csv_file import safe_cell
from infra.views.local_story import list_orders
from infra.views.order_filter import OrderFilter
from infra.views.order_lanes import LANES
from tests.fakes.console import Visitor, serving
from tests.host import event

HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'%00\u202e"
ADDRESS = {"name": HOSTILE, "street": HOSTILE, "city": HOSTILE, "country": HOSTILE}
TEA = {"sku": "TEA", "quantity": 1, "unit_price": 12.5}
VASE = {"sku": "VASE-LIMITED", "quantity": 2, "unit_price": 249}


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve orders of each outcome: done, declined, waiting, hostile, of high value."""
    with serving(tmp_path_factory.mktemp("console") / "data") as served:
        served.host.receive(**{"TEA": 1_000, "VASE-LIMITED": 1})
        served.place("DONE-1")
        served.place("DECLINED-1", payment_token="tok_decline")
        served.place("WAITS-1", items=[VASE], total=498)
        served.place("HOSTILE-1", shipping_address=ADDRESS)
        served.host.put(event("Order Created", "HOSTILE-2", customer_id=HOSTILE))
        served.place("BIG-1", items=[{**TEA, "quantity": 100}], total=1250)
        served.settle()
        yield served


class Links(HTMLParser):
    """The addresses and the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        address = given.get("href") if tag == "a" else given.get("src")
        if address:
            self.addresses.append(address)


def test_an_order_page_tells_its_whole_story(visitor: Visitor) -> None:
    page = visitor.get("/console/orders/DONE-1")
    assert page.status == 200
    for text in (
        "Completed: paid and shipped as SBX",
        "Charge pending",
        "Stock reserved",
        "Shipment created",
        "Confirmation sent",
        "Order Completed",
        "ValidateOrder",
    ):
        assert text in page.text, text
    assert "is broken" not in page.text
    assert page.text.count("holds</span>") == 5


def test_an_order_page_says_why_it_failed_or_waits(visitor: Visitor) -> None:
    assert "Failed: PaymentDeclined" in visitor.get("/console/orders/DECLINED-1").text
    waits = visitor.get("/console/orders/WAITS-1").text
    assert "Waits: VASE-LIMITED: 2 ordered, 1 available, wait 1 of 12" in waits
    assert "Start a run now" in waits


def test_events_that_opened_no_order_say_why(visitor: Visitor) -> None:
    page = visitor.get("/console/orders/HOSTILE-2")
    assert page.status == 200
    assert "Its events opened no order" in page.text
    assert "Refused events" in page.text
    assert "detail.customer_id" in page.text


@pytest.mark.parametrize("lane", LANES)
def test_lanes_are_shown_alone(visitor: Visitor, lane: str) -> None:
    page = visitor.get(f"/console/orders/DONE-1?lanes={lane}")
    shown = [
        given["class"]
        for tag, given in Links(page.text).elements
        if tag == "li" and (given.get("class") or "").startswith("fact")
    ]
    assert all(f"lane-{lane}" in (each or "") for each in shown)
    assert shown or lane == "person"


def test_a_state_shows_input_output_and_attempts(visitor: Visitor) -> None:
    page = visitor.get("/console/orders/DONE-1?state=CheckInventory")
    assert "CheckInventoryFunction" in page.text
    for title in ("Input", "Output", "Definition of the state", "Changed:"):
        assert title in page.text
    assert visitor.get("/console/orders/DONE-1?run=nope").status == 404
    assert visitor.get("/console/orders/DONE-1?state=NoState").status == 200


def test_every_link_of_a_page_leads_to_a_page(visitor: Visitor) -> None:
    seen: set[str] = set()
    for start in ("/console/", "/console/orders", "/console/orders/DONE-1"):
        for address in Links(visitor.get(start).text).addresses:
            path = address.partition("#")[0] or "/console/"
            assert path.startswith("/console"), address
            if path not in seen:
                seen.add(path)
                assert visitor.get(path).status in (200, 303), path
    assert len(seen) > 40


@pytest.mark.parametrize(
    ("query", "orders"),
    [
        ("", {"DONE-1", "DECLINED-1", "WAITS-1", "HOSTILE-1", "BIG-1"}),
        ("status=COMPLETED", {"DONE-1", "HOSTILE-1", "BIG-1"}),
        ("status=FAILED&reason=PaymentDeclined", {"DECLINED-1"}),
        ("preset=in-flight", {"WAITS-1"}),
        ("preset=waiting", {"WAITS-1"}),
        ("preset=failed-today", {"DECLINED-1"}),
        ("preset=high-value", {"BIG-1"}),
        ("reason=OutOfStock", {"WAITS-1"}),
        (f"customer={quote(HOSTILE)}", set()),
        ("customer=C-1&status=WAITING", {"WAITS-1"}),
        ("from=2000-01-01&to=2000-01-02", set()),
        ("from=2000-01-01", {"DONE-1", "DECLINED-1", "WAITS-1", "HOSTILE-1", "BIG-1"}),
    ],
)
def test_filters_select_orders(visitor: Visitor, query: str, orders: set[str]) -> None:
    lines = visitor.get(f"/console/orders.ndjson?{query}").text.splitlines()
    assert {json.loads(line)["order_id"] for line in lines} == orders
    page = visitor.get(f"/console/orders?{query}")
    assert all(f"/console/orders/{order}" in page.text for order in orders)


@pytest.mark.parametrize(
    "query", ["status=X", "preset=X", "from=yesterday", "to=9999-12-31", "after=x", "after=nan~a"]
)
def test_a_bad_filter_is_refused_or_finds_nothing(visitor: Visitor, query: str) -> None:
    assert visitor.get(f"/console/orders?{query}").status in (200, 400)


def test_a_file_has_the_orders_as_the_command_prints_them(visitor: Visitor) -> None:
    lines = visitor.get("/console/orders.ndjson?status=WAITING").text.splitlines()
    page = list_orders(visitor.host.directory, OrderFilter(frozenset({"WAITING"})))
    assert [json.loads(line) for line in lines] == page.to_json()["orders"]
    heading = visitor.get("/console/orders.csv?customer=none").text.strip()
    assert heading.split(",") == list(page.to_json()["orders"][0])


def test_the_page_names_the_same_command(visitor: Visitor) -> None:
    page = visitor.get("/console/orders?preset=waiting&customer=C%201&from=2026-01-31").text
    words = "--status awaiting_approval --status waiting --customer 'C 1' --since 2026-01-31"
    assert f"orders list {words}" in unescape(page)


def test_pages_of_a_list_have_each_order_once(visitor: Visitor, monkeypatch: Any) -> None:
    monkeypatch.setattr("infra.console.pages.orders.ROWS", 2)
    found, address = [], "/console/orders"
    for _ in range(9):
        links = Links(visitor.get(address).text)
        rows = [given for tag, given in links.elements if tag == "a" and "data-open" in given]
        found += [given["href"] for given in rows]
        further = [given["href"] for tag, given in links.elements if given.get("rel") == "next"]
        if not further:
            break
        address = further[0] or ""
    assert sorted(found, key=str) == sorted(set(found), key=str)
    assert len(found) == 5


def test_a_file_for_a_spreadsheet_has_no_formula(visitor: Visitor) -> None:
    text = visitor.get("/console/orders.csv").text
    rows = {row["order_id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert safe_cell("=1+1") == "'=1+1"
    assert rows["DONE-1"]["total"] == "12.5"


def test_search_finds_an_order_by_any_id(visitor: Visitor) -> None:
    [row] = visitor.rows(
        "select tracking_number, correlation_id, charge_id from orders where order_id = 'DONE-1'"
    )
    for text in ("DONE-1", "DONE", *row):
        assert visitor.get(f"/console/search?q={text}").headers["location"].endswith("/DONE-1")
    envelopes = visitor.rows("select id from events where order_id in ('DONE-1', 'HOSTILE-2')")
    for (event_id,) in envelopes:
        found = visitor.get(f"/console/search?q={event_id}")
        assert found.headers["location"].rpartition("/")[2] in ("DONE-1", "HOSTILE-2")
    assert "Nothing has the id" in visitor.get(f"/console/search?q={quote(HOSTILE)}").text


def test_an_event_without_an_order_is_found_and_shown(visitor: Visitor) -> None:
    nameless = {"source": "shop", "detail-type": "Bell", "detail": {"order_id": ["?#/"]}}
    [answer] = visitor.host.put(nameless)
    [odd] = visitor.host.put(event("Bell", "odd?id#1"))
    place = visitor.get(f"/console/search?q={answer['EventId']}").headers["location"]
    assert place == f"/console/orders/{answer['EventId']}"
    assert "Its events opened no order" in visitor.get(place).text
    for name in (odd["EventId"], "odd?id#1"):
        place = visitor.get(f"/console/search?q={quote(name)}").headers["location"]
        assert place == "/console/orders/odd%3Fid%231"


def test_a_refused_order_with_a_slash_in_its_id_has_its_pages(visitor: Visitor) -> None:
    visitor.place("A/B?#")
    visitor.settle()
    address = "/console/orders/A%2FB%3F%23"
    place = visitor.get(f"/console/search?q={quote('A/B?#')}").headers["location"]
    assert place == address
    page = visitor.get(address)
    assert (page.status, "A/B?#" in page.text) == (200, True)
    assert f'href="{address}/resend"' in page.text
    assert visitor.get(f"{address}/resend").status == 200
    assert visitor.get(f"{address}/export.html").status == 200


def test_a_page_of_an_order_with_an_escape_in_its_id_reloads_itself(visitor: Visitor) -> None:
    visitor.place("A%2FB é")
    visitor.settle()
    address = "/console/orders/A%252FB%20%C3%A9"
    page = visitor.get(address)
    assert page.status == 200
    assert f'hx-get="{address}"' in page.text
    assert f'name="to" value="{address}"' in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/orders",
        "/console/orders/HOSTILE-1",
        f"/console/orders?customer={quote(HOSTILE)}",
        f"/console/search?q={quote(HOSTILE)}",
        f"/console/orders/{quote(HOSTILE, safe='')}",
        f"/console/orders/DONE-1?state={quote(HOSTILE)}",
        f"/console/orders/DONE-1?run={quote(HOSTILE)}",
        f"/console/orders?status={quote(HOSTILE)}",
        f"/console/{quote(HOSTILE, safe='')}",
    ],
)
def test_no_text_becomes_markup(visitor: Visitor, path: str) -> None:
    text = visitor.get(path).text
    for tag, given in Links(text).elements:
        assert tag != "img", path
        assert tag != "script" or str(given.get("src")).startswith("/console/static/"), path
        assert not any(name.startswith("on") or name == "style" for name in given), (path, given)
    assert "49" not in text.partition("{{")[0][-4:]


def test_actions_are_recorded_and_change_the_order(visitor: Visitor) -> None:
    page = visitor.post("/console/orders/WAITS-1/note", {"reason": f"call {HOSTILE}"})
    assert page.status == 303
    shown = visitor.get(page.headers["location"])
    assert "Note added" in shown.text
    assert "Note added" not in visitor.get(page.headers["location"]).text  # it is shown once
    page = visitor.post("/console/orders/WAITS-1/cancel", {"reason": "the customer called"})
    assert "Cancellation requested" in visitor.get(page.headers["location"]).text
    visitor.settle()
    assert visitor.rows("select status from orders where order_id = 'WAITS-1'") == [("CANCELLED",)]
    actions = visitor.rows("select action, subject, result from operator_actions order by id")
    assert ("cancel", "WAITS-1", "DONE") in actions
    story = visitor.get("/console/orders/WAITS-1?lanes=person").text
    assert "the customer called" in story
    assert "Cancel the order" not in story


def test_a_refused_action_says_why(visitor: Visitor) -> None:
    for path, form in (("cancel", {"reason": "late"}), ("cancel", {}), ("retry", {})):
        page = visitor.post(f"/console/orders/DONE-1/{path}", form)
        shown = visitor.get(page.headers["location"]).text
        assert "Refused: " in shown
        assert 'role="alert"' in shown
    page = visitor.post("/console/orders/NOPE/cancel", {"reason": "x"})
    assert visitor.get(page.headers["location"]).status == 404


def test_a_mail_is_shown_in_a_frame_that_runs_nothing(visitor: Visitor) -> None:
    visitor.place("MAIL-1", email="ada@example.com")
    visitor.settle()
    assert visitor.get("/console/orders/MAIL-1/mail").status == 400

    def shown(order_id: str) -> str:
        form = {"subject": order_id, "to": f"/console/orders/{order_id}"}
        address = visitor.post("/console/reveal", form).headers["location"]
        return address.partition("?")[2]

    key = shown("MAIL-1")
    page = visitor.get(f"/console/orders/MAIL-1/mail?{key}")
    assert page.status == 200
    assert page.headers["content-security-policy"].startswith("sandbox;")
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    file = visitor.get(f"/console/orders/MAIL-1/mail.eml?{key}")
    assert file.headers["content-disposition"] == 'attachment; filename="MAIL-1.eml"'
    assert "ada@example.com" not in visitor.get("/console/orders/MAIL-1").text
    assert visitor.get(f"/console/orders/WAITS-1/mail?{shown('WAITS-1')}").status == 404


def test_a_search_that_ends_early_goes_on(visitor: Visitor, monkeypatch: Any) -> None:
    monkeypatch.setattr("infra.views.order_list.SEARCHED", 2)
    found, address = [], "/console/orders?status=COMPLETED"
    for _ in range(12):
        page = visitor.get(address)
        links = Links(page.text)
        found += [given["href"] for _, given in links.elements if "data-open" in given]
        further = [given["href"] for _, given in links.elements if given.get("rel") == "next"]
        if not further:
            break
        assert "Search older orders" in page.text or found
        address = further[0] or ""
    names = [str(each).rpartition("/")[2] for each in found]
    assert len(names) == len(set(names))
    assert {"DONE-1", "HOSTILE-1", "BIG-1"} <= set(names)
