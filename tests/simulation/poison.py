"""Poison: items whose handler, target or codec raises anything, and items that end the process.

An error that is injected has a name of its own, so that a judge tells it from a mistake.
"""

from collections.abc import Callable
from typing import Any

from infra.local.directory.crash_marker import NO_ITEM, CrashMarker, ItemIds
from infra.local.directory.crash_marker import Kind as Items
from tests.simulation.dice import Dice
from tests.simulation.faults import Kind

MARK = "Poison"
ENDED = "ended the process twice"
"""What the engine says of an item that it puts aside."""

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
"""Answers that make no sense to anybody; none of them says that all went well."""

MEASURED = ("{", "[]", '{"_aws": {"CloudWatchMetrics": 5}}', '{"_aws": "\\ud800"}')
"""Lines of measurements that are none."""

LASTS = 0.2
"""Chance that a poison stays in its place: whatever comes there raises, each time."""

JOURNALLED = {
    *(Items.DELIVERY, Items.MESSAGE, Items.EXECUTION),
    *(Items.RECORD, Items.OUTBOX),
}
"""Kinds of items that come again after a crash, and that can be put aside for good."""

Befalls = Callable[[str, str], Kind | None]


def is_injected(error: str) -> bool:
    """Say whether an error's name is one of ours."""
    return error.startswith(MARK)


class Poison:
    """The poison of one seed; it outlives the machine's crashes."""

    def __init__(self, dice: Dice, befalls: Befalls) -> None:
        self.dice = dice
        self.befalls = befalls
        self.lasting: set[str] = set()
        self.deadly: set[tuple[Items, int]] = set()
        self.ended = 0

    def of(self, place: str, site: str, fault: Kind | None = None) -> Exception | None:
        """Return the error that is raised at a site this time, if one is."""
        fault = fault or self.befalls(place, site)
        if fault is not Kind.POISONED and site not in self.lasting:
            return None
        if place == "delivery" and self.dice.happens(LASTS, site, "lasts"):
            self.lasting.add(site)
        return self.dice.pick(ERRORS, site, "error")(f"injected at {site}")

    def is_late(self, site: str) -> bool:
        """Say whether the error comes after the work is done."""
        return self.dice.happens(0.5, site, "late")

    def ends(self, item: ItemIds) -> bool:
        """Say whether the process ends as it begins to handle an item."""
        kind, first, last = item
        fault = None
        if not any(kind is one and first <= number <= last for one, number in self.deadly):
            fault = self.befalls("item", f"{kind.label} {first}")
            if fault is None:
                return False
        if fault is Kind.DEADLY and kind in JOURNALLED:
            self.deadly.add((kind, first))
        self.ended += 1
        return True

    def forget(self, put_aside: str) -> None:
        """Let the next entry of an outbox be another one, though it has the same number."""
        name, _, _ = put_aside.partition(":")
        self.deadly -= {one for one in self.deadly if name == f"{Items.OUTBOX.label} {one[1]}"}


class KeptMarker(CrashMarker):
    """A marker whose item outlives the machine's crash, as the file's does."""

    def __init__(self, kept: ItemIds, entered: Callable[[ItemIds], None]) -> None:
        super().__init__()
        self.kept = kept
        self.entered = entered

    def enter(self, item: ItemIds) -> None:
        """Note which item is handled from now on."""
        self.current = self.kept = item
        if item is not NO_ITEM:
            self.entered(item)
