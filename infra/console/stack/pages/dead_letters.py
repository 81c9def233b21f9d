"""The dead letters of a stack: their number in each queue, and those that a person has looked at.

SQS shows a message by handing it out, so no page looks by itself.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from infra.console.page import BadFilter, Download, Redirect, View, Visit, link
from infra.console.pages import dead_letters as shared
from infra.console.pages.dead_letter import operate, tone_of
from infra.console.pages.dead_letters import SHOWN
from infra.console.stack.pages import dead_letter
from infra.console.stack.source import StackSource, limits_of
from infra.views.closed_letters import ClosedPage
from infra.views.foreseen_redrive import NO_WAY_BACK, UNKNOWN_ORDER, Foreseen
from infra.views.letter_groups import LetterFact, OpenLetters, grouped, of_group
from storage.dynamodb.order_item import is_order, order_key, to_record

CLOSED = 50
MAX_STATUSES = 100
"""Orders whose status a preview reads: one BatchGetItem."""


def _groups(visit: Visit, source: StackSource) -> View:
    """Show the number of dead letters, and those of the last look as groups."""
    look = source.sample.look
    facts = tuple(look.facts() if look else ())
    found = OpenLetters(facts, len(facts) + (look.omitted if look else 0))
    more = {"look": look, "counts": source.letter_counts(), "limit": len(facts)}
    view = shared.groups_of(visit, found, more)
    return replace(view, is_current=False)


async def _look(visit: Visit, _: Mapping[str, str]) -> Redirect:
    """Receive the dead letters that SQS shows, and release them."""
    answer = await visit.source.operate(
        "Console.LookAtDeadLetters", {"at": visit.now, "who": visit.visitor.name}
    )
    number = answer["number"]
    text = f"SQS has shown {number:,} dead letter{'' if number == 1 else 's'}."
    return Redirect(link("/dead-letters"), text)


def _facts(source: StackSource) -> list[LetterFact]:
    look = source.sample.look
    return look.facts() if look else []


def _group(visit: Visit, source: StackSource) -> View:
    """Show the dead letters of one group, the newest first."""
    by, key = shared.by_of(visit.path["by"]), visit.path["key"]
    members = of_group(_facts(source), by, key)
    begin = _number(visit.filter("from"))
    shown = members[begin : begin + SHOWN]
    names = {
        "by": by,
        "key": key,
        "group": grouped(members, by, visit.now)[0] if members else None,
        "facts": shown,
        "next": begin + SHOWN if len(members) > begin + SHOWN else None,
        "is_first": not begin,
        "newest": "",
        "cursor": "from",
        "batch": min(len(members), source.limits.letters),
    }
    return View("dead_letters/group.html", "Dead letters of one cause", names, is_current=False)


def _number(text: str) -> int:
    """Return the place of a page in a group."""
    if text and not (text.isascii() and text.isdecimal() and len(text) < 6):  # noqa: PLR2004
        raise BadFilter(f"from: {text[:40]!r} is no place in a list; go to its first page")
    return int(text or 0)


def _preview(visit: Visit, source: StackSource) -> View:
    """Show the effect of an action on a group, before it is done."""
    by, key = shared.by_of(visit.path["by"]), visit.path["key"]
    verb = shared.verb_of(visit.path["verb"])
    members = of_group(_facts(source), by, key)
    batch = members[: source.limits.letters]
    names = {
        "by": by,
        "key": key,
        "verb": verb,
        "label": members[0].value(by) if members else "",
        "batch": batch,
        "total": len(members),
        "orders": len({fact.order_id for fact in batch if fact.order_id}),
        "foreseen": _foreseen(source, batch),
        "command": shared.command_of(verb, batch),
        "no_way_back": NO_WAY_BACK,
    }
    return View("dead_letters/preview.html", f"{shared.VERBS[verb]}: preview", names)


def _foreseen(source: StackSource, batch: list[LetterFact]) -> Foreseen:
    letters = [letter for fact in batch if (letter := source.sample.find(fact.id))]
    places = [(letter.id, dead_letter.destination_of(source, letter)) for letter in letters]
    orders = list(dict.fromkeys(fact.order_id for fact in batch if fact.order_id))
    read = orders[:MAX_STATUSES]
    items = source.deployed.table().get_all([order_key(each) for each in read])
    records = [to_record(item) for item in items if is_order(item)]
    known = {record.order_id: str(record.status) for record in records}
    statuses = Counter(known.values())
    unknown = len(read) - len(known) + sum(fact.order_id is None for fact in batch)
    statuses[UNKNOWN_ORDER] += unknown
    statuses["not read"] += len(orders) - len(read)
    return Foreseen(
        destinations=tuple(Counter(place for _, place in places).most_common()),
        statuses=tuple((+statuses).most_common()),
        stuck=tuple(number for number, place in places if place == NO_WAY_BACK),
        places=dict(places),
        orders=known,
    )


async def _act(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Redrive or discard the dead letters that the preview has shown."""
    verb = shared.verb_of(visit.path["verb"])
    ids = dead_letter.ids_of(form.get("ids", ""), limits_of(visit).letters)
    back = link("/dead-letters")
    if not ids:
        return Redirect(back, "Nothing was done: the preview named no dead letter.", "bad")
    reason = form.get("reason", "").strip()
    if verb == "discard" and not reason:
        raise BadFilter("reason: is missing; say why these dead letters need no action")
    fields = {"reason": reason} if verb == "discard" else {}
    answers = await operate(visit, OPERATIONS[verb], ids, **fields)
    return Redirect(back, _result(verb, answers), tone_of(answers))


