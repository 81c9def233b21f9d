"""The data directory: what lies where, and who may write to it."""

import fcntl
import os
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from infra.errors import Refusal
from infra.local.directory.schema import VERSION
from infra.local.orderflow import ORDERS_TABLE
from storage.sqlite.database import Database


class DataDirectoryError(Refusal):
    """The data directory cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths in a data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The orders, and the runtime's journal."""
        return self.root / "orderflow.db"

    @property
    def sandbox(self) -> Path:
        """What the sandbox's gateway, carrier and mail server remember."""
        return self.root / "sandbox.db"

    @property
    def bucket(self) -> Path:
        """What Firehose delivered, and the reports."""
        return self.root / "bucket"

    @property
    def log(self) -> Path:
        """The functions' log, JSON lines."""
        return self.root / "orderflow.log"

    @property
    def marker(self) -> Path:
        """Where the engine notes which item it handles (`infra.local.directory.crash_marker`)."""
        return self.root / "handling"

    @property
    def endpoint(self) -> Path:
        """Where ``orders serve`` says on which address it listens."""
        return self.root / "endpoint"

    @property
    def endpoint_token(self) -> Path:
        """The file with the token of this machine's own commands, if the server wants tokens."""
        return self.root / "endpoint.token"

    @property
    def _lock(self) -> Path:
        return self.root / "writer.pid"

    def served_at(self) -> str | None:
        """Return the address of the server that writes here now, if there is one."""
        try:
            address = self.endpoint.read_text().strip()
            lock = self._lock.open()
        except OSError:
            return None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return address
        return None  # nobody holds the lock: a server that was killed left its address

    def publish(self, address: str, token: str | None) -> None:
        """Let this machine's commands find a server; only its user can read the token."""
        self.withdraw()
        if token is not None:
            descriptor = os.open(self.endpoint_token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(token)
        written = self.endpoint.with_suffix(".new")
        try:
            written.write_text(address + "\n")
            written.rename(self.endpoint)  # a reader sees the whole address or none
        except OSError as error:
            message = f"{self.endpoint} cannot be written: {error.strerror}"
            raise DataDirectoryError(message) from None

    def withdraw(self) -> None:
        """Remove what `publish` wrote."""
        for path in (self.endpoint, self.endpoint_token):
            path.unlink(missing_ok=True)

    def token(self) -> str | None:
        """Return the token with which the server that writes here is asked, if it wants one."""
        try:
            return self.endpoint_token.read_text()
        except OSError:
            return None

    def local_value(self, _variable: str, value: str) -> str:
        """Return what a function's variable says here: AWS's services become files.

        ``dynamodb://OrdersTable`` is the database, any other table and ``ses://`` are the
        sandbox's; ``s3://`` and ``athena://`` are the bucket's folder.
        """
        scheme, _, rest = value.partition("://")
        if scheme in ("dynamodb", "ses"):
            path = self.database if rest == ORDERS_TABLE else self.sandbox
            return f"sqlite:///{quote(str(path))}"
        if scheme == "s3":
            return (self.bucket / rest.partition("/")[2]).as_uri()
        if scheme == "athena":
            return f"duckdb://{quote(str(self.bucket))}"
        return value

    def require(self) -> None:
        """Raise `DataDirectoryError` if nothing was ever run here."""
        if not self.database.exists():
            raise DataDirectoryError(
                f"{self.root} has no orders yet; run `orders run` or `orders serve` there first"
            )

    def reader(self, *, as_it_is: bool = False) -> Database:
        """Open the database beside its writer; it is never written to through this.

        What an older version wrote is brought up to date first, unless it is read ``as_it_is``.
        """
        self.require()
        database = self._open(read_only=True)
        if 0 < self._check_version(database) < VERSION and not as_it_is:
            with self.writer():
                pass
        return database

    @contextmanager
    def writer(self) -> Iterator[Database]:
        """Open the database as its one writing process, creating what is missing.

        Raises
        ------
        DataDirectoryError
            In use, not writable, of a newer version, or not a database.
        """
        with self._locked():
            database = self._open()
            try:
                version = self._check_version(database)
                if 0 < version < VERSION:
                    self._upgrade(database, version)
                database.connection.execute(f"pragma user_version = {VERSION}")
                yield database
            except sqlite3.OperationalError as error:
                raise DataDirectoryError(
                    f"{self.database} cannot be written: {error}; nothing was lost: once it can,"
                    " `orders run --count 0` goes on with what was accepted"
                ) from error
            finally:
                database.close()

    def check_files(self) -> None:
        """Raise `DataDirectoryError` if a file is there that cannot be written; change nothing."""
        for path in (self.log, self.sandbox, self.endpoint, self.database):
            if os.path.lexists(path):
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
                except OSError as error:
                    raise DataDirectoryError(
                        f"{path} cannot be written: {error.strerror}; remove it, have its owner"
                        " make it writable, or name another directory with --data"
                    ) from None

    def check_writable(self) -> None:
        """Raise `DataDirectoryError` if this process could not write here; change nothing."""
        self.check_files()
        with self._locked():
            if self.database.exists():
                database = self._open()
                self._check_version(database)
                database.close()

    def _open(self, *, read_only: bool = False) -> Database:
        try:
            return Database(str(self.database), read_only=read_only)
        except (sqlite3.Error, OSError) as error:
            raise DataDirectoryError(
                f"{self.database} cannot be opened: {error}; name another directory with --data"
            ) from None

    def _upgrade(self, database: Database, version: int) -> None:
        from infra.local.directory.migrations import upgrade  # only who needs it waits for it

        try:
            upgrade(database, version)
        except (sqlite3.Error, zlib.error, ValueError) as error:
            raise DataDirectoryError(
                f"{self.database} cannot be brought from version {version} to {VERSION}: {error};"
                " nothing was changed: correct that, or go on with the Orderflow that wrote it"
            ) from error

    def _check_database(self) -> None:
        """Raise `DataDirectoryError` if a database is there that cannot be used."""
        if self.database.exists():
            database = self._open(read_only=True)
            try:
                self._check_version(database)
            finally:
                database.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._check_database()  # a directory that is refused is left as it is
        try:
            for folder in (self.root, self.bucket):
                folder.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("a+")
        except OSError as error:
            raise DataDirectoryError(
                f"{self.root} is not writable ({error.strerror}); name another with --data"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise DataDirectoryError(
                    f"{self.root} is in use by {holder}; stop it, go through its endpoint,"
                    " or name another directory with --data"
                ) from None
            self.endpoint.unlink(missing_ok=True)  # of a server that was killed
            lock.seek(0)
            lock.truncate()
            lock.write(f"process {os.getpid()} ({' '.join(sys.argv[1:3]) or 'orders'})")
            lock.flush()
            yield

    def _check_version(self, database: Database) -> int:
        try:
            row = database.row("pragma user_version")
        except sqlite3.DatabaseError as error:
            raise DataDirectoryError(f"{self.database} is not readable: {error}") from None
        version = row[0] if row else 0
        if version > VERSION:
            raise DataDirectoryError(
                f"{self.root} was written by a newer Orderflow (version {version}, this one knows"
                f" {VERSION}); install that one, or name another directory with --data"
            )
        return version
