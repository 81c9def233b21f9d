"""Operations on dead letters: each removes a letter in the transaction that stores its replacement.

A letter that is redriven leaves its queue in the turn that stores its successor: a run, a message
or a delivery. It is kept until that has ended; then it is closed, or comes back with the reason.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.dead_letters.edit import event_in, require_contract, with_event
from infra.dead_letters.reading import letters
from infra.dead_letters.reason import ATTENTION
from infra.errors import InvalidRequest, Refusal
from infra.local.engine.attention_queue import INDEX, open_letter
from infra.local.engine.backlog import NEVER
from infra.local.engine.bus import Bus
from infra.local.engine.dead_letter_rows import LetterRows
from infra.local.engine.executions import Executions
from infra.local.engine.queues import Queues
from infra.local.engine.redrive import WaysBack
from infra.local.engine.redrive_outcomes import Successors, Verdict
from kernel.clock import timestamp
from kernel.json_text import parse, write

Answer = dict[str, Any]

LOOK = 0.2
"""Seconds between two looks at the successors of redriven letters."""

MANY = 20_000.0
"""Redriven letters for which a second more is let pass between two looks."""

PLATFORM = "orderflow"
"""The name in a letter's log for steps that no person asked for."""


class Letters:
    """The dead letters of a stack, and those that were taken out of their queues."""

    def __init__(self, bus: Bus, queues: Queues, executions: Executions) -> None:
        self.stack = bus.stack
        self.journal = journal = bus.journal
        self.queues = queues
        self.executions = executions
        self.bus = bus
        self.rows = LetterRows(journal)
        journal.database.define(INDEX)
        self._handled: set[int] = set()
        self._changed = False  # in this turn, so that the journal's count is not yet true
        self._uncounted = False
        self._pending = 0
        self._commits = -1
        self._looked_at = 0.0
        self._count_pending()

    def resume(self, now: float) -> None:
        """Do nothing: redriven letters are read from the journal."""

    def put_aside(self, number: int, reason: str, now: float) -> None:
        """Do nothing: a letter stays in its queue."""

    def _count_pending(self) -> None:
        """Count the redriven letters whose successors had not ended."""
        query = "select count(*) from closed_letters where state = 'PENDING'"
        row = self.journal.database.row(query)
        self._pending = row[0] if row else 0
        self._uncounted = False

    def work(self, now: float) -> bool:
        """Close redriven letters whose successors have ended, or put them back into their queues.

        Return whether there was any.
        """
        if not self._is_due() or 0 <= now - self._looked_at < self._pause:
            return False
        if self._uncounted:
            self._count_pending()
        self._commits = self.journal.commits
        self._looked_at = now
        queues = self.stack.dead_letter_queues
        ended = Successors(self.journal.database, queues, self._machine).ended()
        for row, verdict in ended:
            self._end(row, verdict, now)
        self._changed |= bool(ended)
        return bool(ended)

    def next_due(self) -> float:
        """Return when it is worth looking at the successors again."""
        return self._looked_at + self._pause if self._is_due() else NEVER

    def committed(self) -> None:
        """Let what the turn did with letters count."""
        self._handled.clear()
        self._uncounted |= self._changed
        self._changed = False

    @property
    def _pause(self) -> float:
        """Seconds between two looks."""
        return LOOK + self._pending / MANY

    def _is_due(self) -> bool:
        pending = self._pending > 0 or self._uncounted
        return pending and self._commits != self.journal.commits

    def _end(self, row: Any, verdict: Verdict, now: float) -> None:
        number = row["id"]
        if verdict.run is not None:
            self.rows.followed(number, verdict.run)
            return
        letter = self._same(row) if verdict.back else verdict.letter
        if letter is not None and letter != number:
            what = "REPLACED"
        else:
            what = "RETURNED" if verdict.back or letter == number else "DONE"
        if what == "RETURNED":
            attributes = parse(row["attributes"]) | {"RETURNED": verdict.outcome}
            self.rows.put_back(row, attributes, row["sent_at"], now)
        else:
            self.rows.ended(number, verdict.outcome, now, replaced_by=letter)
        self.rows.log(number, PLATFORM, what, now, outcome=verdict.outcome, left=letter)

    def _same(self, row: Any) -> int | None:
        """Return the open letter of the order and error that a closed letter is about."""
        if row["queue"] != ATTENTION:
            return None
        letter = open_letter(self.journal, row["body"])
        return None if letter is None else int(letter["id"])

    # ---- what an operator asks for

    def redrive(self, ids: Sequence[int], who: str, now: float) -> list[Answer]:
        """Put letters on their way again; all of them, if no id is given.

        Return for each what was done: ``state`` is ``running`` or, with a ``message``, ``refused``.
        A letter that is refused stays and holds up no other.
        """
        found = {letter["id"]: letter for letter in self._open(ids)}
        ways = WaysBack(self.bus, self.queues, self.executions, self._machine)
        ways.prepare(list(found.values()))

        def send(letter: Mapping[str, Any]) -> Answer:
            number, times = letter["id"], self._redrives(letter["id"]) + 1
            if self.executions.quarantine is not None:
                self.executions.quarantine.release(letter["order_id"])
            successor = ways.take(letter, times, now)
            self.rows.redriven(number, *successor, now)
            self.rows.log(number, who, "REDRIVEN", now, successor=f"{successor[0]} {successor[1]}")
            self._changed = True
            return {"state": "running", "message": f"redriven as {successor[0]} {successor[1]}"}

        return [self._answered(found.get(one), one, send) for one in dict.fromkeys(ids or found)]

    def discard(self, ids: Sequence[int], reason: str, who: str, now: float) -> list[Answer]:
        """Take letters out of their queues for good; they are kept for 14 days."""
        found = {letter["id"]: letter for letter in self._open(ids)}

        def drop(letter: Mapping[str, Any]) -> Answer:
            self.rows.discarded(letter["id"], reason, now)
            self.rows.log(letter["id"], who, "DISCARDED", now, reason=reason)
            return {"state": "discarded", "message": reason}

        return [self._answered(found.get(one), one, drop) for one in dict.fromkeys(ids)]

    def restore(self, ids: Sequence[int], who: str, now: float) -> list[Answer]:
        """Put discarded and expired letters back into their queues, under their own ids."""
        rows = self.journal.database.rows(
            "select * from closed_letters where id in (select value from json_each(?))"
            " and state in ('DISCARDED', 'EXPIRED')",
            json.dumps(list(ids)),
        )
        found = {row["id"]: {"id": row["id"], "queue": row["queue"], "row": row} for row in rows}

        def put_back(letter: Mapping[str, Any]) -> Answer:
            row, attributes = letter["row"], parse(letter["row"]["attributes"])
            attributes.setdefault("SINCE", timestamp(row["sent_at"]))
            self.rows.put_back(row, attributes, now, now)
            self.rows.log(row["id"], who, "RESTORED", now)
            return {"state": "restored", "message": f"back in {row['queue']}"}

        return [self._answered(found.get(one), one, put_back) for one in dict.fromkeys(ids)]

    def edit(self, number: int, event: Any, who: str, now: float) -> Answer:
        """Give a letter another event; what it was stays in its log."""
        found = {letter["id"]: letter for letter in self._open([number])}

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

        return self._answered(found.get(number), number, change)

    def expire(self, now: float) -> None:
        """Drop messages that are older than their queue keeps them, each into another place.

        A message goes to its queue's dead letters, a dead letter to the closed ones.
        """
        late = [(queue, now - queue.retention) for queue in self.stack.queues.values()]
        for queue, before in late:
            if queue.dead_letters:
                self._move(queue.name, queue.dead_letters, before, now)
            elif queue.name in self.stack.dead_letter_queues:
                self.rows.expired(queue.name, before, now)
        for (
            queue,
            before,
        ) in late:  # after all of the above: equal statements of a batch run together
            self.journal.batch.add(
                "delete from messages where queue = ? and sent_at < ?", queue.name, before
            )
        self.rows.forget(now)

    def _move(self, queue: str, goal: str, before: float, now: float) -> None:
        self.journal.batch.add(
            "update messages set queue = ?, sent_at = ?, visible_at = ?, attributes ="
            " json_set(attributes, '$.SOURCE_QUEUE', ?, '$.REASON', ?)"
            " where queue = ? and sent_at < ?",
            goal,
            now,
            now,
            queue,
            "its queue kept it no longer, and nothing had handled it",
            queue,
            before,
        )

    # ---- common

    @property
    def _machine(self) -> str:
        """The state machine that `Order Created` starts."""
        targets = [target for rule in self.stack.rules for target in rule.targets]
        return next((target.name for target in targets if target.kind == "machine"), "")

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
        """Do something with a letter; a refusal leaves nothing of it and concerns it alone."""
        known = letter or {}
        about = {"id": number, "queue": known.get("queue"), "order_id": known.get("order_id")}
        if letter is None or number in self._handled:
            return about | {"state": "refused", "message": self._why_not(number)}
        mark = len(self.journal.batch.added)
        try:
            answer = act(letter)
        except InvalidRequest as error:
            self.journal.batch.rewind(mark)
            return about | {"state": "refused", "message": str(error)}
        self._handled.add(number)
        self.journal.batch.durable = True
        return about | answer

    def _why_not(self, number: int) -> str:
        """Say why a letter is not open."""
        if number in self._handled:
            return f"dead letter {number} was just handled by another request"
        row = self.journal.database.row(
            "select state, outcome from closed_letters where id = ?", number
        )
        if row is None:
            return f"there is no dead letter {number}; see `orders dead-letters list`"
        told = {
            "PENDING": "is redriven already, and its successor has not ended",
            "DISCARDED": f"is discarded; `orders dead-letters undo {number}` puts it back",
            "EXPIRED": f"has expired; `orders dead-letters undo {number}` puts it back",
        }.get(row["state"], f"is closed: {row['outcome']}")
        return f"dead letter {number} {told}"
