"""Group commit: the writes of several invocations are one transaction for each database.

A worker runs several invocations one after the other, commits once, and sends their results after
the commit. So a result that was sent is committed, and a crash rolls back entire invocations. This
saves a transaction, and a wait for the write lock, for each write.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from storage.sqlite.database import Database


class GroupRolledBack(Exception):
    """The group was rolled back: run each of its invocations again, in its own transactions."""


class GroupCommit:
    """The write strategy of a worker (see `storage.sqlite.database.WriteStrategy`).

    `flush` may be called by a signal's handler.

    Parameters
    ----------
    on_commit : Callable
        Called after each commit.

    Attributes
    ----------
    rolled_back : bool
        Whether the group's writes were rolled back; until `resume`, each further one raises.
    writes : int
        Number of writes begun.
    """

    def __init__(self, on_commit: Callable[[], None]) -> None:
        self.rolled_back = False
        self.writes = 0
        # an attribute, not a method: a write then costs no further Python call
        self._grouped = partial(GroupedWrite, self)
        self.write: Callable[..., AbstractContextManager[sqlite3.Connection]] = self._grouped
        self._on_commit = on_commit
        self._open: list[Database] = []
        self._busy = False
        self._flush_due = False

    @property
    def is_open(self) -> bool:
        """Whether a write waits for its commit."""
        return bool(self._open) or self.rolled_back

    def suspend(self) -> None:
        """Make each write a transaction of its own until `resume`."""
        self.write = _write_directly

    def resume(self) -> None:
        """Gather writes into a new group."""
        self.write = self._grouped
        self.rolled_back = False

    def flush(self) -> None:
        """Commit the group; during a write, at the end of that write."""
        if self._busy:
            self._flush_due = True
            return
        self._busy = True
        try:
            self._commit()
            self._release()
            if not self.rolled_back:
                self._on_commit()
        finally:
            self._busy = False

    def begin(self, database: Database) -> int:
        """Begin a write; return the database's number of changed rows before it."""
        self._busy = True
        self.writes += 1
        try:
            self._join(database)
        except BaseException:
            self._busy = False
            raise
        return database.connection.total_changes

    def end(self, *, flush: bool) -> None:
        """End a write; with ``flush``, commit it and all writes before it."""
        if flush:
            self._commit()
        self._busy = False
        if self._flush_due or self.rolled_back:
            self.flush()

    def _join(self, database: Database) -> None:
        if database not in self._open and not self.rolled_back:
            if not database.acquire_write_lock(wait=not self._open):
                # hold no write lock while waiting for another: two groups would deadlock
                self._commit()
                self._release()
                database.acquire_write_lock(wait=True)
            self._open.append(database)
        if self.rolled_back:
            raise GroupRolledBack
        if not database.connection.in_transaction:
            database.connection.execute("begin immediate")

    def _commit(self) -> None:
        """Commit each database, or roll all back if the group is rolled back.

        Partners' databases (`Database.commits_first`) may be ahead of the orders' database after a
        crash, never behind it.
        """
        written = [database for database in self._open if database.connection.in_transaction]
        try:
            for database in sorted(written, key=lambda database: not database.commits_first):
                if not self.rolled_back:
                    database.connection.execute("commit")
        except sqlite3.Error:
            self.rolled_back = True
        finally:
            for database in written:
                if database.connection.in_transaction:
                    database.connection.execute("rollback")

    def _release(self) -> None:
        """Release all write locks."""
        self._flush_due = False
        while self._open:
            self._open.pop().release_write_lock()


def _write_directly(
    database: Database,
    *,
    flush: bool,  # noqa: ARG001 - the strategy's
) -> AbstractContextManager[sqlite3.Connection]:
    return database.transaction()


class GroupedWrite:
    """A write of a group.

    One that raises before it has changed a row leaves no trace. One that raises later rolls back
    the group: a savepoint for each write would cost more than such rare groups do.
    """

    __slots__ = ("_before", "_database", "_flush", "_group")

    def __init__(self, group: GroupCommit, database: Database, *, flush: bool) -> None:
        self._group = group
        self._database = database
        self._flush = flush
        self._before = 0

    def __enter__(self) -> sqlite3.Connection:
        self._before = self._group.begin(self._database)
        return self._database.connection

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        group, connection = self._group, self._database.connection
        if kind is not None:
            changed = connection.total_changes != self._before
            group.rolled_back = group.rolled_back or changed or not connection.in_transaction
            group.end(flush=False)
            return
        group.end(flush=self._flush)
        if group.rolled_back:
            raise GroupRolledBack
