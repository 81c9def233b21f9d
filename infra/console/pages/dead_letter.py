"""One dead letter: its reason, history and body; edit with a check and a diff, and its actions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from infra.console.page import BadFilter, Redirect, View, Visit, link
from infra.console.pages.reveal import shown
from infra.console.pages.session import own_address
from infra.dead_letters.edit import NothingToEdit, event_in
from infra.errors import NotFound
from infra.views.contract_catalogue import Validation, validate
from infra.views.dead_letter import DeadLetter, HistoryEntry
from infra.views.exact_json import Change, changes, indented, read_exact, write_exact
from infra.views.foreseen_redrive import NO_WAY_BACK, destination_of
from infra.views.local_dead_letters import find_dead_letter
from infra.views.order_story import StoryDeadLetter
from infra.views.personal import is_personal, masked, masked_change, masked_text
from infra.views.rule_verdicts import matching_rules
from kernel.json_text import InvalidJSON, read, write
from storage.sqlite.database import Database

LARGEST = (1 << 63) - 1
MAX_PROBLEMS = 20

MAX_BATCH = 1_000
"""Dead letters that one action takes."""

CHUNK = 100
"""Dead letters of one turn of the engine; orders continue between two turns."""


def number_of(text: str) -> int:
    """Return the number of a dead letter, or raise `BadFilter`."""
    plain = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST))
    if not plain or not 0 < int(text) <= LARGEST:
        raise BadFilter(f"{text[:60]!r} is no number of a dead letter; choose one in the list")
    return int(text)


def numbers_of(text: str, most: int = MAX_BATCH) -> list[int]:
    """Return the numbers of dead letters in a form, each once, or raise `BadFilter`."""
    words = text.replace(",", " ").split()
    if len(words) > most:
        raise BadFilter(f"ids: name at most {most:,} dead letters in one action")
    return list(dict.fromkeys(map(number_of, words)))


async def operate(
    visit: Visit, name: str, ids: Sequence[int | str], **fields: Any
) -> list[Mapping[str, Any]]:
    """Run an operation on dead letters, `CHUNK` in one turn; return the answer for each."""
    answers: list[Mapping[str, Any]] = []
    for first in range(0, len(ids), CHUNK):
        request = {"ids": list(ids[first : first + CHUNK]), "who": visit.visitor.name, **fields}
        answers += (await visit.source.operate(name, request))["letters"]
    return answers


def tone_of(answers: Sequence[Mapping[str, Any]]) -> str:
    """Return the tone of a notice: bad if a dead letter is unchanged or came back."""
    return "bad" if any(answer["state"] in ("refused", "back") for answer in answers) else "good"


def show(visit: Visit, database: Database) -> View:
    """Show a dead letter, open or closed."""
    letter = _find(visit, database)
    reveal = shown(visit, f"dead letter {letter.id}", f"orders dead-letters show {letter.id}")
    text = _body_text(database, letter)
    masks = not reveal["revealed"]
    names = {
        **reveal,
        "letter": letter,
        "text": masked_text(text) if masks else indented(text),
        "attributes": masked(letter.attributes) if masks else letter.attributes,
        "destination": _destination(visit, letter),
        "no_way_back": NO_WAY_BACK,
        "can_edit": letter.closing is None and _event_text(database, letter) is not None,
        "history": [
            (entry, [masked_change(each) if masks else each for each in changes_of_edit(entry)])
            for entry in reversed(letter.history or ())
        ],
    }
    return View("dead_letters/letter.html", f"Dead letter {letter.id}", names)


async def edit(visit: Visit) -> View:
    """Show the event of a dead letter in an editor, unmasked: with personal data, recorded."""
    if not visit.visitor.may_operate:
        raise BadFilter("editing needs the scope orders/operate")

    def read_text() -> tuple[DeadLetter, str]:
        with closing(visit.source.directory.reader()) as database:
            return _editable(visit, database)

    letter, text = await asyncio.to_thread(read_text)
    if is_personal(_value(text)):
        request = {"subject": f"dead letter {letter.id}", "reason": "to edit its event"}
        await visit.source.operate("Orderflow.RevealData", {**request, "who": visit.visitor.name})
    return editor(letter, text, text, None)


async def check(visit: Visit, form: Mapping[str, str]) -> View:
    """Show the differences of an edited event, its problems, and the rules that would match."""
    letter, original, checked = await _read(visit, form)
    return editor(letter, original, form.get("event", ""), checked)


async def save(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    """Save an edited event, and redrive it if the button says so."""
    letter, original, checked = await _read(visit, form)
    if checked.problems:
        return editor(letter, original, form.get("event", ""), checked)
    number, who = number_of(visit.path["id"]), visit.visitor.name
    request = {"id": number, "event": read(form.get("event", "")), "who": who}
    [answer] = (await visit.source.operate("Orderflow.EditDeadLetter", request))["letters"]
    here = link(f"/dead-letters/{number}")
    if answer["state"] == "refused" or form.get("then") != "redrive":
        return Redirect(here, sentence(answer), tone_of([answer]))
    return await redrive(visit, form)


Act = Callable[..., Awaitable[Redirect]]
"""Run an operation, with its fields, on the dead letter of a form."""


async def _act(visit: Visit, name: str, **fields: Any) -> Redirect:
    number = number_of(visit.path["id"])
    [answer] = await operate(visit, name, [number], **fields)
    return Redirect(link(f"/dead-letters/{number}"), sentence(answer), tone_of([answer]))


async def redrive(visit: Visit, form: Mapping[str, str], act: Act = _act) -> Redirect:
    """Send a dead letter back to the place where it failed; return to the page that asks."""
    done = await act(visit, "Orderflow.RedriveDeadLetters")
    return replace(done, to=own_address(form["to"])) if form.get("to") else done


async def discard(visit: Visit, form: Mapping[str, str], act: Act = _act) -> Redirect:
    """Remove a dead letter from its queue; it can be put back for 14 days."""
    reason = form.get("reason", "").strip()
    if not reason:
        raise BadFilter("reason: is missing; say why this dead letter needs no action")
    return await act(visit, "Orderflow.DiscardDeadLetters", reason=reason)


async def undo(
    visit: Visit,
    form: Mapping[str, str],
    ids_of: Callable[[str], Sequence[int | str]] = numbers_of,
) -> Redirect:
    """Put discarded or expired dead letters back: this one, or those that the form names."""
    ids = ids_of(form.get("ids", visit.path["id"]))
    if not ids:
        raise BadFilter("ids: is missing; name the dead letters that are put back")
    answers = await operate(visit, "Orderflow.RestoreDeadLetters", ids)
    refused = [answer for answer in answers if answer["state"] == "refused"]
    if len(answers) == 1:
        return Redirect(link(f"/dead-letters/{ids[0]}"), sentence(answers[0]), tone_of(answers))
    text = f"{len(answers) - len(refused):,} of {len(answers):,} dead letters were put back."
    if refused:
        text += f" Refused: {refused[0]['id']}: {refused[0]['message']}"
    return Redirect(link("/dead-letters"), text, tone_of(answers))


def sentence(answer: Mapping[str, Any]) -> str:
    """Return the answer for a dead letter in words."""
    return f"Dead letter {answer['id']} {_STATES[answer['state']]}: {answer['message']}"


_STATES = {
    "running": "is redriven",
    "sent": "is redriven",
    "done": "is redriven",
    "back": "came back",
    "refused": "is unchanged",
    "discarded": "is discarded",
    "restored": "is put back",
    "edited": "is edited",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """The check of an edited event."""

    problems: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]
    rules: tuple[str, ...]
    order_id: str


def checked_event(visit: Visit, original: str, form: Mapping[str, str]) -> Checked:
    """Return the check of an edited event."""
    text = form.get("event", "")
    found: Validation = validate(text)
    try:
        differences = changes(_value(original), read_exact(text))
    except InvalidJSON:
        differences = []
    content = found.content or {}
    detail = content.get("detail")
    order_id = detail.get("order_id") if isinstance(detail, dict) else None
    return Checked(
        tuple((each.field, each.problem) for each in found.problems[:MAX_PROBLEMS]),
        tuple(differences),
        matching_rules(visit.source.stack.rules, content) if not found.problems else (),
        order_id if isinstance(order_id, str) else "",
    )


def _value(text: str) -> Any:
    try:
        return read_exact(text)
    except InvalidJSON:
        return text


def editor(letter: DeadLetter, original: str, text: str, checked: Checked | None) -> View:
    """Return the editor of a dead letter's event, with its check if it was checked."""
    names = {
        "letter": letter,
        "original": indented(original),
        "text": indented(text) if checked is None else text,
        "checked": checked,
    }
    status = 200 if checked is None or not checked.problems else 422
    return View("dead_letters/edit.html", f"Edit dead letter {letter.id}", names, status)


