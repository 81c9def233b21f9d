"""Backup of a data directory while orders are processed, and its restore."""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from infra.backup.archive import (
    BUCKET,
    MANIFEST,
    ORDERS,
    SANDBOX,
    SETTINGS,
    check,
    entries,
    sync_folder,
    writing,
)
from infra.errors import BackupError
from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from kernel.clock import timestamp
from storage.sqlite.database import Database

Manifest = dict[str, Any]

_DELIVERED = re.compile(r"(\d{12,})-(\d{12,})")
"""The name of a file that a stream delivered: the ids of its first and last delivery."""

_FIGURES = {
    "orders": "select count(*) from orders",
    "in_flight": "select count(*) from orders"
    " where status not in ('COMPLETED', 'FAILED', 'CANCELLED')",
    "events": "select count(*) from events",
    "messages": "select count(*) from messages",
}


def backup(where: DataDirectory, stack: Stack, path: Path) -> Manifest:
    """Write a verified archive of a directory, which may be in use; return its manifest.

    A directory of an older version is archived without migration, so that version can restore it.

    Raises
    ------
    BackupError
        The archive cannot be written, or a database is damaged.
    DataDirectoryError
        The platform never ran there.
    """
    if path.absolute().is_relative_to(where.root):
        raise BackupError(f"{path} is in {where.root} itself; name a file outside of it")
    path = path.absolute()
    with (
        _undamaged(where.root),
        _moment(where) as databases,
        _staging_folder(path) as folder,
        writing(path) as archive,
    ):
        reader = databases[ORDERS]
        [(schema,)] = reader.rows("pragma user_version")
        figures = {name: reader.rows(query)[0][0] for name, query in _FIGURES.items()}
        manifest: Manifest = {
            "at": timestamp(time.time()),
            "from": str(where.root),
            "schema": schema,
            "figures": figures,
        }
        for name, database in databases.items():
            _copy(database, folder / name)
            archive.add(name, folder / name)
            (folder / name).unlink()
        if (where.root / SETTINGS).is_file():
            archive.add(SETTINGS, where.root / SETTINGS)
        for file in _delivered(reader, stack, where.bucket):
            archive.add(f"{BUCKET}{file.relative_to(where.bucket).as_posix()}", file)
        archive.end(manifest)
        manifest["files"] = len(archive.files)
    return {**manifest, "bytes": path.stat().st_size}


def restore(path: Path, where: DataDirectory) -> Manifest:
    """Create a directory from an archive; return the archive's manifest.

    Raises
    ------
    BackupError
        The archive is invalid, damaged or newer, or the directory is not empty. Nothing is
        written then.
    """
    manifest = check(path)
    _require_empty(where.root)
    where.root.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{where.root.name}.", dir=where.root.parent))
    try:
        for entry in entries(path):
            if entry.name != MANIFEST:
                _put(part / entry.name, entry.content)
        (part / BUCKET).mkdir(exist_ok=True)
        for name in (ORDERS, SANDBOX):
            if (part / name).exists():
                _require_sound(part / name, path)
        part.chmod(0o755)
        sync_folder(part)
        part.rename(where.root)
        sync_folder(where.root.parent)
    except OSError as error:
        raise BackupError(
            f"{where.root} cannot be restored: {error.strerror or error}; nothing was written"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


@contextmanager
def _moment(where: DataDirectory) -> Iterator[dict[str, Database]]:
    """Open the databases of a directory as of one moment; the orders' database is the last.

    Writers of the orders' database wait while both read transactions start. So the gateway and the
    carrier may have more on record of an order in flight, but no order that the archive lacks.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(closing(where.reader(unmigrated=True)))
        databases = {ORDERS: reader}
        if where.sandbox.exists():
            sandbox = stack.enter_context(closing(Database(str(where.sandbox), read_only=True)))
            databases = {SANDBOX: sandbox, ORDERS: reader}
        with reader.block_writers():
            for database in (reader, *databases.values()):
                if not database.connection.in_transaction:
                    stack.enter_context(database.snapshot())
        yield databases


@contextmanager
def _undamaged(root: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise BackupError(
            f"a database of {root} cannot be read ({error}); restore the last good backup"
        ) from None


@contextmanager
def _staging_folder(path: Path) -> Iterator[Path]:
    """Create a folder next to the archive for the copies of the databases; remove it at the end."""
    try:
        with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from None


def _copy(database: Database, goal: Path) -> None:
    """Copy a database as of one moment in one step, which blocks no writer.

    Source: SQLite, Online Backup API; a copy in several steps restarts at each write.
    """
    try:
        with closing(sqlite3.connect(goal)) as copy:
            database.connection.backup(copy, pages=-1)
    except sqlite3.OperationalError as error:
        raise BackupError(f"{database.path} cannot be copied: {error}; make room") from None
    _require_sound(goal, Path(database.path))


def _require_sound(database: Path, source: Path) -> None:
    """Raise `BackupError` if a copy of a database is damaged."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?immutable=1", uri=True)) as connection:
            [(result,)] = connection.execute("pragma integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        result = str(error)
    if result != "ok":
        raise BackupError(
            f"{source} has a damaged {database.name} ({result}); take the last good backup"
        )


def _delivered(reader: Database, stack: Stack, bucket: Path) -> Iterator[Path]:
    """Yield the files of a bucket, except those that a restore will deliver again."""
    streams = [
        target.key for rule in stack.rules for target in rule.targets if target.kind == "stream"
    ]
    last = reader.row("select seq from sqlite_sequence where name = 'deliveries'")
    for path in sorted(bucket.rglob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue  # not renamed to its final name yet
        match = _DELIVERED.fullmatch(path.stem)
        if match is None or (
            last is not None
            and int(match[2]) <= last[0]
            and not _is_waiting(reader, streams, int(match[1]), int(match[2]))
        ):
            yield path


def _is_waiting(reader: Database, streams: Sequence[str], first: int, last: int) -> bool:
    marks = ", ".join("?" * len(streams))
    query = f"select 1 from deliveries where id between ? and ? and target in ({marks})"
    return reader.row(query, first, last, *streams) is not None


def _require_empty(root: Path) -> None:
    try:
        first = next(root.iterdir(), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BackupError(f"{root} cannot be restored to: {error.strerror}") from None
    if first is not None:
        raise BackupError(
            f"{root} has {first.name}; nothing was restored: name a new directory with --data"
        )


def _put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
