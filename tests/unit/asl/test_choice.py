"""Choice rules: comparisons, their combination, and values of different types."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.asl.errors import DefinitionError, TerminalFailure
from infra.asl.expressions.choice import compile_rule

SCOPE: Any = SimpleNamespace(variables={"limit": 10}, context={"Execution": {"Name": "run"}})
NOON, LATER = "2026-01-31T12:00:00Z", "2026-01-31T13:30:00.5+01:00"


def holds(value: Any, **test: Any) -> bool:
    data = {"x": value, "same": value, "ten": 10, "noon": NOON, "text": "abc"}
    return compile_rule({"Variable": "$.x", **test}, "/rule")(data, SCOPE)


@pytest.mark.parametrize(
    ("value", "test", "expected"),
    [
        ("a", {"StringEquals": "a"}, True),
        ("a", {"StringLessThan": "b"}, True),
        ("b", {"StringGreaterThanEquals": "b"}, True),
        ("B", {"StringLessThanEqualsPath": "$.text"}, True),
        (1, {"StringEquals": "1"}, False),
        (10.0, {"NumericEquals": 10}, True),
        (True, {"NumericEquals": 1}, False),
        (9, {"NumericLessThanPath": "$limit"}, True),
        (11, {"NumericGreaterThanPath": "$.ten"}, True),
        (11, {"NumericGreaterThanPath": "$.text"}, False),
        (True, {"BooleanEquals": True}, True),
        (0, {"BooleanEquals": False}, False),
        (NOON, {"TimestampEquals": "2026-01-31T13:00:00+01:00"}, True),
        (LATER, {"TimestampGreaterThanPath": "$.noon"}, True),
        ("2026-01-31", {"TimestampLessThan": NOON}, False),
        ("log-1.txt", {"StringMatches": "log-*.txt"}, True),
        ("log-1.txt", {"StringMatches": "log"}, False),
        ("a*b", {"StringMatches": r"a\*b"}, True),
        ("axb", {"StringMatches": r"a\*b"}, False),
        ("a\nb", {"StringMatches": "a*"}, True),
        (None, {"IsNull": True}, True),
        (0, {"IsNull": False}, True),
        (1.5, {"IsNumeric": True}, True),
        (False, {"IsNumeric": True}, False),
        ("", {"IsString": True}, True),
        ([], {"IsBoolean": False}, True),
        (NOON, {"IsTimestamp": True}, True),
        ("2026-02-30T12:00:00Z", {"IsTimestamp": True}, False),
        ("2026-01-31T12:00:00", {"IsTimestamp": True}, False),
        (None, {"IsPresent": True}, True),
    ],
)
def test_a_comparison(value: Any, test: dict[str, Any], *, expected: bool) -> None:
    assert holds(value, **test) is expected


def test_rules_combine() -> None:
    small = {"Variable": "$.n", "NumericLessThan": 10}
    even = {"Variable": "$.even", "BooleanEquals": True}
    both = compile_rule({"And": [small, {"Not": even}], "Next": "N", "Comment": "C"}, "")
    either = compile_rule({"Or": [{"Not": small}, even]}, "")
    assert [both(data, SCOPE) for data in ({"n": 5, "even": False}, {"n": 5, "even": True})] == [
        True,
        False,
    ]
    assert [either(data, SCOPE) for data in ({"n": 5, "even": True}, {"n": 5, "even": False})] == [
        True,
        False,
    ]


def test_only_is_present_accepts_a_missing_variable() -> None:
    present = compile_rule({"Variable": "$.a.b", "IsPresent": False}, "")
    assert present({}, SCOPE)
    equals = compile_rule({"Variable": "$.a.b", "StringEquals": "x"}, "")
    with pytest.raises(TerminalFailure) as failed:
        equals({}, SCOPE)
    assert failed.value.cause == (
        "Invalid path '$.a.b': The choice state's condition path references an invalid value."
    )


def test_the_context_object_can_be_compared() -> None:
    rule = compile_rule({"Variable": "$$.Execution.Name", "StringEquals": "run"}, "")
    assert rule({}, SCOPE)


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("text", "/C[0]"),
        ({"Variable": "$.x"}, "/C[0]"),
        ({"Variable": "$.x", "StringEquals": "a", "IsNull": True}, "/C[0]"),
        ({"Variable": "$.x", "StringEqual": "a"}, "/C[0]/StringEqual"),
        ({"Variable": "$.x", "BooleanLessThan": True}, "/C[0]/BooleanLessThan"),
        ({"Variable": "$.x", "NumericEquals": "1"}, "/C[0]/NumericEquals"),
        ({"Variable": "$.x", "TimestampEquals": "today"}, "/C[0]/TimestampEquals"),
        ({"Variable": "$.x", "IsNull": "yes"}, "/C[0]/IsNull"),
        ({"Variable": "$.x", "IsOdd": True}, "/C[0]/IsOdd"),
        ({"Variable": "x", "IsNull": True}, "/C[0]/IsNull"),
        ({"StringEquals": "a"}, "/C[0]/StringEquals"),
        ({"And": []}, "/C[0]/And"),
        ({"And": [{"Not": {"Variable": "$.x"}}]}, "/C[0]/And[0]/Not"),
    ],
)
def test_a_malformed_rule_is_refused_with_its_place(rule: Any, place: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        compile_rule(rule, "/C[0]")
    assert refused.value.place == place
