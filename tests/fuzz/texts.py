"""Any JSON, as text and as values: deep, wide, long, with huge numbers and odd characters.

Texts are generated rather than values, because a repeated name, a number of 400 digits and a lone
surrogate exist in text alone.
"""

import json
from typing import Any

from hypothesis import strategies as st

from kernel import json_text
from tests.strategies import nested

DEPTHS = (5, 100, 249, 252, 254, 255, 300, 990, 998, 999, 1_000, 1_001, 1_025, 5_000)
"""Levels around the limits of orjson (254 written, 1,024 read) and of `MAX_DEPTH` (1,000)."""

numbers = (
    st.sampled_from(
        ["0", "-0", "0.1", "1E+2", "-1.5", "999.99999999999999999", "1e-400", "5e-324"]
        + ["1e308", "1.7976931348623157e308", "1e400", "-1e400", "18446744073709551615"]
        + ["18446744073709551616", "-9223372036854775809", "12345678901234567890123"]
        + ["9" * 308, "9" * 309, "9" * 400, "9" * 5_000, "-" + "9" * 400, f"0.{'3' * 400}"]
        + ["1e" + "9" * 400, "9007199254740993", "99999999", "2147483648", "1e16"]
    )
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
)
"""JSON numbers; those beyond a double are refused."""

strings = st.sampled_from(
    ['""', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"']
    + ['"\U0001f600"', '"\ufeff"', '"\\u2028\u2029"', '"\u202eabc"', '"e\\u0301"', '"\\u001b[0m"']
    + ['"\\\\"', '"\\""', '"\'"', '"[/x]"', '"{}"', '"$.a"', '"$$"', '"null"', '"1e5"', '"/"']
    + ['"2026-01-31T12:00:00Z"', '"9999-12-31T23:59:59-23:59"', '"' + "x" * 11_000 + '"']
    + ['"' + "\\u0001" * 2_000 + '"', '"' + "\U0001f600" * 3_000 + '"', '"' + "[" * 2_000 + '"']
) | st.text(max_size=8).map(json.dumps)
"""JSON strings; a lone surrogate is refused."""

names = st.sampled_from(
    ['"a"', '"b"', '"order_id"', '"detail"', '"items"', '"metadata"', '""', '"a.b"', '"a.$"', '"é"']
    + [
        '"\\u0000"',
        '"\\ud800"',
        '"$.x"',
        '"resume"',
        '"id"',
        '"replay-name"',
        '"Entries"',
        '"wait"',
    ]
) | st.text(max_size=4).map(json.dumps)

scalars = numbers | strings | st.sampled_from(["null", "true", "false"])


def _array(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def _object(fields: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:{value}" for name, value in fields) + "}"


def _small(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=4).map(_array) | st.lists(
        st.tuples(names, inner), max_size=4
    ).map(_object)


small = st.recursive(scalars, _small, max_leaves=8)
"""JSON text of a few values; a name may occur twice."""

deep = st.builds(
    nested,
    st.sampled_from(DEPTHS) | st.integers(1, 1_100),
    st.sampled_from(["[", '{"a":', '{"detail":', '{"order_id":']),
    small,
)
"""JSON text of a few values within many levels."""

wide = st.builds(
    lambda text, count, within: within % _array([text] * min(count, 60_000 // len(text) + 1)),
    scalars | st.sampled_from(["[]", "{}", '{"a":1}', "[[[0]]]"]),
    st.sampled_from([10, 100, 5_000]),
    st.sampled_from(["%s", '{"a":%s}', '{"items":%s}', '{"a":{"b":%s}}', "[%s]"]),
)
"""JSON text of many values on one level."""

many_names = st.builds(
    lambda count, value: _object([(f'"k{number}"', value) for number in range(count)]),
    st.sampled_from([10, 1_000]),
    st.sampled_from(["1", "null", '"x"', "[]"]),
)

no_json = st.sampled_from(
    ["", " ", "{", "[1,", '{"a":}', "NaN", "[Infinity]", "01", "'a'", '{"a":1}{}', "\ufeff{}", "+1"]
    + ['{"a":1,}', '"\t"', '"\\x"', "nul", "1.", ".5", "\x00", "[" * 3_000, "﻿1", "{a:1}"]
)

texts = st.one_of(small, small, deep, wide, many_names, no_json)
"""Any JSON text, and a few texts that are not JSON."""

objects = st.one_of(
    st.lists(st.tuples(names, small), max_size=6).map(_object),
    st.lists(st.tuples(names, deep), min_size=1, max_size=2).map(_object),
    wide.map(lambda text: _object([('"a"', text)])),
    many_names,
)
"""Any JSON text of an object."""


def is_taken(text: str) -> bool:
    """Return whether a text is accepted as JSON."""
    try:
        json_text.read(text)
    except json_text.InvalidJSON:
        return False
    return True


values: st.SearchStrategy[Any] = texts.filter(is_taken).map(json_text.read)
"""Any value that is accepted."""

REPORTED = (
    *(nested(levels, '{"a":') for levels in (249, 252, 255, 300, 999, 1_000, 1_001)),
    *('{"a":18446744073709551616}', '{"a":"18446744073709551616"}', '{"a":1e400}', '{"a":NaN}'),
    *('{"a":999.99999999999999999}', '{"a":"\\ud800"}', '{"a":"\\u0000"}', '{"a":{"a":1},"a":2}'),
    *('{"a":null}', '{"a":[5]}', '{"a":5}', '{"a":"x"}', "5", "null", '"x"', "[1]", ""),
)
"""Fixed examples of every input; users of similar systems reported faults with such texts."""

REPORTED_VALUES = tuple(json_text.read(text) for text in REPORTED if is_taken(text))
