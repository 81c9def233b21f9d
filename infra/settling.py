"""Working until nothing is due, with a clock that skips what only has to be waited for."""

from collections.abc import Callable

from infra.local.engine import Engine
from orders.early import KEPT
from shared.sqlite import Database

SINK_ATTEMPTS = 5
"""Failures of the sink in a row after which nobody waits for it any more."""

RECONCILIATIONS = 3
"""Times in a row that the reconciler may find nothing to move before that is the end."""

LEASE = 601.0
"""Seconds after which a run that is gone no longer holds its order, and the grace on top."""


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
        engine.clock.offset += LEASE if left[0] else _until_given_up(engine)
        engine.run_schedule("ReconcileFunction")


def _requests(database: Database) -> int:
    """Return how many requests are kept for orders that did not come."""
    row = database.row("select count(*) from early_requests")
    return int(row[0]) if row else 0


def _until_given_up(engine: Engine) -> float:
    """Return in how many seconds the last request is given up whose order did not come."""
    row = engine.journal.database.row("select max(came_at) from early_requests")
    return max(LEASE, row[0] + KEPT + 1.0 - engine.clock.now()) if row and row[0] else LEASE


def in_flight(database: Database) -> int:
    """Return how many orders have not ended."""
    row = database.row("select count(*) from orders where in_flight = 1")
    return int(row[0]) if row else 0
