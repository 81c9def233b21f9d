"""The contracts of events: accepted values, error messages, and derived ids."""

import json
import re
from typing import Any

import pytest

from kernel.errors import InvalidEvent
from kernel.events import (
    CONTRACTS,
    MAX_LINES,
    REQUESTS,
    Address,
    Event,
    Item,
    Metadata,
    OrderBackordered,
    OrderCancellationConfirmed,
    OrderCancellationRefused,
    OrderCompleted,
    OrderCreated,
    OrderDetail,
    OrderFailed,
    OrderRejected,
    PaymentRefunded,
    RefusedField,
    Shortage,
    derived_event_id,
    parse,
    parse_detail,
    to_entry,
)
from kernel.idempotency import published_event_id
from kernel.money import WITHOUT_DECIMALS
from tests.fakes.events import ADDRESS, created, detail, envelope, read, with_total

TEA = {"sku": "TEA", "quantity": 1, "unit_price": 1}


def line(**fields: Any) -> dict[str, Any]:
    """Return an order of one line with these fields changed."""
    return {"items": [{**TEA, **fields}], "total": 1}


def lines(number: int) -> dict[str, Any]:
    return {"items": [TEA] * number, "total": number}


def test_an_event_needs_only_the_fields_of_the_order() -> None:
    event = parse(envelope())
    assert isinstance(event.detail, OrderCreated)
    assert event.name == "Order Created"
    assert event.detail.total == 3700
    assert event.detail.items == (
        Item(sku="TEA", quantity=2, unit_price=12.5),  # type: ignore[arg-type]
        Item(sku="CUP", quantity=1, unit_price=12),
    )
    assert [item.unit_price for item in event.detail.items] == [1250, 1200]
    optional = (event.detail.shipping_address, event.detail.email, event.detail.payment_token)
    assert optional == (None, None, None)


def test_unknown_fields_are_ignored() -> None:
    more = {"gift": True, "metadata": {"tenant": "x"}, "shipping_address": {**ADDRESS, "floor": 3}}
    event = created(**more)
    assert event.detail.shipping_address == Address(**ADDRESS)
    assert event.event_id == derived_event_id(event.detail)


