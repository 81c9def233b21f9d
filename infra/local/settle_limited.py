"""Runs the engine until nothing is due, with calls that take skipped time as in an account."""

from collections.abc import Callable

from infra.local.engine.engine import Engine
from infra.local.orderflow import RECONCILER
from infra.local.settle import SINK_ATTEMPTS, open_work, rest
from infra.local.workers.limited import NEVER, LimitedInvoker

TICK = 0.001
"""Seconds beyond what is due next."""

RECONCILIATIONS = 12
"""Consecutive runs of the reconciler without progress, an hour, after which it ends."""


def settle_limited(engine: Engine, on_turn: Callable[[], None] = lambda: None) -> None:
    """Take turns until nothing is due.

    Time is skipped to exactly what is due next, and the reconciler runs at its rate: calls that are
    due together compete for the account's executions.
    """
    invoker = engine.invoker
    assert isinstance(invoker, LimitedInvoker)
    reconciled, unfinished = 0, (-1, -1)
    while True:
        happened = engine.turn(0.0 if engine.idle else 0.05)
        on_turn()
        end = invoker.next_end()
        if happened or not (engine.idle or end < NEVER):
            continue
        sink = engine.streams.failures < SINK_ATTEMPTS
        due, reconciler = min(engine.next_due(schedules=False, sink=sink), end), _reconciler(engine)
        if due == NEVER:
            work = open_work(engine)
            if work == (0, 0) or (reconciled >= RECONCILIATIONS and work == unfinished):
                return
            reconciled = reconciled + 1 if work == unfinished else 1
            unfinished = work
            reconciler = due = reconciler if work[0] else engine.clock.now() + rest(engine)
        _skip(engine, min(due, reconciler))
        if reconciler <= due:
            engine.run_schedule(RECONCILER)


def _reconciler(engine: Engine) -> float:
    """Return when the reconciler's schedule is due."""
    names = [one.name for one in engine.stack.schedules if one.function == RECONCILER]
    return min((engine.schedules.due[name] for name in names), default=NEVER)


def _skip(engine: Engine, moment: float) -> None:
    engine.skip_to(max(moment, engine.clock.now()) + TICK)
