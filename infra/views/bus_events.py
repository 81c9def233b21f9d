"""The events of a data directory's bus, newest first, in pages with a cursor.

A page reads a bounded number of rows, so that a filter without matches costs no scan of the
journal: it then ends early, and its cursor continues where the reading ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.local.template.stack import Stack, Target
from infra.patterns import Pattern, TooComplexEvent, has_fine_number, read_event
from kernel.json_text import MAX_CARRIED, InvalidJSON, parse
from storage.sqlite.database import Database

PAGE = 50
"""Events of a page."""

MAX_ROWS = 20_000
"""Rows that one page reads for a filter by type."""

MAX_PARSED = 1_000
"""Rows that one page reads for a filter by source or pattern, which needs each event's content."""

MAX_DELIVERIES = 2_000
"""Pending deliveries of one target that are searched for those of an event."""

MAX_LETTERS = 1_000
"""Dead letters of one queue that are searched for those of an event."""

_CHUNK = 500
_COLUMNS = "seq, id, detail_type, order_id, envelope, arrived_at, archived"


@dataclass(frozen=True, slots=True)
class BusEvent:
    """An event of the journal; ``envelope`` is its JSON text as it was sent."""

    seq: int
    id: str
    type: str
    order_id: str | None
    arrived_at: float
    archived: bool
    envelope: str

    @property
    def content(self) -> dict[str, Any]:
        """The parsed envelope, with the numbers that the bus compared."""
        return content_of(self.envelope)

    @property
    def source(self) -> str:
        """The sender."""
        return str(self.content.get("source", ""))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The wanted events: those that meet each condition that is set."""

    type: str = ""
    source: str = ""
    order_id: str = ""
    pattern: Pattern | None = None

    @property
    def is_parsed(self) -> bool:
        """Whether the filter needs the content of each event."""
        return bool(self.source) or self.pattern is not None

    def accepts(self, event: BusEvent) -> bool:
        """Return whether an event meets the conditions on its content.

        An event that is too complex for the pattern does not match, as on the bus.
        """
        if not self.is_parsed:
            return True
        content = event.content
        if self.source and content.get("source") != self.source:
            return False
        try:
            return self.pattern is None or self.pattern.matches(content)
        except TooComplexEvent:
            return False


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of the bus, the newest first.

    ``before`` is the cursor of the next page, or None after the oldest event. ``is_partial`` says
    that the page ended at its limit of rows; ``back_to`` is the arrival of the last row read.
    """

    events: tuple[BusEvent, ...]
    before: int | None
    is_partial: bool
    back_to: float | None


def events_page(
    database: Database, wanted: EventFilter, before: int | None = None, size: int = PAGE
) -> EventPage:
    """Return the newest events of a filter, or those before a cursor."""
    most = MAX_PARSED if wanted.is_parsed else MAX_ROWS
    found: list[BusEvent] = []
    number, last = 0, None
    for number, last in enumerate(_newest(database, wanted, before), 1):
        if wanted.accepts(last):
            found.append(last)
        if len(found) == size or number == most:
            break
    else:
        return _rest(database, wanted, before, found)
    return EventPage(tuple(found), last.seq, len(found) < size, last.arrived_at)


def _rest(
    database: Database, wanted: EventFilter, before: int | None, found: list[BusEvent]
) -> EventPage:
    """Return the page that ends where the rows of its type end: a search continues behind them."""
    edge = _edge(database, before) if wanted.type and not wanted.order_id else None
    if edge is None:
        return EventPage(tuple(found), None, is_partial=False, back_to=None)
    return EventPage(tuple(found), edge["seq"], is_partial=True, back_to=edge["arrived_at"])


def _edge(database: Database, before: int | None) -> Any:
    """Return the last of the `MAX_ROWS` rows before a cursor, or None if there are fewer."""
    return database.row(
        "select seq, arrived_at from events where seq < ? order by seq desc limit 1 offset ?",
        _cursor(before),
        MAX_ROWS - 1,
    )


def _cursor(before: int | None) -> int:
    return (1 << 63) - 1 if before is None else before


def _newest(database: Database, wanted: EventFilter, before: int | None) -> Iterator[BusEvent]:
    """Yield the events before a cursor, of one order or type if the filter names one.

    The order has an index. The type is looked for in the next `MAX_ROWS` rows, whose contents are
    not read.
    """
    if wanted.type and not wanted.order_id:
        yield from _of_type(database, wanted.type, before)
        return
    cursor = _cursor(before)
    condition = "and order_id = ?" if wanted.order_id else ""
    condition += " and detail_type = ?" if wanted.type else ""
    while True:
        rows = database.rows(
            f"select {_COLUMNS} from events where seq < ? {condition} order by seq desc limit ?",
            cursor,
            *([wanted.order_id] if wanted.order_id else []),
            *([wanted.type] if wanted.type else []),
            _CHUNK,
        )
        yield from map(_event, rows)
        if len(rows) < _CHUNK:
            return
        cursor = rows[-1]["seq"]


