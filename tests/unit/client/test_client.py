"""The client kit: it refuses no event that the platform takes, and loses none that it sends."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.errors import InvalidEvent as Refused
from kernel.events import CONTRACTS, REQUESTS, SOURCE, parse
from orderflow_client import (
    InvalidEvent,
    NoOutcome,
    NotPublished,
    OrderflowClientError,
    OrderPublisher,
    OrderRejected,
    Sent,
    problems_of,
)
from orderflow_client.publisher import MAX_ENTRIES
from orderflow_client.validation import MAX_BYTES
from tests.fakes.events import detail
from tests.strategies import damaged
from tests.unit.kernel.test_events_properties import details

ORDER = detail()


class Bus:
    """A bus that answers each request as told, and takes the rest."""

    def __init__(self, *answers: Mapping[int, str]) -> None:
        self.answers = list(answers)
        self.requests: list[list[str]] = []

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:  # noqa: N803
        failures = self.answers.pop(0) if self.answers else {}
        ids = [json.loads(entry["Detail"])["order_id"] for entry in Entries]
        self.requests.append(ids)
        results = [
            {"ErrorCode": failures[n], "ErrorMessage": "why"}
            if n in failures
            else {"EventId": name}
            for n, name in enumerate(ids)
        ]
        return {"FailedEntryCount": len(failures), "Entries": results}


def publisher(bus: Bus, waits: list[float] | None = None, **options: Any) -> OrderPublisher:
    return OrderPublisher(client=bus, sleep=([] if waits is None else waits).append, **options)


def orders(number: int, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    return [("Order Created", detail(order_id=f"A-{n}", **fields)) for n in range(number)]


# ---- validation


@pytest.mark.parametrize("name", sorted(REQUESTS))
@settings(max_examples=60)
@given(data=st.data())
def test_an_event_that_the_platform_takes_is_valid(name: str, data: st.DataObject) -> None:
    event = data.draw(details(CONTRACTS[name]) | damaged(details(CONTRACTS[name])))
    try:
        parse({"source": SOURCE, "detail-type": name, "detail": event})
    except Refused:
        return
    assert problems_of(name, event) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"order_id": ...}, "detail.order_id"),
        ({"order_id": "A 1"}, "detail.order_id"),
        ({"order_id": "A-1\n"}, "detail.order_id"),
        ({"customer_id": 7}, "detail.customer_id"),
        ({"currency": "usd"}, "detail.currency"),
        ({"total": 36}, "detail.total"),
        ({"total": "37"}, "detail.total"),
        ({"total": True}, "detail.total"),
        ({"total": float("nan")}, "detail.total"),
        ({"items": []}, "detail.items"),
        ({"items": "TEA"}, "detail.items"),
        ({"items": [{"sku": "TEA", "quantity": 0, "unit_price": 1}]}, "detail.items[0].quantity"),
        (
            {"items": [{"sku": "TEA", "quantity": 1, "unit_price": 1.005}]},
            "detail.items[0].unit_price",
        ),
        ({"items": [{"sku": "TEA", "quantity": 1}]}, "detail.items[0].unit_price"),
        ({"items": [{"sku": "T", "quantity": 1, "unit_price": 0}], "total": 0}, "detail.total"),
        ({"email": "ada"}, "detail.email"),
        ({"timestamp": "2026-01-31"}, "detail.timestamp"),
        ({"timestamp": "2026-01-31T12:00:00"}, "detail.timestamp"),
        ({"shipping_address": {"name": "A"}}, "detail.shipping_address.street"),
        ({"metadata": {"schema_version": "one"}}, "detail.metadata.schema_version"),
    ],
)
def test_a_wrong_field_is_named_as_the_platform_names_it(fields: Any, field: str) -> None:
    wrong = detail(**fields)
    assert problems_of("Order Created", wrong)[0].field == field
    with pytest.raises(Refused) as refused:
        parse({"source": SOURCE, "detail-type": "Order Created", "detail": wrong})
    assert field in [each.field for each in refused.value.problems]


def test_all_problems_are_named_and_other_types_are_refused() -> None:
    wrong = detail(order_id=..., currency="usd", email="ada")
    fields = [each.field for each in problems_of("Order Created", wrong)]
    assert fields == ["detail.order_id", "detail.currency", "detail.email"]
    assert problems_of("Order Completed", ORDER)[0].field == "detail-type"
    assert problems_of("Order Created", [])[0].field == "detail"
    change = {"order_id": "A-1", "timestamp": "2026-01-31T12:00:00Z"}
    assert problems_of("Order Updated", change)[0].field == "detail.email"
    large = detail(metadata={"x": "é" * 140_000})
    assert "bytes" in problems_of("Order Created", large)[0].problem


@pytest.mark.parametrize("value", ["\ud800", float("nan"), Decimal(1), {1, 2}])
def test_a_value_that_no_json_has_is_a_problem_of_the_event(value: Any) -> None:
    bus = Bus()
    with pytest.raises(InvalidEvent, match="detail: is not JSON in UTF-8"):
        publisher(bus).place(detail(note=value))
    assert bus.requests == []


def test_the_size_of_an_event_is_that_of_its_entry() -> None:
    rest = len(SOURCE) + len("Order Created") + len(json.dumps(detail(note="")))
    assert problems_of("Order Created", detail(note="x" * (MAX_BYTES - rest))) == []
    [problem] = problems_of("Order Created", detail(note="x" * (MAX_BYTES - rest + 1)))
    assert problem.problem == "the event has 262145 bytes; send 262144 at most"


# ---- publish


def test_events_go_in_batches_by_count_and_by_size_in_their_order() -> None:
    bus = Bus()
    sent = publisher(bus).publish(orders(23))
    assert [len(request) for request in bus.requests] == [MAX_ENTRIES, MAX_ENTRIES, 3]
    assert sent == [Sent(f"A-{n}", f"A-{n}") for n in range(23)]
    large = Bus()
    publisher(large).publish(orders(7, metadata={"note": "x" * (MAX_BYTES // 3)}))
    assert [len(request) for request in large.requests] == [2, 2, 2, 1]


def test_nothing_is_sent_if_one_event_is_invalid() -> None:
    bus = Bus()
    with pytest.raises(InvalidEvent, match=r"event 1: detail\.total: is not the sum") as refused:
        publisher(bus).publish([*orders(1), ("Order Created", detail(total=1))])
    assert (refused.value.number, refused.value.field) == (1, "detail.total")
    assert bus.requests == []


def test_only_a_failed_entry_is_sent_again_with_longer_waits() -> None:
    waits: list[float] = []
    bus = Bus({1: "ThrottlingException", 3: "InternalFailure"}, {0: "ThrottlingException"})
    sent = publisher(bus, waits).publish(orders(5))
    assert bus.requests == [[f"A-{n}" for n in range(5)], ["A-1", "A-3"], ["A-1"]]
    assert [each.event_id for each in sent] == [f"A-{n}" for n in range(5)]
    assert len(waits) == 2
    assert all(0 <= wait <= 5 for wait in waits)


def test_an_entry_that_no_retry_helps_is_named_after_the_others_were_retried() -> None:
    bus = Bus({0: "NotAuthorizedForSourceException", 2: "ThrottlingException"})
    with pytest.raises(NotPublished, match="event 0 was not taken: NotAuthorized") as refused:
        publisher(bus).publish(orders(3))
    assert list(refused.value.refused) == [0]
    assert bus.requests[1:] == [["A-2"]]


def test_attempts_are_bounded() -> None:
    bus = Bus(*[{0: "ThrottlingException"}] * 9)
    with pytest.raises(NotPublished, match="send these events again"):
        publisher(bus, attempts=4).publish(orders(1))
    assert len(bus.requests) == 4


class Unreachable(Bus):
    """A bus that no request reaches after the first, for these reasons in turn."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:  # noqa: N803
        if self.requests and self.errors:
            raise self.errors.pop(0)
        return super().put_events(Entries=Entries)


