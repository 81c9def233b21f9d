"""The dry run of a replay agrees with the replay, in any state of the orders."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from infra.queries.warehouse import run_query
from infra.views.forecast_store import ForecastStore
from infra.views.replay_forecast import AGAIN, COUNTED, OUTSIDE, Forecast, Forecaster
from kernel.events import REQUESTS, parse
from storage.sqlite.database import Database
from tests.faults.scene import forget
from tests.host import Host, event, host, order

IDS = ("F-1", "F-2", "F-3", "F-4", "F-5")
EVENTS = 40
SOON = 20.0
"""Seconds: a retry of a step is due before, the next try of a waiting order later."""

ANSWERS = {
    "DUPLICATE_IGNORED": "duplicate",
    "CONFLICT_IGNORED": "conflict",
    "CANCEL_REQUESTED": "cancels",
    "CANCEL_REFUSED": "too late",
    "CHANGED": "changes",
    "CHANGE_IGNORED": "too late",
}
"""The timeline entry that answers each event, by the effect that is said before."""


@pytest.fixture(autouse=True)
def _new_process() -> None:
    forget()


def forecasts(hosted: Host, *events: dict[str, Any]) -> list[Forecast]:
    """Return the forecast of events, one after the other."""
    real = Database(str(hosted.directory.database), read_only=True)
    now = hosted.engine.clock.now()
    with ForecastStore(real) as store:
        forecaster = Forecaster(hosted.engine.stack, store, real, now)
        said = [forecaster.forecast(parse(each), each) for each in events]
    real.close()
    return said


def work(hosted: Host) -> None:
    """Work until nothing is due soon: a step's retry is waited for, an order's wait is not."""
    engine = hosted.engine
    while True:
        if engine.turn(0) or not engine.idle:
            continue
        due = engine.next_due(schedules=False, sink=False)
        if due > engine.clock.now() + SOON:
            return
        engine.skip_to(max(due, engine.clock.now()))


def some_event(dice: random.Random) -> dict[str, Any]:
    """Return a request or a fact of some order, at times with another content or an older time."""
    order_id = dice.choice(IDS)
    kind = dice.choice(["created"] * 4 + ["updated", "updated", "cancelled", "fact"])
    if kind == "created":
        price = dice.choice([12.5, 12.5, 999.99, 1000])
        sku = dice.choice(["TEA", "TEA", "GONE"])
        item = {"sku": sku, "quantity": 1, "unit_price": price}
        token = dice.choice([{}, {}, {"payment_token": "tok_decline"}])
        return order(order_id, items=[item], total=price, **token)
    if kind == "updated":
        at = f"2026-01-31T12:{dice.randrange(60):02}:00Z"
        email = dice.choice(["a@example.com", "b@example.com"])
        return event("Order Updated", order_id, email=email, timestamp=at)
    if kind == "cancelled":
        return event("Order Cancelled", order_id)
    return event("Order Cancellation Refused", order_id, reason="shipped")


def observed(hosted: Host, one: dict[str, Any]) -> tuple[str, set[str]]:
    """Send an event and work; return its effect on the order, and the targets that got it."""
    order_id = one["detail"]["order_id"]
    before, known = len(hosted.timeline(order_id)), hosted.status(order_id) is not None
    routed = Counter(hosted.engine.bus.routed)
    [answer] = hosted.put(one)
    assert "EventId" in answer
    targets = {key for key, count in hosted.engine.bus.routed.items() if count > routed[key]}
    work(hosted)
    entries = hosted.timeline(order_id)[before:]
    if one["detail-type"] not in REQUESTS:
        assert entries == []
        return "fact", targets
    if one["detail-type"] == "Order Created" and not known:
        assert hosted.status(order_id) is not None
        return "new", targets
    if not known:
        assert hosted.status(order_id) is None
        return "early", targets
    answers = [ANSWERS[entry] for entry in entries if entry in ANSWERS]
    if answers:
        return answers[0], targets
    return ("resumes" if "CLAIMED" in entries else "repeated"), targets


@pytest.mark.parametrize("seed", range(6))
def test_what_the_dry_run_says_is_what_happens(tmp_path: Path, seed: int) -> None:
    dice, said_counts, effects = random.Random(seed), Counter[str](), set()
    with host(tmp_path / "data") as hosted:
        hosted.receive(TEA=3)
        for _ in range(EVENTS):
            one = some_event(dice)
            [said] = forecasts(hosted, one)
            effect, targets = observed(hosted, one)
            assert said.effect == effect, (said.because, one)
            assert set(said.targets) == targets
            assert {
                each.rule for each in said.rules if not each.matches and not each.failed
            } == set()
            said_counts[said.analytics] += 1
            effects.add(effect)
            if dice.random() < 0.2:
                hosted.settle()
        hosted.settle()
    assert said_counts.total() == EVENTS
    assert len(effects) > 4, "the events reached few states"
    types = ", ".join(f"'{name}'" for name in sorted(REQUESTS))
    counted = f"select count(*) from order_events where event_type in ({types})"
    raw = "select count(*) from order_events_raw where"
    rows = {
        COUNTED: run_query(tmp_path / "data", counted)[1][0][0],
        OUTSIDE: run_query(tmp_path / "data", f"{raw} origin = 'external'")[1][0][0],
        AGAIN: EVENTS,
    }
    rows[AGAIN] -= rows[COUNTED] + rows[OUTSIDE]
    assert {name: said_counts[name] for name in rows} == rows


def test_an_event_sees_those_before_it_in_the_replay(tmp_path: Path) -> None:
    other = order("F-1", customer_id="C-2")
    with host(tmp_path / "data") as hosted:
        said = forecasts(
            hosted,
            event("Order Cancelled", "F-2"),
            *(order("F-1"), order("F-1"), other, event("Order Cancelled", "F-1"), order("F-2")),
        )
    effects = [each.effect for each in said]
    assert effects == ["early", "new", "duplicate", "conflict", "cancels", "new"]
    assert [each.analytics for each in said[1:4]] == [COUNTED, AGAIN, COUNTED]


def test_a_forecast_changes_nothing(tmp_path: Path) -> None:
    with host(tmp_path / "data") as hosted:
        hosted.receive(TEA=1)
        hosted.put(order("F-1"))
        hosted.settle()
        tables = ("orders", "timeline", "early_requests", "outbox", "events")
        before = [hosted.rows(f"select * from {table}") for table in tables]
        forecasts(hosted, order("F-1"), order("F-2"), event("Order Cancelled", "F-3"))
        assert [hosted.rows(f"select * from {table}") for table in tables] == before


def test_the_forecast_names_a_held_order(tmp_path: Path) -> None:
    with host(tmp_path / "data") as hosted:
        hosted.database.connection.execute(
            "insert into quarantined_orders values ('F-1', 3, 1, 'it crashes', 0)"
        )
        assert [each.effect for each in forecasts(hosted, order("F-1"))] == ["held"]
