"""Poison: items whose handler, target or codec raises any error, and items that end the process.

Injected errors have names of their own, so that the verdict distinguishes them from mistakes.
"""

from collections.abc import Callable
from typing import Any

from infra.local.directory.crash_marker import NO_ITEM, CrashMarker, ItemIds
from infra.local.directory.crash_marker import Kind as Items
from tests.simulation.dice import Dice
from tests.simulation.faults import Kind

MARK = "Poison"
ENDED = "ended the process twice"
"""The engine's reason for the quarantine of an item."""

ERRORS: tuple[type[Exception], ...] = tuple(
    type(f"{MARK}{kind.__name__}", (kind,), {})
    for kind in (
        RuntimeError,
        MemoryError,
        RecursionError,
        TypeError,
        KeyError,
        ValueError,
        OSError,
    )
)
NONSENSE: tuple[Any, ...] = (
    "nonsense",
    5,
    [[5]],
    {"records": "none", "batchItemFailures": 5},
    {"records": [], "batchItemFailures": [{"itemIdentifier": None}]},
    {"records": [5, {"recordId": "none"}], "batchItemFailures": [5]},
)
"""Malformed answers; none of them reports success."""

MEASURED = ("{", "[]", '{"_aws": {"CloudWatchMetrics": 5}}', '{"_aws": "\\ud800"}')
"""Malformed lines of metrics."""

LASTS = 0.2
"""Probability that a poison is permanent at its site."""

OF_JOBS = {Items.REPLAY, Items.LETTER_JOB}
"""Kinds of items that jobs handle."""

JOURNALLED = {
    *(Items.DELIVERY, Items.MESSAGE, Items.EXECUTION),
    *(Items.RECORD, Items.OUTBOX),
    *OF_JOBS,
}
"""Kinds of items that are repeated after a crash, and that can be quarantined."""

Befalls = Callable[[str, str], Kind | None]


def is_injected(error: str) -> bool:
    """Return whether an error's name is that of an injected error."""
    return error.startswith(MARK)


class Poison:
    """The poison of one seed; it survives crashes."""

    def __init__(self, dice: Dice, befalls: Befalls) -> None:
        self.dice = dice
        self.befalls = befalls
        self.lasting: set[str] = set()
        self.deadly: set[tuple[Items, int]] = set()
        self.ended = 0

    def of(self, place: str, site: str, fault: Kind | None = None) -> Exception | None:
        """Return the error to raise at a site this time, or None."""
        fault = fault or self.befalls(place, site)
        if fault is not Kind.POISONED and site not in self.lasting:
            return None
        if place == "delivery" and self.dice.happens(LASTS, site, "lasts"):
            self.lasting.add(site)
        return self.dice.pick(ERRORS, site, "error")(f"injected at {site}")

    def is_late(self, site: str) -> bool:
        """Return whether the error follows the completed work."""
        return self.dice.happens(0.5, site, "late")

    def ends(self, item: ItemIds) -> bool:
        """Return whether the process ends at the start of an item."""
        kind, first, last = item
        fault = None
        if not any(kind is other and first <= number <= last for other, number in self.deadly):
            place = "item of a job" if kind in OF_JOBS else "item"
            fault = self.befalls(place, f"{kind.label} {first}")
            if fault is None:
                return False
        if fault is Kind.DEADLY and kind in JOURNALLED:
            self.deadly.add((kind, first))
        self.ended += 1
        return True

    def forget(self, put_aside: str) -> None:
        """Forget a quarantined outbox entry, because the next entry may have the same number."""
        name, _, _ = put_aside.partition(":")
        label = Items.OUTBOX.label
        self.deadly -= {item for item in self.deadly if name == f"{label} {item[1]}"}


class KeptMarker(CrashMarker):
    """A marker whose item survives a crash, as in the file."""

    def __init__(self, kept: ItemIds, entered: Callable[[ItemIds], None]) -> None:
        super().__init__()
        self.kept = kept
        self.entered = entered

    def enter(self, item: ItemIds) -> None:
        """Record the item that is handled from now on."""
        self.current = self.kept = item
        if item is not NO_ITEM:
            self.entered(item)
