"""From the page of an order: its dead letter is redriven or edited, its request is sent again."""

from collections.abc import Iterator

import pytest

from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import HOSTILE, check_safe, letters, settle
from tests.host import event

PRECISE = "123456789012345678901234567890"


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve a completed order, and a refused one with its dead letter."""
    with serving(tmp_path_factory.mktemp("resend") / "data") as served:
        served.host.receive(TEA=100)
        served.place("DONE-1", email="ada@example.com")
        served.place("BAD-1", currency="EURO")
        settle(served)
        yield served


def seq(visitor: Visitor, order_id: str, kind: str = "Order Created") -> int:
    query = "select seq from events where order_id = ? and detail_type = ? order by seq limit 1"
    [(found,)] = visitor.rows(query, order_id, kind)
    return int(found)


def test_the_page_of_a_refused_order_redrives_its_dead_letter_and_leads_to_the_editor(
    visitor: Visitor,
) -> None:
    [number] = letters(visitor)
    page = visitor.get("/console/orders/BAD-1")
    check_safe(page)
    assert "Put it right" in page.text
    assert f'href="/console/dead-letters/{number}/edit"' in page.text
    form = {"to": "/console/orders/BAD-1"}
    done = visitor.post(f"/console/dead-letters/{number}/redrive", form)
    assert done.headers["location"].startswith("/console/orders/BAD-1?notice=")
    elsewhere = visitor.post(f"/console/dead-letters/{number}/redrive", {"to": "//evil.example/"})
    assert elsewhere.headers["location"].startswith("/console/?notice=")
    settle(visitor)


def test_the_same_request_is_recognized_and_nothing_happens_twice(visitor: Visitor) -> None:
    page = visitor.get("/console/orders/DONE-1/resend")
    check_safe(page)
    assert "duplicate" in page.text
    assert "ada@example.com" not in page.text
    before = visitor.rows("select count(*) from charges")
    form = {"way": "again", "seq": seq(visitor, "DONE-1")}
    done = visitor.post("/console/orders/DONE-1/resend", form)
    assert "is sent again" in visitor.get(done.headers["location"]).text
    settle(visitor)
    assert visitor.rows("select count(*) from charges") == before
    assert visitor.host.status("DONE-1") == "COMPLETED"
    assert "<b>resend</b>" in visitor.get("/console/activity").text


def test_a_copy_is_a_new_order_with_the_same_lines(visitor: Visitor) -> None:
    form = {"way": "copy", "seq": seq(visitor, "DONE-1"), "copy_id": "COPY-1"}
    done = visitor.post("/console/orders/DONE-1/resend", form)
    assert done.headers["location"].startswith("/console/orders/COPY-1")
    settle(visitor)
    assert visitor.host.status("COPY-1") == "COMPLETED"
    [(items, copied)] = visitor.rows(
        "select a.items, b.items from orders a, orders b"
        " where a.order_id = 'DONE-1' and b.order_id = 'COPY-1'"
    )
    assert items == copied


def test_numbers_of_a_request_that_is_sent_again_keep_their_digits(visitor: Visitor) -> None:
    visitor.place("DIGITS-1", note=int(PRECISE))
    settle(visitor)
    form = {"way": "copy", "seq": seq(visitor, "DIGITS-1"), "copy_id": "DIGITS-2"}
    assert visitor.post("/console/orders/DIGITS-1/resend", form).status == 303
    [(envelope,)] = visitor.rows(
        "select envelope from events where order_id = 'DIGITS-2' and detail_type = 'Order Created'"
    )
    assert PRECISE in envelope


def test_a_request_that_would_be_refused_says_why(visitor: Visitor) -> None:
    page = visitor.get("/console/orders/BAD-1/resend")
    check_safe(page)
    assert "It would be refused again" in page.text
    assert "detail.currency" in page.text


def test_a_cancellation_is_forecast_too(visitor: Visitor) -> None:
    visitor.host.put(event("Order Cancelled", order_id="DONE-1"))
    settle(visitor)
    number = seq(visitor, "DONE-1", "Order Cancelled")
    page = visitor.get(f"/console/orders/DONE-1/resend?seq={number}")
    assert "Order Cancelled" in page.text
    assert "A copy as a new order" not in page.text
    form = {"way": "copy", "seq": number, "copy_id": "X-1"}
    refused = visitor.post("/console/orders/DONE-1/resend", form)
    assert "only Order Created" in visitor.get(refused.headers["location"]).text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"way": "burn", "seq": "1"}, 400),
        ({"way": "again", "seq": "x"}, 400),
        ({"way": "copy", "seq": "1", "copy_id": " "}, 400),
        ({"way": "again", "seq": "99999"}, 303),
        ({"way": "copy", "seq": "1", "copy_id": "x" * 300}, 303),
    ],
)
def test_a_wrong_form_sends_nothing(visitor: Visitor, form: dict[str, str], status: int) -> None:
    before = visitor.rows("select count(*) from events")
    page = visitor.post("/console/orders/DONE-1/resend", form)
    assert page.status == status
    if status == 303:
        assert "Refused: " in visitor.get(page.headers["location"]).text
    assert visitor.rows("select count(*) from events") == before


def test_the_event_of_another_order_and_a_fact_are_not_sent(visitor: Visitor) -> None:
    other = {"way": "again", "seq": seq(visitor, "BAD-1")}
    refused = visitor.post("/console/orders/DONE-1/resend", other)
    assert "has no event" in visitor.get(refused.headers["location"]).text
    fact = {"way": "again", "seq": seq(visitor, "DONE-1", "Order Completed")}
    refused = visitor.post("/console/orders/DONE-1/resend", fact)
    assert "fact that the platform publishes" in visitor.get(refused.headers["location"]).text
    assert visitor.get("/console/orders/NONE/resend").status == 404
    assert visitor.get("/console/orders/DONE-1/resend?seq=99999").status == 400
    check_safe(visitor.post("/console/orders/DONE-1/resend", {"way": HOSTILE}))
