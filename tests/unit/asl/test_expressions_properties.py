"""Paths and intrinsic functions: any text gives a value or a named error."""

import base64
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from infra.asl import JSON
from infra.asl.errors import ExpressionError, PathNotFoundError, StateFailure, TerminalFailure
from infra.asl.expressions.intrinsics import compile_intrinsic
from infra.asl.expressions.paths import compile_path, compile_reference_path
from tests.strategies import json_objects, json_values, nested

FUNCTIONS = [
    "Array",
    "ArrayContains",
    "ArrayGetItem",
    "ArrayLength",
    "ArrayPartition",
    "ArrayRange",
    "ArrayUnique",
    "Base64Decode",
    "Base64Encode",
    "Format",
    "Hash",
    "JsonMerge",
    "JsonToString",
    "MathAdd",
    "MathRandom",
    "StringSplit",
    "StringToJson",
    "UUID",
    "Nonsense",
]


@dataclass
class Scope:
    """The scope of an expression."""

    variables: Mapping[str, JSON] = field(default_factory=lambda: {"counter": 7})
    context: JSON = field(default_factory=lambda: {"Execution": {"Name": "one"}})
    random: Any = field(default_factory=lambda: random.Random(1).random)
    now: float = 0.0


def written(key: str | int) -> str:
    """Return a key as a step of a path."""
    return f"[{key}]" if isinstance(key, int) else f"[{quoted(key)}]"


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def called(name: str, *arguments: str) -> JSON:
    """Return the result of a call without data."""
    return compile_intrinsic(f"States.{name}({', '.join(arguments)})")({}, Scope())


def places(value: JSON) -> list[tuple[list[str | int], JSON]]:
    """Return each node of a value with its keys."""
    result: list[tuple[list[str | int], JSON]] = [([], value)]
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        result += [([key, *more], node) for key, inner in items for more, node in places(inner)]
    return result


# Paths

