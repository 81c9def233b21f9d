"""Read-only connections in threads of their own, with a deadline for the queries of a page.

A page never runs in the engine's thread or in the event loop. SQLite calls the progress handler
every `STEPS` instructions of its virtual machine, about every 0.1 ms; a page past its deadline is
interrupted there.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from kernel import json_text  # noqa: F401 - sets the stack size of threads
from storage.sqlite.database import Database

T = TypeVar("T")

THREADS = 2
DEADLINE = 2.0
"""Seconds that the queries of a page may take."""

MAX_WAITING = 32
"""Maximum pages that are read or wait to be read: others are told to retry."""

STEPS = 4_000

BUSY = 500
"""Milliseconds that a reader waits for a lock; in WAL mode only a recovery holds one."""


class TooSlow(Refusal):
    """The queries of a page took longer than `DEADLINE`."""


class TooMany(Refusal):
    """Too many pages are being read."""


class Places:
    """The places of the pages that are read or wait; at most `MAX_WAITING` are taken."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place for a block, or raise `TooMany`."""
        if self._taken >= MAX_WAITING:
            raise TooMany(f"{MAX_WAITING} pages are being read; try again in a second")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Readers:
    """The readers of one data directory; connections are opened when first needed."""

    def __init__(self, directory: DataDirectory, deadline: float = DEADLINE) -> None:
        self._directory = directory
        self._deadline = deadline
        self._threads = ThreadPoolExecutor(THREADS, "console")
        self._watcher = ThreadPoolExecutor(1, "console-watcher")
        self._own = threading.local()
        self._opened: list[Database] = []
        self._places = Places()

    async def read(self, query: Callable[[Database], T]) -> T:
        """Run a query in a thread, in one snapshot of the database.

        Raises
        ------
        TooSlow
            It was interrupted at its deadline.
        TooMany
            Too many other queries wait.
        """
        with self._places.one():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._read, query)

    async def version(self) -> int:
        """Return a number that changes with each commit of the engine."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._watcher, self._version)

    def _version(self) -> int:
        row = self._database().row("pragma data_version")
        return int(row[0]) if row else 0

    def _read(self, query: Callable[[Database], T]) -> T:
        database = self._database()
        end = time.monotonic() + self._deadline
        database.connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        try:
            with database.snapshot():
                return query(database)
        except sqlite3.OperationalError as error:
            if time.monotonic() <= end:
                raise
            raise TooSlow(
                f"this page's queries were stopped after {self._deadline:g} seconds, so that"
                " orders are not slowed down; narrow its filters or its time range"
            ) from error
        finally:
            database.connection.set_progress_handler(None, 0)

    def _database(self) -> Database:
        database: Database | None = getattr(self._own, "database", None)
        if database is None:
            database = self._directory.reader()
            database.connection.execute(f"pragma busy_timeout = {BUSY}")
            self._own.database = database
            self._opened.append(database)
        return database

    def close(self) -> None:
        """Interrupt the running queries, and close the connections."""
        for database in self._opened:
            with suppress(sqlite3.Error):
                database.connection.interrupt()
        for threads in (self._threads, self._watcher):
            threads.shutdown(cancel_futures=True)
        for database in self._opened:
            database.close()
