"""Outcomes of redrives: how the successors of dead letters have ended, from committed rows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.dead_letters.order_text import order_in_words
from infra.dead_letters.reason import content_of, message_in, reason_of
from infra.local.orderflow import ATTENTION_QUEUE, QUARANTINE_QUEUE, order_id_in
from kernel.clock import timestamp
from kernel.json_text import parse
from kernel.order_status import PAUSED
from storage.sqlite.database import Database

ENDED = """
select c.* from closed_letters c left join executions e on e.id =
    (select max(id) from executions where machine = ? and name = c.successor)
    where c.state = 'PENDING' and c.kind = 'execution' and coalesce(e.status, '') <> 'RUNNING'
union all
select c.* from closed_letters c left join messages m on m.id = c.successor
    where c.state = 'PENDING' and c.kind = 'message' and (m.id is null or m.queue in ({queues}))
union all
select c.* from closed_letters c left join deliveries d on d.id = c.successor
    where c.state = 'PENDING' and c.kind = 'delivery' and d.id is null
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a dead letter's successor.

    It has succeeded, unless ``letter`` is the dead letter that it left, ``run`` is a run that
    continues its work, or ``reopen`` says that the redriven dead letter must be reopened.
    """

    text: str
    letter: int | None = None
    run: str | None = None
    reopen: bool = False


class RedriveOutcomes:
    """The outcomes at one moment; ``machine`` is the state machine that processes orders."""

    def __init__(self, database: Database, queues: Iterable[str], machine: str) -> None:
        self.database = database
        self.queues = list(queues)
        self.machine = machine

    def ended(self) -> list[tuple[Any, Outcome]]:
        """Return each redriven dead letter whose successor has ended, with the outcome."""
        query = ENDED.format(queues=", ".join("?" * len(self.queues)))
        rows = self.database.rows(query, self.machine, *self.queues)
        outcome_of = {"execution": self._run, "message": self._message, "delivery": self._delivery}
        return [(row, outcome_of[row["kind"]](row)) for row in rows]

    def _run(self, row: Any) -> Outcome:
        name = row["successor"]
        run = self.database.row(
            "select status, error, cause, order_id from executions where machine = ? and name = ?"
            " order by id desc",
            self.machine,
            name,
        )
        if run is None:
            return Outcome(f"its run {name} is gone", reopen=True)
        letter = None if run["status"] == "SUCCEEDED" else self._letters_of_runs.get(_key(name))
        if letter is not None:
            return self._replaced(letter)
        failed = None if run["status"] == "SUCCEEDED" else f"its run {run['status']}"
        if failed and run["error"]:
            failed += f": {run['error']}: {message_in(run['cause'])}"
        return self._order(run["order_id"], failed)

    def _order(self, order_id: str | None, failed: str | None) -> Outcome:
        """Return the outcome of a run by its order's state; ``failed`` is its failure."""
        order = order_id and self.database.row("select * from orders where order_id = ?", order_id)
        if not order:
            return Outcome(failed or "its run has succeeded", reopen=failed is not None)
        state = order_in_words(order)
        if order["in_flight"] is None:
            return Outcome(state)
        holder = order["lease_owner"]
        if holder is None and order["status"] in PAUSED and failed is None:
            return Outcome(state)
        if holder is not None and self.is_running(holder):
            return Outcome(state, run=holder)
        if failed is None:
            held = f"run {holder}, which has ended, holds it until"
            ignored = f"{held} {timestamp(order['lease_until'])}" if holder else "nothing was done"
            failed = f"its run was ignored: {ignored}"
        return Outcome(f"{state}; {failed}", reopen=True)

    def is_running(self, name: str) -> bool:
        """Return whether a run of this name is running."""
        query = "select 1 from executions where machine = ? and name = ? and status = 'RUNNING'"
        return self.database.row(query, self.machine, name) is not None

    def _message(self, row: Any) -> Outcome:
        number = int(row["successor"])
        if self.database.row("select id from messages where id = ?", number) is None:
            quarantined = self._letters_of_events.get(_event_key(row["body"]), 0)
            if quarantined > number:
                return self._replaced(quarantined)
            return self._handled(row, "handled")
        return self._replaced(number)

    def _delivery(self, row: Any) -> Outcome:
        attributes = parse(row["attributes"])
        event = content_of(row["body"])
        event_id = event.get("id") if isinstance(event, dict) else None
        letter = self._letters_of_targets.get((attributes.get("TARGET"), _key(event_id)), 0)
        if letter > row["id"]:
            return self._replaced(letter)
        run = f"{event_id}-{row['successor']}"
        started = "select 1 from executions where machine = ? and name = ?"
        if self.database.row(started, self.machine, run):
            return Outcome("delivered", run=run)
        return self._handled(row, f"delivered to {attributes.get('TARGET')}")

    def _handled(self, row: Any, text: str) -> Outcome:
        content = content_of(row["body"])
        event = content.get("event", content) if isinstance(content, dict) else content
        order_id = order_id_in(event)
        order = order_id and self.database.row("select * from orders where order_id = ?", order_id)
        return Outcome(f"{text}; {order_in_words(order)}" if order else text)

    def _replaced(self, letter: int) -> Outcome:
        row = self.database.row("select queue, body, attributes from messages where id = ?", letter)
        assert row is not None
        reason = reason_of(content_of(row["body"]), parse(row["attributes"]))
        return Outcome(f"{row['queue']}: {reason}", letter=letter)

    @cached_property
    def _letters_of_runs(self) -> Mapping[str, int]:
        """The open dead letters of runs, by the keys of the runs' names."""
        rows = self.database.rows(
            "select body -> '$.execution' as run, max(id) as id from messages"
            " where queue in (?, ?) and json_valid(body) group by run order by id",
            QUARANTINE_QUEUE,
            ATTENTION_QUEUE,
        )
        return {_column_key(row["run"]): row["id"] for row in rows}

    @cached_property
    def _letters_of_targets(self) -> Mapping[tuple[str | None, str], int]:
        """The open dead letters of targets, by the targets and the keys of the events' ids."""
        marks = ", ".join("?" * len(self.queues))
        rows = self.database.rows(
            "select json_extract(attributes, '$.TARGET') as target,"
            " iif(json_valid(body), body -> '$.id', null) as event, max(id) as id"
            f" from messages where queue in ({marks}) group by target, event order by id",
            *self.queues,
        )
        return {(row["target"], _column_key(row["event"])): row["id"] for row in rows}

    @cached_property
    def _letters_of_events(self) -> Mapping[str, int]:
        """The open dead letters of quarantined events, by the events' content."""
        query = "select id, body from messages where queue = ? order by id"
        rows = self.database.rows(query, QUARANTINE_QUEUE)
        return {_event_key(row["body"]): row["id"] for row in rows}


def _key(value: object) -> str:
    """Return a key that is equal for equal JSON values."""
    return json.dumps(value, sort_keys=True)


def _column_key(text: str | None) -> str:
    """Return the key of a value that SQLite returned as JSON text, or of None.

    ``json_extract`` returns invalid UTF-8 for a lone surrogate.
    """
    return _key(None if text is None else content_of(text))


def _event_key(body: str) -> str:
    """Return a key that is equal for equal events of a consumer."""
    content = content_of(body)
    if not isinstance(content, dict) or "event" not in content:
        return _key(content)
    event = content["event"]
    if isinstance(event, str):
        event = content_of(event)
    return _key(event)