@pytest.mark.parametrize(
    "fields",
    [
        line(quantity=1_000_000) | {"total": 1_000_000},
        line(quantity=1.0),
        lines(MAX_LINES),
        {"order_id": "a" * 64},
        {"order_id": "0.A_b-c"},
        {"timestamp": "2026-01-31T12:00:00.123456+05:30"},
        {"email": "ada@example.com", "shipping_address": ADDRESS, "payment_token": "t" * 200},
        {"email": None, "shipping_address": None, "payment_token": None, "metadata": None},
        {"metadata": {"schema_version": "1.9"}},
    ],
    ids=lambda fields: ", ".join(fields)[:40],
)
def test_values_at_the_limits_of_the_contract_are_accepted(fields: dict[str, Any]) -> None:
    created(**fields)


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"order_id": ...}, "order_id", "is missing; send it"),
        ({"order_id": ""}, "order_id", "at least 1 character"),
        ({"order_id": "a" * 65}, "order_id", "at most 64 characters"),
        ({"order_id": "a b"}, "order_id", "'a b': use letters, digits, '.', '_' and '-'"),
        ({"order_id": "-a"}, "order_id", "beginning with a letter or digit"),
        ({"order_id": "a\n"}, "order_id", "use letters"),
        ({"order_id": 5}, "order_id", "is not text; send text"),
        ({"customer_id": ...}, "customer_id", "is missing; send it"),
        ({"customer_id": "a/b"}, "customer_id", "use letters, digits"),
        ({"currency": ...}, "currency", "is missing; send it"),
        ({"currency": "XXX"}, "currency", "'XXX' is not a supported ISO 4217 code; send one such"),
        ({"currency": "eur"}, "currency", "'eur' is not a supported ISO 4217 code"),
        ({"currency": 978}, "currency", "is not text"),
        ({"timestamp": ...}, "timestamp", "is missing; send it"),
        ({"timestamp": "yesterday"}, "timestamp", "'yesterday' is not an RFC 3339 time"),
        ({"timestamp": "2026-01-31T12:00:00"}, "timestamp", "send one with its zone"),
        ({"timestamp": 1_770_000_000}, "timestamp", "is not text"),
        ({"timestamp": "2026-02-30T12:00:00Z"}, "timestamp", "is not a calendar day"),
        ({"timestamp": "2026-01-31T24:00:00Z"}, "timestamp", "is not an RFC 3339 time"),
        ({"timestamp": "0000-01-01T00:00:00Z"}, "timestamp", "from year 1 to 9999"),
        (
            {"timestamp": "0001-01-01T00:00:00+14:00"},
            "timestamp",
            "is outside the years 1 to 9999 in UTC",
        ),
        (
            {"timestamp": "9999-12-31T23:59:59-14:00"},
            "timestamp",
            "is outside the years 1 to 9999 in UTC",
        ),
        ({"timestamp": "2026-06-30T12:00:60Z"}, "timestamp", "has a second 60; a leap second is"),
        ({"timestamp": "x" * 5_000}, "timestamp", "at most 40 characters"),
        ({"currency": "KWD"}, "currency", "'KWD' is not supported, since its amounts have three"),
        (
            line(unit_price=12.34) | {"currency": "JPY", "total": 12.34},
            "items[0].unit_price",
            "12.34 has decimals, and JPY has none; send a whole number",
        ),
        (
            {
                "currency": "KRW",
                "items": [
                    {"sku": "TEA", "quantity": 1, "unit_price": 500},
                    {"sku": "CUP", "quantity": 2, "unit_price": 0.5},
                ],
                "total": 501,
            },
            "items[1].unit_price",
            "0.50 has decimals, and KRW has none",
        ),
        ({"items": ...}, "items", "is missing; send it"),
        ({"items": []}, "items", "has no entry; send at least one"),
        ({"items": {}}, "items", "is not a list; send one"),
        ({"items": ["TEA"]}, "items[0]", "is not a JSON object; send one"),
        (lines(MAX_LINES + 1), "items", "has 99 entries; at most 98 are taken"),
        (lines(10_000), "items", "has 10000 entries; at most 98 are taken"),
        (line(sku="green tea"), "items[0].sku", "'green tea': use letters"),
        (line(quantity=0), "items[0].quantity", "0: input should be greater than or equal to 1"),
        (line(quantity=-1), "items[0].quantity", "-1: input should be greater"),
        (line(quantity=1.5), "items[0].quantity", "1.5 is not a whole number; send one such as 3"),
        (line(quantity="3"), "items[0].quantity", "'3' is not a whole number"),
        (line(quantity=True), "items[0].quantity", "True is not a whole number"),
        (line(quantity=float("inf")), "items[0].quantity", "inf is not a whole number"),
        (line(quantity=1_000_001), "items[0].quantity", "less than or equal to 1000000"),
        (line(quantity=10**400), "items[0].quantity", "...: input should be less than"),
        (line(unit_price=1.005), "items[0].unit_price", "1.005 has more than two decimals"),
        (line(unit_price=-1), "items[0].unit_price", "-1 is negative"),
        (line(unit_price="1"), "items[0].unit_price", "'1' is not a number"),
        ({"total": ...}, "total", "is missing; send it"),
        ({"total": 36.99}, "total", "36.99 is not the sum of the lines, which is 37.00"),
        ({"total": 37.01}, "total", "37.01 is not the sum of the lines, which is 37.00"),
        (line(unit_price=0) | {"total": 0}, "total", "0 cannot be charged"),
        ({"email": "ada"}, "email", "'ada': is not an e-mail address; send one such as"),
        ({"email": "ada@localhost"}, "email", "is not an e-mail address"),
        ({"email": "a b@example.com"}, "email", "is not an e-mail address"),
        ({"shipping_address": "Bath"}, "shipping_address", "is not a JSON object"),
        ({"shipping_address": {**ADDRESS, "city": ""}}, "shipping_address.city", "at least 1"),
        ({"payment_token": "t" * 201}, "payment_token", "at most 200 characters"),
        ({"metadata": "x"}, "metadata", "is not a JSON object"),
        ({"metadata": {"event_id": ""}}, "metadata.event_id", "at least 1 character"),
        ({"metadata": {"schema_version": "one"}}, "metadata.schema_version", "'one'"),
        (
            {"metadata": {"schema_version": "2.0"}},
            "metadata.schema_version",
            "2.0 is newer than 1.1, which is understood here",
        ),
    ],
)
def test_a_contract_violation_names_the_field_and_the_problem(
    fields: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(InvalidEvent, match=re.escape(problem)) as refused:
        created(**fields)
    assert refused.value.field == f"detail.{field}"
    assert str(refused.value) == f"{refused.value.field}: {refused.value.problem}"
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "written", ["20260131T120000Z", "2026-01-31 12:00+01:00", "2026-W05-6T12Z"]
)
def test_a_time_of_another_form_than_rfc_3339_is_refused(written: str) -> None:
    with pytest.raises(InvalidEvent):
        created(timestamp=written)


