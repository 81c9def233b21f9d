"""Dead letters: grouped by cause, with preview, redrive, discard and undo."""

import json
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from infra.console.csv_file import csv_file
from infra.console.page import BadFilter, Download, Page, View, Visit
from infra.console.pages import dead_letter, saved_views
from infra.console.pages.dead_letter import number_of
from infra.views.closed_letters import closed_page
from infra.views.foreseen_redrive import NO_WAY_BACK, foreseen
from infra.views.letter_groups import (
    BY,
    MAX_LETTERS,
    LetterFact,
    LetterIndex,
    OpenLetters,
    grouped,
    of_group,
)
from kernel.clock import timestamp
from storage.sqlite.database import Database

SHOWN = 50
"""Dead letters of a group on one page, and groups of a list."""

PACE, MANY = "5", 20
"""The proposed pace of a redrive, in dead letters a second, of more than so many."""

INDEX = LetterIndex()
"""The reasons of the dead letters of this process's directory."""

VERBS = {"redrive": "Redrive", "discard": "Discard"}


def groups(visit: Visit, database: Database) -> View:
    """Show the open dead letters as groups."""
    found = INDEX.read(database, visit.source.stack.dead_letter_queues)
    return groups_of(visit, found, saved_views.names_of(visit, database, "dead_letters"))


def groups_of(visit: Visit, found: OpenLetters, more: Mapping[str, Any]) -> View:
    """Return the page of open dead letters as groups; ``more`` are names of its template."""
    by = by_of(visit.filter("by"))
    facts = chosen(visit, found.facts)
    made = grouped(facts, by, visit.now)
    names = {
        "by": by,
        "choices": BY,
        "groups": made[:SHOWN],
        "omitted": len(made) - SHOWN,
        "shown": len(facts),
        "found": found,
        "limit": MAX_LETTERS,
        "given": given_filters(visit),
        "queues": visit.source.stack.dead_letter_queues,
        **more,
    }
    return View("dead_letters/groups.html", "Dead letters", names)


def group(visit: Visit, database: Database) -> View:
    """Show the dead letters of one group, the newest first."""
    by, key = by_of(visit.path["by"]), visit.path["key"]
    members = _members(visit, database, by, key)
    after = number_of(visit.filter("before")) if visit.filter("before") else None
    rest = [fact for fact in members if after is None or fact.id < after]
    shown = rest[:SHOWN]
    names = {
        "by": by,
        "key": key,
        "group": grouped(members, by, visit.now)[0] if members else None,
        "facts": shown,
        "next": shown[-1].id if len(rest) > SHOWN else None,
        "is_first": after is None,
        "newest": members[0].id if members else 0,
        "cursor": "before",
        "batch": len(members),
    }
    return View("dead_letters/group.html", "Dead letters of one cause", names)


def preview(visit: Visit, database: Database) -> View:
    """Show the effect of an action on a group, before it is done."""
    by, key, verb = by_of(visit.path["by"]), visit.path["key"], verb_of(visit.path["verb"])
    newest = number_of(visit.filter("newest"))
    members = [fact for fact in _members(visit, database, by, key) if fact.id <= newest]
    most = number_of(visit.filter("most")) if visit.filter("most") else MAX_LETTERS
    batch = members[-most:]  # the oldest
    pace = PACE if verb == "redrive" and len(batch) > MANY else ""
    names = {
        "by": by,
        "key": key,
        "verb": verb,
        "newest": newest,
        "label": members[0].value(by) if members else "",
        "batch": batch,
        "total": len(members),
        "most": visit.filter("most"),
        "orders": len({fact.order_id for fact in batch if fact.order_id}),
        "foreseen": foreseen(database, visit.source.stack, [fact.id for fact in batch]),
        "pace": pace,
        "command": _job_command(visit, verb, members, pace),
        "no_way_back": NO_WAY_BACK,
    }
    return View("dead_letters/preview.html", f"{VERBS[verb]}: preview", names)


def closed(visit: Visit, database: Database) -> View:
    """Show the dead letters that left their queues in the last 14 days."""
    text = visit.filter("before")
    page = closed_page(database, number_of(text) if text else None)
    return View("dead_letters/closed.html", "Closed dead letters", {"found": page})


def as_csv(visit: Visit, database: Database) -> Download:
    """Return the open dead letters of a filter as CSV."""
    return csv_of(_listed(visit, database))


