"""Explain a pattern's verdict on an event: each condition, the wanted and the found values.

The alternatives that ``$or`` makes are explained one by one, the nearest to a match first. The
conditions of an alternative are added to a rule in the order of their names, and a condition holds
if the rule still matches. So an alternative without a failed condition matches, and the reverse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.patterns.matching import Pattern
from infra.patterns.rules import Rule

if TYPE_CHECKING:
    from infra.patterns.operators import Condition

SHOWN = 3
"""Maximum number of found values of a list in words."""

LONGEST = 60
"""Maximum characters of a found value in words."""

ABSENT = "nothing"

_AFFIXES = {"prefix": "text that begins with", "suffix": "text that ends with"}
_LEADS = {"wildcard": "text like", "cidr": "an IP address in", "exactly": "exactly"}


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """One condition of a pattern: its field, the wanted and the found values in words."""

    field: str
    wanted: str
    found: str
    holds: bool

    def __str__(self) -> str:
        return f"`{self.field}` wants {self.wanted}, has {self.found}"


@dataclass(frozen=True, slots=True)
class Alternative:
    """Conditions that must hold together."""

    conditions: tuple[ConditionResult, ...]

    @property
    def failed(self) -> tuple[ConditionResult, ...]:
        """The conditions that do not hold."""
        return tuple(condition for condition in self.conditions if not condition.holds)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The alternatives of a pattern for an event, those with the fewest failed conditions first."""

    alternatives: tuple[Alternative, ...]

    @property
    def matches(self) -> bool:
        """Whether all conditions of an alternative hold, which means that the pattern matches."""
        return not self.alternatives[0].failed

    @property
    def failed(self) -> tuple[ConditionResult, ...]:
        """The failed conditions of the nearest alternative."""
        return self.alternatives[0].failed


def explain(pattern: Pattern, event: Mapping[str, Any]) -> Explanation:
    """Return each condition of a pattern with the event's values.

    Raises
    ------
    TooComplexEvent
        Keys of the event overlap in too many ways to search.
    """
    fields = dict(event)
    alternatives = [_alternative(rule, fields) for rule in pattern.rules]
    return Explanation(tuple(sorted(alternatives, key=lambda each: len(each.failed))))


def _alternative(rule: Rule, event: dict[str, Any]) -> Alternative:
    whole = rule.matches(event)
    met: dict[str, Condition] = {}
    results = []
    for name, condition in sorted(rule.conditions.items()):
        holds = whole or Rule({**met, name: condition}).matches(event)
        if holds:
            met[name] = condition
        found = _found(event, name)
        if not holds and met and Rule({name: condition}).matches(event):
            found += ", but not in the list element that meets the other conditions"
        results.append(ConditionResult(name, in_words(condition.text), found, holds))
    return Alternative(tuple(results))


def in_words(text: str) -> str:
    """Return the accepted values of a condition, such as ``>= 1000``, from its JSON."""
    accepted = json.loads(text)
    literals = [each for each in accepted if not isinstance(each, dict)]
    parts = []
    if literals:
        listed = ", ".join(map(_text, literals))
        parts.append(listed if len(literals) == 1 else f"one of {listed}")
    parts += [_expression(*each.popitem()) for each in accepted if isinstance(each, dict)]
    return " or ".join(parts)


def _expression(name: str, value: Any) -> str:
    match name:
        case "numeric":
            pairs = zip(value[::2], value[1::2], strict=True)
            words = " and ".join(f"{sign} {bound}" for sign, bound in pairs)
        case "exists":
            words = "any value" if value else "no value"
        case "anything-but":
            words = f"anything but {_excluded(value)}"
        case "prefix" | "suffix":
            folded = isinstance(value, dict)
            shown = value["equals-ignore-case"] if folded else value
            words = f"{_AFFIXES[name]} {_text(shown)}{' in any case' * folded}"
        case "equals-ignore-case":
            words = f"{_text(value)} in any case"
        case _:
            words = f"{_LEADS[name]} {value if name == 'cidr' else _text(value)}"
    return words


def _excluded(value: Any) -> str:
    if isinstance(value, dict):
        name, inner = next(iter(value.items()))
        values = inner if isinstance(inner, list) else [inner]
        return " or ".join(_expression(name, each) for each in values)
    return ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)


def _found(event: Mapping[str, Any], name: str) -> str:
    """Return the values of a dotted field in words."""
    values = values_at(event, name)
    if not values:
        return ABSENT
    shown = ", ".join(_text(value) for value in values[:SHOWN])
    return f"{shown} and {len(values) - SHOWN} more" if len(values) > SHOWN else shown


def values_at(node: Any, name: str) -> Sequence[Any]:
    """Return the values of a dotted field, through all lists; a key may have dots itself."""
    if isinstance(node, list):
        return [value for element in node for value in values_at(element, name)]
    if not name:
        return [node]
    if not isinstance(node, Mapping):
        return []
    found: list[Any] = []
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        key = ".".join(parts[:length])
        if key in node:
            found += values_at(node[key], ".".join(parts[length:]))
    return found


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
