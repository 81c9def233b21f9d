"""An operator acts on one order, a review or the stock, and every action is recorded."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from high_value.dynamodb import DynamoReviews
from high_value.model import Review
from infra.deployed.stack import DeployedStack
from infra.errors import InvalidRequest
from infra.server.operator_api import OperatorApi
from inventory.dynamodb import DynamoInventory
from inventory.model import Receipt
from kernel.order_record import Entry, Message
from kernel.order_status import Status
from orders.dynamodb import DynamoOrders
from tests.fakes import serving
from tests.fakes.records import NOW, waiting
from tests.fakes.records import order as record
from tests.fakes.serving import Served, orders
from tests.faults.scene import forget, let_go
from tests.host import Host, event, host, order
from tests.integration.deployed import PLACE, answer, refusal


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Host]:
    forget()
    with host(tmp_path) as platform:
        yield platform
    let_go(platform)


def operate(opened: Host, name: str, **request: Any) -> Any:
    """Run an operation in a turn of the engine, without a skip of time."""
    future = OperatorApi(opened.engine).operations()[f"Orderflow.{name}"](request)
    turns(opened)
    return future.result(0)


def turns(opened: Host) -> None:
    for _ in range(60):
        opened.engine.turn(0)


def status(opened: Host, order_id: str = "T-1") -> str:
    [row] = opened.rows("select status from orders where order_id = ?", order_id)
    return str(row["status"])


def recorded(opened: Host) -> list[tuple[str, ...]]:
    """Return the recorded actions, the oldest first."""
    names = ("actor", "action", "subject", "reason", "result")
    rows = opened.rows(f"select {', '.join(names)} from operator_actions order by id")
    return [tuple(row[name] for name in names) for row in rows]


def waiting_order(opened: Host) -> None:
    opened.receive(TEA=0)
    opened.put(order("T-1"))
    turns(opened)
    assert status(opened) == "WAITING"


def test_a_waiting_order_is_cancelled_by_an_operator(opened: Host) -> None:
    waiting_order(opened)
    result = operate(opened, "CancelOrder", order_id="T-1", reason="on the phone", who="ada")
    assert (result["before"]["status"], result["after"]["cancel_requested"]) == ("WAITING", True)
    assert status(opened) == "CANCELLED"
    assert recorded(opened) == [("ada", "cancel", "T-1", "on the phone", "DONE")]
    [entry] = opened.rows("select detail from timeline where what = 'CANCELLED_BY_OPERATOR'")
    assert entry["detail"] == '{"by":"ada","reason":"on the phone"}'


def test_an_order_is_resumed_before_the_end_of_its_wait(opened: Host) -> None:
    waiting_order(opened)
    opened.database.connection.execute("update stock set on_hand = 1, received = 1")
    operate(opened, "RetryOrder", order_id="T-1")
    assert status(opened) == "COMPLETED"


@pytest.mark.parametrize(
    ("name", "problem"),
    [("CancelOrder", "COMPLETED already"), ("RetryOrder", "nothing to retry")],
)
def test_an_ended_order_is_left_alone_and_the_refusal_is_recorded(
    opened: Host, name: str, problem: str
) -> None:
    opened.receive(TEA=9)
    opened.put(order("T-1"))
    turns(opened)
    with pytest.raises(InvalidRequest, match=problem):
        operate(opened, name, order_id="T-1", reason="late")
    assert status(opened) == "COMPLETED"
    assert [row[-1] for row in recorded(opened)] == ["REFUSED"]


def test_a_held_order_is_not_retried(opened: Host) -> None:
    waiting_order(opened)
    until = opened.engine.clock.now() + 60
    opened.database.connection.execute(
        "update orders set lease_owner = 'run-7', lease_until = ?", (until,)
    )
    with pytest.raises(InvalidRequest, match=r"held by run run-7 until \d{4}-"):
        operate(opened, "RetryOrder", order_id="T-1")


@pytest.mark.parametrize(
    ("name", "request_", "field"),
    [
        ("CancelOrder", {"order_id": "T-1"}, "reason"),
        ("CancelOrder", {"reason": "x"}, "order_id"),
        ("NoteOrder", {"order_id": "T-1", "reason": "  "}, "reason"),
        ("RetryOrder", {"order_id": "x" * 201}, "order_id"),
        ("AdjustStock", {"sku": "TEA", "reason": "x", "key": "k"}, "change"),
        ("AdjustStock", {"sku": "TEA", "reason": "x", "change": 1}, "key"),
        ("ReceiveStock", {"digest": "d", "reason": "x"}, "units"),
        ("ReceiveStock", {"digest": "d", "reason": "x", "units": {"TEA": -1}}, "units"),
        ("ReceiveStock", {"digest": "d", "reason": "x", "units": {"TEA": True}}, "units"),
        ("ReceiveStock", {"digest": "d", "reason": "x", "units": {"T": 1}, "earlier": [1]}, "earl"),
    ],
)
def test_a_malformed_request_changes_nothing_and_names_its_field(
    opened: Host, name: str, request_: dict[str, Any], field: str
) -> None:
    opened.receive(TEA=3)
    with pytest.raises(InvalidRequest, match=field):
        operate(opened, name, **request_)
    assert opened.rows("select on_hand from stock") == [{"on_hand": 3}]
    assert "STARTED" not in {row[-1] for row in recorded(opened)}


def test_a_review_is_closed_once_and_the_order_stays(opened: Host) -> None:
    opened.receive(TEA=999)
    big = {"items": [{"sku": "TEA", "quantity": 100, "unit_price": 12.5}], "total": 1250.0}
    opened.put(order("T-1", **big))
    turns(opened)
    before = status(opened)
    result = operate(opened, "CloseReview", order_id="T-1", reason="known customer", who="ada")
    assert (result["before"]["review"], result["after"]["review"]) == ("OPEN", "CLOSED")
    assert status(opened) == before
    for order_id, problem in (("T-1", "CLOSED already"), ("T-2", "no review")):
        with pytest.raises(InvalidRequest, match=problem):
            operate(opened, "CloseReview", order_id=order_id, reason="again")


def test_an_action_that_a_crash_interrupts_stays_recorded(
    opened: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting_order(opened)
    monkeypatch.setattr("orders.operator_requests.cancel", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        operate(opened, "CancelOrder", order_id="T-1", reason="x", who="ada")
    assert recorded(opened) == [("ada", "cancel", "T-1", "x", "STARTED")]
    opened.put(event("Order Cancelled"))
    turns(opened)
    assert status(opened) == "CANCELLED"  # the failure is the request's alone


def test_received_stock_completes_a_waiting_order_of_a_server_within_two_seconds(
    tmp_path: Path,
) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("sku,on_hand\nRARE,0\n")
    with Served(tmp_path / "data", "--workers", "1", "--stock", str(file)) as server:
        data = ("--data", server.data)
        line = [{"sku": "RARE", "quantity": 2, "unit_price": 5.0}]
        server.client("events").put_events(Entries=[entry(order("R-1", items=line, total=10.0))])
        until("WAITING", "R-1", *data)
        assert serving.answer("stock", "show", "RARE", *data)["waiting"] == ["R-1"]
        file.write_text("sku,on_hand\nRARE,2\n")
        serving.answer("stock", "receive", file, *data)
        received = time.monotonic()
        until("COMPLETED", "R-1", *data)
        assert time.monotonic() - received < 2 + 1  # a second for the commands themselves
        assert serving.answer("stock", "show", "RARE", *data)["waiting"] == []
        serving.answer("stock", "adjust", "RARE", "+3", "--reason", "counted", *data)
        serving.answer("note", "R-1", "thanked", *data)
        assert orders("cancel", "R-1", "--reason", "late", *data).returncode == 1
    story = serving.answer("show", "R-1", *data)
    assert [(one["action"], one["result"]) for one in story["actions"]] == [
        ("note", "DONE"),
        ("cancel", "REFUSED"),
    ]
    assert serving.answer("audit", *data)["findings"] == []


def entry(one: dict[str, Any]) -> dict[str, str]:
    return {
        "EventBusName": "orders-bus",
        "Source": one["source"],
        "DetailType": one["detail-type"],
        "Detail": json.dumps(one["detail"]),
    }


def until(wanted: str, order_id: str, *data: object) -> None:
    """Wait until an order has a status."""
    end = time.monotonic() + serving.PATIENCE
    while True:
        shown = orders("show", order_id, *data)
        if shown.stdout.startswith(f"{order_id} {wanted}"):
            return
        assert time.monotonic() < end, shown.stdout + shown.stderr


# ---- a deployed stack


def test_actions_on_a_stack_are_written_with_the_operators_name(stack: DeployedStack) -> None:
    store = DynamoOrders(stack.table())
    store.save(waiting(version=0, updated_at=NOW, waiting_for="OutOfStock").change())
    store.save(record(order_id="A-2", version=0, updated_at=NOW).change())
    answer("retry", "A-1", "--reason", "stock is here")
    answer("note", "A-1", "called")
    answer("cancel", "A-2", "--reason", "by phone")
    assert store.read("A-2").cancel_requested
    item = stack.table().get("order#A-1", "order")
    assert item is not None
    assert [row[0] for row in item["tl"]][-2:] == ["RETRIED_BY_OPERATOR", "NOTED_BY_OPERATOR"]
    messages = [one["out"] for one in stack.table().scan() if one["sk"] == "outbox"]
    assert [[stored[0] for stored in one.values()] for one in messages] == [["run"]]
    store.save(store.read("A-1").change(status=Status.COMPENSATING))
    store.save(store.read("A-1").change(status=Status.FAILED))
    assert "nothing to retry" in refusal("retry", "A-1", *PLACE)
    assert "no order has the id" in refusal("note", "A-9", "x", *PLACE)


def test_stock_of_a_stack_is_listed_and_adjusted(stack: DeployedStack) -> None:
    stock = DynamoInventory(stack.table())
    stock.receive(Receipt.of({"TEA": 5, "CAKE": 2}), NOW)
    assert [row["sku"] for row in answer("stock", "list")["stock"]] == ["CAKE", "TEA"]
    result = answer("stock", "adjust", "TEA", "-2", "--reason", "broken")
    assert (result["before"]["on_hand"], result["after"]["on_hand"]) == (5, 3)
    assert answer("stock", "show", "TEA")["available"] == 3
    assert "cannot be removed" in refusal("stock", "adjust", "TEA", "-9", "--reason", "x", *PLACE)
    assert "no stock of" in refusal("stock", "show", "NONE", *PLACE)


def test_a_review_of_a_stack_is_closed_once(stack: DeployedStack) -> None:
    reviews = DynamoReviews(stack.table())
    review = Review("A-1", "C-1", "USD", 200_000, 100_000, NOW, "e-1")
    assert reviews.open(review, Entry("FLAGGED", NOW), Message("event", {}))
    answer("reviews", "close", "A-1", "--reason", "fine")
    assert reviews.status("A-1") == "CLOSED"
    assert "CLOSED already" in refusal("reviews", "close", "A-1", "--reason", "again", *PLACE)
    assert "has no review" in refusal("reviews", "close", "A-2", "--reason", "x", *PLACE)
