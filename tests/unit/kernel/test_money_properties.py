"""Properties of money: any input is an amount or refused; round trips change no amount."""

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernel.money import MAXIMUM, from_minor, text, to_minor
from tests.strategies import json_values

hundredths = st.integers(0, MAXIMUM)


@given(hundredths)
@example(MAXIMUM)
def test_an_amount_is_the_same_after_each_reader_and_writer_of_json(amount: int) -> None:
    number = from_minor(amount)
    assert to_minor(number) == amount
    assert to_minor(json.loads(json.dumps(number))) == amount
    assert to_minor(orjson.loads(orjson.dumps(number))) == amount
    assert to_minor(json.loads(text(amount))) == amount
    assert to_minor(Decimal(text(amount))) == amount


@given(st.lists(hundredths.map(lambda amount: amount // 1_000), max_size=98))
def test_a_sum_of_lines_is_exact(lines: list[int]) -> None:
    assert to_minor(from_minor(sum(lines))) == sum(lines)
    assert sum(to_minor(from_minor(line)) for line in lines) == sum(lines)


@given(
    json_values
    | st.floats()
    | st.integers()
    | st.decimals()
    | st.integers(-(10**30), 10**30).map(lambda number: Decimal(number).scaleb(-25))
)
@example(Decimal("sNaN"))
@example(Decimal("1e999999"))
@example(Decimal("-1e999999"))
@example(-(10**5_000))
@example(10**5_000)
@example(5e-324)
def test_any_value_is_an_amount_or_is_refused_with_a_reason(value: object) -> None:
    try:
        amount = to_minor(value)
    except ValueError as error:
        assert str(error)
        return
    assert type(amount) is int
    assert 0 <= amount <= MAXIMUM
    assert Decimal(amount) == Decimal(str(value)) * 100


@pytest.mark.parametrize("amount", [0, 1, 99, 100, MAXIMUM])
def test_an_amount_as_text_has_two_decimals(amount: int) -> None:
    assert len(text(amount).partition(".")[2]) == 2
