"""The promises that must hold once faults have stopped and everything has settled."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.orderflow import ATTENTION_QUEUE, QUARANTINE_QUEUE
from kernel import stock_events
from orders.change_requests import CONSUMER
from orders.model import Reason
from storage.sqlite.database import Database
from tests.simulation.approvals import REASONS
from tests.simulation.model import ENDS, Model, promise
from tests.simulation.plan import NEVER_ENDS
from tests.simulation.poison import ENDED, MARK

FACTS = {
    "COMPLETED": "Order Completed",
    "FAILED": "Order Failed",
    "CANCELLED": "Order Cancellation Confirmed",
}
SOURCE = "orders.service"
HIGH_VALUE = 100_000
BUSINESS = {
    *REASONS,
    "CarrierError",
    "OrderCancelled",
    "OutOfStock",
    "PaymentDeclined",
    "PaymentUnavailable",
    "UnknownSku",
}
"""Reasons for which an order may be undone."""


NO_ORDER = "OrderNotFound"
"""The reason of a request whose order did not come within a day."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A settled platform: its database, the files of its sink, its mails and its faults."""

    store: Database
    dead_letter_queues: Sequence[str]
    files: Mapping[Path, Sequence[bytes]]
    mails: set[str]
    faults: set[str]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the sink, including those that did not convert."""
        return self.written() + [row for row in self._failed() if "event_id" in row]

    def written(self) -> list[dict[str, Any]]:
        """Return the rows in the sink's tables."""
        return [json.loads(line) for line in self._lines(".parquet")]

    def errors(self) -> set[str]:
        """Return the bus's event ids in the sink's error prefix."""
        return {event["id"] for event in self._failed() if "id" in event}

    def _failed(self) -> list[dict[str, Any]]:
        """Return the unprocessed events, and the rows that did not convert."""
        failed = (json.loads(line)["rawData"] for line in self._lines(".jsonl"))
        return [json.loads(base64.b64decode(data)) for data in failed]

    def excused(self, order_id: str) -> bool:
        """Return whether a dead letter shows that poison stopped an order."""
        return any(
            f'"{order_id}"' in letter["body"].replace("\\", "")
            and any(mark in letter["attributes"] + letter["body"] for mark in (MARK, ENDED))
            for letter in noted_letters_of(self)
        )

    def _lines(self, suffix: str) -> Iterator[bytes]:
        for path, lines in self.files.items():
            if path.suffix == suffix:
                yield from lines


def unsettled(model: Model, outcome: Outcome) -> list[str]:
    """Return a line for each accepted order without a final state, and for a pending outbox."""
    statuses = _statuses(outcome.store)
    pending = ["the outbox is not empty"] if outcome.store.row("select 1 from outbox") else []
    known = sorted(model.accepted | statuses.keys())
    left = [order_id for order_id in known if statuses.get(order_id) not in ENDS]
    letters = noted_letters_of(outcome) if left else []
    for order_id in left:
        status = statuses.get(order_id)
        lasting = model.wanted[order_id].token == NEVER_ENDS and "AttentionQueue" in {
            letter["queue"] for letter in letters if order_id in letter["body"]
        }
        if not (lasting or outcome.excused(order_id)):
            pending.append(f"{order_id} is {status or 'missing'}")
    return pending


def judge(model: Model, outcome: Outcome) -> None:
    """Raise `Violation` for the first broken promise."""
    pending = unsettled(model, outcome)
    promise("end", not pending, f"{', '.join(pending)}, and no work is pending")
    published = _published(outcome.store)
    letters = noted_letters_of(outcome)
    _judge_bus(model, outcome, published)
    _judge_facts(outcome, published)
    _judge_ledger(outcome, published)
    _judge_waits(outcome, published)
    _judge_requests(model, outcome, published, letters)
    _judge_early(outcome)
    _judge_expired(outcome)
    problem = model.approvals.left(outcome.store)
    promise("approval", not problem, problem)
    _judge_mails(model, outcome, letters)
    _judge_rest(outcome)


