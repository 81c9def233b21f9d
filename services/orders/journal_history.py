"""The events of one machine's journal, and the outcome of each (see `orders.event_history`)."""

import json
from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Any

from kernel import stock_events
from kernel.clock import timestamp
from kernel.errors import MAX_PROBLEMS, InvalidEvent
from kernel.events import REQUESTS, SOURCE, Event, OrderCreated, OrderRejected, parse
from kernel.time_ordered_id import milliseconds_of
from orders.event_history import (
    DUPLICATE,
    PROCESSED,
    PUBLISHED,
    REJECTED,
    UNMATCHED,
    WAITING,
    ToldEvent,
)
from storage.sqlite.database import Database

NEWEST = 20_000
"""Events that are searched for an id whose time says nothing: imported, or of an older version."""

TOLERANCE = 0.01
"""Seconds between the time in an event's id and the time of its arrival."""

MAX_FACTS = 500
"""Events of an order that are read to find the answers to one of them."""

_SELECT = "select envelope, arrived_at from accepted"
_KNOWN = "select name from sqlite_master where type = 'view' and name = 'accepted'"


class JournalHistory:
    """The events in the journal (see `orders.event_history.EventHistory`)."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of_order(self, order_id: str, limit: int) -> list[ToldEvent]:
        """Return the first events of an order, the oldest first."""
        events = self._of_order(order_id, limit)
        return list(starmap(_Story(self.database, events).told, events))

    def find(self, event_id: str) -> ToldEvent | None:
        """Return the event of an EventId, or ``None``."""
        found = self._find(event_id)
        if found is None:
            return None
        order_id = _detail(found[0]).get("order_id")
        others = self._of_order(order_id, MAX_FACTS) if isinstance(order_id, str) else []
        return _Story(self.database, others or [found]).told(*found)

    def _of_order(self, order_id: str, limit: int) -> list[tuple[dict[str, Any], float]]:
        return self._read(
            f"{_SELECT} where order_id = ? order by arrived_at limit ?", order_id, limit
        )

    def _find(self, event_id: str) -> tuple[dict[str, Any], float] | None:
        written = milliseconds_of(event_id)
        found: list[tuple[dict[str, Any], float]] = []
        own = "json_extract(envelope, '$.id') = ?"
        if written is not None:
            at = written / 1000
            query = f"{_SELECT} where arrived_at between ? and ? and {own} limit 1"
            found = self._read(query, at - TOLERANCE, at + TOLERANCE, event_id)
        if not found:
            newest = "select envelope, arrived_at from accepted order by arrived_at desc limit ?"
            found = self._read(f"select * from ({newest}) where {own} limit 1", NEWEST, event_id)
        return found[0] if found else None

    def _read(self, query: str, *parameters: object) -> list[tuple[dict[str, Any], float]]:
        if self.database.row(_KNOWN) is None:
            return []
        rows = self.database.rows(query, *parameters)
        return [(json.loads(row["envelope"]), row["arrived_at"]) for row in rows]


class _Story:
    """The events of one order, by which the outcome of each is found."""

    def __init__(
        self, database: Database, events: Sequence[tuple[Mapping[str, Any], float]]
    ) -> None:
        self.database = database
        self.answers: dict[str, list[str]] = {}
        self.rejected: dict[str, Mapping[str, Any]] = {}
        for envelope, _ in events:
            name, detail = envelope["detail-type"], _detail(envelope)
            if name in REQUESTS or envelope.get("origin"):
                continue
            cause = _metadata(detail).get("causation_id")
            if isinstance(cause, str):
                self.answers.setdefault(cause, []).append(name)
            if name == OrderRejected.name:
                self.rejected[str(detail.get("rejected_event_id"))] = detail
        self.opened = next((each["id"] for each, _ in events if self._opens(each)), None)

    def _opens(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether an event is a valid `Order Created` that was not refused."""
        if envelope["detail-type"] != OrderCreated.name or envelope["id"] in self.rejected:
            return False
        try:
            parse(envelope)
        except InvalidEvent:
            return False
        return True

    def told(self, envelope: Mapping[str, Any], arrived_at: float) -> ToldEvent:
        """Return an event with its outcome."""
        detail, own = _detail(envelope), _metadata(_detail(envelope)).get("event_id")
        event = ToldEvent(
            type=envelope["detail-type"],
            at=timestamp(arrived_at),
            outcome=PUBLISHED,
            event_id=envelope["id"],
            metadata_event_id=own if isinstance(own, str) else None,
            order_id=_text(detail, "order_id"),
            customer_id=_text(detail, "customer_id"),
        )
        if stock_events.is_stock_event(envelope) and envelope["detail-type"] == stock_events.NAME:
            return event
        try:
            parsed = parse(envelope)
        except InvalidEvent as error:
            problems = [each._asdict() for each in error.unquoted[:MAX_PROBLEMS]]
            outcome = REJECTED if envelope["source"] == SOURCE else UNMATCHED
            return event._replace(outcome=outcome, reason="InvalidEvent", problems=problems)
        if parsed.name not in REQUESTS:
            return event
        fact = self.rejected.get(envelope["id"])
        if fact is not None:
            problems = list(fact.get("problems", ()))
            return event._replace(outcome=REJECTED, reason=fact.get("reason"), problems=problems)
        return self._taken(event, parsed)

    def _taken(self, event: ToldEvent, parsed: Event[Any]) -> ToldEvent:
        """Return a valid request whose refusal is not published, with its outcome."""
        answers = sorted(set(self.answers.get(parsed.event_id, ())))
        query = "select content_hash from orders where order_id = ?"
        record = self.database.row(query, parsed.detail.order_id)
        if record is None:
            return event._replace(outcome=WAITING, answers=answers)
        if not isinstance(parsed.detail, OrderCreated):
            return event._replace(outcome=PROCESSED, answers=answers)
        if parsed.detail.content_hash != record["content_hash"]:
            problem = "exists with other content, which is not changed; send a new order_id"
            problems = [{"field": "detail.order_id", "problem": problem}]
            return event._replace(outcome=REJECTED, reason="OrderConflict", problems=problems)
        outcome = PROCESSED if event.event_id == self.opened else DUPLICATE
        return event._replace(outcome=outcome, answers=answers)


def _detail(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    detail = envelope.get("detail")
    return detail if isinstance(detail, Mapping) else {}


def _metadata(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = detail.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _text(detail: Mapping[str, Any], field: str) -> str | None:
    value = detail.get(field)
    return value if isinstance(value, str) else None