def _find(visit: Visit, database: Database) -> DeadLetter:
    number = number_of(visit.path["id"])
    letter = find_dead_letter(database, visit.source.stack.dead_letter_queues, number)
    if letter is None:
        raise NotFound(
            f"there is no dead letter {number}: it may have been closed more than 14 days ago;"
            " see the list of dead letters"
        )
    return letter


async def _read(visit: Visit, form: Mapping[str, str]) -> tuple[DeadLetter, str, Checked]:
    """Return an open dead letter, the text of its event, and the check of the edited one."""

    def read_and_check() -> tuple[DeadLetter, str, Checked]:
        with closing(visit.source.directory.reader()) as database:
            letter, original = _editable(visit, database)
        return letter, original, checked_event(visit, original, form)

    return await asyncio.to_thread(read_and_check)


def _editable(visit: Visit, database: Database) -> tuple[DeadLetter, str]:
    letter = _find(visit, database)
    text = _event_text(database, letter)
    if letter.closing is not None or text is None:
        raise BadFilter(
            f"dead letter {letter.id} has no event to edit: it is closed, or is about an order;"
            " redrive it after its cause is fixed, or discard it"
        )
    return letter, text


def _body_text(database: Database, letter: DeadLetter) -> str:
    """Return the body of a dead letter as it was sent."""
    row = database.row("select body from messages where id = ?", letter.id)
    row = row or database.row("select body from closed_letters where id = ?", letter.id)
    return str(row["body"]) if row else ""


