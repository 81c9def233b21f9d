"""The catalogue of contracts: each event with its fields, examples, versions and consumers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from infra.contracts.baseline import present
from infra.contracts.changelog import Release, releases
from infra.contracts.examples import Example
from infra.contracts.fields import Field, detail_fields
from infra.contracts.folder import CHANGELOG, FOLDER, SCHEMA, slug
from infra.contracts.sample_orders import examples
from infra.local.template.stack import Rule
from kernel.errors import InvalidEvent, Problem
from kernel.events import REQUESTS, parse
from kernel.json_text import InvalidJSON, read
from storage.sqlite.database import Database

RECENT = 5_000
"""The newest events of the bus that the counts of recent events are made of."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """The contract of one event; ``is_request`` marks the events that others may send."""

    name: str
    slug: str
    version: str
    is_request: bool
    meaning: str
    fields: tuple[Field, ...]
    examples: tuple[Example, ...]
    versions: tuple[Release, ...]
    schema: Mapping[str, Any]


@cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Return all contracts by their folders' names; the models decide, so it never changes."""
    shown = examples()
    return {
        slug(name): CatalogueEntry(
            name,
            slug(name),
            contract.version,
            name in REQUESTS,
            str(contract.schema["description"]),
            tuple(detail_fields(contract.schema)),
            tuple(shown.get(name, ())),
            tuple(_versions(name)),
            contract.schema,
        )
        for name, contract in present().items()
    }


def _versions(name: str) -> list[Release]:
    path = FOLDER / slug(name) / CHANGELOG
    return releases(path.read_text(encoding="utf-8")) if path.is_file() else []


def schema_text(entry: CatalogueEntry) -> str:
    """Return the published JSON Schema of an event."""
    return (FOLDER / entry.slug / SCHEMA).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Consumer:
    """A rule that gives an event to targets; ``always`` is false if only some events match."""

    rule: str
    targets: tuple[str, ...]
    always: bool


def consumers_of(entry: CatalogueEntry, rules: Sequence[Rule]) -> list[Consumer]:
    """Return the rules that match examples of an event."""
    found = []
    for rule in rules:
        matches = [rule.pattern.matches(example.envelope) for example in entry.examples]
        if any(matches):
            targets = tuple(target.name for target in rule.targets)
            found.append(Consumer(rule.name, targets, all(matches)))
    return found


@dataclass(frozen=True, slots=True)
class RecentEvents:
    """The counts of the newest events by type, and the last of each; ``since`` is the oldest."""

    counts: Mapping[str, int]
    last: Mapping[str, int]
    since: float | None


def recent_events(database: Database) -> RecentEvents:
    """Return the counts of the newest events of the bus."""
    rows = database.rows(
        "select seq, detail_type, arrived_at from events order by seq desc limit ?", RECENT
    )
    last: dict[str, int] = {}
    for row in rows:
        last.setdefault(row["detail_type"], row["seq"])
    counts = Counter(row["detail_type"] for row in rows)
    return RecentEvents(counts, last, rows[-1]["arrived_at"] if rows else None)


@dataclass(frozen=True, slots=True)
class Validation:
    """The check of an event's text: its content, and the problems of its fields."""

    content: Mapping[str, Any] | None
    problems: tuple[Problem, ...]


def validate(text: str) -> Validation:
    """Check the text of one event, in its envelope or as an entry of PutEvents."""
    try:
        value = read(text)
    except InvalidJSON as error:
        return Validation(None, (Problem("JSON", _where(error)),))
    return _checked(value)


def _checked(value: Any) -> Validation:
    if not isinstance(value, dict):
        problem = "is no JSON object; send an object with source, detail-type and detail"
        return Validation(None, (Problem("event", problem),))
    try:
        content = _envelope(value)
        parse(content)
    except InvalidEvent as error:
        problems = error.problems or [Problem(error.field, str(error))]
        return Validation(value, tuple(problems))
    return Validation(content, ())


_ENTRY = {"Source": "source", "DetailType": "detail-type", "Detail": "detail"}


def _envelope(value: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope of an event; an entry of PutEvents has its detail as text."""
    if "detail-type" in value or not any(name in value for name in _ENTRY):
        return value
    envelope = {field: value[name] for name, field in _ENTRY.items() if name in value}
    if isinstance(envelope.get("detail"), str):
        try:
            envelope["detail"] = read(envelope["detail"])
        except InvalidJSON as error:
            raise InvalidEvent("Detail", _where(error)) from None
    return envelope


def _where(error: InvalidJSON) -> str:
    """Return a syntax error with its line and column."""
    syntax = error.error
    if syntax is None:
        return f"is no JSON: {error}"
    return f"is no JSON: {syntax.msg} (line {syntax.lineno}, column {syntax.colno})"


@dataclass(frozen=True, slots=True)
class Validations:
    """The checks of several events, each with its first line; ``omitted`` counts further events."""

    events: list[tuple[int, Validation]]
    omitted: int


def validate_all(text: str, most: int) -> Validations:
    """Check the events in a text: one object, a list of them, or one a line."""
    stripped = text.strip()
    if not stripped:
        return Validations([(1, validate(text))], 0)
    try:
        value = read(stripped)
    except InvalidJSON as error:
        lines = [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0][1]):  # noqa: PLR2004 - not one event a line
            return Validations([(1, Validation(None, (Problem("JSON", _where(error)),)))], 0)
        return Validations([(at, validate(line)) for at, line in lines[:most]], _more(lines, most))
    if isinstance(value, list) and value:
        elements = [(at, _checked(each)) for at, each in enumerate(value[:most], 1)]
        return Validations(elements, _more(value, most))
    return Validations([(1, validate(stripped))], 0)


def _is_json(text: str) -> bool:
    try:
        read(text)
    except InvalidJSON:
        return False
    return True


def _more(events: Sequence[object], most: int) -> int:
    return max(0, len(events) - most)
