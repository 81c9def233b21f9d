"""The bus: answers of PutEvents, retries of deliveries, the archive, replays and the outbox."""

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.dead_letters.reading import letters
from infra.errors import InvalidRequest
from infra.local.engine import outbox as outbox_module
from infra.local.engine.targets import Delivery, DeliveryError, QueueTarget
from infra.local.template.stack import Target
from lambda_support.batches import MAX_BYTES
from tests.fakes.redrives import redrive
from tests.fakes.runtime import DAY, HOUR, MINUTE, NOW, ONE_STEP, TEMPLATE, Rig, entry

if TYPE_CHECKING:
    from concurrent.futures import Future

ARCHIVE_DAYS = 30


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


class Unwilling(QueueTarget):
    """A target that refuses events until the test ends."""

    def __init__(self, rig: Rig, *, final: bool = False) -> None:
        self.rig = rig
        self.final = final
        self.attempts: list[float] = []
        self.taken: list[Delivery] = []
        self.willing = False
        self.before = rig.engine.bus.rule_targets["queue"]
        rig.engine.bus.rule_targets["queue"] = self

    def room(self) -> int:
        return self.before.room()

    def end(self) -> None:
        """Let the queue take events again."""
        self.rig.engine.bus.rule_targets["queue"] = self.before

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:
        if target.rule == "NoReplaysRule":
            return
        self.attempts.append(now - NOW)
        if not self.willing:
            raise DeliveryError("SDK_CLIENT_ERROR", "the target is away", final=self.final)
        self.taken.append(delivery)


def of_size(size: int, **fields: Any) -> dict[str, Any]:
    """Return an entry of exactly so many bytes."""
    empty = entry(Source="shop", DetailType="Work", Detail='{"a":""}')
    padding = size - len("shop") - len("Work") - len('{"a":""}')
    return {**empty, "Detail": f'{{"a":"{"x" * padding}"}}', **fields}


# ---- PutEvents


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (None, "greater than or equal to 1"),
        ([], "greater than or equal to 1"),
        ("entries", "length at least 1"),
        ({"Source": "shop"}, "length at least 1"),
        ([1], "length at least 1"),
        ([entry()] * 11, "less than or equal to 10"),
        ([of_size(MAX_BYTES + 1)], f"{MAX_BYTES + 1} bytes of {MAX_BYTES}"),
        ([of_size(MAX_BYTES // 2), of_size(MAX_BYTES // 2 + 1)], "over the limit"),
        ([of_size(MAX_BYTES - 13, Time=NOW)], "over the limit"),
        ([of_size(MAX_BYTES, Resources=["r"])], "over the limit"),
        ([of_size(MAX_BYTES, Source="shöp")], "over the limit"),
    ],
)
def test_a_request_beyond_the_limits_is_refused(rig: Rig, entries: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        rig.ask(lambda now: rig.engine.bus.put(entries, now))
    assert refused.value.code == "ValidationException"
    assert said.rpartition(" ")[2] in str(refused.value)
    assert rig.rows("select * from events") == []


@pytest.mark.parametrize(
    "entries",
    [
        [entry()] * 10,
        [of_size(MAX_BYTES)],
        [of_size(MAX_BYTES - 14, Time=NOW)],
        [of_size(MAX_BYTES // 2), of_size(MAX_BYTES // 2)],
    ],
)
def test_a_request_at_the_limits_is_accepted(rig: Rig, entries: list[Any]) -> None:
    assert rig.put(*entries)["FailedEntryCount"] == 0
    assert len(rig.rows("select * from events")) == len(entries)


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        (entry(Source=...), "InvalidArgument", "Source"),
        (entry(Source=""), "InvalidArgument", "Source"),
        (entry(DetailType=...), "InvalidArgument", "DetailType"),
        (entry(Detail=...), "InvalidArgument", "Detail"),
        (entry(Detail="{"), "MalformedDetail", "Detail is malformed"),
        (entry(Detail="[]"), "MalformedDetail", "Detail is malformed"),
        (entry(Detail="5"), "MalformedDetail", "Detail is malformed"),
        (entry(Detail='{"total": NaN}'), "MalformedDetail", "Detail is malformed"),
        (entry(Detail={"not": "text"}), "MalformedDetail", "Detail is malformed"),
        (entry(EventBusName="another-bus"), "ResourceNotFoundException", "another-bus"),
        (entry(EventBusName=...), "ResourceNotFoundException", "default"),
    ],
)
def test_an_invalid_entry_fails_alone_at_its_index(
    rig: Rig, bad: dict[str, Any], code: str, said: str
) -> None:
    answer = rig.put(entry(), bad, entry())
    assert answer["FailedEntryCount"] == 1
    first, second, third = answer["Entries"]
    assert (second["ErrorCode"], said in second["ErrorMessage"]) == (code, True)
    assert {row["id"] for row in rig.rows("select id from events")} == {
        first["EventId"],
        third["EventId"],
    }


def test_an_event_too_complex_for_a_rule_is_refused_and_rolled_back(tmp_path: Path) -> None:
    pattern = "{detail: {a: {b: {x: [1], y: [1], z: [1]}}}}"
    rig = Rig(tmp_path, template=TEMPLATE.replace("{detail-type: [Spare]}", pattern))
    overlapping = {"a.b": [{"x": 1}] * 900, "a": {"b": [{"y": 1}, {"z": 1}] * 900}}
    answer = rig.put(entry(), entry(Detail=json.dumps(overlapping)), entry())
    first, refused, third = answer["Entries"]
    assert refused["ErrorCode"] == "InvalidArgument"
    assert "Detail is not valid. Reason: Event is too complex" in refused["ErrorMessage"]
    kept = {first["EventId"], third["EventId"]}
    assert {row["id"] for row in rig.rows("select id from events")} == kept
    rig.close()


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(entry(Time=1e20)),
        pytest.param(entry(Time=-1e20)),
        pytest.param(entry(Time="0001-01-01T00:00:00+05:00")),
        entry(Source=5),
        entry(DetailType=5),
        entry(Resources="text"),
    ],
)
def test_any_entry_is_answered(rig: Rig, bad: dict[str, Any]) -> None:
    try:
        answer = rig.put(entry(), bad)
    except InvalidRequest:
        assert rig.rows("select * from events") == []
    else:
        assert len(rig.rows("select * from events")) == 2 - answer["FailedEntryCount"]


