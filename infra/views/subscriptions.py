"""The local rules of a data directory, each target with the events that wait for it."""

from dataclasses import dataclass

from storage.sqlite.database import Database

_ROWS = """
select r.name as rule, r.pattern, coalesce(t.kind, 'no target') as kind,
    coalesce(t.address, '') as address, coalesce(t.problem, '') as problem,
    (select count(*) from deliveries d where d.target = r.name || '/' || t.id) as waiting
from local_rules r left join local_targets t on t.rule = r.name order by r.name, t.id
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A target of a local rule; ``problem`` is why its last event did not arrive, or empty."""

    rule: str
    pattern: str
    kind: str
    address: str
    waiting: int
    problem: str


def subscriptions(database: Database) -> list[Subscription]:
    """Return the targets of all local rules."""
    known = "select 1 from sqlite_master where name = 'local_rules'"
    if database.row(known) is None:  # a directory of an earlier version that was not opened since
        return []
    return [
        Subscription(
            rule=row["rule"],
            pattern=row["pattern"],
            kind=row["kind"],
            address=row["address"],
            waiting=row["waiting"],
            problem=row["problem"],
        )
        for row in database.rows(_ROWS)
    ]
