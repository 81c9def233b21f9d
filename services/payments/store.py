"""The ledger in SQLite, beside the records it belongs to."""

from payments.model import LedgerEntry
from shared.record import Change, ChargeStatus, OrderRecord
from shared.sqlite import Database, SQLiteRecords, apply

SCHEMA = """
create table if not exists charges (
    charge_id text primary key,
    order_id text not null unique,
    amount integer not null check (amount > 0),
    currency text not null,
    status text not null check (status in ('PENDING', 'CHARGED', 'DECLINED', 'REFUNDED', 'VOIDED')),
    reference text,
    opened_at real not null,
    updated_at real not null
) without rowid;
"""


class SQLiteLedger(SQLiteRecords):
    """The ledger (see `payments.usecases.Ledger`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.define(SCHEMA)

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one transaction.

        PENDING outlives a power cut: the gateway is asked next, and may forget the key it was
        asked under. What follows can be looked up there again.
        """
        at = change.after.updated_at
        pending = entry.status is ChargeStatus.PENDING
        with self.database.write(durable=pending) as connection:
            apply(connection, change)
            connection.execute(
                "insert into charges values (?, ?, ?, ?, ?, ?, ?, ?)"
                " on conflict (charge_id) do update set status = excluded.status,"
                " reference = coalesce(excluded.reference, reference),"
                " updated_at = excluded.updated_at",
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
