"""Operations on dead letters: redrive, discard, restore, edit, expiry, and the automatic end.

A redrive closes the dead letter in the turn that stores its successor: a run, a message or a
delivery. The closed dead letter is pending until its successor has ended; then it is done, or
reopened with the reason.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.dead_letters.edit import event_in, require_contract, with_event
from infra.dead_letters.reading import PLATFORM, letters
from infra.errors import InvalidRequest, Refusal
from infra.local.engine.attention_queue import INDEX, open_letter
from infra.local.engine.backlog import NEVER
from infra.local.engine.component import Component
from infra.local.engine.dead_letter_rows import DeadLetterRows
from infra.local.engine.engine_parts import EngineParts
from infra.local.engine.redrive import Redrive
from infra.local.engine.redrive_outcomes import Outcome, RedriveOutcomes
from infra.local.engine.settled_letters import SettledLetters
from infra.local.orderflow import ATTENTION_QUEUE, Profile
from kernel.clock import timestamp
from kernel.json_text import parse, write

Answer = dict[str, Any]

POLL_INTERVAL = 0.2
"""Seconds between two polls of the successors of redriven dead letters."""

PENDING_PER_SECOND = 20_000.0
"""Pending dead letters that make the interval between two polls one second longer."""


class DeadLetters(Component):
    """The open and closed dead letters of a stack."""

    def __init__(self, parts: EngineParts, profile: Profile) -> None:
        self.stack = parts.stack
        self.journal = journal = parts.bus.journal
        self.parts = parts
        self.profile = profile
        self.rows = DeadLetterRows(journal)
        journal.database.define(INDEX)
        self._handled: set[int] = set()
        self._changed = False  # in this turn; its rows are counted after the commit
        self._uncounted = False
        self._pending = 0
        self._commits = -1
        self._polled_at = 0.0
        machine, targets = profile.order_machine, parts.bus.targets.values()
        keys = [target.key for target in targets if target.name == machine]
        queues = self.stack.dead_letter_queues
        self._settled = SettledLetters(journal.database, queues, profile.order_consumer, keys)
        self._count_pending()

    def _count_pending(self) -> None:
        """Count the redriven dead letters whose successors have not ended."""
        query = "select count(*) from closed_letters where state = 'PENDING'"
        row = self.journal.database.row(query)
        self._pending = row[0] if row else 0
        self._uncounted = False

    def work(self, now: float) -> bool:
        """Record the outcomes of ended successors, and close the letters of ended orders.

        Return whether there was any.
        """
        closed = self._close_settled(now)
        return self._poll(now) or closed

    def _close_settled(self, now: float) -> bool:
        """Close dead letters whose order has ended since; return whether there was any."""
        closed = False
        for letter, order_id, outcome in self._settled.find(now):
            if letter not in self._handled:
                self.rows.settled(letter, outcome, now)
                self.rows.log(letter, PLATFORM, "CLOSED", now, outcome=outcome)
                self.parts.executions.quarantined_orders.release(order_id)
                closed = True
        return closed

    def _poll(self, now: float) -> bool:
        """Record the outcomes of ended successors; return whether there was any."""
        if not self._is_due() or 0 <= now - self._polled_at < self._interval:
            return False
        if self._uncounted:
            self._count_pending()
        self._commits = self.journal.commits
        self._polled_at = now
        queues, machine = self.stack.dead_letter_queues, self.profile.order_machine
        ended = RedriveOutcomes(self.journal.database, queues, machine).ended()
        for row, outcome in ended:
            self._end(row, outcome, now)
        self._changed |= bool(ended)
        return bool(ended)

    def next_due(self) -> float:
        """Return when the successors are polled next."""
        return self._polled_at + self._interval if self._is_due() else NEVER

    def committed(self) -> None:
        """Allow further operations on the turn's dead letters, and a new count."""
        self._handled.clear()
        self._uncounted |= self._changed
        self._changed = False

    @property
    def _interval(self) -> float:
        """Seconds between two polls."""
        return POLL_INTERVAL + self._pending / PENDING_PER_SECOND

    def _is_due(self) -> bool:
        pending = self._pending > 0 or self._uncounted
        return pending and self._commits != self.journal.commits

    def _end(self, row: Any, outcome: Outcome, now: float) -> None:
        number = row["id"]
        if outcome.run is not None:
            self.rows.followed(number, outcome.run)
            return
        letter = self._open_duplicate(row) if outcome.reopen else outcome.letter
        if letter is not None and letter != number:
            step = "REPLACED"
        else:
            step = "RETURNED" if outcome.reopen or letter == number else "DONE"
        if step == "RETURNED":
            attributes = parse(row["attributes"]) | {"RETURNED": outcome.text}
            self.rows.put_back(row, attributes, row["sent_at"], now)
        else:
            self.rows.ended(number, outcome.text, now, replaced_by=letter)
        self.rows.log(number, PLATFORM, step, now, outcome=outcome.text, left=letter)

    def _open_duplicate(self, row: Any) -> int | None:
        """Return the open dead letter of the order and error of a closed one, if there is one."""
        if row["queue"] != ATTENTION_QUEUE:
            return None
        letter = open_letter(self.journal, row["body"])
        return None if letter is None else int(letter["id"])

    # ---- operations of an operator

    def prepared(self, ids: Sequence[int]) -> Redrive:
        """Return a redrive that knows the events of these dead letters; of all, without ids."""
        redrive = Redrive(self.parts, self.profile)
        redrive.prepare(self._open(ids))
        return redrive

    def redrive(
        self,
        ids: Sequence[int],
        who: str,
        now: float,
        *,
        job: int | None = None,
        prepared: Redrive | None = None,
    ) -> list[Answer]:
        """Redrive dead letters; all of them, if no id is given.

        Return an answer for each: ``state`` is ``running`` or, with a ``message``, ``refused``. A
        refused dead letter stays open and does not affect the others. ``job`` is the number of the
        job that asks (`infra.local.engine.letter_jobs`).
        """
        letters_by_id = {letter["id"]: letter for letter in self._open(ids)}
        redrive = prepared or self.prepared(ids)

        def send(letter: Mapping[str, Any]) -> Answer:
            number, times = letter["id"], self._redrives(letter["id"]) + 1
            self.parts.executions.quarantined_orders.release(letter["order_id"])
            successor = redrive.send(letter, times, now)
            self.rows.redriven(number, *successor, now)
            detail = {"successor": f"{successor[0]} {successor[1]}", **_of_job(job)}
            self.rows.log(number, who, "REDRIVEN", now, **detail)
            self._changed = True
            return {"state": "running", "message": f"redriven as {successor[0]} {successor[1]}"}

        numbers = dict.fromkeys(ids or letters_by_id)
        return [self._answered(letters_by_id.get(number), number, send) for number in numbers]

    def discard(
        self, ids: Sequence[int], reason: str, who: str, now: float, *, job: int | None = None
    ) -> list[Answer]:
        """Discard dead letters; `restore` can reopen them for 14 days."""
        letters_by_id = {letter["id"]: letter for letter in self._open(ids)}

        def drop(letter: Mapping[str, Any]) -> Answer:
            self.rows.discarded(letter["id"], reason, now)
            self.rows.log(letter["id"], who, "DISCARDED", now, reason=reason, **_of_job(job))
            return {"state": "discarded", "message": reason}

        numbers = dict.fromkeys(ids)
        return [self._answered(letters_by_id.get(number), number, drop) for number in numbers]

    def restore(
        self,
        ids: Sequence[int],
        who: str,
        now: float,
        *,
        job: int | None = None,
        undoes: int | None = None,
    ) -> list[Answer]:
        """Reopen discarded and expired dead letters under their own ids.

        With ``undoes``, only those that this job was the last to discard.
        """
        rows = self.journal.database.rows(
            "select * from closed_letters where id in (select value from json_each(?))"
            " and state in ('DISCARDED', 'EXPIRED')",
            json.dumps(list(ids)),
        )
        letters_by_id = {
            row["id"]: {"id": row["id"], "queue": row["queue"], "row": row} for row in rows
        }

        def put_back(letter: Mapping[str, Any]) -> Answer:
            row, attributes = letter["row"], parse(letter["row"]["attributes"])
            if undoes is not None:
                self.rows.require_discarded_by(row["id"], undoes)
            attributes.setdefault("SINCE", timestamp(row["sent_at"]))
            self.rows.put_back(row, attributes, now, now)
            self.rows.log(row["id"], who, "RESTORED", now, **_of_job(job))
            return {"state": "restored", "message": f"back in {row['queue']}"}

        numbers = dict.fromkeys(ids)
        return [self._answered(letters_by_id.get(number), number, put_back) for number in numbers]

    def edit(self, number: int, event: Any, who: str, now: float) -> Answer:
        """Replace the event of a dead letter; the log keeps the old event."""
        letters_by_id = {letter["id"]: letter for letter in self._open([number])}

        def change(letter: Mapping[str, Any]) -> Answer:
            try:
                before, body = event_in(letter), with_event(letter, require_contract(event))
            except Refusal as error:
                raise InvalidRequest("ValidationException", str(error)) from None
            self.journal.batch.add(
                "update messages set body = ?,"
                " attributes = json_remove(json_set(attributes, '$.EDITED', ?), '$.RETURNED')"
                " where id = ?",
                write(body).decode(),
                timestamp(now),
                number,
            )
            self.rows.log(number, who, "EDITED", now, before=before, after=event)
            return {"state": "edited", "message": "its event is changed, and keeps its contract"}

        return self._answered(letters_by_id.get(number), number, change)

    def expire(self, now: float) -> None:
        """Remove messages past the retention of their queue.

        A message goes to its queue's dead-letter queue; a dead letter is closed.
        """
        limits = [(queue, now - queue.retention) for queue in self.stack.queues.values()]
        for queue, before in limits:
            if queue.dead_letters:
                self._move(queue.name, queue.dead_letters, before, now)
            elif queue.name in self.stack.dead_letter_queues:
                self.rows.expired(queue.name, before, now)
        for queue, before in limits:  # last: a batch runs equal statements together
            self.journal.batch.add(
                "delete from messages where queue = ? and sent_at < ?", queue.name, before
            )
        self.rows.forget(now)

    def _move(self, queue: str, destination: str, before: float, now: float) -> None:
        self.journal.batch.add(
            "update messages set queue = ?, sent_at = ?, visible_at = ?, attributes ="
            " json_set(attributes, '$.SOURCE_QUEUE', ?, '$.REASON', ?)"
            " where queue = ? and sent_at < ?",
            destination,
            now,
            now,
            queue,
            "its retention in the queue expired before it was handled",
            queue,
            before,
        )

    # ---- common

    def _open(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        return letters(self.journal.database, self.stack.dead_letter_queues, ids)

    def _redrives(self, letter: int) -> int:
        query = "select count(*) from letter_log where letter = ? and what = 'REDRIVEN'"
        row = self.journal.database.row(query, letter)
        return row[0] if row else 0

    def _answered(
        self,
        letter: Mapping[str, Any] | None,
        number: int,
        act: Callable[[Mapping[str, Any]], Answer],
    ) -> Answer:
        """Perform an operation on a dead letter; a refusal rolls back this operation alone."""
        fields = letter or {}
        about = {"id": number, "queue": fields.get("queue"), "order_id": fields.get("order_id")}
        if letter is None or number in self._handled:
            return about | {"state": "refused", "message": self._closed_because(number)}
        undo = self.parts.executions.boundary.undo
        mark, done = len(self.journal.batch.added), len(undo)
        try:
            answer = act(letter)
        except InvalidRequest as error:
            self.journal.batch.rewind(mark)
            while len(undo) > done:
                undo.pop()()
            return about | {"state": "refused", "message": str(error)}
        self._handled.add(number)
        self.journal.batch.durable = True
        return about | answer

    def _closed_because(self, number: int) -> str:
        """Return why a dead letter is not open."""
        if number in self._handled:
            return f"dead letter {number} was just handled by another request"
        row = self.journal.database.row(
            "select state, outcome from closed_letters where id = ?", number
        )
        if row is None:
            return f"there is no dead letter {number}; see `orders dead-letters list`"
        reason = {
            "PENDING": "is redriven already, and its successor has not ended",
            "DISCARDED": f"is discarded; `orders dead-letters undo {number}` puts it back",
            "EXPIRED": f"has expired; `orders dead-letters undo {number}` puts it back",
        }.get(row["state"], f"is closed: {row['outcome']}")
        return f"dead letter {number} {reason}"


def _of_job(job: int | None) -> dict[str, int]:
    """Return the field of a log entry that names the job: the job itself is recorded once."""
    return {} if job is None else {"job": job}
