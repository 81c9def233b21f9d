"""The needs of a data directory; each query reads an index of open work."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from infra.dead_letters.reason import content_of, reason_of
from infra.local.orderflow import SINK, is_dead_letter_queue, order_id_in
from infra.views.health import GRACE, PAUSED_SQL, REFUND_GRACE, Need, plural, waits_for
from kernel.clock import timestamp
from kernel.money import text
from storage.sqlite.database import Database

READ = 300
"""Dead letters whose reason is read; more are counted."""

OUTBOX_AGE = 60.0
"""Seconds after which a message in the outbox is late."""

_PAST_LEASE = (
    "select count(*), order_id, min(max(lease_until, updated_at)) from orders"
    f" where in_flight = 1 and status not in ({PAUSED_SQL}) and max(lease_until, updated_at) < ?"
    " and order_id not in (select order_id from awaiting_restart where order_id is not null)"
)
_PAST_WAIT = (
    "select count(*), order_id, min(resume_at), waiting_for, status from orders"
    f" where in_flight = 1 and status in ({PAUSED_SQL}) and resume_at < ?"
)
_UNPAID = (
    "select order_id, total, currency, updated_at from orders where in_flight = 1"
    " and status = 'COMPENSATING' and charge = 'CHARGED' and updated_at < ? order by updated_at"
)


def needs(database: Database, now: float, *, served: bool) -> Iterator[Need]:
    """Yield the needs: dead letters first, then orders, then the platform's own."""
    yield from _dead_letters(database)
    yield from _unpaid_refunds(database, now)
    yield from _approvals(database)
    yield from _past_lease(database, now)
    yield from _past_wait(database, now)
    yield from _late_messages(database, now)
    yield from _failed_items(database, now)
    if not served:
        yield from _unserved(database)


def dead_letter_queues(database: Database) -> list[str]:
    """Return the names of the dead-letter queues that have messages."""
    rows = database.rows("select distinct queue from messages")
    return [row["queue"] for row in rows if is_dead_letter_queue(row["queue"])]


def _dead_letters(database: Database) -> Iterator[Need]:
    """Yield one need for each queue and kind of reason, the most frequent first."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for queue in dead_letter_queues(database):
        [(total,)] = database.rows("select count(*) from messages where queue = ?", queue)
        rows = database.rows(
            "select * from messages where queue = ? order by id limit ?", queue, READ
        )
        for row in rows:
            kind, since, order_id = _dead_letter(row)
            group = groups.setdefault((queue, kind), [0, since, order_id])
            group[0] += 1
        if total > len(rows):
            groups[queue, "reasons that were not read"] = [total - len(rows), None, None]
    for (queue, kind), (count, since, order_id) in sorted(
        groups.items(), key=lambda group: -group[1][0]
    ):
        example = f", such as order {order_id}" if order_id else ""
        yield Need(
            "dead letters",
            count,
            f"{plural(count, 'dead letter')} in {queue}: {kind}{example}",
            "`orders dead-letters list` has their reasons",
            since,
            order_id,
        )


def _dead_letter(row: Any) -> tuple[str, str, str | None]:
    """Return the kind of a dead letter's reason, its time, and its order."""
    attributes = json.loads(row["attributes"])
    body = content_of(row["body"])
    kind = reason_of(body, attributes).partition(":")[0][:80]
    event = body.get("event", body) if isinstance(body, dict) else body
    order_id = order_id_in(body) or order_id_in(event)
    return kind, attributes.get("SINCE") or timestamp(row["sent_at"]), order_id


def _unpaid_refunds(database: Database, now: float) -> Iterator[Need]:
    rows = database.rows(_UNPAID, now - REFUND_GRACE)
    if not rows:
        return
    oldest, sums = rows[0], Counter[str]()
    for row in rows:
        sums[row["currency"]] += row["total"]
    amounts = ", ".join(f"{text(total, currency)} {currency}" for currency, total in sums.items())
    yield Need(
        "unpaid refunds",
        len(rows),
        f"{plural(len(rows), 'refund', 'are')} not paid: {amounts};"
        f" the oldest is of order {oldest['order_id']}",
        f"`orders show {oldest['order_id']}` says why; the reconciler tries again",
        timestamp(oldest["updated_at"]),
        oldest["order_id"],
    )


