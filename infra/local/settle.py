"""Working until nothing is due: in a sandbox by skipping time, elsewhere in real time."""

from collections.abc import Callable

from infra.local.engine.engine import Engine
from orders.early_requests import RETENTION
from storage.sqlite.database import Database

SINK_ATTEMPTS = 5
"""Failures of the sink in a row after which nobody waits for it any more."""

RECONCILIATIONS = 3
"""Times in a row that the reconciler may find nothing to move before that is the end."""

LEASE = 601.0
"""Seconds after which a run that is gone no longer holds its order, and the grace on top."""

HORIZON = 15.0
"""Seconds that are waited in real time for what is due next: a step's retry, no order's wait."""

STALLED = 100
"""Turns in which nothing happens, though something is due, after which nobody waits any more."""

SINK_RETRIES = 2
"""Failures of the sink in a row after which nobody waits for it in real time."""


def settle(engine: Engine, on_turn: Callable[[], None] = lambda: None) -> None:
    """Take turns until nothing is due; orders that nothing moves are left to the reconciler."""
    reconciled, unfinished = 0, (-1, -1)
    while True:
        happened = engine.turn(0.0 if engine.idle else 0.05)
        on_turn()
        if happened or not engine.idle:
            continue
        if engine.skip(sink=engine.streams.failures < SINK_ATTEMPTS):
            continue
        left = in_flight(engine.journal.database), _requests(engine.journal.database)
        if left == (0, 0) or (reconciled >= RECONCILIATIONS and left == unfinished):
            return
        reconciled = reconciled + 1 if left == unfinished else 1
        unfinished = left
        wait = LEASE if left[0] else _until_given_up(engine)
        engine.skip_to(engine.clock.now() + wait)
        engine.run_schedule("ReconcileFunction")


def work_off(engine: Engine, on_turn: Callable[[], None] = lambda: None) -> None:
    """Take turns in real time until nothing is due within `HORIZON` seconds; flush the sink."""
    _work(engine, lambda: engine.next_due(schedules=False, sink=False), on_turn)
    engine.streams.flush()
    _work(engine, lambda: _due_with_sink(engine), on_turn)


def _work(engine: Engine, next_due: Callable[[], float], on_turn: Callable[[], None]) -> None:
    stalled = 0
    while stalled < STALLED:
        wait = next_due() - engine.clock.now()
        happened = engine.turn(min(0.05, max(0.0, wait)) if engine.idle else 0.05)
        on_turn()
        if happened or not engine.idle:
            stalled = 0
        elif next_due() - engine.clock.now() > HORIZON:
            return
        else:
            stalled = 0 if wait > 0 else stalled + 1


def _due_with_sink(engine: Engine) -> float:
    return engine.next_due(schedules=False, sink=engine.streams.failures < SINK_RETRIES)


def _requests(database: Database) -> int:
    """Return how many requests are kept for orders that did not come."""
    row = database.row("select count(*) from early_requests")
    return int(row[0]) if row else 0


def _until_given_up(engine: Engine) -> float:
    """Return in how many seconds the last request is given up whose order did not come."""
    row = engine.journal.database.row("select max(came_at) from early_requests")
    return max(LEASE, row[0] + RETENTION + 1.0 - engine.clock.now()) if row and row[0] else LEASE


def in_flight(database: Database) -> int:
    """Return how many orders have not ended."""
    row = database.row("select count(*) from orders where in_flight = 1")
    return int(row[0]) if row else 0
