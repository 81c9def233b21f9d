"""Numbers that no double holds, and wildcards that are too complex."""

import json
import time
from typing import Any

import pytest

from infra.patterns import InvalidPattern, compile_pattern, has_fine_number, read_event
from kernel.json_text import InvalidJSON


def meets(wanted: Any, literal: str) -> bool:
    """Return whether a number, written as ``literal`` in the event, meets the wanted values."""
    return compile_pattern({"n": wanted}).matches(read_event(f'{{"n": {literal}}}'))


@pytest.mark.parametrize(
    "literal",
    ["1.0000000000000001", "9007199254740993", "12345678901234567890123", "1e400", "1e-400"],
)
def test_a_number_that_no_double_holds_is_not_compared(literal: str) -> None:
    assert has_fine_number(literal) or literal == "1e400"  # `read` refuses infinity
    assert not meets([{"numeric": [">", 0]}], literal)
    assert not meets([{"numeric": ["=", 1]}], literal)
    assert not meets([1], literal)
    assert meets([{"exists": True}], literal)
    assert meets([{"anything-but": [1]}], literal)


@pytest.mark.parametrize("literal", ["1.0000000000000001", "1e-400", "-2.5E-301", "0.1e-0400"])
@pytest.mark.parametrize(
    "text", ["{}", "[{}]", "[1,{}]", '{{"n":{}}}', '{{"n": {}}}', '{{"n":\n{}}}']
)
def test_a_fine_number_is_seen_at_each_place_of_a_document(text: str, literal: str) -> None:
    assert has_fine_number(text.format(literal))
    assert has_fine_number(text.format(literal).encode())


@pytest.mark.parametrize("last", ["5f7e-5123", "00e-000", "a1e-1234"])
def test_an_id_is_no_fine_number(last: str) -> None:
    """A number of this form would make each such event slow to read."""
    assert not has_fine_number(json.dumps({"charge_id": f"936340c9-{last}-8318", "total": 1.5}))


@pytest.mark.parametrize("literal", ["1.0000000000000001", "9007199254740993", "1e400"])
def test_a_number_that_no_double_holds_equals_its_own_text(literal: str) -> None:
    pattern = compile_pattern(f'{{"n": [{literal}]}}')
    assert pattern.matches(read_event(f'{{"n": {literal}}}'))
    assert not pattern.matches(read_event('{"n": 1}'))
    assert not pattern.matches(read_event('{"n": 9007199254740992}'))


@pytest.mark.parametrize("literal", ["0.1", "1e22", "9007199254740994", "123456789.12", "-1.5E-3"])
def test_a_number_that_a_double_holds_is_compared(literal: str) -> None:
    assert meets([{"numeric": ["=", json.loads(literal)]}], literal)
    assert meets([json.loads(literal)], literal)


@pytest.mark.parametrize("text", ["NaN", "[1", "{'a': 1}", "[" * 2_000, "-Infinity", ""])
def test_text_that_is_no_json_is_no_event(text: str) -> None:
    with pytest.raises(InvalidJSON):
        read_event(text)


@pytest.mark.parametrize(
    "wanted",
    [
        [{"wildcard": "*a" * 8}],
        [{"wildcard": "*".join("abcdefghijkl")}],
        [{"anything-but": {"wildcard": ["*aaaaaaaaaaaa"]}}],
        [{"wildcard": f"*{letter}*x"} for letter in "abcdef"],
        [{"wildcard": "*ab" * 1_000}],
    ],
    ids=lambda wanted: json.dumps(wanted)[:40],
)
def test_complex_wildcards_are_refused_with_the_message_of_aws(wanted: Any) -> None:
    begin = time.process_time()
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern({"detail": {"name": wanted}})
    seconds = time.process_time() - begin
    assert str(refused.value) == (
        "Event pattern is not valid. Reason: Rule is too complex - try using fewer wildcard"
        " characters or fewer repeating character sequences after a wildcard character"
    )
    assert seconds < 0.5


@pytest.mark.parametrize(
    "wanted",
    [
        [{"wildcard": "prod-*-orders-*.csv"}, {"wildcard": "test-*"}],
        [{"wildcard": "*/images/*.png"}],
        [{"anything-but": {"wildcard": ["*/bin/*", "*/lib/*"]}}],
        [{"wildcard": r"\*\*\*\*\*\*\*\*\*\*\*\*"}],
        [{"wildcard": "*" + "".join(map(chr, range(0x400, 0x7D0)))}],
    ],
    ids=lambda wanted: json.dumps(wanted)[:40],
)
def test_usual_wildcards_are_accepted(wanted: Any) -> None:
    compile_pattern({"detail": {"name": wanted}})


def test_a_syntax_error_is_named_before_the_complexity() -> None:
    with pytest.raises(InvalidPattern, match="Unexpected end-of-input"):
        compile_pattern('{"a": [{"wildcard": "*a*a*a*a*a*a*a*a*a*a*a"}]')
