"""The intrinsic functions: their results and errors."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from infra.asl.errors import ExpressionError, TerminalFailure
from infra.asl.expressions.intrinsics import compile_intrinsic

DATA = {
    "name": "Ann",
    "n": 3,
    "list": [1, 2, 2, [3], [3], 1.5],
    "o": {"b": 1, "a": [True, None]},
    "brace": "{",
}
SCOPE: Any = SimpleNamespace(
    variables={"v": [5]}, context={"State": {"Name": "S"}}, random=lambda: 0.5
)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("States.Array()", []),
        ("States.Array('a', 1, -2.5e1, true, null, $.n)", ["a", 1, -25.0, True, None, 3]),
        ("States.ArrayPartition($.list, 4)", [[1, 2, 2, [3]], [[3], 1.5]]),
        ("States.ArrayPartition($.list, 3.6)", [[1, 2, 2, [3]], [[3], 1.5]]),
        ("States.ArrayContains($.list, States.Array(3))", True),
        ("States.ArrayContains($.list, true)", False),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayGetItem($.list, 1)", 2),
        ("States.ArrayLength($v)", 1),
        ("States.ArrayUnique($.list)", [1, 2, [3], 1.5]),
        ("States.Base64Encode('Gr\u00fc\u00dfe')", "R3LDvMOfZQ=="),
        ("States.Base64Decode('R3LDvMOfZQ==')", "Gr\u00fc\u00dfe"),
        ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        (
            "States.JsonMerge($.o, States.StringToJson('{\"b\": 2}'), false)",
            {"b": 2, "a": [True, None]},
        ),
        ("States.JsonToString($.o)", '{"b":1,"a":[true,null]}'),
        ("States.StringToJson('[1, 2.0]')", [1, 2.0]),
        ("States.StringToJson(' ')", None),
        ("States.MathAdd($.n, -1)", 2),
        ("States.MathAdd(-1.5, 2.5)", 2),
        ("States.MathRandom(1, 11)", 6),
        ("States.StringSplit('a.b+c..d', '.+')", ["a", "b", "c", "d"]),
        ("States.StringSplit($.name, '')", ["Ann"]),
        ("States.UUID()", "80000000-8000-4000-8000-000080000000"),
        ("States.Format('{} is {}, {}', $.name, $.n, null)", "Ann is 3, null"),
        (r"States.Format('\{\} \'{}\' \\', $$.State.Name)", r"{} 'S' \ "[:-1]),
        ("States.Format( $.name )", "Ann"),
        ("States.Format('{}', $.o)", "{b=1, a=[true, null]}"),
        ("States.Format('{}', $.list)", "[1, 2, 2, [3], [3], 1.5]"),
        ("States.Array('a,b)', $['name'])", ["a,b)", "Ann"]),
    ],
)
def test_a_call_returns(call: str, value: Any) -> None:
    assert compile_intrinsic(call)(DATA, SCOPE) == value


def test_a_seed_makes_a_random_number_repeatable() -> None:
    seeded = compile_intrinsic("States.MathRandom(0, 1000000, 42)")
    assert seeded(DATA, SCOPE) == seeded(DATA, SCOPE)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            "States.Format('{}', $.nope)",
            "The JsonPath argument for the field '$.nope' could not be found in the",
        ),
        ("States.Format('{} {}', $.n)", "Number of arguments do not match the occurrences of {}"),
        ("States.Format($.brace, 1)", "matching '}' not found for '{'"),
        ("States.ArrayLength($.name)", '"Ann" is not an array'),
        ("States.ArrayPartition($.list, 0)", "The chunk size must be positive"),
        ("States.ArrayGetItem($.list, 6)", "The index 6 is out of bounds"),
        ("States.ArrayRange(1, 2, 0)", "The step must not be zero"),
        ("States.ArrayRange(1, 2000, 1)", "The range has more than 1000 items"),
        ("States.Base64Decode('?')", "Invalid Base64"),
        ("States.Hash('x', 'SHA-3')", "The algorithm is not one of MD5, SHA-1"),
        ("States.JsonMerge($.o, $.o, true)", "Only the shallow merge, false, is supported"),
        ("States.MathAdd($.n, true)", "true is not a number"),
        ("States.MathRandom(2, 2)", "The start must be less than the end"),
        ("States.StringToJson('{')", "Invalid JSON"),
        ("States.Array(States.ArrayLength($.o))", "is not an array"),
    ],
)
def test_an_invalid_call_ends_the_execution_and_is_quoted_completely(
    call: str, reason: str
) -> None:
    with pytest.raises(TerminalFailure, match=re.escape(reason)) as failed:
        compile_intrinsic(call)(DATA, SCOPE)
    assert failed.value.cause is not None
    assert failed.value.cause.startswith(f"The function '{call}' had the following error: ")


@pytest.mark.parametrize(
    "text",
    [
        "States.Nothing()",
        "Format('x')",
        "States.UUID(",
        "States.UUID() more",
        "States.UUID(1)",
        "States.Hash('x')",
        "States.Array('a' 'b')",
        "States.Array('a'",
        "States.Format('a { {}', 1)",
        "States.Format('a } {}', 1)",
        "States.Format('{0}', 1)",
        r"States.Format('illegal \" escape')",
    ],
)
def test_an_invalid_call_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_intrinsic(text)


@pytest.mark.parametrize("levels", [11, 1_001, 100_000])
def test_calls_nested_deeper_than_10_levels_are_refused(levels: int) -> None:
    with pytest.raises(ExpressionError, match="calls are nested deeper than 10 levels"):
        compile_intrinsic("States.Array(" * levels + ")" * levels)


def test_ten_calls_may_be_nested() -> None:
    compile_intrinsic("States.Array(" * 10 + ")" * 10)


@pytest.mark.parametrize("text", ["States.Array(1,)", "States.Format('a', )", "States.Array(,)"])
def test_a_comma_without_an_argument_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_intrinsic(text)
