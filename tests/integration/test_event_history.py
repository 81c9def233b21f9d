"""The outcome of an event: by its order and by its EventId, on one machine and on AWS."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.errors import NotFound
from infra.views.local_story import read_story
from orders import wiring
from orders.caller import Caller
from orders.handlers.api import handler
from orders.journal_history import NEWEST, JournalHistory
from storage.sqlite.database import Database
from tests.host import Host, event, order

CONTEXT = cast("Any", SimpleNamespace(function_name="api", aws_request_id="r-1"))
OPERATOR = Caller("", None)


def get(path: str, claims: dict[str, str] | None = None) -> tuple[int, Any]:
    answer = handler(
        {
            "version": "2.0",
            "routeKey": f"GET {path}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {},
            "requestContext": {
                "http": {"method": "GET", "path": path},
                "stage": "$default",
                "authorizer": {"jwt": {"claims": claims or {"scope": "orders/operate"}}},
            },
            "isBase64Encoded": False,
        },
        CONTEXT,
    )
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def api(machine: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("STORE_URL", f"sqlite:///{machine.directory.database}")
    wiring.ports.cache_clear()
    return machine


def test_an_order_has_its_requests_with_outcomes_and_its_facts(api: Host) -> None:
    api.put(order(metadata={"event_id": "e-1"}))
    api.settle()
    api.put(order(metadata={"event_id": "e-2"}), order(customer_id="C-2"), event("Order Updated"))
    api.settle()
    status, body = get("/orders/T-1/events")
    outcomes = [(each["type"], each["outcome"]) for each in body["events"]]
    assert status == 200
    assert outcomes[:2] == [("Order Created", "processed"), ("Order Completed", "published")]
    assert sorted(outcomes[2:5]) == [
        ("Order Created", "duplicate"),
        ("Order Created", "rejected"),
        ("Order Updated", "rejected"),
    ]
    assert body["events"][0]["answers"] == ["Order Completed"]
    assert body["events"][0]["metadata_event_id"] == "e-1"


def test_an_event_is_found_by_the_id_of_its_answer(api: Host) -> None:
    refused, taken, unknown = api.put(order("T-2", total=1), order(), event("Order Placed"))
    api.settle()
    status, body = get(f"/events/{refused['EventId']}")
    assert (status, body["outcome"], body["reason"]) == (200, "rejected", "InvalidEvent")
    assert body["problems"] == [
        {
            "field": "detail.total",
            "problem": "is not the sum of the lines; send the sum of quantity times unit price",
        }
    ]
    status, body = get(f"/events/{taken['EventId']}")
    assert (status, body["outcome"], body["answers"]) == (200, "processed", ["Order Completed"])
    status, body = get(f"/events/{unknown['EventId']}")
    assert (body["outcome"], body["problems"][0]["field"]) == ("rejected", "detail-type")


def test_a_cancellation_shows_its_answer(api: Host) -> None:
    api.put(order())
    api.settle()
    [answer] = api.put(event("Order Cancelled"))
    api.settle()
    assert get(f"/events/{answer['EventId']}")[1]["answers"] == ["Order Cancellation Refused"]


def test_a_request_before_its_order_waits(api: Host) -> None:
    [answer] = api.put(event("Order Cancelled"))
    api.engine.turn(0)
    assert get(f"/events/{answer['EventId']}")[1]["outcome"] == "waiting"


def test_a_request_whose_order_never_came_is_rejected_by_one_fact(api: Host) -> None:
    [answer] = api.put(event("Order Cancelled"))
    api.settle()
    told = get(f"/events/{answer['EventId']}")[1]
    assert (told["outcome"], told["reason"]) == ("rejected", "OrderNotFound")
    assert "send the order first" in told["problems"][0]["problem"]
    query = "select count(*) as n from events where detail_type = 'Order Rejected'"
    assert api.rows(query) == [{"n": 1}]
    assert [letter["queue"] for letter in api.dead_letters()] == ["QuarantineQueue"]


@pytest.mark.parametrize("event_id", ["nothing", "019bd1f1-8c3e-7a52-9c0d-5d3f1b6c2a10", "x" * 500])
def test_an_unknown_event_is_a_404(api: Host, event_id: str) -> None:
    status, body = get(f"/events/{event_id}")
    assert (status, body["title"]) == (404, "Not Found")
    assert "EventId" in body["detail"]


def test_a_customer_sees_only_its_own_events(api: Host) -> None:
    mine, refused = api.put(order(), order("T-2", total=1))
    api.settle()
    own, other = {"customer_id": "C-1"}, {"customer_id": "C-2"}
    for path in (
        "/orders/T-1/events",
        "/orders/T-2/events",
        f"/events/{mine['EventId']}",
        f"/events/{refused['EventId']}",
    ):
        assert get(path, own)[0] == 200
        assert get(path, other)[0] == 404


def test_an_event_with_the_id_of_anothers_order_is_its_own_customers(api: Host) -> None:
    api.put(order())
    api.settle()
    [conflict] = api.put(order(customer_id="C-2"))
    api.settle()
    ours = {"scope": "orders/read", "customer_id": order()["detail"]["customer_id"]}
    theirs = {"scope": "orders/read", "customer_id": "C-2"}
    status, body = get("/orders/T-1/events", ours)
    assert (status, [each["outcome"] for each in body["events"]][:2]) == (
        200,
        ["processed", "published"],
    )
    assert "C-2" not in json.dumps(body)
    assert get("/orders/T-1/events", theirs)[0] == 404
    assert get(f"/events/{conflict['EventId']}", ours)[0] == 404
    status, body = get(f"/events/{conflict['EventId']}", theirs)
    assert (status, body["outcome"], body["reason"]) == (200, "rejected", "OrderConflict")


def test_an_order_without_any_event_is_a_404(api: Host) -> None:
    assert get("/orders/T-9/events")[0] == 404


def test_an_event_is_found_after_the_times_were_moved_and_without_a_time(machine: Host) -> None:
    old, moved = machine.put(order(), order("T-2"))
    with machine.database.write() as connection:
        connection.execute(
            "update events set id = 'of-2025', envelope = replace(envelope, ?, 'of-2025')"
            " where id = ?",
            (old["EventId"], old["EventId"]),
        )
        connection.execute(
            "update events set arrived_at = arrived_at - 90 where id = ?", (moved["EventId"],)
        )
    history = JournalHistory(machine.database)
    for event_id, order_id in (("of-2025", "T-1"), (moved["EventId"], "T-2")):
        found = history.find(event_id)
        assert found is not None
        assert found.order_id == order_id


def test_a_search_by_time_reads_few_events(machine: Host) -> None:
    [answer] = machine.put(order())
    with machine.database.write() as connection:
        connection.executemany(
            "insert into events (id, detail_type, order_id, envelope, arrived_at, archived)"
            " values (?, 'Order Created', null, '{}', ?, 1)",
            ((f"other-{n}", 2e9 + n) for n in range(NEWEST)),
        )
    found = JournalHistory(machine.database).find(answer["EventId"])
    assert found is not None, "it is older than the newest events"


def test_a_store_without_a_journal_has_no_events() -> None:
    history = JournalHistory(Database(":memory:"))
    assert (history.of_order("A-1", 5), history.find("x")) == ([], None)


# ---- orders show


def test_an_order_is_shown_by_its_other_names(machine: Host) -> None:
    [answer] = machine.put(order(metadata={"event_id": "e-1", "correlation_id": "r-1"}))
    machine.settle()
    [row] = machine.rows(
        "select s.tracking_number, charge_id, o.shipment_id from shipments s join orders o"
        " using (order_id)"
    )
    for name, kind in (
        (answer["EventId"], "EventId"),
        ("r-1", "correlation id"),
        (row["tracking_number"], "tracking number"),
        ("e-1", "event id in its metadata"),
        (row["charge_id"], "charge id"),
        (row["shipment_id"], "shipment id"),
    ):
        story = read_story(machine.directory, name)
        assert (story.order_id, story.found_by) == ("T-1", f"{kind} {name}")


def test_a_correlation_id_of_several_orders_names_them(machine: Host) -> None:
    machine.put(*(order(f"T-{n}", metadata={"correlation_id": "r-1"}) for n in (1, 2)))
    machine.settle()
    with pytest.raises(NotFound, match="several orders have the correlation id 'r-1': T-1, T-2"):
        read_story(machine.directory, "r-1")


def test_a_refused_event_is_shown_with_its_problems(machine: Host) -> None:
    wrong, placed = machine.put(order(total=1), event("Order Placed", "T 1"))
    bare = machine.put({**event("Order Placed"), "detail": {}})[0]
    machine.settle()
    for event_id, problem in (
        (wrong["EventId"], "detail.total: is not the sum"),
        (placed["EventId"], "detail-type: is unknown"),
        (bare["EventId"], "detail-type: is unknown"),
    ):
        story = read_story(machine.directory, event_id)
        assert story.status == "UNKNOWN"
        [refusal] = story.refusals
        assert event_id in refusal
        assert problem in refusal
        json.dumps(story.to_json())


def test_a_name_that_nothing_has_is_not_found(machine: Host) -> None:
    with pytest.raises(NotFound, match="no order has the id 'nothing'"):
        read_story(machine.directory, "nothing")


# ---- AWS
