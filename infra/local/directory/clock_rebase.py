"""Rebase the times in a sandbox directory to real time, after a run has skipped time.

A run stores how far its clock was ahead of real time. At the next opening no time in the directory
may be later than the clock:

- a due time is moved back by the difference, so that the remaining wait is unchanged;
- a past time that is later than the clock becomes the present.

Both keep the order of times. Parquet files and the text of events are not changed.
"""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from infra.asl import HistoryEvent
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.history_pieces import changed
from infra.local.directory.journal import CLOCK_AHEAD, set_directory_value
from storage.sqlite.database import Database

Columns = Mapping[str, tuple[str, ...]]

PAST_TIMES: Columns = {
    "orders": ("created_at", "updated_at"),
    "timeline": ("at",),
    "outbox": ("created_at",),
    "pruned_orders": ("pruned_at",),
    "events": ("arrived_at",),
    "executions": ("started_at", "ended_at"),
    "execution_redrives": ("at",),
    "messages": ("sent_at",),
    "replays": ("started_at", "ended_at", "last_at"),
    "failures": ("at",),
    "closed_letters": ("sent_at", "closed_at"),
    "letter_log": ("at",),
    "letter_jobs": ("started_at", "ended_at"),
    "saved_views": ("saved_at",),
    "suspects": ("at",),
    "quarantined_orders": ("at",),
    "idempotency_keys": ("used_at",),
    "early_requests": ("came_at", "heard"),
    "charges": ("opened_at", "updated_at"),
    "shipments": ("updated_at",),
    "receipts": ("received_at",),
    "operator_actions": ("at",),
    "waiting_orders": ("created_at",),
    "reviews": ("flagged_at",),
    "mails": ("sent_at",),
    "imports": ("imported_at", "newest_order"),
    "unmatched_events": ("first_at", "last_at"),
    "local_rules": ("created_at",),
    "local_messages": ("sent_at",),
}
"""Columns by table with the time of a past event."""

DUE_TIMES: Columns = {
    "orders": ("lease_until", "resume_at", "approve_by"),
    "deliveries": ("due",),
    "executions": ("wake_at",),
    "messages": ("visible_at",),
    "local_messages": ("visible_at",),
}
"""Columns by table with the time when something is due or expires."""

PARTNER_TIMES: Columns = {"gateway_charges": ("charged_at",), "mail_messages": ("sent_at",)}
"""Columns as in `PAST_TIMES`, in the sandbox's database of its partners."""


def rebase(directory: DataDirectory, database: Database, clock: Clock) -> None:
    """Move back the times later than the clock, if the previous clock was ahead of it.

    The caller is the directory's writer, before the platform runs. After a crash in between, the
    next start repeats it.
    """
    row = database.row("select value from directory where key = ?", CLOCK_AHEAD)
    now = clock.now()
    shift = float(row[0]) - clock.offset if row else _latest(database) - now
    if shift > 0:
        _rebase_partners(directory, now)
    if shift > 0 or row is None or float(row[0]) != clock.offset:
        with database.write() as connection:
            if shift > 0:
                _rebase(connection, shift, now)
            set_directory_value(connection, CLOCK_AHEAD, str(clock.offset))


def rebase_to_real_time(directory: DataDirectory) -> None:
    """Rebase a directory for a reader that uses real time.

    Raises
    ------
    DataDirectoryError
        There is no directory, or a run has it open.
    """
    reader = directory.reader()
    has_table = reader.row("select 1 from sqlite_master where name = 'directory'")
    row = (
        reader.row("select value from directory where key = ?", CLOCK_AHEAD) if has_table else None
    )
    reader.close()
    if row is not None and float(row[0]) > 0:
        with directory.writer() as database:
            rebase(directory, database, Clock())


def _latest(database: Database) -> float:
    """Return the latest time in a directory that has no clock offset stored."""
    row = database.row(
        "select max(coalesce((select max(updated_at) from orders), 0),"
        " coalesce((select max(arrived_at) from events), 0))"
    )
    return float(row[0]) if row else 0.0


