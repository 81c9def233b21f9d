"""The comparison of the two sides, and the known differences with their reasons."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from tests.rehearsal.outcome import Outcome

KNOWN = Path(__file__).with_name("differences.yaml")

NOTHING = Outcome("none", "no order", "none", "none")


@dataclass(frozen=True, slots=True)
class Difference:
    """A known difference of a case; ``there`` is a pattern of MiniStack's value."""

    case: str
    field: str
    there: str
    reason: str

    def explains(self, row: "Row") -> bool:
        """Return whether this is the reason of a row's difference."""
        return (
            fnmatchcase(row.case, self.case)
            and row.field == self.field
            and fnmatchcase(row.there, self.there)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One field of one case on both sides; ``subject`` is the order, if a case has several."""

    case: str
    subject: str
    field: str
    here: str
    there: str

    @property
    def differs(self) -> bool:
        """Whether the two sides have different values."""
        return self.here != self.there


def known(path: Path = KNOWN) -> list[Difference]:
    """Return the known differences."""
    return [Difference(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def rows(case: str, here: Outcome, there: Outcome, subject: str = "") -> list[Row]:
    """Return the fields of a case with the values of both sides."""
    theirs = there.fields()
    return [
        Row(case, subject, field, ours, theirs[field])
        for field, ours in here.fields().items()
        if ours or theirs[field]
    ]


def rows_of_orders(
    kinds: Mapping[str, str], here: Mapping[str, Outcome], there: Mapping[str, Outcome]
) -> list[Row]:
    """Return the fields of all orders with the values of both sides; ``kinds`` is by order."""
    return [
        row
        for order_id in sorted(here.keys() | there.keys())
        for row in rows(
            f"generated: {kinds[order_id]}",
            here.get(order_id, NOTHING),
            there.get(order_id, NOTHING),
            order_id,
        )
    ]


def reason(row: Row, differences: Iterable[Difference]) -> str | None:
    """Return the known reason of a row's difference, or None."""
    return next((known.reason for known in differences if known.explains(row)), None)
