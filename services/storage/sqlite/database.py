"""The SQLite database of one machine: its connection, write lock, transactions and checkpoints."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

from kernel.errors import InvalidSettings

CHECKPOINT = 8_000
"""Size of the write-ahead log, in pages of 4 KiB, at which SQLite checkpoints: a larger log copies
a frequently written page fewer times."""


class WriteStrategy(Protocol):
    """How a host gathers the writes of several calls (`use_write_strategy`)."""

    def write(
        self, database: "Database", *, flush: bool
    ) -> AbstractContextManager[sqlite3.Connection]:
        """Return the block of a write; ``flush`` commits it at its end, with all before it."""

    def flush(self) -> None:
        """Commit all gathered writes and release their write locks."""


class Database:
    """One SQLite database in WAL mode, written by one process at a time.

    Parameters
    ----------
    path : str
        File, or ``:memory:``.
    synchronous : str
        ``NORMAL``: a commit survives a crash of the process. ``FULL``: it survives a power cut too.
    read_only : bool
        Open an existing file for reading; another process may write to it.
    strategy : WriteStrategy, optional
        Gathers the writes; without one, each write is a transaction.
    """

    def __init__(
        self,
        path: str,
        synchronous: str = "NORMAL",
        *,
        read_only: bool = False,
        strategy: WriteStrategy | None = None,
    ) -> None:
        self.path = path
        self.commits_first = False
        """Whether a write strategy commits this database before others. Only the sandboxes set it,
        since only they know that the database is a partner's; no database on AWS has it."""
        self._strategy = strategy
        self._syncs_each_commit = synchronous == "FULL"
        self._lock_file: int | None = None
        self._directory_synced = False  # the log's directory entry is on disk
        self.connection = sqlite3.connect(
            _read_only_uri(path) if read_only else path,
            uri=read_only,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma busy_timeout = 30000")
        if read_only:
            return
        if path != ":memory:":
            self._lock_file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        with self.write_lock():  # SQLite does not wait for a process that is creating the file
            mode = self.rows("pragma journal_mode = wal")
        self._has_wal = mode[0][0] == "wal"
        # a file system without shared memory has no write-ahead log: then sync each commit
        self.connection.execute(f"pragma synchronous = {synchronous if self._has_wal else 'FULL'}")
        self.connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT}")

    def define(self, schema: str) -> None:
        """Create the tables, indexes and views of a schema that do not exist yet."""
        with self.write_lock():
            self.connection.executescript(schema)

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Hold the write lock within a block; gathered writes are committed first."""
        if self._strategy is not None:
            self._strategy.flush()
        self.acquire_write_lock(wait=True)
        try:
            yield
        finally:
            self.release_write_lock()

    def acquire_write_lock(self, *, wait: bool) -> bool:
        """Acquire the write lock; without ``wait``, return false if another connection holds it.

        SQLite's own wait polls with sleeps of up to 100 ms. A file lock wakes its waiter at once,
        and the operating system releases it when the holder dies.
        """
        if self._lock_file is None:
            return True
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release_write_lock(self) -> None:
        """Release the write lock."""
        if self._lock_file is not None:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def write(
        self, *, durable: bool = False, flush: bool = False
    ) -> AbstractContextManager[sqlite3.Connection]:
        """Return a block that is one transaction: committed at its end, rolled back if it raises.

        Parameters
        ----------
        durable : bool
            Sync the commit, and all commits before it, to the disk: it survives a power cut.
        flush : bool
            Commit at the end of the block although a write strategy gathers writes; without a
            strategy, so wherever there is only one call at a time, it changes nothing.
        """
        strategy = self._strategy
        if strategy is None or durable or self._syncs_each_commit:
            return self.transaction(durable=durable)
        return strategy.write(self, flush=flush)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Run a block in a transaction of its own, with any write strategy."""
        with self.write_lock():
            self.connection.execute("begin immediate")
            try:
                yield self.connection
                self.connection.execute("commit")
            finally:
                # a failed commit may leave its transaction open; a full disk rolls it back
                if self.connection.in_transaction:
                    self.connection.execute("rollback")
        if durable:
            self._sync()

    def _sync(self) -> None:
        """Sync the write-ahead log to the disk, while other processes write.

        A commit is in the log, or a checkpoint has synced it already.
        Source: SQLite, Write-Ahead Logging; ``synchronous = FULL`` syncs while it holds its lock.
        """
        if not self._has_wal:
            return
        try:
            _sync_file(f"{self.path}-wal", getattr(os, "fdatasync", os.fsync))  # macOS: fsync only
            if not self._directory_synced:
                _sync_file(str(Path(self.path).parent), os.fsync)
                self._directory_synced = True
        except OSError as error:
            raise sqlite3.OperationalError(f"not on the disk: {error.strerror}") from error

    def rows(self, query: str, *parameters: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self.connection.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: object) -> sqlite3.Row | None:
        """Return the first row of a query, or ``None``."""
        row: sqlite3.Row | None = self.connection.execute(query, parameters).fetchone()
        return row

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the database within a block, while other processes write."""
        self.connection.execute("begin")
        try:
            self.row("select 1 from sqlite_master")  # the first read fixes the state
            yield
        finally:
            if self.connection.in_transaction:
                self.connection.execute("rollback")

    @contextmanager
    def block_writers(self) -> Iterator[None]:
        """Make all writers wait within a block, from a reader; the block has to be short."""
        try:
            lock_file = os.open(f"{self.path}.lock", os.O_RDONLY)
        except FileNotFoundError:  # a copy that was never written to
            yield
            return
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock_file)  # releases the lock

    def attach(self, path: str, name: str) -> None:
        """Attach another database to this read-only connection, as ``name.table``."""
        self.connection.execute(f"attach database ? as {name}", (_read_only_uri(path),))

    def close(self) -> None:
        """Close the connection and the lock file."""
        self.connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)


def _sync_file(path: str, sync: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _read_only_uri(path: str) -> str:
    """Return the URI that opens a file for reading, in a read-only directory too.

    Source: SQLite, Write-Ahead Logging, "Read-Only Databases".
    """
    effective_ids = os.access in os.supports_effective_ids
    writable = os.access(Path(path).parent, os.W_OK, effective_ids=effective_ids)
    immutable = not writable and not Path(f"{path}-wal").exists()
    return f"file:{quote(path)}?mode=ro{'&immutable=1' if immutable else ''}"


_strategy: WriteStrategy | None = None


def use_write_strategy(strategy: WriteStrategy) -> None:
    """Give a write strategy to each database that `database` opens in this process from now on.

    A worker of one machine calls it once, before its first handler runs; Lambda never does.
    """
    global _strategy  # noqa: PLW0603 - like the connections of `database`, one a process
    _strategy = strategy


@cache
def database(url: str) -> Database:
    """Return this process's one connection for ``sqlite:///PATH[?synchronous=FULL]``.

    Raises
    ------
    InvalidSettings
        The URL has another form, or the folder does not exist.
    """
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != "sqlite" or not path:
        raise InvalidSettings(f"{url!r} is not of the form sqlite:///PATH")
    if path != ":memory:" and not Path(path).parent.is_dir():
        raise InvalidSettings(f"the folder of {path} does not exist; create it first")
    synchronous = parse_qs(parts.query).get("synchronous", ["NORMAL"])[0].upper()
    return Database(path, synchronous, strategy=_strategy)
