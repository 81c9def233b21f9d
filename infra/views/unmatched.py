"""The events that no rule matches, each explained by the nearest rule."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.local.template.stack import Rule
from infra.patterns import TooComplexEvent, explain
from kernel.clock import timestamp
from storage.sqlite.database import Database

_ROWS = (
    "select source, detail_type, count, first_at, last_at, last_id,"
    " (select envelope from events where events.id = last_id and arrived_at = last_at) as envelope"
    " from unmatched_events order by last_at desc, source, detail_type limit ?"
)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Events of one source and detail type that no rule matches."""

    source: str
    detail_type: str
    count: int
    first: str
    last: str
    last_event_id: str
    nearest_rule: str | None
    why: str


def unmatched_events(database: Database, rules: Sequence[Rule], limit: int) -> list[Unmatched]:
    """Return the unmatched events by source and detail type, those of the latest event first."""
    known = "select 1 from sqlite_master where name = 'unmatched_events'"
    if database.row(known) is None:  # a directory of an earlier version that was not opened since
        return []
    return [_view(row, rules) for row in database.rows(_ROWS, limit)]


def _view(row: Any, rules: Sequence[Rule]) -> Unmatched:
    # the event itself is deleted after a day: then its source and detail type explain it
    envelope: Mapping[str, Any] = (
        json.loads(row["envelope"])
        if row["envelope"]
        else {"source": row["source"], "detail-type": row["detail_type"], "detail": {}}
    )
    rule, why = nearest_rule(rules, envelope)
    return Unmatched(
        source=row["source"],
        detail_type=row["detail_type"],
        count=row["count"],
        first=timestamp(row["first_at"]),
        last=timestamp(row["last_at"]),
        last_event_id=row["last_id"],
        nearest_rule=rule,
        why=why,
    )


def nearest_rule(rules: Sequence[Rule], envelope: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the rule with the fewest failed conditions, and these conditions in words.

    Of rules with as many failed conditions, one that takes the source is nearer, then the one with
    the most met conditions.
    """
    found = []
    for rule in rules:
        try:
            explanation = explain(rule.pattern, envelope)
        except TooComplexEvent:
            continue
        failed = explanation.failed
        met = len(explanation.alternatives[0].conditions) - len(failed)
        wrong_source = any(each.field == "source" for each in failed)
        found.append((len(failed), wrong_source, -met, rule.name, "; ".join(map(str, failed))))
    if not found:
        return None, "the bus has no rule"
    *_, name, why = min(found)
    return name, why or "it matches now: the rule was added or changed since"