def test_the_first_of_several_problems_is_shown_and_the_others_are_counted() -> None:
    with pytest.raises(
        InvalidEvent, match=r"^detail.order_id: is missing; send it \(and 2 more\)$"
    ):
        created(order_id=..., currency="XXX", email="ada")


def test_every_problem_has_its_field_and_its_way_out() -> None:
    with pytest.raises(InvalidEvent) as refused:
        created(order_id=..., currency="XXX", email="ada")
    assert [field for field, _ in refused.value.problems] == [
        "detail.order_id",
        "detail.currency",
        "detail.email",
    ]
    assert all("send" in problem for _, problem in refused.value.problems)


def test_an_event_of_another_source_shows_the_problems_of_its_detail_too() -> None:
    detail_without_total = {key: value for key, value in detail().items() if key != "total"}
    with pytest.raises(InvalidEvent) as refused:
        parse(envelope() | {"source": "shop", "detail": detail_without_total})
    assert [field for field, _ in refused.value.problems] == ["source", "detail.total"]


def test_an_invalid_line_is_one_problem() -> None:
    with pytest.raises(InvalidEvent, match=r"'3' is not a whole number; send one such as 3$"):
        created(**line(quantity="3"))


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidEvent, match=r"'x{76}\.\.\.: "):
        created(order_id="x" * 500)


@pytest.mark.parametrize("given", [None, 5, "text", [1]])
def test_a_detail_other_than_an_object_is_refused(given: object) -> None:
    with pytest.raises(InvalidEvent, match=r"^detail: is not a JSON object; send one$"):
        parse_detail(OrderCreated, given)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"currency": "XXX"}, "currency: 'XXX'"),
        (line(quantity=0), "items[0].quantity: 0"),
        ({"metadata": {"schema_version": "2.0"}}, "metadata.schema_version: 2.0"),
    ],
)
def test_a_field_is_named_as_its_sender_knows_it(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=f"^{re.escape(message)}"):
        parse_detail(OrderCreated, detail(**fields), at="")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "elsewhere"}, "source: 'elsewhere' is not 'orders.service'"),
        ({"source": None}, "source: None is not"),
        ({"detail-type": "Order Eaten"}, "detail-type: 'Order Eaten' is unknown; known: Order C"),
        ({"detail-type": None}, "detail-type: None is unknown"),
        ({"detail-type": ["Order Created"]}, "detail-type: ['Order Created'] is unknown"),
        ({"detail": None}, "detail: is not a JSON object"),
    ],
)
def test_an_envelope_of_another_source_or_type_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidEvent, match=f"^{re.escape(message)}"):
        parse(envelope() | change)


