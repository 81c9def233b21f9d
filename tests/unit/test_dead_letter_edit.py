"""Putting the event of a dead letter right: by paths, held to its contract."""

from typing import Any

import pytest

from infra.dead_letters.edit import (
    InvalidEdit,
    NothingToEdit,
    edit_fields,
    event_in,
    require_contract,
    with_event,
)

EVENT: dict[str, Any] = {
    "id": "e-1",
    "source": "orders.service",
    "detail-type": "Order Created",
    "detail": {
        "order_id": "A-1",
        "customer_id": "C-1",
        "currency": "usd",
        "items": [{"sku": "TEA", "quantity": 1, "unit_price": 10}],
        "total": 10,
        "timestamp": "2026-01-31T12:00:00Z",
    },
}


def quarantined(event: Any = EVENT) -> dict[str, Any]:
    body = {"consumer": "order_processing", "reason": {}, "event": event}
    return {"id": 7, "queue": "QuarantineQueue", "body": body}


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("currency=USD", ("currency",), "USD"),
        ("detail.currency=USD", ("currency",), "USD"),
        ("total=12.5", ("total",), 12.5),
        ('order_id="123"', ("order_id",), "123"),
        ("email=null", ("email",), None),
        ("items[0].quantity=2", ("items", 0, "quantity"), 2),
        ('items[1]={"sku": "MUG"}', ("items", 1), {"sku": "MUG"}),
        ("metadata.event_id=x=y", ("metadata", "event_id"), "x=y"),
    ],
)
def test_a_field_is_set_by_its_path(change: str, path: tuple[Any, ...], value: Any) -> None:
    found: Any = edit_fields(EVENT, [change], [])["detail"]
    for step in path:
        found = found[step]
    assert found == value
    assert EVENT["detail"]["currency"] == "usd", "the event itself stays as it was"


def test_a_field_of_the_envelope_is_set_by_its_name() -> None:
    assert edit_fields(EVENT, ["source=shop"], [])["source"] == "shop"


def test_a_field_is_removed() -> None:
    assert "total" not in edit_fields(EVENT, [], ["total"])["detail"]


@pytest.mark.parametrize(
    ("changes", "removed", "problem"),
    [
        (["currency"], [], "not of the form FIELD=VALUE"),
        (["=5"], [], "is no field"),
        (["a]b=5"], [], "is no field"),
        (["items[9].sku=TEA"], [], "there is no 9"),
        (["items.sku=TEA"], [], "there is no 'sku'"),
        (["currency.code=USD"], [], "there is no 'code'"),
        ([], ["never"], "there is no such field"),
    ],
)
def test_an_invalid_path_is_named(changes: list[str], removed: list[str], problem: str) -> None:
    with pytest.raises(InvalidEdit, match=problem):
        edit_fields(EVENT, changes, removed)


def test_an_event_that_is_no_json_can_only_be_replaced() -> None:
    assert event_in(quarantined("{not JSON")) == "{not JSON"
    with pytest.raises(InvalidEdit, match="--file"):
        edit_fields("{not JSON", ["currency=USD"], [])


def test_an_event_that_breaks_its_contract_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidEdit, match=r"detail\.currency"):
        require_contract(EVENT)
    assert require_contract(edit_fields(EVENT, ["currency=USD"], []))


@pytest.mark.parametrize("event", [None, 5, "text", [EVENT]])
def test_a_value_other_than_an_object_is_no_event(event: object) -> None:
    with pytest.raises(InvalidEdit, match="JSON object"):
        require_contract(event)


def test_an_edited_quarantined_event_keeps_its_reason_and_envelope() -> None:
    right = {"source": "orders.service", "detail-type": "Order Created", "detail": {}}
    body = with_event(quarantined(), right)
    assert body["consumer"] == "order_processing"
    assert body["event"] == {**right, "id": "e-1"}


def test_the_event_of_a_message_or_a_target_is_the_body() -> None:
    letter = {"id": 7, "queue": "TargetsDeadLetterQueue", "body": EVENT}
    assert event_in(letter) == EVENT
    assert with_event(letter, {**EVENT, "detail": {}})["detail"] == {}


@pytest.mark.parametrize(
    ("queue", "body", "why"),
    [
        ("AttentionQueue", {"consumer": "order_processing", "order_id": "A-1"}, "about an order"),
        ("ConfirmationsDeadLetterQueue", {"order_id": "A-1"}, "has no event"),
        ("SchedulesDeadLetterQueue", [1], "has no event"),
    ],
)
def test_a_dead_letter_without_an_event_cannot_be_edited(
    queue: str, body: object, why: str
) -> None:
    with pytest.raises(NothingToEdit, match=why):
        event_in({"id": 7, "queue": queue, "body": body})
