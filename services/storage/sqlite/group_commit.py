"""Group commit: what several calls write is one transaction for each database.

A process that has several calls before it runs one after the other, commits once, and only then
answers them: so what was answered stands, and a crash takes back calls whole. That spares a
transaction for each write, and a wait for the turn to write before it.
"""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.sqlite.database import Database


class GroupLost(Exception):
    """Nothing of the group is written: its calls are to be made again, each by itself."""


class GroupCommit:
    """The group that this process's writes go into while it is `Database.group`.

    ``committed`` is called after each commit; ``writes`` counts what was begun. `flush` may be
    called by a signal's handler.
    """

    def __init__(self, committed: Callable[[], None]) -> None:
        self.lost = False
        self.writes = 0
        self._committed = committed
        self._open: list[Database] = []
        self._busy = False
        self._due = False

    @property
    def is_open(self) -> bool:
        """Whether anything waits for its commit."""
        return bool(self._open) or self.lost

    def flush(self) -> None:
        """Commit what was written; in the middle of a write, as soon as that has ended."""
        if self._busy:
            self._due = True
            return
        self._busy = True
        try:
            self._commit()
            self._release()
            if not self.lost:
                self._committed()
        finally:
            self._busy = False

    def begin(self, database: "Database") -> int:
        """Begin a write; return how many rows of the database were changed so far."""
        self._busy = True
        self.writes += 1
        try:
            self._join(database)
        except BaseException:
            self._busy = False
            raise
        return database.connection.total_changes

    def end(self, *, at_once: bool) -> None:
        """End a write; commit it ``at_once``, with all before it, if that is asked for."""
        if at_once:
            self._commit()
        self._busy = False
        if self._due or self.lost:
            self.flush()

    def _join(self, database: "Database") -> None:
        if database not in self._open and not self.lost:
            if not database.take_turn(wait=not self._open):
                self._commit()  # who waits for one keeps no other from those who have this one
                self._release()
                database.take_turn(wait=True)
            self._open.append(database)
        if self.lost:
            raise GroupLost
        if not database.connection.in_transaction:
            database.connection.execute("begin immediate")

    def _commit(self) -> None:
        """Commit, or take everything back if the group is lost.

        Partners' databases come first: they may know more than the orders' one, never less.
        """
        written = [one for one in self._open if one.connection.in_transaction]
        try:
            for database in sorted(written, key=lambda one: not one.is_partners):
                if not self.lost:
                    database.connection.execute("commit")
        except sqlite3.Error:
            self.lost = True
        finally:
            for database in written:
                if database.connection.in_transaction:
                    database.connection.execute("rollback")

    def _release(self) -> None:
        """Let others write."""
        self._due = False
        while self._open:
            self._open.pop().end_turn()


class Part:
    """A write of a group; one ``at_once`` is committed with all before it.

    One that raises before it has changed anything leaves nothing behind. One that raises later
    takes the whole group back: a savepoint for each write would cost more than such a group does.
    """

    __slots__ = ("_at_once", "_before", "_database", "_group")

    def __init__(self, group: GroupCommit, database: "Database", *, at_once: bool) -> None:
        self._group = group
        self._database = database
        self._at_once = at_once
        self._before = 0

    def __enter__(self) -> sqlite3.Connection:
        self._before = self._group.begin(self._database)
        return self._database.connection

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        group, connection = self._group, self._database.connection
        if kind is not None:
            changed = connection.total_changes != self._before
            group.lost = group.lost or changed or not connection.in_transaction
            group.end(at_once=False)
            return
        group.end(at_once=self._at_once)
        if group.lost:
            raise GroupLost
