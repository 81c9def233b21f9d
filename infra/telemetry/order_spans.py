"""Spans of orders, from committed rows: events, executions with their history, and mails.

The root of an order's trace is the span of its first event. Names and ids leave this machine;
inputs, outputs and messages of errors, which have names and addresses, do not.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.local.directory.history_pieces import events_in
from infra.telemetry.history_spans import HistorySpans
from infra.telemetry.spans import (
    CONSUMER,
    INTERNAL,
    ORDER_ID,
    PRODUCER,
    Moment,
    Span,
    Value,
    span_id_of,
    trace_id_of,
)
from kernel import json_text
from kernel.events import CONTRACTS, REQUESTS
from kernel.timestamps import moment
from storage.sqlite.database import Database

PUBLISHED = frozenset(CONTRACTS) - REQUESTS
"""The events that the platform states itself, through its outbox."""

_OF_A_RULE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d+")
"""The name of an execution that a rule has started: the event's id and the delivery's number."""


KEPT = 1_000
"""Histories of ended executions that are kept for the mails that they queued."""


class OrderSpans:
    """Reads spans from the orders' database, within a snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended: dict[int, HistorySpans] = {}

    def of_event(self, row: Any) -> Span:
        """Return the span of an event: its PutEvents request, or its way through the outbox."""
        order_id, kind = row["order_id"], row["detail_type"]
        root, own = self._root_of(order_id), span_id_of("event", row["id"])
        attributes: dict[str, Value] = {
            "messaging.system": "aws_eventbridge",
            "messaging.message.id": row["id"],
            "orderflow.detail_type": kind,
            **_of_order(order_id),
        }
        start, name = row["arrived_at"], f"PutEvents {kind}"
        if kind in PUBLISHED:
            start, name = min(start, _published_at(row["envelope"]) or start), f"outbox {kind}"
        parent = "" if root in ("", own) else root
        trace = trace_id_of(order_id or row["id"])
        return Span(trace, own, parent, name, PRODUCER, start, row["arrived_at"], attributes)

    def of_execution(self, row: Any) -> Iterator[Span]:
        """Yield the spans of an ended execution: delivery, execution, states, tasks, calls."""
        order_id, name = row["order_id"], row["name"]
        identity = row["machine"], name, row["id"]
        own, shared = span_id_of("execution", *identity), _of_order(order_id)
        started, ended = row["started_at"], row["ended_at"]
        event = self._delivered(name, order_id)
        trace = trace_id_of(order_id or _OF_A_RULE.sub(r"\1", name))
        parent = self._root_of(order_id)
        if event is not None:
            cause, parent = span_id_of("event", event["id"]), span_id_of("delivery", *identity)
            at = min(event["arrived_at"], started)
            what = f"deliver {event['detail_type']}"
            yield Span(trace, parent, cause, what, CONSUMER, at, started, shared)
        attributes = {
            **shared,
            "orderflow.state_machine": row["machine"],
            "orderflow.execution": name,
            "orderflow.execution.status": row["status"],
        }
        failed = None if row["status"] == "SUCCEEDED" else row["error"] or row["status"]
        moments = self._timeline(order_id, name)
        yield Span(
            trace,
            own,
            parent,
            row["machine"],
            INTERNAL,
            started,
            ended,
            attributes,
            failed,
            moments,
        )
        history = self._history(identity, own)
        if len(self._ended) >= KEPT:
            self._ended.clear()
        self._ended[row["id"]] = history
        yield from history.spans(trace, ended, shared)

    def of_mail(self, order_id: str, number: int, sent_at: float) -> Span:
        """Return the span of a confirmation: from its place in the queue until it was sent."""
        parent, queued = self._sender_of(order_id, sent_at)
        attributes = {**_of_order(order_id), "messaging.system": "aws_sqs"}
        own = span_id_of("mail", order_id, number)
        trace = trace_id_of(order_id)
        return Span(trace, own, parent, "send mail", CONSUMER, queued, sent_at, attributes)

    def _root_of(self, order_id: str | None) -> str:
        """Return the span id of an order's first event, if the journal still has one."""
        row = order_id and self._database.row(
            "select id from events where order_id = ? order by seq limit 1", order_id
        )
        return span_id_of("event", row["id"]) if row else ""

    def _delivered(self, execution: str, order_id: str | None) -> Any:
        """Return the event of an order that a rule has delivered to an execution, if one has."""
        match = _OF_A_RULE.fullmatch(execution)
        return match and self._database.row(
            "select id, detail_type, arrived_at from events where order_id = ? and id = ?",
            order_id,
            match[1],
        )

    def _history(self, identity: tuple[object, ...], own: str) -> HistorySpans:
        spans = HistorySpans(identity, own)
        pieces = "select piece from history where execution_id = ? order by id"
        for row in self._database.rows(pieces, identity[-1]):
            spans.read(events_in(row["piece"]))
        return spans

    def _timeline(self, order_id: str | None, execution: str) -> tuple[Moment, ...]:
        """Return the entries of an order's timeline that a run has written."""
        rows = self._database.rows(
            "select epoch, what, at, detail from timeline where order_id = ? order by seq", order_id
        )
        claims = {
            row["epoch"]
            for row in rows
            if row["what"] == "RECEIVED" and json_text.parse(row["detail"]).get("run") == execution
        }
        return tuple(Moment(row["what"], row["at"]) for row in rows if row["epoch"] in claims)

    def _sender_of(self, order_id: str, sent_at: float) -> tuple[str, float]:
        """Return the span id of the last message of an order before a moment, and its time."""
        sender = self._root_of(order_id), sent_at
        rows = self._database.rows(
            "select id, machine, name from executions where order_id = ? order by id", order_id
        )
        for row in rows:
            identity = row["machine"], row["name"], row["id"]
            history = self._ended.get(row["id"]) or self._history(identity, "")
            for span in history.spans("", sent_at, {}):
                is_message = span.attributes.get("messaging.system") == "aws_sqs"
                if is_message and span.error is None and span.end <= sent_at:
                    sender = span.span_id, span.end
        return sender


def _of_order(order_id: str | None) -> dict[str, Value]:
    return {} if order_id is None else {ORDER_ID: order_id}


def _published_at(envelope: str) -> float | None:
    """Return when the platform has stated an event."""
    detail = json_text.parse(envelope)["detail"]
    try:
        return moment(detail["timestamp"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