@pytest.mark.parametrize("written", ["2026-01-31t12:00:00z", "2016-12-31T23:59:60Z"])
def test_a_time_may_have_small_letters_or_a_leap_second(written: str) -> None:
    assert created(timestamp=written).detail.timestamp == written


@pytest.mark.parametrize("currency", sorted(WITHOUT_DECIMALS))
def test_integer_amounts_of_a_currency_without_decimals_are_accepted(currency: str) -> None:
    for price in (500, 500.0, 500.00):
        event = created(**line(unit_price=price) | {"currency": currency, "total": price})
        assert event.detail.total == 50_000


BLANK = [" ", "\t \n", "\u200b", "\u00a0\u2003", "\x00\x1b", "\u3164", "\u2800", "\u0301", "\ufeff"]


@pytest.mark.parametrize("blank", BLANK)
@pytest.mark.parametrize(
    "field",
    [
        *(f"shipping_address.{name}" for name in ("name", "street", "city", "country", "region")),
        "shipping_address.postal_code",
        "metadata.event_id",
        "payment_token",
        "order_id",
        "customer_id",
        "items[0].sku",
        "email",
    ],
)
def test_text_without_a_visible_character_is_refused_by_field(field: str, blank: str) -> None:
    holder, _, name = field.rpartition(".")
    fields: dict[str, dict[str, Any]] = {
        "": {name: blank},
        "shipping_address": {"shipping_address": {**ADDRESS, name: blank}},
        "metadata": {"metadata": {name: blank}},
        "items[0]": line(sku=blank),
    }
    with pytest.raises(InvalidEvent) as refused:
        created(**fields[holder])
    assert refused.value.field == f"detail.{field}"


@pytest.mark.parametrize("text", ["-", "é", "日", "\U0001f600", "\u0627", "a\u200b", "\x00b", "."])
def test_text_with_a_visible_character_is_accepted_unchanged(text: str) -> None:
    event = created(shipping_address={**ADDRESS, "region": text, "name": text})
    assert event.detail.address is not None
    assert (event.detail.address["region"], event.detail.address["name"]) == (text, text)


@pytest.mark.parametrize("blank", ["", *BLANK])
def test_a_blank_reason_or_origin_is_none(blank: str) -> None:
    """A cancellation is valid without a reason."""
    cancelled: Any = parse(envelope("Order Cancelled", reason=blank)).detail
    assert cancelled.reason is None
    names = ("correlation_id", "causation_id", "idempotency_key")
    event = created(metadata={"event_id": "event-1", **dict.fromkeys(names, blank)})
    assert event.correlation_id == "event-1"


def test_an_update_needs_at_least_one_field() -> None:
    with pytest.raises(InvalidEvent, match=r"^detail\.email: nothing to change; send"):
        parse(envelope("Order Updated", email=None))
    parse(envelope("Order Updated"))
    parse(envelope("Order Updated", email=None, shipping_address=ADDRESS))


def test_a_reason_to_cancel_is_optional_and_short() -> None:
    parse(envelope("Order Cancelled", reason="r" * 500))
    with pytest.raises(InvalidEvent, match=r"^detail\.reason: .* at most 500 characters"):
        parse(envelope("Order Cancelled", reason="r" * 501))


