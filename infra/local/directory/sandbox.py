"""Decide whether a data directory is a sandbox, in which time may be skipped.

A directory is a sandbox while every order in it was made by ``orders run``. The first order from
outside (the port, ``orders emit``, ``replay`` or ``import``) makes it real permanently. A directory
without the stored kind is real, unless it was never used.
"""

from infra.local.clock import Clock, SkippingClock
from infra.local.directory.journal import KIND, SANDBOX, set_directory_value
from infra.local.directory.schema import JOURNAL
from storage.sqlite.database import Database
from storage.sqlite.schema import ORDERS


def clock_for(database: Database) -> Clock:
    """Return the clock of a run in a directory; an unused directory becomes a sandbox."""
    database.define(ORDERS)
    database.define(JOURNAL)
    if _kind(database) is None and _is_unused(database):
        with database.write() as connection:
            set_directory_value(connection, KIND, SANDBOX)
    return SkippingClock() if _kind(database) == SANDBOX else Clock()


def _kind(database: Database) -> str | None:
    row = database.row("select value from directory where key = ?", KIND)
    return None if row is None else str(row[0])


def _is_unused(database: Database) -> bool:
    """Return whether there was never an order, an event, an execution or a message.

    ``sqlite_sequence`` counts deleted rows too.
    """
    journalled = "select 1 from sqlite_sequence where name in ('events', 'executions', 'messages')"
    recorded = "select 1 from orders"
    return database.row(f"{journalled} union all {recorded} limit 1") is None