OPERATIONS = {
    "redrive": "Orderflow.RedriveDeadLetters",
    "discard": "Orderflow.DiscardDeadLetters",
}


def _result(verb: str, answers: Sequence[Mapping[str, Any]]) -> str:
    """Return the result of an action on many dead letters, with the first refusals."""
    refused = [answer for answer in answers if answer["state"] in ("refused", "back")]
    done = len(answers) - len(refused)
    participle = {"redrive": "redriven", "discard": "discarded"}[verb]
    text = f"{done:,} of {len(answers):,} dead letters were {participle}"
    if verb == "discard" and done:
        text += "; a discarded one can be put back for 14 days"
    if refused:
        first = "; ".join(f"{each['id']}: {each['message']}" for each in refused[:3])
        text += f". Refused: {first}{' …' if len(refused) > 3 else ''}"  # noqa: PLR2004
    return f"{text}."


def _closed(_: Visit, source: StackSource) -> View:
    """Show the newest dead letters that left their queues in the last 14 days."""
    found = ClosedPage(tuple(source.letters.records.newest(CLOSED)), None)
    names = {"found": found}
    return View("dead_letters/closed.html", "Closed dead letters", names, is_current=False)


def _as_csv(visit: Visit, source: StackSource) -> Download:
    return _saved(source, shared.csv_of(shared.chosen(visit, _facts(source))))


def _as_ndjson(visit: Visit, source: StackSource) -> Download:
    return _saved(source, shared.ndjson_of(shared.chosen(visit, _facts(source))))


def _saved(source: StackSource, file: Download) -> Download:
    return source.limits.saved(file, f"orders dead-letters list --json{source.options}")


PAGE = replace(
    shared.PAGE,
    gets={
        "/dead-letters": _groups,
        "/dead-letters/closed": _closed,
        "/dead-letters/list.csv": _as_csv,
        "/dead-letters/list.ndjson": _as_ndjson,
        "/dead-letters/groups/{by}/{key}": _group,
        "/dead-letters/groups/{by}/{key}/{verb}": _preview,
        "/dead-letters/{id}": dead_letter.show,
        "/dead-letters/{id}/edit": dead_letter.edit,
    },
    posts={
        "/dead-letters/look": _look,
        "/dead-letters/batch/{verb}": _act,
        "/dead-letters/{id}/redrive": dead_letter.redrive,
        "/dead-letters/{id}/discard": dead_letter.discard,
        "/dead-letters/{id}/undo": dead_letter.undo,
        "/dead-letters/{id}/check": dead_letter.check,
        "/dead-letters/{id}/edit": dead_letter.save,
    },
)
