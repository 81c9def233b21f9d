"""What happened to orders, counted in the data directory."""

from dataclasses import dataclass
from typing import Any

from infra.settling import in_flight
from shared.money import text
from shared.sqlite import Database


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a run began: what came before it is not its own."""

    completed: int
    failed: int
    cancelled: int
    revenue: int
    duplicates: int
    high_value: int
    dead_letters: int
    quarantined: int
    units: int


def mark(database: Database, dead_letter_queues: list[str]) -> Mark:
    """Return where things stand now; what has ended stays ended, so differences tell of a run."""
    statuses = _statuses(database)
    return Mark(
        completed=statuses.get("COMPLETED", 0),
        failed=statuses.get("FAILED", 0),
        cancelled=statuses.get("CANCELLED", 0),
        revenue=_revenue(database),
        duplicates=_number(
            database, "select count(*) from timeline where what = 'DUPLICATE_IGNORED'"
        ),
        high_value=_number(database, "select count(*) from reviews"),
        dead_letters=_dead_letters(database, dead_letter_queues),
        quarantined=_quarantined(database),
        units=_units(database),
    )


def of_run(database: Database, since: Mark, dead_letter_queues: list[str]) -> dict[str, Any]:
    """Return what happened since a mark; ``in_flight`` is what has not ended yet."""
    now = mark(database, dead_letter_queues)
    return {
        "quarantined": now.quarantined - since.quarantined,
        "duplicates": now.duplicates - since.duplicates,
        "completed": now.completed - since.completed,
        "failed": now.failed - since.failed,
        "cancelled": now.cancelled - since.cancelled,
        "in_flight": in_flight(database),
        "dead_letters": now.dead_letters - since.dead_letters,
        "high_value": now.high_value - since.high_value,
        "revenue": text(now.revenue - since.revenue),
        "units_shipped": now.units - since.units,
    }


def totals(database: Database, dead_letter_queues: list[str]) -> dict[str, Any]:
    """Return the figures of the whole directory."""
    statuses = _statuses(database)
    return {
        "orders": sum(statuses.values()),
        "completed": statuses.get("COMPLETED", 0),
        "failed": statuses.get("FAILED", 0),
        "cancelled": statuses.get("CANCELLED", 0),
        "in_flight": in_flight(database),
        "dead_letters": _dead_letters(database, dead_letter_queues),
        "revenue": text(_revenue(database)),
        "units_shipped": _units(database),
        "charges": _number(
            database, "select count(*) from charges where status in ('CHARGED', 'REFUNDED')"
        ),
        "refunds": _number(database, "select count(*) from charges where status = 'REFUNDED'"),
        "shipments": _number(database, "select count(*) from shipments where status = 'CREATED'"),
    }


def _statuses(database: Database) -> dict[str, int]:
    query = "select status, count(*) from orders group by status"
    return dict(database.connection.execute(query).fetchall())


def _revenue(database: Database) -> int:
    return _number(database, "select sum(total) from orders where status = 'COMPLETED'")


def _number(database: Database, query: str, *parameters: object) -> int:
    row = database.row(query, *parameters)
    return (row and row[0]) or 0


def _dead_letters(database: Database, queues: list[str]) -> int:
    marks = ", ".join("?" * len(queues))
    return _number(database, f"select count(*) from messages where queue in ({marks})", *queues)


def _quarantined(database: Database) -> int:
    """Return how many events were put aside, an event of several consumers counted once."""
    return _number(
        database,
        "select count(distinct coalesce(case when json_valid(body) then"
        " json_extract(body, '$.event.id') end, id)) from messages where queue = 'QuarantineQueue'",
    )


def _units(database: Database) -> int:
    return _number(database, "select sum(shipped - restocked) from stock")
