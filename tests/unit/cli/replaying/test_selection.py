"""The events that a replay takes, its pace, and the changes that it makes."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.errors import CommandError
from infra.cli.event_files import Line, read_event
from infra.cli.replaying.pacing import LATE, Pace
from infra.cli.replaying.rewriting import MAX_ID, named, new_id, with_members, with_new_ids
from infra.cli.replaying.selection import Selection, find_rules, parse_filter
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from tests.host import event, order


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("order_id=T-1", True),
        ("order_id=T-2", False),
        ("detail.customer_id=C-1", True),
        ("detail-type=Order Created", True),
        ("total=12.5", True),
        ("total=12.50", True),
        ("items.sku=TEA", True),
        ("shipping_address.country=Z", False),
        ('{"detail": {"total": [{"numeric": [">=", 12.5]}]}}', True),
        ('{"detail": {"total": [{"numeric": [">", 12.5]}]}}', False),
    ],
)
def test_a_filter_is_a_pattern_or_a_field_and_its_value(text: str, *, matches: bool) -> None:
    assert Selection([parse_filter(text)]).takes(order("T-1")) is matches


def test_all_filters_must_match() -> None:
    filters = [parse_filter("order_id=T-1"), parse_filter("customer_id=C-2")]
    assert not Selection(filters).takes(order("T-1"))


@pytest.mark.parametrize("text", ["order_id", "=x", "{", '{"detail-type": "x"}'])
def test_a_wrong_filter_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(CommandError, match="--filter"):
        parse_filter(text)


def test_a_rule_selects_the_events_that_it_matches(tmp_path: Path) -> None:
    stack = stack_of(DataDirectory(tmp_path))
    selection = Selection(rules=find_rules(stack, ["HighValueRule"]))
    large = order("T-1", items=[{"sku": "TEA", "quantity": 1, "unit_price": 1000}], total=1000)
    assert [selection.takes(each) for each in (order("T-1"), large)] == [False, True]
    with pytest.raises(CommandError, match=r"'Nope' does not exist; the rules are .*HighValueRule"):
        find_rules(stack, ["Nope"])


def test_times_bound_the_events_and_the_end_is_excluded() -> None:
    def at(text: str) -> float:
        return datetime.fromisoformat(text).timestamp()

    selection = Selection(since=at("2026-01-31T12:00:00Z"), until=at("2026-01-31T13:00:00Z"))
    times = ["2026-01-31T11:59:59Z", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"]
    assert [selection.takes({**order(), "time": time}) for time in times] == [False, True, False]
    assert selection.takes(order()), "without a time in the envelope the detail's time counts"
    assert not selection.takes({"detail": {}})


# ---- pace


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def sent_at(pace: Pace, time: FakeTime, *moments: str) -> list[float]:
    sent = []
    for moment in moments:
        pace.wait({"time": moment})
        sent.append(round(time.now, 6))
    return sent


def test_a_rate_spaces_the_events_and_the_first_goes_at_once() -> None:
    time = FakeTime()
    assert sent_at(Pace(4, None, lambda: time.now, time.sleep), time, *"abc") == [0, 0.25, 0.5]


def test_a_speed_spaces_events_as_they_came() -> None:
    time = FakeTime()
    pace = Pace(None, 10, lambda: time.now, time.sleep)
    moments = [f"2026-01-31T12:{minute}Z" for minute in ("00:00", "00:10", "00:05", "00:30")]
    assert sent_at(pace, time, *moments) == [0, 1, 1, 3]


def test_a_rate_bounds_a_speed() -> None:
    time = FakeTime()
    pace = Pace(1, 1000, lambda: time.now, time.sleep)
    moments = [f"2026-01-31T12:00:0{second}Z" for second in range(3)]
    assert sent_at(pace, time, *moments) == [0, 1, 2]


def test_a_long_hold_is_not_caught_up_with() -> None:
    time = FakeTime()
    pace = Pace(10, None, lambda: time.now, time.sleep)
    pace.wait({})
    time.now += 100
    burst = sent_at(pace, time, *("x" * 30))
    assert sum(moment == 100 for moment in burst) <= 10 * LATE + 1


# ---- changes


def line(envelope: dict[str, Any]) -> Line:
    read = read_event("file", 1, json.dumps(envelope))
    assert read.problem is None
    return read


def test_a_replayed_event_has_the_name_and_keeps_its_content_and_id() -> None:
    metadata = {"event_id": "e-1", "correlation_id": "c-1", "unknown": [1]}
    before = line(order("T-1", metadata=metadata))
    after = json.loads((named(before, "again").entry or {})["Detail"])
    assert after["metadata"] == {**metadata, "replay_name": "again"}
    assert {**after, "metadata": 0} == {**order("T-1")["detail"], "metadata": 0}


def test_new_ids_are_the_same_for_the_events_of_an_order() -> None:
    created = with_new_ids(line(order("T-1", metadata={"event_id": "e", "x": 1})), "s")
    cancelled = with_new_ids(line(event("Order Cancelled", "T-1")), "s")
    assert created.event is not None
    assert cancelled.event is not None
    assert created.event.detail.order_id == cancelled.event.detail.order_id == "T-1-s"
    assert json.loads((created.entry or {})["Detail"])["metadata"] == {"x": 1}


@given(st.text("AB-._1", min_size=1, max_size=MAX_ID), st.text("AB-._1", min_size=1, max_size=64))
def test_new_ids_are_short_and_unique(first: str, second: str) -> None:
    ids = new_id(f"A{first}"[:64], "12ab34cd"), new_id(f"A{second}"[:64], "12ab34cd")
    assert all(len(each) <= MAX_ID for each in ids)
    assert (ids[0] == ids[1]) == (f"A{first}"[:64] == f"A{second}"[:64])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=5)


@given(OBJECTS, st.dictionaries(st.sampled_from("abc"), VALUES), st.sampled_from([None, 2]))
def test_members_are_set_and_the_others_kept(
    before: dict[str, Any], changes: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(before, indent=indent)
    values = {name: json.dumps(value) for name, value in changes.items()}
    assert json.loads(with_members(text, values)) == {**before, **changes}
