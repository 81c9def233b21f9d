"""The outbox: sends the messages that services wrote in the transaction of their own change.

On AWS the table's stream invokes the relay function (`orders.outbox.relay`). On one machine the
engine reads the table ``outbox`` itself, and deletes each row in the turn that stores the message.
"""

import json
from collections.abc import Mapping
from typing import Any

from infra.asl import TaskSucceeded
from infra.local.directory.crash_marker import Kind
from infra.local.engine.backlog import NEVER
from infra.local.engine.component import Component
from infra.local.engine.engine_parts import EngineParts
from infra.local.engine.error_boundary import Boundary, described
from infra.local.engine.executions import EXISTS
from infra.local.engine.integrations import TaskError
from infra.local.engine.quarantined_orders import HELD
from infra.local.engine.token_answers import answer
from infra.local.orderflow import Profile
from kernel import json_text

BATCH = 500
"""Rows that one turn sends at most."""

_SELECT = "select id, kind, body from outbox"
_DELETE = "delete from outbox where id = ?"


class Outbox(Component):
    """The outbox of the services' database.

    ``is_due`` is true if there may be rows: at the start, after a full batch, and after each
    function that has ended.
    """

    def __init__(self, parts: EngineParts, boundary: Boundary, profile: Profile) -> None:
        self.parts = parts
        self.journal = boundary.journal
        self.boundary = boundary
        self.profile = profile
        self.is_due = True

    def next_due(self) -> float:
        """Return 0 if there may be rows."""
        return 0.0 if self.is_due else NEVER

    def work(self, now: float) -> bool:
        """Send the oldest rows; return whether there was any."""
        if not self.is_due:
            return False
        rows = self.journal.database.rows(f"{_SELECT} order by id limit ?", BATCH)
        self.is_due = len(rows) == BATCH
        for row in rows:
            error = self.boundary.attempt(Kind.OUTBOX, row["id"], self._send, row, now)
            if error is None:
                self.journal.batch.add(_DELETE, row["id"])
            else:  # a row that cannot be sent must not block the others
                self._give_up(row, f"outbox {row['kind']}: {described(error)}", now)
        return bool(rows)

    def quarantine(self, number: int, reason: str, now: float) -> None:
        """Replace a row by a dead letter."""
        row = self.journal.database.row(f"{_SELECT} where id = ?", number)
        if row is not None:
            self._give_up(row, reason, now)

    def _give_up(self, row: Any, reason: str, now: float) -> None:
        queue = self.profile.outbox_dead_letters
        self.parts.queues.send(queue, row["body"], {"REASON": reason}, now)
        self.journal.batch.add(_DELETE, row["id"])

    def _send(self, row: Any, now: float) -> None:
        kind, body = row["kind"], json_text.parse(row["body"])
        if kind == "event":
            self.parts.bus.accept(body, now)
        elif kind == "run":
            self._start_run(body, now)
        elif kind == "answer":
            self._answer(body, now)
        else:
            queue = self.parts.stack.name_of("queues", body["queue"])
            self.parts.queues.send(queue, json.dumps(body["body"]), {}, now)

    def _answer(self, body: Mapping[str, Any], now: float) -> None:
        """End the task of a token; if it has ended, start the run that resumes its order."""
        output = body["output"]
        try:
            is_sent = answer(
                self.parts.executions, body["token"], lambda task: TaskSucceeded(task, output), now
            )
        except ValueError:
            is_sent = False  # a token of another directory, which was exported
        if not is_sent and "run" in body:
            self._start_run(body["run"], now)

    def _start_run(self, body: Mapping[str, Any], now: float) -> None:
        """Start a run; one that exists already, or whose order is held, counts as started."""
        name: Any = body["name"]
        if not isinstance(name, str):
            raise TypeError(f"a run's name is text, not {type(name).__name__}")
        try:
            self.parts.executions.start(self.profile.order_machine, name, body["input"], now)
        except TaskError as error:
            if error.error not in (EXISTS, HELD):
                raise TaskError(error.error, f"{error.error}: {error}") from None
