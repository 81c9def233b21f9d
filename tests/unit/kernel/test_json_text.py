"""JSON text: limits of the input, and round trips of every accepted value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import json_text
from kernel.json_text import MAX_DEPTH, InvalidJSON

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**308), 10**308),
    st.floats(allow_nan=False, allow_infinity=False),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int, opening: str = '{"a":', closing: str = "}") -> str:
    return opening * levels + "1" + closing * levels


@pytest.fixture(params=["orjson", "standard library"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with each library: Lambda's layer has only the standard one."""
    if request.param != "orjson":
        monkeypatch.setattr(json_text, "_quick", json_text._Standard)  # noqa: SLF001
    return str(request.param)


@given(VALUES)
def test_written_text_is_read_and_parsed_unchanged(value: Any) -> None:
    text = json_text.write(value)
    assert json_text.parse(text) == json_text.read(text) == json_text.read(text.decode()) == value


@given(VALUES)
def test_both_libraries_read_the_same(value: Any) -> None:
    text = json.dumps(value)
    by_orjson = json_text.read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_quick", json_text._Standard)  # noqa: SLF001
        assert json_text.read(text) == by_orjson


@pytest.mark.parametrize("levels", [1, 252, 255, MAX_DEPTH])
@pytest.mark.parametrize("brackets", [('{"a":', "}"), ("[", "]")])
def test_nesting_up_to_the_limit_is_read_and_written(
    reader: str, levels: int, brackets: tuple[str, str]
) -> None:
    text = nested(levels, *brackets)
    value = json_text.read(text)
    assert json_text.write(value) == text.encode()
    assert json_text.parse(text) == value
    assert (
        json_text.parse(json_text.write({"event": {"detail": value}}))["event"]["detail"] == value
    )


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_deeper_nesting_is_refused(reader: str, levels: int) -> None:
    with pytest.raises(InvalidJSON, match="1000 levels"):
        json_text.read(nested(levels))


@pytest.mark.parametrize("levels", [0, 1, 5])
@pytest.mark.parametrize("brackets", [('{"a":', "}"), ("[", "]")])
def test_the_levels_of_a_value_are_those_of_its_text(
    levels: int, brackets: tuple[str, str]
) -> None:
    text = nested(levels, *brackets)
    value = json.loads(text)
    for most in range(7):
        deeper = json_text.is_nested_deeper([0, value, {}], most + 1)
        assert deeper is json_text.is_too_deep(f"[0, {text}, {{}}]", most + 1)
        assert json_text.is_nested_deeper(value, most) is (levels > most)


def test_a_value_that_contains_itself_or_repeats_another_is_measured_quickly() -> None:
    held: list[Any] = []
    held.append(held)
    assert json_text.is_nested_deeper(held)
    shared: Any = 1
    for _ in range(500):
        shared = [shared, shared, {"a": shared}]  # 3 ** 500 values as text
    assert json_text.is_nested_deeper(shared, 999)
    assert not json_text.is_nested_deeper(shared, 1_000)


def test_brackets_in_strings_are_not_nesting(reader: str) -> None:
    text = json.dumps({"a": '[{"' * 2_000, "b": ["\\", "]"]})
    assert json_text.read(text)["b"] == ["\\", "]"]


def test_sibling_lists_are_not_nested(reader: str) -> None:
    assert json_text.read(json.dumps([[]] * 5_000)) == [[]] * 5_000


@pytest.mark.parametrize(
    "text",
    ["", "{", "nul", "NaN", "[Infinity]", "-Infinity", "1e400", "-1e400", "9" * 400, "9" * 5_000]
    + ["[1,]", '"\\ud800"', '{"a": "\\udfff"}', "\ud800", '"\t"', b"\xff", "01", "\ufeff1"],
)
def test_text_that_is_not_json_is_refused(reader: str, text: str | bytes) -> None:
    with pytest.raises(InvalidJSON):
        json_text.read(text)


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 12345678901234567890123, 10**308])
def test_large_integers_stay_exact(reader: str, number: int) -> None:
    assert json_text.read(f'{{"n": {number}}}') == {"n": number}
    assert json_text.parse(json_text.write([number])) == [number]


def test_the_last_of_equal_names_counts(reader: str) -> None:
    assert json_text.read('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1, 2}, object()])
def test_a_value_that_is_not_json_is_not_written(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_text, "_quick", json_text._Standard)  # noqa: SLF001
    with pytest.raises((TypeError, ValueError)):
        json_text.write(value)
