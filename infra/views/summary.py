"""Figures of orders, counted in the data directory."""

from dataclasses import dataclass
from typing import Any

from infra.local.settle import in_flight
from infra.local.template.stack import Stack
from infra.views.unfinished import not_begun
from kernel.money import text
from storage.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class Mark:
    """The figures at the start of a run; the run's own are the differences to it."""

    completed: int
    failed: int
    cancelled: int
    revenue: int
    duplicates: int
    high_value: int
    dead_letters: int
    quarantined: int
    units: int
    event: int
    failure: int


def mark(database: Database, stack: Stack) -> Mark:
    """Return the present figures. Ended orders stay ended, so a difference belongs to a run."""
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
        dead_letters=_dead_letters(database, stack.dead_letter_queues),
        quarantined=_quarantined(database),
        units=_units(database),
        event=_number(database, "select max(seq) from events"),
        failure=_last_failure(database),
    )


def of_run(database: Database, since: Mark, stack: Stack) -> dict[str, Any]:
    """Return the figures of a run since its mark.

    ``not_begun`` counts accepted orders without a record, ``in_flight`` orders that have not ended.
    """
    now = mark(database, stack)
    return {
        "quarantined": now.quarantined - since.quarantined,
        "duplicates": now.duplicates - since.duplicates,
        "completed": now.completed - since.completed,
        "failed": now.failed - since.failed,
        "cancelled": now.cancelled - since.cancelled,
        "in_flight": in_flight(database),
        "not_begun": not_begun(database, stack, since.event),
        "dead_letters": now.dead_letters - since.dead_letters,
        "failed_items": len(failures(database, "id > ?", since.failure)),
        "high_value": now.high_value - since.high_value,
        "revenue": text(now.revenue - since.revenue),
        "units_shipped": now.units - since.units,
    }


def minutes_to_end(database: Database, since: float) -> dict[str, float]:
    """Return the minutes from a time, in epoch seconds, until orders received after it had ended.

    The median order, 99 % of the orders, and the last one.
    """
    query = "select updated_at from orders where in_flight is not 1 and created_at >= ? order by 1"
    ends = [row[0] for row in database.rows(query, since)]
    if not ends:
        return {}
    last = len(ends) - 1
    places = {"median": last // 2, "99_percent": last * 99 // 100, "last": last}
    return {f"minutes_{name}": round((ends[at] - since) / 60, 1) for name, at in places.items()}


def failures(database: Database, condition: str, value: float) -> list[dict[str, Any]]:
    """Return the items whose handling failed, the oldest first."""
    if not _has_failures(database):
        return []
    query = f"select id, at, kind, item, error, message from failures where {condition} order by id"
    return [dict(row) for row in database.rows(query, value)]


def _has_failures(database: Database) -> bool:
    """Return whether the directory has a table of failures: older versions have none."""
    return database.row("select 1 from sqlite_master where name = 'failures'") is not None


def _last_failure(database: Database) -> int:
    return _number(database, "select max(id) from failures") if _has_failures(database) else 0


def totals(database: Database, stack: Stack) -> dict[str, Any]:
    """Return the figures of all orders of the directory."""
    statuses = _statuses(database)
    return {
        "orders": sum(statuses.values()),
        "completed": statuses.get("COMPLETED", 0),
        "failed": statuses.get("FAILED", 0),
        "cancelled": statuses.get("CANCELLED", 0),
        "in_flight": in_flight(database),
        "dead_letters": _dead_letters(database, stack.dead_letter_queues),
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
    """Return the number of quarantined events; one of several consumers counts once.

    A body that SQLite cannot parse (nested too deep, or no JSON) counts as an event of its own.
    """
    return _number(
        database,
        "select count(distinct coalesce(iif(json_valid(body), json_extract(body, '$.event.id'),"
        " null), id)) from messages where queue = 'QuarantineQueue'",
    )


def _units(database: Database) -> int:
    return _number(database, "select sum(shipped - restocked) from stock")
