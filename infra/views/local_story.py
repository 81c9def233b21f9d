"""Orders of a data directory: the story of one, a list, and the mail that confirmed one."""

import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from infra.dead_letters.reason import content_of, is_dead_letter, reason_of
from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from infra.views.local_health import time_of
from infra.views.order_facts import facts_of, page_of, readable_detail
from infra.views.order_filter import OrderFilter
from infra.views.order_progress import Progress, stuck_on
from infra.views.order_search import Hit, order_by_other_name
from infra.views.order_story import (
    OrderPage,
    OrderStory,
    Payment,
    Retry,
    Review,
    StockLevel,
    StoryAction,
    StoryDeadLetter,
    StoryEvent,
    StoryRequest,
    StoryRun,
    StoryShipment,
    TimelineEntry,
)
from infra.views.refused_events import refusal_of, refusals
from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import Line, OrderRecord
from kernel.order_status import Status
from orders.event_history import MAX_EVENTS
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD


def read_story(where: DataDirectory, order_id: str) -> OrderStory:
    """Return everything known about an order.

    ``order_id`` may also be another name of it (`infra.views.order_search`).

    Raises
    ------
    NotFound
        Neither a record nor an event has this id; the message names a similar one.
    """
    return story_of(where.reader(), where, order_id)


def story_of(database: Database, where: DataDirectory, order_id: str) -> OrderStory:
    """Return everything known about an order, from an open connection; see `read_story`."""
    row = database.row(f"select {RECORD} from orders where order_id = ?", order_id)
    record = None if row is None else record_of(row)
    events = _events(database, order_id)
    if record is None:
        _require_unpruned(database, order_id)
    if record is None and not events:
        return _by_other_name(database, where, order_id)
    messages = _messages(database, order_id)
    progresses = _progresses(database, order_id)
    dead_letters, retries = _dead_letters(messages), _retries(messages)
    return OrderStory(
        order_id=order_id,
        status=str(record.status) if record else "UNKNOWN",
        total=from_minor(record.total) if record else None,
        facts=facts_of(record) if record else None,
        events=events,
        timeline=_timeline(database, order_id),
        payments=_payments(database, where, order_id),
        stock=_stock(database, record),
        shipment=_shipment(database, order_id),
        runs=_runs(database, order_id, progresses),
        review=_review(database, order_id),
        mail=_mail(database, order_id),
        requests=_requests(database, order_id),
        dead_letters=dead_letters,
        retries=retries,
        actions=_actions(database, order_id),
        refusals=tuple(refusals(database, order_id, MAX_EVENTS)),
        stuck_on=stuck_on(
            record,
            _running(database, order_id, progresses),
            [each.reason for each in dead_letters],
            {"at": retries[0].next, "reason": retries[0].reason} if retries else None,
            time_of(database, time.time()),
        ),
        resume_at=record.resume_at if record and record.status == Status.WAITING else None,
    )


def _by_other_name(database: Database, where: DataDirectory, text: str) -> OrderStory:
    """Return the story of the order that has another name, or of an event without an order."""
    found = order_by_other_name(database, text)
    if found is None:
        raise NotFound(f"no order has the id {text!r}{_similar(database, text)}")
    if found.order_id is not None and found.order_id != text:
        story = story_of(database, where, found.order_id)
        return replace(story, found_by=f"{found.by} {text}")
    return _of_event(found, text)


def _of_event(found: Hit, text: str) -> OrderStory:
    """Return the story of an event that names no order."""
    event = found.event
    assert event is not None, "only an event has no order"
    recorded = StoryEvent(event.event_id, event.type, event.at, event.metadata_event_id)
    refusal = refusal_of(event)
    return OrderStory.of_nothing(text, [recorded], [refusal] if refusal else [])


def list_orders(where: DataDirectory, wanted: OrderFilter) -> OrderPage:
    """Return the orders that match a filter, as many as its limit."""
    query, values = wanted.query()
    rows = where.reader().rows(f"select {RECORD} from orders{query}", *values)
    return page_of([record_of(row) for row in rows], wanted)