def _rebase_partners(directory: DataDirectory, now: float) -> None:
    """Rebase the partners' database, before the journal; a second time changes nothing."""
    if not directory.sandbox.exists():
        return
    partners = Database(str(directory.sandbox))
    try:
        with partners.write() as connection:
            _move(connection, PARTNER_TIMES, {}, 0.0, now)
    finally:
        partners.close()


def _rebase(connection: Connection, shift: float, now: float) -> None:
    _rebase_histories(connection, shift, now)
    _move(connection, PAST_TIMES, DUE_TIMES, shift, now)
    # the engine computes the next time from the expression, as for a new schedule
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
    connection.execute(
        "insert into measures select ?1, name, label, bucket, sum(count), sum(sum) from measures"
        " where minute > ?1 group by name, label, bucket"
        " on conflict do update set count = count + excluded.count, sum = sum + excluded.sum",
        (minute,),
    )
    connection.execute("delete from measures where minute > ?", (minute,))


def _move(connection: Connection, past: Columns, due: Columns, shift: float, now: float) -> None:
    """Move the times in each table that exists."""
    for table in {**past, **due}:
        rows = connection.execute(f"select name from pragma_table_info('{table}')").fetchall()
        known = {name for (name,) in rows}
        moved = {name: f"min({name}, :now)" for name in past.get(table, ()) if name in known}
        for name in known & set(due.get(table, ())):
            moved[name] = f"iif({name} > :now, {name} - :shift, {name})"
        if moved:
            changes = ", ".join(f"{name} = {value}" for name, value in moved.items())
            later = " or ".join(f"{name} > :now" for name in moved)
            connection.execute(
                f"update {table} set {changes} where {later}", {"shift": shift, "now": now}
            )


def _rebase_histories(connection: Connection, shift: float, now: float) -> None:
    """Rebase the histories of executions that are running, or that ended later than now."""
    executions = connection.execute(
        "select id from executions where status = 'RUNNING' or ended_at > ?", (now,)
    ).fetchall()
    for (execution,) in executions:
        pieces = connection.execute(
            "select id, piece from history where execution_id = ?", (execution,)
        ).fetchall()
        for number, piece in pieces:
            rebased = changed(
                piece,
                lambda event: _rebase_event(event, now),
                lambda snapshot: _rebase_snapshot(snapshot, shift, now),
            )
            connection.execute("update history set piece = ? where id = ?", (rebased, number))


def _rebase_event(event: HistoryEvent, now: float) -> HistoryEvent:
    return event._replace(timestamp=min(event.timestamp, now))


def _rebase_snapshot(snapshot: dict[str, Any], shift: float, now: float) -> dict[str, Any]:
    """Return an execution's snapshot (`infra.asl.execution`) with its times rebased."""
    return {
        **snapshot,
        "times_out_at": _rebase_due(snapshot["times_out_at"], shift, now),
        "history": [_rebase_event(HistoryEvent(*row), now).to_row() for row in snapshot["history"]],
        "root": _rebase_frame(snapshot["root"], shift, now),
    }


def _rebase_frame(frame: dict[str, Any], shift: float, now: float) -> dict[str, Any]:
    """Return a frame with its times rebased; a task's ``due``, a few seconds, is unchanged."""
    return {
        **frame,
        "entered_at": min(frame["entered_at"], now),
        "due": _rebase_due(frame["due"], shift, now),
        **_rebase_callback(frame.get("callback"), shift, now),
        **{
            kind: [[index, _rebase_frame(child, shift, now)] for index, child in frame[kind]]
            for kind in ("children", "unfinished")
            if kind in frame
        },
    }


def _rebase_callback(callback: Any, shift: float, now: float) -> dict[str, Any]:
    """Return a task's wait for its token (`infra.asl.task_tokens`) with its timeout rebased."""
    if callback is None:
        return {}
    times_out_at = _rebase_due(callback["times_out_at"], shift, now)
    return {"callback": {**callback, "times_out_at": times_out_at}}


def _rebase_due(due: float | None, shift: float, now: float) -> float | None:
    return due - shift if due is not None and due > now else due
