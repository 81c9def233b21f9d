"""A run of a state machine, state by state: visits, attempts, durations, input and output."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.asl import HistoryEvent
from infra.views.exact_json import Change, changes, read_exact
from infra.views.order_progress import Progress
from infra.views.order_story import StateAttempts
from storage.sqlite.database import Database

MAX_EVENTS = 5_000
"""Maximum events that are read: the newest of a longer history are left out, and said so."""

MAX_CHANGES = 200
"""Maximum differences between the input and the output of a state that are shown."""

INFERRED = "inferred"
"""The status of a visit that the order's timeline proves, where no history is kept."""

_REDRIVEN = "ExecutionRedriven"
_FAILURES = ("Failed", "TimedOut", "SubmitFailed", "StartFailed")


@dataclass(slots=True)
class Attempt:
    """One call of a task; times are in epoch seconds."""

    began: float
    ended: float | None = None
    error: str | None = None
    cause: str | None = None
    resource: str = ""


@dataclass(slots=True)
class StateVisit:
    """One visit of a state; ``came_from`` is the state before it.

    ``status`` is running, succeeded, retried (succeeded after a failed attempt), caught (a catcher
    took its error), failed or `INFERRED`.
    """

    number: int
    state: str
    kind: str
    entered: float
    input: Any
    came_from: str = ""
    exited: float | None = None
    output: Any = None
    attempts: list[Attempt] = field(default_factory=list)
    status: str = "running"
    error: str | None = None
    cause: str | None = None

    def seconds(self, now: float) -> float:
        """Return its duration, until now if it has not ended."""
        return max(0.0, (now if self.exited is None else self.exited) - self.entered)

    def changes(self) -> list[Change]:
        """Return the differences between its input and its output, at most `MAX_CHANGES`."""
        before, after = (_exact(value) for value in (self.input, self.output))
        return changes(before, after, "$")[:MAX_CHANGES]


@dataclass(frozen=True, slots=True)
class RunStory:
    """A run; ``definition`` is the one it began with."""

    name: str
    machine: str
    kind: str
    status: str
    started: float
    ended: float | None
    error: str | None
    cause: str | None
    definition_id: str
    definition: Mapping[str, Any]
    visits: Sequence[StateVisit]
    events: Sequence[HistoryEvent]
    is_complete: bool

    @property
    def redrives(self) -> int:
        """How often it was continued after its end."""
        return sum(event.type == _REDRIVEN for event in self.events)

    def last_visits(self) -> dict[str, StateVisit]:
        """Return the last visit of each state."""
        return {visit.state: visit for visit in self.visits}

    def counts(self) -> dict[str, int]:
        """Return the number of visits of each state."""
        counts: dict[str, int] = {}
        for visit in self.visits:
            counts[visit.state] = counts.get(visit.state, 0) + 1
        return counts


def read_run(database: Database, order_id: str, name: str) -> RunStory | None:
    """Return a run of an order by its name; None if there is none."""
    row = database.row(
        "select x.*, d.body from executions x left join definitions d on d.id = x.definition"
        " where x.order_id = ? and x.name = ? order by x.id desc limit 1",
        order_id,
        name,
    )
    if row is None:
        return None
    events, is_complete = _events(database, row["id"])
    return RunStory(
        name=row["name"],
        machine=row["machine"],
        kind=row["kind"],
        status=row["status"],
        started=row["started_at"],
        ended=row["ended_at"],
        error=row["error"],
        cause=row["cause"],
        definition_id=row["definition"],
        definition=json.loads(row["body"]) if row["body"] else {},
        visits=visits_of(events, is_running=row["status"] == "RUNNING"),
        events=events,
        is_complete=is_complete,
    )


def _events(database: Database, execution: int) -> tuple[list[HistoryEvent], bool]:
    from infra.local.directory.history_pieces import events_in  # imports zstandard

    events: list[HistoryEvent] = []
    query = "select piece from history where execution_id = ? order by id"
    for row in database.connection.execute(query, (execution,)):
        events += events_in(row["piece"])
        if len(events) > MAX_EVENTS:
            return events[:MAX_EVENTS], False
    return events, True