def judge_blame(outcome: Outcome) -> None:
    """Check that Lambda's limits alone undo no order, quarantine nothing, and ask no person.

    They apply to a simulation without other faults than an account's limits.
    """
    for row in outcome.store.rows("select order_id, failure from orders where failure is not null"):
        holds = row["failure"] in BUSINESS
        promise("blame", holds, f"{row['order_id']} was undone because of {row['failure']}")
    for letter in [*dead_letters_of(outcome), *closed_letters_of(outcome)]:
        if letter["queue"] in {QUARANTINE_QUEUE, ATTENTION_QUEUE}:
            reason = Reason(json.loads(letter["body"])["reason"]["error"], "")
            message = f"{letter['queue']} has a letter because of {reason.code}"
            promise("blame", not reason.is_transient, message)


Published = Mapping[str, Mapping[str, set[str]]]
"""Event ids by order and detail type."""


def _published(store: Database) -> Published:
    published: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in store.rows("select detail_type, order_id, envelope from events"):
        detail = json.loads(row["envelope"])["detail"]
        event_id = (detail.get("metadata") or {}).get("event_id", "")
        published[row["order_id"]][row["detail_type"]].add(event_id)
    return published


def _judge_facts(outcome: Outcome, published: Published) -> None:
    """Check that an order's final status has exactly one event id, and no other fact exists."""
    for order_id, status in _statuses(outcome.store).items():
        for end, name in FACTS.items():
            wanted = 1 if status == end else 0
            number = len(published[order_id].get(name, ()))
            holds = number == wanted or (number < wanted and outcome.excused(order_id))
            promise("events", holds, f"{order_id} {status}: {number} different {name}")


def _judge_ledger(outcome: Outcome, published: Published) -> None:
    for row in outcome.store.rows("select order_id, status from charges"):
        order_id = row["order_id"]
        wanted = 1 if row["status"] == "REFUNDED" else 0
        number = len(published[order_id].get("Payment Refunded", ()))
        holds = number == wanted or (number < wanted and outcome.excused(order_id))
        promise("events", holds, f"{order_id}: {number} Payment Refunded")


def _judge_waits(outcome: Outcome, published: Published) -> None:
    """Check that an order that waited for stock published Order Backordered."""
    rows = outcome.store.rows(
        "select order_id, count(*) as waits from timeline where what = 'WAITING'"
        " and json_extract(detail, '$.reason') = 'OutOfStock' group by order_id"
    )
    for row in rows:
        number = len(published[row["order_id"]].get("Order Backordered", ()))
        published_or_excused = number >= 1 or outcome.excused(row["order_id"])
        promise(
            "events",
            published_or_excused and number <= row["waits"],
            f"{row['order_id']} waited: {number} Order Backordered",
        )


def _judge_bus(model: Model, outcome: Outcome, published: Published) -> None:
    """Check that acknowledged events are in the journal, and in the sink or its error prefix."""
    journal = {
        row["id"]: json.loads(row["envelope"])
        for row in outcome.store.rows(
            "select id, envelope from events where detail_type <> ?", stock_events.NAME
        )
    }
    # an event about stock belongs to no order, and never reaches the sink
    on_bus = {key: event for key, event in journal.items() if event["source"] == SOURCE}
    others = [event for key, event in journal.items() if key not in on_bus]
    _judge_arrivals(outcome, others)
    lost = model.acknowledged.keys() - on_bus.keys()
    promise("end", not lost, f"{len(lost)} acknowledged events are gone")
    invalid = {id for id, action in model.acknowledged.items() if not action.valid}  # noqa: A001
    rows: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for row in outcome.rows():
        rows[row.get("order_id"), row["event_type"]].add(row["event_id"])
    refused = outcome.errors()
    lost = invalid - refused
    promise("analytics", not lost, f"{len(lost)} invalid events are in no error prefix")
    both = [on_bus[id] for id in on_bus.keys() & refused - invalid]  # noqa: A001
    _judge_rows(rows, [on_bus[id] for id in on_bus.keys() - refused], both)  # noqa: A001


