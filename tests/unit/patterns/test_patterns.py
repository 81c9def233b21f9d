"""Event patterns: accepted values of each operator, fields, and refused patterns."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.patterns import InvalidPattern, compile_pattern


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def refusal(pattern: str | dict[str, Any]) -> str:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern(pattern)
    return str(refused.value)


# wanted values of a field | values that meet them | values that don't
OPERATORS: list[tuple[list[Any], list[Any], list[Any]]] = [
    # Literals are compared as JSON: by type, numbers by value.
    (["EUR"], ["EUR", ["USD", "EUR"]], ["eur", "EUR ", "", None, ABSENT, [], {}, ["USD"]]),
    (["EUR", "USD"], ["EUR", "USD"], ["GBP"]),
    ([""], [""], [" ", None, ABSENT]),
    ([12], [12, 12.0, 1.2e1, [12]], ["12", 12.01, True, None]),
    ([1], [1, 1.0], [True, "1", "true"]),
    ([0], [0, -0.0], [False, None, "", []]),
    ([123456789012345678901], [123456789012345678901], [123456789012345678902]),
    ([True], [True], [1, "true", False, None]),
    ([False], [False], [0, "false", True, None]),
    ([None], [None, ["x", None]], [ABSENT, "null", 0, False, "", []]),
    (["EUR", 1, None], ["EUR", 1, None], ["1", True, "null"]),
    # IP addresses are equal in any notation.
    (["2001:db8::1"], ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1"], ["2001:db8::2", "2001:db8::"]),
    (["10.0.0.1"], ["10.0.0.1"], ["10.0.0.2", "10.0.0.10"]),
    (["12:30"], ["12:30"], ["12:31"]),
    # The beginning and the end of a string.
    ([{"prefix": "EU-"}], ["EU-", "EU-7", ["US-1", "EU-1"]], ["eu-7", "xEU-", 7, None, ABSENT]),
    ([{"prefix": ""}], ["", "x"], [1, None, ABSENT]),
    ([{"suffix": ".csv"}], [".csv", "a.csv"], [".CSV", "a.csv.gz", 1, ABSENT]),
    ([{"suffix": ""}], ["", "x"], [1, True, ABSENT]),
    ([{"prefix": {"equals-ignore-case": "eu-"}}], ["EU-1", "eU-"], ["US-1", "E", 1]),
    ([{"suffix": {"equals-ignore-case": ".CSV"}}], ["a.csv", "a.Csv"], ["a.csv.gz", 1]),
    ([{"equals-ignore-case": "Express"}], ["express", "EXPRESS"], ["express ", "", 1, ABSENT]),
    ([{"equals-ignore-case": ""}], [""], ["x", None]),
    ([{"exactly": "EUR"}], ["EUR"], ["eur", 1]),
    # A star matches any characters; an escaped star matches a star.
    ([{"wildcard": "*"}], ["", "x", "*", "a\nb"], [1, None, ABSENT]),
    ([{"wildcard": "a*"}], ["a", "ab", "a*"], ["ba", "", "A"]),
    ([{"wildcard": "*a"}], ["a", "ba"], ["ab", ""]),
    ([{"wildcard": "a*b*c"}], ["abc", "aXbXc", "abbc", "abcbc"], ["ac", "acb", "abcd", "xabc"]),
    ([{"wildcard": "ab*ba"}], ["abba", "abXba"], ["aba", "ab", "ba"]),
    ([{"wildcard": "a*a"}], ["aa", "aXa"], ["a"]),
    ([{"wildcard": "plain"}], ["plain"], ["plainer", "plai"]),
    ([{"wildcard": ""}], [""], ["x"]),
    ([{"wildcard": r"5\*"}], ["5*"], ["5", "55", r"5\*"]),
    ([{"wildcard": r"\\*"}], ["\\", r"\x"], ["x", "*"]),
    ([{"wildcard": "a.c"}], ["a.c"], ["abc"]),
    # Numbers are compared by value, at one end or at both.
    ([{"numeric": ["=", 10]}], [10, 10.0], ["10", 10.5, ABSENT, None]),
    ([{"numeric": [">", 10]}], [10.1, 11, [1, 11]], [10, 9, "11", None, True, ABSENT]),
    ([{"numeric": [">=", 10]}], [10, 11], [9.99]),
    ([{"numeric": ["<", 0]}], [-1, -0.5], [0, False, None]),
    ([{"numeric": ["<=", 1e2]}], [100, 99], [100.5, True]),
    ([{"numeric": [">", 0, "<=", 5]}], [1, 5, 0.5], [0, 6, "3"]),
    ([{"numeric": [">=", 0, "<", 5]}], [0, 4.999], [5, -1]),
    ([{"numeric": [">=", 1700000000000]}], [1700000000001], [1699999999999]),
    # Addresses within a block.
    ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0.256", "x", 1]),
    ([{"cidr": "10.0.0.0/0"}], ["255.1.1.1", "9.9.9.9"], ["::1"]),
    ([{"cidr": "10.0.0.8/29"}], ["10.0.0.8", "10.0.0.15"], ["10.0.0.7", "10.0.0.16"]),
    ([{"cidr": "10.0.0.9/29"}], ["10.0.0.8", "10.0.0.9", "10.0.0.15"], ["10.0.0.7", "10.0.0.16"]),
    ([{"cidr": "2001:db8::/32"}], ["2001:db8::", "2001:0db8:ffff::1"], ["2001:db9::", "10.0.0.1"]),
    # Existence: only a value counts, not an object or an empty list.
    ([{"exists": True}], ["x", "", 0, False, None, [1]], [ABSENT, [], {}, {"inner": 1}]),
    ([{"exists": False}], [ABSENT, [], {}, {"inner": 1}], ["x", "", None, [None]]),
    # Anything but: any other value of any type, but the field must exist.
    ([{"anything-but": "EUR"}], ["USD", "", 1, None, True, ["EUR", "USD"]], ["EUR", ABSENT, []]),
    ([{"anything-but": 0}], [1, "0", None, False], [0, 0.0, ABSENT]),
    ([{"anything-but": 1}], [True, "1"], [1, 1.0]),
    ([{"anything-but": ["EUR", "USD"]}], ["GBP", 1], ["EUR", "USD", ABSENT]),
    ([{"anything-but": [1, 2.5]}], [3, "1"], [1, 2.5]),
    ([{"anything-but": {"prefix": "EU-"}}], ["US-1", 1, None], ["EU-1", ABSENT]),
    ([{"anything-but": {"prefix": ["EU-", "US-"]}}], ["GB-1", ""], ["EU-1", "US-1"]),
    ([{"anything-but": {"suffix": ".csv"}}], ["a.txt", 1], ["a.csv", ABSENT]),
    ([{"anything-but": {"suffix": [".csv", ".gz"]}}], ["a.txt"], ["a.csv", "a.gz"]),
    ([{"anything-but": {"equals-ignore-case": "eur"}}], ["usd", None], ["EUR", "eur", ABSENT]),
    ([{"anything-but": {"equals-ignore-case": ["eur", "USD"]}}], ["gbp"], ["Eur", "usd"]),
    ([{"anything-but": {"wildcard": "*/old/*"}}], ["/x", 1, None], ["/old/x", ABSENT]),
    ([{"anything-but": {"wildcard": ["*.csv", "a*"]}}], ["b.txt"], ["b.csv", "abc"]),
    # Several wanted values: any of them.
    ([{"prefix": "a"}, {"suffix": "z"}, 5], ["ab", "yz", 5], ["b", 6]),
    ([{"numeric": [">", 100]}, {"anything-but": "101"}], ["42", 101], ["101"]),
    ([{"anything-but": ["x"]}, {"exists": False}], ["y", ABSENT], ["x"]),
]


@pytest.mark.parametrize(("wanted", "met_by", "not_met_by"), OPERATORS, ids=str)
def test_wanted_values(wanted: list[Any], met_by: list[Any], not_met_by: list[Any]) -> None:
    pattern = compile_pattern({"detail": {"field": wanted}})

    def meets(value: object) -> bool:
        return pattern.matches({"detail": {} if value is ABSENT else {"field": value}})

    assert [value for value in met_by if not meets(value)] == []
    assert [value for value in not_met_by if meets(value)] == []


# rule | pattern | events that match | events that don't
FIELDS: list[tuple[str, dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "every field of the pattern must be met; others are ignored",
        {"source": ["shop"], "detail": {"total": [5]}},
        [{"source": "shop", "detail": {"total": 5, "other": 1}, "id": "1"}],
        [{"source": "shop"}, {"detail": {"total": 5}}, {"source": "x", "detail": {"total": 5}}, {}],
    ),
    (
        "field names are compared exactly, and at their depth",
        {"detail": {"State": ["on"]}},
        [{"detail": {"State": "on"}}],
        [{"detail": {"state": "on"}}, {"State": "on"}, {"detail": {"x": {"State": "on"}}}],
    ),
    (
        "an object in place of a value is no value",
        {"detail": {"address": ["x"]}},
        [{"detail": {"address": "x"}}],
        [{"detail": {"address": {"city": "x"}}}, {"detail": "x"}],
    ),
    (
        "a dot in the event's key is as good as a level",
        {"detail": {"state": {"status": ["on"]}}},
        [{"detail": {"state.status": "on"}}, {"detail.state": {"status": "on"}}],
        [{"detail": {"state.status": {"status": "on"}}}, {"detail": {"state.": "on"}}],
    ),
    (
        "a dot in the pattern's key is as good as a level",
        {"detail": {"state.status": ["on"]}},
        [{"detail": {"state": {"status": "on"}}}, {"detail": {"state.status": "on"}}],
        [{"detail": {"state": "on"}}, {"detail": {"state.status": {"status": "on"}}}],
    ),
    (
        "a missing parent is a missing field",
        {"detail": {"address": {"city": [{"exists": False}]}}},
        [{}, {"detail": {}}, {"detail": {"address": {}}}, {"detail": {"address": "x"}}],
        [{"detail": {"address": {"city": "Oslo"}}}],
    ),
    (
        "lists are looked through, at any depth",
        {"items": {"sku": ["A"]}},
        [{"items": [{"sku": "A"}]}, {"items": [[{"sku": "B"}], [{"sku": ["C", "A"]}]]}],
        [{"items": []}, {"items": ["A"]}, {"items": [{"sku": "B"}]}],
    ),
    (
        "fields of one list must be met in one element",
        {"items": {"sku": ["A"], "quantity": [2]}},
        [
            {"items": [{"sku": "A", "quantity": 2}]},
            {"items": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 2}]},
            {"items": [[{"sku": "B"}], [{"sku": "A", "quantity": 2}]]},
        ],
        [
            {"items": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}]},
            {"items": [[{"sku": "A"}, {"quantity": 2}]]},
            {"items": [[{"sku": "A"}], [{"quantity": 2}]]},
        ],
    ),
    (
        "fields of different lists may be met in any element of each",
        {"items": {"sku": ["A"]}, "parcels": {"carrier": ["X"]}},
        [{"items": [{"sku": "A"}, {}], "parcels": [{"carrier": "Y"}, {"carrier": "X"}]}],
        [{"items": [{"sku": "A"}], "parcels": [{"carrier": "Y"}]}],
    ),
    (
        "a list within a list's element belongs to that element",
        {"orders": {"id": [1], "items": {"sku": ["A"]}}},
        [{"orders": [{"id": 2}, {"id": 1, "items": [{"sku": "B"}, {"sku": "A"}]}]}],
        [{"orders": [{"id": 1, "items": [{"sku": "B"}]}, {"id": 2, "items": [{"sku": "A"}]}]}],
    ),
    (
        "plain values of a list belong to no element",
        {"tags": ["a"], "items": {"tags": ["x"], "sku": ["A"]}},
        [{"tags": ["b", "a"], "items": [{"tags": ["y", "x"], "sku": "A"}]}],
        [{"tags": ["b", "a"], "items": [{"tags": ["x"], "sku": "B"}, {"tags": [], "sku": "A"}]}],
    ),
    (
        "a field may be absent from the element where the others are met",
        {"items": {"discount": [{"exists": False}, 0], "sku": ["A"]}},
        [{"items": [{"sku": "A"}]}, {"items": [{"sku": "A", "discount": 0}]}],
        [{"items": [{"sku": "A", "discount": 5}]}],
    ),
    (
        "$or: one of the objects must be met, and all conditions around them",
        {"source": ["shop"], "detail": {"$or": [{"total": [5]}, {"rush": [True], "sku": ["A"]}]}},
        [
            {"source": "shop", "detail": {"total": 5}},
            {"source": "shop", "detail": {"rush": True, "sku": "A"}},
        ],
        [
            {"source": "x", "detail": {"total": 5}},
            {"source": "shop", "detail": {"rush": True}},
            {"source": "shop", "detail": {"$or": {"total": 5}}},
            {"source": "shop"},
        ],
    ),
    (
        "$or within $or",
        {"$or": [{"a": [1], "$or": [{"b": [1]}, {"c": {"d": [1]}}]}, {"e": [1]}]},
        [{"a": 1, "b": 1}, {"a": 1, "c": {"d": 1}}, {"e": 1}],
        [{"a": 1}, {"b": 1}, {"c": {"d": 1}}, {"a": 2, "b": 1}],
    ),
    (
        "two $or: one of each",
        {"$or": [{"a": [1]}, {"b": [1]}], "detail": {"$or": [{"c": [1]}, {"d": [1]}]}},
        [{"a": 1, "detail": {"c": 1}}, {"b": 1, "detail": {"d": 1}}],
        [{"a": 1, "b": 1}, {"detail": {"c": 1, "d": 1}}],
    ),
    (
        "the last of several conditions on one field counts, in $or too",
        {"a": [1], "$or": [{"a": [2]}, {"b": [1]}]},
        [{"a": 2}, {"a": 1, "b": 1}],
        [{"a": 1}, {"a": 3, "b": 1}],
    ),
]


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [row[1:] for row in FIELDS],
    ids=[row[0] for row in FIELDS],
)
def test_fields(
    pattern: dict[str, Any], matched: list[dict[str, Any]], not_matched: list[dict[str, Any]]
) -> None:
    compiled = compile_pattern(pattern)
    assert [event for event in matched if not compiled.matches(event)] == []
    assert [event for event in not_matched if compiled.matches(event)] == []


ONE_KEY = "Only one key allowed in match expression"
TOO_MANY = "Too many elements in numeric expression"
NO_STRING = "{} match pattern must be a string"
NO_BOOLEAN = "exists match pattern must be either true or false."
NO_VALUE = "Value of anything-but must be an array or single string/number value."
NO_LITERAL = "Inside anything but list, start|null|boolean is not supported."
NO_TEXT = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
MIXED = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)

# wanted values of a field | why they are refused
REFUSED_VALUES: list[tuple[Any, str]] = [
    ("x", '"field" must be an object or an array'),
    (7, '"field" must be an object or an array'),
    (None, '"field" must be an object or an array'),
    ({}, "Empty objects are not allowed"),
    ([], "Empty arrays are not allowed"),
    ([["x"]], "Match value must be String, number, true, false, or null"),
    ([{}], "Match expression name not found"),
    ([{"starts": "x"}], "Unrecognized match type starts"),
    ([{"Prefix": "x"}], "Unrecognized match type Prefix"),
    ([{"prefix": "a", "suffix": "b"}], ONE_KEY),
    ([{"exactly": 1}], NO_STRING.format("exact")),
    ([{"prefix": 1}], NO_STRING.format("prefix")),
    ([{"prefix": ["a"]}], NO_STRING.format("prefix")),
    ([{"prefix": {}}], "Prefix expression name not found"),
    ([{"prefix": {"suffix": "a"}}], "Unsupported prefix pattern: suffix"),
    (
        [{"prefix": {"equals-ignore-case": 1}}],
        NO_STRING.format("equals-ignore-case"),
    ),
    (
        [{"prefix": {"equals-ignore-case": "a", "b": "c"}}],
        ONE_KEY,
    ),
    ([{"suffix": None}], NO_STRING.format("suffix")),
    ([{"suffix": {}}], "Suffix expression name not found"),
    ([{"suffix": {"wildcard": "a"}}], "Unsupported suffix pattern: wildcard"),
    ([{"equals-ignore-case": ["a"]}], NO_STRING.format("equals-ignore-case")),
    ([{"wildcard": 1}], NO_STRING.format("wildcard")),
    ([{"wildcard": "a**"}], "Consecutive wildcard characters at pos 2"),
    ([{"wildcard": "é**"}], "Consecutive wildcard characters at pos 3"),
    ([{"wildcard": r"ab\c"}], "Invalid escape character at pos 3"),
    ([{"wildcard": "\\"}], "Invalid escape character at pos 1"),
    ([{"exists": "true"}], NO_BOOLEAN),
    ([{"exists": None}], NO_BOOLEAN),
    ([{"exists": True, "x": 1}], ONE_KEY),
    ([{"cidr": 10}], NO_STRING.format("prefix")),
    ([{"cidr": "10.0.0.0"}], "Malformed CIDR, one '/' required"),
    ([{"cidr": "10.0.0.0/8/8"}], "Malformed CIDR, one '/' required"),
    ([{"cidr": "10.0.0.0/x"}], "Malformed CIDR, mask bits must be an integer"),
    ([{"cidr": "10.0.0.0/-1"}], "Malformed CIDR, mask bits must not be negative"),
    ([{"cidr": "10.0.0.0/32"}], "IPv4 mask bits must be < 32"),
    ([{"cidr": "2001:db8::/128"}], "IPv6 mask bits must be < 128"),
    ([{"cidr": "ten.0.0.0/8"}], "Nonstandard IP address: ten.0.0.0"),
    ([{"cidr": "10.0.0.256/8"}], "Invalid IP address: 10.0.0.256"),
    ([{"numeric": 5}], "Value of numeric must be an array."),
    ([{"numeric": []}], "Invalid member in numeric match: ]"),
    ([{"numeric": [5]}], "Invalid member in numeric match: 5"),
    ([{"numeric": ["!=", 5]}], "Unrecognized numeric range operator: !="),
    ([{"numeric": ["=", "5"]}], "Value of equals must be numeric"),
    ([{"numeric": [">"]}], "Value of > must be numeric"),
    ([{"numeric": [">=", None]}], "Value of >= must be numeric"),
    ([{"numeric": ["<", True]}], "Value of < must be numeric"),
    ([{"numeric": ["=", 5, 6]}], TOO_MANY),
    ([{"numeric": ["<", 5, ">", 1]}], TOO_MANY),
    ([{"numeric": [">", 0, 5]}], "Bad value in numeric range: 5"),
    ([{"numeric": [">", 0, ">=", 5]}], "Bad numeric range operator: >="),
    ([{"numeric": [">", 0, "<"]}], "Value of < must be numeric"),
    ([{"numeric": [">", 0, "<", 5, "<"]}], "Too many terms in numeric range expression"),
    ([{"numeric": [">", 5, "<", 5]}], "Bottom must be less than top"),
    ([{"numeric": [">", 2**53 + 1]}], "Cannot compare number : 9007199254740993"),
    ([{"numeric": ["=", 5], "x": 1}], TOO_MANY),
    (
        [{"anything-but": None}],
        NO_VALUE,
    ),
    (
        [{"anything-but": {"prefix": {"equals-ignore-case": "a"}}}],
        NO_VALUE,
    ),
    (
        [{"anything-but": [None]}],
        NO_LITERAL,
    ),
    (
        [{"anything-but": []}],
        MIXED,
    ),
    (
        [{"anything-but": [1, "1"]}],
        MIXED,
    ),
    ([{"anything-but": {}}], "Anything-But expression name not found"),
    ([{"anything-but": {"numeric": [">", 1]}}], "Unsupported anything-but pattern: numeric"),
    ([{"anything-but": {"prefix": 1}}], NO_STRING.format("prefix/suffix")),
    ([{"anything-but": {"prefix": []}}], NO_STRING.format("prefix/suffix")),
    ([{"anything-but": {"prefix": ""}}], "Null prefix/suffix not allowed"),
    ([{"anything-but": {"suffix": ["a", ""]}}], "Null prefix/suffix not allowed"),
    ([{"anything-but": {"wildcard": ["a", None]}}], NO_STRING.format("wildcard")),
    ([{"anything-but": {"wildcard": "a**"}}], "Consecutive wildcard characters at pos 2"),
    (
        [{"anything-but": {"equals-ignore-case": 1}}],
        NO_TEXT,
    ),
    ([{"anything-but": "a", "x": 1}], TOO_MANY),
    ([{"anything-but": {"prefix": "a", "suffix": "b"}}], TOO_MANY),
]


@pytest.mark.parametrize(("wanted", "reason"), REFUSED_VALUES, ids=str)
def test_refused_values(wanted: object, reason: str) -> None:
    message = refusal({"detail": {"field": wanted}})
    assert message == f"Event pattern is not valid. Reason: {reason}"


AT = "Unexpected character ({}): {}"
NAME = "was expecting double-quote to start field name"
COLON = "was expecting a colon to separate field name and value"
COMMA = "was expecting comma to separate {} entries"
END = "Unexpected end-of-input{}"
WORD = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
NAN = "enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
CONTROL = "has to be escaped using backslash to be included in string value"
UNCLOSED = ": expected close marker for Object (start marker at [Source: (String){}])"
MISMATCH = "Unexpected close marker '}}': expected ']' (for Array starting at [Source: (String){})"
INCOMPARABLE = "Cannot compare number : 1e-99999999999999999999"
OR_TYPE = "Only JSON object is allowed in array of $or relationship."
OR_COUNT = "There must have at least 2 Objects in $or relationship."
OR_NAME = "prefix is Ruler reserved fieldName which cannot be used inside $or."

DEPTH = "Document nesting depth (1001) exceeds the maximum allowed (1000)"

# pattern | why it is refused
REFUSED_PATTERNS = [
    ("{}", "Empty objects are not allowed"),
    ('{"$or": {"a": [1]}}', "It must be an Array followed with $or."),
    ('{"$or": [{"a": [1]}]}', OR_COUNT),
    ('{"$or": []}', OR_COUNT),
    ('{"$or": [{"a": [1]}, "b"]}', OR_TYPE),
    ('{"$or": [{"a": [1]}, {}]}', "Empty objects are not allowed"),
    ('{"$or": [{"a": [1]}, {"b": {"prefix": ["x"]}}]}', OR_NAME),
    # No object, or no JSON.
    ('["a"]', "Filter is not an object"),
    ('"a"', "Filter is not an object"),
    ("", "Filter is not an object"),
    ("order created", f"Unrecognized token 'order': was expecting {WORD}"),
    ('{"a": [True]}', f"Unrecognized token 'True': was expecting {WORD}"),
    ('{"a": [NaN]}', f"Non-standard token 'NaN': {NAN}"),
    ('{"a": [+1]}', AT.format("'+' (code 43)", f"expected a valid value {WORD}")),
    ("{a: [1]}", AT.format("'a' (code 97)", NAME)),
    ("{“a”: [1]}", AT.format("'“' (code 8220 / 0x201c)", NAME)),
    ('{"a": [1],}', AT.format("'}' (code 125)", NAME)),
    ('{"a" [1]}', AT.format("'[' (code 91)", COLON)),
    ('{"a": [1 2]}', AT.format("'2' (code 50)", COMMA.format("Array"))),
    ('{"a": [1] "b": [1]}', AT.format("'\"' (code 34)", COMMA.format("Object"))),
    ('{"a": [1}', MISMATCH.format('"{"a": [1}"; line: 1, column: 7]')),
    ('{\n"a": [1]', END.format(UNCLOSED.format('"{\n"a": [1]"; line: 1, column: 1'))),
    ('{"a"', END.format(" within/between Object entries")),
    ('{"a": [1,', END.format(" within/between Array entries")),
    ('{"a', END.format(" in field name")),
    ('{"a": ["b', END.format(": was expecting closing quote for a string value")),
    (r'{"a": ["\x"]}', "Unrecognized character escape 'x' (code 120)"),
    ('{"a": ["\t"]}', f"Illegal unquoted character ((CTRL-CHAR, code 9)): {CONTROL}"),
    ('{"a": [{"numeric": ["<", 1e999]}]}', "Cannot compare number : 1e999"),
    ('{"a": [{"anything-but": 1e-99999999999999999999}]}', INCOMPARABLE),
    ('{"a":' * 5000, "It is longer than 4096 characters"),
    ('{"a":[{"anything-but":' + "[" * 998, DEPTH),
    # The first error is reported.
    ('{"a": "b"', '"a" must be an object or an array'),
    ('{"a": [{"prefix": 1}], b', "prefix match pattern must be a string"),
]


@pytest.mark.parametrize(("pattern", "reason"), REFUSED_PATTERNS, ids=lambda text: text[:60])
def test_refused_patterns(pattern: str, reason: str) -> None:
    assert refusal(pattern) == f"Event pattern is not valid. Reason: {reason}"


def test_the_last_of_repeated_keys_counts() -> None:
    pattern = compile_pattern('{"a": [1], "b": [1], "a": [2]}')
    assert pattern.matches({"a": 2, "b": 1})
    assert not pattern.matches({"a": 1, "b": 1})


def test_escapes_in_json_text_are_read() -> None:
    assert compile_pattern(r'{"\u0061": ["\u00e9\n\"\\"]}').matches({"a": 'é\n"\\'})


def test_a_pattern_matches_many_events() -> None:
    pattern = compile_pattern({"detail": {"total": [{"numeric": [">=", 1000]}]}})
    totals = [999.99, 1000, 1000.01]
    assert [pattern.matches({"detail": {"total": total}}) for total in totals] == [
        False,
        True,
        True,
    ]


def test_long_lists_that_fail_late_are_fast() -> None:
    many = list(range(2000))
    pattern = {"a": [{"anything-but": -1}], "b": [{"exists": True}], "c": [-1]}
    assert not compile_pattern(pattern).matches({"a": many, "b": many, "c": many})


SIMPLE_TEXT = st.text("ab*", max_size=8)


@settings(database=None)
@given(SIMPLE_TEXT, SIMPLE_TEXT)
def test_a_wildcard_matches_as_the_regular_expression_does(wildcard: str, value: str) -> None:
    wildcard = re.sub(r"\*+", "*", wildcard)
    expected = re.fullmatch(wildcard.replace("*", ".*"), value) is not None
    assert compile_pattern({"x": [{"wildcard": wildcard}]}).matches({"x": value}) is expected


WORDS = st.sampled_from(["$or", "a", "b.c", "prefix", "numeric", "anything-but", "cidr", ">", "*"])
JSON = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(0, 3) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@settings(database=None)
@given(JSON.map(json.dumps) | st.text('{}[]":,\\ 01eE-.tnu', max_size=30), JSON)
def test_any_text_is_compiled_or_refused_with_a_reason(text: str, event: Any) -> None:
    with contextlib.suppress(InvalidPattern):
        assert isinstance(compile_pattern(text).matches({"a": event}), bool)
