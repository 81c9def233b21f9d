"""6,000 random patterns and events against an independent reading of the documentation."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

from infra.patterns import Pattern, compile_pattern
from tests.fakes.pattern_reading import matches

PAIRS = 6_000
LONGEST = 0.05
"""Seconds that a compilation and a match may take."""

NAMES = ("a", "b", "c")
TEXTS = ("", "a", "ab", "AB", "b.csv", "10.0.0.1", "10.0.0.9", "2001:db8::1")
NUMBERS = (-2, 0, 1, 1.5, 3, 1e9)


def test_random_patterns_match_as_documented_and_in_time() -> None:
    chance = random.Random(16)
    met, slow = 0, []
    for number in range(PAIRS):
        pattern, event = a_pattern(chance, 2), an_event(chance)
        seconds, found = timed(pattern, event)
        assert found == matches(pattern, event), json.dumps([number, pattern, event])
        met += found
        if seconds > LONGEST:  # the machine may be busy: the shortest of five counts
            seconds = min(timed(pattern, event)[0] for _ in range(5))
            slow += [pattern] if seconds > LONGEST else []
    assert slow == []
    assert PAIRS / 20 < met < PAIRS / 2  # both answers are tested


def timed(pattern: dict[str, Any], event: dict[str, Any]) -> tuple[float, bool]:
    """Return the processor's seconds of a compilation and a match, and the answer."""
    begin = time.process_time()
    compiled: Pattern = compile_pattern(pattern)
    found = compiled.matches(event)
    return time.process_time() - begin, found


def a_pattern(chance: random.Random, depth: int) -> dict[str, Any]:
    """Return a pattern of one to three fields, some of them nested or alternatives."""
    pattern: dict[str, Any] = {}
    for name in chance.sample(NAMES, chance.randint(1, 3 if depth else 2)):
        nested = depth and chance.random() < 0.4
        pattern[name] = a_pattern(chance, depth - 1) if nested else some_wanted(chance)
    if depth and chance.random() < 0.2:
        pattern["$or"] = [a_pattern(chance, depth - 1) for _ in range(chance.randint(2, 3))]
    return pattern


def some_wanted(chance: random.Random) -> list[Any]:
    """Return accepted values of a field."""
    return [chance.choice(OPERATORS)(chance) for _ in range(chance.randint(1, 3))]


def an_event(chance: random.Random) -> dict[str, Any]:
    """Return an event with nested objects and lists."""
    names = [*NAMES, "a.b"] if chance.random() < 0.1 else NAMES
    return {name: a_value(chance, 3) for name in names if chance.random() < 0.85}


def a_value(chance: random.Random, depth: int) -> Any:
    """Return a JSON value."""
    kind = chance.random()
    if depth and kind < 0.3:
        return {name: a_value(chance, depth - 1) for name in NAMES if chance.random() < 0.7}
    if depth and kind < 0.5:
        return [a_value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return a_literal(chance)


def a_literal(chance: random.Random) -> Any:
    """Return a text, a number or a constant."""
    return chance.choice(chance.choice((TEXTS, NUMBERS, (True, False, None))))


def text_operator(chance: random.Random) -> dict[str, Any]:
    """Return a comparison of texts."""
    name = chance.choice(("prefix", "suffix", "exactly", "equals-ignore-case"))
    text: Any = chance.choice(TEXTS)
    if name in {"prefix", "suffix"} and chance.random() < 0.3:
        text = {"equals-ignore-case": text}
    return {name: text}


def numeric(chance: random.Random) -> dict[str, Any]:
    """Return a comparison of numbers, with one bound or two."""
    if chance.random() < 0.5:
        return {"numeric": [chance.choice(("=", "<", "<=", ">", ">=")), chance.choice(NUMBERS)]}
    low, top = sorted(chance.sample(NUMBERS, 2))
    return {"numeric": [chance.choice((">", ">=")), low, chance.choice(("<", "<=")), top]}


def anything_but(chance: random.Random) -> dict[str, Any]:
    """Return an exclusion of values or of an operator's texts."""
    texts = chance.sample(TEXTS[1:], 2)
    name = chance.choice(("prefix", "suffix", "wildcard", "equals-ignore-case"))
    choices = (texts, texts[0], chance.sample(NUMBERS, 2), 1, {name: texts}, {name: texts[0]})
    return {"anything-but": chance.choice(choices)}


def wildcard(chance: random.Random) -> dict[str, Any]:
    """Return a wildcard of at most two stars."""
    return {"wildcard": chance.choice(("*", "a*", "*b", "a*b", "*.*", "*b*v", "1*0*9"))}


def cidr(chance: random.Random) -> dict[str, Any]:
    """Return a block of addresses, which may have host bits."""
    v4, v6 = f"10.0.0.9/{chance.randint(0, 31)}", f"2001:db8::9/{chance.randint(0, 127)}"
    return {"cidr": chance.choice((v4, v6))}


OPERATORS: tuple[Callable[[random.Random], Any], ...] = (
    *(a_literal, a_literal, text_operator, numeric, anything_but, wildcard, cidr),
    lambda chance: {"exists": chance.random() < 0.5},
)
