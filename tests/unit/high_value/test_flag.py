"""Orders at or above the threshold are flagged once; invalid events are quarantined."""

import json
from typing import Any

import pytest

from high_value.model import Review
from high_value.usecases import Ports, flag
from kernel.approval import Thresholds
from kernel.events import HighValueOrderFlagged, parse
from kernel.idempotency import published_event_id
from kernel.order_record import Entry, Message

NOW = 1_770_000_000.0
QUEUE = "https://sqs.example/quarantine"


class Store:
    """Reviews in a dictionary, and the outbox."""

    def __init__(self) -> None:
        self.reviews: dict[str, tuple[Review, Entry, Message]] = {}
        self.sent: list[tuple[Message, float]] = []

    def open(self, review: Review, entry: Entry, message: Message) -> bool:
        new = review.order_id not in self.reviews
        self.reviews.setdefault(review.order_id, (review, entry, message))
        return new

    def send(self, message: Message, at: float) -> None:
        self.sent.append((message, at))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def ports(store: Store) -> Ports:
    return Ports(store, Thresholds(100_000, {}), QUEUE, lambda: NOW)


def created(total: str = "1000.00", name: str = "Order Created", **metadata: Any) -> str:
    """Return the text of an envelope with the total as written in JSON."""
    detail = {
        "order_id": "A-1",
        "customer_id": "C-42",
        "currency": "EUR",
        "items": [{"sku": "TEA", "quantity": 1, "unit_price": "TOTAL"}],
        "total": "TOTAL",
        "timestamp": "2026-01-31T12:00:00Z",
        "metadata": {"event_id": "event-1", "correlation_id": "request-1", **metadata},
    }
    envelope = {"source": "orders.service", "detail-type": name, "detail": detail}
    return json.dumps(envelope).replace('"TOTAL"', total)


@pytest.mark.parametrize(
    ("total", "outcome"),
    [
        ("999.99", "NOT_FLAGGED"),
        ("1000", "FLAGGED"),
        ("1000.00", "FLAGGED"),
        ("1000.01", "FLAGGED"),
        ("999.995", "QUARANTINED"),
        ("NaN", "QUARANTINED"),
        ("-1000", "QUARANTINED"),
        ('"1000"', "QUARANTINED"),
        ("1e400", "QUARANTINED"),
    ],
)
def test_the_threshold_is_exact_and_an_invalid_total_is_quarantined(
    store: Store, ports: Ports, total: str, outcome: str
) -> None:
    assert flag(created(total), ports) == outcome
    assert len(store.reviews) == (outcome == "FLAGGED")
    assert len(store.sent) == (outcome == "QUARANTINED")


def test_a_review_has_customer_total_and_threshold(store: Store, ports: Ports) -> None:
    flag(created("1500.5"), ports)
    review, entry, _ = store.reviews["A-1"]
    assert review == Review("A-1", "C-42", "EUR", 150_050, 100_000, NOW, "event-1")
    assert (entry.what, entry.at) == ("HIGH_VALUE_FLAGGED", NOW)


def test_the_events_id_follows_from_the_order(store: Store, ports: Ports) -> None:
    flag(created(), ports)
    message = store.reviews["A-1"][2]
    assert message.kind == "event"
    event = parse(
        {
            "source": message.body["Source"],
            "detail-type": message.body["DetailType"],
            "detail": json.loads(str(message.body["Detail"])),
        }
    )
    assert isinstance(event.detail, HighValueOrderFlagged)
    assert (event.detail.total, event.detail.threshold) == (100_000, 100_000)
    assert event.event_id == published_event_id("A-1", "High Value Order Flagged", 1)
    assert event.correlation_id == "request-1"
    assert event.detail.metadata is not None
    assert event.detail.metadata.causation_id == "event-1"
    assert event.detail.metadata.schema_version == "1.0"


def test_a_repeated_event_flags_its_order_once(store: Store, ports: Ports) -> None:
    outcomes = [flag(created(event_id=f"event-{number}"), ports) for number in range(3)]
    assert outcomes == ["FLAGGED", "FLAGGED_BEFORE", "FLAGGED_BEFORE"]


def test_only_a_new_order_is_of_high_value(store: Store, ports: Ports) -> None:
    completed = json.loads(created(name="Order Completed"))
    completed["detail"] |= {"charge_id": "c", "shipment_id": "s", "tracking_number": "t"}
    assert flag(json.dumps(completed), ports) == "NOT_FLAGGED"


def test_an_invalid_event_is_quarantined_with_its_reason(store: Store, ports: Ports) -> None:
    body = created("-1")
    assert flag(body, ports) == "QUARANTINED"
    [(message, at)] = store.sent
    assert (message.kind, message.body["queue"], at) == ("message", QUEUE, NOW)
    dead_letter: Any = message.body["body"]
    assert dead_letter["consumer"] == "flag_high_value"
    assert dead_letter["event"] == json.loads(body)
    assert dead_letter["reason"]["error"] == "InvalidEvent"
    assert dead_letter["reason"]["message"].startswith("detail.items[0].unit_price: ")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (created(name="Order Eaten"), "detail-type"),
        (created(schema_version="2.0"), "detail.metadata.schema_version"),
        (created().replace("orders.service", "elsewhere"), "source"),
        ("[1]", "body"),
        ("not JSON", "body"),
        ("[" * 100_000, "body"),
    ],
)
def test_the_reason_names_the_invalid_field(
    store: Store, ports: Ports, body: str, field: str
) -> None:
    assert flag(body, ports) == "QUARANTINED"
    dead_letter: Any = store.sent[0][0].body["body"]
    assert dead_letter["reason"]["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("body", ["not JSON", created("NaN"), created("1e400")])
def test_a_body_that_is_not_strict_json_is_quarantined_as_text(
    store: Store, ports: Ports, body: str
) -> None:
    flag(body, ports)
    dead_letter: Any = store.sent[0][0].body["body"]
    assert dead_letter["event"] == body
    json.dumps(dead_letter, allow_nan=False)
