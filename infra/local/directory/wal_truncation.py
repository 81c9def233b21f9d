"""Truncation of the write-ahead logs, so that none outgrows its database.

SQLite reuses the file of a log and never shrinks it; only a truncating checkpoint does (SQLite,
PRAGMA wal_checkpoint). It is tried at a clean end and when the engine has been idle for a while. A
concurrent reader or writer only postpones it.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

IDLE = 30.0
"""Seconds without work after which the logs are truncated."""


def truncate_logs(databases: Iterable[Path]) -> None:
    """Move the content of each database's log into the database, and truncate the log."""
    for path in databases:
        log = path.with_name(f"{path.name}-wal")
        with suppress(OSError, sqlite3.Error):  # another process uses it: the next time
            if log.stat().st_size:
                with closing(sqlite3.connect(path, timeout=0)) as connection:
                    connection.execute("pragma wal_checkpoint(truncate)").fetchall()


class IdleTruncation:
    """Truncates the logs once after each time that an engine was busy."""

    def __init__(self, databases: Iterable[Path]) -> None:
        self._databases = tuple(databases)
        self._busy_at = float("inf")

    def observe(self, now: float, *, busy: bool) -> None:
        """Note whether a turn did anything; truncate the logs after `IDLE` seconds without work.

        ``now`` is a monotonic time in seconds.
        """
        if busy:
            self._busy_at = now
        elif now - self._busy_at >= IDLE:
            self._busy_at = float("inf")
            truncate_logs(self._databases)