def _judge_arrivals(outcome: Outcome, events: Sequence[Mapping[str, Any]]) -> None:
    """Check that the other events are of the stock, at most one for each receipt."""
    [(receipts,)] = outcome.store.rows("select count(*) from receipts")
    of_stock = [event for event in events if event["detail-type"] == stock_events.NAME]
    promise("events", len(of_stock) == len(events), f"{len(events)} events of another source")
    promise("events", len(of_stock) <= receipts, f"{len(of_stock)} {stock_events.NAME}")


def _judge_rows(
    rows: Mapping[tuple[str | None, str], set[str]],
    events: Iterable[Mapping[str, Any]],
    failed: Iterable[Mapping[str, Any]],
) -> None:
    """Check that the sink has each valid event's id, and no other.

    A failed event is in the error prefix, and has a row too if it was delivered twice.
    """
    allowed: dict[tuple[str | None, str], int] = defaultdict(int)
    for event in failed:
        allowed[event["detail"].get("order_id"), event["detail-type"]] += 1
    named: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    bare: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for event in events:
        detail = event["detail"]
        key = detail.get("order_id"), event["detail-type"]
        event_id = (detail.get("metadata") or {}).get("event_id")
        if event_id:
            named[key].add(event_id)
        else:
            bare[key].add(json.dumps(detail, sort_keys=True))
    for key in rows.keys() | named.keys() | bare.keys():
        missing = named[key] - rows.get(key, set())
        promise("analytics", not missing, f"{key} lacks {sorted(missing)}")
        others = len(rows.get(key, set()) - named[key])
        most = len(bare[key]) + allowed[key]
        promise("analytics", others <= most, f"{key} has {others} rows too many")
        promise("analytics", others or not bare[key], f"{key} has no row")


def _judge_requests(
    model: Model, outcome: Outcome, published: Published, letters: Sequence[Mapping[str, Any]]
) -> None:
    """Check that cancellations are answered, invalid events reported, and high values flagged."""
    known = _statuses(outcome.store)
    ended = "select order_id from executions where status in ('FAILED', 'TIMED_OUT')"
    failed = {row[0] for row in outcome.store.rows(ended)}
    for order_id in sorted(model.cancelled):
        names = {"Order Cancellation Confirmed", "Order Cancellation Refused"}
        answered = names & published[order_id].keys() or _mentions(letters, order_id)
        promise("end", answered, f"the cancellation of {order_id} has no answer")
    reported = [*letters, *closed_letters_of(outcome)]
    for action in model.acknowledged.values():
        if action.valid or "vanished" in outcome.faults:
            continue
        seen = _mentions(reported, action.order_id) or action.order_id in failed
        promise("end", seen, f"the invalid {action} is not reported")
    for order_id, wanted in model.wanted.items():
        if wanted.total >= HIGH_VALUE and order_id in model.accepted & known.keys():
            flags = len(published[order_id].get("High Value Order Flagged", ()))
            seen = flags == 1 or (not flags and _mentions(letters, order_id))
            promise("events", seen, f"{order_id}: {flags} High Value Order Flagged")


def _judge_early(outcome: Outcome) -> None:
    """Check that an order with an early cancellation is cancelled and was never charged."""
    rows = outcome.store.rows(
        "select order_id, status, charge from orders join timeline as asked using (order_id)"
        " join timeline as came using (order_id) where asked.what = 'CANCEL_REQUESTED'"
        " and came.what = 'RECEIVED' and asked.seq < came.seq"
    )
    for row in rows:
        ended = row["status"] == "CANCELLED" or outcome.excused(row["order_id"])
        holds = ended and row["charge"] is None
        promise("end", holds, f"{tuple(row)} was cancelled before its arrival")


