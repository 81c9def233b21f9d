"""Findings: the invariant that is broken, its subject, and the way out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

KEPT = 10
"""Findings that are kept to be shown; the others are only counted."""

MOVED = (
    "orders that were imported: the gateway and the carrier may have them on record where they came"
    " from"
)


class Invariant(StrEnum):
    """The invariants of ``docs/reliability.md``, and the files that hold all of it."""

    FILES = "Files"
    MONEY = "Money"
    STOCK = "Stock"
    SHIPMENT = "Shipment"
    END = "End"
    EVENTS = "Events"


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant that is broken: of an order, a SKU or another subject."""

    invariant: Invariant
    subject: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}; {self.mend}"


@dataclass(slots=True)
class Findings:
    """The first findings, and how many there are of each invariant."""

    first: list[Finding] = field(default_factory=list)
    counts: Counter[Invariant] = field(default_factory=Counter)

    def add(self, found: Iterable[Finding]) -> None:
        """Count findings; keep the first ones of all."""
        for finding in found:
            self.counts[finding.invariant] += 1
            if len(self.first) < KEPT:
                self.first.append(finding)

    @property
    def number(self) -> int:
        """How many there are."""
        return self.counts.total()


@dataclass(slots=True)
class Report:
    """The findings of an audit, the numbers of checked objects, and the parts not checked."""

    findings: Findings = field(default_factory=Findings)
    checked: dict[str, int] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
