"""The verdict of each rule on an event: matched, or the conditions that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.local.template.stack import Rule, Target
from infra.patterns import Pattern, TooComplexEvent, explain
from infra.patterns.explain import Alternative

MAX_ALTERNATIVES = 5
"""Alternatives of ``$or`` that are explained; the nearest come first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a pattern on an event.

    ``alternatives`` are those of ``$or``, the nearest first; ``omitted`` counts further ones.
    ``problem`` is set if the event is too complex to match.
    """

    matches: bool
    alternatives: tuple[Alternative, ...]
    omitted: int = 0
    problem: str = ""

    @property
    def reason(self) -> str:
        """The failed conditions of the nearest alternative in one line, or empty text."""
        failed = self.alternatives[0].failed if self.alternatives else ()
        return self.problem or "; ".join(map(str, failed))


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """A rule with its verdict; the event goes to ``targets`` if it matches."""

    rule: str
    pattern: str
    targets: tuple[Target, ...]
    verdict: Verdict


def verdict(pattern: Pattern, content: Mapping[str, Any]) -> Verdict:
    """Return the verdict of a pattern on the content of an event."""
    try:
        explanation = explain(pattern, content)
    except TooComplexEvent as error:
        return Verdict(matches=False, alternatives=(), problem=str(error))
    alternatives = explanation.alternatives
    shown = alternatives[:MAX_ALTERNATIVES]
    return Verdict(explanation.matches, shown, len(alternatives) - len(shown))


def rule_verdicts(rules: Sequence[Rule], content: Mapping[str, Any]) -> list[RuleVerdict]:
    """Return each rule's verdict: those that match first, then by the number of failed conditions.

    The verdicts are those of the present rules; a rule may have changed since the event arrived.
    """
    verdicts = [
        RuleVerdict(rule.name, rule.pattern.text, rule.targets, verdict(rule.pattern, content))
        for rule in rules
    ]
    return sorted(verdicts, key=_distance)


def matching_rules(rules: Sequence[Rule], content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the rules that match the content of an event."""
    return tuple(rule.name for rule in rules if _matches(rule.pattern, content))


def _matches(pattern: Pattern, content: Mapping[str, Any]) -> bool:
    try:
        return pattern.matches(content)
    except TooComplexEvent:
        return False


def _distance(each: RuleVerdict) -> tuple[int, str]:
    alternatives = each.verdict.alternatives
    return (len(alternatives[0].failed) if alternatives else 1_000, each.rule)
