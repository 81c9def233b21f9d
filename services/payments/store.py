"""The ledger in SQLite, in the database of the orders."""

from kernel.order_record import Change, OrderRecord
from kernel.order_status import ChargeStatus
from payments.model import LedgerEntry
from storage.sqlite.database import Database
from storage.sqlite.records import SQLiteRecords, write_change
from storage.sqlite.schema import LEDGER

_ENTER = """  -- a second charge of an order would be null, which the column refuses
insert into charges
    (charge_id, order_id, amount, currency, status, reference, opened_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (order_id) do update set status = excluded.status,
        charge_id = iif(charge_id = excluded.charge_id, charge_id, null),
        reference = coalesce(excluded.reference, reference), updated_at = excluded.updated_at
"""


class SQLiteLedger(SQLiteRecords):
    """The ledger (see `payments.usecases.Ledger`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.define(LEDGER)

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one transaction.

        PENDING is committed before the gateway is called, even while other writes are grouped.
        """
        at = change.after.updated_at
        pending = entry.status is ChargeStatus.PENDING
        with self.database.write(flush=pending) as connection:
            write_change(connection, change)
            connection.execute(
                _ENTER,
                (
                    entry.charge_id,
                    entry.order_id,
                    entry.amount,
                    entry.currency,
                    entry.status,
                    entry.reference,
                    at,
                    at,
                ),
            )
        return change.after
