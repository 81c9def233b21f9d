"""The audit of a data directory, as of one moment."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.audit.facts import Archive, check_begun, check_published
from infra.audit.findings import MOVED, Finding, Invariant, Report
from infra.audit.in_flight import GRACE, Flight
from infra.audit.partners import Partners
from infra.audit.rules import StockBook, Units, check_order
from infra.local.directory.data_directory import DataDirectory
from infra.local.retention.events import events_pruned_until
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

_LOCAL_TARGETS = "select rule, id from local_targets"

_ORPHANS = """
select d.id, d.target, d.event_seq from deliveries d
where not exists (select 1 from events e where e.seq = d.event_seq)
"""


def audit(where: DataDirectory, stack: Stack) -> Report:
    """Return the findings of a data directory, which other processes may be writing to.

    Raises
    ------
    DataDirectoryError
        The platform never ran there, or the directory has a newer version.
    """
    report = Report()
    database = where.reader()
    try:
        with database.snapshot():
            unknown = _check(database, where, stack, report)
        # an order that arrived after the audited moment is no finding
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
    """Run all checks; return the findings of orders known only to a partner."""
    add, connection = report.findings.add, database.connection
    [(result,)] = database.rows("pragma main.quick_check(1)")
    if result != "ok":
        add([_damaged(where.database, result)])
        return {}
    imports = imported(database)
    flight = Flight(connection, stack)
    archive = _archive(stack, flight.seen, imports, events_pruned_until(database))
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
        report.unchecked.append(MOVED + ("" if imports.whole else ", and so are their events"))
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
    """The imports of a directory, summed up (see `infra.moving.sqlite`)."""

    last_event: int
    newest_order: float
    whole: bool


def imported(database: Database) -> Imports | None:
    """Return the imports of a directory, or None."""
    if database.row("select 1 from sqlite_master where name = 'imports'") is None:
        return None
    row = database.row(
        "select max(last_event), max(newest_order), min(whole) from imports having count(*) > 0"
    )
    return None if row is None else Imports(row[0], row[1], bool(row[2]))


def _archive(stack: Stack, seen: float, imports: Imports | None, pruned_until: float) -> Archive:
    """Return the range of a journal that has all events; older events were pruned."""
    retention = stack.archive_days * 86_400 - GRACE
    since = max(seen - retention if stack.archive_days else 0.0, pruned_until)
    if imports is None:
        return Archive(since)
    return Archive(since, imports.last_event, 0.0 if imports.whole else imports.newest_order)


def _damaged(path: object, error: str) -> Finding:
    remedy = "restore the last good backup with `orders restore`"
    return Finding(Invariant.FILES, str(path), f"it is damaged ({error})", remedy)


def _orders(database: Database) -> Iterator[Finding]:
    """Check each order, and the stock against all orders."""
    stock = StockBook()
    first, second = len(COLUMNS), len(COLUMNS) + len(CHARGE)
    for row in database.connection.execute(_ORDERS):
        values: Any = tuple(row)
        try:
            record = to_record(values[:first])
        except (KeyError, TypeError, ValueError) as error:
            remedy = "correct its row, or restore the last good backup"
            problem = f"it cannot be read ({error!r})"
            yield Finding(Invariant.FILES, f"order {values[0]}", problem, remedy)
            continue
        stock.add(record)
        charge = dict(zip(CHARGE, values[first:second], strict=True))
        shipment = dict(zip(SHIPMENT, values[second:], strict=True))
        yield from check_order(
            record,
            charge if charge["charge_id"] is not None else None,
            shipment if shipment["shipment_id"] is not None else None,
        )
    for row in database.rows("select sku, shipped, restocked from pruned_units"):
        stock.add_units(row["sku"], Units(0, row["shipped"], row["restocked"]))
    [(received,)] = database.rows("select coalesce(sum(units), 0) from receipts")
    yield from stock.check(database.connection.execute("select * from stock"), received)


def _strays(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield findings of charges and shipments without order, and of orders wrongly indexed."""
    for row in connection.execute(_UNSEEN):
        problem = f"it is {row['status']}, and its column `in_flight` says otherwise"
        remedy = "set `in_flight` to 1 for an order that has not ended, and to null for any other"
        yield Finding(Invariant.END, f"order {row['order_id']}", problem, remedy)
    for table, invariant in (("charges", Invariant.MONEY), ("shipments", Invariant.SHIPMENT)):
        for row in connection.execute(_STRAYS.format(table)):
            problem = f"it is in `{table}`, and the order does not exist"
            remedy = "restore the last good backup, which has the order"
            yield Finding(invariant, f"order {row['order_id']}", problem, remedy)


def check_rest(
    connection: sqlite3.Connection, stack: Stack, reconciled: float
) -> Iterator[Finding]:
    """Yield findings of pending entries without destination, and of overdue ones.

    ``reconciled`` is the time of the reconciler's last run.
    """
    query = "select id, kind, created_at from outbox where created_at < ?"
    for row in connection.execute(query, (reconciled - GRACE,)):
        problem = f"its {row['kind']} is pending since {timestamp(row['created_at'])}"
        remedy = "run `orders serve`, which sends it at once; if it remains, see orderflow.log"
        yield Finding(Invariant.EVENTS, f"outbox entry {row['id']}", problem, remedy)
    targets = {target.key for rule in stack.rules for target in rule.targets}
    targets |= {f"{row[0]}/{row[1]}" for row in connection.execute(_LOCAL_TARGETS)}
    for row in connection.execute("select target, count(*) from deliveries group by target"):
        if row[0] not in targets:
            problem = (
                f"{row[1]} events are to be delivered to it, and no rule of the template has it"
            )
            remedy = "put the rule back into the template"
            yield Finding(Invariant.EVENTS, f"target {row[0]}", problem, remedy)
    for row in connection.execute("select queue, count(*) from messages group by queue"):
        if row[0] not in stack.queues:
            problem = f"{row[1]} messages are in it, and the template has no such queue"
            remedy = "put the queue back into the template"
            yield Finding(Invariant.END, f"queue {row[0]}", problem, remedy)
    for row in connection.execute(_ORPHANS):
        problem = f"its event {row['event_seq']} for {row['target']} is not in the journal"
        remedy = "restore the last good backup, which has the event"
        yield Finding(Invariant.EVENTS, f"delivery {row['id']}", problem, remedy)


def _is_here(database: Database, order_id: str) -> bool:
    query = "select 1 from {0} where order_id = ?"
    return any(database.row(query.format(table), order_id) for table in ("orders", "pruned_orders"))