def confirmation_mail(where: DataDirectory, order_id: str) -> bytes:
    """Return the mail that confirmed an order, as the content of an ``.eml`` file.

    Raises
    ------
    NotFound
        No mail was sent.
    """
    from notifications.mail import sandbox_mail
    from notifications.mime import to_bytes

    where.require_database()
    mail = None
    if where.sandbox.exists():
        with closing(Database(str(where.sandbox), read_only=True)) as sandbox:
            mail = sandbox_mail(sandbox, order_id)
    if mail is None:
        raise NotFound(f"no mail was sent for order {order_id!r}")
    return to_bytes(mail)


def record_of(row: Any) -> OrderRecord:
    """Return a row as a record, whose statuses stay text: a damaged one must be shown as well."""
    address = row["shipping_address"]
    fields = {
        **dict(row),
        "items": tuple(Line(*line) for line in json.loads(row["items"])),
        "shipping_address": json.loads(address) if address else None,
        "cancel_requested": bool(row["cancel_requested"]),
    }
    return OrderRecord(**fields)


def _events(database: Database, order_id: str) -> list[StoryEvent]:
    rows = database.rows(
        "select id, detail_type, arrived_at, envelope from events where order_id = ? order by seq",
        order_id,
    )
    return [
        StoryEvent(
            id=row["id"],
            type=row["detail_type"],
            arrived_at=timestamp(row["arrived_at"]),
            event_id=_metadata(row["envelope"]).get("event_id"),
        )
        for row in rows
    ]


def _metadata(envelope: str) -> dict[str, Any]:
    metadata = json.loads(envelope)["detail"].get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _timeline(database: Database, order_id: str) -> list[TimelineEntry]:
    rows = database.rows("select * from timeline where order_id = ? order by seq", order_id)
    return [
        TimelineEntry(
            at=timestamp(row["at"]),
            what=row["what"],
            epoch=row["epoch"],
            detail=readable_detail(json.loads(row["detail"])),
        )
        for row in rows
    ]


def _payments(database: Database, where: DataDirectory, order_id: str) -> list[Payment]:
    rows = database.rows("select * from charges where order_id = ?", order_id)
    has_gateway = rows and where.sandbox.exists()
    gateway = Database(str(where.sandbox), read_only=True) if has_gateway else None
    payments = [
        Payment(
            charge_id=row["charge_id"],
            status=row["status"],
            amount=from_minor(row["amount"]),
            currency=row["currency"],
            reference=row["reference"],
            opened_at=timestamp(row["opened_at"]),
            updated_at=timestamp(row["updated_at"]),
            gateway=_gateway_status(gateway, row["charge_id"]),
        )
        for row in rows
    ]
    if gateway is not None:
        gateway.close()
    return payments


def _gateway_status(gateway: Database | None, charge_id: str) -> str | None:
    row = gateway and gateway.row(
        "select status from gateway_charges where key = ? order by id desc", charge_id
    )
    return row["status"] if row else None


def _stock(database: Database, record: OrderRecord | None) -> list[StockLevel]:
    skus = sorted(record.demand) if record else []
    marks = ", ".join("?" * len(skus))
    rows = database.rows(f"select * from stock where sku in ({marks}) order by sku", *skus)
    return [StockLevel(**dict(row)) for row in rows]


def _shipment(database: Database, order_id: str) -> StoryShipment | None:
    row = database.row("select * from shipments where order_id = ?", order_id)
    if row is None:
        return None
    return StoryShipment(
        shipment_id=row["shipment_id"],
        status=row["status"],
        tracking_number=row["tracking_number"] if row["status"] == "CREATED" else None,
        updated_at=timestamp(row["updated_at"]),
    )


def _progresses(database: Database, order_id: str) -> dict[int, Progress]:
    """Return how far each of the order's executions is, by their row ids."""
    from infra.local.directory.history_pieces import events_in  # imports the interpreter
    from infra.views.run_story import progress_of

    found: dict[int, list[Any]] = {}
    rows = database.rows(
        "select execution_id, piece from history where execution_id in"
        " (select id from executions where order_id = ?) order by id",
        order_id,
    )
    for row in rows:
        found.setdefault(row["execution_id"], []).extend(events_in(row["piece"]))
    return {execution: progress_of(events) for execution, events in found.items()}


def _running(
    database: Database, order_id: str, progresses: Mapping[int, Progress]
) -> tuple[str, Progress] | None:
    """Return the name and the progress of the run that processes the order, if one does."""
    row = database.row(
        "select id, name from executions where order_id = ? and status = 'RUNNING'"
        " order by id desc limit 1",
        order_id,
    )
    return (row["name"], progresses[row["id"]]) if row and row["id"] in progresses else None


