"""The limits of a Lambda account: concurrent executions, cold starts, calls that time out.

`Account` decides; `infra.local.workers.limited` applies its decisions to a run in skipped time, and
`tests.simulation.workers` to a simulation.

Source: "Understanding Lambda function scaling" and "Understanding the Lambda execution environment
lifecycle" in the AWS Lambda Developer Guide.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from heapq import heappop, heappush
from typing import Any, NamedTuple

from infra.errors import Refusal
from infra.local.template.stack import Function

THROTTLED = "Lambda.TooManyRequestsException"
"""The error of a call that finds no free execution."""

KEPT_WARM = 300.0
"""Seconds for which an idle environment is kept. Lambda documents no number."""


class LimitsError(Refusal):
    """A description of an account's limits is invalid, or cannot be applied."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an account.

    Parameters
    ----------
    concurrency : int
        Maximum number of concurrent executions of all functions.
    timeouts : float
        Share of calls that do not answer before the function's timeout.
    cold : float
        Seconds of the init phase of a new environment.
    warm : float
        Seconds of a call in an environment that exists.
    seed : int
        The seed of the calls that time out.
    """

    concurrency: int = 1000
    timeouts: float = 0.0
    cold: float = 0.0
    warm: float = 0.2
    seed: int = 1


NEW_ACCOUNT = Limits(concurrency=10, timeouts=0.05, cold=6.0)
"""An account without a raised quota, on a bad day."""

COUNTED = ("begun", "throttled", "cold", "timed_out")
"""The counters of `Account.counts`: begun, throttled, cold and timed-out calls."""

NAMED: Mapping[str, Limits] = {"new-account": NEW_ACCOUNT}

_RANGES: Mapping[str, tuple[Callable[[str], Any], float, float]] = {
    "concurrency": (int, 1, 100_000),
    "timeouts": (float, 0, 0.5),
    "cold": (float, 0, 10),  # a longer init phase is ended by Lambda
    "warm": (float, 0.001, 5),
    "seed": (int, 0, 2**32),
}


def parse_limits(text: str) -> Limits:
    """Return the limits in a text: a name, or ``concurrency=10,timeouts=0.05,cold=6``.

    A member that is not named has its default.

    Raises
    ------
    LimitsError
        The text names an unknown member, or a value is not a number in its range.
    """
    if text in NAMED:
        return NAMED[text]
    values: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in _RANGES or not equals:
            raise LimitsError(
                f"--lambda-faults: {part.strip()!r} is not MEMBER=NUMBER with a member of"
                f" {', '.join(_RANGES)}; write for example {described(NEW_ACCOUNT)},"
                f" or a name: {', '.join(NAMED)}"
            )
        if name in values:
            raise LimitsError(f"--lambda-faults: {name} is named twice; name it once")
        values[name] = _number(name, value)
    return replace(Limits(), **values)


def _number(name: str, value: str) -> Any:
    kind, least, most = _RANGES[name]
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        what = "an integer" if kind is int else "a number"
        raise LimitsError(
            f"--lambda-faults: {name}: {value!r} is not {what} from {least:g} to {most:g}"
        )
    return number


def described(limits: Limits) -> str:
    """Return limits as a text that `parse_limits` reads, without those that are the default."""
    default = Limits()
    return ",".join(
        f"{field.name}={getattr(limits, field.name):g}"
        for field in fields(limits)
        if getattr(limits, field.name) != getattr(default, field.name)
    )


class Call(NamedTuple):
    """An accepted call: when it ends, in epoch seconds, and whether it times out."""

    ends_at: float
    times_out: bool


class Account:
    """Executions and environments of all functions of an account.

    ``counts`` has the number of calls by what became of them (`COUNTED`).
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self._busy: list[tuple[float, str, bool]] = []
        self._idle: dict[str, list[float]] = {}

    def begin(self, function: Function, now: float, roll: float) -> Call | None:
        """Begin a call, or return None if it is throttled.

        Parameters
        ----------
        function : Function
            The function that is called.
        now : float
            Epoch seconds; not before those of an earlier call.
        roll : float
            A number in [0, 1) that decides whether the call times out.

        Notes
        -----
        The init phase does not count into the function's timeout. An environment whose call timed
        out is not used again.
        """
        self._release(now)
        if len(self._busy) >= self.limits.concurrency:
            self.counts["throttled"] += 1
            return None
        self.counts["begun"] += 1
        init = 0.0 if self._take_idle(function.name, now) else self.limits.cold
        times_out = roll < self.limits.timeouts
        self.counts["timed_out"] += times_out
        ends_at = now + init + (function.timeout if times_out else self.limits.warm)
        heappush(self._busy, (ends_at, function.name, not times_out))
        return Call(ends_at, times_out)

    def _release(self, now: float) -> None:
        """End the executions whose time is over; their environments become idle."""
        while self._busy and self._busy[0][0] <= now:
            ended_at, name, usable = heappop(self._busy)
            if usable:
                self._idle.setdefault(name, []).append(ended_at)

    def _take_idle(self, name: str, now: float) -> bool:
        """Use the environment that was used last; return whether there is one."""
        idle = self._idle.get(name, [])
        if idle and idle[-1] > now - KEPT_WARM:
            idle.pop()
            return True
        self.counts["cold"] += 1
        idle.clear()
        return False
