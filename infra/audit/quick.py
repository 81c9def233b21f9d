"""The quick part of an audit: a fraction of a second for any number of orders."""

from collections.abc import Iterator

from infra.audit.directory import check_rest
from infra.audit.findings import Finding, Invariant
from infra.audit.in_flight import Flight
from infra.audit.rules import check_order
from infra.local.stack_loader import shipped
from kernel.order_status import Reservation
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD, to_record


def quick_findings(database: Database) -> list[Finding]:
    """Return the findings of orders in flight, their reservations, and pending work.

    Orders that have ended are not read. `DataDirectory.reader` opens the database.
    """
    if database.row("select 1 from sqlite_master where name = 'executions'") is None:
        return []  # the platform never ran here
    with database.snapshot():
        flight = Flight(database.connection, shipped())
        return [
            *_in_flight(database),
            *flight.check(),
            *check_rest(database.connection, shipped(), flight.reconciled),
        ]


def _in_flight(database: Database) -> Iterator[Finding]:
    reserved: dict[str, int] = {}
    for row in database.connection.execute(f"select {RECORD} from orders where in_flight = 1"):
        record = to_record(row)
        if record.reservation is Reservation.RESERVED:
            for sku, units in record.demand.items():
                reserved[sku] = reserved.get(sku, 0) + units
        charge = _row(database, "charges", record.order_id)
        yield from check_order(record, charge, _row(database, "shipments", record.order_id))
    for row in database.rows("select sku, reserved from stock"):
        units = reserved.pop(row["sku"], 0)
        if row["reserved"] != units:
            problem = f"{row['reserved']} units are reserved, and by the orders {units} are"
            yield Finding(Invariant.STOCK, f"SKU {row['sku']}", problem, "see `orders audit`")


def _row(database: Database, table: str, order_id: str) -> dict[str, object] | None:
    row = database.row(f"select * from {table} where order_id = ?", order_id)
    return None if row is None else dict(row)
