"""The bus: recent events, the rules, and for one event each rule with its failed conditions."""

from dataclasses import dataclass
from shlex import quote
from typing import Any

from infra.console.csv_file import csv_file
from infra.console.page import BadFilter, Download, Page, View, Visit
from infra.console.pages import saved_views
from infra.console.pages.reveal import shown
from infra.errors import NotFound
from infra.local.template.stack import Rule
from infra.patterns import InvalidPattern, Pattern, compile_pattern
from infra.views.bus_events import (
    BusEvent,
    EventFilter,
    deliveries_of,
    event_before,
    events_after,
    events_page,
    find_event,
    seq_at,
)
from infra.views.contract_catalogue import catalogue, validate
from infra.views.exact_json import indented
from infra.views.personal import masked_line, masked_text
from infra.views.rule_activity import matched_recently, pending_of
from infra.views.rule_verdicts import matching_rules, rule_verdicts, verdict
from kernel.timestamps import moment
from storage.sqlite.database import Database

MAX_SEQ = (1 << 63) - 1

MAX_DOWNLOAD = 10_000
"""Events of a download; its page says so."""

MAX_PAGES = 400
"""Pages that a download reads for its events."""

MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of the list, with the rules that match it now."""

    event: BusEvent
    source: str
    rules: tuple[str, ...]


def _row(event: BusEvent, rules: list[Rule]) -> EventRow:
    content = event.content
    return EventRow(event, str(content.get("source", "")), matching_rules(rules, content))


def events(visit: Visit, database: Database) -> View:
    """Show the newest events of a filter, or those before a cursor or a time."""
    wanted, problem = _filter(visit)
    before = _before(visit, database)
    page = None if problem else events_page(database, wanted, before)
    rows = [_row(event, visit.source.stack.rules) for event in page.events] if page else []
    types = [entry.name for entry in catalogue().values()]
    names = {
        "rows": rows,
        "found": page,
        "problem": problem,
        "types": types if not wanted.type or wanted.type in types else [wanted.type, *types],
        "filters": _given(visit),
        "is_first": before is None,
        "download": MAX_DOWNLOAD,
        **saved_views.names_of(visit, database, "bus"),
    }
    return View("bus/events.html", "Bus", names, 400 if problem else 200)


def event(visit: Visit, database: Database) -> View:
    """Show one event: its contract, its deliveries, and each rule's verdict."""
    found = find_event(database, _seq(visit.path["seq"]))
    if found is None:
        raise NotFound(
            f"the journal has no event {visit.path['seq']}: it was never there, or its retention"
            " has ended; see the newest events of the bus"
        )
    content, reveal = found.content, _reveal(visit, found)
    checked = validate(found.envelope)
    newer = events_after(database, found.seq, 1)
    names = {
        "event": found,
        "source": str(content.get("source", "")),
        "text": (indented if reveal["revealed"] else masked_text)(found.envelope),
        "problems": checked.problems[:MAX_PROBLEMS],
        "more_problems": max(0, len(checked.problems) - MAX_PROBLEMS),
        "verdicts": rule_verdicts(visit.source.stack.rules, content),
        "deliveries": deliveries_of(database, visit.source.stack, found),
        "newer": newer[0].seq if newer else None,
        "older": event_before(database, found.seq),
        **_trial(visit, database, content),
        **reveal,
    }
    return View("bus/event.html", f"{found.type or 'Event'} {found.seq}", names)


def _reveal(visit: Visit, found: BusEvent) -> dict[str, Any]:
    """Return the names of `reveal.html` for an event."""
    return shown(visit, f"event {found.seq}", f"orders show {quote(found.id)}")