@pytest.mark.parametrize(
    ("written", "hundredths"),
    [
        ("999.99", 99_999),
        ("1000", 100_000),
        ("1000.00", 100_000),
        ("1e3", 100_000),
        ("1000.01", 100_001),
        ("999.995", "999.995 has more than two decimals"),
        ("NaN", "nan is not a finite number"),
        ("Infinity", "inf is not a finite number"),
        ("1e400", "inf is not a finite number"),
        ("-1000", "-1000 is negative"),
        ('"1000"', "'1000' is not a number"),
        ("true", "True is not a number"),
        ("null", "None is not a number"),
        ("1000000000", "1000000000 is larger than 999999999.99"),
        ("1" + "0" * 400, "is larger than 999999999.99"),
    ],
)
def test_a_total_is_read_exactly_or_refused(written: str, hundredths: int | str) -> None:
    if isinstance(hundredths, int):
        event = parse(with_total(written))
        assert isinstance(event.detail, OrderCreated)
        assert event.detail.total == hundredths
    else:
        with pytest.raises(InvalidEvent, match=re.escape(hundredths)) as refused:
            parse(with_total(written))
        assert refused.value.field == "detail.items[0].unit_price"


@pytest.mark.parametrize(
    ("written", "problem"), [("999.995", "more than two decimals"), ("NaN", "not a finite number")]
)
def test_an_invalid_total_is_named_in_the_error(written: str, problem: str) -> None:
    body = envelope()
    body["detail"]["total"] = json.loads(written)
    with pytest.raises(InvalidEvent, match=rf"^detail\.total: .*{problem}"):
        parse(body)


SAME: list[dict[str, Any]] = [
    {},
    {"total": 37.0},
    {"timestamp": "2027-01-01T00:00:00Z"},
    {"payment_token": "tok_other"},
    {"metadata": {"event_id": "another", "correlation_id": "another"}},
    {"gift": True},
    {"email": None},
]
OTHER: list[dict[str, Any]] = [
    {"customer_id": "C-43"},
    {"currency": "USD"},
    {"email": "ada@example.com"},
    {"shipping_address": ADDRESS},
    {"items": [{"sku": "TEA", "quantity": 1, "unit_price": 37}]},
    {"items": [{"sku": "CUP", "quantity": 1, "unit_price": 37}]},
    {"items": [{"sku": "TEA", "quantity": 37, "unit_price": 1}]},
]


@pytest.mark.parametrize("fields", SAME, ids=str)
def test_an_order_has_one_content_hash_with_any_metadata(fields: Any) -> None:
    assert created(**fields).detail.content_hash == created().detail.content_hash


def test_other_content_has_another_hash() -> None:
    hashes = [created(**fields).detail.content_hash for fields in [{}, *OTHER]]
    assert len(set(hashes)) == len(OTHER) + 1


def test_spellings_of_one_amount_have_one_content_hash() -> None:
    integer, decimal = (parse(with_total(written)).detail for written in ("440", "440.00"))
    assert isinstance(integer, OrderCreated)
    assert isinstance(decimal, OrderCreated)
    assert integer.content_hash == decimal.content_hash
    assert derived_event_id(integer) == derived_event_id(decimal)


def test_hashes_and_ids_are_stable_across_releases() -> None:
    """Records keep them for years: a replayed order must then have the same ids."""
    address = {**ADDRESS, "region": "Somerset", "postal_code": "BA1 1AA"}
    event = created(email="ada@example.com", shipping_address=address)
    assert event.detail.content_hash == (
        "ad4971e1673a710979f8a8eaedf6aca2bd5b2e13802fd510b640eda0b5f2c101"
    )
    assert event.event_id == "fdbd3847-8dbd-509e-86ed-500b16737062"
    assert published_event_id("A-1", "Order Completed", 7) == "6bdd8a0c-8ab9-53bb-899f-4b7a7cf88b60"


def test_a_new_optional_field_of_the_contract_leaves_known_orders_the_same() -> None:
    class NextRelease(OrderCreated):
        gift_note: str | None = None

    event = parse_detail(NextRelease, detail())
    assert event.event_id == created().event_id
    assert event.detail.content_hash == created().detail.content_hash


def test_a_publishers_retry_is_the_same_event() -> None:
    assert created().event_id == created().event_id
    assert created(email=None, metadata={"schema_version": "1.0"}).event_id == created().event_id


