"""JSON for a person keeps every number as it was written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.views.exact_json import Change, changes, indented, read_exact, write_exact
from kernel.json_text import InvalidJSON

NUMBERS = '{"a": [1.10, 1e400, 123456789012345678901234567890, -0.0, 5E-3]}'


def test_numbers_are_written_as_they_were_read() -> None:
    text = indented(NUMBERS)
    for number in ("1.10", "1e400", "123456789012345678901234567890", "-0.0", "5E-3"):
        assert f"    {number}" in text
    assert len(indented("9" * 10_000)) == 10_000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_indented_text_has_the_same_value(value: object) -> None:
    assert json.loads(indented(json.dumps(value))) == value


@pytest.mark.parametrize("text", ["", "no JSON", "{", '{"a": 1} x'])
def test_a_text_that_is_no_json_is_unchanged(text: str) -> None:
    assert indented(text) == text


def test_a_text_that_is_nested_too_deep_is_refused_and_shown_as_it_is() -> None:
    with pytest.raises(InvalidJSON):
        read_exact("[" * 5_000)
    assert indented("[" * 5_000) == "[" * 5_000
    deep = "[" * 1_050 + "]" * 1_050
    assert json.loads(indented(deep)) == json.loads(deep)


def test_changes_name_each_changed_field() -> None:
    before = read_exact('{"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": null}')
    after = read_exact('{"a": 1.0, "b": {"c": [1, 3, 4], "d": "x"}, "f": true}')
    assert changes(before, after) == [
        Change("a", "1", "1.0"),
        Change("b.c[1]", "2", "3"),
        Change("b.c[2]", None, "4"),
        Change("e", "null", None),
        Change("f", None, "true"),
    ]


@given(VALUES)
def test_equal_values_have_no_changes(value: object) -> None:
    read = read_exact(json.dumps(value))
    assert changes(read, read_exact(write_exact(read))) == []
