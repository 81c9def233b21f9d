"""Event patterns, matched as Amazon EventBridge matches them.

A pattern is compiled once, to rules (``$or`` multiplied out) of conditions on dotted field names.
`tokens` reads its JSON, `operators` compiles conditions, `rules` matches an event.

Source: "Comparison operators for use in event patterns" in the EventBridge User Guide; for details
that it omits, the open source matcher aws/event-ruler.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from infra.patterns.complexity import check_complexity
from infra.patterns.numbers import number_of
from infra.patterns.operators import Condition, Test, expression, ip_address, is_absent, one_of
from infra.patterns.rules import Rule
from infra.patterns.tokens import InvalidPattern, Recorder, Tokens, take, tokens_of, until

MAX_CHARACTERS = 4096
"""Maximum length of a pattern as JSON text (EventBridge API Reference, PutRule and
TestEventPattern)."""

MAX_COMBINATIONS = 1000
"""Maximum number of rules after ``$or`` is multiplied out (EventBridge User Guide, Comparison
operators)."""

_Conditions: TypeAlias = dict[str, Condition]


class Pattern:
    """A compiled event pattern: at least one of its rules must hold.

    ``text`` is its JSON text, and ``rules`` are its alternatives (`infra.patterns.explain`).
    """

    def __init__(self, rules: list[Rule], text: str) -> None:
        self.rules = rules
        self.text = text

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Return whether the event, parsed from JSON, matches the pattern.

        The time is proportional to the size of the event and to the number of rules.

        Raises
        ------
        TooComplexEvent
            Keys of the event overlap in too many ways to search.
        """
        fields = event if isinstance(event, dict) else dict(event)
        for rule in self.rules:  # noqa: SIM110 - `any` takes three times as long for one rule
            if rule.matches(fields):
                return True
        return False


def compile_pattern(pattern: str | Mapping[str, Any]) -> Pattern:
    """Compile a pattern from JSON text or from a parsed JSON object.

    Raises
    ------
    InvalidPattern
        EventBridge refuses the pattern; the message is the first line of EventBridge's, if known.
    """
    text = pattern if isinstance(pattern, str) else _to_text(pattern)
    if len(text) > MAX_CHARACTERS:
        raise InvalidPattern(f"It is longer than {MAX_CHARACTERS} characters")
    tokens = tokens_of(text)
    take(tokens, "{", "Filter is not an object")
    alternatives = _object(tokens, "", [{}], inside_or=False)
    wildcards = {condition.wildcards for found in alternatives for condition in found.values()}
    for texts in wildcards:
        check_complexity(texts)
    return Pattern([Rule(conditions) for conditions in alternatives], text)


def _to_text(pattern: Mapping[str, Any]) -> str:
    return json.dumps(pattern, ensure_ascii=False, separators=(",", ":"))


_RESERVED_IN_OR = frozenset(
    {"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard"}
    | {"numeric", "cidr", "html", "regex", "not-wildcard", "not-equals-ignore-case"}
    | {"=", "<", "<=", ">", ">="}
    | {"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"}
    | {"ip-address-in-range", "ip-address-not-in-range"}
)


def _object(
    tokens: Tokens, prefix: str, alternatives: list[_Conditions], *, inside_or: bool
) -> list[_Conditions]:
    """Add the conditions of an object to each alternative; return the resulting alternatives."""
    empty = True
    for _, key in until(tokens, "}"):
        empty = False
        if key == "$or":
            alternatives = _or(tokens, prefix, alternatives)
            continue
        if inside_or and key in _RESERVED_IN_OR:
            raise InvalidPattern(
                f"{key} is Ruler reserved fieldName which cannot be used inside $or."
            )
        opening = next(tokens).kind
        if opening == "{":
            alternatives = _object(tokens, f"{prefix}{key}.", alternatives, inside_or=inside_or)
        elif opening == "[":
            condition = _condition(tokens)
            for conditions in alternatives:
                conditions[prefix + key] = condition
        else:
            raise InvalidPattern(f'"{key}" must be an object or an array')
    if empty:
        raise InvalidPattern("Empty objects are not allowed")
    return alternatives


def _or(tokens: Tokens, prefix: str, alternatives: list[_Conditions]) -> list[_Conditions]:
    take(tokens, "[", "It must be an Array followed with $or.")
    multiplied: list[_Conditions] = []
    branches = 0
    for kind, _ in until(tokens, "]"):
        if kind != "{":
            raise InvalidPattern("Only JSON object is allowed in array of $or relationship.")
        branches += 1
        copies = [dict(conditions) for conditions in alternatives]
        multiplied += _object(tokens, prefix, copies, inside_or=True)
        if len(multiplied) > MAX_COMBINATIONS:
            raise InvalidPattern(f"$or makes more than {MAX_COMBINATIONS} rule combinations")
    if branches <= 1:
        raise InvalidPattern("There must have at least 2 Objects in $or relationship.")
    return multiplied


def _condition(tokens: Tokens) -> Condition:
    literals: list[object] = []
    tests: list[Test] = []
    wildcards: list[str] = []
    recorder = Recorder(tokens)
    recorded = recorder.tokens()
    for kind, text in until(recorded, "]"):
        match kind:
            case "{":
                tests.append(expression(recorded, wildcards))
            case "string":
                literals.append(text)
                if (same_address := ip_address(text)) is not None:
                    tests.append(same_address)
            case "number":
                literals.append(int(text) if _is_integer(text) else number_of(text))
            case "constant":
                literals.append(json.loads(text))
            case _:
                raise InvalidPattern("Match value must be String, number, true, false, or null")
    if literals:
        tests.insert(0, one_of(literals))
    if not tests:
        raise InvalidPattern("Empty arrays are not allowed")
    accepts = tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)
    return Condition(accepts, is_absent in tests, f"[{recorder.text()}", tuple(wildcards))


def _is_integer(text: str) -> bool:
    return text.lstrip("-").isdecimal()
