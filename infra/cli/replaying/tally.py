"""Counts of a replay: sent, skipped and rejected events, by their types and reasons."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from infra.cli.event_files import Line
from infra.dead_letters.reason_form import form_of
from infra.terminal.output import errors

SHOWN = 20
"""Rejected events that are printed one by one."""

MAX_LISTED = 1_000
"""Maximum rejected events in the JSON document; all are counted."""

_COUNTED = ("read", "not_selected", "facts_skipped", "sent", "accepted", "rejected")


class Tally:
    """The counts of a replay, of its interrupted parts too.

    ``read`` events are skipped as facts, not selected, rejected, or ``sent``; a sent one is
    ``accepted``.
    """

    def __init__(self, before: Mapping[str, Any] | None = None) -> None:
        self._counts: Counter[str] = Counter((before or {}).get("counts", {}))
        self.reasons: Counter[str] = Counter((before or {}).get("reasons", {}))
        self.types: Counter[str] = Counter((before or {}).get("types", {}))
        self.rejections: list[dict[str, Any]] = []
        self._printed = 0

    def count(self, what: str, number: int = 1) -> None:
        """Count events."""
        self._counts[what] += number

    def __getitem__(self, what: str) -> int:
        return self._counts[what]

    def reject(self, line: Line) -> None:
        """Count a malformed event by its first problem; print and list the first ones."""
        problems = line.all_problems
        self._counts["rejected"] += 1
        self.reasons[form_of(problems[0])] += 1
        if self._printed < SHOWN:
            for problem in problems:
                errors.print(f"rejected {line.path}:{line.number}: {problem}", style="yellow")
        elif self._printed == SHOWN:
            errors.print("more rejected events are counted by their reasons", style="yellow")
        self._printed += 1
        if len(self.rejections) < MAX_LISTED:
            place = {"file": line.path, "line": line.number}
            self.rejections.append({**place, "problems": problems})

    def saved(self) -> dict[str, Any]:
        """Return the counts for a checkpoint."""
        return {
            "counts": dict(self._counts),
            "reasons": dict(self.reasons.most_common(SHOWN)),
            "types": dict(self.types),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the counts for a command's JSON document."""
        result: dict[str, Any] = {name: self._counts[name] for name in _COUNTED}
        result["by_type"] = dict(sorted(self.types.items()))
        if self.reasons:
            result["rejected_by_reason"] = dict(self.reasons.most_common())
        if self.rejections:
            result["rejections"] = self.rejections
        return result