def _of_type(database: Database, kind: str, before: int | None) -> Iterator[BusEvent]:
    rows = database.rows(
        "select seq from (select seq, detail_type from events where seq < ?"
        " order by seq desc limit ?) where detail_type = ?",
        _cursor(before),
        MAX_ROWS,
        kind,
    )
    for row in rows:
        event = find_event(database, row["seq"])
        if event is not None:
            yield event


def find_event(database: Database, seq: int) -> BusEvent | None:
    """Return an event by its number in the journal."""
    row = database.row(f"select {_COLUMNS} from events where seq = ?", seq)
    return None if row is None else _event(row)


def events_after(database: Database, seq: int, size: int = PAGE) -> list[BusEvent]:
    """Return the oldest events after a number in the journal, for a live list."""
    rows = database.rows(
        f"select {_COLUMNS} from events where seq > ? order by seq limit ?", seq, size
    )
    return [_event(row) for row in rows]


def event_before(database: Database, seq: int) -> int | None:
    """Return the number of the event before another one in the journal."""
    row = database.row("select seq from events where seq < ? order by seq desc limit 1", seq)
    return None if row is None else int(row["seq"])


def seq_at(database: Database, at: float) -> int | None:
    """Return the cursor of the events that arrived up to a time, in epoch seconds."""
    row = database.row(
        "select seq from events where arrived_at <= ? order by arrived_at desc limit 1", at
    )
    return None if row is None else int(row["seq"]) + 1


def content_of(envelope: str) -> dict[str, Any]:
    """Return the content of an envelope as the bus matched it."""
    try:
        fine = has_fine_number(envelope)
        content = read_event(envelope, MAX_CARRIED) if fine else parse(envelope)
    except InvalidJSON:
        return {}
    return content if isinstance(content, dict) else {}


def _event(row: Any) -> BusEvent:
    seq, number, kind, order_id, envelope, arrived_at, archived = row
    return BusEvent(seq, number, kind, order_id, arrived_at, bool(archived), envelope)


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery that the bus has not made yet: ``due`` is its next attempt, in epoch seconds."""

    target: str
    due: float
    attempts: int
    replay: str | None


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A delivery that the bus gave up: a dead letter, and the error."""

    target: str
    letter: int
    queue: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The open and failed deliveries of an event; a made delivery leaves no row.

    ``is_complete`` is false if a target has more deliveries or dead letters than were searched.
    """

    pending: tuple[PendingDelivery, ...]
    failed: tuple[FailedDelivery, ...]
    is_complete: bool


def deliveries_of(database: Database, stack: Stack, event: BusEvent) -> Deliveries:
    """Return the deliveries of an event that are pending or dead letters."""
    targets = {target.key: target for rule in stack.rules for target in rule.targets}
    pending: list[PendingDelivery] = []
    complete = True
    for key in targets:
        rows = database.rows(
            "select event_seq, due, attempts, replay from deliveries"
            " where target = ? and due >= ? order by due, id limit ?",
            key,
            event.arrived_at,
            MAX_DELIVERIES,
        )
        complete &= len(rows) < MAX_DELIVERIES
        pending += [
            PendingDelivery(key, row["due"], row["attempts"], row["replay"])
            for row in rows
            if row["event_seq"] == event.seq
        ]
    failed, searched = _failed(database, targets, event)
    return Deliveries(tuple(pending), tuple(failed), complete and searched)


def _failed(
    database: Database, targets: dict[str, Target], event: BusEvent
) -> tuple[list[FailedDelivery], bool]:
    found: list[FailedDelivery] = []
    complete = True
    for queue in sorted({target.dead_letters for target in targets.values()} - {None}, key=str):
        rows = database.rows(
            "select id, body, attributes from messages where queue = ?"
            " order by visible_at desc, id desc limit ?",
            queue,
            MAX_LETTERS,
        )
        complete &= len(rows) < MAX_LETTERS
        for row in rows:
            attributes = parse(row["attributes"])
            if attributes.get("TARGET") in targets and event.id in row["body"]:
                code, message = (
                    attributes.get(f"ERROR_{name}", "") for name in ("CODE", "MESSAGE")
                )
                key = attributes["TARGET"]
                found.append(FailedDelivery(key, row["id"], str(queue), code, message))
    return found, complete