def test_a_bus_may_be_named_by_its_arn(rig: Rig) -> None:
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/shop-bus"
    assert rig.put(entry(EventBusName=arn))["FailedEntryCount"] == 0


def test_consumers_get_the_event_in_eventbridges_envelope(rig: Rig) -> None:
    answer = rig.put(
        entry(Detail='{"order_id": "A-1", "n": 1.50}', Time=NOW - 3.5, Resources=["arn:x"])
    )
    rig.settle()
    [message] = rig.queue("Work")
    assert json.loads(message["body"]) == {
        "version": "0",
        "id": answer["Entries"][0]["EventId"],
        "detail-type": "Work",
        "source": "shop",
        "account": "000000000000",
        "time": "2027-01-15T07:59:56Z",
        "region": "us-east-1",
        "resources": ["arn:x"],
        "detail": {"order_id": "A-1", "n": 1.5},
    }


@pytest.mark.parametrize(
    ("given", "time"),
    [
        (..., "2027-01-15T08:00:00Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00Z"),
    ],
)
def test_an_event_has_its_own_time_or_the_time_of_arrival(
    rig: Rig, given: object, time: str
) -> None:
    rig.put(entry(Time=given))
    [row] = rig.rows("select envelope from events")
    assert json.loads(row["envelope"])["time"] == time


def test_an_event_goes_to_each_target_of_each_rule_that_matches_and_to_no_other(rig: Rig) -> None:
    rig.put(entry("Work"), entry("Flow"), entry("Nobody"))
    assert rig.rows("select event_seq, target from deliveries order by id") == [
        {"event_seq": 1, "target": "WorkRule/Queue"},
        {"event_seq": 1, "target": "NoReplaysRule/Queue"},
        {"event_seq": 2, "target": "FlowRule/Flow"},
    ]
    rig.settle()
    assert rig.rows("select * from deliveries") == []
    assert len(rig.queue("Work")) == 1
    assert len(rig.rows("select * from executions")) == 1


# ---- acknowledged means journalled


def test_an_event_is_acknowledged_after_the_commit_of_the_event_and_its_deliveries(
    rig: Rig,
) -> None:
    seen: list[Any] = []
    future: Future[Any] = rig.engine.call(lambda now: rig.engine.bus.put([entry()], now))
    future.add_done_callback(
        lambda _: seen.append(
            rig.outside("select (select count(*) from events), (select count(*) from deliveries)")
        )
    )
    rig.turn()
    assert seen == [[(1, 2)]]


