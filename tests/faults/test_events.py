"""Faults of events: repeated, late, refused, malformed, out of order, lost in transit."""

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

import orders.usecases
import storage.sqlite.records
from analytics.warehouse import connect
from infra.cli.errors import CommandError
from infra.cli.event_destination import ATTEMPTS, put_all
from infra.errors import InvalidRequest
from kernel.events import MAX_EVENT_BYTES
from kernel.order_record import Change, Message
from orders.outbox import Ports, catch_up
from storage.sqlite.database import Database
from tests.fakes.outbox import FakeOutbox
from tests.faults.scene import DAY, Killed, Scene, dead_letters, has_completed_once, paid, shipped
from tests.host import Host, event, order


def test_f01_an_event_delivered_twice_at_once(machine: Host) -> None:
    """F1: the same Order Created twice at once -> one effective run, one charge, one shipment."""
    machine.put(order(), order())
    machine.settle()
    assert has_completed_once(machine)
    assert [path.rpartition(" ")[2] for path in machine.paths()] == [
        "OrderCompleted",
        "OrderIgnored",
    ]


def test_f02_a_publisher_that_retries_with_a_new_event_id(machine: Host) -> None:
    """F2: the same order under a new event id -> one effective run, one charge, one shipment."""
    machine.put(*(order(metadata={"event_id": event_id}) for event_id in ("first", "second")))
    machine.settle()
    assert has_completed_once(machine)


@pytest.mark.parametrize("seconds", [3_600.0, 25 * 3_600.0, 91 * DAY])
def test_f03_a_replay_long_after(machine: Host, seconds: float) -> None:
    """F3: the archive replayed after 1 hour, 25 hours, 91 days -> no second charge or shipment."""
    start = machine.engine.clock.now()
    machine.put(order())
    machine.settle()
    machine.engine.clock.offset += seconds
    replays, end = machine.engine.replays, machine.engine.clock.now()
    machine.engine.call(lambda now: replays.start("again", start - 60, end, [], now))
    machine.settle()
    assert has_completed_once(machine)
    assert machine.timeline()[-1] == "DUPLICATE_IGNORED"


def test_f04_the_same_order_id_with_other_content(machine: Host) -> None:
    """F4: the same order id, other content -> the first is kept; OrderConflict is recorded."""
    machine.put(order())
    machine.settle()
    machine.put(order(customer_id="C-2"))
    machine.settle()
    assert has_completed_once(machine)
    assert machine.rows("select customer_id from orders") == [{"customer_id": "C-1"}]
    [(queue, reason)] = dead_letters(machine)
    assert (queue, reason.partition(":")[0]) == ("QuarantineQueue", "OrderConflict")
    assert "CONFLICT_IGNORED" in machine.timeline()


class Flaky:
    """An event destination that refuses every second entry of its first requests."""

    where = "here"

    def __init__(self, machine: Host, requests: int) -> None:
        self.engine = machine.engine
        self.left = requests
        self.sizes: list[int] = []

    def put(self, entries: Sequence[Any]) -> list[dict[str, Any]]:
        self.sizes.append(len(entries))
        self.left -= 1
        refused = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
        return [
            refused if self.left >= 0 and number % 2 == 0 else self._accept(entry)
            for number, entry in enumerate(entries)
        ]

    def _accept(self, entry: Any) -> dict[str, Any]:
        answer = self.engine.call(lambda now: self.engine.bus.put([entry], now))
        self.engine.turn(0)
        result: dict[str, Any] = answer.result(0)["Entries"][0]
        return result


