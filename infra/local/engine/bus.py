"""The event bus: accepts events, matches rules, delivers to targets and archives."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Kind
from infra.local.directory.journal import Journal
from infra.local.engine.backlog import Backlog
from infra.local.engine.component import Component
from infra.local.engine.error_boundary import Boundary, described
from infra.local.engine.measures import Measures
from infra.local.engine.put_events import (
    EXTERNAL,
    checked_entries,
    failure_of,
    head_of,
    invalid,
    refusal_of,
    time_of,
)
from infra.local.engine.targets import OUTSIDE, Delivery, DeliveryError, RuleTarget
from infra.local.engine.unmatched_events import UnmatchedEvents
from infra.local.orderflow import order_id_in
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.stack import Rule, Stack, Target
from infra.patterns import TooComplexEvent, has_fine_number, read_event
from kernel import json_text
from kernel.json_text import parse, write

BATCH = 500
FORGOTTEN = 2_000
"""Events of a kind that one sweep deletes."""

DAY = 86_400.0
"""Seconds for which an event is kept that is not archived."""

FIRST_RETRY = 1.0
LONGEST_RETRY = 600.0

_INSERT_EVENT = "insert into events values (?, ?, ?, ?, ?, ?, ?)"
_INSERT_DELIVERY = "insert into deliveries values (?, ?, ?, ?, ?, ?)"
_DELETE_DELIVERY = "delete from deliveries where id = ?"
_EXPIRED = (
    "select seq from events where {} and arrived_at < ?"
    " and seq not in (select event_seq from deliveries) order by arrived_at limit ?"
)
_SELECT_DELIVERIES = (
    "select d.id, d.target, d.attempts, d.replay, e.id as event_id, e.envelope, e.arrived_at"
    " from deliveries d join events e on e.seq = d.event_seq"
)


class Bus(Component):
    """The bus of a stack.

    ``rule_targets`` maps a target's kind to its `RuleTarget`; the engine fills it. A stream's
    deliveries stay in the journal until the stream has written them (`infra.local.engine.streams`);
    ``routed`` counts them.
    """

    def __init__(
        self,
        stack: Stack,
        journal: Journal,
        boundary: Boundary,
        dead_letter: Callable[[str, str, Mapping[str, str], float], object],
        measures: Measures,
    ) -> None:
        self.stack = stack
        self.journal = journal
        self.boundary = boundary
        self.rule_targets: dict[str, RuleTarget] = {}
        self.dead_letter = dead_letter
        self.measures = measures
        self.targets = {target.key: target for rule in stack.rules for target in rule.targets}
        self.outside: list[Target] = []
        self.backlog = Backlog(self.targets)
        self.routed = dict.fromkeys(self.targets, 0)
        self.unmatched = UnmatchedEvents(journal)
        self._routing: list[str] = []
        self._patience = {
            key: stack.streams[target.name].interval if target.kind == "stream" else 0.0
            for key, target in self.targets.items()
        }

    def put(self, entries: object, now: float) -> dict[str, Any]:
        """Answer a PutEvents request; the commit of the turn makes accepted events durable.

        Raises
        ------
        InvalidRequest
            The request is malformed or too large.
        """
        checked = checked_entries(entries)
        self.journal.batch.durable = True
        results = [self._put(entry, now) for entry in checked]
        failed = sum("ErrorCode" in result for result in results)
        return {"FailedEntryCount": failed, "Entries": results}

    def _put(self, entry: Mapping[str, Any], now: float) -> dict[str, str]:
        bus = str(entry.get("EventBusName", "default")).rsplit("/", 1)[-1]
        if bus != self.stack.bus:
            message = f"Event bus {bus} does not exist; this machine has {self.stack.bus}."
            return {"ErrorCode": "ResourceNotFoundException", "ErrorMessage": message}
        refused = refusal_of(entry)
        if refused:
            return refused
        text, detail = entry["Detail"], None
        if isinstance(text, str):
            with suppress(json_text.InvalidJSON):
                detail = json_text.read(text)
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        try:
            time = time_of(entry.get("Time"), now)
        except (OverflowError, ValueError) as error:
            return invalid("Time", f"{error}.")
        head, seq = head_of(entry, time, now), self.journal.next_id("events")
        if head["detail-type"] in self.stack.own_facts:
            head |= EXTERNAL
        event = (seq, head, text, detail, has_fine_number(text))
        failed = self.boundary.attempt(Kind.EVENT, seq, self._accept, *event, now)
        return {"EventId": head["id"]} if failed is None else failure_of(failed)

    def accept(self, entry: Mapping[str, Any], now: float) -> str:
        """Journal an event that a service published; return the event's id.

        Raises
        ------
        InvalidRequest
            The entry is not a valid event.
        """
        refused = refusal_of(entry)
        if refused:
            raise InvalidRequest(refused["ErrorCode"], refused["ErrorMessage"])
        head, text = head_of(entry, time_of(entry.get("Time"), now), now), entry["Detail"]
        fine = has_fine_number(text)
        detail = json_text.parse(text, exact=fine)
        self._accept(self.journal.next_id("events"), head, text, detail, fine, now)
        self.measures.published(head["detail-type"], detail, now)
        event_id: str = head["id"]
        return event_id

    def _accept(  # noqa: PLR0913, PLR0917 - the boundary passes them on
        self,
        seq: int,
        head: Mapping[str, Any],
        text: str,
        detail: Mapping[str, Any],
        fine: bool,  # noqa: FBT001
        now: float,
    ) -> None:
        """Journal an event as it was sent, and one delivery per matching target.

        ``fine`` is the result of `has_fine_number` for the detail's text.
        """
        envelope = {**head, "detail": read_event(text) if fine else detail}
        archive = self.stack.archive_pattern
        archived = archive is not None and archive.matches(envelope)
        matched = _matching(self.stack.rules, envelope)  # may raise, so before anything is added
        order_id = detail.get("order_id")
        self.journal.batch.add(
            _INSERT_EVENT,
            seq,
            head["id"],
            head["detail-type"],
            order_id if isinstance(order_id, str) else None,
            f'{json_text.write(head).decode()[:-1]},"detail":{text.strip()}}}',
            now,
            int(archived),
        )
        self._route(seq, matched, now, None)
        if not matched or matched[0].local:  # the template's rules come first
            self.unmatched.add(head, now)

    def show_targets(self) -> None:
        """Include the targets of rules that were added or changed."""
        self.targets = {target.key: target for rule in self.stack.rules for target in rule.targets}
        self.outside = [target for target in self.targets.values() if target.kind in OUTSIDE]
        for key in self.targets:
            self.backlog.add(key)
            self.routed.setdefault(key, 0)
            self._patience.setdefault(key, 0.0)

    def due_deliveries(self, target: Target, limit: int, now: float) -> list[Delivery]:
        """Return the due deliveries of a target that is served outside the turn."""
        return [_delivery(row) for row in self._due(target, limit, now)]

    def arrived(self, target: Target, delivery: Delivery, now: float) -> None:
        """Delete a delivery that was made; a replay's says nothing about latency."""
        self.journal.batch.add(_DELETE_DELIVERY, delivery.id)
        if delivery.replay is None:
            self.measures.delivered(target.key, delivery.arrived_at, now)

    def not_arrived(
        self, target: Target, delivery: Delivery, error: DeliveryError, now: float
    ) -> None:
        """Retry or drop a delivery that failed outside the turn."""
        self._failed(target, delivery, error, now)

    def _route(self, seq: int, rules: Sequence[Rule], now: float, replay: str | None) -> None:
        for rule in rules:
            for target in rule.targets:
                delivery = self.journal.next_id("deliveries")
                self.journal.batch.add(_INSERT_DELIVERY, delivery, seq, target.key, now, 0, replay)
                self._routing.append(target.key)
                self.backlog.wake(target.key, now + self._patience[target.key])

    def flush(self, now: float) -> None:
        """Count the events of the turn; those of an item that failed are not in the batch."""
        for _, _, detail_type, order_id, *_ in self.journal.batch.rows_of(_INSERT_EVENT):
            self.measures.accepted(detail_type, order_id, now)

    def committed(self) -> None:
        """Make the turn's deliveries visible to the backlog, and count those of streams."""
        self.backlog.committed()
        for key in self._routing:
            self.routed[key] += 1
        self._routing.clear()

    def next_due(self) -> float:
        """Return when the next delivery to a target with room is due."""
        return self.backlog.next_due(
            key for key, target in self.targets.items() if self.rule_targets[target.kind].room() > 0
        )

    def work(self, now: float) -> bool:
        """Make due deliveries to targets with room; return whether there was any."""
        worked = False
        for key, target in self.targets.items():
            if self.backlog.is_due(key, now):
                room = min(BATCH, self.rule_targets[target.kind].room())
                worked |= room > 0 and self._drain(target, room, now)
        return worked

    def _due(self, target: Target, limit: int, now: float) -> list[Any]:
        """Return the rows of due deliveries to a target."""
        rows = self.journal.database.rows(
            f"{_SELECT_DELIVERIES} where d.target = ? and d.due <= ? order by d.due, d.id limit ?",
            target.key,
            now,
            limit,
        )
        if len(rows) < limit:
            self.backlog.rest(target.key, self._next_due(target.key, now))
        return rows

    def _drain(self, target: Target, room: int, now: float) -> bool:
        rows = self._due(target, room, now)
        deliver = self.rule_targets[target.kind].deliver
        for row in rows:
            delivery = _delivery(row)
            error = self.boundary.attempt(
                Kind.DELIVERY, delivery.id, deliver, target, delivery, now
            )
            if error is None:
                self.arrived(target, delivery, now)
            else:
                self._failed(target, delivery, _as_refusal(error), now)
        return bool(rows)

    def quarantine(self, number: int, reason: str, now: float) -> None:
        """Move a delivery to its target's dead-letter queue, without a retry."""
        row = self.journal.database.row(f"{_SELECT_DELIVERIES} where d.id = ?", number)
        if row is not None:
            error = DeliveryError("INTERNAL_ERROR", reason, final=True)
            self._failed(self.targets[row["target"]], _delivery(row), error, now)

    def _failed(self, target: Target, delivery: Delivery, error: DeliveryError, now: float) -> None:
        """Retry with exponential backoff; at the last attempt, send the event to dead letters.

        A replay's event is older than its delivery, so that its attempts alone are counted.
        """
        late = delivery.replay is None and delivery.arrived_at + target.max_age <= now
        if not error.final and not late and delivery.attempts < target.max_attempts:
            due = now + min(LONGEST_RETRY, FIRST_RETRY * 2**delivery.attempts)
            self.journal.batch.add(
                "update deliveries set attempts = attempts + 1, due = ? where id = ?",
                due,
                delivery.id,
            )
            self.backlog.wake(target.key, due)
            return
        self.journal.batch.add(_DELETE_DELIVERY, delivery.id)
        if target.dead_letters:
            rule = f"rule/{self.stack.bus}/{target.rule}"
            attributes = {
                "RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:{rule}",
                "TARGET": target.key,
                "ERROR_CODE": error.code,
                "ERROR_MESSAGE": str(error),
                "RETRY_ATTEMPTS": str(delivery.attempts),
            }
            self.dead_letter(target.dead_letters, delivery.envelope, attributes, now)

    def _next_due(self, key: str, now: float) -> float | None:
        row = self.journal.database.row(
            "select min(due) from deliveries where target = ? and due > ?", key, now
        )
        return None if row is None else row[0]

    def deliver_again(self, key: str, envelope: str, seq: int | None, now: float) -> int:
        """Redeliver a dead letter to its target; return the delivery's number.

        ``seq`` is the event's number in the journal. Without it, the dead letter's text becomes an
        event of the journal that is not archived and goes to no other target.
        """
        content = parse(envelope)
        replay = content.pop("replay-name", None)
        if seq is None:
            seq = self.journal.next_id("events")
            order_id = order_id_in(content)
            kind, text = content.get("detail-type", ""), write(content).decode()
            row = (seq, content["id"], kind, order_id, text, now, 0)
            self.journal.batch.add(_INSERT_EVENT, *row)
        delivery = self.journal.next_id("deliveries")
        self.journal.batch.add(_INSERT_DELIVERY, delivery, seq, key, now, 0, replay)
        self.backlog.wake(key, now)
        return delivery

    def deliver_matching(
        self, seq: int, rules: Sequence[Rule], envelope: Mapping[str, Any], now: float, replay: str
    ) -> None:
        """Deliver an event of the journal again, to those of some rules that match."""
        self._route(seq, _matching(rules, envelope), now, replay)

    def forget(self, now: float) -> bool:
        """Delete events past their retention, without an open delivery; return whether more are.

        One call deletes at most `FORGOTTEN` archived events, and as many others.
        """
        self.unmatched.forget(now)
        days = self.stack.archive_days
        kept = {"not archived": DAY, **({"archived": days * DAY} if days else {})}
        routed = {seq for _, seq, *_ in self.journal.batch.rows_of(_INSERT_DELIVERY)}
        more = False
        for kind, seconds in kept.items():
            query = _EXPIRED.format(kind)
            rows = self.journal.database.rows(query, now - seconds, FORGOTTEN)
            for row in rows:
                if row["seq"] not in routed:
                    self.journal.batch.add("delete from events where seq = ?", row["seq"])
            more |= len(rows) == FORGOTTEN
        return more


