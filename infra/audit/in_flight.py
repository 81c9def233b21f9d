"""Orders in flight: each must have work pending.

That is a run or a timer, a pending message, the reconciler once a lease or a wait has ended, or a
dead letter for a person.
"""

from collections.abc import Iterable, Iterator
from sqlite3 import Connection
from typing import Any

from infra.audit.findings import Finding, Invariant
from infra.local.orderflow import order_id_in
from infra.local.template.schedule_expressions import next_time
from infra.local.template.stack import Stack
from kernel import json_text
from kernel.clock import timestamp
from kernel.order_status import PAUSED

GRACE = 900.0
"""Seconds by which a lease or a wait may be overdue (a lease, and twice the reconciler's rate)."""

RECONCILER = "ReconcileFunction"

_IN_FLIGHT = """
select order_id, status, lease_owner, lease_until, resume_at from orders where in_flight = 1
"""

_LAST = """
select max(at) from (
    select max(arrived_at) as at from events
    union all select max(created_at) from orders
    union all select max(updated_at) from orders where in_flight = 1
    union all select max(started_at) from (
        select started_at from executions order by id desc limit 1)
    union all select max(minute) from metrics)
"""

REMEDY = (
    "the reconciler starts it within ten minutes while the platform runs; if it remains, see"
    " `orders show {}`"
)


def last_seen(connection: Connection) -> float:
    """Return the last time at which the platform is known to have run, in epoch seconds."""
    row = connection.execute(_LAST).fetchone()
    return float(row[0] or 0.0)


def problem_of(order: Any, otherwise: float, reconciled: float, seen: float) -> str | None:
    """Return the problem of an order in flight that only the reconciler resumes, or None.

    Parameters
    ----------
    order
        The fields of an order record.
    otherwise
        Due time without a lease or a wait; 0 if nothing is due.
    reconciled, seen
        Last run of the reconciler and of the platform, in epoch seconds.
    """
    due, what = otherwise, "its pending step"
    if order["lease_owner"] is not None:
        due, what = order["lease_until"], "the lease of its run"
    elif order["status"] in PAUSED:
        due, what = order["resume_at"], "its wait"
    if not due:
        return "and it has no run, message or dead letter"
    if due < reconciled - GRACE:
        return f"{what} ended {timestamp(due)}, and nothing resumes it"
    if due > seen + GRACE:
        return f"{what} ends only {timestamp(due)}, and it has no run"
    return None


def reconciled(connection: Connection, stack: Stack) -> float:
    """Return the last run of the reconciler or start of the platform; 0 if there was none."""
    for schedule in stack.schedules:
        if schedule.function == RECONCILER:
            row = connection.execute(
                "select next_at from schedules where name = ? and expression = ?",
                (schedule.name, schedule.expression),
            ).fetchone()
            return float(row[0]) - next_time(schedule.expression, 0.0) if row else 0.0
    return 0.0


class Flight:
    """The orders in flight of a directory, and the runs and dead letters that they depend on."""

    def __init__(self, connection: Connection, stack: Stack) -> None:
        self.connection = connection
        self.seen = last_seen(connection)
        self.reconciled = reconciled(connection, stack)
        self.dead_letters = stack.dead_letter_queues
        targets = [target for rule in stack.rules for target in rule.targets]
        starts = [target for target in targets if target.kind == "machine"]
        self.starts = [target.key for target in starts]
        self.machine = starts[0].name
        self._named: set[str] | None = None

    def check(self) -> Iterator[Finding]:
        """Yield findings of orders in flight without pending work."""
        for row in self.connection.execute(_IN_FLIGHT):
            problem = self.problem(row)
            if problem:
                subject, remedy = f"order {row['order_id']}", REMEDY.format(row["order_id"])
                yield Finding(Invariant.END, subject, f"it is {row['status']}, {problem}", remedy)

    def problem(self, order: Any) -> str | None:
        """Return the problem of an order in flight without pending work, or None."""
        problem = problem_of(order, 0.0, self.reconciled, self.seen)
        if problem and not self._runs(order["order_id"]) and not self.names(order["order_id"]):
            return problem
        return None

    def _runs(self, order_id: str) -> bool:
        query = "select 1 from executions where order_id = ? and status = 'RUNNING'"
        return self.connection.execute(query, (order_id,)).fetchone() is not None

    def _has(self, table: str) -> bool:
        query = "select 1 from sqlite_master where name = ?"
        return self.connection.execute(query, (table,)).fetchone() is not None

    def names(self, order_id: str) -> bool:
        """Return whether a pending run, or a dead letter in place of one, is about an order."""
        if self._named is None:
            self._named = set(self._orders())
        return order_id in self._named

    def _orders(self) -> Iterator[str]:
        marks = ", ".join("?" * len(self.dead_letters))
        # a message that a queue gave up, such as a mail, does not resume its order
        letters = (
            f"select body from messages where queue in ({marks})"
            " and json_extract(attributes, '$.SOURCE_QUEUE') is null"
        )
        for row in self.connection.execute(letters, self.dead_letters):
            yield from orders_in(row["body"])
        if self._has("closed_letters"):
            # redriven and its successor has not ended, or discarded by a person with a reason
            closed = "select body from closed_letters where state in ('PENDING', 'DISCARDED')"
            for row in self.connection.execute(closed):
                yield from orders_in(row["body"])
        for row in self.connection.execute("select body from outbox"):
            yield from orders_in(row["body"])
        query = (
            "select distinct e.order_id from deliveries d join events e on e.seq = d.event_seq"
            " where e.order_id is not null and e.detail_type = 'Order Created' and d.target in"
        )
        targets = f" ({', '.join('?' * len(self.starts))})"
        yield from (row[0] for row in self.connection.execute(query + targets, self.starts))


def orders_in(text: str) -> Iterable[str]:
    """Return the ids of orders in the body of a message or in its nested bodies."""
    try:
        body = json_text.parse(text)
    except (ValueError, RecursionError):
        return ()
    return set(_orders_in(body))


def _orders_in(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        return
    order_id = order_id_in(body)
    if order_id is not None:
        yield order_id
    for name in ("event", "input", "body", "Detail", "requestPayload"):
        inner = body.get(name)
        if isinstance(inner, str):
            yield from orders_in(inner)
        elif isinstance(inner, dict):
            yield from _orders_in(inner)
