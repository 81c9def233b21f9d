"""The audit of a whole data directory, as of one moment."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.audit.facts import Archive, check_begun, check_published
from infra.audit.findings import MOVED, Finding, Invariant, Report
from infra.audit.in_flight import GRACE, Flight
from infra.audit.partners import Partners
from infra.audit.rules import StockBook, check_order
from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from kernel.clock import timestamp
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD, to_record

COLUMNS = RECORD.split(", ")
CHARGE = ("charge_id", "status", "amount", "currency")
SHIPMENT = ("shipment_id", "status", "tracking_number")

_ORDERS = (
    f"select {', '.join(f'o.{name}' for name in COLUMNS)},"
    f" {', '.join(f'c.{name}' for name in CHARGE)}, {', '.join(f's.{name}' for name in SHIPMENT)}"
    " from orders o left join charges c on c.order_id = o.order_id"
    " left join shipments s on s.order_id = o.order_id"
)

_STRAYS = """
select order_id, '{0}' as what from {0} t
where not exists (select 1 from orders o where o.order_id = t.order_id)
"""

_UNSEEN = """
select order_id, status from orders
where (in_flight is null) <> (status in ('COMPLETED', 'FAILED', 'CANCELLED'))
"""

_ORPHANS = """
select d.id, d.target, d.event_seq from deliveries d
where not exists (select 1 from events e where e.seq = d.event_seq)
"""


def audit(where: DataDirectory, stack: Stack) -> Report:
    """Return the findings of a data directory; others may write to it meanwhile.

    Raises
    ------
    DataDirectoryError
        Nothing was ever run there, or it is of a newer version.
    """
    report = Report()
    database = where.reader()
    try:
        with database.snapshot():
            unknown = _check(database, where, stack, report)
        # an order that came after the moment that was read is no finding
        report.findings.add(
            finding for order_id, finding in unknown.items() if not _is_here(database, order_id)
        )
    except sqlite3.DatabaseError as error:
        report.findings.add([_damaged(where.database, str(error))])
    finally:
        database.close()
    return report


def _check(
    database: Database, where: DataDirectory, stack: Stack, report: Report
) -> dict[str, Finding]:
    """Run all checks; return the findings of orders that only a partner knows."""
    add, connection = report.findings.add, database.connection
    [(said,)] = database.rows("pragma main.quick_check(1)")
    if said != "ok":
        add([_damaged(where.database, said)])
        return {}
    imports = imported(database)
    flight = Flight(connection, stack)
    archive = _archive(stack, flight.seen, imports)
    add(_orders(database))
    add(_strays(connection))
    partners = Partners(connection, imports.newest_order if imports else 0.0)
    if where.sandbox.exists():
        database.attach(str(where.sandbox), "partners")
        add(partners.check())
    add(flight.check())
    add(check_rest(connection, stack, flight.reconciled))
    add(check_begun(connection, archive, flight))
    add(check_published(connection, archive))
    for name, query in _COUNTS.items():
        report.checked[name] = connection.execute(query).fetchone()[0]
    if imports is not None:
        report.unchecked.append(MOVED + ("" if imports.whole else ", and their events are there"))
    return partners.unknown


_COUNTS = {
    "orders": "select count(*) from orders",
    "in_flight": "select count(*) from orders where in_flight = 1",
    "charges": "select count(*) from charges",
    "shipments": "select count(*) from shipments",
    "skus": "select count(*) from stock",
    "events": "select count(*) from events",
}


@dataclass(frozen=True, slots=True)
class Imports:
    """The imports of a directory together: see `infra.moving.sqlite`."""

    last_event: int
    newest_order: float
    whole: bool


def imported(database: Database) -> Imports | None:
    """Return what was imported into a directory, if anything was."""
    if database.row("select 1 from sqlite_master where name = 'imports'") is None:
        return None
    row = database.row(
        "select max(last_event), max(newest_order), min(whole) from imports having count(*) > 0"
    )
    return None if row is None else Imports(row[0], row[1], bool(row[2]))


def _archive(stack: Stack, seen: float, imports: Imports | None) -> Archive:
    kept = stack.archive_days * 86_400 - GRACE
    since = seen - kept if stack.archive_days else 0.0
    if imports is None:
        return Archive(since)
    return Archive(since, imports.last_event, 0.0 if imports.whole else imports.newest_order)


def _damaged(path: object, said: str) -> Finding:
    mend = "restore the last good backup with `orders restore`"
    return Finding(Invariant.FILES, str(path), f"it is damaged ({said})", mend)


def _orders(database: Database) -> Iterator[Finding]:
    """Check each order, and the stock against all orders."""
    stock = StockBook()
    first, second = len(COLUMNS), len(COLUMNS) + len(CHARGE)
    for row in database.connection.execute(_ORDERS):
        values: Any = tuple(row)
        try:
            record = to_record(values[:first])
        except (KeyError, TypeError, ValueError) as error:
            mend = "correct its row, or restore the last good backup"
            problem = f"it cannot be read ({error!r})"
            yield Finding(Invariant.FILES, f"order {values[0]}", problem, mend)
            continue
        stock.add(record)
        charge = dict(zip(CHARGE, values[first:second], strict=True))
        shipment = dict(zip(SHIPMENT, values[second:], strict=True))
        yield from check_order(
            record,
            charge if charge["charge_id"] is not None else None,
            shipment if shipment["shipment_id"] is not None else None,
        )
    [(received,)] = database.rows("select coalesce(sum(units), 0) from receipts")
    yield from stock.check(database.connection.execute("select * from stock"), received)


def _strays(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Return charges and shipments of no order, and orders that the reconciler does not see."""
    for row in connection.execute(_UNSEEN):
        problem = f"it is {row['status']}, and its column `in_flight` says otherwise"
        mend = "set `in_flight` to 1 for an order that has not ended, and to null for any other"
        yield Finding(Invariant.END, f"order {row['order_id']}", problem, mend)
    for table, invariant in (("charges", Invariant.MONEY), ("shipments", Invariant.SHIPMENT)):
        for row in connection.execute(_STRAYS.format(table)):
            problem = f"it is in `{table}`, and no order is here"
            mend = "restore the last good backup, which has the order"
            yield Finding(invariant, f"order {row['order_id']}", problem, mend)