def _trial(visit: Visit, database: Database, content: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict of a pattern that the visitor tries on an event."""
    text = visit.filter("pattern")
    names: dict[str, Any] = {"tried": text, "tried_problem": "", "trial": None, "recent": None}
    if not text:
        return names
    try:
        pattern = compile_pattern(text)
    except InvalidPattern as error:
        return {**names, "tried_problem": f"pattern: {error}"}
    recent = matched_recently(database, pattern)
    return {**names, "trial": verdict(pattern, content), "recent": recent}


def rules(visit: Visit, database: Database) -> View:
    """Show every rule with its targets and their pending deliveries."""
    rows = [
        (rule, [(target, pending_of(database, target.key)) for target in rule.targets])
        for rule in sorted(visit.source.stack.rules, key=lambda rule: rule.name)
    ]
    return View("bus/rules.html", "Rules", {"rows": rows})


def rule_of(visit: Visit) -> Rule:
    """Return the rule of a page, or raise `NotFound`."""
    name = visit.path["name"]
    found = next((rule for rule in visit.source.stack.rules if rule.name == name), None)
    if found is None:
        known = ", ".join(sorted(rule.name for rule in visit.source.stack.rules))
        raise NotFound(f"no rule is named {name[:80]!r}; there are: {known}")
    return found


def rule(visit: Visit, database: Database) -> View:
    """Show one rule: its pattern, its targets, and recent events that match it."""
    found = rule_of(visit)
    names = {
        "rule": found,
        "text": indented(found.pattern.text),
        "targets": [(target, pending_of(database, target.key)) for target in found.targets],
        "recent": matched_recently(database, found.pattern),
    }
    return View("bus/rule.html", found.name, names)


def as_ndjson(visit: Visit, database: Database) -> Download:
    """Return the envelopes of a filter, one a line, with their personal data masked."""
    lines = (masked_line(event.envelope) for event in _all(visit, database))
    return Download("events.ndjson", "application/x-ndjson", _lines(lines))


def as_csv(visit: Visit, database: Database) -> Download:
    """Return the events of a filter as CSV."""
    columns = ("seq", "id", "arrived_at", "type", "source", "order_id")
    rows = (
        (each.seq, each.id, each.arrived_at, each.type, each.source, each.order_id or "")
        for each in _all(visit, database)
    )
    return Download("events.csv", "text/csv; charset=utf-8", csv_file(columns, rows))


def _lines(lines: Any) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _all(visit: Visit, database: Database) -> list[BusEvent]:
    wanted, problem = _filter(visit)
    if problem:
        raise BadFilter(problem)
    before, found = _before(visit, database), list[BusEvent]()
    for _ in range(MAX_PAGES):
        page = events_page(database, wanted, before, size=500)
        found += page.events
        before = page.before
        if before is None or len(found) >= MAX_DOWNLOAD:
            break
    return found[:MAX_DOWNLOAD]


def _filter(visit: Visit) -> tuple[EventFilter, str]:
    """Return the filter of a query, and the problem of its pattern, or empty text."""
    pattern: Pattern | None = None
    problem, text = "", visit.filter("pattern")
    if text:
        try:
            pattern = compile_pattern(text)
        except InvalidPattern as error:
            problem = f"pattern: {error}"
    kind, source, order_id = (visit.filter(name) for name in ("type", "source", "order"))
    return EventFilter(kind, source, order_id, pattern), problem


def _given(visit: Visit) -> dict[str, str]:
    """Return the filters of a query, without the cursor."""
    given = {name: visit.filter(name) for name in ("type", "source", "order", "pattern")}
    return {name: value for name, value in given.items() if value}


def _before(visit: Visit, database: Database) -> int | None:
    """Return the cursor of a query: a number in the journal, or a time."""
    text, at = visit.filter("before"), visit.filter("at")
    if text:
        return _seq(text)
    if not at:
        return None
    try:
        when = moment(f"{at}Z" if at[-1:].isdigit() and "+" not in at else at)
    except ValueError:
        text = "is no time in UTC; send one such as 2026-01-31T12:00:00Z"
        raise BadFilter(f"at: {at[:60]!r} {text}") from None
    cursor = seq_at(database, when.timestamp())
    return 0 if cursor is None else cursor


def _seq(text: str) -> int:
    """Return a number of the journal, or raise `BadFilter`."""
    plain = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_SEQ))
    if not plain or int(text) > MAX_SEQ:
        raise BadFilter(f"{text[:60]!r} is no number of an event; choose one in the list")
    return int(text)


PAGE = Page(
    name="bus",
    title="Bus",
    key="b",
    icon="bus",
    gets={
        "/bus": events,
        "/bus/rules": rules,
        "/bus/rules/{name:path}": rule,
        "/bus/events.ndjson": as_ndjson,
        "/bus/events.csv": as_csv,
        "/bus/{seq}": event,
    },
)
