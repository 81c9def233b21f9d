"""What differs between the two sides, and which differences are known, with the reason."""

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
    """A known difference of a case; ``there`` is a pattern of what MiniStack may say."""

    case: str
    field: str
    there: str
    reason: str

    def explains(self, row: "Row") -> bool:
        """Say whether this is why a row differs."""
        return (
            fnmatchcase(row.case, self.case)
            and row.field == self.field
            and fnmatchcase(row.there, self.there)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One field of one case on both sides; ``subject`` is the order, where a case has several."""

    case: str
    subject: str
    field: str
    here: str
    there: str

    @property
    def differs(self) -> bool:
        """Whether the two sides say different things."""
        return self.here != self.there


def known(path: Path = KNOWN) -> list[Difference]:
    """Return the known differences."""
    return [Difference(**one) for one in yaml.safe_load(path.read_text(encoding="utf-8"))]


def rows(case: str, here: Outcome, there: Outcome, subject: str = "") -> list[Row]:
    """Return the fields of a case side by side."""
    theirs = there.fields()
    return [
        Row(case, subject, field, ours, theirs[field])
        for field, ours in here.fields().items()
        if ours or theirs[field]
    ]


def rows_of_orders(
    kinds: Mapping[str, str], here: Mapping[str, Outcome], there: Mapping[str, Outcome]
) -> list[Row]:
    """Return the fields of all orders side by side; ``kinds`` says what kind each is of."""
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
    """Return why a row differs, if that is known."""
    return next((one.reason for one in differences if one.explains(row)), None)
