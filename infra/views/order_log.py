"""The log of one order, or of all: the lines of the log's files, and the order's timeline.

A successful step writes no line at the level INFO. So the timeline of the journal, which has an
entry for each step, is a part of an order's log.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.log_rotation import files_of
from infra.views.order_facts import readable_detail
from kernel.clock import timestamp

if TYPE_CHECKING:
    from storage.sqlite.database import Database

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OWN = {"level", "message", "timestamp", "service", "function", "location", "order_id"}

TIMELINE = "timeline"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log, or an entry of the timeline, whose level is INFO."""

    at: str
    level: str
    source: str
    """The function, ``engine``, ``port`` or ``timeline``."""
    order_id: str | None
    correlation_id: str | None
    message: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted: of one order or of all, at least of a level."""

    order_id: str | None
    correlation_id: str | None
    level: str

    def takes(self, line: LogLine) -> bool:
        """Return whether a line is wanted."""
        if line.level in LEVELS and LEVELS.index(line.level) < LEVELS.index(self.level):
            return False
        if self.order_id is None or line.order_id == self.order_id:
            return True
        same = line.order_id is None and line.correlation_id is not None
        return same and line.correlation_id == self.correlation_id


def wanted(where: DataDirectory, order_id: str | None, level: str) -> Wanted:
    """Return the lines to look for; raise `NotFound` if no record and no event has the id."""
    if order_id is None:
        return Wanted(None, None, level)
    database = where.reader()
    try:
        row = database.row("select correlation_id from orders where order_id = ?", order_id)
        if row is None:
            event = database.row("select 1 from events where order_id = ? limit 1", order_id)
            if event is None:
                raise NotFound(f"no order has the id {order_id!r}; `orders list` prints the ids")
        return Wanted(order_id, None if row is None else row["correlation_id"], level)
    finally:
        database.close()


class OrderLog:
    """A reader of the log that continues where it ended, across a rotation."""

    def __init__(self, where: DataDirectory, lines: Wanted) -> None:
        self._path = where.log
        self._wanted = lines
        self._database: Database | None = where.reader() if lines.order_id is not None else None
        self._entry = -1
        self._file: IO[bytes] | None = None
        self._rest = b""

    def close(self) -> None:
        """Close the file and the database."""
        if self._file is not None:
            self._file.close()
        if self._database is not None:
            self._database.close()

    def read(self) -> list[LogLine]:
        """Return the lines since the last call, ordered by time."""
        lines = [*self._written(), *self._entries()]
        return sorted((line for line in lines if self._wanted.takes(line)), key=_moment)

    def _written(self) -> Iterator[LogLine]:
        """Yield the new lines of the files."""
        if self._file is None:
            for path in files_of(self._path):
                if self._file is not None:
                    self._file.close()
                self._file, self._rest = path.open("rb"), b""
                yield from self._lines(self._file)
            return
        yield from self._lines(self._file)
        try:
            rotated = not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return
        if rotated:
            self._file.close()
            self._file, self._rest = self._path.open("rb"), b""
            yield from self._lines(self._file)

    def _lines(self, file: IO[bytes]) -> Iterator[LogLine]:
        """Yield the complete lines from the file's position on."""
        needle = None if self._wanted.order_id is None else self._needles()
        while piece := file.read(1 << 20):
            *complete, self._rest = (self._rest + piece).split(b"\n")
            for text in complete:
                if needle is None or any(one in text for one in needle):
                    line = _parsed(text)
                    if line is not None:
                        yield line

    def _needles(self) -> list[bytes]:
        """Return texts of which a line of this order has one; most lines are not parsed."""
        ids = (self._wanted.order_id, self._wanted.correlation_id)
        return [json.dumps(each)[1:-1].encode() for each in ids if each]

    def _entries(self) -> Iterator[LogLine]:
        """Yield the new entries of the order's timeline."""
        if self._database is None:
            return
        order_id = self._wanted.order_id
        rows = self._database.rows(
            "select seq, at, what, detail from timeline where order_id = ? and seq > ?"
            " order by seq",
            order_id,
            self._entry,
        )
        for row in rows:
            self._entry = row["seq"]
            detail = readable_detail(json.loads(row["detail"]))
            yield LogLine(
                timestamp(row["at"]),
                "INFO",
                TIMELINE,
                order_id,
                self._wanted.correlation_id,
                str(row["what"]),
                detail,
            )


def _parsed(text: bytes) -> LogLine | None:
    """Return a line of the file; one that is no JSON is a text that a handler printed."""
    if not text.strip():
        return None
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return LogLine("", "INFO", "stdout", None, None, text.decode(errors="replace"), {})
    source = fields.get("function") or fields.get("service")
    return LogLine(
        at=_in_utc(str(fields.get("timestamp", ""))),
        level=str(fields.get("level", "INFO")),
        source=str(source),
        order_id=_text(fields.get("order_id")),
        correlation_id=_text(fields.get("correlation_id")),
        message=str(fields.get("message", "")),
        fields={name: value for name, value in fields.items() if name not in _OWN},
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _in_utc(text: str) -> str:
    """Return a time of a line as the platform writes times, in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return timestamp(moment.astimezone(UTC).timestamp())


def _moment(line: LogLine) -> str:
    return line.at