def visits_of(events: Sequence[HistoryEvent], *, is_running: bool) -> list[StateVisit]:
    """Return the visits in a history, in the order in which they began."""
    visits: list[StateVisit] = []
    owners: dict[int, StateVisit] = {}
    for event in events:
        if event.type.endswith("StateEntered"):
            before = owners.get(event.previous_event_id)
            visit = StateVisit(
                number=len(visits) + 1,
                state=str(event.details.get("name")),
                kind=event.type.removesuffix("StateEntered"),
                entered=event.timestamp,
                input=event.details.get("input"),
                came_from=before.state if before is not None else "",
            )
            visits.append(visit)
            owners[event.id] = visit
            continue
        owner = owners.get(event.previous_event_id)
        if event.type == _REDRIVEN:
            owner = _redriven_visit(visits) or owner
        if event.type.endswith("StateExited"):
            owner = _open_visit(visits, str(event.details.get("name"))) or owner
        if owner is not None:
            owners[event.id] = owner
            _take(owner, event)
    for visit in visits:
        _conclude(visit, is_running=is_running)
    return visits


def progress_of(events: Sequence[HistoryEvent]) -> Progress:
    """Return the last state in a history, and the attempts of each state with its last error."""
    visits = visits_of(events, is_running=True)
    attempts: dict[str, list[Attempt]] = {}
    for visit in visits:
        if visit.attempts:
            attempts.setdefault(visit.state, []).extend(visit.attempts)
    found = [
        StateAttempts(state, len(calls), next((c.error for c in reversed(calls) if c.error), None))
        for state, calls in attempts.items()
    ]
    last = visits[-1] if visits else None
    return Progress(last.state if last else None, last.entered if last else 0.0, found)


def _redriven_visit(visits: Sequence[StateVisit]) -> StateVisit | None:
    """Return the last visit that a redrive continues; each of them has not failed any more."""
    unfinished = [visit for visit in visits if visit.exited is None]
    for visit in unfinished:
        visit.error, visit.cause = None, None
    return unfinished[-1] if unfinished else None


def _open_visit(visits: Sequence[StateVisit], state: str) -> StateVisit | None:
    return next((v for v in reversed(visits) if v.state == state and v.exited is None), None)


def _take(visit: StateVisit, event: HistoryEvent) -> None:
    """Add an event to its visit."""
    if event.type.endswith("StateExited"):
        visit.exited, visit.output = event.timestamp, event.details.get("output")
    elif event.type.endswith("Scheduled"):
        parameters = event.details.get("parameters")
        named = parameters.get("FunctionName", "") if isinstance(parameters, dict) else ""
        function = str(named).rpartition(":function:")[2]
        resource = f"{event.details.get('resourceType')}:{event.details.get('resource')}"
        visit.attempts.append(Attempt(event.timestamp, resource=function or resource))
    elif event.type.endswith(_FAILURES):
        error, cause = (_text(event.details.get(name)) for name in ("error", "cause"))
        if visit.attempts and visit.attempts[-1].ended is None:
            attempt = visit.attempts[-1]
            attempt.ended, attempt.error, attempt.cause = event.timestamp, error or "failed", cause
        visit.error, visit.cause = error, cause
    elif event.type.endswith("Succeeded") and visit.attempts:
        visit.attempts[-1].ended = event.timestamp
        visit.error = visit.cause = None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _conclude(visit: StateVisit, *, is_running: bool) -> None:
    """Set the status of a visit, once all its events are known."""
    failed = any(attempt.error for attempt in visit.attempts)
    if visit.exited is None:
        visit.status = "running" if is_running else "failed"
    elif visit.error is not None:
        visit.status = "caught"
    else:
        visit.status = "retried" if failed else "succeeded"


def _exact(value: Any) -> Any:
    """Return a value with its numbers by their text: ``1`` and ``true`` are different."""
    return read_exact(json.dumps(value))