def test_a_request_that_fails_names_its_events_alone() -> None:
    unreachable = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(NotPublished, match="EndpointConnectionError: Could not con") as refused:
        publisher(Unreachable(unreachable)).publish(orders(12))
    assert list(refused.value.refused) == [10, 11]
    throttled = ClientError({"Error": {"Code": "ThrottlingException"}}, "PutEvents")
    bus = Unreachable(throttled)
    assert len(publisher(bus).publish(orders(12))) == 12
    assert [len(request) for request in bus.requests] == [10, 2]


def test_no_event_is_no_request() -> None:
    bus = Bus()
    assert publisher(bus).publish([]) == []
    assert bus.requests == []


def test_an_order_is_changed_and_cancelled() -> None:
    bus = Bus()
    change = {"order_id": "A-1", "timestamp": "2026-01-31T12:00:00Z", "email": "ada@example.com"}
    assert publisher(bus).update(change) == Sent("A-1", "A-1")
    assert publisher(bus).cancel("A-2", "ordered twice") == Sent("A-2", "A-2")


# ---- wait_for


class Api(BaseHTTPRequestHandler):
    """The HTTP API, with the answers of a test."""

    answers: ClassVar[dict[str, list[tuple[int, dict[str, Any]]]]] = {}
    tokens: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("authorization"))
        left = self.answers.get(self.path, [(404, {})])
        status, body = left.pop(0) if len(left) > 1 else left[0]
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def api() -> Iterator[str]:
    Api.answers, Api.tokens = {}, []
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_end_of_an_order_is_awaited(api: str) -> None:
    order = {"order_id": "A-1", "status": "RECEIVED"}
    failed = {**order, "status": "FAILED", "failure": {"reason": "OutOfStock", "message": "TEA"}}
    Api.answers["/orders/A-1"] = [(404, {}), (200, order), (200, failed)]
    waits: list[float] = []
    found = publisher(Bus(), waits, api_url=api, token="secret").wait_for(Sent("A-1", "e-1"))
    assert (found.status, found.reason, found.message) == ("FAILED", "OutOfStock", "TEA")
    assert waits == [0.2, pytest.approx(0.3)]
    assert set(Api.tokens) == {"Bearer secret"}


