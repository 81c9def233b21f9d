"""Properties of events: a round trip changes nothing; any input is an event or is refused."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernel.errors import InvalidEvent
from kernel.events import (
    CONTRACTS,
    SOURCE,
    Detail,
    Event,
    OrderCreated,
    OrderDetail,
    parse,
    parse_detail,
    to_entry,
)
from kernel.money import CURRENCIES, WITHOUT_DECIMALS, from_minor
from tests.strategies import damaged, json_values

FEWER = max(settings().max_examples // len(CONTRACTS), 10)
"""Examples of each contract, as many as other tests have in all."""

identifiers = st.builds("{}{}".format, st.sampled_from("aZ9"), st.text("aZ9._-", max_size=8))
words = st.builds(
    "{}{}{}".format,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    st.sampled_from("aÄ日-"),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)
emails = st.builds(
    "{}@{}.example".format,
    st.text("az-+", min_size=1, max_size=6),
    st.from_regex(r"[azé]{1,5}", fullmatch=True),
)
moments = st.builds(
    lambda moment, zone: moment.isoformat() + zone,
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - its zone is added
    st.sampled_from(["Z", "+05:30", "-11:00"]),
)
addresses = st.fixed_dictionaries(
    {"name": words, "street": words, "city": words, "country": words},
    optional={"region": words | st.none(), "postal_code": words},
)
metadata = st.fixed_dictionaries(
    {},
    optional={
        "event_id": words,
        "schema_version": st.sampled_from(["1.0", "1.7", "0.9"]),
        "correlation_id": words | st.none(),
        "causation_id": words,
        "idempotency_key": words,
        "unknown": json_values,
    },
)
amounts = st.integers(0, 10_000_000).map(from_minor)
lines = st.lists(
    st.tuples(identifiers, st.integers(1, 1_000), st.integers(0, 1_000_000)),
    min_size=1,
    max_size=4,
).filter(lambda chosen: any(price for _, _, price in chosen))
shortages = st.fixed_dictionaries(
    {"sku": identifiers, "requested": st.integers(1, 99), "available": st.integers(0, 98)}
)

REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "order_id": identifiers,
    "timestamp": moments,
    "customer_id": identifiers,
    "currency": st.sampled_from(sorted(CURRENCIES)),
    "amount": amounts,
    "total": amounts,
    "threshold": amounts,
    "missing": st.lists(shortages, max_size=2),
    "reason": words,
    "message": words,
    "charge_id": words,
    "shipment_id": words,
    "tracking_number": words,
    "rejected_event_id": words,
    "problems": st.lists(st.fixed_dictionaries({"field": words, "problem": words}), min_size=1),
    "problem_count": st.integers(1, 9_999),
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "metadata": metadata | st.none(),
    "shipping_address": addresses,
    "email": emails,
    "payment_token": words | st.none(),
    "reason": words,
    "order_id": identifiers,
    "rejected_event_type": st.sampled_from(["Order Created", "Order Updated"]),
}


@st.composite
def details(draw: st.DrawFn, contract: type[Detail]) -> dict[str, Any]:
    """Return a detail that conforms to its contract."""
    fields = contract.model_fields
    required = {
        name: REQUIRED[name] for name in fields if fields[name].is_required() and name != "items"
    }
    optional = {name: OPTIONAL[name] for name in fields if not fields[name].is_required()}
    detail = draw(st.fixed_dictionaries(required, optional=optional))
    if contract.name == "Order Updated":
        detail.setdefault("email", "ada@example.com")
    if issubclass(contract, OrderDetail):
        chosen = draw(lines)
        if detail["currency"] in WITHOUT_DECIMALS:
            chosen = [(sku, quantity, price // 100 * 100 + 100) for sku, quantity, price in chosen]
        detail["items"] = [
            {"sku": sku, "quantity": quantity, "unit_price": from_minor(price)}
            for sku, quantity, price in chosen
        ]
        detail["total"] = from_minor(sum(quantity * price for _, quantity, price in chosen))
    return detail


def sent(detail: Detail) -> Event[Detail]:
    """Return a detail after a round trip over the bus."""
    entry = to_entry(detail)
    return parse(
        {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
    )


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=FEWER)
@given(data=st.data())
def test_a_sent_event_is_parsed_unchanged_and_has_the_same_id(
    name: str, data: st.DataObject
) -> None:
    event = parse_detail(CONTRACTS[name], data.draw(details(CONTRACTS[name])))
    again = sent(event.detail)
    assert again == event
    assert sent(again.detail) == again


@given(
    details(OrderCreated), st.sampled_from(["timestamp", "payment_token", "metadata", "unknown"])
)
def test_the_content_hash_depends_on_the_ordered_content_only(
    detail: dict[str, Any], changed: str
) -> None:
    other = {"timestamp": "2026-01-31T12:00:00Z", "payment_token": "tok", "unknown": [1]}
    first = parse_detail(OrderCreated, detail)
    second = parse_detail(OrderCreated, {**detail, changed: other.get(changed)})
    assert first.detail.content_hash == second.detail.content_hash
    more = {**detail, "customer_id": detail["customer_id"][:60] + "-2"}
    assert parse_detail(OrderCreated, more).detail.content_hash != first.detail.content_hash


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=FEWER)
@given(data=st.data())
def test_a_damaged_event_is_valid_or_refused_with_its_field(name: str, data: st.DataObject) -> None:
    detail = data.draw(damaged(details(CONTRACTS[name])))
    try:
        parse({"source": SOURCE, "detail-type": name, "detail": detail})
    except InvalidEvent as error:
        assert error.field.startswith("detail")
        assert error.problem


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "source": st.just(SOURCE) | json_values,
            "detail-type": st.sampled_from(list(CONTRACTS)) | json_values,
            "detail": json_values,
        },
    )
)
@example({"source": SOURCE, "detail-type": [], "detail": {}})
def test_any_json_is_refused_with_its_field(envelope: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse(envelope)
    assert refused.value.field.partition(".")[0] in ("source", "detail-type", "detail")
