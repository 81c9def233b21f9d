"""Money is hundredths inside and a JSON number with at most two decimals outside."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import (
    CURRENCIES,
    MAXIMUM,
    WITH_THREE_DECIMALS,
    WITHOUT_DECIMALS,
    from_minor,
    smallest_units,
    text,
    to_minor,
)


@pytest.mark.parametrize(
    ("number", "hundredths"),
    [
        (0, 0),
        (-0.0, 0),
        (0.01, 1),
        (0.29, 29),  # 0.29 * 100 is 28.999...
        (19.99, 1_999),
        (440, 44_000),
        (440.0, 44_000),
        (1e2, 10_000),
        (999.99, 99_999),
        (1000, 100_000),
        (1000.00, 100_000),
        (1_265_811.86, 126_581_186),
        (Decimal("12.50"), 1_250),
        (Decimal("12.500"), 1_250),
        (999_999_999.99, MAXIMUM),
    ],
)
def test_a_json_number_is_read_exactly(number: float | Decimal, hundredths: int) -> None:
    assert to_minor(number) == hundredths
    assert type(to_minor(number)) is int


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("19.99", "'19.99' is not a number; send an amount such as 19.99"),
        (None, "None is not a number"),
        (True, "True is not a number"),
        ([1], "is not a number"),
        (float("nan"), "nan is not a finite number"),
        (float("inf"), "inf is not a finite number"),
        (float("-inf"), "is not a finite number"),
        (1e400, "inf is not a finite number"),
        (999.995, "999.995 has more than two decimals; round it to cents"),
        (0.001, "more than two decimals"),
        (0.1 + 0.2, "more than two decimals"),
        (-0.01, "-0.01 is negative; amounts are 0 or more"),
        (-1, "negative"),
        (1_000_000_000, "1000000000 is larger than 999999999.99"),
        (1_000_000_000.00, "larger than 999999999.99"),
        (1e300, "larger than 999999999.99"),
        (10**400, "larger than 999999999.99"),
    ],
)
def test_an_invalid_amount_is_refused_and_named(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        to_minor(value)


@given(st.integers(0, MAXIMUM))
def test_every_amount_survives_a_round_trip(hundredths: int) -> None:
    assert to_minor(from_minor(hundredths)) == hundredths
    assert to_minor(float(text(hundredths))) == hundredths


@pytest.mark.parametrize(
    ("hundredths", "shown"),
    [(0, "0.00"), (5, "0.05"), (50, "0.50"), (100, "1.00"), (126_581_186, "1265811.86")],
)
def test_an_amount_is_shown_with_two_decimals(hundredths: int, shown: str) -> None:
    assert text(hundredths) == shown


def test_a_currency_of_more_than_two_decimals_is_not_supported() -> None:
    assert {"USD", "EUR", "GBP", "JPY", "CHF"} <= CURRENCIES
    assert not (WITH_THREE_DECIMALS | {"XXX", "XTS"}) & CURRENCIES
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)


@pytest.mark.parametrize(
    ("hundredths", "currency", "shown"),
    [
        (50_000, "JPY", "500"),
        (0, "KRW", "0"),
        (50_000, "USD", "500.00"),
        (50_005, "EUR", "500.05"),
        (1_234, "JPY", "12.34"),  # as contracts of before took it
    ],
)
def test_an_amount_is_shown_with_the_decimals_of_its_currency(
    hundredths: int, currency: str, shown: str
) -> None:
    assert text(hundredths, currency) == shown


@pytest.mark.parametrize("currency", sorted(WITHOUT_DECIMALS))
def test_a_currency_without_decimals_is_counted_in_whole_units(currency: str) -> None:
    assert currency in CURRENCIES
    assert smallest_units(123_400, currency) == 1_234
    with pytest.raises(ValueError, match=f"12.34 has decimals, and {currency} has none"):
        smallest_units(1_234, currency)


def test_any_other_currency_is_counted_in_hundredths() -> None:
    assert {smallest_units(1_234, one) for one in CURRENCIES - WITHOUT_DECIMALS} == {1_234}
