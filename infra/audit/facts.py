"""Events: each accepted order is processed, and each state that has an event published it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from sqlite3 import Connection, Row

from infra.audit.findings import Finding, Invariant
from infra.audit.in_flight import Flight, orders_in
from kernel import json_text
from kernel.errors import InvalidEvent
from kernel.events import parse
from kernel.idempotency import published_event_id
from kernel.order_status import Status

FACTS: Mapping[str, str] = {
    Status.COMPLETED: "Order Completed",
    Status.FAILED: "Order Failed",
    Status.CANCELLED: "Order Cancellation Confirmed",
}
"""The event of each final status."""

REFUNDED, FLAGGED, SHORT = "Payment Refunded", "High Value Order Flagged", "Order Backordered"

DEAD_LETTER_RETENTION = 14 * 86_400.0
"""Seconds until a dead letter expires: an older event may have had one."""

_ONCE = frozenset({*FACTS.values(), REFUNDED})
"""Events that an order's state has at most once; other sources may use these names as well."""

_STATES = """
select o.order_id, o.status, o.version, o.charge, o.created_at,
    r.order_id is not null as flagged, w.order_id is not null as short
from orders o left join reviews r on r.order_id = o.order_id
left join (select distinct order_id from timeline where what = 'WAITING'
    and json_extract(detail, '$.reason') = 'OutOfStock') w on w.order_id = o.order_id
where +o.created_at > max(?, ?) order by o.order_id
"""

_PUBLISHED = """
select order_id, detail_type, iif(json_valid(envelope),
    json_extract(envelope, '$.detail.metadata.event_id'), null) as event_id
from events where order_id is not null order by +order_id
"""

_UNBEGUN = """
select e.seq, e.id, e.order_id, e.envelope, e.arrived_at from events e
where e.detail_type = 'Order Created' and e.archived and e.seq > ? and e.arrived_at > ?
    and not exists (select 1 from orders o where o.order_id = e.order_id)
    and not exists (select 1 from pruned_orders p where p.order_id = e.order_id)
"""

_RUNS = """
select status from executions where order_id = ?
union all select status from executions where machine = ? and name >= ? and name < ?
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """The range of a journal that has all events.

    Attributes
    ----------
    since
        Time in epoch seconds from which the journal has events.
    imported
        Sequence number up to which events were imported.
    elsewhere
        Time in epoch seconds: the events of orders created until then are at their origin.
    """

    since: float = 0.0
    imported: int = 0
    elsewhere: float = 0.0


def check_published(connection: Connection, archive: Archive) -> Iterator[Finding]:
    """Yield findings of states without their event and of events with several ids."""
    outbox = _outbox_events(connection)
    events = groupby(connection.execute(_PUBLISHED), key=lambda row: row["order_id"])
    order_id, rows = next(events, ("", iter(())))
    for state in connection.cursor().execute(_STATES, (archive.since, archive.elsewhere)):
        while order_id and order_id < state["order_id"]:
            order_id, rows = next(events, ("", iter(())))
        ids: dict[str, set[str | None]] = {}
        if order_id == state["order_id"]:
            for row in rows:
                ids.setdefault(row["detail_type"], set()).add(row["event_id"])
        yield from _facts(state, ids, outbox.get(state["order_id"], ()))


def _facts(
    state: Row, ids: Mapping[str, set[str | None]], outbox: Sequence[str]
) -> Iterator[Finding]:
    """Compare the events of one order with its state."""
    wrong = partial(Finding, Invariant.EVENTS, f"order {state['order_id']}")
    for name, happened in (
        *((name, state["status"] == status) for status, name in FACTS.items()),
        (REFUNDED, state["charge"] == "REFUNDED"),
        (FLAGGED, bool(state["flagged"])),
        (SHORT, bool(state["short"])),
    ):
        if happened and name not in ids and name not in outbox:
            remedy = f"inform the consumers of {name}; `orders show {state['order_id']}` has it"
            yield wrong(f"{name} has happened, and the event was never published", remedy)
        if name in _ONCE and len(ids.get(name, ())) > happened:
            ours = len(ids[name] & _ids(state, name))
            if ours > 1:
                remedy = "inform its consumers, and report a bug: its id must follow from its order"
                yield wrong(f"{name} was published under {ours} event ids", remedy)
            if ours and not happened:
                remedy = f"inform its consumers, and compare it with `orders show {state[0]}`"
                yield wrong(f"{name} was published, and it is {state['status']}", remedy)


def _ids(state: Row, name: str) -> set[str | None]:
    """Return the ids under which the platform may have published an event of an order."""
    versions = range(1, state["version"] + 1)
    return {published_event_id(state["order_id"], name, version) for version in versions}


def _outbox_events(connection: Connection) -> dict[str, list[str]]:
    """Return the types of the events in the outbox by order."""
    events: dict[str, list[str]] = {}
    for row in connection.execute("select body from outbox where kind = 'event'"):
        entry = json_text.parse(row["body"])
        for order_id in orders_in(row["body"]):
            events.setdefault(order_id, []).append(str(entry.get("DetailType")))
    return events


def check_begun(connection: Connection, archive: Archive, flight: Flight) -> Iterator[Finding]:
    """Yield findings of accepted orders that neither started nor were quarantined."""
    rows = connection.execute(_UNBEGUN, (archive.imported, archive.since)).fetchall()
    waiting = _delivering(connection, flight.starts) if rows else set()
    for row in rows:
        if row["seq"] in waiting or (row["order_id"] and flight.names(row["order_id"])):
            continue
        parameters = (row["order_id"], flight.machine, f"{row['id']}-", f"{row['id']}.")
        statuses = {run[0] for run in connection.execute(_RUNS, parameters)}
        expired = row["arrived_at"] < flight.seen - DEAD_LETTER_RETENTION
        if "RUNNING" in statuses or (statuses and (expired or _is_invalid(row["envelope"]))):
            continue
        subject = f"order {row['order_id']}"
        outcome = f"its run ended {', '.join(statuses)}" if statuses else "no run started"
        problem = (
            f"event {row['id']} was accepted, and {outcome}, without an order or a dead letter"
        )
        remedy = (
            "run `orders serve`: the reconciler starts it within a quarter of an hour; after seven"
            " days put the event again with `orders emit`"
        )
        yield Finding(Invariant.END, subject, problem, remedy)


def _delivering(connection: Connection, targets: Sequence[str]) -> set[int]:
    marks = ", ".join("?" * len(targets))
    query = f"select event_seq from deliveries where target in ({marks})"
    return {row[0] for row in connection.execute(query, targets)}


def _is_invalid(envelope: str) -> bool:
    """Return whether an event breaks its contract: its run quarantined it, and a person saw it."""
    try:
        parse(json_text.parse(envelope))
    except (InvalidEvent, ValueError, RecursionError):
        return True
    return False
