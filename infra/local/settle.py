"""Run the engine until nothing is due: in a sandbox by skipping time, else in real time."""

from collections.abc import Callable

from infra.local.engine.engine import Engine
from infra.local.orderflow import RECONCILER
from orders.early_requests import RETENTION
from storage.sqlite.database import Database

SINK_ATTEMPTS = 5
"""Consecutive failures of the sink after which `settle` no longer waits for it."""

RECONCILIATIONS = 3
"""Consecutive runs of the reconciler without progress after which `settle` ends."""

LEASE = 601.0
"""Seconds until the lease of a vanished run has expired, including the grace period."""

HORIZON = 15.0
"""Longest wait in real time, in seconds: enough for a step's retry, not for a Wait state."""

STALLED = 100
"""Consecutive turns without progress, though an item is due, after which `work_off` ends."""

SINK_RETRIES = 2
"""Consecutive failures of the sink after which `work_off` no longer waits for it."""


def settle(engine: Engine, on_turn: Callable[[], None] = lambda: None) -> None:
    """Take turns until nothing is due, and run the reconciler for orders that make no progress."""
    reconciled, unfinished = 0, (-1, -1)
    while True:
        happened = engine.turn(0.0 if engine.idle else 0.05)
        on_turn()
        if happened or not engine.idle:
            continue
        if engine.skip(sink=engine.streams.failures < SINK_ATTEMPTS):
            continue
        work = open_work(engine)
        if work == (0, 0) or (reconciled >= RECONCILIATIONS and work == unfinished):
            return
        reconciled = reconciled + 1 if work == unfinished else 1
        unfinished = work
        engine.skip_to(engine.clock.now() + rest(engine))
        engine.run_schedule(RECONCILER)


def work_off(engine: Engine, on_turn: Callable[[], None] = lambda: None) -> None:
    """Take turns in real time until nothing is due within `HORIZON` seconds; flush the sink."""
    _work(engine, lambda: engine.next_due(schedules=False, sink=False), on_turn)
    engine.streams.flush_buffers()
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


def open_work(engine: Engine) -> tuple[int, int]:
    """Return the number of orders that have not ended, and of requests that wait for an order."""
    database = engine.journal.database
    return in_flight(database), _early_requests(database)


def rest(engine: Engine) -> float:
    """Return for how many seconds an engine without due items rests until the reconciler runs."""
    if in_flight(engine.journal.database):
        return LEASE
    return _early_requests_expire_in(engine)


def _early_requests(database: Database) -> int:
    """Return the number of requests that wait for an order which has not arrived."""
    row = database.row("select count(*) from early_requests")
    return int(row[0]) if row else 0


def _early_requests_expire_in(engine: Engine) -> float:
    """Return in how many seconds the last of the early requests expires."""
    row = engine.journal.database.row("select max(came_at) from early_requests")
    return max(LEASE, row[0] + RETENTION + 1.0 - engine.clock.now()) if row and row[0] else LEASE


def in_flight(database: Database) -> int:
    """Return the number of orders that have not ended."""
    row = database.row("select count(*) from orders where in_flight = 1")
    return int(row[0]) if row else 0
