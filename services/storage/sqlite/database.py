"""SQLite adapters: the database that services of one machine share, the records and the outbox."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from kernel import json_text
from kernel.errors import InvalidSettings, OrderNotFound, VersionConflict
from kernel.order_record import (
    ENDED,
    Change,
    ChargeStatus,
    Entry,
    Line,
    Message,
    OrderRecord,
    Reservation,
    ShipmentStatus,
    Status,
)
from storage.sqlite.group_commit import GroupCommit, Part


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the condition that a column has one of these values.

    For ``in`` with more than two SQLite makes a table, at each write.
    """
    return " or ".join(f"{column} = '{value}'" for value in values)


SCHEMA = f"""
create table if not exists orders (
    order_id text primary key,
    customer_id text not null,
    currency text not null,
    total integer not null check (total > 0),
    items text not null,
    placed_at text not null,
    content_hash text not null,
    event_id text not null,
    correlation_id text not null,
    created_at real not null,
    updated_at real not null,
    status text not null check ({one_of("status", Status)}),
    epoch integer not null,
    version integer not null,
    lease_owner text,
    lease_until real not null,
    attempts integer not null,
    resume_at real not null,
    waiting_for text,
    cancel_requested integer not null,
    cancel_reason text,
    cancel_event_id text,
    shipping_address text,
    shipping_address_as_of text,
    email text,
    email_as_of text,
    payment_token text,
    reservation text,
    charge text,
    charge_id text,
    shipment text,
    shipment_id text,
    tracking_number text,
    failure text,
    failure_message text,
    in_flight integer check (in_flight = 1),
    check ((in_flight is null) = ({one_of("status", sorted(ENDED))}))
) without rowid;
create index if not exists orders_by_customer on orders (customer_id, created_at);
create index if not exists orders_by_time on orders (created_at);
create index if not exists orders_in_flight on orders (lease_until)
    where in_flight = 1;
create table if not exists timeline (
    order_id text not null,
    seq integer not null,
    at real not null,
    epoch integer,
    what text not null,
    detail text not null,
    primary key (order_id, seq)
) without rowid;
create index if not exists timeline_duplicates on timeline (what)
    where what = 'DUPLICATE_IGNORED';
create table if not exists early_requests (
    order_id text not null,
    request_id text not null,
    event_id text not null,
    name text not null,
    detail text not null,
    came_at real not null,
    heard real not null,
    primary key (order_id, request_id)
) without rowid;
create table if not exists outbox (
    id integer primary key,
    kind text not null check ({one_of("kind", ("event", "run", "message"))}),
    body text not null,
    created_at real not null
);
"""

_COLUMNS = OrderRecord._fields
RECORD = ", ".join(_COLUMNS)
"""The columns of ``orders`` as `to_record` takes them."""

_INSERT = (
    f"insert into orders (in_flight, {RECORD}) values (?{', ?' * len(_COLUMNS)})"
    " on conflict do nothing"
)

_INSERT_FIRST = (
    f"insert into orders (in_flight, {RECORD}) select ?{', ?' * len(_COLUMNS)}"
    " where not exists (select 1 from early_requests where order_id ="
    f" ?{_COLUMNS.index('order_id') + 2}) on conflict do nothing"
)
"""A new order, unless requests are kept that came before it: one statement, so no query more."""

NOTES = 1 << 20
"""Places in a timeline for each version of an order: for what its change says, and later notes."""

_ITEMS, _ADDRESS, _CANCEL_REQUESTED = (
    _COLUMNS.index(name) for name in ("items", "shipping_address", "cancel_requested")
)
# each read of an order goes through these: a dictionary is quicker than the enumeration's call
_MEMBERS: tuple[tuple[int, Mapping[str | None, Any]], ...] = tuple(
    (_COLUMNS.index(name), {None: None} | {str(one): one for one in kind})
    for name, kind in (
        ("status", Status),
        ("reservation", Reservation),
        ("charge", ChargeStatus),
        ("shipment", ShipmentStatus),
    )
)


CHECKPOINT = 8_000
"""Pages (of 4 KiB) of the write-ahead log until it is brought into the database: a page that is
written often is then brought over once."""


