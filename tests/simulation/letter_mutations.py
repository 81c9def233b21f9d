"""Mutations of the operations on dead letters, of their jobs and of replays."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from infra.dead_letters.edit import require_contract, with_event
from infra.local.engine import dead_letters, letter_jobs
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.dead_letter_rows import DeadLetterRows
from infra.local.engine.dead_letters import Answer, DeadLetters
from infra.local.engine.letter_jobs import LetterJobs
from infra.local.engine.paced_jobs import PAUSED, RUNNING, PacedJob, PacedJobs
from infra.local.engine.redrive import Redrive, Successor
from infra.local.engine.replays import Replays

Mutate = Callable[[pytest.MonkeyPatch], None]


def edit_copied(patch: pytest.MonkeyPatch) -> None:
    """Put an edited event into a new dead letter, and leave the original open."""
    edit = DeadLetters.edit

    def edit_a_copy(self: DeadLetters, number: int, event: Any, who: str, now: float) -> Answer:
        answer = edit(self, number, event, who, now)
        if answer["state"] == "edited":
            [letter] = self._open([number])
            text = json.dumps(with_event(letter, event))
            self.parts.queues.put(letter["queue"], text, {}, now)
        return answer

    patch.setattr(dead_letters, "with_event", lambda letter, _: letter["body"])
    patch.setattr(DeadLetters, "edit", edit_a_copy)


def contract_unchecked(patch: pytest.MonkeyPatch) -> None:
    """Take an edited event that breaks its contract."""

    def check_the_type(event: object) -> Mapping[str, Any]:
        return event if isinstance(event, Mapping) else require_contract(event)

    patch.setattr(dead_letters, "require_contract", check_the_type)


def discard_unrecorded(patch: pytest.MonkeyPatch) -> None:
    """Discard a dead letter without an entry in its log."""
    log = DeadLetterRows.log

    def log_others(
        self: DeadLetterRows, letter: int, who: str, what: str, now: float, **detail: object
    ) -> None:
        if what != "DISCARDED":
            log(self, letter, who, what, now, **detail)

    patch.setattr(DeadLetterRows, "log", log_others)


def second_operator_obeyed(patch: pytest.MonkeyPatch) -> None:
    """Let two requests of one turn handle the same dead letter."""
    answered = DeadLetters._answered  # noqa: SLF001 - mutated

    def answer_each(self: DeadLetters, *arguments: Any) -> Answer:
        self._handled.clear()
        return answered(self, *arguments)

    patch.setattr(DeadLetters, "_answered", answer_each)


def redriven_restored(patch: pytest.MonkeyPatch) -> None:
    """Put a redriven dead letter back although its successor has not ended."""
    restore = DeadLetters.restore

    def restore_all(
        self: DeadLetters, ids: Sequence[int], who: str, now: float, **how: int | None
    ) -> list[Answer]:
        pending = "select * from closed_letters where state = 'PENDING'"
        chosen = [row for row in self.journal.database.rows(pending) if row["id"] in ids]
        for row in chosen:
            self.rows.put_back(row, json.loads(row["attributes"]), now, now)
            self.rows.log(row["id"], who, "RESTORED", now)
        back = {row["id"] for row in chosen}
        others = restore(self, [each for each in ids if each not in back], who, now, **how)
        return others + [{"id": each, "state": "restored", "message": "back"} for each in back]

    patch.setattr(DeadLetters, "restore", restore_all)


def successor_lost(patch: pytest.MonkeyPatch) -> None:
    """Close a redriven dead letter without the message that takes its place."""

    def send(self: Redrive, *_: Any) -> Successor:
        return Successor("message", str(self.queues.journal.next_id("messages")))

    patch.setattr(Redrive, "_send_message", send)


def edit_not_redriven(patch: pytest.MonkeyPatch) -> None:
    """Redrive the event that a dead letter had before its edit."""
    send = Redrive.send

    def send_the_first(self: Redrive, letter: Any, number: int, now: float) -> Successor:
        edits = "select detail from letter_log where letter = ? and what = 'EDITED' order by id"
        row = self.bus.journal.database.row(edits, letter["id"])
        body = letter["body"]
        if row is not None and isinstance(body, dict) and "consumer" in body:
            letter = {**letter, "body": {**body, "event": json.loads(row[0])["before"]}}
        return send(self, letter, number, now)

    patch.setattr(Redrive, "send", send_the_first)


def job_begins_anew(patch: pytest.MonkeyPatch) -> None:
    """Begin a job at its first dead letter after a crash."""
    _begin_anew(patch, LetterJobs)


def replay_begins_anew(patch: pytest.MonkeyPatch) -> None:
    """Begin a replay at its first event after a crash."""
    _begin_anew(patch, Replays)


def _begin_anew(patch: pytest.MonkeyPatch, kind: Any) -> None:
    resume = kind.resume

    def resume_anew(self: Any, suspects: Suspects, now: float) -> None:
        resume(self, suspects, now)
        for job in self.active.values():
            job.position = 0

    patch.setattr(kind, "resume", resume_anew)


def job_undone_twice(patch: pytest.MonkeyPatch) -> None:
    """Undo a job that was undone already."""
    members = "select letter from letter_job_members where job = ? and letter <= ? and ? > 0"
    patch.setattr(letter_jobs, "UNDONE_BY", "select id from letter_jobs where undoes = ? and 0")
    patch.setattr(letter_jobs, "_DISCARDED_BY", f"{members} and problem is null order by letter")


def other_discard_undone(patch: pytest.MonkeyPatch) -> None:
    """Let the undo of a job restore what somebody has discarded since."""
    patch.setattr(DeadLetterRows, "require_discarded_by", lambda *_: None)


def cancelled_job_continues(patch: pytest.MonkeyPatch) -> None:
    """Continue a job or replay whose cancellation was acknowledged."""
    cancel = PacedJobs.cancel

    def cancel_in_word(self: Any, key: Any, now: float) -> str:
        job = self.active.get(key)
        state = cancel(self, key, now)
        job.state, self.active[key] = RUNNING, job
        return state

    patch.setattr(PacedJobs, "cancel", cancel_in_word)


def pause_overlooked(patch: pytest.MonkeyPatch) -> None:
    """Handle the items of paused jobs and replays."""

    def due(self: Any, now: float) -> list[Any]:
        states = (RUNNING, PAUSED)
        return [each for each in self.active.values() if each.state in states]

    patch.setattr(PacedJobs, "due", due)


def pace_ignored(patch: pytest.MonkeyPatch) -> None:
    """Handle as many dead letters of a job as a turn allows, whatever its pace."""
    patch.setattr(PacedJob, "room", lambda self, most, now: most)


def quarantine_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Forget at the next start which replayed events ended the process twice."""
    resume = Replays.resume

    def resume_forgetful(self: Replays, suspects: Suspects, now: float) -> None:
        suspects.quarantined = {item.first for item in suspects.to_quarantine}
        resume(self, suspects, now)

    patch.setattr(Replays, "resume", resume_forgetful)


MUTATIONS: Mapping[str, tuple[int, Mutate]] = {
    "edit copied": (20, edit_copied),
    "contract unchecked": (20, contract_unchecked),
    "discard unrecorded": (20, discard_unrecorded),
    "second operator obeyed": (20, second_operator_obeyed),
    "redriven restored": (20, redriven_restored),
    "successor lost": (20, successor_lost),
    "edit not redriven": (50, edit_not_redriven),
    "job begins anew": (20, job_begins_anew),
    "replay begins anew": (100, replay_begins_anew),
    "job undone twice": (100, job_undone_twice),
    "other discard undone": (150, other_discard_undone),
    "cancelled job continues": (20, cancelled_job_continues),
    "pause overlooked": (20, pause_overlooked),
    "pace ignored": (50, pace_ignored),
    "quarantine forgotten": (300, quarantine_forgotten),
}
"""Each mutation with the number of seeds, counted from 1, within which it is detected."""
