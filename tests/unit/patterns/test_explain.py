"""Explanations of a pattern's verdict."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.patterns import InvalidPattern, Pattern, TooComplexEvent, compile_pattern, explain
from tests.unit.patterns.test_patterns_properties import events, patterns

HIGH_VALUE = {
    "source": ["orders.service"],
    "detail-type": ["Order Created"],
    "detail": {"total": [{"numeric": [">=", 1000]}]},
}


def test_a_failed_condition_is_named_with_the_wanted_and_the_found_value() -> None:
    event = {
        "source": "orders.service",
        "detail-type": "Order Created",
        "detail": {"total": 999.99},
    }
    explanation = explain(compile_pattern(HIGH_VALUE), event)
    assert not explanation.matches
    assert [str(each) for each in explanation.failed] == [
        "`detail.total` wants >= 1000, has 999.99"
    ]


def test_the_alternatives_of_or_are_explained_one_by_one_the_nearest_first() -> None:
    either = [
        {"detail": {"country": ["Norway"], "total": [{"numeric": [">", 5]}]}},
        {"detail": {"total": [{"numeric": [">", 9]}]}},
    ]
    pattern = compile_pattern({"source": ["s"], "$or": either})
    explanation = explain(pattern, {"source": "s", "detail": {"total": 1, "country": "Spain"}})
    assert [len(each.failed) for each in explanation.alternatives] == [1, 2]
    assert str(explanation.failed[0]) == "`detail.total` wants > 9, has 1"


def test_conditions_that_different_elements_of_a_list_meet_do_not_hold_together() -> None:
    pattern = compile_pattern({"items": {"sku": ["TEA"], "quantity": [2]}})
    event = {"items": [{"sku": "TEA", "quantity": 1}, {"sku": "COFFEE", "quantity": 2}]}
    explanation = explain(pattern, event)
    assert not explanation.matches
    assert [each.holds for each in explanation.alternatives[0].conditions] == [True, False]
    assert "not in the list element that meets the other conditions" in str(explanation.failed[0])


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (["a"], '"a"'),
        (["a", 2, None], 'one of "a", 2, null'),
        ([{"numeric": [">", 0, "<=", 5.5]}], "> 0 and <= 5.5"),
        ([{"prefix": "EU-"}, "x"], '"x" or text that begins with "EU-"'),
        ([{"suffix": {"equals-ignore-case": ".png"}}], 'text that ends with ".png" in any case'),
        ([{"exists": False}], "no value"),
        ([{"exists": True}], "any value"),
        ([{"anything-but": ["a", "b"]}], 'anything but "a", "b"'),
        ([{"anything-but": {"prefix": "a"}}], 'anything but text that begins with "a"'),
        ([{"wildcard": "*.x"}], 'text like "*.x"'),
        ([{"equals-ignore-case": "A"}], '"A" in any case'),
        ([{"cidr": "10.0.0.0/8"}], "an IP address in 10.0.0.0/8"),
    ],
)
def test_each_operator_is_put_into_words(condition: list[Any], words: str) -> None:
    explanation = explain(compile_pattern({"field": condition}), {})
    assert explanation.alternatives[0].conditions[0].wanted == words


def test_a_pattern_keeps_its_text() -> None:
    assert json.loads(compile_pattern(HIGH_VALUE).text) == HIGH_VALUE


@given(patterns, st.lists(events, max_size=4))
@example({"a": [{"exists": False}], "b": [1]}, [{"detail": [{"a": 1}, {"b": 1}]}])
def test_all_conditions_hold_if_and_only_if_the_pattern_matches(
    wanted: Any, some: list[dict[str, Any]]
) -> None:
    pattern = _compiled(wanted)
    for event in some if pattern else ():
        assert pattern is not None
        try:
            matches = pattern.matches(event)
        except TooComplexEvent:
            continue
        explanation = explain(pattern, event)
        assert explanation.matches is matches
        assert matches is any(not each.failed for each in explanation.alternatives)


def _compiled(wanted: Any) -> Pattern | None:
    try:
        return compile_pattern({"detail": wanted})
    except InvalidPattern:
        return None
