"""The bounds of a stack's console, by its home: a loopback port, or a function behind API Gateway.

API Gateway waits 30 seconds for an answer (API Gateway quotas, HTTP API: maximum integration
timeout). They include a cold start, so the hosted console ends its work earlier. The size of an
answer has a last check (`infra.console.hosted.response_limit`).

The time of an operation is bounded twice: it takes a number of dead letters that usually ends in
time, and begins none after its time. A dead letter that a run replaces has the most calls: about
12, of some 10 to 20 ms each.
"""

import math
from dataclasses import dataclass

from infra.console.page import Download, TooLarge
from infra.deployed.bounds import Bounds

MIB = 1024 * 1024

POLL = 15
"""Seconds after which an open page is read again, in each home."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a console of a stack.

    Parameters
    ----------
    page : float
        Seconds that AWS may take for a page.
    letters : int
        Dead letters of one action.
    operation : Bounds
        The time and memory of a look, or of an action on dead letters.
    wait : float
        Seconds that a redrive waits for the runs that replace dead letters.
    rows : int
        Rows of a query's file.
    file : float
        Bytes of a file to save.
    read_timeout : float
        Seconds that a call of AWS may take.
    attempts : int
        Calls in all, if AWS does not answer one.
    """

    page: float
    letters: int
    operation: Bounds
    wait: float
    rows: int
    file: float
    read_timeout: float
    attempts: int

    def saved(self, file: Download, command: str) -> Download:
        """Return a file, or raise `TooLarge` with the command that has all of it."""
        if len(file.body) <= self.file:
            return file
        raise TooLarge(
            f"{file.name} has {len(file.body) / MIB:.1f} MiB, and this console sends at most"
            f" {self.file / MIB:.0f}: narrow the filter, or save all of it with: {command}"
        )


LOOPBACK = Limits(
    page=30.0,
    letters=1_000,
    operation=Bounds(),
    wait=5.0,
    rows=10_000,
    file=math.inf,
    read_timeout=15.0,
    attempts=3,
)
"""The console on the operator's machine, which a person can leave open."""

HOSTED = Limits(
    page=20.0,
    letters=50,
    operation=Bounds(seconds=18.0, receiving=5.0, size=8 * MIB),
    wait=3.0,
    rows=5_000,
    file=4 * MIB,
    read_timeout=5.0,
    attempts=2,
)
"""The console of a function that ends after 29 seconds."""
