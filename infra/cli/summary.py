"""What happened to orders, counted in the data directory."""

from dataclasses import dataclass
from typing import Any

from shared.money import text
from shared.record import ENDED
from shared.sqlite import Database

_ENDED = ", ".join(f"'{status}'" for status in sorted(ENDED))


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a run began: what came before it is not its own."""

    timeline: int
    dead_letters: int
    quarantined: int
    units: int
    started_at: float


def mark(database: Database, dead_letter_queues: list[str], now: float) -> Mark:
    """Return where things stand now."""
    return Mark(
        _number(database, "select max(id) from timeline"),
        _dead_letters(database, dead_letter_queues),
        _quarantined(database),
        _units(database),
        now,
    )


def of_run(database: Database, since: Mark, dead_letter_queues: list[str]) -> dict[str, Any]:
    """Return what happened since a mark; ``in_flight`` is what has not ended yet."""
    happened = dict(
        database.connection.execute(
            "select what, count(*) from timeline where id > ? group by what", (since.timeline,)
        ).fetchall()
    )
    return {
        "quarantined": _quarantined(database) - since.quarantined,
        "duplicates": happened.get("DUPLICATE_IGNORED", 0),
        "completed": happened.get("COMPLETED", 0),
        "failed": happened.get("FAILED", 0),
        "cancelled": happened.get("CANCELLED", 0),
        "in_flight": in_flight(database),
        "dead_letters": _dead_letters(database, dead_letter_queues) - since.dead_letters,
        "high_value": happened.get("HIGH_VALUE_FLAGGED", 0),
        "revenue": text(
            _number(
                database,
                "select sum(total) from orders where order_id in"
                " (select order_id from timeline where id > ? and what = 'COMPLETED')",
                since.timeline,
            )
        ),
        "units_shipped": _units(database) - since.units,
    }


def totals(database: Database, dead_letter_queues: list[str]) -> dict[str, Any]:
    """Return the figures of the whole directory."""
    statuses = dict(
        database.connection.execute(
            "select status, count(*) from orders group by status"
        ).fetchall()
    )
    return {
        "orders": sum(statuses.values()),
        "completed": statuses.get("COMPLETED", 0),
        "failed": statuses.get("FAILED", 0),
        "cancelled": statuses.get("CANCELLED", 0),
        "in_flight": in_flight(database),
        "dead_letters": _dead_letters(database, dead_letter_queues),
        "revenue": text(
            _number(database, "select sum(total) from orders where status = 'COMPLETED'")
        ),
        "units_shipped": _units(database),
        "charges": _number(
            database, "select count(*) from charges where status in ('CHARGED', 'REFUNDED')"
        ),
        "refunds": _number(database, "select count(*) from charges where status = 'REFUNDED'"),
        "shipments": _number(database, "select count(*) from shipments where status = 'CREATED'"),
    }


def in_flight(database: Database) -> int:
    """Return how many orders have not ended."""
    return _number(database, f"select count(*) from orders where status not in ({_ENDED})")


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
        "select count(distinct coalesce(json_extract(body, '$.event.id'), id)) from messages"
        " where queue = 'QuarantineQueue'",
    )


def _units(database: Database) -> int:
    return _number(database, "select sum(shipped - restocked) from stock")