def test_a_refused_event_is_told_at_once(api: str) -> None:
    problem = {"field": "detail.total", "problem": "is missing; send it"}
    answer = {"type": "Order Created", "outcome": "rejected", "reason": "InvalidEvent"}
    Api.answers["/events/e-1"] = [(200, {**answer, "problems": [problem]})]
    with pytest.raises(OrderRejected, match=r"detail\.total: is missing; send it") as refused:
        publisher(Bus(), api_url=api).wait_for(Sent("A-1", "e-1"))
    assert refused.value.reason == "InvalidEvent"


def test_an_order_that_does_not_end_in_time_is_told_with_its_state(api: str) -> None:
    Api.answers["/orders/A-1"] = [(200, {"order_id": "A-1", "status": "WAITING"})]
    with pytest.raises(NoOutcome, match="order A-1 is WAITING after 0 s"):
        publisher(Bus(), api_url=api).wait_for(Sent("A-1", "e-1"), 0)


def test_an_api_that_does_not_answer_is_asked_again(api: str) -> None:
    ended = {"order_id": "A-1", "status": "COMPLETED"}
    Api.answers["/orders/A-1"] = [(503, {}), (429, {}), (200, ended)]
    assert publisher(Bus(), api_url=api).wait_for(Sent("A-1", "e-1")).status == "COMPLETED"
    with pytest.raises(NoOutcome, match=r"A-1 is unknown \(http://127.0.0.1:1 does not answer"):
        publisher(Bus(), api_url="http://127.0.0.1:1").wait_for(Sent("A-1", "e-1"), 0)


def test_a_missing_scope_is_told(api: str) -> None:
    Api.answers["/orders/A-1"] = [(403, {})]
    with pytest.raises(OrderflowClientError, match="403"):
        publisher(Bus(), api_url=api).wait_for(Sent("A-1", "e-1"))


def test_the_address_is_needed_and_checked() -> None:
    with pytest.raises(ValueError, match="api_url: is missing"):
        publisher(Bus()).wait_for(Sent("A-1", "e-1"))
    with pytest.raises(ValueError, match="is no address"):
        publisher(Bus(), api_url="file:///etc/passwd")