@pytest.mark.parametrize(
    "fields", [*OTHER, {"order_id": "A-2"}, {"timestamp": "2027-01-01T00:00:00Z"}]
)
def test_other_content_is_another_event(fields: Any) -> None:
    assert created(**fields).event_id != created().event_id


def test_another_detail_type_is_another_event() -> None:
    update, cancel = (
        parse(envelope(name)).event_id for name in ("Order Updated", "Order Cancelled")
    )
    assert update != cancel


def test_a_publishers_own_ids_are_used() -> None:
    event = created(metadata={"event_id": "mine", "correlation_id": "request-7"})
    assert (event.event_id, event.correlation_id) == ("mine", "request-7")


def test_without_a_correlation_id_the_event_id_is_the_correlation_id() -> None:
    assert created().correlation_id == created().event_id
    assert created(metadata={"event_id": "mine"}).correlation_id == "mine"


def test_a_published_events_id_follows_from_order_name_and_version() -> None:
    ids = {
        published_event_id(order_id, name, version)
        for order_id in ("A-1", "A-2")
        for name in ("Order Completed", "Order Failed")
        for version in (7, 8)
    }
    assert len(ids) == 8


WHOLE: dict[str, Any] = {
    "order_id": "A-1",
    "timestamp": "2026-01-31T12:00:00Z",
    "metadata": Metadata(event_id="event-9", schema_version="1.0"),
}
ORDER: dict[str, Any] = WHOLE | {
    "customer_id": "C-42",
    "currency": "EUR",
    "items": (Item.model_construct(sku="TEA", quantity=2, unit_price=1850),),
    "total": 3700,
}


@pytest.mark.parametrize(
    "published",
    [
        OrderCreated.model_construct(**ORDER, email="ada@example.com"),
        OrderBackordered.model_construct(
            **ORDER, missing=(Shortage(sku="TEA", requested=2, available=1),)
        ),
        OrderCompleted.model_construct(
            **ORDER, charge_id="c", shipment_id="s", tracking_number="t"
        ),
        OrderFailed.model_construct(**ORDER, reason="PaymentDeclined", message="declined"),
        OrderCancellationConfirmed.model_construct(**ORDER, reason=None),
        OrderCancellationRefused.model_construct(**WHOLE, reason="too late"),
        OrderRejected.model_construct(
            **WHOLE,
            rejected_event_id="e-1",
            rejected_event_type="Order Created",
            reason="InvalidEvent",
            problems=(RefusedField(field="detail.total", problem="is missing; send it"),),
            problem_count=1,
        ),
        PaymentRefunded.model_construct(
            **WHOLE,
            customer_id="C",
            currency="EUR",
            amount=3700,
            charge_id="c",
            reason="OutOfStock",
        ),
    ],
    ids=lambda published: published.name,
)
def test_a_published_event_is_parsed_without_a_change(published: OrderDetail) -> None:
    entry = to_entry(published)
    assert (entry["Source"], entry["DetailType"]) == ("orders.service", published.name)
    assert "null" not in entry["Detail"]
    event: Event[Any] = read(entry)
    assert event.event_id == "event-9"
    assert event.detail.model_dump() == published.model_dump()


def test_money_is_a_json_number_outside() -> None:
    body = json.loads(to_entry(OrderCreated.model_construct(**ORDER))["Detail"])
    assert body["total"] == 37.0
    assert body["items"] == [{"sku": "TEA", "quantity": 2, "unit_price": 18.5}]


def test_requests_come_from_upstream_and_all_other_events_from_the_platform() -> None:
    assert {"Order Created", "Order Updated", "Order Cancelled"} == REQUESTS
    assert set(CONTRACTS) - REQUESTS == {
        "Order Backordered",
        "Order Completed",
        "Order Failed",
        "Order Cancellation Confirmed",
        "Order Cancellation Refused",
        "Order Rejected",
        "Payment Refunded",
        "High Value Order Flagged",
    }
