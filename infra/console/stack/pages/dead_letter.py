"""One dead letter of a stack: from the last look, or from the records of closed ones."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from infra.console.page import BadFilter, Redirect, View, Visit, link
from infra.console.pages import dead_letter as shared
from infra.console.pages.dead_letter import (
    changes_of_edit,
    checked_event,
    editor,
    operate,
    sentence,
    tone_of,
)
from infra.console.stack.sample import Look
from infra.console.stack.source import StackSource, limits_of
from infra.dead_letters.edit import NothingToEdit, event_in
from infra.deployed.dead_letter_records import closed_dead_letter
from infra.errors import NotFound
from infra.views.dead_letter import DeadLetter
from infra.views.foreseen_redrive import NO_WAY_BACK
from infra.views.personal import masked, masked_change, masked_text
from kernel.json_text import read, write
from kernel.timestamps import moment

_ID = re.compile(r"[0-9A-Za-z-]{1,100}")
AGAIN = "look at the queues again: SQS shows a sample, and an edited dead letter is a new message"


def ids_of(text: str, most: int) -> list[str]:
    """Return the ids of dead letters in a form, each once, or raise `BadFilter`."""
    words = list(dict.fromkeys(text.replace(",", " ").split()))
    if len(words) > most:
        raise BadFilter(f"ids: name at most {most:,} dead letters in one action")
    return [id_of(word) for word in words]


def id_of(text: str) -> str:
    """Return the id of a dead letter, or raise `BadFilter`."""
    if not _ID.fullmatch(text):
        raise BadFilter(f"{text[:60]!r} is no id of a dead letter; choose one in the list")
    return text


def show(visit: Visit, source: StackSource) -> View:
    """Show a dead letter, open or closed."""
    letter = find(visit, source)
    names = {
        "letter": letter,
        "revealed": False,
        "text": masked_text(_text(letter.body)),
        "attributes": masked(letter.attributes),
        "destination": destination_of(source, letter),
        "no_way_back": NO_WAY_BACK,
        "can_edit": letter.closing is None and _event(letter) is not None,
        "history": [
            (entry, [masked_change(each) for each in changes_of_edit(entry)])
            for entry in reversed(letter.history or ())
        ],
    }
    title = f"Dead letter {letter.id}"
    return View("dead_letters/letter.html", title, names, is_current=False)


def find(visit: Visit, source: StackSource) -> DeadLetter:
    """Return the dead letter of a page, or raise `NotFound`."""
    number = id_of(visit.path["id"])
    records = source.letters.records
    item = records.find(number)
    look = source.sample.look
    seen = look.find(number) if look else None
    if look and seen and (item is None or item["state"] == "OPEN" or _is_in_queue(item, look)):
        return replace(seen, history=records.history(number) if item else [])
    if item is not None and item["state"] != "OPEN":
        return replace(closed_dead_letter(item), history=records.history(number))
    raise NotFound(f"dead letter {number} is not among those seen; {AGAIN}")


def _is_in_queue(item: Mapping[str, Any], look: Look) -> bool:
    """Return whether a look came after the record: an action was cut before the deletion."""
    return moment(str(item["closed"])).timestamp() < look.at


def edit(visit: Visit, source: StackSource) -> View:
    """Show the event of a dead letter in an editor."""
    letter, text = _editable(visit, source)
    return editor(letter, text, text, None)


async def check(visit: Visit, form: Mapping[str, str]) -> View:
    """Show the differences of an edited event, its problems, and the rules that would match."""
    letter, original = await _last_seen(visit)
    return editor(letter, original, form.get("event", ""), checked_event(visit, original, form))


async def save(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    """Save an edited event, and redrive it if the button says so."""
    letter, original = await _last_seen(visit)
    checked = checked_event(visit, original, form)
    if checked.problems:
        return editor(letter, original, form.get("event", ""), checked)
    number = id_of(visit.path["id"])
    request = {"id": number, "event": read(form.get("event", "")), "who": visit.visitor.name}
    [answer] = (await visit.source.operate("Orderflow.EditDeadLetter", request))["letters"]
    if answer["state"] == "refused":
        return Redirect(link(f"/dead-letters/{number}"), sentence(answer), "bad")
    if form.get("then") == "redrive":
        return await _act(visit, "Orderflow.RedriveDeadLetters")
    return Redirect(link("/dead-letters"), f"{sentence(answer)}. Look again to see it.")


async def _act(visit: Visit, name: str, **fields: Any) -> Redirect:
    number = id_of(visit.path["id"])
    [answer] = await operate(visit, name, [number], **fields)
    gone = answer["state"] in ("sent", "done", "discarded")
    to = "/dead-letters" if not gone else f"/dead-letters/{number}"
    return Redirect(link(to), sentence(answer), tone_of([answer]))


redrive = partial(shared.redrive, act=_act)
discard = partial(shared.discard, act=_act)


async def undo(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Put discarded dead letters back; a look shows them, as new messages."""
    named = partial(ids_of, most=limits_of(visit).letters)
    done = await shared.undo(visit, form, named)
    text = f"{done.notice.rstrip('.')}. Look again to see it."
    return replace(done, to=link("/dead-letters"), notice=text)


async def _last_seen(visit: Visit) -> tuple[DeadLetter, str]:
    """Return the dead letter of a form from the last look; no queue is asked."""
    source = visit.source
    assert isinstance(source, StackSource)
    return await asyncio.to_thread(_editable, visit, source)


def _editable(visit: Visit, source: StackSource) -> tuple[DeadLetter, str]:
    letter = source.sample.find(id_of(visit.path["id"]))
    if letter is None:
        raise NotFound(f"dead letter {visit.path['id']} is not among those seen; {AGAIN}")
    event = _event(letter)
    if event is None:
        raise BadFilter(
            f"dead letter {letter.id} has no event to edit: redrive it after its cause is fixed, or"
            " discard it"
        )
    return letter, _text(event)


def _event(letter: DeadLetter) -> Any:
    try:
        return event_in(letter.to_json())
    except NothingToEdit:
        return None


def _text(body: Any) -> str:
    return body if isinstance(body, str) else write(body).decode()


def destination_of(source: StackSource, letter: DeadLetter) -> str:
    """Return the destination of a dead letter in words; `NO_WAY_BACK` if it has none."""
    words: str | None = source.letters.destination_of(letter)
    return words or NO_WAY_BACK
