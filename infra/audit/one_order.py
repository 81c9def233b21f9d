"""The invariants of ``docs/reliability.md`` for one order, each with the numbers that show it."""

import sqlite3
from dataclasses import dataclass

from infra.audit.facts import FACTS
from infra.audit.findings import Invariant
from infra.audit.in_flight import Flight
from infra.audit.rules import Row, check_order
from infra.local.template.stack import Stack
from infra.views.local_story import record_of
from infra.views.order_story import OrderStory
from kernel.money import text
from kernel.order_record import OrderRecord
from kernel.order_status import ENDED
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD, to_record


@dataclass(frozen=True, slots=True)
class Hold:
    """An invariant of one order: whether it holds, the numbers, and a problem if it does not."""

    name: str
    holds: bool
    shown: str
    problem: str = ""


def invariants_of(database: Database, stack: Stack, story: OrderStory) -> list[Hold]:
    """Return the five invariants of an order; none of one without a record."""
    row = database.row(f"select {RECORD} from orders where order_id = ?", story.order_id)
    if row is None:
        return []
    try:
        record = to_record(row)
    except (ValueError, KeyError) as error:
        problem = f"its record cannot be read: {error}"
        return [Hold("Record", holds=False, shown=str(record_of(row).status), problem=problem)]
    charge = database.row("select * from charges where order_id = ?", story.order_id)
    shipment = database.row("select * from shipments where order_id = ?", story.order_id)
    held = holds_of_record(
        record,
        None if charge is None else dict(charge),
        None if shipment is None else dict(shipment),
        story,
    )
    return [*held, _end(database, stack, row, story), _events(record, story)]


def holds_of_record(
    record: OrderRecord, charge: Row | None, shipment: Row | None, story: OrderStory
) -> list[Hold]:
    """Return the three invariants that an order's own records show."""
    problems = {
        finding.invariant: finding.problem for finding in check_order(record, charge, shipment)
    }
    units = sum(record.demand.values())
    noun = "1 unit" if units == 1 else f"{units} units"
    shown = {
        Invariant.MONEY: _money(record, story),
        Invariant.STOCK: f"{noun}, {record.reservation or 'none held'}",
        Invariant.SHIPMENT: str(record.shipment or "none"),
    }
    return [
        Hold(str(each).capitalize(), each not in problems, text_, problems.get(each, ""))
        for each, text_ in shown.items()
    ]


def _money(record: OrderRecord, story: OrderStory) -> str:
    statuses = [payment.status for payment in story.payments]
    paid = record.total if "CHARGED" in statuses else 0
    total = text(record.total, record.currency)
    return f"paid {text(paid, record.currency)} of {total} {record.currency}"


def _end(database: Database, stack: Stack, order: sqlite3.Row, story: OrderStory) -> Hold:
    """Return whether it has ended, or has pending work that takes it to its end."""
    if order["status"] in ENDED:
        return Hold("End", holds=True, shown=order["status"])
    running = sum(run.status == "RUNNING" for run in story.runs)
    if running:
        shown = "a run continues" if running == 1 else f"{running} runs continue"
        return Hold("End", holds=True, shown=shown)
    if story.dead_letters:
        return Hold("End", holds=True, shown=f"dead letter {story.dead_letters[0].id}")
    problem = Flight(database.connection, stack).problem(order)
    if problem:
        status = order["status"]
        return Hold("End", holds=False, shown=status, problem=f"it is {status}, {problem}")
    return Hold("End", holds=True, shown="the reconciler starts its next run after its lease")


def _events(record: OrderRecord, story: OrderStory) -> Hold:
    """Return whether the event of its final status was published."""
    wanted = FACTS.get(record.status)
    published = [event for event in story.events if event.type == wanted]
    if wanted is None:
        return Hold("Events", holds=True, shown=f"{len(story.events)} journalled")
    if published:
        return Hold("Events", holds=True, shown=f"{wanted}, {len(story.events)} in all")
    problem = f"{wanted} is not journalled yet: it is in the outbox, or was lost"
    return Hold("Events", holds=False, shown=f"no {wanted}", problem=problem)
