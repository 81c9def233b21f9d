"""Lost events, of orders that are in the sink and do not exist, are replayed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from kernel.errors import StoreError
from orders import wiring
from orders.athena_sink import AthenaSink, EventArchive, RuleMetrics
from orders.handlers import reconcile
from orders.lost_events import (
    FIRST_PERIOD,
    MARGIN,
    PATIENCE,
    PERIOD,
    PERIODS,
    SETTLED,
    STEP_SECONDS,
    Ports,
    Step,
    search,
)
from tests.fakes.records import NOW


class Sink:
    def __init__(self, *others: float, **heard: float) -> None:
        self.others = others
        self.heard = heard
        self.queries: list[tuple[float, float]] = []

    def created(self, since: float, before: float) -> Mapping[str, float]:
        self.queries.append((since, before))
        return {name: at for name, at in self.heard.items() if since <= at < before}

    def has_rows(self, since: float, before: float) -> bool:
        return any(since <= at < before for at in self.others)


class Bus:
    """A bus that sent events at these times."""

    def __init__(self, *times: float) -> None:
        self.times = times

    def sent(self, since: float, before: float) -> bool:
        return any(since <= at < before for at in self.times)


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


END = NOW - SETTLED


def ports(
    sink: Sink, archive: Archive | None = None, known: Known | None = None, *sent: float
) -> Ports:
    """Return ports at `NOW`; the bus sent events at these times."""
    return Ports(sink, archive or Archive(), known or Known(), lambda: NOW, Bus(*sent))


def searched(opened: Ports, seconds: float = 100.0) -> list[Step]:
    return list(search(opened, lambda: seconds))


def missing(opened: Ports) -> list[str]:
    return [order_id for step in searched(opened) for order_id in step.missing]


def test_the_period_of_lost_events_is_replayed() -> None:
    """F33: an Express execution that never ran."""
    archive = Archive()
    sink = Sink(A=NOW - 2000, B=NOW - 1900, C=NOW - 1800)
    assert missing(ports(sink, archive, Known("B"))) == ["A", "C"]
    assert archive.replays == [(NOW - 2000 - MARGIN, NOW - 1800 + MARGIN)]


def test_nothing_is_replayed_if_every_order_exists() -> None:
    archive = Archive()
    assert missing(ports(Sink(A=END - 1), archive, Known("A"))) == []
    assert archive.replays == []


def test_periods_are_compared_once_and_without_gaps() -> None:
    sink, known = Sink(), Known()
    for now in (NOW, NOW + 300, NOW + 1_000):
        searched(Ports(sink, Archive(), known, lambda now=now: now, Bus()))  # type: ignore[misc]
    bounds = [*range(-int(FIRST_PERIOD), 1, int(PERIOD)), 300, 1_000]
    assert sink.queries == [(END + since, END + before) for since, before in pairwise(bounds)]


def test_a_days_outage_is_compared_in_bounded_steps() -> None:
    """Each order of the day is found once, and no step has more than its period."""
    sink = Sink(**{f"A-{hour}": END - hour * 3600 - 1 for hour in range(24)})
    archive, known = Archive(), Known()
    known.until = END - 86_400
    found: list[str] = []
    searches = 0
    while known.compared() < END:
        searches += 1
        steps = searched(ports(sink, archive, known))
        assert len(steps) == PERIODS
        found += [order_id for step in steps for order_id in step.missing]
    assert searches == 86_400 / PERIOD / PERIODS == 12
    assert found == [f"A-{hour}" for hour in reversed(range(24))]
    assert max(before - since for since, before in sink.queries) == PERIOD
    assert max(until - since for since, until in archive.replays) == 2 * MARGIN
    assert known.compared() == END


def test_a_step_is_begun_only_with_time_for_it() -> None:
    sink, known = Sink(), Known()
    left = iter([STEP_SECONDS, STEP_SECONDS - 1])
    [step] = search(ports(sink, known=known), lambda: next(left))
    assert step.behind == FIRST_PERIOD - PERIOD
    assert known.compared() == END - FIRST_PERIOD + PERIOD


def test_a_period_whose_replay_failed_is_compared_again() -> None:
    archive, known = Archive(), Known()
    archive.broken = True
    with pytest.raises(StoreError):
        searched(ports(Sink(A=END - 1), archive, known))
    assert known.compared() == END - PERIOD
    archive.broken = False
    assert missing(ports(Sink(A=END - 1), archive, known)) == ["A"]


def test_a_period_without_rows_is_not_compared_if_the_bus_sent_events() -> None:
    """The delivery fails: nothing would be missing, for ever."""
    known = Known()
    known.until = END - 100
    with pytest.raises(StoreError, match=r"have no event from 2026-.*, and the bus sent some"):
        searched(ports(Sink(), None, known, END - 50))
    assert known.compared() == END - 100
    assert missing(ports(Sink(A=END - 50), None, known, END - 50)) == ["A"]


def test_a_period_with_rows_of_other_events_is_compared() -> None:
    known = Known()
    known.until = END - 100
    [step] = searched(ports(Sink(END - 60), None, known, END - 50))
    assert (step.compared, step.missing) == (True, [])


def test_a_quiet_period_is_compared() -> None:
    known = Known()
    known.until = END - 100
    [step] = searched(ports(Sink(), None, known, END - 200))
    assert step.compared


def test_a_period_is_given_up_when_its_rows_can_no_longer_come() -> None:
    known = Known()
    known.until = END - PATIENCE - 2 * PERIOD
    opened = ports(Sink(), None, known, *(END - PATIENCE - 1.5 * PERIOD, END - PATIENCE + 1))
    steps = search(opened, lambda: 100.0)
    assert [next(steps).compared, next(steps).compared] == [False, True]
    with pytest.raises(StoreError):
        next(steps)
    assert known.compared() == END - PATIENCE


@pytest.mark.parametrize(
    ("since", "sent", "metrics"),
    [
        (END - 100, (), {}),
        (END - PERIOD * (PERIODS + 2.5), (), {"SinkPeriodsBehind": 3}),
        (END - 100, (END - 50,), {"SinkNotCompared": 1}),
        (
            END - PATIENCE - 2 * PERIOD,
            (END - PATIENCE - 1.5 * PERIOD, END - PATIENCE + 1),
            {"SinkNotCompared": 2, "SinkPeriodsBehind": PATIENCE // PERIOD},
        ),
    ],
    ids=["all is compared", "periods are left", "no rows", "given up, and no rows"],
)
def test_the_reconciler_counts_what_was_not_compared(
    since: float,
    sent: tuple[float, ...],
    metrics: Mapping[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, counted = Known(), Counter[str]()
    known.until = since
    opened = ports(Sink(), None, known, *sent)
    monkeypatch.setattr(wiring, "search_ports", lambda: opened)
    monkeypatch.setattr(reconcile, "count", lambda name, number=1: counted.update({name: number}))
    assert reconcile.replay_lost_events(lambda: 100.0) == 0
    assert counted == metrics


class CloudWatch:
    def __init__(self, *sums: float) -> None:
        self.points = [{"Sum": number} for number in sums]
        self.requests: list[Mapping[str, Any]] = []

    def get_metric_statistics(self, **request: Any) -> Mapping[str, Any]:
        self.requests.append(request)
        return {"Datapoints": self.points}


@pytest.mark.parametrize(("sums", "sent"), [((), False), ((0.0,), False), ((0.0, 3.0), True)])
def test_the_metric_of_a_rule_has_the_dimensions_of_a_custom_bus(
    sums: tuple[float, ...],
    sent: bool,  # noqa: FBT001 - a column
) -> None:
    client = CloudWatch(*sums)
    rule = "arn:aws:events:eu-west-1:123456789012:rule/orders-bus/shop-AnalyticsRule-1X"
    assert RuleMetrics(rule, lambda _: client).sent(NOW, NOW + PERIOD) is sent
    [request] = client.requests
    assert {each["Name"]: each["Value"] for each in request["Dimensions"]} == {
        "EventBusName": "orders-bus",
        "RuleName": "shop-AnalyticsRule-1X",
    }
    assert (request["EndTime"] - request["StartTime"]).total_seconds() == PERIOD


class Events:
    def __init__(self) -> None:
        self.names: list[str] = []

    def start_replay(self, **request: Any) -> Mapping[str, Any]:
        self.names.append(request["ReplayName"])
        return {"State": "STARTING"}


def test_a_repeated_replay_has_another_name() -> None:
    """A replay's name is not used twice; the end of a comparison may not have been stored."""
    client = Events()
    archive = EventArchive("archive", "bus", "rule", lambda _: client)
    for _ in range(2):
        archive.replay(NOW, NOW + 60)
    assert len(set(client.names)) == 2
    assert max(map(len, client.names)) <= 64


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
        "2026-01-29",
        "2026-01-31",
        "2026-01-30T23:59:00+00:00",
        "2026-01-31T00:01:00+00:00",
    ]
