"""Matching within lists: conditions that hold together, and the number of steps."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.patterns import InvalidPattern, TooComplexEvent, compile_pattern
from tests.fakes import patterns as definition
from tests.fakes.steps import counted, size

STEPS = 25
"""Maximum executed lines of the matcher per value of the event and condition of the pattern."""

plain_names = st.sampled_from(["a", "a-", "b"])  # "a-" is between "a" and "a.b"
dotted_names = plain_names | st.sampled_from(["a.b", "b.a", "a.a", "a.a.b"])
wanted: st.SearchStrategy[Any] = st.lists(
    st.sampled_from([1, 2, {"exists": False}, {"exists": True}]), min_size=1, max_size=2
)


def patterns(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    level = st.dictionaries(names, wanted, min_size=1, max_size=3)
    for _ in range(2):
        level = st.dictionaries(names, wanted | level, min_size=1, max_size=3)
    return level


def events(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    values = st.recursive(
        st.integers(1, 3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3),
        max_leaves=30,
    )
    return st.dictionaries(names, values, min_size=1, max_size=3)


@settings(max_examples=300)
@given(patterns(plain_names), st.lists(events(plain_names), min_size=1, max_size=4))
def test_fields_in_lists_are_matched_as_the_definition_says(pattern: Any, some: list[Any]) -> None:
    compiled = compile_pattern(pattern)
    for event in some:
        assert compiled.matches(event) is definition.matches(pattern, event)


@settings(max_examples=300)
@given(patterns(dotted_names), st.lists(events(dotted_names), min_size=1, max_size=4))
def test_keys_with_dots_are_matched_as_the_definition_says(pattern: Any, some: list[Any]) -> None:
    compiled = compile_pattern(pattern)
    for event in some:
        assert compiled.matches(event) is definition.matches(pattern, event)


# rule | pattern | events that match | events that don't
ABSENCE: list[tuple[str, dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "a field is absent if the whole list has none, until a condition is met in an element",
        {"i": {"m": [{"exists": False}], "n": [1]}},
        [{"i": [{"n": 1}, {"n": 2}]}, {"i": []} | {"i.n": 1}],
        [{"i": [{"n": 1}, {"m": 5}]}, {"i": [{"n": 1, "m": 5}]}],
    ),
    (
        "after that, it is absent if the element has none",
        {"i": {"n": [1], "z": [{"exists": False}]}},
        [{"i": [{"n": 1}, {"z": 5}]}],
        [{"i": [{"n": 1, "z": 5}, {"n": 2}]}],
    ),
    (
        "a plain value in the list leaves its elements open, a value in an element does not",
        {"i": [1], "i.z": [{"exists": False}]},
        [{"i": [1, [1], {"z": 5}]}, {"i": [1, [2]]}],
        [{"i": [1, {"z": 5}]}, {"i": [[1, {"z": 5}]]}],
    ),
]


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"), [row[1:] for row in ABSENCE], ids=[r[0] for r in ABSENCE]
)
def test_absence(
    pattern: dict[str, Any], matched: list[dict[str, Any]], not_matched: list[dict[str, Any]]
) -> None:
    compiled = compile_pattern(pattern)
    assert [event for event in matched if not compiled.matches(event)] == []
    assert [event for event in not_matched if compiled.matches(event)] == []


# ---- time


def steps_for(pattern: dict[str, Any], event: dict[str, Any]) -> int:
    compiled = compile_pattern(pattern)
    own = json.loads(json.dumps(event))  # no object twice
    with counted("infra/patterns") as steps, suppress(TooComplexEvent):
        compiled.matches(own)
    return steps()


def conditions_of(pattern: Any) -> int:
    return sum(map(conditions_of, pattern.values())) if isinstance(pattern, dict) else 1


@settings(max_examples=200)
@given(patterns(plain_names), events(plain_names))
def test_matching_takes_steps_in_proportion_to_the_event_and_the_conditions(
    pattern: Any, event: Any
) -> None:
    assert steps_for(pattern, event) <= STEPS * size(event) * conditions_of(pattern)


def one_list(length: int) -> dict[str, Any]:
    return {"i": [{"a": 1, "b": 2, "c": 9}] * length}


def many_lists(length: int) -> dict[str, Any]:
    return {name: [{"x": 1}] * length for name in "abcdef"}


def lists_in_lists(length: int) -> dict[str, Any]:
    value: list[Any] = [{"a": 1, "b": [{"a": 1}, 2], "c": 9}]
    for _ in range(length):
        value = [value, 1, [1]]
    return {"i": value}


def lists_below_lists(length: int) -> dict[str, Any]:
    items = [{"a": 1, "b": 2}] * length
    return {"i": [{"a": items, "b": items, "c": 9}] * length}


THREE = {"i": {"a": [1], "b": [2], "c": [3]}}
SIX = {name: {"x": [2 if name == "f" else 1]} for name in "abcdef"}
ABSENT = {"i": {"a": [1], "b": [2, {"exists": False}], "c": [3, {"exists": False}]}}
ITSELF = {"i": [1, {"exists": False}], "i.a": [1], "i.b": [{"exists": False}], "i.c": [3]}
BELOW = {"i": {"a": {"a": [1], "b": [{"exists": False}, 3]}, "b": {"b": [2]}, "c": [3]}}


@pytest.mark.parametrize("length", [10, 100])
@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        (THREE, one_list),
        (SIX, many_lists),
        *((pattern, lists_in_lists) for pattern in (THREE, ABSENT, ITSELF)),
        *((pattern, one_list) for pattern in (ABSENT, ITSELF)),
        *((pattern, lists_below_lists) for pattern in (BELOW, ABSENT)),
    ],
)
def test_lists_that_fail_late_take_proportional_steps_too(
    pattern: dict[str, Any], event: Callable[[int], dict[str, Any]], length: int
) -> None:
    given_event = event(length)
    steps = steps_for(pattern, given_event)
    assert steps <= STEPS * size(given_event) * conditions_of(pattern)


@settings(max_examples=200)
@given(patterns(dotted_names), events(dotted_names))
def test_keys_with_dots_take_a_bounded_number_of_steps(pattern: Any, event: Any) -> None:
    assert steps_for(pattern, event) <= 100_000


def test_thousands_of_overlaps_are_searched() -> None:
    pattern = compile_pattern({"a": {"b": {"x": [1], "y": [1], "z": [1]}}})
    first: list[Any] = [{"x": 1}] * 40 + [{"z": 1}]
    second: list[Any] = [{"y": 1}] * 40 + [{"z": 1}]
    assert not pattern.matches({"a.b": first, "a": {"b": second}})
    second.append({"y": 1, "z": 1})
    assert pattern.matches({"a.b": first, "a": {"b": second}})


def test_any_value_of_a_list_meets_a_field_with_several_keys() -> None:
    pattern = compile_pattern({"a.b": [1], "a.c": [3]})
    for values in ([1, 2], [2, 1], [2, [1]]):
        assert pattern.matches({"a.b": values, "a": {"b": 2, "c": [3, 4]}})
    assert not pattern.matches({"a.b": [2, 3], "a": {"b": 2, "c": [3, 4]}})


def test_an_event_with_too_many_overlaps_is_refused_with_the_reason() -> None:
    pattern = compile_pattern({"a": {"b": {"x": [1], "y": [1], "z": [1]}}})
    some = [{name: 1} for name in "xyz"]
    assert pattern.matches({"a.b": [some[0]], "a": {"b": [some[1]], "b.z": 1}})
    assert not pattern.matches({"a.b": [some[0]] * 9, "a": {"b": [*some[1:]] * 9}})
    with pytest.raises(TooComplexEvent, match=r"several of its keys lead to a\b.*one key"):
        pattern.matches({"a.b": [some[0]] * 900, "a": {"b": [*some[1:]] * 900}})


@pytest.mark.parametrize("wanted", ["10.0.0.1", "::1", {"cidr": "10.0.0.0/8"}, {"cidr": "::/8"}])
def test_a_long_text_is_quickly_rejected_as_an_address(wanted: Any) -> None:
    pattern = compile_pattern({"a": [wanted]})
    started = time.process_time()
    for text in (":" * 100_000, "1." * 50_000, "1" * 100_000):
        assert not pattern.matches({"a": text + "x"})
    assert time.process_time() - started < 2


# ---- size of a pattern


def of_two(count: int) -> dict[str, Any]:
    """Return a pattern with ``count`` ``$or`` of two."""
    return {f"f{n}": {"$or": [{"a": [n]}, {"b": [n]}]} for n in range(count)}


def test_a_pattern_may_have_a_thousand_rule_combinations_and_no_more() -> None:
    ten = {"$or": [{f"x{n}": [n]} for n in range(10)]}
    assert compile_pattern({"p": ten, "q": ten, "r": ten}).matches(
        {"p": {"x9": 9}, "q": {"x0": 0}, "r": {"x5": 5}}
    )
    two = {"$or": [{"x": [1]}, {"y": [1]}]}
    for beyond in ({"p": ten, "q": ten, "r": ten, "s": two}, of_two(10), of_two(60)):
        with pytest.raises(InvalidPattern, match="more than 1000 rule combinations"):
            compile_pattern(beyond)


def test_a_pattern_may_have_4096_characters_and_no_more() -> None:
    text = json.dumps({"a": ["x" * (4096 - len('{"a":[""]}'))]}, separators=(",", ":"))
    for fitting in (text, json.loads(text)):
        assert not compile_pattern(fitting).matches({"a": "x"})
    for longer in (f"{text} ", {"aa": json.loads(text)["a"]}):
        with pytest.raises(InvalidPattern, match="longer than 4096 characters"):
            compile_pattern(longer)