class Database:
    """One SQLite database in WAL mode, written by one process at a time.

    Parameters
    ----------
    path : str
        File, or ``:memory:``.
    synchronous : str
        ``NORMAL``: a commit outlives the process. ``FULL``: it outlives a power cut as well.
    read_only : bool
        Only read, beside who writes; the file must be there.
    """

    group: ClassVar[GroupCommit | None] = None
    """What gathers the writes of this process, if anything does."""

    def __init__(self, path: str, synchronous: str = "NORMAL", *, read_only: bool = False) -> None:
        self.path = path
        self.is_partners = False  # where a sandbox stands for a partner outside
        self._outlives = synchronous == "FULL"
        self._gate: int | None = None
        self._named = False  # whether the log's name in its folder is on the disk as well
        self.connection = sqlite3.connect(
            _to_read(path) if read_only else path,
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
            self._gate = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        with self.turn():  # SQLite itself does not wait for who makes the file just now
            mode = self.rows("pragma journal_mode = wal")
        self._logs = mode[0][0] == "wal"
        # a file system without shared memory has no write-ahead log: then each commit is synced
        self.connection.execute(f"pragma synchronous = {synchronous if self._logs else 'FULL'}")
        self.connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT}")

    def define(self, schema: str) -> None:
        """Create what of a schema is not there yet."""
        with self.turn():
            self.connection.executescript(schema)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for this process's turn to write."""
        if Database.group is not None:
            Database.group.flush()
        self.take_turn(wait=True)
        try:
            yield
        finally:
            self.end_turn()

    def take_turn(self, *, wait: bool) -> bool:
        """Take the turn to write; return whether it was to be had.

        SQLite's own wait polls with sleeps of up to 100 ms; a file lock wakes its waiter at once,
        and the kernel gives it back when the holder dies.
        """
        if self._gate is None:
            return True
        try:
            fcntl.flock(self._gate, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def end_turn(self) -> None:
        """Let somebody else write."""
        if self._gate is not None:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def write(
        self, *, durable: bool = False, at_once: bool = False
    ) -> AbstractContextManager[sqlite3.Connection]:
        """Run a block in one transaction: committed at its end, rolled back if it raises.

        A ``durable`` one outlives a power cut, with all that was committed before it. Where writes
        are gathered, the block is a part of the group's transaction; one that has to stand before
        anything else is done is committed ``at_once``.
        """
        if self.group is None or durable or self._outlives:
            return self._transaction(durable=durable)
        return Part(self.group, self, at_once=at_once)

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        with self.turn():
            self.connection.execute("begin immediate")
            try:
                yield self.connection
                self.connection.execute("commit")
            finally:
                # a commit may fail and leave its transaction open; a full disk ends it by itself
                if self.connection.in_transaction:
                    self.connection.execute("rollback")
        if durable:
            self._sync()

    def _sync(self) -> None:
        """Bring what is committed to the disk, while others write on.

        The write-ahead log holds it, or a checkpoint has brought it to the disk already.
        Source: SQLite, Write-Ahead Logging; ``synchronous = FULL`` does this within its lock.
        """
        if not self._logs:
            return
        try:
            _sync(f"{self.path}-wal", getattr(os, "fdatasync", os.fsync))  # macOS has the latter
            if not self._named:
                _sync(str(Path(self.path).parent), os.fsync)
                self._named = True
        except OSError as error:
            raise sqlite3.OperationalError(f"not on the disk: {error.strerror}") from error

    def rows(self, query: str, *parameters: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self.connection.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: object) -> sqlite3.Row | None:
        """Return the first row of a query, if there is one."""
        found: sqlite3.Row | None = self.connection.execute(query, parameters).fetchone()
        return found

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read as of one moment within a block, though others write."""
        self.connection.execute("begin")
        try:
            self.row("select 1 from sqlite_master")  # the moment is that of the first read
            yield
        finally:
            if self.connection.in_transaction:
                self.connection.execute("rollback")

    @contextmanager
    def unwritten(self) -> Iterator[None]:
        """Have all writers wait within a block, which has to be short; for a reader."""
        try:
            gate = os.open(f"{self.path}.lock", os.O_RDONLY)
        except FileNotFoundError:  # it was copied here, and never written to
            yield
            return
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield
        finally:
            os.close(gate)  # which gives the lock back

    def attach(self, path: str, name: str) -> None:
        """Read another database through this connection, which only reads: as ``name.table``."""
        self.connection.execute(f"attach database ? as {name}", (_to_read(path),))

    def close(self) -> None:
        """Close the connection and its lock."""
        self.connection.close()
        if self._gate is not None:
            os.close(self._gate)


def _sync(path: str, bring: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        bring(descriptor)
    finally:
        os.close(descriptor)


def _to_read(path: str) -> str:
    """Return the URI that opens a file to read it, though its folder be read-only.

    Source: SQLite, Write-Ahead Logging, "Read-Only Databases".
    """
    ours = os.access in os.supports_effective_ids
    writable = os.access(Path(path).parent, os.W_OK, effective_ids=ours)
    still = not writable and not Path(f"{path}-wal").exists()
    return f"file:{quote(path)}?mode=ro{'&immutable=1' if still else ''}"


@cache
def database(url: str) -> Database:
    """Return this process's one connection for ``sqlite:///PATH[?synchronous=FULL]``.

    Raises
    ------
    InvalidSettings
        The URL is of another form, or the folder does not exist.
    """
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != "sqlite" or not path:
        raise InvalidSettings(f"{url!r} is not of the form sqlite:///PATH")
    if path != ":memory:" and not Path(path).parent.is_dir():
        raise InvalidSettings(f"the folder of {path} does not exist; create it first")
    return Database(path, parse_qs(parts.query).get("synchronous", ["NORMAL"])[0].upper())


class SQLiteRecords:
    """Orders' records, timelines and outbox in SQLite (see `kernel.order_record.Records`)."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(SCHEMA)

    def find(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, if there is one."""
        row = self.database.row(f"select {RECORD} from orders where order_id = ?", order_id)
        return None if row is None else to_record(row)

    def read(self, order_id: str) -> OrderRecord:
        """Return the record of an order, or raise `OrderNotFound`."""
        record = self.find(order_id)
        if record is None:
            raise OrderNotFound(f"no order has the id {order_id!r}")
        return record

    def save(self, change: Change) -> OrderRecord:
        """Write a change with its timeline entries and messages, or raise `VersionConflict`."""
        with self.database.write() as connection:
            apply(connection, change)
        return change.after

    def note(self, order_id: str, entry: Entry) -> None:
        """Add a line to an order's timeline without touching the order."""
        with self.database.write() as connection:
            add_entry(connection, order_id, None, entry)

    def send(self, message: Message, at: float) -> None:
        """Put a message that goes with no record into the outbox."""
        with self.database.write() as connection:
            add_message(connection, message, at)


def still(connection: sqlite3.Connection, record: OrderRecord) -> None:
    """Raise `VersionConflict` if a record has changed since it was read."""
    query = "select 1 from orders where order_id = ? and version = ?"
    if connection.execute(query, (record.order_id, record.version)).fetchone() is None:
        raise VersionConflict(f"order {record.order_id} has changed meanwhile")


def apply(connection: sqlite3.Connection, change: Change, *, unrequested: bool = False) -> None:
    """Write a change within the caller's transaction, or raise `VersionConflict`.

    A new order that has to be ``unrequested`` conflicts with requests that came before it.
    """
    if change.before.version == 0:
        values = {"in_flight": 1} | _encoded(change.after._asdict())
        insert = _INSERT_FIRST if unrequested else _INSERT
        cursor = connection.execute(insert, tuple(values.values()))
    else:
        values = _encoded(change.fields)
        cursor = connection.execute(
            _update(tuple(values)),
            (*values.values(), change.before.order_id, change.before.version),
        )
    if cursor.rowcount != 1:
        raise VersionConflict(f"order {change.before.order_id} has changed meanwhile")
    for number, entry in enumerate(change.entries):
        connection.execute(
            "insert into timeline (order_id, seq, at, epoch, what, detail)"
            " values (?, ?, ?, ?, ?, ?)",
            (
                change.before.order_id,
                change.after.version * NOTES + number,
                entry.at,
                change.after.epoch,
                entry.what,
                _text(entry.detail),
            ),
        )
    for message in change.messages:
        add_message(connection, message, change.after.updated_at)


@cache
def _update(names: tuple[str, ...]) -> str:
    return (
        f"update orders set {', '.join(f'{name} = ?' for name in names)}"
        " where order_id = ? and version = ?"
    )


def add_message(connection: sqlite3.Connection, message: Message, at: float) -> None:
    """Put a message into the outbox within the caller's transaction."""
    connection.execute(
        "insert into outbox (kind, body, created_at) values (?, ?, ?)",
        (message.kind, _text(message.body), at),
    )


def to_record(row: sqlite3.Row) -> OrderRecord:
    """Return the record in a row of the columns `RECORD`."""
    values = list(row)
    values[_ITEMS] = tuple(map(Line._make, json_text.parse(values[_ITEMS])))
    values[_CANCEL_REQUESTED] = values[_CANCEL_REQUESTED] == 1
    if values[_ADDRESS]:
        values[_ADDRESS] = json_text.parse(values[_ADDRESS])
    for column, members in _MEMBERS:
        values[column] = members[values[column]]
    return OrderRecord._make(values)


def _encoded(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(fields)
    if "items" in values:
        values["items"] = _text([tuple(line) for line in values["items"]])
    if values.get("shipping_address"):
        values["shipping_address"] = _text(values["shipping_address"])
    if values.get("status") in ENDED:
        values["in_flight"] = None  # told by itself: an index on the status moves with each step
    return values


def _text(value: Any) -> str:
    return json_text.write(value).decode()


def add_entry(
    connection: sqlite3.Connection, order_id: str, epoch: int | None, entry: Entry
) -> None:
    """Add a line to an order's timeline within the caller's transaction."""
    connection.execute(
        "insert into timeline (order_id, seq, at, epoch, what, detail) values (?1,"
        " (select coalesce(max(seq), 0) + 1 from timeline where order_id = ?1), ?2, ?3, ?4, ?5)",
        (order_id, entry.at, epoch, entry.what, _text(entry.detail)),
    )
