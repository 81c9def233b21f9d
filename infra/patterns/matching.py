"""Event patterns, matched as Amazon EventBridge matches them.

A pattern is compiled once, to alternatives (`$or` multiplied out) of conditions on dotted field
names. `tokens` reads its JSON, `operators` holds what a condition can say.

Source: "Comparison operators for use in event patterns" in the EventBridge User Guide; where it is
silent, the open source matcher aws/event-ruler.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple, TypeAlias

from infra.patterns.operators import Test, expression, ip_address, is_absent, one_of
from infra.patterns.tokens import InvalidPattern, Tokens, take, tokens_of, until

# In which element of which arrays a value stands.
_Place: TypeAlias = dict[int, int]
_Found: TypeAlias = dict[str, list[tuple[object, _Place]]]


class _Condition(NamedTuple):
    """What one field must be: a value that the test accepts, or absent where that is allowed."""

    accepts: Test
    may_be_absent: bool


_Rule: TypeAlias = dict[str, _Condition]


class Pattern:
    """A compiled event pattern: one of its rules must hold, each a condition by field name."""

    def __init__(self, rules: list[_Rule]) -> None:
        self._rules = [(_at_the_top(rule), sorted(rule.items())) for rule in rules]
        self._fields = _Field()
        for name in {name for rule in rules for name in rule}:
            self._fields.add(name)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether the event, as parsed from JSON, meets the pattern."""
        rules = [rule for top, rule in self._rules if not _is_ruled_out(top, event)]
        if not rules:
            return False
        found: _Found = {}
        self._fields.collect(dict(event), found, {}, count())
        return any(_holds(rule, found, 0, {}) for rule in rules)


def compile_pattern(pattern: str | Mapping[str, Any]) -> Pattern:
    """The pattern ready to match, from JSON text or from what such text parses to.

    Raises InvalidPattern.
    """
    text = pattern if isinstance(pattern, str) else json.dumps(pattern, ensure_ascii=False)
    tokens = tokens_of(text)
    take(tokens, "{", "Filter is not an object")
    try:
        return Pattern(_object(tokens, "", [{}], inside_or=False))
    except RecursionError:
        raise InvalidPattern("Document nesting depth exceeds the maximum allowed") from None


def _at_the_top(rule: _Rule) -> list[tuple[str, _Condition]]:
    return [(name, condition) for name, condition in rule.items() if "." not in name]


def _is_ruled_out(conditions: list[tuple[str, _Condition]], event: Mapping[str, Any]) -> bool:
    """Whether text at the top of the event, such as its source, is none that a rule takes.

    That is how most events miss most rules, and needs no look at anything else of them.
    """
    for name, condition in conditions:
        value = event.get(name)
        if isinstance(value, str) and not condition.accepts(value):
            return True
    return False


class _Field:
    """A step of the names that the pattern speaks of; nothing else of an event is looked at."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.steps: dict[str, _Field] = {}

    def add(self, name: str) -> None:
        field = self
        for step in name.split("."):
            field = field.steps.setdefault(step, _Field())
        field.name = name

    def step(self, key: str) -> "_Field | None":
        field = self.steps.get(key)
        if field is None and "." in key:  # the key "a.b" is the same field as "b" inside "a"
            first, _, rest = key.partition(".")
            field = self.steps.get(first)
            return field.step(rest) if field else None
        return field

    def collect(self, value: object, found: _Found, place: _Place, arrays: Iterator[int]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                field = self.step(key)
                if field is not None:
                    field.collect(inner, found, place, arrays)
        elif isinstance(value, list):
            array = next(arrays)
            for index, inner in enumerate(value):
                nested = isinstance(inner, (dict, list))
                self.collect(inner, found, {**place, array: index} if nested else place, arrays)
        elif self.name is not None:
            found.setdefault(self.name, []).append((value, place))


def _holds(rule: list[tuple[str, _Condition]], found: _Found, at: int, place: _Place) -> bool:
    """Whether the conditions from `at` on hold, in the array elements that `place` settles on.

    Met in different elements of one array they do not: "JSON Array Matching", event-ruler's README.
    """
    if at == len(rule):
        return True
    name, condition = rule[at]
    absent = True
    tried = set()
    for value, where in found.get(name, ()):
        if any(place.get(array, index) != index for array, index in where.items()):
            continue
        absent = False
        if condition.accepts(value):
            merged = {**place, **where}
            key = frozenset(merged.items())
            if key not in tried and _holds(rule, found, at + 1, merged):
                return True
            tried.add(key)
    return absent and condition.may_be_absent and _holds(rule, found, at + 1, place)


_RESERVED_IN_OR = frozenset(
    {"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard"}
    | {"numeric", "cidr", "html", "regex", "not-wildcard", "not-equals-ignore-case"}
    | {"=", "<", "<=", ">", ">="}
    | {"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"}
    | {"ip-address-in-range", "ip-address-not-in-range"}
)


def _object(tokens: Tokens, prefix: str, rules: list[_Rule], *, inside_or: bool) -> list[_Rule]:
    empty = True
    for _, key in until(tokens, "}"):
        empty = False
        if key == "$or":
            rules = _or(tokens, prefix, rules)
            continue
        if inside_or and key in _RESERVED_IN_OR:
            raise InvalidPattern(
                f"{key} is Ruler reserved fieldName which cannot be used inside $or."
            )
        opening = next(tokens).kind
        if opening == "{":
            rules = _object(tokens, f"{prefix}{key}.", rules, inside_or=inside_or)
        elif opening == "[":
            condition = _condition(tokens)
            rules = [{**rule, prefix + key: condition} for rule in rules]
        else:
            raise InvalidPattern(f'"{key}" must be an object or an array')
    if empty:
        raise InvalidPattern("Empty objects are not allowed")
    return rules


def _or(tokens: Tokens, prefix: str, rules: list[_Rule]) -> list[_Rule]:
    take(tokens, "[", "It must be an Array followed with $or.")
    branches = []
    for kind, _ in until(tokens, "]"):
        if kind != "{":
            raise InvalidPattern("Only JSON object is allowed in array of $or relationship.")
        branches.append(_object(tokens, prefix, rules, inside_or=True))
    if len(branches) <= 1:
        raise InvalidPattern("There must have at least 2 Objects in $or relationship.")
    return [rule for branch in branches for rule in branch]


def _condition(tokens: Tokens) -> _Condition:
    literals: list[object] = []
    tests: list[Test] = []
    for kind, text in until(tokens, "]"):
        match kind:
            case "{":
                tests.append(expression(tokens))
            case "string":
                literals.append(text)
                if (same_address := ip_address(text)) is not None:
                    tests.append(same_address)
            case "number" | "constant":
                literals.append(json.loads(text))
            case _:
                raise InvalidPattern("Match value must be String, number, true, false, or null")
    if literals:
        tests.insert(0, one_of(literals))
    if not tests:
        raise InvalidPattern("Empty arrays are not allowed")
    accepts = tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)
    return _Condition(accepts, may_be_absent=is_absent in tests)
