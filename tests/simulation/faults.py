"""The kinds of faults, their places and their rates.

A seed enables only some of the kinds and scales their rates: single faults find other mistakes than
combined ones.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum

from tests.simulation.dice import Dice


class Kind(StrEnum):
    """A kind of fault. The first kinds affect a call of a function."""

    THROTTLED = "throttled"  # refused before its start; the workflow may retry
    KILLED = "killed"  # its process ends at one of its commits
    LOST = "lost"  # done, but the answer is lost
    LATE = "late"  # reported as timed out, and continues long after
    HELD = "held"  # paused at its commits, so that other handlers interleave
    TWICE = "twice"  # called a second time, concurrently
    CRASH = "crash"  # the host ends at a commit, and restarts from its journal
    DOUBLED = "doubled"  # an event or a message is delivered twice
    DELAYED = "delayed"  # a target refuses an event temporarily
    REFUSED = "refused"  # a target refuses an event permanently
    AWAY = "away"  # a partner neither acts nor answers
    UNHEARD = "unheard"  # a partner acts, but its answer is lost
    UNSENT = "unsent"  # a service that a workflow calls fails
    VANISHED = "vanished"  # an execution disappears
    AGAIN = "again"  # an execution runs a second time, with the same name
    RENAMED = "renamed"  # an execution runs a second time, with another name
    POISONED = "poisoned"  # the code that handles an item raises an unexpected error
    GARBLED = "garbled"  # a function's answer and metrics are malformed
    UNFIT = "unfit"  # a row does not convert
    DEADLY = "deadly"  # the handling of an item ends the process, each time


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
    "item of a job": {Kind.DEADLY: 0.03, Kind.CRASH: 0.08},
    "job": {Kind.POISONED: 0.05},
}
"""Probability of each kind by place, before scaling."""

SCALES = (0.0, 0.5, 1.0, 1.0, 2.0, 3.0)
"""Factors of all probabilities; a seed picks one."""

ENABLED = 0.6
"""Probability that a seed enables a kind."""


class Faults:
    """The faults of one seed.

    Parameters
    ----------
    dice : Dice
        The seed's.
    tell : Callable
        Called with the description of each fault.
    only : set of str, optional
        The faults that may happen, by their names in ``fired``; by default all.
    """

    def __init__(
        self, dice: Dice, tell: Callable[[str], None], only: AbstractSet[str] | None = None
    ) -> None:
        self.dice = dice
        self.tell = tell
        self.only = only
        self.fired: list[str] = []
        self.calm = False
        scale = dice.pick(SCALES, "weather")
        chance = ENABLED if scale else 0.0
        enabled = {kind for kind in Kind if dice.happens(chance, "enabled", kind)}
        self._rates = {
            place: [(kind, rate * scale) for kind, rate in kinds.items() if kind in enabled]
            for place, kinds in RATES.items()
        }

    def at(self, place: str, site: str) -> Kind | None:
        """Return the fault at a site, or None."""
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
        """Return the number of faults by kind."""
        return Counter(name.partition("@")[0] for name in self.fired)
