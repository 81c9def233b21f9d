"""An event becomes one flat row with the columns of the table and without personal data."""

import json
from typing import Any

import pytest

from analytics.columns import COLUMNS
from analytics.flatten import flatten
from kernel.errors import InvalidEvent
from kernel.events import CONTRACTS
from tests.unit.analytics.lake import completed, envelope, order

ARRIVED = 1_769_860_800.25  # 2026-01-31 12:00:00.250 UTC

PRIVATE: dict[str, Any] = {
    "shipping_address": {
        "name": "PRIVATE name",
        "street": "PRIVATE street",
        "city": "PRIVATE city",
        "region": "PRIVATE region",
        "postal_code": "PRIVATE code",
        "country": "Norway",
    },
    "email": "PRIVATE@example.com",
    "payment_token": "PRIVATE token",
}

SHORT = {"order_id": "A-1", "timestamp": "2026-01-31T12:00:00Z"}
PAYMENT = {**SHORT, "customer_id": "C-42", "currency": "USD"}

EVENTS = {
    "Order Created": order(**PRIVATE),
    "Order Updated": {**SHORT, **PRIVATE},
    "Order Cancelled": {**SHORT, "reason": "PRIVATE reason"},
    "Order Backordered": order(missing=[{"sku": "TEA-GREEN", "requested": 2, "available": 1}]),
    "Order Completed": completed()["detail"],
    "Order Failed": order(reason="PaymentDeclined", message="PRIVATE message"),
    "Order Cancellation Confirmed": order(reason="PRIVATE reason"),
    "Order Cancellation Refused": {**SHORT, "reason": "OrderCompleted"},
    "Order Rejected": {
        **SHORT,
        "rejected_event_id": "e-1",
        "reason": "InvalidEvent",
        "problems": [{"field": "detail.email", "problem": "PRIVATE problem"}],
        "problem_count": 1,
    },
    "Payment Refunded": {**PAYMENT, "amount": 25.0, "charge_id": "c", "reason": "OutOfStock"},
    "High Value Order Flagged": {**PAYMENT, "total": 2500.5, "threshold": 1000},
}


def row(name: str, **more: Any) -> dict[str, Any]:
    return flatten(envelope(name, EVENTS[name], **more), ARRIVED)


def test_a_created_order_has_its_lines_its_money_and_its_country() -> None:
    detail = order(
        "A-1",
        ("TEA-GREEN", 2, 12.5),
        ("TEA-BLACK", 1, 0.1),
        **PRIVATE,
        metadata={"event_id": "e-1", "correlation_id": "r-1", "causation_id": "e-0"},
    )
    assert flatten(envelope("Order Created", detail), ARRIVED) == {
        "event_id": "e-1",
        "event_type": "Order Created",
        "event_time": "2026-01-31 12:00:00.000",
        "order_id": "A-1",
        "customer_id": "C-42",
        "currency": "USD",
        "total": "25.10",
        "units": 3,
        "line_count": 2,
        "lines": [
            {"sku": "TEA-GREEN", "quantity": 2, "unit_price": "12.50"},
            {"sku": "TEA-BLACK", "quantity": 1, "unit_price": "0.10"},
        ],
        "origin": "request",
        "ship_country": "Norway",
        "correlation_id": "r-1",
        "causation_id": "e-0",
        "schema_version": "1.1",
        "arrived_at": "2026-01-31 12:00:00.250",
    }


def test_every_event_of_the_contracts_has_a_row() -> None:
    assert set(EVENTS) == set(CONTRACTS)


@pytest.mark.parametrize("name", EVENTS)
def test_a_row_has_columns_of_the_table_only_and_no_personal_data(name: str) -> None:
    flat = row(name)
    assert set(flat) <= set(COLUMNS)
    assert {"event_id", "event_type", "event_time", "order_id", "arrived_at"} <= set(flat)
    assert None not in flat.values(), "a JSON SerDe would stumble over null"
    assert "PRIVATE" not in json.dumps(flat)


def test_the_events_together_fill_every_column() -> None:
    metadata = {"metadata": {"causation_id": "e-0"}}
    rows = [flatten(envelope(name, EVENTS[name] | metadata), ARRIVED) for name in EVENTS]
    rows.append(row("Order Created", **{"replay-name": "again"}))
    assert set().union(*rows) == set(COLUMNS)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        (
            "Order Backordered",
            "missing",
            [{"sku": "TEA-GREEN", "requested": 2, "available": 1}],
        ),
        ("Order Failed", "reason", "PaymentDeclined"),
        ("Order Cancellation Refused", "reason", "OrderCompleted"),
        ("Order Rejected", "reason", "InvalidEvent"),
        ("Payment Refunded", "reason", "OutOfStock"),
        ("Payment Refunded", "amount", "25.00"),
        ("High Value Order Flagged", "total", "2500.50"),
    ],
)
def test_an_event_fills_its_own_columns(name: str, column: str, value: object) -> None:
    assert row(name)[column] == value


def test_a_replayed_event_has_the_name_of_its_replay() -> None:
    assert row("Order Created", **{"replay-name": "january"})["replay_name"] == "january"
    assert "replay_name" not in row("Order Created")


def test_without_metadata_a_publishers_retry_is_the_same_event() -> None:
    assert row("Order Created")["event_id"] == row("Order Created", id="another")["event_id"]


@pytest.mark.parametrize(
    ("timestamp", "in_utc"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31 12:00:00.000"),
        ("2026-01-31T23:30:00-05:00", "2026-02-01 04:30:00.000"),
        ("2026-01-31T12:00:00.123456+01:00", "2026-01-31 11:00:00.123"),
    ],
)
def test_times_are_in_utc(timestamp: str, in_utc: str) -> None:
    flat = flatten(envelope("Order Created", order(timestamp=timestamp)), ARRIVED)
    assert flat["event_time"] == in_utc


@pytest.mark.parametrize(
    "event",
    [
        envelope("Order Eaten", order()),
        envelope("Order Created", order(total=-1)),
        envelope("Order Created", order(metadata={"schema_version": "2.0"})),
        envelope("Order Created", order(), source="elsewhere"),
        envelope("Order Created", order(timestamp="0001-01-01T00:00:00+12:00")),
    ],
)
def test_an_invalid_event_has_no_row(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        flatten(event, ARRIVED)


@pytest.mark.parametrize(
    ("name", "more", "origin"),
    [
        ("Order Created", {}, "request"),
        ("Order Completed", {}, "platform"),
        ("Order Completed", {"origin": "external"}, "external"),
        ("Order Created", {"origin": "external"}, "request"),
    ],
)
def test_a_row_has_the_origin_of_its_event(name: str, more: dict[str, str], origin: str) -> None:
    assert flatten(envelope(name, EVENTS[name], **more), ARRIVED)["origin"] == origin


def test_the_sender_of_a_fact_cannot_state_its_origin() -> None:
    detail = {**EVENTS["Order Completed"], "origin": "external"}
    assert flatten(envelope("Order Completed", detail), ARRIVED)["origin"] == "platform"


def test_a_replay_of_a_file_has_the_name_in_the_metadata() -> None:
    detail = {**EVENTS["Order Created"], "metadata": {"replay_name": "monday"}}
    assert flatten(envelope("Order Created", detail), ARRIVED)["replay_name"] == "monday"
    archived = envelope("Order Created", detail, **{"replay-name": "archive"})
    assert flatten(archived, ARRIVED)["replay_name"] == "archive"
    unreadable = {**EVENTS["Order Created"], "metadata": {"replay_name": 5}}
    assert "replay_name" not in flatten(envelope("Order Created", unreadable), ARRIVED)
