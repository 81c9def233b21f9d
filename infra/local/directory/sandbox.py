"""The mark of a sandbox: a data directory in which time may be skipped.

A directory is a sandbox while every order in it came from ``orders run``. The first order from
outside (the port, ``orders emit``, ``replay`` or ``import``) makes it real for good. A directory
without the mark is real, unless nothing was ever in it.
"""

from infra.local.clock import Clock, SkippingClock
from infra.local.directory.journal import KIND, SANDBOX, keep
from infra.local.directory.schema import JOURNAL
from storage.sqlite.database import Database
from storage.sqlite.schema import ORDERS


def clock_of(database: Database) -> Clock:
    """Return the clock that a run has in a directory; an empty directory becomes a sandbox."""
    database.define(ORDERS)
    database.define(JOURNAL)
    if _kind(database) is None and _is_unused(database):
        with database.write() as connection:
            keep(connection, KIND, SANDBOX)
    return SkippingClock() if _kind(database) == SANDBOX else Clock()


def _kind(database: Database) -> str | None:
    row = database.row("select value from directory where key = ?", KIND)
    return None if row is None else str(row[0])


def _is_unused(database: Database) -> bool:
    """Say whether there was never an order, an event, an execution or a message.

    ``sqlite_sequence`` knows of rows that are deleted by now.
    """
    journalled = "select 1 from sqlite_sequence where name in ('events', 'executions', 'messages')"
    recorded = "select 1 from orders"
    return database.row(f"{journalled} union all {recorded} limit 1") is None