def _judge_expired(outcome: Outcome) -> None:
    """Check that a request whose order never came is told by one fact, and no fact twice."""
    told: dict[str, set[str]] = defaultdict(set)
    query = "select order_id, envelope from events where detail_type = 'Order Rejected'"
    facts = [(row["order_id"], json.loads(row["envelope"])) for row in outcome.store.rows(query)]
    for _, fact in facts:
        own = str((fact["detail"].get("metadata") or {}).get("event_id"))
        told[str(fact["detail"].get("rejected_event_id"))].add(own)
    for rejected, ids in told.items():
        promise("events", len(ids) == 1, f"{len(ids)} different facts tell of {rejected}")
    reported = {order_id for order_id, fact in facts if fact["detail"].get("reason") == NO_ORDER}
    for letter in [*dead_letters_of(outcome), *closed_letters_of(outcome)]:
        body = _content(letter["body"])
        expired = body.get("consumer") == CONSUMER and body["reason"]["error"] == NO_ORDER
        if letter["queue"] == QUARANTINE_QUEUE and expired:
            order_id = body["event"]["detail"]["order_id"]
            told_or_stopped = order_id in reported or outcome.excused(order_id)
            promise("end", told_or_stopped, f"the sender for {order_id} was not told")


def _content(body: str) -> Mapping[str, Any]:
    """Return the object in a letter, or an empty one."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _judge_mails(model: Model, outcome: Outcome, letters: Sequence[Mapping[str, Any]]) -> None:
    """Check that a completed order's mail was sent, or is a dead letter."""
    if "unsent" in outcome.faults:
        return  # its queue was unavailable: the order continues without its mail
    for order_id, status in _statuses(outcome.store).items():
        if status == "COMPLETED" and model.wanted[order_id].email:
            seen = order_id in outcome.mails or _mentions(letters, order_id)
            promise("end", seen, f"the mail of {order_id} is lost")


def _judge_rest(outcome: Outcome) -> None:
    """Check that no work is pending."""
    consumed = f"queue not in ({', '.join('?' * len(outcome.dead_letter_queues))})"
    for what, query, parameters in (
        ("requests before their order", "select count(*) from early_requests", ()),
        ("outbox entries", "select count(*) from outbox", ()),
        ("deliveries", "select count(*) from deliveries", ()),
        ("runs", "select count(*) from executions where status = 'RUNNING'", ()),
        ("redrives", "select count(*) from closed_letters where state = 'PENDING'", ()),
        ("messages", f"select count(*) from messages where {consumed}", outcome.dead_letter_queues),
    ):
        row = outcome.store.row(query, *parameters)
        assert row is not None
        promise("end", row[0] == 0, f"{row[0]} {what} are pending")


def _statuses(store: Database) -> dict[str, str]:
    return {row["order_id"]: row["status"] for row in store.rows("select * from orders")}


def dead_letters_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the dead letters."""
    marks = ", ".join("?" * len(outcome.dead_letter_queues))
    query = f"select queue, body, attributes from messages where queue in ({marks})"
    return [dict(row) for row in outcome.store.rows(query, *outcome.dead_letter_queues)]


def noted_letters_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the open dead letters, and the discarded ones: their end is an operator's decision."""
    query = "select queue, body, attributes from closed_letters where state = 'DISCARDED'"
    return dead_letters_of(outcome) + [dict(row) for row in outcome.store.rows(query)]


def closed_letters_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the dead letters that are closed, as the end of their order closes them."""
    query = "select queue, body, attributes from closed_letters"
    return [dict(row) for row in outcome.store.rows(query)]


def _mentions(letters: Sequence[Mapping[str, Any]], order_id: str) -> bool:
    return any(f'"{order_id}"' in letter["body"].replace("\\", "") for letter in letters)