steps = st.sampled_from(
    [
        ".a",
        ".b",
        "['a']",
        '["b"]',
        "['']",
        "[0]",
        "[-1]",
        "[*]",
        ".*",
        "..a",
        "..*",
        "[0:2]",
        "[:-1]",
    ]
    + [
        "[1,2]",
        "['a','b']",
        "[?(@.a > 1)]",
        "[?(@.a == 'x' && !@.b)]",
        "[?(@ =~ /a.*/i)]",
        "..[?(@.a)]",
        "..[0]",
    ]
    + ["[", "]", ".", "a", "(", "'", "[?(", "\\", " "]
)
paths = st.builds(
    lambda root, rest: root + "".join(rest),
    st.sampled_from(["$", "$$", "$counter", "$none", ""]),
    st.lists(steps, max_size=4),
)
values = st.recursive(
    st.sampled_from([0, 1, 2.5, True, None, "x", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(paths | st.text(max_size=12), values)
@example("$" + "['a'" * 10_000, {})
@example("$[?(@.a =~ /(a+)+b/)]", {"a": "a" * 40})
def test_any_text_is_a_path_that_selects_a_value_or_names_the_missing_one(
    text: str, data: JSON
) -> None:
    try:
        selected = compile_path(text)(data, Scope())
    except (ExpressionError, PathNotFoundError) as error:
        assert str(error)
    else:
        json.dumps(selected)


@given(json_values)
def test_each_node_of_the_data_is_selected_by_its_keys(data: JSON) -> None:
    for keys, held in places(data):
        assume(not any(isinstance(key, str) and "\\" in key for key in keys))
        assert compile_path("$" + "".join(map(written, keys)))(data, Scope()) is held


@given(json_objects, st.lists(st.sampled_from("abc"), min_size=1, max_size=3), json_values)
def test_a_value_that_was_put_is_selected_there_and_the_data_is_unchanged(
    data: JSON, keys: list[str], value: JSON
) -> None:
    before = json.dumps(data)
    path = "$" + "".join(map(written, keys))
    try:
        after = compile_reference_path(path)(data, value)
    except StateFailure as failure:
        assert failure.error == "States.ResultPathMatchFailure"
    else:
        assert compile_path(path)(after, Scope()) == value
    assert json.dumps(data) == before


# Intrinsic functions

arguments = st.recursive(
    st.sampled_from(["$", "$.a", "$.b[0]", "$$.Execution.Name", "$none", "1", "-2", "0.5", "true"])
    | st.sampled_from(["null", "''", "'{}'", "'a,b'", "'SHA-1'", "'{'", "'[1, 2'", "'AA=='", "1e9"])
    | st.text("abc'\\{}é ", max_size=6).map(lambda text: f"'{text}'"),
    lambda inner: st.builds(
        lambda name, given: f"States.{name}({', '.join(given)})",
        st.sampled_from(FUNCTIONS),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(arguments | st.text(max_size=12), values)
def test_any_call_gives_a_value_or_an_error_with_a_name(text: str, data: JSON) -> None:
    try:
        result = compile_intrinsic(text)(data, Scope())
    except ExpressionError as error:
        assert str(error)
    except StateFailure as failure:
        assert failure.error
    else:
        json.dumps(result, allow_nan=False)


@given(json_values)
def test_json_becomes_text_and_that_text_the_same_json(value: JSON) -> None:
    read = compile_intrinsic("States.StringToJson(States.JsonToString($.value))")
    assert read({"value": value}, Scope()) == value


@given(st.text(max_size=200))
def test_base64_decodes_to_the_original_text(text: str) -> None:
    encoded = compile_intrinsic("States.Base64Encode($)")(text, Scope())
    assert encoded == base64.b64encode(text.encode()).decode()
    assert compile_intrinsic("States.Base64Decode($)")(encoded, Scope()) == text


@given(st.lists(values, max_size=8), st.integers(1, 9))
def test_the_parts_of_an_array_are_the_array(array: list[JSON], size: int) -> None:
    parts = compile_intrinsic(f"States.ArrayPartition($, {size})")(array, Scope())
    assert [item for part in parts for item in part] == array
    assert all(0 < len(part) <= size for part in parts)


@given(st.lists(values, max_size=8))
def test_array_unique_keeps_every_value_once(array: list[JSON]) -> None:
    unique = compile_intrinsic("States.ArrayUnique($)")(array, Scope())
    texts = [json.dumps(item, sort_keys=True) for item in unique]
    assert len(set(texts)) == len(texts)
    assert set(texts) == {json.dumps(item, sort_keys=True) for item in array}


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-5, 5).filter(bool))
def test_a_range_has_both_its_ends_where_the_step_meets_them(
    first: int, last: int, step: int
) -> None:
    expected, number = [], first
    while (number <= last) if step > 0 else (number >= last):
        expected.append(number)
        number += step
    assert called("ArrayRange", str(first), str(last), str(step)) == expected


@given(st.lists(st.text("ab'\\{}é", max_size=5), max_size=4))
def test_a_format_has_its_arguments_in_its_braces(parts: list[str]) -> None:
    template = "'" + "-".join("{}" for _ in parts) + "'"
    assert called("Format", template, *(quoted(part) for part in parts)) == "-".join(parts)


HUGE = "9" * 400
VAST = "9" * 5_000


@pytest.mark.parametrize(
    "text",
    [
        f"States.StringToJson('{nested(100_000)}')",
        "States.StringToJson('NaN')",
        "States.StringToJson('1e400')",
        r"""States.StringToJson('"\\ud800"')""",
        "States.Array(" * 2_000,
        "States.MathAdd(1e400, 1)",
        f"States.MathAdd({VAST}, 1)",
        f"States.MathRandom(0, {HUGE})",
        f"States.ArrayRange(0, {HUGE}, 1)",
        f"States.ArrayLength($[{VAST}])",
    ],
    ids=lambda text: text[:30],
)
def test_invalid_or_oversized_json_text_is_a_named_error(text: str) -> None:
    with pytest.raises((ExpressionError, TerminalFailure)):
        compile_intrinsic(text)([1], Scope())


@pytest.mark.parametrize(
    "text", ["States.ArrayRange(0, 999999999999, 1)", "States.MathRandom(2, 1)"]
)
def test_an_argument_that_a_function_refuses_ends_the_execution_with_a_reason(text: str) -> None:
    with pytest.raises(TerminalFailure, match="had the following error"):
        compile_intrinsic(text)({}, Scope())