def check_rest(
    connection: sqlite3.Connection, stack: Stack, reconciled: float
) -> Iterator[Finding]:
    """Return entries that have no goal, or that should have been sent long ago.

    The platform has run at ``reconciled``.
    """
    query = "select id, kind, created_at from outbox where created_at < ?"
    for row in connection.execute(query, (reconciled - GRACE,)):
        problem = f"its {row['kind']} was to be sent {timestamp(row['created_at'])}, and stays"
        mend = "run `orders serve`, which sends it at once; if it stays, see orderflow.log"
        yield Finding(Invariant.EVENTS, f"outbox entry {row['id']}", problem, mend)
    targets = {target.key for rule in stack.rules for target in rule.targets}
    for row in connection.execute("select target, count(*) from deliveries group by target"):
        if row[0] not in targets:
            problem = f"{row[1]} events are to be delivered, and no rule of the template has it"
            mend = "put the rule back into the template"
            yield Finding(Invariant.EVENTS, f"target {row[0]}", problem, mend)
    for row in connection.execute("select queue, count(*) from messages group by queue"):
        if row[0] not in stack.queues:
            problem = f"{row[1]} messages wait in it, and the template has no such queue"
            mend = "put the queue back into the template"
            yield Finding(Invariant.END, f"queue {row[0]}", problem, mend)
    for row in connection.execute(_ORPHANS):
        problem = f"its event {row['event_seq']} for {row['target']} is not in the journal"
        mend = "restore the last good backup, which has the event"
        yield Finding(Invariant.EVENTS, f"delivery {row['id']}", problem, mend)


def _is_here(database: Database, order_id: str) -> bool:
    return database.row("select 1 from orders where order_id = ?", order_id) is not None
