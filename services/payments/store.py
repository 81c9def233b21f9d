"""The ledger in SQLite, beside the records it belongs to."""

from kernel.order_record import Change, ChargeStatus, OrderRecord
from payments.model import LedgerEntry
from storage.sqlite.database import Database, SQLiteRecords, apply, one_of

SCHEMA = f"""
create table if not exists charges (
    order_id text primary key,
    charge_id text not null,
    amount integer not null check (amount > 0),
    currency text not null,
    status text not null check ({one_of("status", ChargeStatus)}),
    reference text,
    opened_at real not null,
    updated_at real not null
) without rowid;
"""

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
        database.define(SCHEMA)

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one transaction.

        PENDING stands before the gateway is asked, whatever else is gathered.
        """
        at = change.after.updated_at
        pending = entry.status is ChargeStatus.PENDING
        with self.database.write(at_once=pending) as connection:
            apply(connection, change)
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