def _runs(database: Database, order_id: str, progresses: Mapping[int, Progress]) -> list[StoryRun]:
    rows = database.rows(
        "select *, (select count(*) from execution_redrives where execution_id = executions.id)"
        " as redrives from executions where order_id = ? order by id",
        order_id,
    )
    return [
        StoryRun(
            machine=row["machine"],
            name=row["name"],
            status=row["status"],
            started_at=timestamp(row["started_at"]),
            seconds=row["ended_at"] and round(row["ended_at"] - row["started_at"], 3),
            error=row["error"],
            attempts=progresses[row["id"]].attempts if row["id"] in progresses else (),
            redrives=row["redrives"],
        )
        for row in rows
    ]


def _review(database: Database, order_id: str) -> Review | None:
    row = database.row("select * from reviews where order_id = ?", order_id)
    return None if row is None else Review(row["status"], timestamp(row["flagged_at"]))


def _mail(database: Database, order_id: str) -> str | None:
    query = "select at from timeline where order_id = ? and what = 'CONFIRMATION_SENT'"
    row = database.row(query, order_id)
    return f"sent {timestamp(row['at'])}" if row else None


def _requests(database: Database, order_id: str) -> list[StoryRequest]:
    """Return the requests that arrived before their order and wait for it."""
    rows = database.rows(
        "select name, came_at from early_requests where order_id = ? order by came_at", order_id
    )
    return [StoryRequest(row["name"], timestamp(row["came_at"])) for row in rows]


def _messages(database: Database, order_id: str) -> list[Any]:
    """Return the rows of all messages about an order, in any queue."""
    return database.rows(
        "select * from messages where iif(json_valid(body), coalesce("
        "json_extract(body, '$.order_id'), json_extract(body, '$.detail.order_id'),"
        " json_extract(body, '$.event.detail.order_id'),"
        " json_extract(body, '$.event.order_id')), null) = ? order by id",
        order_id,
    )


def _dead_letters(messages: list[Any]) -> list[StoryDeadLetter]:
    """Return the messages that wait for an operator."""
    return [
        StoryDeadLetter(
            row["id"], row["queue"], reason_of(content_of(row["body"]), _attributes(row))
        )
        for row in messages
        if is_dead_letter(row["queue"], _attributes(row))
    ]


def _retries(messages: list[Any]) -> list[Retry]:
    """Return the failed messages that are received again."""
    return [
        Retry(
            id=row["id"],
            queue=row["queue"],
            attempts=row["receives"],
            next=timestamp(row["visible_at"]),
            reason=_attributes(row)["ERROR"],
        )
        for row in messages
        if "ERROR" in _attributes(row) and not is_dead_letter(row["queue"], _attributes(row))
    ]


def _actions(database: Database, order_id: str) -> tuple[StoryAction, ...]:
    """Return the operators' actions on an order, the oldest first."""
    query = "select * from operator_actions where subject = ? order by id"
    return tuple(
        StoryAction(
            id=row["id"],
            at=timestamp(row["at"]),
            actor=row["actor"],
            action=row["action"],
            reason=row["reason"],
            result=row["result"],
            problem=json.loads(row["after"]).get("problem"),
        )
        for row in database.rows(query, order_id)
    )


def _attributes(row: Any) -> dict[str, str]:
    attributes: dict[str, str] = json.loads(row["attributes"])
    return attributes


def _require_unpruned(database: Database, order_id: str) -> None:
    """Raise `NotFound` for an order that has ended, and whose record was pruned."""
    query = "select status, pruned_at from pruned_orders where order_id = ?"
    pruned = database.row(query, order_id)
    if pruned is not None:
        at = timestamp(pruned["pruned_at"])
        message = f"order {order_id} ended as {pruned['status']}, and its record was pruned at {at}"
        raise NotFound(message)


def _similar(database: Database, order_id: str) -> str:
    row = database.row(
        "select order_id from orders where order_id like ? order by order_id limit 1",
        f"%{order_id[-4:]}%",
    )
    return f"; did you mean {row['order_id']}?" if row else "; see `orders list`"
