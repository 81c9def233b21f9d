"""Truncation of the write-ahead logs, so that none outgrows its database.

SQLite reuses the file of a log and never shrinks it; only a truncating checkpoint does (SQLite,
PRAGMA wal_checkpoint). It is tried at a clean end and when the engine has been idle for a while. A
concurrent reader or writer only postpones it.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

IDLE = 30.0
"""Seconds without work after which the logs are truncated."""


def truncate_logs(databases: Iterable[Path]) -> bool:
    """Move the content of each database's log into the database, and truncate the log.

    Return false if another process uses a log, which then keeps its size.
    """
    truncated = [_is_truncated(path) for path in databases]
    return all(truncated)


def _is_truncated(path: Path) -> bool:
    """Truncate the log of a database; return false if another process uses it."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if not log.exists() or log.stat().st_size == 0:
            return True
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            [(busy, _, _)] = connection.execute("pragma wal_checkpoint(truncate)")
            return not busy
    except (OSError, sqlite3.Error):
        return False


class IdleTruncation:
    """Truncates the logs once after each time that an engine was busy; a reader postpones it."""

    def __init__(self, databases: Iterable[Path]) -> None:
        self._databases = tuple(databases)
        self._busy_at = float("inf")
        self.patience = IDLE

    def observe(self, now: float, *, busy: bool) -> None:
        """Note whether a turn did anything; truncate the logs after `IDLE` seconds without work.

        ``now`` is a monotonic time in seconds.
        """
        if busy:
            self._busy_at = now
        elif now - self._busy_at >= IDLE:
            done = truncate_logs(self._databases)
            self._busy_at = float("inf") if done else now
