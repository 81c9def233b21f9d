"""Retriers and catchers: the failures that they match, the delay and the next state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra.asl.errors import ALL, HEARTBEAT_TIMEOUT, TASK_FAILED, TIMEOUT, StateFailure
from infra.asl.expressions.values import JSON
from infra.asl.fields import MAX_SECONDS, Fields

Take: TypeAlias = Callable[[Any, JSON], tuple[JSON, JSON]]
"""Returns a catcher's output and assigned variables, from the frame and the error's output.

A frame names this module's types, so its own is not imported here.
"""

_MAX_DELAY_SECONDS = 31_622_400


@dataclass(frozen=True, slots=True)
class Matcher:
    """The error names of ``ErrorEquals``, wildcards included: the base of retriers and catchers."""

    errors: frozenset[str]

    def matches(self, failure: StateFailure) -> bool:
        """Return whether an error name matches a failure.

        ``States.ALL`` matches any error, ``States.TaskFailed`` any except a timeout, and
        ``States.Timeout`` a missed heartbeat too.
        """
        if failure.error in self.errors or ALL in self.errors:
            return True
        if failure.error == HEARTBEAT_TIMEOUT:
            return TIMEOUT in self.errors
        return TASK_FAILED in self.errors and failure.error != TIMEOUT


@dataclass(frozen=True, slots=True)
class Retrier(Matcher):
    """One entry of ``Retry``."""

    interval: float
    max_attempts: int
    backoff_rate: float
    max_delay: float
    full_jitter: bool

    def delay(self, attempts: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait after ``attempts`` retries.

        Full jitter draws a number between zero and the delay.
        """
        delay = min(self.interval * self.backoff_rate ** min(attempts, 100), self.max_delay)
        return delay * random() if self.full_jitter else delay


@dataclass(frozen=True, slots=True)
class Catcher(Matcher):
    """One entry of ``Catch``."""

    take: Take
    next: str


def compile_retriers(fields: Fields) -> list[Retrier]:
    """Compile the entries of ``Retry``; raise DefinitionError if one is invalid."""
    _check_order(fields, "Retry")
    return [
        Retrier(
            _errors(retrier),
            retrier.number("IntervalSeconds", 1, 1, MAX_SECONDS),
            retrier.number("MaxAttempts", 3, 0, MAX_SECONDS),
            retrier.number("BackoffRate", 2.0, 1, float("inf"), (int, float)),
            retrier.number("MaxDelaySeconds", MAX_SECONDS, 1, _MAX_DELAY_SECONDS),
            _full_jitter(retrier),
        )
        for retrier in fields.each("Retry")
    ]


def compile_catchers(fields: Fields) -> list[Catcher]:
    """Compile the entries of ``Catch``; raise DefinitionError if one is invalid."""
    _check_order(fields, "Catch")
    return [
        Catcher(
            _errors(catcher),
            _take(catcher),
            catcher.target("Next"),
        )
        for catcher in fields.each("Catch")
    ]


def _take(fields: Fields) -> Take:
    if fields.is_jsonata:
        return _query_take(fields)
    put, assign = fields.result_path(), fields.template("Assign", dict)

    def take(frame: Any, error: JSON) -> tuple[JSON, JSON]:
        assigned = assign(error, frame) if assign else None
        return put(frame.input, error), assigned

    return take


def _query_take(fields: Fields) -> Take:
    known = ("errorOutput",)
    output = fields.query("Output", known=known)
    assign = fields.query("Assign", dict, known=known)

    def take(frame: Any, error: JSON) -> tuple[JSON, JSON]:
        states = {"input": frame.input, "errorOutput": error}
        assigned = assign(states, frame) if assign else None
        return output(states, frame) if output else error, assigned

    return take


def _errors(fields: Fields) -> frozenset[str]:
    names = fields.require("ErrorEquals", list)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise fields.refuse("Expected value of type String", f"ErrorEquals[{index}]")
    if ALL in names and len(names) > 1:
        raise fields.refuse(f"{ALL} must stand alone", "ErrorEquals")
    return frozenset(names)


def _check_order(fields: Fields, field: str) -> None:
    """Check that States.ALL is in the last entry: a later one would never match.

    Source: states-language.net, "Retrying after error" and "Fallback states".
    """
    entries = fields.value.get(field)
    for index, entry in enumerate(entries[:-1] if isinstance(entries, list) else ()):
        names = entry.get("ErrorEquals") if isinstance(entry, dict) else None
        if isinstance(names, list) and ALL in names:
            place = f"{field}[{index}]/ErrorEquals"
            raise fields.refuse(f"{ALL} must appear in the last entry of '{field}'", place)


def _full_jitter(fields: Fields) -> bool:
    strategy = fields.get("JitterStrategy", str, "NONE")
    if strategy not in ("FULL", "NONE"):
        raise fields.refuse("Value is not one of FULL, NONE", "JitterStrategy")
    return strategy == "FULL"
