"""Personal data is masked in JSON of any shape, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.views.exact_json import Change, read_exact, write_exact
from infra.views.personal import (
    is_personal,
    masked,
    masked_change,
    masked_line,
    masked_text,
    without_mail,
)

ADDRESS = {"name": "Ada Lovelace", "street": "St James's Square 12", "city": "London"}
SECRETS = ("Lovelace", "James", "tok_visa", "ada@")


def event(**detail: Any) -> str:
    return json.dumps({"detail-type": "Order Created", "detail": {"order_id": "A-1", **detail}})


@pytest.mark.parametrize(
    "detail",
    [
        {"email": "ada@example.com"},
        {"shipping_address": ADDRESS},
        {"shippingAddress": ADDRESS, "paymentToken": "tok_visa"},
        {"payment_token": "tok_visa"},
        {"note": "please write to ada@example.com"},
        {"customers": [{"billing-address": ADDRESS}]},
        {"event": {"detail": {"email": "ada@example.com"}}},
        {"body": json.dumps({"email": "ada@example.com", "address": ADDRESS})},
        {"body": json.dumps({"body": json.dumps({"shipping_address": ADDRESS})})},
    ],
)
def test_personal_data_is_masked_wherever_it_is(detail: dict[str, Any]) -> None:
    for text in (masked_text(event(**detail)), masked_line(event(**detail))):
        assert not [secret for secret in SECRETS if secret in text], text
        assert "A-1" in text
    assert is_personal(json.loads(event(**detail)))


def test_city_and_country_and_the_domain_of_a_mail_stay() -> None:
    text = masked_text(
        event(email="ada@example.com", shipping_address={**ADDRESS, "country": "GB"})
    )
    for kept in ("London", "GB", "a…@example.com", "A…", "S…"):
        assert kept in text


def test_numbers_stay_as_they_were_written() -> None:
    text = '{"total": 12.50, "big": 123456789012345678901234567890, "email": "ada@example.com"}'
    assert "12.50" in masked_text(text)
    assert "123456789012345678901234567890" in masked_text(text)
    assert "12.50" in masked_line(text)


def test_a_number_in_a_masked_field_is_masked() -> None:
    assert masked({"phone": 4412345, "address": {"zip": 8001, "city": "Bern"}}) == {
        "phone": "…",
        "address": {"zip": "…", "city": "Bern"},
    }


def test_a_text_that_is_no_json_loses_its_addresses_alone() -> None:
    assert masked_text("not { json, ada@example.com!") == "not { json, a…@example.com!"
    assert without_mail("nothing here, 2 @ 3") == "nothing here, 2 @ 3"


@pytest.mark.parametrize(
    ("path", "before", "hidden"),
    [
        ("detail.email", '"ada@example.com"', True),
        ("detail.shipping_address.street", '"St James 12"', True),
        ("$.order.shipping_address.name", '"Ada"', True),
        ("detail.shipping_address.city", '"London"', False),
        ("detail.currency", '"EURO"', False),
        ("detail.items[0].name", '"Tea"', False),
        ("detail.shipping_address", json.dumps(ADDRESS), True),
    ],
)
def test_a_changed_field_is_masked_by_its_path(path: str, before: str, *, hidden: bool) -> None:
    change = masked_change(Change(path, before, None))
    assert (change.before != before, change.after) == (hidden, None)
    assert "Lovelace" not in str(change.before)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["email", "a", "address", "name", "body"]) | st.text(), inner
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_masking_never_fails_and_masks_once(value: Any) -> None:
    exact = read_exact(json.dumps(value))
    once = masked(exact)
    assert masked_text(json.dumps(value)) == write_exact(once)
    assert type(once) is type(exact)
