"""The lists of the bus, of dead letters and of operators' activity, on a real directory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine import operator_actions
from infra.local.engine.operator_actions import DONE, Action
from infra.local.engine.targets import DeliveryError
from infra.patterns import compile_pattern
from infra.views import bus_events, letter_groups
from infra.views.activity import Activity, ActivityCursor, activity_page
from infra.views.bus_events import EventFilter, deliveries_of, events_page, find_event, seq_at
from infra.views.closed_letters import closed_page
from infra.views.foreseen_redrive import NO_WAY_BACK, UNKNOWN_ORDER, foreseen
from infra.views.letter_groups import LetterIndex, grouped, key_of, of_group
from infra.views.rule_activity import matched_recently, pending_of
from infra.views.rule_verdicts import rule_verdicts, verdict
from tests.fakes.runtime import HOUR, MINUTE, NOW, FunctionError, Rig, entry

QUEUES = ["WorkLetters", "TargetLetters"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path, handlers={"Worker": lambda _: {}, "Step": lambda _: {}})
    yield opened
    opened.close()


def numbers(page: bus_events.EventPage) -> list[int]:
    return [event.seq for event in page.events]


# ---- the bus


def test_pages_have_each_event_once_and_the_newest_first(rig: Rig) -> None:
    for number in range(25):
        rig.put(entry("Work", f'{{"n": {number}}}'))
    before: int | None = None
    seen: list[int] = []
    while True:
        page = events_page(rig.reader(), EventFilter(), before, size=10)
        seen += numbers(page)
        before = page.before
        if before is None:
            break
    assert seen == list(range(25, 0, -1))


def test_a_filter_selects_by_type_source_order_and_pattern(rig: Rig) -> None:
    rig.put(entry("Work", '{"order_id": "A-1", "total": 5}'))
    rig.put(entry("Flow", '{"order_id": "A-2", "total": 50}'))
    reader = rig.reader()
    over = compile_pattern('{"detail": {"total": [{"numeric": [">", 10]}]}}')
    assert numbers(events_page(reader, EventFilter(type="Flow"))) == [2]
    assert numbers(events_page(reader, EventFilter(order_id="A-1"))) == [1]
    assert numbers(events_page(reader, EventFilter(source="shop"))) == [2, 1]
    assert numbers(events_page(reader, EventFilter(source="other"))) == []
    assert numbers(events_page(reader, EventFilter(pattern=over))) == [2]
    assert numbers(events_page(reader, EventFilter(type="Work", pattern=over))) == []


def test_a_page_reads_a_bounded_number_of_rows_and_continues_where_it_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_events, "MAX_ROWS", 4)
    rig.put(entry("Flow"))
    for _ in range(7):
        rig.put(entry("Work"))
    first = events_page(rig.reader(), EventFilter(type="Flow"))
    assert (first.events, first.before, first.is_partial, first.back_to) == ((), 5, True, NOW)
    second = events_page(rig.reader(), EventFilter(type="Flow"), first.before)
    assert numbers(second) == [1]


def test_a_time_is_a_cursor_of_the_events_until_then(rig: Rig) -> None:
    rig.put(entry("Work"))
    rig.pass_time(HOUR)
    rig.put(entry("Work"))
    reader = rig.reader()
    assert numbers(events_page(reader, EventFilter(), seq_at(reader, NOW + MINUTE))) == [1]
    assert seq_at(reader, NOW - 1) is None


def test_no_page_scans_the_journal(rig: Rig) -> None:
    reader = rig.reader()
    events = "select seq from events where"
    plans = {
        f"{events} seq < 9 order by seq desc limit 5": "PRIMARY KEY",
        f"{events} seq < 9 and order_id = 'a' order by seq desc limit 5": "events_by_order",
        f"{events} arrived_at <= 9 order by arrived_at desc limit 1": "events_by_time",
        "select due from deliveries where target = 'a' and due >= 1 order by due, id limit 5": (
            "deliveries_by_due"
        ),
    }
    for query, index in plans.items():
        [step] = [row["detail"] for row in reader.rows(f"explain query plan {query}")]
        assert step.startswith("SEARCH"), step
        assert index in step


def test_an_event_has_its_pending_and_its_failed_deliveries(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise DeliveryError("NO_PERMISSIONS", "no")

    monkeypatch.setattr(rig.engine.bus.rule_targets["queue"], "deliver", refuse)
    rig.put(entry("Work"))
    rig.settle()
    event = find_event(rig.reader(), 1)
    assert event is not None
    waiting = deliveries_of(rig.reader(), rig.engine.stack, event)
    assert [(each.target, each.attempts) for each in waiting.pending] == [
        ("WorkRule/Queue", 1),
        ("NoReplaysRule/Queue", 1),
    ]
    assert waiting.is_complete
    rig.pass_time(2 * HOUR)
    ended = deliveries_of(rig.reader(), rig.engine.stack, event)
    assert [(each.target, each.code) for each in ended.failed] == [
        ("WorkRule/Queue", "NO_PERMISSIONS")
    ]


def test_each_rule_has_the_verdict_of_the_bus(rig: Rig) -> None:
    rig.put(entry("Work", '{"total": 12345678901234567890}'))
    event = find_event(rig.reader(), 1)
    assert event is not None
    verdicts = {
        each.rule: each.verdict for each in rule_verdicts(rig.engine.stack.rules, event.content)
    }
    assert {name: each.matches for name, each in verdicts.items()} == {
        "WorkRule": True,
        "NoReplaysRule": True,
        "SpareRule": False,
        "FlowRule": False,
    }
    assert verdicts["FlowRule"].reason == '`detail-type` wants "Flow", has "Work"'


def test_a_verdict_explains_the_nearest_alternative_first() -> None:
    pattern = compile_pattern('{"$or": [{"a": [1], "b": [1]}, {"a": [2]}]}')
    found = verdict(pattern, {"a": 1, "b": 2})
    assert not found.matches
    assert found.reason == "`b` wants 1, has 2"


# ---- dead letters


def failing(rig: Rig, *bodies: str, error: str = "Oops") -> None:
    """Let messages fail as often as they may."""

    def raise_error(_: Any) -> Any:
        raise FunctionError(error, "nothing works")

    rig.handlers["Worker"] = raise_error
    rig.send(*bodies)
    rig.settle()
    for _ in range(3):
        rig.pass_time(MINUTE)


def reason_body(order_id: str, message: str) -> str:
    reason = {"error": "InvalidEvent", "message": message}
    return json.dumps({"order_id": order_id, "reason": reason, "consumer": "worker", "event": {}})


def test_dead_letters_of_one_cause_are_one_group(rig: Rig) -> None:
    bodies = [reason_body(f"A-{n}", f"items[{n}]: 'x{n}' is no number") for n in range(4)]
    rig.send(*bodies, reason_body("B-1", "currency: is missing"), queue="TargetLetters")
    rig.pass_time(HOUR + 1)
    rig.send(reason_body("A-0", "items[7]: 'y' is no number"), queue="TargetLetters")
    found = LetterIndex().read(rig.reader(), QUEUES)
    largest, other = grouped(found.facts, "reason", rig.clock.time)
    assert (largest.label, largest.count, largest.orders) == (
        "InvalidEvent: items[]: … is no number",
        5,
        4,
    )
    assert (largest.first, largest.last) == (NOW, NOW + HOUR + 1)
    assert (largest.last_hour, sum(largest.hours), other.last_hour) == (1, 5, 0)
    assert [fact.id for fact in largest.samples] == [6, 4, 3]
    assert [fact.id for fact in of_group(found.facts, "reason", other.key)] == [5]


def test_groups_are_by_queue_and_consumer_too(rig: Rig) -> None:
    failing(rig, "{}")
    rig.send(reason_body("A-1", "x"), queue="TargetLetters")
    facts = LetterIndex().read(rig.reader(), QUEUES).facts
    assert {group.label for group in grouped(facts, "queue")} == set(QUEUES)
    assert {group.label for group in grouped(facts, "consumer")} == {"Work", "worker"}
    assert of_group(facts, "queue", key_of("nothing")) == []


def test_the_index_sees_edits_and_closings(rig: Rig) -> None:
    rig.send(reason_body("A-1", "first"), reason_body("A-2", "first"), queue="TargetLetters")
    index = LetterIndex()
    assert {fact.order_id for fact in index.read(rig.reader(), QUEUES).facts} == {"A-1", "A-2"}
    rig.database.connection.execute(
        "update messages set body = ?, attributes = ? where id = 1",
        (reason_body("A-9", "first"), '{"EDITED": "2027-01-15T08:00:00Z"}'),
    )
    rig.ask(lambda now: rig.engine.dead_letters.discard([2], "no need", "ada", now))
    assert [fact.order_id for fact in index.read(rig.reader(), QUEUES).facts] == ["A-9"]


def test_more_dead_letters_than_the_limit_are_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_groups, "MAX_LETTERS", 2)
    rig.send(*(reason_body(f"A-{n}", "x") for n in range(3)), queue="TargetLetters")
    found = LetterIndex().read(rig.reader(), QUEUES)
    assert (found.total, len(found.facts), found.is_complete) == (3, 2, False)


def test_a_redrive_is_foreseen_by_destination_and_status(rig: Rig) -> None:
    failing(rig, '{"order_id": "A-1"}')
    run = {"consumer": "order_processing", "event": {"detail": {"order_id": "A-2"}}}
    rig.send(json.dumps(run), '"text"', queue="TargetLetters")
    rig.database.connection.execute("create table if not exists orders (order_id, status)")
    ids = [row["id"] for row in rig.rows("select id from messages order by id")]
    found = foreseen(rig.reader(), rig.engine.stack, ids)
    assert dict(found.destinations) == {
        "the queue Work": 1,
        "a run with its event": 1,
        NO_WAY_BACK: 1,
    }
    assert found.stuck == (ids[-1],)
    assert dict(found.statuses) == {UNKNOWN_ORDER: 3}
    answers = rig.ask(lambda now: rig.engine.dead_letters.redrive(ids, "ada", now))
    refused = [answer["id"] for answer in answers if answer["state"] == "refused"]
    assert refused == list(found.stuck)


def test_closed_dead_letters_come_in_pages(rig: Rig) -> None:
    rig.send(*(reason_body(f"A-{n}", "x") for n in range(5)), queue="TargetLetters")
    rig.ask(lambda now: rig.engine.dead_letters.discard([1, 2, 4, 5], "no", "ada", now))
    first = closed_page(rig.reader(), size=3)
    assert [letter.id for letter in first.letters] == [5, 4, 2]
    assert first.letters[0].closing is not None
    assert first.letters[0].closing.outcome == "no"
    rest = closed_page(rig.reader(), first.before, size=3)
    assert ([letter.id for letter in rest.letters], rest.before) == ([1], None)


def test_a_rule_has_its_recent_events_and_pending_deliveries(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.engine.bus.rule_targets["queue"], "room", lambda: 0)
    rig.put(entry("Work"), entry("Spare"), entry("Work"))
    pattern = compile_pattern('{"detail-type": ["Work"]}')
    recent = matched_recently(rig.reader(), pattern)
    assert ([event.seq for event in recent.events], recent.count) == ([3, 1], 2)
    assert (recent.searched, recent.since) == (3, NOW)
    pending = pending_of(rig.reader(), "WorkRule/Queue")
    assert (pending.count, pending.due, pending.is_complete) == (2, NOW, True)
    assert pending_of(rig.reader(), "FlowRule/Flow").count == 0


# ---- activity


def acted(rig: Rig, subject: str, at: float, who: str = "ada") -> None:
    action = Action(who, "cancel", subject, "a customer's wish")
    number = operator_actions.begin(rig.database, action, {"status": "WAITING"}, at)
    operator_actions.end(rig.database, number, {"status": "CANCELLED"}, DONE)


def whole(rig: Rig, size: int, **filters: Any) -> list[Activity]:
    cursor: ActivityCursor | None = None
    entries: list[Activity] = []
    while True:
        page = activity_page(rig.reader(), cursor, size=size, **filters)
        entries += page.entries
        if page.after is None:
            return entries
        cursor = ActivityCursor.of(page.after)


def test_actions_and_operations_on_dead_letters_are_one_list(rig: Rig) -> None:
    rig.send(*(reason_body(f"A-{n}", "x") for n in range(5)), queue="TargetLetters")
    acted(rig, "A-1", NOW)
    rig.pass_time(MINUTE)
    rig.ask(lambda now: rig.engine.dead_letters.discard([1, 2, 3], "not wanted", "bob", now))
    rig.pass_time(MINUTE)
    acted(rig, "it's", rig.clock.time)
    rig.pass_time(MINUTE)
    rig.ask(lambda now: rig.engine.dead_letters.restore([2], "bob", now))
    entries = whole(rig, 50)
    for size in (1, 2, 50):
        assert whole(rig, size) == entries
    assert [(each.what, each.who) for each in entries] == [
        ("undo", "bob"),
        ("cancel", "ada"),
        ("discard", "bob"),
        ("cancel", "ada"),
    ]
    discard = entries[2]
    assert (discard.letters, discard.subject, discard.reason) == (
        (1, 2, 3),
        "3 dead letters",
        "not wanted",
    )
    assert discard.command == "orders dead-letters discard 1 2 3 --reason 'not wanted'"
    assert entries[1].command == """orders cancel 'it'"'"'s' --reason 'a customer'"'"'s wish'"""
    assert (entries[3].before, entries[3].after) == ({"status": "WAITING"}, {"status": "CANCELLED"})


def test_the_command_of_a_redrive_names_the_execution(rig: Rig) -> None:
    action = Action("ada", "redrive execution", "A-1", "mended")
    number = operator_actions.begin(rig.database, action, {}, NOW)
    operator_actions.end(rig.database, number, {"execution": "A-1-2"}, DONE)
    [entry] = whole(rig, 50)
    assert (entry.subject, entry.command) == (
        "A-1",
        "orders workflow redrive A-1-2 --reason mended",
    )


@pytest.mark.parametrize("most", [5, 6, 7])
def test_a_long_log_hides_no_older_entry(
    rig: Rig, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted(rig, "the oldest", NOW)
    for turn in range(4):
        for letter in range(5):
            rig.engine.dead_letters.rows.log(letter, "bob", "RESTORED", NOW + turn, turn=turn)
        acted(rig, f"after {turn}", NOW + turn + 0.5)
    rig.turn()
    monkeypatch.setattr("infra.views.activity.MAX_LOG_ROWS", most)
    entries = whole(rig, 50)
    assert [each.at for each in entries] == sorted((each.at for each in entries), reverse=True)
    assert sum(len(each.letters) for each in entries) == 20
    subjects = [each.subject for each in entries if each.kind == "action"]
    assert subjects == ["after 3", "after 2", "after 1", "after 0", "the oldest"]


def test_the_list_is_of_one_person_or_without_the_platforms_own_entries(rig: Rig) -> None:
    acted(rig, "A-1", NOW)
    acted(rig, "A-2", NOW, who="bob")
    rig.engine.dead_letters.rows.log(7, "orderflow", "DONE", NOW, outcome="order A-1: COMPLETED")
    rig.turn()
    assert {each.who for each in whole(rig, 50)} == {"orderflow", "bob", "ada"}
    assert [each.subject for each in whole(rig, 50, who="bob")] == ["A-2"]
    assert {each.who for each in whole(rig, 50, with_platform=False)} == {"ada", "bob"}


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "-1.2", "1.2.3", "a.b", "¹.2", "1;drop.2"])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        ActivityCursor.of(text)


def test_a_huge_cursor_is_the_start() -> None:
    assert ActivityCursor.of("9" * 400 + ".1").action == (1 << 63) - 1
