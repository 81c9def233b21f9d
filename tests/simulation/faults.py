"""What can go wrong, where, how often, and what of it a run is spared.

A seed enables some of the kinds only and makes them more or less frequent: faults that come alone
find other mistakes than faults that come together.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum

from tests.simulation.dice import Dice


class Kind(StrEnum):
    """A fault. The first ones befall a call of a function."""

    THROTTLED = "throttled"  # refused before it began; the workflow may call again
    KILLED = "killed"  # its process ends at one of its commits
    LOST = "lost"  # done, but the answer never comes back
    LATE = "late"  # reported as timed out, and goes on working long after
    HELD = "held"  # stands still at its commits, so that others get in between
    TWICE = "twice"  # called a second time, side by side
    CRASH = "crash"  # the whole machine ends at a commit, and starts again from its journal
    DOUBLED = "doubled"  # an event or a message is delivered twice
    DELAYED = "delayed"  # a target does not take an event now
    REFUSED = "refused"  # a target does not take an event at all
    AWAY = "away"  # a partner does not answer, and does nothing
    UNHEARD = "unheard"  # a partner does it, but does not answer
    UNSENT = "unsent"  # a service that a workflow calls fails
    VANISHED = "vanished"  # an execution stops without a trace
    AGAIN = "again"  # an execution runs a second time, under the same name
    RENAMED = "renamed"  # an execution runs a second time, under another name
    POISONED = "poisoned"  # what handles an item raises an error that nobody foresaw
    GARBLED = "garbled"  # a function's answer, and what it measured, make no sense
    UNFIT = "unfit"  # a row does not convert
    DEADLY = "deadly"  # handling an item ends the process, each time


CALL = {
    Kind.THROTTLED: 0.03,
    Kind.KILLED: 0.05,
    Kind.LOST: 0.03,
    Kind.LATE: 0.05,
    Kind.HELD: 0.15,
    Kind.TWICE: 0.04,
    Kind.CRASH: 0.004,
    Kind.GARBLED: 0.01,
}
RATES: Mapping[str, Mapping[Kind, float]] = {
    "call": CALL,
    "call of a partner": {**CALL, Kind.LATE: 0.15, Kind.HELD: 0.2},
    "commit": {Kind.CRASH: 0.003},
    "delivery": {
        Kind.DOUBLED: 0.08,
        Kind.DELAYED: 0.08,
        Kind.REFUSED: 0.01,
        Kind.POISONED: 0.04,
    },
    "partner": {Kind.AWAY: 0.06, Kind.UNHEARD: 0.06},
    "service": {Kind.UNSENT: 0.05, Kind.UNHEARD: 0.03, Kind.POISONED: 0.03},
    "execution": {Kind.VANISHED: 0.06, Kind.AGAIN: 0.04, Kind.RENAMED: 0.04},
    "request": {Kind.POISONED: 0.04},
    "codec": {Kind.POISONED: 0.005},
    "outbox": {Kind.POISONED: 0.01},
    "schedule": {Kind.POISONED: 0.1},
    "row": {Kind.UNFIT: 0.03},
    "item": {Kind.DEADLY: 0.002, Kind.CRASH: 0.001},
}
"""Where what happens, and how often in a seed of middle weather."""

WEATHER = (0.0, 0.5, 1.0, 1.0, 2.0, 3.0)
ENABLED = 0.6
"""Chance that a seed has a kind at all."""


class Faults:
    """The faults of one seed.

    Parameters
    ----------
    dice : Dice
        The seed's.
    tell : Callable
        Who is told of each.
    only : set of str, optional
        The faults that may happen, as `fired` names them; all, if it is not given.
    """

    def __init__(
        self, dice: Dice, tell: Callable[[str], None], only: AbstractSet[str] | None = None
    ) -> None:
        self.dice = dice
        self.tell = tell
        self.only = only
        self.fired: list[str] = []
        self.calm = False
        weather = dice.pick(WEATHER, "weather")
        chance = ENABLED if weather else 0.0
        enabled = {kind for kind in Kind if dice.happens(chance, "enabled", kind)}
        self._rates = {
            place: [(kind, rate * weather) for kind, rate in kinds.items() if kind in enabled]
            for place, kinds in RATES.items()
        }

    def at(self, place: str, site: str) -> Kind | None:
        """Return what goes wrong at a site, if anything does."""
        if self.calm or not self._rates[place]:
            return None
        rest = self.dice.roll(place, site)
        for kind, rate in self._rates[place]:
            if rest < rate:
                name = f"{kind}@{site}"
                if self.only is not None and name not in self.only:
                    return None
                self.fired.append(name)
                self.tell(f"{site}: {kind}")
                return kind
            rest -= rate
        return None

    def counts(self) -> Counter[str]:
        """Return how often each kind happened."""
        return Counter(name.partition("@")[0] for name in self.fired)
