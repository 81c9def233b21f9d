"""Jobs that the engine handles at a pace: replays, and operations on groups of dead letters.

A job handles some of its items in a turn. Its position is written in the transaction of these
items, so a crash repeats no item and leaves none out.

States: ``RUNNING``, ``PAUSED``, ``COMPLETED``, ``CANCELLED``.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from infra.errors import InvalidRequest
from infra.local.directory.journal import Journal
from infra.local.engine.backlog import NEVER
from infra.local.engine.component import Component
from infra.local.engine.error_boundary import Boundary

RUNNING, PAUSED, COMPLETED, CANCELLED = "RUNNING", "PAUSED", "COMPLETED", "CANCELLED"
ENDED = (COMPLETED, CANCELLED)


@dataclass(slots=True, kw_only=True)
class PacedJob:
    """A job that has not ended.

    ``rate`` is in items a second, None for as fast as the engine is. It counts from the time
    ``since``, with the ``before`` items that were handled before it.
    """

    state: str = RUNNING
    started_at: float
    position: int
    handled: int = 0
    rate: float | None
    since: float
    before: int = 0
    next_at: float = 0.0

    def room(self, most: int, now: float) -> int:
        """Return how many items of a due job are due now, from 1 to ``most``.

        The rounded time `next_at` may be just before the item's own, so one is due in any case: a
        job without room would be due again at once, at the same time.
        """
        if self.rate is None:
            return most
        allowed = int((now - self.since) * self.rate) + 1
        return max(1, min(most, allowed - (self.handled - self.before)))

    def wait(self, now: float) -> None:
        """Set when the next item is due."""
        if self.rate is not None:
            self.next_at = max(now, self.since + (self.handled - self.before) / self.rate)


Key = TypeVar("Key", bound=Hashable)
Job = TypeVar("Job", bound=PacedJob)


class PacedJobs(Component, Generic[Key, Job]):
    """The jobs of one kind, of one engine; ``active`` has those that have not ended."""

    def __init__(self, journal: Journal, boundary: Boundary) -> None:
        self.journal = journal
        self.boundary = boundary
        self.active: dict[Key, Job] = {}

    def save(self, job: Job, now: float) -> None:
        """Write a job's state in this turn, always by the same statement; forget an ended one.

        A batch groups equal statements, so another statement might be executed before it.
        """
        raise NotImplementedError

    def state_of_ended(self, key: Key) -> str:
        """Return the state of a job that is not active.

        Raises
        ------
        InvalidRequest
            There is no such job.
        """
        raise NotImplementedError

    def refusal(self, key: Key, state: str) -> str:
        """Return the message that a job's state forbids an operation."""
        raise NotImplementedError

    def add(self, key: Key, job: Job, now: float) -> None:
        """Start a job in this turn, whose commit answers the caller."""
        self.active[key] = job
        self.boundary.undo.append(partial(self.active.pop, key, None))
        self.save(job, now)
        self.journal.batch.durable = True

    def pause(self, key: Key, now: float) -> str:
        """Pause a running job; return its state."""
        return self._change(key, {RUNNING: PAUSED}, now)

    def go_on(self, key: Key, now: float) -> str:
        """Resume a paused job; return its state."""
        return self._change(key, {PAUSED: RUNNING}, now)

    def cancel(self, key: Key, now: float) -> str:
        """End a job before its last item; return its state. Handled items stay handled."""
        return self._change(key, {RUNNING: CANCELLED, PAUSED: CANCELLED}, now)

    def _change(self, key: Key, states: dict[str, str], now: float) -> str:
        """Change the state of a job.

        Raises
        ------
        InvalidRequest
            There is no such job, or its state does not allow the change.
        """
        job = self.active.get(key)
        state = self.state_of_ended(key) if job is None else job.state
        if job is None or state not in states:
            raise InvalidRequest("IllegalStatusException", self.refusal(key, state))
        before = (job.state, job.next_at, job.since, job.before)
        self.boundary.undo.append(partial(self._restore, key, job, before))
        job.state, job.next_at = states[state], now
        job.since, job.before = now, job.handled
        self.save(job, now)
        self.journal.batch.durable = True
        return job.state

    def _restore(self, key: Key, job: Job, before: tuple[str, float, float, int]) -> None:
        """Undo a change of a job whose request has failed."""
        job.state, job.next_at, job.since, job.before = before
        self.active[key] = job

    def next_due(self) -> float:
        """Return when the next item of a running job is due."""
        running = (each.next_at for each in self.active.values() if each.state == RUNNING)
        return min(running, default=NEVER)

    def due(self, now: float) -> list[Job]:
        """Return the running jobs that have due items."""
        return [
            each for each in self.active.values() if each.state == RUNNING and each.next_at <= now
        ]
