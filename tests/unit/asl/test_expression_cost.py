"""Expressions take linear time in the size of the data, for any data and any path."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.asl import compile_definition
from infra.asl.errors import ExpressionError, TerminalFailure
from infra.asl.expressions.choice import compile_rule
from infra.asl.expressions.intrinsics import compile_intrinsic
from infra.asl.expressions.paths import compile_path
from tests.fakes.steps import counted, size
from tests.unit.asl.test_paths import SCOPE
from tests.unit.asl.virtual_host import VirtualHost

LINES = 40
"""Maximum executed lines per value of the data and step of the path."""

SECONDS = 2.0
"""Limit of processor time for work outside our code: a hundred times the usual time."""


def chain(length: int) -> Any:
    """Return ``length`` nested objects, with as many values in the innermost."""
    value: Any = {"end": [{"a": 1}] * length}
    for _ in range(length):
        value = {"x": value, "l": [1]}
    return value


def lists(length: int) -> Any:
    value: Any = [{"a": 1}] * length
    for _ in range(length):
        value = [value, {"a": [1]}]
    return value


def rows(length: int) -> Any:
    return [{"a": number, "b": {"c": [number]}} for number in range(length)]


def finds(path: str, data: Any) -> Any:
    return compile_path(path)(json.loads(json.dumps(data)), SCOPE)


@pytest.mark.parametrize("data", [chain, lists, rows])
@pytest.mark.parametrize(
    "path",
    ["$..a", "$..*", "$..[?(@.a[0] == 1)]", "$..*..missing", "$..*..[?(@.z)]", "$..[?(@.a)]..b"],
)
def test_a_path_takes_steps_in_proportion_to_the_data(
    path: str, data: Callable[[int], Any]
) -> None:
    for length in (10, 200):
        given_data = json.loads(json.dumps(data(length)))
        read = compile_path(path)
        with counted("infra/asl") as lines:
            selected = read(given_data, SCOPE)
        assert lines() <= LINES * (size(given_data) * 2 + len(selected))


def test_a_path_that_selects_too_many_values_ends_the_execution() -> None:
    with pytest.raises(TerminalFailure, match="The path selects more than 262144 values"):
        finds("$..*..*..*", chain(900))


KEYS = st.sampled_from(["a", "b"])
TREES = st.recursive(
    st.integers(0, 2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=12,
)
STEPS = st.lists(st.sampled_from([".a", ".*", "[0]", "[?(@.a)]", "[1:]"]), min_size=1, max_size=3)


def descent(step: str, node: Any) -> list[Any]:
    """Return the values that a step selects at a node, and then at each descendant."""
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    here: list[Any] = compile_path(f"$[:]{step}")([node], SCOPE)
    return here + [value for child in below for value in descent(step, child)]


SIBLINGS = {"a": {"a": 1, "b": [{"a": 2}]}, "b": [{"a": 3}, {"b": {"a": 4}}]}


@given(TREES, STEPS)
@example(SIBLINGS, [".a"])
@example(SIBLINGS, [".*", ".a"])
@example(SIBLINGS, ["[?(@.a)]", "[0]"])
def test_a_descent_selects_at_each_node_and_then_at_its_descendants(
    tree: Any, steps: list[str]
) -> None:
    selected = [tree]
    for step in steps:
        selected = [value for node in selected for value in descent(step, node)]
    path = "$" + "".join(f".{step}" if step.startswith(".") else f"..{step}" for step in steps)
    assert compile_path(path)(tree, SCOPE) == selected


@given(st.text("ab*", max_size=8), st.text("ab*", max_size=8))
@example("ab*ba", "aba")
@example("a*a", "a")
@example("*ab*b", "ab")
def test_a_pattern_matches_as_the_regular_expression_does(pattern: str, value: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), value) is not None
    rule = compile_rule({"Variable": "$", "StringMatches": pattern}, "/rule")
    assert rule(value, SCOPE) is expected


def test_a_pattern_of_many_stars_reads_a_text_once() -> None:
    rule = compile_rule({"Variable": "$", "StringMatches": "*a" * 50 + "*b"}, "/rule")
    started = time.process_time()
    assert not rule("a" * 200_000, SCOPE)
    assert time.process_time() - started < SECONDS


def test_a_filter_by_a_regular_expression_is_refused_with_the_reason() -> None:
    with pytest.raises(ExpressionError, match=r"regular expression \(=~\) is not supported"):
        compile_path("$[?(@.sku =~ /(a+)+b/i)]")


@pytest.mark.parametrize(
    "call",
    [
        "ArrayContains($.some, $.missing)",
        "ArrayGetItem($.some, 9)",
        "ArrayLength($.some)",
        "ArrayPartition($.some, 1)",
        "ArrayUnique($.some)",
        "Format('{}{}', $.long, $.long)",
        "JsonMerge($.named, $.named, false)",
        "JsonToString($.some)",
        "StringSplit($.text, '.,')",
        "StringToJson($.json)",
    ],
)
def test_an_intrinsic_function_is_fast_for_data_at_the_limit(call: str) -> None:
    some = [{"n": number, "l": [number]} for number in range(12_000)]
    data = {
        "some": some,
        "missing": {"n": 12_000, "l": []},
        "long": "x" * 200_000,
        "text": "a.b," * 2_500,
        "named": {str(number): number for number in range(20_000)},
        "json": json.dumps(some),
    }
    started = time.process_time()
    compile_intrinsic(f"States.{call}")(data, SCOPE)
    assert time.process_time() - started < SECONDS


def test_a_map_selects_its_items_once_and_not_per_iteration() -> None:
    definition = {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.items[?(@.n >= 0)]",
                "ItemProcessor": {"StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}}},
                "End": True,
            }
        },
    }

    def lines_for(count: int) -> int:
        host = VirtualHost(compile_definition(definition, name="flow"), restarts=False)
        items = [{"n": number} for number in range(count)]
        with counted("infra/asl/expressions") as lines:
            assert host.run({"items": items}).output == items
        return lines()

    assert lines_for(400) < 5 * lines_for(100)


def test_a_map_after_one_that_failed_has_items_of_its_own() -> None:
    def each(path: str, name: str, **inner: Any) -> dict[str, Any]:
        processor = {"StartAt": name, "States": {name: inner}}
        return {"Type": "Map", "ItemsPath": path, "ItemProcessor": processor}

    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Second", "ResultPath": None}]
    first = each("$.first", "A", Type="Fail", Error="Oops") | {"Next": "Second", "Catch": catch}
    second = each("$.second", "B", Type="Pass", End=True) | {"End": True}
    definition = {"StartAt": "First", "States": {"First": first, "Second": second}}
    host = VirtualHost(compile_definition(definition, name="flow"), restarts=False)
    assert host.run({"first": [1, 2], "second": [3, 4]}).output == [3, 4]
