"""Pending runs, events and messages of a data directory, as lines of an export.

Runs and deliveries become their results: a run that has not claimed its order, or a message in its
queue. Timers are not exported; the reconciler resumes an order when its lease or its wait has
ended.
"""

import sqlite3
from collections.abc import Iterator

from infra.local.template.stack import Stack, Target
from infra.moving.lines import Row
from kernel import json_text

_UNCLAIMED = """
select name, input, started_at from executions e
where status = 'RUNNING' and machine = ?
    and iif(json_valid(input), json_extract(input, '$.resume'), null) is null
    and not exists (select 1 from timeline t where t.order_id = e.order_id
        and (t.what = 'RECEIVED' or t.what = 'CLAIMED')
        and json_extract(t.detail, '$.run') = e.name)
order by id
"""

_DELIVERIES = """
select d.id, d.replay, d.due, e.id as event_id, e.envelope
from deliveries d join events e on e.seq = d.event_seq where d.target = ? order by d.id
"""


def outbox(connection: sqlite3.Connection) -> Iterator[Row]:
    """Yield the runs and events of the outbox, without its messages.

    The token of an answer is valid in this directory alone: its run resumes the order.
    """
    query = "select kind, body, created_at from outbox where kind <> 'message' order by id"
    for row in connection.execute(query):
        body = json_text.parse(row["body"])
        what = row["kind"]
        if what == "answer":
            what, body = "run", body.get("run")
        if body is not None:
            yield _sent(what, body, row["created_at"])


def runs(connection: sqlite3.Connection, stack: Stack) -> Iterator[Row]:
    """Yield the runs, started or pending, that have not claimed their order."""
    for target in _targets(stack, "machine"):
        for row in connection.execute(_UNCLAIMED, (target.name,)):
            body = {"name": row["name"], "input": json_text.parse(row["input"])}
            yield _sent("run", body, row["started_at"])
        for row in connection.execute(_DELIVERIES, (target.key,)):
            body = {"name": f"{row['event_id']}-{row['id']}", "input": _event(row)}
            yield _sent("run", body, row["due"])


def messages(connection: sqlite3.Connection, stack: Stack) -> Iterator[Row]:
    """Yield the messages and dead letters in queues and in the outbox, and pending deliveries."""
    dead = set(stack.dead_letter_queues)
    query = "select queue, body, attributes, sent_at from messages order by id"
    for row in connection.execute(query):
        attributes = json_text.parse(row["attributes"])
        kind = "letter" if row["queue"] in dead else "message"
        yield {"kind": kind, **dict(row), "attributes": attributes}
    for target in _targets(stack, "queue"):
        for row in connection.execute(_DELIVERIES, (target.key,)):
            yield _message(target.name, json_text.write(_event(row)).decode(), row["due"])
    query = "select body, created_at from outbox where kind = 'message' order by id"
    for row in connection.execute(query):
        request = json_text.parse(row["body"])
        queue = str(request["queue"]).rpartition("/")[2].rpartition(":")[2]
        body = json_text.write(request["body"]).decode()
        yield _message(queue, body, row["created_at"], dead=queue in dead)


def _targets(stack: Stack, kind: str) -> list[Target]:
    return [target for rule in stack.rules for target in rule.targets if target.kind == kind]


def _event(row: sqlite3.Row) -> Row:
    envelope: Row = json_text.parse(row["envelope"])
    return envelope if row["replay"] is None else {**envelope, "replay-name": row["replay"]}


def _sent(what: str, body: Row, at: float) -> Row:
    return {"kind": "outbox", "what": what, "body": body, "created_at": at}


def _message(queue: str, body: str, at: float, *, dead: bool = False) -> Row:
    kind = "letter" if dead else "message"
    return {"kind": kind, "queue": queue, "body": body, "attributes": {}, "sent_at": at}
