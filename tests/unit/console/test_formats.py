"""Texts of the console for a person."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.console import formats
from infra.console.formats import ago, cause, label, masked, money, pretty, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "\N{EN DASH}"), (0.0421, "42 ms"), (1.24, "1.2 s"), (59, "59 s"), (119, "119 s"),
     (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_an_age_has_its_time_and_hostile_text_stays_text() -> None:
    assert 'datetime="1970-01-01T00:00:10.000Z"' in ago(10, 70)
    assert ">60 s ago<" in ago(10, 70)
    assert ">in 60 s<" in ago(70, 10)
    assert ago("<b>", 0) == "&lt;b&gt;"
    assert "<time" in ago("2026-01-31T12:00:00Z", 0)


def test_amounts_have_the_decimals_of_their_currency() -> None:
    assert money(1234.5, "GBP") == "1,234.50 GBP"
    assert money(1234.0, "JPY") == "1,234 JPY"
    assert money(None) == "\N{EN DASH}"


def test_names_become_words() -> None:
    assert [label(text) for text in ("OutOfStock", "STOCK_RESERVED", "x")] == [
        "Out of stock",
        "Stock reserved",
        "X",
    ]


def test_an_address_is_masked() -> None:
    assert masked("ada@example.com") == "a…@example.com"
    assert masked("nobody") == "n…"
    assert masked(None) == "\N{EN DASH}"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_pretty_json_is_the_same_json(value: object) -> None:
    assert json.loads(pretty(json.dumps([value]))) == [value]


def test_numbers_are_shown_as_they_were_written() -> None:
    assert "1.10" in pretty('{"a": 1.10, "b": 123456789012345678901234567890}')
    assert "123456789012345678901234567890" in pretty('{"b": 123456789012345678901234567890}')


@given(st.text())
def test_any_text_is_shown(text: str) -> None:
    assert isinstance(pretty("{" + text), str)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"errorMessage": "no such SKU", "errorType": "X", "stackTrace": ["..."]}', "no such SKU"),
        ("no JSON", "no JSON"),
        ('{"other": 1}', '{"other": 1}'),
        ('{"errorMessage": 1}', '{"errorMessage": 1}'),
        ("[1]", "[1]"),
        (None, ""),
    ],
)
def test_the_cause_of_a_functions_error_is_its_message(text: str | None, shown: str) -> None:
    assert cause(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see `orders list`", "see <code>orders list</code>"),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
        ("<i> `b` ` c", "&lt;i&gt; <code>b</code> ` c"),
        ("one ` alone", "one ` alone"),
        ("", ""),
    ],
)
def test_a_part_in_backticks_is_code_and_all_else_is_text(text: str, shown: str) -> None:
    assert formats.coded(text) == shown


def test_a_quoted_word_is_one_word_of_a_shell() -> None:
    assert [formats.quoted(each) for each in ("A-1", "it's", 7)] == ["A-1", "'it'\"'\"'s'", "7"]
