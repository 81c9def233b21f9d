"""The bounds of one operation on dead letters: its time, and the memory of what it receives.

A command has no bound. A function has one: it ends after some seconds, and a process that is
stopped after its answer would continue an operation at its next request, minutes or hours later. So
an operation begins nothing after its time, and answers for all that it has done.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one operation.

    Parameters
    ----------
    seconds : float
        The time of the operation; the last call may end later.
    receiving : float
        Seconds after which it asks a queue for no further messages, or releases no further ones.
    size : float
        Bytes of text after which it asks a queue for no further messages.
    """

    seconds: float = math.inf
    receiving: float = math.inf
    size: float = math.inf


class TimeLimit:
    """The time since the begin of an operation, by the clock of the day: it counts a pause too."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seconds = seconds
        self._begun = clock()

    def left(self, share: float = 1.0) -> float:
        """Return the seconds that are left of a share of the time, at least 0."""
        return max(0.0, self._seconds * share - (self._clock() - self._begun))

    def is_over(self, share: float = 1.0) -> bool:
        """Return whether a share of the time has passed."""
        return self.left(share) == 0.0
