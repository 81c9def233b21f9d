"""Dead letters: out of their queues only together with what takes their place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.dead_letters.batch_failures import failure_reasons
from infra.dead_letters.reading import closed_letters, history, letters
from infra.errors import InvalidRequest
from infra.local.engine.redrive import Redrive
from infra.local.engine.targets import DeliveryError
from lambda_support.batches import FAILED_MESSAGES
from tests.fakes.redrives import redrive
from tests.fakes.runtime import DAY, FunctionError, Rig, entry

VISIBILITY = 60.0
RECEIVES = 3
QUEUES = ["WorkLetters", "TargetLetters"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


def raising(_: Any) -> Any:
    raise FunctionError("Oops", "nothing works")


def given_up(rig: Rig, body: str = '{"order_id": "A-1"}') -> int:
    """Let a message fail as often as it may; return its letter. From then on its function works."""
    rig.handlers["Worker"] = raising
    rig.send(body)
    rig.settle()
    for _ in range(RECEIVES):
        rig.pass_time(VISIBILITY)
    rig.handlers["Worker"] = lambda _: {}
    found: int = open_letters(rig)[-1]["id"]
    return found


def refuse(patch: pytest.MonkeyPatch, rig: Rig, kind: str, code: str, why: str) -> None:
    """Let a kind of target refuse every event."""

    def deliver(*_: Any) -> None:
        raise DeliveryError(code, why, final=True)

    patch.setattr(rig.engine.bus.rule_targets[kind], "deliver", deliver)


def undelivered(rig: Rig, kind: str, name: str) -> int:
    """Let a kind of target refuse an event; return its letter. From then on it takes events."""
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, rig, kind, "NO_PERMISSIONS", "no")
        rig.put(entry(name))
        rig.settle()
    found: int = open_letters(rig)[-1]["id"]
    return found


def open_letters(rig: Rig) -> list[dict[str, Any]]:
    return letters(rig.database, QUEUES)


def closed(rig: Rig, number: int) -> dict[str, Any]:
    [letter] = closed_letters(rig.database, [number])
    return letter


def redriven(rig: Rig, *ids: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.ask(lambda now: redrive(rig.engine, ids, now, "ada"))
    return found


def look(rig: Rig) -> None:
    """Let the engine work, and look at what became of redriven letters."""
    rig.settle()
    rig.pass_time(1.0)


# ---- what became of it


def test_a_redriven_message_that_is_handled_closes_its_letter(rig: Rig) -> None:
    number = given_up(rig)
    [answer] = redriven(rig, number)
    assert (answer["state"], open_letters(rig)) == ("running", [])
    assert closed(rig, number)["state"] == "PENDING"
    look(rig)
    assert (closed(rig, number)["state"], closed(rig, number)["outcome"]) == ("DONE", "handled")
    told = [(one["who"], one["what"]) for one in history(rig.database, number)]
    assert told == [("ada", "REDRIVEN"), ("orderflow", "DONE")]


def test_a_redriven_message_that_fails_again_is_the_letter_that_replaces_the_old_one(
    rig: Rig,
) -> None:
    number = given_up(rig)
    rig.handlers["Worker"] = raising
    redriven(rig, number)
    rig.settle()
    for _ in range(RECEIVES + 1):
        rig.pass_time(VISIBILITY)
    [letter] = open_letters(rig)
    assert letter["id"] != number
    assert letter["reason"] == "received 3 times without success; Oops: nothing works"
    assert closed(rig, number)["replaced_by"] == letter["id"]
    told = [(one["letter"], one["what"]) for one in history(rig.database, letter["id"])]
    assert told == [(number, "REDRIVEN"), (number, "REPLACED")]


def test_a_redriven_event_that_is_delivered_closes_its_letter(rig: Rig) -> None:
    number = undelivered(rig, "queue", "Work")
    redriven(rig, number)
    look(rig)
    assert closed(rig, number)["outcome"] == "delivered to WorkRule/Queue"


def test_a_redriven_event_that_is_refused_again_is_another_letter(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = undelivered(rig, "queue", "Work")
    refuse(monkeypatch, rig, "queue", "GONE", "the queue is away")
    redriven(rig, number)
    look(rig)
    [letter] = open_letters(rig)
    assert letter["reason"] == "GONE: the queue is away"
    assert closed(rig, number)["replaced_by"] == letter["id"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_redriven_event_that_starts_a_run_waits_for_the_run(rig: Rig, *, fails: bool) -> None:
    number = undelivered(rig, "machine", "Flow")
    redriven(rig, number)
    look(rig)
    assert closed(rig, number)["state"] == "PENDING"
    [call] = rig.functions.calls
    if fails:
        rig.functions.fail(call, "Oops", "nothing works")
    else:
        rig.functions.answer(call, {})
    look(rig)
    if fails:
        [letter] = open_letters(rig)
        assert letter["id"] == number
        assert letter["reason"].endswith("its run FAILED: Oops: nothing works")
    else:
        assert closed(rig, number)["outcome"] == "its run has succeeded"


DAMAGED = [
    ("AttentionQueue", {"execution": "\ud800"}),
    ("AttentionQueue", {"execution": ["a"]}),
    ("TargetLetters", {"id": "\ud800"}),
    ("TargetLetters", {"id": {"a": 1}}),
    ("TargetLetters", {}),
]
"""Letters whose ids are not text, or text that SQLite returns as invalid UTF-8."""


@pytest.mark.parametrize(("queue", "body"), DAMAGED)
@pytest.mark.parametrize("kind", ["machine", "queue"])
def test_a_damaged_letter_hides_the_outcome_of_no_other_redrive(
    rig: Rig, kind: str, queue: str, body: dict[str, Any]
) -> None:
    number = undelivered(rig, kind, {"machine": "Flow", "queue": "Work"}[kind])
    rig.send(json.dumps(body), queue=queue)
    redriven(rig, number)
    look(rig)
    for call in rig.functions.calls:
        rig.functions.fail(call, "Oops", "nothing works")
    look(rig)
    if kind == "machine":
        assert open_letters(rig)[0]["reason"].endswith("its run FAILED: Oops: nothing works")
    else:
        assert closed(rig, number)["outcome"] == "delivered to WorkRule/Queue"
    assert rig.failures() == []


@pytest.mark.parametrize("event_id", ["e-1", 5])
def test_an_event_is_found_by_its_id_when_its_target_refuses_it_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, event_id: object
) -> None:
    number = undelivered(rig, "queue", "Work")
    [row] = rig.rows("select body from messages where queue = 'TargetLetters'")
    body = json.dumps(json.loads(row["body"]) | {"id": event_id})
    rig.database.connection.execute("update messages set body = ?", (body,))
    refuse(monkeypatch, rig, "queue", "GONE", "the queue is away")
    redriven(rig, number)
    look(rig)
    [letter] = open_letters(rig)
    assert closed(rig, number)["replaced_by"] == letter["id"]


def test_a_restart_between_the_redrive_and_its_end_forgets_neither(rig: Rig) -> None:
    number = undelivered(rig, "machine", "Flow")
    redriven(rig, number)
    rig.settle()
    rig.restart()
    rig.settle()
    rig.functions.answer(rig.functions.calls[-1], {})
    look(rig)
    assert closed(rig, number)["state"] == "DONE"


def test_a_letter_that_came_back_can_be_redriven_again(rig: Rig) -> None:
    number = undelivered(rig, "machine", "Flow")
    for _ in range(2):
        redriven(rig, number)
        look(rig)
        rig.functions.fail(rig.functions.calls[-1], "Oops", "nothing works")
        look(rig)
        assert [letter["id"] for letter in open_letters(rig)] == [number]
    assert len(rig.functions.calls) == 2


def test_a_redriven_message_is_sent_as_it_was_to_the_last_digit(rig: Rig) -> None:
    body = '{"order_id": "A-1", "total": 999.99999999999999999, "n": 12345678901234567890123}'
    number = given_up(rig, body)
    redriven(rig, number)
    rig.settle()
    assert handed(rig)[-1] == body


# ---- one transaction


def test_a_message_done_in_the_same_turn_takes_no_redriven_letter_with_it(rig: Rig) -> None:
    """Statements of a batch run in the order of their first rows: deletions must not come first."""
    number = given_up(rig)
    del rig.handlers["Worker"]
    rig.send("other")
    rig.settle()
    rig.functions.answer(rig.functions.calls[-1], {})
    redriven(rig, number)
    assert closed(rig, number)["body"] == {"order_id": "A-1"}
    assert {message["body"] for message in rig.queue("Work")} == {'{"order_id": "A-1"}'}


def test_two_requests_of_one_turn_do_not_redrive_a_letter_twice(rig: Rig) -> None:
    number = given_up(rig)
    asked = [rig.engine.call(lambda now: redrive(rig.engine, [number], now)) for _ in range(2)]
    rig.turn()
    states = [one["state"] for answer in asked for one in answer.result(0)]
    assert states == ["running", "refused"]
    assert len(rig.queue("Work")) == 1


def test_a_letter_in_another_state_is_refused_with_that_state(rig: Rig) -> None:
    done, dropped = given_up(rig), given_up(rig)
    rig.ask(lambda now: rig.engine.dead_letters.discard([dropped], "ours", "ada", now))
    del rig.handlers["Worker"]
    redriven(rig, done)
    answers = redriven(rig, done, dropped, 999)
    assert [one["state"] for one in answers] == ["refused"] * 3
    assert "redriven already" in answers[0]["message"]
    assert f"orders dead-letters undo {dropped}" in answers[1]["message"]
    assert "there is no dead letter 999" in answers[2]["message"]


# ---- discarded, put back, put right


def test_a_discarded_letter_is_kept_with_who_why_and_when(rig: Rig) -> None:
    number = given_up(rig)
    rig.ask(lambda now: rig.engine.dead_letters.discard([number], "a test of ours", "ada", now))
    assert open_letters(rig) == []
    letter = closed(rig, number)
    assert (letter["state"], letter["outcome"]) == ("DISCARDED", "a test of ours")
    [entry_of_log] = history(rig.database, number)
    assert (entry_of_log["who"], entry_of_log["what"]) == ("ada", "DISCARDED")
    assert entry_of_log["detail"] == {"reason": "a test of ours"}


def test_undo_puts_a_discarded_letter_back_as_it_was(rig: Rig) -> None:
    number = given_up(rig)
    [before] = open_letters(rig)
    rig.ask(lambda now: rig.engine.dead_letters.discard([number], "a mistake", "ada", now))
    rig.clock.time += DAY
    [answer] = rig.ask(lambda now: rig.engine.dead_letters.restore([number], "ada", now))
    assert answer["state"] == "restored"
    [after] = open_letters(rig)
    for name in ("id", "queue", "since", "reason", "body", "from"):
        assert after[name] == before[name]
    assert closed_letters(rig.database) == []
    redriven(rig, number)
    look(rig)
    assert closed(rig, number)["state"] == "DONE"


def test_a_discarded_letter_is_dropped_for_good_after_14_days(rig: Rig) -> None:
    number = given_up(rig)
    rig.ask(lambda now: rig.engine.dead_letters.discard([number], "ours", "ada", now))
    rig.pass_time(14 * DAY - 3_600)
    assert closed(rig, number)
    rig.pass_time(2 * 3_600 + 1)
    assert closed_letters(rig.database) == []
    assert history(rig.database, number) == []
    [answer] = rig.ask(lambda now: rig.engine.dead_letters.restore([number], "ada", now))
    assert answer["state"] == "refused"


def test_an_edit_that_breaks_the_contract_or_meets_no_event_changes_nothing(rig: Rig) -> None:
    of_target, of_queue = undelivered(rig, "queue", "Work"), given_up(rig)
    before = open_letters(rig)
    edit = rig.engine.dead_letters.edit
    broken = rig.ask(lambda now: edit(of_target, {"source": "orders.service"}, "ada", now))
    assert (broken["state"], "detail-type" in broken["message"]) == ("refused", True)
    event = {
        "source": "orders.service",
        "detail-type": "Order Cancelled",
        "detail": {"order_id": "A-1", "timestamp": "2026-01-31T12:00:00Z"},
    }
    eventless = rig.ask(lambda now: edit(of_queue, event, "ada", now))
    assert (eventless["state"], "has no event" in eventless["message"]) == ("refused", True)
    assert open_letters(rig) == before


def test_an_edited_event_is_what_its_target_gets(rig: Rig) -> None:
    number = undelivered(rig, "queue", "Work")
    event = {
        "source": "orders.service",
        "detail-type": "Order Cancelled",
        "detail": {"order_id": "A-2", "timestamp": "2026-01-31T12:00:00Z"},
    }
    rig.ask(lambda now: rig.engine.dead_letters.edit(number, event, "ada", now))
    redriven(rig, number)
    look(rig)
    [message] = rig.queue("Work") or [{"body": handed(rig)[-1]}]
    assert json.loads(message["body"])["detail"] == event["detail"]
    assert closed(rig, number)["state"] == "DONE"


def handed(rig: Rig) -> list[str]:
    return [one["body"] for batch in rig.functions.of("Worker") for one in batch["Records"]]


# ---- reasons


def test_the_reason_that_a_function_gave_for_a_message_is_its_letters(rig: Rig) -> None:
    rig.send("poison")
    for _ in range(RECEIVES + 1):
        rig.settle()
        if not rig.queue("Work"):
            break
        [record] = json.loads(rig.functions.calls[-1].payload)["Records"]
        failed = {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
        told = {"_aws": {}, FAILED_MESSAGES: {record["messageId"]: "MailError: no such mailbox"}}
        rig.functions.answer(rig.functions.calls[-1], failed, metrics=[json.dumps(told)])
        rig.settle()
        rig.pass_time(VISIBILITY)
    [letter] = open_letters(rig)
    assert letter["reason"] == "received 3 times without success; MailError: no such mailbox"


@pytest.mark.parametrize("told", ["nonsense", [1], {"m": {"a": 1}}, 5, None])
def test_reasons_of_another_form_are_listed(told: object) -> None:
    assert isinstance(failure_reasons([json.dumps({FAILED_MESSAGES: told})]), dict)
    assert failure_reasons([f"{{{FAILED_MESSAGES}"]) == {}


def test_a_reason_that_no_database_can_store_is_made_storable() -> None:
    line = f'{{"{FAILED_MESSAGES}": {{"m": "a \\ud800"}}}}'
    [reason] = failure_reasons([line]).values()
    assert reason.encode() == b"a ?"


# ---- requests for attention


def attention(order_id: str, error: str, execution: str) -> str:
    reason = {"error": error, "cause": "c"}
    body = {"consumer": "order_processing", "execution": execution}
    return json.dumps({**body, "order_id": order_id, "reason": reason})


def test_of_one_order_and_error_there_is_one_open_request_for_attention(rig: Rig) -> None:
    for execution in ("run-1", "run-2", "run-3"):
        rig.send(attention("A-1", "PaymentGatewayError", execution), queue="AttentionQueue")
    rig.send(attention("A-1", "CarrierError", "run-4"), queue="AttentionQueue")
    rig.send(attention("A-2", "PaymentGatewayError", "run-5"), queue="AttentionQueue")
    first, *others = letters(rig.database, ["AttentionQueue"])
    assert first["body"]["execution"] == "run-3"
    assert "3 times, the last " in first["reason"]
    assert [one["body"]["execution"] for one in others] == ["run-4", "run-5"]


@pytest.mark.parametrize("body", ["no JSON", "[1]", '{"order_id": 5}', "{}"])
def test_a_request_for_attention_of_another_form_is_a_letter_of_its_own(
    rig: Rig, body: str
) -> None:
    for _ in range(2):
        rig.send(body, queue="AttentionQueue")
    assert len(letters(rig.database, ["AttentionQueue"])) == 2


def test_a_request_in_the_turn_that_takes_its_letter_out_is_not_lost(rig: Rig) -> None:
    rig.send(attention("A-1", "CarrierError", "run-1"), queue="AttentionQueue")
    rig.engine.stack.queues["AttentionQueue"] = rig.engine.stack.queues["Untouched"]
    [letter] = letters(rig.database, ["AttentionQueue"])

    def both(now: float) -> None:
        rig.engine.dead_letters.discard([letter["id"]], "seen", "ada", now)
        body = attention("A-1", "CarrierError", "run-2")
        rig.engine.queues.send("AttentionQueue", body, {}, now)

    rig.ask(both)
    [again] = letters(rig.database, ["AttentionQueue"])
    assert again["body"]["execution"] == "run-2"


def test_a_refused_redrive_holds_its_order_as_before(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = given_up(rig)
    held = rig.engine.quarantined_orders
    rig.ask(lambda now: held.hold("A-1", "its runs failed", now))

    def send(*_: Any) -> Any:
        raise InvalidRequest("ResourceConflictException", "the run exists already")

    monkeypatch.setattr(Redrive, "send", send)
    [answer] = redriven(rig, letter)
    assert (answer["state"], answer["message"]) == ("refused", "the run exists already")
    assert held.holds("A-1")
    rig.restart()
    assert rig.engine.quarantined_orders.holds("A-1")
    monkeypatch.undo()
    assert redriven(rig, letter)[0]["state"] == "running"
    assert not rig.engine.quarantined_orders.holds("A-1")