def test_f05_failed_entries(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5: FailedEntryCount > 0 -> only the failed entries are sent again, a few times at most."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    created = [order(f"T-{number}") for number in range(4)]
    entries = [
        {
            "EventBusName": "orders-bus",
            "Source": one["source"],
            "DetailType": one["detail-type"],
            "Detail": json.dumps(one["detail"]),
        }
        for one in created
    ]
    destination = Flaky(machine, requests=2)
    assert put_all(destination, entries) == 4
    assert destination.sizes == [4, 2, 1]
    machine.settle()
    assert all(has_completed_once(machine, f"T-{number}") for number in range(4))
    with pytest.raises(CommandError, match="ThrottlingException"):
        put_all(Flaky(machine, requests=ATTEMPTS), entries[:1])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_f06_a_crash_between_the_write_and_its_event(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """F6: crash between the state write and the publish -> one transaction; the publish follows."""
    with scene.open() as machine, monkeypatch.context() as patch:
        machine.receive(TEA=1)
        _kill_at_completion(patch, moment)
        machine.put(order())
        machine.settle()
    with scene.open() as machine:
        outbox = machine.rows("select body from outbox")
        is_written = machine.status() == "COMPLETED"
        assert is_written is (moment == "after")
        assert is_written is any("Order Completed" in row["body"] for row in outbox)
        machine.settle()
        assert has_completed_once(machine)


def _kill_at_completion(patch: pytest.MonkeyPatch, moment: str) -> None:
    """Kill the process in the transaction that completes an order, or right after it."""
    write_change, complete = storage.sqlite.records.write_change, orders.usecases.complete

    def write_or_die(connection: Any, change: Change) -> None:
        write_change(connection, change)
        if change.fields.get("status") == "COMPLETED":
            raise Killed

    def complete_and_die(*arguments: Any) -> None:
        complete(*arguments)
        raise Killed

    if moment == "before":
        patch.setattr(storage.sqlite.records, "write_change", write_or_die)
    else:
        patch.setattr(orders.usecases, "complete", complete_and_die)


class BusPublisher:
    """The relay's destination onto the bus of one machine."""

    def __init__(self, machine: Host) -> None:
        self.machine = machine

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        for message in messages:
            body = message.body
            detail = json.loads(str(body["Detail"]))
            name, source = body["DetailType"], body["Source"]
            self.machine.put({"source": source, "detail-type": name, "detail": detail})
        return [None] * len(messages)


def _created(order_id: str) -> Message:
    detail = {**order(order_id)["detail"], "metadata": {"event_id": f"{order_id}-created"}}
    body = {"Source": "orders.service", "DetailType": "Order Created"}
    return Message("event", {**body, "Detail": json.dumps(detail)})


def test_f07_a_relay_that_dies_after_the_publish(machine: Host) -> None:
    """F7: crash of the relay after the publish -> a duplicate event; one charge and shipment."""
    outbox = FakeOutbox(item={"1.0": _created("T-1")})
    ports = Ports(outbox, BusPublisher(machine), machine.engine.clock.now, lambda _: None)
    outbox.broken.append(Killed())  # type: ignore[arg-type] # it dies, so it is no Exception
    with pytest.raises(Killed):
        catch_up(ports, lambda: 60.0)
    assert outbox.remaining == ["item/1.0"]
    catch_up(ports, lambda: 60.0)
    machine.settle()
    assert outbox.remaining == []
    assert len(machine.rows("select 1 from events where detail_type = 'Order Created'")) == 2
    assert has_completed_once(machine)


def test_f21_an_event_over_the_limit(machine: Host) -> None:
    """F21: an event over the size limit -> refused at the port, with the limit and the size."""
    large = order(email=f"{'a' * MAX_EVENT_BYTES}@example.com")
    with pytest.raises(InvalidRequest, match=rf"\d+ bytes of {MAX_EVENT_BYTES}"):
        machine.put(large)
    answer = machine.engine.call_function("OrdersApiFunction", _post(large["detail"]))
    machine.settle()
    problem = json.loads(answer.result(0).payload["body"])
    assert (problem["status"], problem["field"]) == (422, "body")
    assert str(MAX_EVENT_BYTES) in problem["detail"]
    assert machine.rows("select * from events") == []


def _post(body: Any) -> dict[str, Any]:
    http = {"method": "POST", "path": "/orders", "sourceIp": "127.0.0.1"}
    context = {"http": http, "stage": "$default", "requestId": "1", "domainName": "localhost"}
    context["authorizer"] = {"jwt": {"claims": {"scope": "orders/operate"}}}
    return {
        "version": "2.0",
        "routeKey": "POST /orders",
        "rawPath": "/orders",
        "rawQueryString": "",
        "headers": {},
        "requestContext": context,
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


MALFORMED = {
    "total is not the sum": order(total=2000.0),
    "newer schema": order(
        items=[{"sku": "TEA", "quantity": 80, "unit_price": 12.5}],
        total=1000.0,
        metadata={"schema_version": "2.0"},
    ),
    "unknown event": event("Order Teleported"),
    "detail type in another case": event("order cancelled"),
    "no timestamp": event("Order Cancelled", timestamp=None),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_f22_an_event_that_violates_its_contract(machine: Host, what: str) -> None:
    """F22: malformed, unknown, newer schema -> quarantined at once; one fact; no flag."""
    machine.put(MALFORMED[what])
    machine.settle()
    consumers = 2 if MALFORMED[what]["detail-type"] == "Order Created" else 1
    letters = dead_letters(machine)
    assert [queue for queue, _ in letters] == ["QuarantineQueue"] * consumers
    assert all(reason.startswith("InvalidEvent: detail") for _, reason in letters)
    assert machine.status() is None
    assert machine.rows("select * from reviews") == []
    bucket = machine.directory.bucket
    assert len([*bucket.glob("errors/processing-failed/*/*.jsonl")]) == 1
    assert machine.events()[-1] == "Order Rejected"
    with connect(bucket) as connection:
        rows = connection.execute("select event_type from order_events").fetchall()
    assert rows == [("Order Rejected",)]


def test_f27_events_out_of_order(machine: Host) -> None:
    """F27: Cancelled before Created, Updated after Completed -> applied, or noted as ignored."""
    machine.put(event("Order Cancelled", "T-1"))
    while not machine.kept():
        machine.engine.turn(0)
    machine.put(order("T-1"), order("T-2"))
    machine.settle()
    machine.put(event("Order Updated", "T-2", email="grace@example.com"))
    machine.settle()
    assert has_completed_once(machine, "T-2")
    assert machine.timeline("T-2")[-1] == "CHANGE_IGNORED"
    assert (machine.status(), machine.events()) == ("CANCELLED", ["Order Cancellation Confirmed"])
    assert (paid(machine), shipped(machine)) == ([], [])
    assert dead_letters(machine) == []


def test_f27_an_address_that_precedes_its_order(machine: Host) -> None:
    """F27: Updated before Created -> the order is shipped to the new address."""
    address = {"name": "A", "street": "2 Mill Lane", "city": "C", "country": "Y"}
    machine.put(event("Order Updated", "T-1", shipping_address=address))
    while not machine.kept():
        machine.engine.turn(0)
    machine.put(order("T-1"))
    machine.settle()
    assert has_completed_once(machine, "T-1")
    sandbox = Database(str(machine.directory.sandbox), read_only=True)
    [row] = sandbox.rows("select address from carrier_shipments")
    sandbox.close()
    assert json.loads(row["address"])["street"] == "2 Mill Lane"


@pytest.mark.parametrize(
    ("total", "outcome"),
    [
        ("999.99", "taken"),
        ("1000", "flagged"),
        ("1000.00", "flagged"),
        ("999.995", "detail.total"),
        ("-1000", "detail.total"),
        ('"1000"', "detail.total"),
        ("NaN", "MalformedDetail"),
        ("1e400", "MalformedDetail"),
    ],
)
def test_f28_totals_at_the_boundary_and_beyond(machine: Host, total: str, outcome: str) -> None:
    """F28: 999.99, 1000, NaN, 1e400, … -> the boundary is exact; invalid totals are refused."""
    lines = f'[{{"sku": "TEA", "quantity": 1, "unit_price": {total}}}]'
    detail = json.dumps({**order()["detail"], "total": None, "items": None})
    detail = detail.replace('"total": null', f'"total": {total}')
    entry = {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": "Order Created",
        "Detail": detail.replace('"items": null', f'"items": {lines}'),
    }
    answer = machine.engine.call(lambda now: machine.engine.bus.put([entry], now))
    machine.settle()
    [result] = answer.result(0)["Entries"]
    flagged = machine.rows("select * from reviews")
    if outcome == "MalformedDetail":
        assert result["ErrorCode"] == outcome
    elif outcome == "detail.total":
        assert machine.status() is None
        assert dead_letters(machine)
    else:
        assert has_completed_once(machine)
    assert len(flagged) == (outcome == "flagged")
