"""The data directory: its paths, its write lock, and the address of its server."""

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
    """The data directory cannot be used; the message has the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The database of the orders and the engine's journal."""
        return self.root / "orderflow.db"

    @property
    def sandbox(self) -> Path:
        """The database of the sandbox's gateway, carrier and mail server."""
        return self.root / "sandbox.db"

    @property
    def bucket(self) -> Path:
        """The folder with Firehose's deliveries and the reports."""
        return self.root / "bucket"

    @property
    def log(self) -> Path:
        """The functions' log, JSON lines."""
        return self.root / "orderflow.log"

    @property
    def marker(self) -> Path:
        """The file with the item that the engine handles (`infra.local.directory.crash_marker`)."""
        return self.root / "handling"

    @property
    def endpoint(self) -> Path:
        """The file with the address of ``orders serve``."""
        return self.root / "endpoint"

    @property
    def endpoint_token(self) -> Path:
        """The file with the token of local commands, if tokens are mandatory."""
        return self.root / "endpoint.token"

    @property
    def _lock(self) -> Path:
        return self.root / "writer.pid"

    def served_at(self) -> str | None:
        """Return the address of the server that has the directory open, or None."""
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
        return None  # the lock is free: a killed server left its address

    def publish_endpoint(self, address: str, token: str | None) -> None:
        """Write a server's address and token (readable by its user alone) for local commands."""
        self.withdraw_endpoint()
        if token is not None:
            descriptor = os.open(self.endpoint_token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(token)
        written = self.endpoint.with_suffix(".new")
        try:
            written.write_text(address + "\n")
            written.rename(self.endpoint)  # atomic: a reader never sees a part of the address
        except OSError as error:
            message = f"{self.endpoint} cannot be written: {error.strerror}"
            raise DataDirectoryError(message) from None

    def withdraw_endpoint(self) -> None:
        """Delete the files of `publish_endpoint`."""
        for path in (self.endpoint, self.endpoint_token):
            path.unlink(missing_ok=True)

    def token(self) -> str | None:
        """Return the token for the server that has the directory open, or None."""
        try:
            return self.endpoint_token.read_text()
        except OSError:
            return None

    def local_value(self, variable: str, value: str) -> str:
        """Return the local value of a function's variable: AWS's services become files.

        ``dynamodb://OrdersTable`` is the database, any other table and ``ses://`` are in the
        sandbox's; ``s3://`` and ``athena://`` are the bucket's folder. API Gateway's address
        is empty.
        """
        scheme, _, rest = value.partition("://")
        if variable == "API_URL" and rest.endswith(".amazonaws.com"):
            return ""  # the API's own address; `orders serve` has another
        if scheme in ("dynamodb", "ses"):
            path = self.database if rest == ORDERS_TABLE else self.sandbox
            return f"sqlite:///{quote(str(path))}"
        if scheme == "s3":
            return (self.bucket / rest.partition("/")[2]).as_uri()
        if scheme == "athena":
            return f"duckdb://{quote(str(self.bucket))}"
        return value

    def require_database(self) -> None:
        """Raise `DataDirectoryError` if the directory was never used."""
        if not self.database.exists():
            raise DataDirectoryError(
                f"{self.root} has no orders yet; run `orders run` or `orders serve` there first"
            )

    def reader(self, *, unmigrated: bool = False) -> Database:
        """Open the database read-only, concurrently with its writer.

        A directory of an older version is migrated first, unless it may be ``unmigrated``.
        """
        self.require_database()
        database = self._open(read_only=True)
        if 0 < self._check_version(database) < VERSION and not unmigrated:
            with self.writer():
                pass
        return database

    @contextmanager
    def writer(self) -> Iterator[Database]:
        """Open the database as the only writing process, creating the directory if necessary.

        Raises
        ------
        DataDirectoryError
            It is in use, not writable, of a newer version, or not a database.
        """
        with self._locked():
            database = self._open()
            try:
                version = self._check_version(database)
                if 0 < version < VERSION:
                    self._migrate(database, version)
                database.connection.execute(f"pragma user_version = {VERSION}")
                yield database
            except sqlite3.OperationalError as error:
                raise DataDirectoryError(
                    f"{self.database} cannot be written: {error}; accepted events are saved: once"
                    " it can be written, `orders run --count 0` continues"
                ) from error
            finally:
                database.close()

    def check_files(self) -> None:
        """Raise `DataDirectoryError` if an existing file cannot be written; change nothing."""
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
        """Raise `DataDirectoryError` if this process cannot be the writer; change nothing."""
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

    def _migrate(self, database: Database, version: int) -> None:
        from infra.local.directory.migrations import migrate  # rarely needed, slow to import

        try:
            migrate(database, version)
        except (sqlite3.Error, zlib.error, ValueError) as error:
            raise DataDirectoryError(
                f"{self.database} cannot be migrated from version {version} to {VERSION}: {error};"
                " nothing was changed: correct that, or use the Orderflow that wrote it"
            ) from error

    def _check_database(self) -> None:
        """Raise `DataDirectoryError` if an existing database cannot be used."""
        if self.database.exists():
            database = self._open(read_only=True)
            try:
                self._check_version(database)
            finally:
                database.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._check_database()  # a refused directory is not changed
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
                    f"{self.root} is in use by {holder}; stop it, use its endpoint,"
                    " or name another directory with --data"
                ) from None
            self.endpoint.unlink(missing_ok=True)  # from a killed server
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
                f" {VERSION}); install that version, or name another directory with --data"
            )
        return version