def test_the_commit_of_an_answer_is_synced_to_disk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    rig.settle()
    rig.database.connection.set_trace_callback(lambda text: statements.append(text.lower()))
    monkeypatch.setattr(os, "fdatasync", lambda _: statements.append("sync"))
    rig.put(entry())
    assert [text for text in statements if text in {"commit", "sync"}] == ["commit", "sync"]


def test_a_failed_commit_acknowledges_no_event(rig: Rig) -> None:
    rig.settle()
    [pages] = rig.database.connection.execute("pragma page_count").fetchone()
    rig.database.connection.execute(f"pragma max_page_count = {pages}")
    future: Future[Any] = rig.engine.call(
        lambda now: rig.engine.bus.put([of_size(MAX_BYTES // 2)], now)
    )
    with pytest.raises(sqlite3.OperationalError, match="full"):
        rig.turn()
    assert not future.done()
    assert rig.outside("select * from events") == []


def test_an_acknowledged_event_is_delivered_by_the_next_process(rig: Rig) -> None:
    rig.put(entry())
    rig.restart()
    rig.settle()
    assert len(rig.queue("Work")) == 1


# ---- failing deliveries


def test_a_delivery_is_retried_with_backoff_and_then_becomes_a_dead_letter(rig: Rig) -> None:
    target = Unwilling(rig)
    answer = rig.put(entry())
    rig.settle()
    for _ in range(100):
        rig.pass_time(0.5)
    assert target.attempts == [0, 1, 3, 7]
    [letter] = rig.queue("TargetLetters")
    assert json.loads(letter["body"])["id"] == answer["Entries"][0]["EventId"]
    assert json.loads(letter["attributes"]) == {
        "RULE_ARN": "arn:aws:events:us-east-1:000000000000:rule/shop-bus/WorkRule",
        "TARGET": "WorkRule/Queue",
        "ERROR_CODE": "SDK_CLIENT_ERROR",
        "ERROR_MESSAGE": "the target is away",
        "RETRY_ATTEMPTS": "3",
    }
    assert rig.rows("select * from deliveries") == []


def test_a_recovered_target_gets_the_event_once(rig: Rig) -> None:
    target = Unwilling(rig)
    rig.put(entry())
    rig.settle()
    target.willing = True
    rig.pass_time(1)
    rig.pass_time(HOUR)
    assert len(target.taken) == 1
    assert rig.queue("TargetLetters") == []


def test_next_due_includes_retries_of_deliveries(rig: Rig) -> None:
    Unwilling(rig)
    rig.put(entry())
    rig.settle()
    assert rig.engine.next_due(schedules=False) == NOW + 1


def test_a_final_error_makes_a_dead_letter_without_a_retry(rig: Rig) -> None:
    target = Unwilling(rig, final=True)
    rig.put(entry())
    rig.settle()
    assert target.attempts == [0]
    [letter] = rig.queue("TargetLetters")
    assert json.loads(letter["attributes"])["RETRY_ATTEMPTS"] == "0"


def test_an_event_past_its_maximum_age_becomes_a_dead_letter(rig: Rig) -> None:
    target = Unwilling(rig)
    rig.put(entry())
    rig.settle()
    rig.clock.time += HOUR
    rig.settle()
    assert target.attempts == [0, HOUR]
    assert len(rig.queue("TargetLetters")) == 1


def test_attempts_are_counted_across_a_restart(rig: Rig) -> None:
    Unwilling(rig)
    rig.put(entry())
    rig.settle()
    rig.pass_time(1)
    rig.restart()
    target = Unwilling(rig)
    rig.settle()
    for _ in range(100):
        rig.pass_time(0.5)
    assert target.attempts == [3, 7]
    assert len(rig.queue("TargetLetters")) == 1


def test_a_target_without_a_dead_letter_queue_loses_the_event_after_its_retries(rig: Rig) -> None:
    target = Unwilling(rig)
    rig.put(entry("Spare"))
    rig.settle()
    rig.pass_time(DAY)
    assert target.attempts == [0]
    assert rig.rows("select * from deliveries") == rig.rows("select * from messages") == []


def test_a_failing_delivery_does_not_block_others(rig: Rig) -> None:
    Unwilling(rig)
    rig.put(entry("Work"), entry("Flow"), entry("Work"))
    rig.settle()
    assert [row["status"] for row in rig.rows("select status from executions")] == ["RUNNING"]


def test_the_wait_between_two_retries_has_a_limit(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    target = Unwilling(rig)
    key = "WorkRule/Queue"
    given = rig.engine.bus.targets[key]
    rig.engine.bus.targets[key] = Target(
        given.rule, given.id, given.kind, given.name, DAY, 185, given.dead_letters
    )
    rig.put(entry())
    for _ in range(int(2 * HOUR / 5)):
        rig.pass_time(5)
    waits = [round(b - a) for a, b in zip(target.attempts, target.attempts[1:], strict=False)]
    assert max(waits) == 10 * MINUTE
    assert len(waits) > 15
    rig.close()


def test_an_event_too_large_for_an_execution_is_a_dead_letter_with_the_reason(rig: Rig) -> None:
    rig.put(of_size(MAX_BYTES, DetailType="Flow"))
    rig.settle()
    [letter] = rig.queue("TargetLetters")
    attributes = json.loads(letter["attributes"])
    assert attributes["ERROR_CODE"] == "States.DataLimitExceeded"
    assert rig.rows("select * from executions") == []


# ---- dead letters and their redrive


def dead_letter(rig: Rig) -> int:
    """Make a dead letter; return its id."""
    target = Unwilling(rig, final=True)
    rig.put(entry())
    rig.settle()
    target.end()
    assert target.attempts
    found: int = rig.queue("TargetLetters")[-1]["id"]
    return found


def test_a_redriven_event_goes_to_the_failed_target_only(rig: Rig) -> None:
    number = dead_letter(rig)
    [answer] = rig.ask(lambda now: redrive(rig.engine, [number], now))
    assert (answer["id"], answer["queue"], answer["order_id"]) == (number, "TargetLetters", "A-1")
    assert answer["state"] == "running"
    rig.settle()
    assert len(rig.queue("Work")) == 1
    assert rig.queue("TargetLetters") == []
    assert rig.queue("Untouched") == []


def test_a_dead_letter_has_its_order_and_reason(rig: Rig) -> None:
    number = dead_letter(rig)
    [letter] = letters(rig.database, ["TargetLetters"])
    assert (letter["id"], letter["queue"], letter["order_id"]) == (number, "TargetLetters", "A-1")
    assert letter["reason"] == "SDK_CLIENT_ERROR: the target is away"
    assert letter["from"] == "WorkRule/Queue"
    assert letter["body"]["detail"] == {"order_id": "A-1"}


def test_all_dead_letters_are_redriven_if_none_is_named(rig: Rig) -> None:
    dead_letter(rig)
    dead_letter(rig)
    rig.ask(
        lambda now: rig.engine.journal.batch.add("delete from messages where queue = 'Untouched'")
    )
    assert len(rig.ask(lambda now: redrive(rig.engine, [], now))) == 2
    assert rig.queue("TargetLetters") == []


def test_an_unknown_dead_letter_is_refused_alone(rig: Rig) -> None:
    number = dead_letter(rig)
    answers = rig.ask(lambda now: redrive(rig.engine, [999, number], now))
    assert [(one["id"], one["state"]) for one in answers] == [(999, "refused"), (number, "running")]
    assert "there is no dead letter 999" in answers[0]["message"]
    assert rig.queue("TargetLetters") == []


def test_a_dead_letter_that_cannot_be_redriven_is_refused_alone_and_stays_open(rig: Rig) -> None:
    bad, good = dead_letter(rig), dead_letter(rig)
    rig.database.connection.execute(
        "update messages set attributes = json_set(attributes, '$.TARGET', 'Gone/Queue')"
        " where id = ?",
        (bad,),
    )
    refused, sent = rig.ask(lambda now: redrive(rig.engine, [bad, good], now))
    assert (refused["state"], sent["state"]) == ("refused", "running")
    assert "the template has no target Gone/Queue" in refused["message"]
    assert [letter["id"] for letter in rig.queue("TargetLetters")] == [bad]
    rig.settle()
    assert len(rig.queue("Work")) == 1


def test_a_dead_letter_is_redelivered_from_its_text_if_its_event_is_deleted(
    rig: Rig,
) -> None:
    number = dead_letter(rig)
    rig.database.connection.execute("delete from events")
    rig.ask(lambda now: redrive(rig.engine, [number], now))
    rig.settle()
    [message] = rig.queue("Work")
    assert json.loads(message["body"])["detail"] == {"order_id": "A-1"}


def test_a_redrive_is_committed_before_its_answer(rig: Rig) -> None:
    number = dead_letter(rig)
    rig.ask(lambda now: redrive(rig.engine, [number], now))
    rig.restart()
    rig.settle()
    assert len(rig.queue("Work")) == 1


# ---- the archive


@pytest.mark.parametrize(
    ("source", "age", "kept"),
    [
        ("shop", ARCHIVE_DAYS * DAY - 1, True),
        ("shop", ARCHIVE_DAYS * DAY + 1, False),
        ("elsewhere", DAY - 1, True),
        ("elsewhere", DAY + 1, False),
    ],
)
def test_an_event_is_kept_for_the_archives_retention(
    rig: Rig, source: str, age: float, *, kept: bool
) -> None:
    rig.put(entry(Source=source))
    rig.settle()
    rig.clock.time += age
    rig.ask(rig.engine.bus.forget)
    assert bool(rig.rows("select * from events")) is kept


def test_an_event_with_an_open_delivery_is_never_deleted(rig: Rig) -> None:
    Unwilling(rig)
    rig.put(entry(Source="elsewhere"))
    rig.settle()
    rig.clock.time += 400 * DAY
    rig.ask(rig.engine.bus.forget)
    assert len(rig.rows("select * from events")) == 1


def test_the_sweep_deletes_old_events(rig: Rig) -> None:
    rig.put(entry())
    rig.settle()
    rig.pass_time(ARCHIVE_DAYS * DAY + 2 * HOUR)
    assert rig.rows("select * from events") == []


def test_a_sweep_deletes_a_part_and_the_next_one_the_rest(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.engine.bus.FORGOTTEN", 2)
    rig.put(*(entry() for _ in range(5)))
    rig.settle()
    rig.clock.time += ARCHIVE_DAYS * DAY + 1
    assert rig.ask(rig.engine.bus.forget) is True
    assert len(rig.rows("select * from events")) == 3
    rig.pass_time(2)
    rig.pass_time(2)
    assert rig.rows("select * from events") == []


def test_an_event_that_gets_a_delivery_in_the_turn_of_the_sweep_stays(rig: Rig) -> None:
    rig.put(entry())
    rig.settle()
    rig.clock.time += ARCHIVE_DAYS * DAY + 1
    [event] = rig.rows("select seq, envelope from events")
    bus = rig.engine.bus

    def deliver_and_forget(now: float) -> None:
        bus.deliver_matching(
            event["seq"], rig.engine.stack.rules, json.loads(event["envelope"]), now, "r"
        )
        bus.forget(now)

    rig.ask(deliver_and_forget)
    assert len(rig.rows("select * from events")) == 1
    rig.settle()
    assert bodies(rig, "Work")[-1]["replay-name"] == "r"


# ---- replays


def replay(
    rig: Rig, name: str = "again", rules: tuple[str, ...] = (), since: float = 0, until: float = 0
) -> None:
    """Replay the archive's events of a time range; by default all of them."""
    end = until or NOW + 400 * DAY
    rig.ask(lambda now: rig.engine.replays.start(name, since, end, rules, now))


def bodies(rig: Rig, queue: str) -> list[Any]:
    """Return the parsed bodies in a queue."""
    return [json.loads(message["body"]) for message in rig.queue(queue)]


def test_a_replay_delivers_the_archived_events_again_under_its_name(rig: Rig) -> None:
    [given] = rig.put(entry())["Entries"]
    rig.settle()
    rig.pass_time(HOUR)
    rig.ask(lambda now: rig.engine.journal.batch.add("delete from messages"))
    replay(rig)
    rig.settle()
    [event] = bodies(rig, "Work")
    assert event["replay-name"] == "again"
    assert (event["id"], event["time"]) == (given["EventId"], "2027-01-15T08:00:00Z")
    assert event["detail"] == {"order_id": "A-1"}


def test_the_input_of_a_replayed_events_execution_has_the_replays_name(rig: Rig) -> None:
    rig.put(entry("Flow"))
    rig.settle()
    replay(rig)
    rig.settle()
    inputs = [json.loads(row["input"]) for row in rig.rows("select input from executions")]
    assert [one.get("replay-name") for one in inputs] == [None, "again"]


def test_a_rule_may_exclude_replays(rig: Rig) -> None:
    rig.put(entry())
    rig.settle()
    replay(rig)
    rig.settle()
    assert len(bodies(rig, "Untouched")) == 1
    assert len(bodies(rig, "Work")) == 2


def test_a_replay_may_be_of_named_rules_only(rig: Rig) -> None:
    rig.put(entry("Work"), entry("Flow"))
    rig.settle()
    replay(rig, rules=("FlowRule",))
    rig.settle()
    assert len(bodies(rig, "Work")) == 1
    assert len(rig.rows("select * from executions")) == 2


def test_a_replay_has_the_events_that_arrived_in_its_time_range(rig: Rig) -> None:
    for number in range(4):
        rig.put(entry(Detail=f'{{"n": {number}}}'))
        rig.settle()
        rig.pass_time(MINUTE)
    rig.ask(lambda now: rig.engine.journal.batch.add("delete from messages"))
    replay(rig, since=NOW + MINUTE, until=NOW + 3 * MINUTE)
    rig.settle()
    assert [event["detail"]["n"] for event in bodies(rig, "Work")] == [1, 2]


def test_only_archived_events_are_replayed(rig: Rig) -> None:
    rig.put(entry(Source="elsewhere"))
    rig.settle()
    replay(rig)
    rig.settle()
    assert len(bodies(rig, "Work")) == 1


def test_a_replay_continues_under_its_name_after_a_restart(rig: Rig) -> None:
    rig.put(entry())
    rig.settle()
    replay(rig)
    rig.restart()
    rig.settle()
    assert [event.get("replay-name") for event in bodies(rig, "Work")] == [None, "again"]


def test_a_replayed_event_that_becomes_a_dead_letter_keeps_the_name_when_it_is_redriven(
    rig: Rig,
) -> None:
    rig.put(entry())
    rig.settle()
    Unwilling(rig, final=True)
    replay(rig)
    rig.settle()
    [letter] = bodies(rig, "TargetLetters")
    assert letter["replay-name"] == "again"
    rig.restart()
    number = rig.queue("TargetLetters")[0]["id"]
    rig.ask(lambda now: redrive(rig.engine, [number], now))
    rig.settle()
    assert [event.get("replay-name") for event in bodies(rig, "Work")][-1] == "again"


@pytest.mark.parametrize(
    ("name", "rules", "since", "until", "code"),
    [
        ("taken", (), 0.0, NOW, "ResourceAlreadyExistsException"),
        ("new", ("NoRule",), 0.0, NOW, "ValidationException"),
        ("new", (), NOW, NOW, "ValidationException"),
        ("new", (), NOW, NOW - 1, "ValidationException"),
    ],
)
def test_an_impossible_replay_is_refused_with_its_error_code(
    rig: Rig, name: str, rules: tuple[str, ...], *, since: float, until: float, code: str
) -> None:
    replay(rig, "taken")
    with pytest.raises(InvalidRequest) as refused:
        replay(rig, name, rules, since, until)
    assert refused.value.code == code


def test_of_two_replays_of_one_name_in_one_turn_the_second_is_refused(rig: Rig) -> None:
    rig.put(entry())

    def start(now: float) -> None:
        rig.engine.replays.start("same", 0, NOW + DAY, (), now)

    first, second = rig.engine.call(start), rig.engine.call(start)
    rig.turn()
    assert first.exception(0) is None
    assert isinstance(second.exception(0), InvalidRequest)


# ---- the outbox


def outbox(rig: Rig, kind: str, body: Any) -> None:
    """Write an outbox row, as a service does."""
    rig.database.connection.execute(
        "insert into outbox (kind, body, created_at) values (?, ?, ?)", (kind, json.dumps(body), 0)
    )


def test_outbox_rows_are_sent_at_the_start(rig: Rig) -> None:
    outbox(rig, "event", {"Source": "shop", "DetailType": "Work", "Detail": '{"order_id": "B"}'})
    outbox(rig, "run", {"name": "run-1", "input": {"resume": {"order_id": "B"}}})
    outbox(rig, "message", {"queue": "Work", "body": {"hello": 1}})
    rig.restart()
    rig.settle()
    assert rig.rows("select * from outbox") == []
    assert [row["order_id"] for row in rig.rows("select order_id from events")] == ["B"]
    assert rig.execution("run-1")["order_id"] == "B"
    assert {"hello": 1} in bodies(rig, "Work")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("event", {"Source": "shop", "DetailType": None, "Detail": "{}"}),
        ("event", {"Source": "shop", "DetailType": {"a": 1}, "Detail": "{}"}),
        ("event", {"Source": "shop", "DetailType": "Work", "Detail": "[1]"}),
        ("event", {"Source": "shop", "DetailType": "Work", "Detail": 5}),
        ("event", {"Source": "shop", "DetailType": "Work", "Detail": "{}", "Time": 1e300}),
        ("run", {"name": None, "input": {}}),
        ("run", {"name": [1], "input": {}}),
        ("message", {"queue": "Nowhere", "body": {}}),
        ("message", [1]),
    ],
)
def test_an_unsendable_outbox_row_becomes_a_dead_letter(rig: Rig, kind: str, body: object) -> None:
    rig.failures_expected = True
    outbox(rig, kind, body)
    outbox(rig, "message", {"queue": "Work", "body": {"hello": 1}})
    rig.restart()
    rig.settle()
    assert rig.rows("select * from outbox") == []
    letters = rig.queue(rig.engine.stack.dead_letter_queues[-1])
    assert json.dumps(body) in [letter["body"] for letter in letters]
    assert {"hello": 1} in bodies(rig, "Work")
    assert rig.put(entry())["FailedEntryCount"] == 0


def test_outbox_rows_are_deleted_in_the_transaction_that_sends_them(rig: Rig) -> None:
    rig.settle()
    outbox(rig, "event", {"Source": "shop", "DetailType": "Work", "Detail": "{}"})
    rig.restart()
    [pages] = rig.database.connection.execute("pragma page_count").fetchone()
    rig.database.connection.execute(f"pragma max_page_count = {pages}")
    rig.engine.call(lambda now: rig.engine.bus.put([of_size(MAX_BYTES // 2)], now))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        rig.turn()
    assert rig.outside("select count(*) from outbox") == [(1,)]
    rig.restart()
    rig.settle()
    assert len(rig.queue("Work")) == 1
    assert rig.rows("select * from outbox") == []


def test_all_outbox_rows_are_sent_beyond_one_batch(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH", 3)
    for number in range(10):
        body = {"Source": "shop", "DetailType": "Nobody", "Detail": f'{{"n": {number}}}'}
        outbox(rig, "event", body)
    rig.restart()
    rig.settle()
    events = [json.loads(row["envelope"]) for row in rig.rows("select envelope from events")]
    assert [event["detail"]["n"] for event in events] == list(range(10))


def test_a_run_that_is_requested_twice_starts_once(rig: Rig) -> None:
    for _ in range(2):
        outbox(rig, "run", {"name": "run-1", "input": {}})
    rig.restart()
    rig.settle()
    assert len(rig.rows("select * from executions")) == 1


def test_a_run_that_cannot_start_becomes_a_dead_letter_with_the_reason(rig: Rig) -> None:
    outbox(rig, "run", {"name": "run-1", "input": {"text": "x" * MAX_BYTES}})
    rig.restart()
    rig.settle()
    assert rig.rows("select * from outbox") == []
    [letter] = letters(rig.database, rig.engine.stack.dead_letter_queues)
    assert "States.DataLimitExceeded" in letter["reason"]


def test_a_message_for_a_queue_that_does_not_exist_does_not_stop_the_platform(rig: Rig) -> None:
    rig.failures_expected = True
    outbox(rig, "message", {"queue": "Nowhere", "body": {}})
    outbox(rig, "message", {"queue": "Work", "body": {"hello": 1}})
    rig.restart()
    rig.settle()
    assert bodies(rig, "Work") == [{"hello": 1}]


def test_outbox_rows_of_a_function_are_sent_when_it_returns(rig: Rig) -> None:
    rig.start("one")
    [call] = rig.functions.calls
    outbox(rig, "event", {"Source": "shop", "DetailType": "Nobody", "Detail": "{}"})
    rig.functions.answer(call, {})
    rig.turn()
    assert len(rig.rows("select * from events")) == 1
    assert ONE_STEP["StartAt"] in rig.entered("one")
