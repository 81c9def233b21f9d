"""Bringing a directory's times back to the clock that opens it, after a run has skipped time.

A run of a sandbox keeps how far its clock was ahead of the machine's. When the directory is opened
the next time, nothing in it may be later than that clock says:

- a time at which something is due comes by so much earlier, so that its wait is as long as before;
- a time at which something happened becomes the present, if it is later.

Both keep the order of times. Parquet files and the text of events stay as they were delivered.
"""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from infra.asl import HistoryEvent
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.history_pieces import changed
from infra.local.directory.journal import AHEAD, keep
from storage.sqlite.database import Database

Columns = Mapping[str, tuple[str, ...]]

HAPPENED: Columns = {
    "orders": ("created_at", "updated_at"),
    "timeline": ("at",),
    "outbox": ("created_at",),
    "events": ("arrived_at",),
    "executions": ("started_at", "ended_at"),
    "messages": ("sent_at",),
    "replays": ("started_at", "ended_at"),
    "failures": ("at",),
    "closed_letters": ("sent_at", "closed_at"),
    "letter_log": ("at",),
    "suspects": ("at",),
    "quarantined_orders": ("at",),
    "idempotency_keys": ("used_at",),
    "early_requests": ("came_at", "heard"),
    "charges": ("opened_at", "updated_at"),
    "shipments": ("updated_at",),
    "receipts": ("received_at",),
    "reviews": ("flagged_at",),
    "mails": ("sent_at",),
    "imports": ("imported_at", "newest_order"),
}
"""Columns by table that say when something happened."""

DUE: Columns = {
    "orders": ("lease_until", "resume_at"),
    "deliveries": ("due",),
    "executions": ("wake_at",),
    "messages": ("visible_at",),
}
"""Columns by table that say when something is due, or how long something holds."""

PARTNERS: Columns = {"gateway_charges": ("charged_at",), "mail_messages": ("sent_at",)}
"""The same as `HAPPENED`, in the sandbox's own database."""


def rebase(directory: DataDirectory, database: Database, clock: Clock) -> None:
    """Bring back what is later than the clock says, if the clock before was ahead of it.

    The caller is the directory's one writer, and nothing of the platform runs yet. After a crash
    in between, the next start does it.
    """
    row = database.row("select value from directory where key = ?", AHEAD)
    now = clock.now()
    by = float(row[0]) - clock.offset if row else _latest(database) - now
    if by > 0:
        _rebase_partners(directory, now)
    if by > 0 or row is None or float(row[0]) != clock.offset:
        with database.write() as connection:
            if by > 0:
                _rebase(connection, by, now)
            keep(connection, AHEAD, str(clock.offset))


def bring_back(directory: DataDirectory) -> None:
    """Bring a directory's times back for a reader whom its run's clock would mislead.

    Raises
    ------
    DataDirectoryError
        There is no directory, or the run still goes on.
    """
    reader = directory.reader()
    kept = reader.row("select 1 from sqlite_master where name = 'directory'")
    row = reader.row("select value from directory where key = ?", AHEAD) if kept else None
    reader.close()
    if row is not None and float(row[0]) > 0:
        with directory.writer() as database:
            rebase(directory, database, Clock())


def _latest(database: Database) -> float:
    """Return when something happened last in a directory of which nothing else is known."""
    row = database.row(
        "select max(coalesce((select max(updated_at) from orders), 0),"
        " coalesce((select max(arrived_at) from events), 0))"
    )
    return float(row[0]) if row else 0.0


def _rebase_partners(directory: DataDirectory, now: float) -> None:
    """Bring back the sandbox's own record first: to do it twice changes nothing."""
    if not directory.sandbox.exists():
        return
    partners = Database(str(directory.sandbox))
    try:
        with partners.write() as connection:
            _move(connection, PARTNERS, {}, 0.0, now)
    finally:
        partners.close()


def _rebase(connection: Connection, by: float, now: float) -> None:
    _rebase_histories(connection, by, now)
    _move(connection, HAPPENED, DUE, by, now)
    # the next time follows from the expression, as for a schedule that is new
    connection.execute("delete from schedules where next_at > ?", (now,))
    minute = int(now // 60) * 60
    connection.execute(
        "insert into metrics select ?1, name, dimensions, unit, sum(count), sum(sum), min(minimum),"
        " max(maximum) from metrics where minute > ?1 group by name, dimensions"
        " on conflict do update set count = count + excluded.count, sum = sum + excluded.sum,"
        " minimum = min(minimum, excluded.minimum), maximum = max(maximum, excluded.maximum)",
        (minute,),
    )
    connection.execute("delete from metrics where minute > ?", (minute,))


def _move(connection: Connection, happened: Columns, due: Columns, by: float, now: float) -> None:
    """Move the columns of each table that is there."""
    for table in {**happened, **due}:
        found = connection.execute(f"select name from pragma_table_info('{table}')").fetchall()
        known = {name for (name,) in found}
        moved = {name: f"min({name}, :now)" for name in happened.get(table, ()) if name in known}
        for name in known & set(due.get(table, ())):
            moved[name] = f"iif({name} > :now, {name} - :by, {name})"
        if moved:
            changes = ", ".join(f"{name} = {value}" for name, value in moved.items())
            later = " or ".join(f"{name} > :now" for name in moved)
            connection.execute(
                f"update {table} set {changes} where {later}", {"by": by, "now": now}
            )


def _rebase_histories(connection: Connection, by: float, now: float) -> None:
    """Bring back the histories of executions that still run, or that ended later than now."""
    moved = connection.execute(
        "select id from executions where status = 'RUNNING' or ended_at > ?", (now,)
    ).fetchall()
    for (execution,) in moved:
        pieces = connection.execute(
            "select id, piece from history where execution_id = ?", (execution,)
        ).fetchall()
        for number, piece in pieces:
            after = changed(piece, lambda one: _told(one, now), lambda one: _shot(one, by, now))
            connection.execute("update history set piece = ? where id = ?", (after, number))


def _told(event: HistoryEvent, now: float) -> HistoryEvent:
    return event._replace(timestamp=min(event.timestamp, now))


def _shot(shot: dict[str, Any], by: float, now: float) -> dict[str, Any]:
    """Return an execution's snapshot (`infra.asl.execution`) brought back."""
    return {
        **shot,
        "times_out_at": _due(shot["times_out_at"], by, now),
        "history": [_told(HistoryEvent(*row), now).to_row() for row in shot["history"]],
        "root": _frame(shot["root"], by, now),
    }


def _frame(frame: dict[str, Any], by: float, now: float) -> dict[str, Any]:
    """Return a frame brought back; a task's ``due`` is a few seconds, and stays as it is."""
    return {
        **frame,
        "entered_at": min(frame["entered_at"], now),
        "due": _due(frame["due"], by, now),
        "children": [[index, _frame(child, by, now)] for index, child in frame["children"]],
    }


def _due(moment: float | None, by: float, now: float) -> float | None:
    return moment - by if moment is not None and moment > now else moment
