"""Findings: a broken invariant, its subject and the remedy."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

SHOWN = 10
"""Maximum number of findings that are shown; further ones are only counted."""

MOVED = "imported orders: the gateway's and the carrier's records of them may be at their origin"


class Invariant(StrEnum):
    """The invariants of ``docs/reliability.md``, and the integrity of the files."""

    FILES = "Files"
    MONEY = "Money"
    STOCK = "Stock"
    SHIPMENT = "Shipment"
    END = "End"
    EVENTS = "Events"


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant of an order, a SKU or another subject."""

    invariant: Invariant
    subject: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}; {self.remedy}"

    def to_json(self) -> dict[str, str]:
        """Return the finding as ``orders audit --json`` has it."""
        return {
            "invariant": self.invariant,
            "subject": self.subject,
            "problem": self.problem,
            "mend": self.remedy,
        }


@dataclass(slots=True)
class Findings:
    """The first findings, and the number of findings by invariant."""

    first: list[Finding] = field(default_factory=list)
    counts: Counter[Invariant] = field(default_factory=Counter)

    def add(self, findings: Iterable[Finding]) -> None:
        """Count findings, and keep the first `SHOWN` of all."""
        for finding in findings:
            self.counts[finding.invariant] += 1
            if len(self.first) < SHOWN:
                self.first.append(finding)

    @property
    def number(self) -> int:
        """Total number of findings."""
        return self.counts.total()


@dataclass(slots=True)
class Report:
    """The findings of an audit, the numbers of checked objects, and the parts not checked."""

    findings: Findings = field(default_factory=Findings)
    checked: dict[str, int] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