def _delivery(row: Any) -> Delivery:
    replay, attempts = row["replay"], row["attempts"]
    envelope = _replayed(row["envelope"], replay)
    return Delivery(row["id"], row["event_id"], envelope, attempts, row["arrived_at"], replay)


def _as_refusal(error: Exception) -> DeliveryError:
    """Return an error as a DeliveryError; an unexpected one is retried."""
    if isinstance(error, DeliveryError):
        return error
    return DeliveryError("INTERNAL_ERROR", described(error))


def _matching(rules: Sequence[Rule], envelope: Mapping[str, Any]) -> list[Rule]:
    """Return the rules that match an event; a local rule's pattern never refuses an event."""
    try:
        return [rule for rule in rules if rule.pattern.matches(envelope)]
    except TooComplexEvent as error:
        own = [rule for rule in rules if not rule.local]
        if len(own) == len(rules):
            raise InvalidRequest("InvalidArgument", str(error)) from None
    return [*_matching(own, envelope), *_simple_matches(rules, envelope)]


def _simple_matches(rules: Sequence[Rule], envelope: Mapping[str, Any]) -> list[Rule]:
    """Return the local rules that match an event which is too complex for another of them."""
    matched = []
    for rule in rules:
        with suppress(TooComplexEvent):
            if rule.local and rule.pattern.matches(envelope):
                matched.append(rule)
    return matched


def _replayed(envelope: str, replay: str | None) -> str:
    return envelope if replay is None else f'{envelope[:-1]},"replay-name":{json.dumps(replay)}}}'