def _event_text(database: Database, letter: DeadLetter) -> str | None:
    """Return the text of the event in a dead letter, its numbers as they were sent."""
    try:
        event = event_in({"id": letter.id, "queue": letter.queue, "body": letter.body})
    except NothingToEdit:
        return None
    text = _body_text(database, letter)
    body = letter.body
    if isinstance(event, str):
        return event
    if not (isinstance(body, dict) and "consumer" in body):
        return text
    try:
        return write_exact(read_exact(text)["event"])
    except (InvalidJSON, KeyError, TypeError):
        return write(event).decode()


def editable(
    visit: Visit, database: Database, letters: Sequence[StoryDeadLetter]
) -> tuple[int | str, ...]:
    """Return the numbers of those open dead letters whose event can be edited."""
    queues = visit.source.stack.dead_letter_queues
    found = (find_dead_letter(database, queues, each.id) for each in letters)
    return tuple(each.id for each in found if each and _event_text(database, each) is not None)


def _destination(visit: Visit, letter: DeadLetter) -> str:
    fields = {"queue": letter.queue, "attributes": letter.attributes, "body": letter.body}
    return destination_of(visit.source.stack, fields)


def changes_of_edit(entry: HistoryEntry) -> list[Change]:
    """Return the changes of an edit in the history of a dead letter."""
    if "before" not in entry.detail:
        return []
    before, after = (_value(write(entry.detail.get(name)).decode()) for name in ("before", "after"))
    return changes(before, after)
