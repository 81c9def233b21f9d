"""Unfinished work of a data directory: orders that have not begun, and waiting items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.local.template.stack import Stack
from infra.views.health import PAUSED_SQL, plural, waits_for
from kernel import json_text
from orders.early_requests import RETENTION
from storage.sqlite.database import Database

SLACK = 1.0
"""Seconds that an item may be due without being overdue."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Waiting items of one kind; ``next_at`` is when the first is due, in epoch seconds."""

    count: int
    item: str
    does: str
    next_at: float

    @property
    def text(self) -> str:
        """A sentence such as "3 orders wait for stock"."""
        return plural(self.count, self.item, self.does)


def waiting(database: Database, stack: Stack) -> list[Waiting]:
    """Return the waiting items: orders first, then retries."""
    items = list(_paused(database))
    items += _of(database, "order", "are tried again", _RUNNING_ORDERS)
    items += _of(database, "order", "wait for the reconciler", _HELD_ORDERS)
    items += _of(database, "request", "wait for an order", _EARLY_REQUESTS, RETENTION)
    for consumer in stack.consumers:
        does = f"are tried again by {consumer.function}"
        query = "select count(*) as count, min(visible_at) as at from messages where queue = ?"
        items += _of(database, "message", does, query, consumer.queue)
    for key, kind in _targets(stack).items():
        query = "select count(*) as count, min(due) as at from deliveries where target = ?"
        items += _of(database, "delivery", f"are tried again at the {kind} {key}", query, key)
    return items


def _paused(database: Database) -> Iterator[Waiting]:
    """Yield the waiting orders by the cause of the wait, in the order of their due times."""
    found: dict[str, Waiting] = {}
    for row in database.rows(_PAUSED):
        does = f"wait for {waits_for(row['waiting_for'], row['status'])}"
        before = found.get(does)
        count = row["count"] + (before.count if before else 0)
        found[does] = Waiting(count, "order", does, before.next_at if before else row["at"])
    yield from found.values()


_PAUSED = (
    "select status, waiting_for, count(*) as count, min(resume_at) as at from orders"
    f" where in_flight = 1 and status in ({PAUSED_SQL}) group by status, waiting_for order by at"
)
_EARLY_REQUESTS = "select count(*) as count, min(came_at) + ? as at from early_requests"
_UNDERWAY = f"from orders o where in_flight = 1 and status not in ({PAUSED_SQL})"
_RUN = "from executions x where x.order_id = o.order_id and x.status = 'RUNNING'"
_RUNNING_ORDERS = (
    f"select count(*) as count, min((select min(x.wake_at) {_RUN})) as at {_UNDERWAY}"
    f" and exists (select 1 {_RUN})"
)
_HELD_ORDERS = (
    f"select count(*) as count, min(max(lease_until, updated_at)) as at {_UNDERWAY}"
    f" and not exists (select 1 {_RUN})"
)


def _of(database: Database, item: str, does: str, query: str, *parameters: object) -> list[Waiting]:
    row = database.row(query, *parameters)
    return [Waiting(row["count"], item, does, row["at"] or 0.0)] if row and row["count"] else []


def _targets(stack: Stack) -> dict[str, str]:
    """Return the kinds of the targets that get one event per delivery, by key."""
    targets = [target for rule in stack.rules for target in rule.targets]
    return {target.key: target.kind for target in targets if target.kind != "stream"}


def overdue(database: Database, stack: Stack, now: float) -> int:
    """Return the number of items that are due and not being processed."""
    at = now - SLACK
    queues = [consumer.queue for consumer in stack.consumers]
    targets = list(_targets(stack))
    row = database.row(
        "select (select count(*) from outbox)"
        f" + (select count(*) from messages where queue in ({_marks(queues)}) and visible_at <= ?)"
        f" + (select count(*) from deliveries where target in ({_marks(targets)}) and due <= ?)"
        " + (select count(*) from executions where status = 'RUNNING'"
        " and (wake_at is null or wake_at <= ?))",
        *queues,
        at,
        *targets,
        at,
        at,
    )
    return int(row[0]) if row else 0


def not_begun(database: Database, stack: Stack, since: int) -> int:
    """Return the number of accepted orders without a record that were not refused.

    Their event waits for its delivery, or their run for its first step. An event after ``since``
    that has neither a delivery nor a run nor a dead letter counts as well.
    """
    machines = {
        target.key: target.name
        for rule in stack.rules
        for target in rule.targets
        if target.kind == "machine"
    }
    names = list(machines.values())
    rows = database.rows(
        "select order_id, id from (select e.order_id, e.id from deliveries d"
        f" join events e on e.seq = d.event_seq where d.target in ({_marks(machines)})"
        " and e.detail_type = 'Order Created' union all select order_id, name from executions"
        f" where status = 'RUNNING' and machine in ({_marks(names)})) as begins"
        " where order_id is null or order_id not in (select order_id from orders)",
        *machines,
        *names,
    )
    orders = {row["order_id"] or row["id"] for row in rows}
    orders |= {row["order_id"] or row["id"] for row in _lost(database, stack, machines, since)}
    return len(orders)


def _lost(database: Database, stack: Stack, machines: dict[str, str], since: int) -> Iterator[Any]:
    """Return the events that match a rule of a state machine and never reached it."""
    names = list(machines.values())
    candidates = database.rows(
        "select id, order_id, envelope from events e where seq > ?"
        " and detail_type = 'Order Created'"
        " and not exists (select 1 from orders o where o.order_id = e.order_id)"
        f" and seq not in (select event_seq from deliveries where target in ({_marks(machines)}))"
        f" and not exists (select 1 from executions where machine in ({_marks(names)})"
        " and name > e.id || '-' and name < e.id || '.')",
        since,
        *machines,
        *names,
    )
    if not candidates:
        return
    dead_letters = _dead_letter_ids(database, stack)
    rules = [
        rule for rule in stack.rules if {target.key for target in rule.targets} & set(machines)
    ]
    for row in candidates:
        envelope = json_text.parse(row["envelope"])
        matches = any(rule.pattern.matches(envelope) for rule in rules)
        if matches and row["id"] not in dead_letters:
            yield row


def _dead_letter_ids(database: Database, stack: Stack) -> set[str]:
    """Return the ids of events in the dead-letter queues of targets."""
    queues = stack.dead_letter_queues
    rows = database.rows(
        f"select body from messages where queue in ({_marks(queues)})"
        " and attributes like '%\"TARGET\"%'",
        *queues,
    )
    return {json_text.parse(row["body"])["id"] for row in rows}


def _marks(values: Sequence[str] | dict[str, str]) -> str:
    return ", ".join("?" * len(values))
