"""Lost events, of orders that are in the sink and do not exist, are replayed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kernel.errors import StoreError
from orders.athena_sink import AthenaSink
from orders.lost_events import FIRST_PERIOD, MARGIN, SETTLED, Ports, search
from tests.fakes.records import NOW


class Sink:
    def __init__(self, **heard: float) -> None:
        self.heard = heard
        self.queries: list[tuple[float, float]] = []

    def created(self, since: float, before: float) -> Mapping[str, float]:
        self.queries.append((since, before))
        return self.heard


class Archive:
    def __init__(self) -> None:
        self.replays: list[tuple[float, float]] = []
        self.broken = False

    def replay(self, since: float, until: float) -> None:
        if self.broken:
            raise StoreError("ten replays run")
        self.replays.append((since, until))


class Known:
    def __init__(self, *order_ids: str) -> None:
        self.order_ids = set(order_ids)
        self.until = 0.0

    def unknown(self, order_ids: Iterable[str]) -> list[str]:
        return [order_id for order_id in order_ids if order_id not in self.order_ids]

    def compared(self) -> float:
        return self.until

    def mark_compared(self, until: float) -> None:
        self.until = until


def test_the_period_of_lost_events_is_replayed() -> None:
    """F33: an Express execution that never ran."""
    archive = Archive()
    sink = Sink(A=NOW - 2000, B=NOW - 1900, C=NOW - 1800)
    assert search(Ports(sink, archive, Known("B"), lambda: NOW)) == ["A", "C"]
    assert archive.replays == [(NOW - 2000 - MARGIN, NOW - 1800 + MARGIN)]


def test_nothing_is_replayed_if_every_order_exists() -> None:
    archive = Archive()
    assert search(Ports(Sink(A=NOW), archive, Known("A"), lambda: NOW)) == []
    assert archive.replays == []


def test_periods_are_compared_once_and_without_gaps() -> None:
    sink, known = Sink(), Known()
    for now in (NOW, NOW + 300, NOW + 90_000):
        search(Ports(sink, Archive(), known, lambda now=now: now))  # type: ignore[misc]
    assert sink.queries == [
        (NOW - SETTLED - FIRST_PERIOD, NOW - SETTLED),
        (NOW - SETTLED, NOW + 300 - SETTLED),
        (NOW + 300 - SETTLED, NOW + 90_000 - SETTLED),
    ]


def test_a_period_whose_replay_failed_is_compared_again() -> None:
    archive, known = Archive(), Known()
    archive.broken = True
    with pytest.raises(StoreError):
        search(Ports(Sink(A=NOW), archive, known, lambda: NOW))
    assert known.compared() == 0.0


class Warehouse:
    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self.answer = list(rows)
        self.queries: list[tuple[str, Sequence[str]]] = []

    def rows(self, sql: str, parameters: Sequence[str]) -> list[Mapping[str, Any]]:
        self.queries.append((sql, parameters))
        return self.answer


def test_the_query_of_the_rows_limits_the_day_and_the_time() -> None:
    warehouse = Warehouse({"order_id": "A", "arrived_at": 1.5})
    sink = AthenaSink(warehouse)  # type: ignore[arg-type]
    since = datetime(2026, 1, 30, 23, 59, tzinfo=UTC).timestamp()
    assert sink.created(since, since + 120) == {"A": 1.5}
    [(sql, parameters)] = warehouse.queries
    assert sql.count("?") == len(parameters)
    assert parameters == [
        "2026-01-30",
        "2026-01-31",
        "2026-01-30T23:59:00+00:00",
        "2026-01-31T00:01:00+00:00",
    ]
