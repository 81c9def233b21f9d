"""Event patterns: any text is a pattern or refused with a reason; any event matches or not."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from infra.patterns import InvalidPattern, Pattern, compile_pattern
from tests.strategies import json_objects, json_values, nested, scalars

names = st.sampled_from(["a", "b", "detail", "total", "a.b", "$or", "prefix", ""])
texts = st.sampled_from(["", "a", "ab", "a*b", "*", "\\", "10.0.0.1", "::1", "é", "A"])
numbers = st.integers(-3, 3) | st.floats(-3, 3)
signs = st.sampled_from(["=", "<", "<=", ">", ">=", "!="])
bounds = st.lists(signs | numbers, max_size=4) | st.builds(
    lambda low, more: [">", low, "<=", low + more], numbers, st.integers(1, 3)
)
operators = st.one_of(
    st.builds(lambda name, text: {name: text}, st.sampled_from(["prefix", "suffix"]), texts),
    st.builds(lambda text: {"prefix": {"equals-ignore-case": text}}, texts),
    st.builds(lambda text: {"wildcard": text}, texts),
    st.builds(lambda text: {"equals-ignore-case": text}, texts),
    st.builds(lambda wanted: {"exists": wanted}, st.booleans() | scalars),
    st.builds(lambda bound: {"numeric": bound}, bounds),
    st.builds(lambda text, bits: {"cidr": f"{text}/{bits}"}, texts, st.integers(-1, 130)),
    st.builds(lambda values: {"anything-but": values}, scalars | st.lists(texts | numbers)),
    st.builds(lambda text: {"anything-but": {"suffix": text}}, texts),
    st.dictionaries(texts, scalars, max_size=2),
)
wanted = st.lists(texts | numbers | scalars | operators, max_size=3)
patterns = st.recursive(
    wanted | st.builds(lambda values: [values], wanted),
    lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)
events = st.recursive(
    texts | numbers | scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
).map(lambda value: {"detail": value, "a": value})


def compiled(pattern: Any) -> Pattern | None:
    """Return a pattern, or None if it is refused with a reason."""
    try:
        return compile_pattern(pattern)
    except InvalidPattern as refused:
        assert str(refused).startswith("Event pattern is not valid. Reason: ")
        return None


@given(st.text() | json_values.map(json.dumps))
@example(nested(100_000, '{"a":'))
@example('{"a": ' + nested(100_000))
def test_any_text_is_a_pattern_or_is_refused_with_a_reason(text: str) -> None:
    compiled(text)


@given(patterns, st.lists(events, max_size=4))
def test_any_pattern_matches_any_event_or_not(pattern: Any, some: list[dict[str, Any]]) -> None:
    pattern_or_none = compiled(json.dumps({"detail": pattern}))
    if pattern_or_none is not None:
        assert {pattern_or_none.matches(event) for event in some} <= {True, False}


@given(json_objects, scalars)
def test_a_literal_matches_itself_alone_and_in_an_array(event: dict[str, Any], value: Any) -> None:
    pattern = compile_pattern({"detail": {"field": [value]}})
    for held in (value, ["other", value], [["deeper"], [value]]):
        assert pattern.matches({**event, "detail": {"field": held}})


@given(json_objects, st.lists(scalars, min_size=1, max_size=4))
def test_exists_true_and_false_never_agree(event: dict[str, Any], values: list[Any]) -> None:
    for given_event in (event, {**event, "field": values}, {**event, "field": []}):
        there, gone = (
            compile_pattern({"field": [{"exists": wanted}]}).matches(given_event)
            for wanted in (True, False)
        )
        assert there is not gone


@given(numbers, numbers)
def test_a_comparison_and_its_opposite_never_agree_on_a_number(value: float, bound: float) -> None:
    for sign, opposite in ((">", "<="), ("<", ">=")):
        first, second = (
            compile_pattern({"total": [{"numeric": [comparison, bound]}]}).matches({"total": value})
            for comparison in (sign, opposite)
        )
        assert first is not second


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_a_wildcard_matches_any_text_at_its_star(first: str, inner: str, last: str) -> None:
    escaped = [part.replace("\\", "\\\\").replace("*", "\\*") for part in (first, last)]
    pattern = compile_pattern({"field": [{"wildcard": "*".join(escaped)}]})
    assert pattern.matches({"field": first + inner + last})