def csv_of(facts: Sequence[LetterFact]) -> Download:
    """Return dead letters as CSV."""
    body = csv_file(COLUMNS, (saved(fact).values() for fact in facts))
    return Download("dead-letters.csv", "text/csv; charset=utf-8", body)


def as_ndjson(visit: Visit, database: Database) -> Download:
    """Return the open dead letters of a filter, a JSON object a line."""
    return ndjson_of(_listed(visit, database))


def ndjson_of(facts: Sequence[LetterFact]) -> Download:
    """Return dead letters, a JSON object a line."""
    body = "".join(f"{json.dumps(saved(fact))}\n" for fact in facts).encode()
    return Download("dead-letters.ndjson", "application/x-ndjson", body)


COLUMNS = ("id", "queue", "since", "from", "order_id", "reason")


def saved(fact: LetterFact) -> dict[str, Any]:
    """Return a dead letter as a line of a file."""
    values = (fact.id, fact.queue, timestamp(fact.since), fact.consumer, fact.order_id, fact.reason)
    return dict(zip(COLUMNS, values, strict=True))


def _listed(visit: Visit, database: Database) -> list[LetterFact]:
    found = INDEX.read(database, visit.source.stack.dead_letter_queues)
    return chosen(visit, found.facts)


def _members(visit: Visit, database: Database, by: str, key: str) -> list[LetterFact]:
    found = INDEX.read(database, visit.source.stack.dead_letter_queues)
    return of_group(found.facts, by, key)


def chosen(visit: Visit, facts: Sequence[LetterFact]) -> list[LetterFact]:
    """Return the dead letters of a query's filters."""
    queue, order_id, text = (visit.filter(name) for name in ("queue", "order", "q"))
    words = text.casefold()
    return [
        fact
        for fact in facts
        if (not queue or fact.queue == queue)
        and (not order_id or fact.order_id == order_id)
        and (not words or words in fact.reason.casefold())
    ]


def given_filters(visit: Visit) -> dict[str, str]:
    """Return the filters of a query that are not empty."""
    given = {name: visit.filter(name) for name in ("by", "queue", "order", "q")}
    return {name: value for name, value in given.items() if value}


def by_of(text: str) -> str:
    """Return the field that groups are made by, or raise `BadFilter`."""
    if text and text not in BY:
        raise BadFilter(f"by: {text[:40]!r} groups nothing; choose {', '.join(BY)}")
    return text or BY[0]


def verb_of(text: str) -> str:
    """Return an action on dead letters, or raise `BadFilter`."""
    if text not in VERBS:
        raise BadFilter(f"{text[:40]!r} is no action on dead letters; choose {', '.join(VERBS)}")
    return text


def _job_command(visit: Visit, verb: str, members: Sequence[LetterFact], pace: str) -> str:
    """Return the command that starts the job of a preview."""
    by, most = visit.path["by"], visit.filter("most")
    words = ["orders dead-letters jobs start", verb, "--group", quote(visit.path["key"])]
    words += ["--by", by] * (by != BY[0])
    words += ["--up-to", str(max((fact.id for fact in members), default=0))]
    words += ["--most", most] * bool(most)
    words += ["--pace", pace] * bool(pace)
    words += ["--reason", "WHY"] * (verb == "discard")
    return " ".join(words)


def command_of(verb: str, batch: Sequence[LetterFact]) -> str:
    """Return the command that acts on dead letters of a stack."""
    ids = " ".join(str(fact.id) for fact in batch[:10])
    more = " …" if len(batch) > 10 else ""  # noqa: PLR2004
    return f"orders dead-letters {verb} {ids}{more}{' --reason WHY' * (verb == 'discard')}"


PAGE = Page(
    name="dead_letters",
    title="Dead letters",
    key="d",
    icon="letters",
    gets={
        "/dead-letters": groups,
        "/dead-letters/closed": closed,
        "/dead-letters/list.csv": as_csv,
        "/dead-letters/list.ndjson": as_ndjson,
        "/dead-letters/groups/{by}/{key}": group,
        "/dead-letters/groups/{by}/{key}/{verb}": preview,
        "/dead-letters/{id}": dead_letter.show,
    },
    waits={"/dead-letters/{id}/edit": dead_letter.edit},
    posts={
        "/dead-letters/{id}/redrive": dead_letter.redrive,
        "/dead-letters/{id}/discard": dead_letter.discard,
        "/dead-letters/{id}/undo": dead_letter.undo,
        "/dead-letters/{id}/check": dead_letter.check,
        "/dead-letters/{id}/edit": dead_letter.save,
    },
)
