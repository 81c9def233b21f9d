"""The checkpoint of an export: how far the journal has been exported.

It is a file of the data directory, replaced after each accepted request. A crash between the two
repeats a request, whose spans have the same ids and whose counters are totals.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.sqlite.database import Database

FILE = "otlp.checkpoint"
_NO_LATER = "select coalesce(max({0}), 0) from {1}"


@dataclass(slots=True)
class Checkpoint:
    """Numbers of the last exported rows.

    Parameters
    ----------
    event, execution, mail : int
        The last row of each that was read.
    running : set[int]
        Executions up to ``execution`` that had not ended.
    minute : int
        The first minute whose metrics are not in ``totals``, in epoch seconds.
    since : int
        The start of the totals, in epoch seconds.
    totals : dict[str, list[float]]
        By name, dimensions and unit as JSON text: count, sum, minimum, maximum.
    """

    event: int = 0
    execution: int = 0
    mail: int = 0
    running: set[int] = field(default_factory=set)
    minute: int = 0
    since: int = 0
    totals: dict[str, list[float]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file as a whole, or leave the former one."""
        temporary = path.with_suffix(".new")
        values: dict[str, Any] = {**asdict(self), "running": sorted(self.running)}
        temporary.write_text(json.dumps(values))
        os.replace(temporary, path)  # noqa: PTH105 - its name says that it is atomic


def load(path: Path) -> Checkpoint | None:
    """Return a file's checkpoint, or None if there is none that can be read."""
    try:
        values = json.loads(path.read_text())
        return Checkpoint(**{**values, "running": set(values["running"])})
    except (OSError, ValueError, TypeError, LookupError):
        return None


def present(database: Database, sandbox: Path, now: float) -> Checkpoint:
    """Return the checkpoint after which only later rows, and running executions, are exported."""
    running = database.rows("select id from executions where status = 'RUNNING'")
    minute = int(now // 60) * 60
    return Checkpoint(
        event=_last(database, "seq", "events"),
        execution=_last(database, "id", "executions"),
        mail=last_mail(sandbox),
        running={row["id"] for row in running},
        minute=minute,
        since=minute,
    )


def prepare(path: Path, database: Database, sandbox: Path, now: float) -> None:
    """Write the present checkpoint unless the directory has one of its own rows.

    A checkpoint ahead of the journal is of a directory that was replaced, as by a restore.
    """
    known = load(path)
    if (
        known is None
        or known.event > _last(database, "seq", "events")
        or known.execution > _last(database, "id", "executions")
    ):
        present(database, sandbox, now).save(path)


def last_mail(sandbox: Path) -> int:
    """Return the id of the last mail in a sandbox's database; 0 if there is none."""
    mails = open_mails(sandbox)
    if mails is None:
        return 0
    try:
        return _last(mails, "id", "mail_messages")
    finally:
        mails.close()


def open_mails(sandbox: Path) -> Database | None:
    """Open a sandbox's database for reading, once it has the table of mails."""
    if not sandbox.exists():
        return None
    database = Database(str(sandbox), read_only=True)
    if database.row("select 1 from sqlite_master where name = 'mail_messages'"):
        return database
    database.close()
    return None


def _last(database: Database, column: str, table: str) -> int:
    row = database.row(_NO_LATER.format(column, table))
    assert row is not None
    return int(row[0])
