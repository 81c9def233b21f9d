"""The console's decision on an order of high value: asked once more, recorded, and carried out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import HOSTILE, check_safe
from tests.host import event

LINE = {"sku": "TEA", "quantity": 96, "unit_price": 12.5}
PARAMETERS = {"HighValueApproval": "on", "ApprovalReviewer": "boss@example.com"}


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    """Serve a platform with one order that waits for a decision."""
    with serving(tmp_path / "data", parameters=PARAMETERS) as served:
        served.host.receive(TEA=1_000)
        wait_for_decision(served, "DEAR-1")
        yield served


def wait_for_decision(visitor: Visitor, order_id: str) -> None:
    visitor.place(order_id, items=[LINE], total=1200.0)
    until(visitor, order_id, "AWAITING_APPROVAL")


def until(visitor: Visitor, order_id: str, status: str) -> None:
    for _ in range(4_000):
        if visitor.host.status(order_id) == status:
            return
        visitor.host.engine.turn(0.005)
    raise AssertionError(f"{order_id} is {visitor.host.status(order_id)}, not {status}")


def test_an_approval_is_asked_once_more_and_recorded(visitor: Visitor) -> None:
    page = visitor.get("/console/orders/DEAR-1")
    assert "Waits for a decision" in page.text
    assert "Approve…" in page.text
    asked = visitor.get("/console/orders/DEAR-1/decision?decision=approve&reason=known+customer")
    check_safe(asked)
    assert "1,200.00" in asked.text
    assert "known customer" in asked.text
    assert visitor.host.status("DEAR-1") == "AWAITING_APPROVAL"
    form = {"decision": "approve", "reason": "known customer"}
    done = visitor.post("/console/orders/DEAR-1/decision", form)
    assert done.status == 303
    assert "Approved" in visitor.get(done.headers["location"]).text
    until(visitor, "DEAR-1", "COMPLETED")
    activity = visitor.get("/console/activity").text
    for words in ("<b>approve</b>", "known customer", "orders approve DEAR-1"):
        assert words in activity
    [(who, why)] = visitor.rows("select actor, reason from operator_actions")
    assert (who != "", why) == (True, "known customer")


def test_a_rejection_needs_a_reason_and_fails_the_order_uncharged(visitor: Visitor) -> None:
    path = "/console/orders/DEAR-1/decision"
    refused = visitor.post(path, {"decision": "reject", "reason": " "})
    assert "Refused: reason: is missing" in visitor.get(refused.headers["location"]).text
    assert visitor.host.status("DEAR-1") == "AWAITING_APPROVAL"
    assert visitor.post(path, {"decision": "reject", "reason": HOSTILE}).status == 303
    until(visitor, "DEAR-1", "FAILED")
    page = visitor.get("/console/orders/DEAR-1")
    check_safe(page)
    assert "Nothing was charged." in page.text
    check_safe(visitor.get("/console/activity"))
    again = visitor.post(path, {"decision": "approve"})
    assert "Refused: " in visitor.get(again.headers["location"]).text
    assert visitor.get(f"{path}?decision=approve").status == 303


def test_the_overview_leads_to_the_orders_that_wait_for_a_decision(visitor: Visitor) -> None:
    text = visitor.get("/console/").text
    assert "1 order waits for an approval" in text
    assert 'href="/console/orders/DEAR-1"' in text
    wait_for_decision(visitor, "DEAR-2")
    assert 'href="/console/orders?status=AWAITING_APPROVAL"' in visitor.get("/console/").text
    for query in ("status=AWAITING_APPROVAL", "preset=needs-person"):
        listed = visitor.get(f"/console/orders?{query}").text
        assert "DEAR-1" in listed
        assert "DEAR-2" in listed


def test_an_order_that_needs_nobody_is_not_among_those_that_do(visitor: Visitor) -> None:
    visitor.place("PLAIN-1")
    until(visitor, "PLAIN-1", "COMPLETED")
    listed = visitor.get("/console/orders?preset=needs-person").text
    assert "DEAR-1" in listed
    assert "PLAIN-1" not in listed


def test_an_unknown_decision_and_an_unknown_order_are_refused(visitor: Visitor) -> None:
    path = "/console/orders/DEAR-1/decision"
    for answer in (visitor.get(f"{path}?decision=burn"), visitor.post(path, {"decision": "burn"})):
        assert answer.status == 400
        assert "approve, reject" in answer.text
    assert visitor.get("/console/orders/NONE/decision?decision=approve").status == 404
    nothing = visitor.post("/console/orders/NONE/decision", {"decision": "approve"})
    assert nothing.status == 303


def test_an_order_that_is_cancelled_meanwhile_is_not_approved(visitor: Visitor) -> None:
    visitor.host.put(event("Order Cancelled", order_id="DEAR-1"))
    until(visitor, "DEAR-1", "CANCELLED")
    path = "/console/orders/DEAR-1/decision"
    refused = visitor.post(path, {"decision": "approve"})
    assert "Refused: " in visitor.get(refused.headers["location"]).text


def test_a_reader_sees_the_wait_and_decides_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "d", tokens={"r": "console/read"}, parameters=PARAMETERS) as served:
        served.host.receive(TEA=1_000)
        wait_for_decision(served, "DEAR-1")
        signed = served.post("/console/sign-in", {"token": "r"})
        cookie = {"cookie": signed.headers["set-cookie"].partition(";")[0]}
        page = served.get("/console/orders/DEAR-1", cookie).text
        assert "needs the scope orders/operate" in page
        assert "Approve…" not in page
        path = "/console/orders/DEAR-1/decision"
        assert served.post(path, {"decision": "approve"}, cookie).status == 403
        assert served.host.status("DEAR-1") == "AWAITING_APPROVAL"