def _approvals(database: Database) -> Iterator[Need]:
    """Yield the orders that wait for a decision of a person."""
    row = database.rows(
        "select count(*), order_id, min(resume_at), updated_at from orders"
        " where in_flight = 1 and status = 'AWAITING_APPROVAL'"
    )[0]
    count, order_id, until, since = row
    if count:
        yield Need(
            "approvals",
            count,
            f"{plural(count, 'order', 'wait for an approval')}, {order_id} until"
            f" {timestamp(until)}",
            f"`orders approve {order_id}`, or `orders reject {order_id}`",
            timestamp(since),
            order_id,
        )


def _past_lease(database: Database, now: float) -> Iterator[Need]:
    count, order_id, at = database.rows(_PAST_LEASE, now - GRACE)[0]
    if count:
        yield Need(
            "past their lease",
            count,
            f"{plural(count, 'order', 'have')} no run since their lease ended;"
            f" the oldest is {order_id}",
            f"`orders retry {order_id}` starts a run; the reconciler should have done it",
            timestamp(at),
            order_id,
        )


def _past_wait(database: Database, now: float) -> Iterator[Need]:
    count, order_id, at, reason, status = database.rows(_PAST_WAIT, now - GRACE)[0]
    if count:
        yield Need(
            "past their wait",
            count,
            f"{plural(count, 'order', 'are')} due and not resumed; the oldest is {order_id},"
            f" which waits for {waits_for(reason, status)}",
            f"`orders retry {order_id}` starts a run; the platform resumes it while it runs",
            timestamp(at),
            order_id,
        )


def _late_messages(database: Database, now: float) -> Iterator[Need]:
    """Yield the queues whose consumer is late, and the outbox."""
    rows = database.rows(
        "select queue, count(*) as count, min(sent_at) as at from messages"
        " where visible_at < ? group by queue",
        now - GRACE,
    )
    for row in rows:
        if not is_dead_letter_queue(row["queue"]):
            yield Need(
                "late messages",
                row["count"],
                f"{plural(row['count'], 'message', 'wait')} in {row['queue']} for its function",
                "see the log for errors of the function",
                timestamp(row["at"]),
                row["queue"],
            )
    late = "select count(*) as count, min(created_at) as at from outbox where created_at < ?"
    row = database.rows(late, now - OUTBOX_AGE)[0]
    if row["count"]:
        text_ = f"{plural(row['count'], 'message', 'wait')} in the outbox"
        remedy = "see the log; the engine sends them in order"
        yield Need("outbox", row["count"], text_, remedy, timestamp(row["at"]))


def _failed_items(database: Database, now: float) -> Iterator[Need]:
    rows = database.rows("select * from failures where at >= ? order by at desc", now - 3_600)
    if rows:
        newest = rows[0]
        yield Need(
            "failed items",
            len(rows),
            f"{plural(len(rows), 'item')} failed within an hour, the last a {newest['kind']}:"
            f" {newest['error']}: {newest['message'][:100]}",
            "find the trace in the log",
            timestamp(rows[-1]["at"]),
        )


def _unserved(database: Database) -> Iterator[Need]:
    """Yield the open work of a directory that no process works on."""
    row = database.rows(
        "select (select count(*) from orders where in_flight = 1),"
        " (select count(*) from deliveries where target <> ?)",
        SINK,
    )[0]
    open_orders, deliveries = row
    if open_orders or deliveries:
        parts = [plural(open_orders, "open order")] if open_orders else []
        parts += [f"{deliveries} events to deliver"] if deliveries > 1 else []
        parts += ["1 event to deliver"] if deliveries == 1 else []
        yield Need(
            "not served",
            open_orders + deliveries,
            f"no server has this directory, which has {' and '.join(parts)}",
            "`orders serve` continues it",
        )
