"""Queues: batches, visibility timeouts, partial failures, dead letters and their redrive."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.dead_letters.reading import closed_letters, letters
from infra.local.template.functions import CONCURRENCY
from infra.local.workers.invocations import Invocation
from tests.fakes.redrives import redrive
from tests.fakes.runtime import DAY, NOW, TEMPLATE, FunctionError, Rig

VISIBILITY = 60.0
BATCH = 5
RECEIVES = 3


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


def records(invocation: Invocation) -> list[dict[str, Any]]:
    """Return the records of a batch."""
    found: list[dict[str, Any]] = json.loads(invocation.payload)["Records"]
    return found


def handed(rig: Rig) -> list[list[str]]:
    """Return the bodies of each batch that the consumer got."""
    return [[record["body"] for record in event["Records"]] for event in rig.functions.of("Worker")]


def refusing(*bodies: str) -> Any:
    """Return a consumer that reports these messages as failed, as Powertools does."""

    def consume(event: Any) -> Any:
        failed = [one["messageId"] for one in event["Records"] if one["body"] in bodies]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}

    return consume


def raising(_: Any) -> Any:
    raise FunctionError("Oops", "nothing works")


def test_a_consumer_gets_messages_in_the_form_of_sqs(rig: Rig) -> None:
    rig.send("hello")
    rig.settle()
    [call] = rig.functions.calls
    assert call.function.name == "Worker"
    [record] = records(call)
    assert record["body"] == "hello"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:000000000000:Work"
    assert record["attributes"] == {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": str(int(NOW * 1000)),
    }


def test_messages_are_received_in_order_in_batches_of_the_templates_size(rig: Rig) -> None:
    rig.send(*(f"m{number}" for number in range(7)))
    rig.settle()
    assert handed(rig) == [["m0", "m1", "m2", "m3", "m4"], ["m5", "m6"]]


def test_the_number_of_concurrent_batches_is_limited(rig: Rig) -> None:
    rig.send(*(f"m{number}" for number in range(BATCH * (CONCURRENCY + 1))))
    rig.settle()
    assert len(handed(rig)) == CONCURRENCY
    rig.functions.answer(rig.functions.calls[0], {"batchItemFailures": []})
    rig.settle()
    assert len(handed(rig)) == CONCURRENCY + 1


def test_the_engine_does_not_spin_while_all_batch_slots_are_busy(rig: Rig) -> None:
    rig.send(*(f"m{number}" for number in range(BATCH * (CONCURRENCY + 1))))
    rig.settle()
    assert rig.engine.next_due(schedules=False) > NOW


def test_the_template_sets_the_number_of_concurrent_batches(tmp_path: Path) -> None:
    known = "FunctionResponseTypes: [ReportBatchItemFailures]"
    limited = f"{known}, ScalingConfig: {{MaximumConcurrency: 2}}"
    rig = Rig(tmp_path, template=TEMPLATE.replace(known, limited))
    rig.send(*(f"m{number}" for number in range(BATCH * 3)))
    rig.settle()
    assert len(handed(rig)) == 2
    rig.close()


@pytest.mark.parametrize("answer", [{"batchItemFailures": []}, {}, None])
def test_handled_messages_are_deleted(tmp_path: Path, answer: Any) -> None:
    rig = Rig(tmp_path, handlers={"Worker": lambda _: answer})
    rig.send("one", "two")
    rig.settle()
    assert rig.queue("Work") == []
    for _ in range(10):
        rig.pass_time(VISIBILITY)
    assert handed(rig) == [["one", "two"]]
    rig.close()


def test_only_the_poison_message_of_a_batch_is_retried(tmp_path: Path) -> None:
    rig = Rig(tmp_path, handlers={"Worker": refusing("poison")})
    rig.send("a", "b", "poison", "c", "d")
    rig.settle()
    assert [message["body"] for message in rig.queue("Work")] == ["poison"]
    rig.pass_time(VISIBILITY)
    assert handed(rig) == [["a", "b", "poison", "c", "d"], ["poison"]]
    rig.close()


def test_all_messages_of_a_batch_that_raised_are_retried(tmp_path: Path) -> None:
    rig = Rig(tmp_path, handlers={"Worker": raising})
    rig.send("a", "b")
    rig.settle()
    rig.pass_time(VISIBILITY)
    assert handed(rig) == [["a", "b"], ["a", "b"]]
    rig.close()


def test_a_message_in_flight_is_invisible_until_its_timeout(rig: Rig) -> None:
    rig.send("a")
    rig.settle()
    rig.pass_time(VISIBILITY - 1)
    assert len(handed(rig)) == 1
    rig.pass_time(1)
    assert handed(rig) == [["a"], ["a"]]


def test_a_failed_message_stays_invisible_until_its_timeout(tmp_path: Path) -> None:
    rig = Rig(tmp_path, handlers={"Worker": raising})
    rig.send("a")
    rig.settle()
    rig.pass_time(VISIBILITY - 1)
    assert len(handed(rig)) == 1
    assert rig.engine.next_due(schedules=False) == NOW + VISIBILITY
    rig.close()


def test_a_message_has_its_receive_count(tmp_path: Path) -> None:
    rig = Rig(tmp_path, handlers={"Worker": raising})
    rig.send("a")
    rig.settle()
    rig.pass_time(VISIBILITY)
    counts = [
        record["attributes"]["ApproximateReceiveCount"]
        for event in rig.functions.of("Worker")
        for record in event["Records"]
    ]
    assert counts == ["1", "2"]
    rig.close()


def exhaust(rig: Rig, times: int = RECEIVES + 2) -> None:
    """Let a queue's messages fail until their receive limit."""
    rig.settle()
    for _ in range(times):
        rig.pass_time(VISIBILITY)


def test_a_message_past_its_receive_limit_becomes_a_dead_letter_with_the_reason(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, handlers={"Worker": raising})
    rig.send("a")
    exhaust(rig)
    assert len(handed(rig)) == RECEIVES
    assert rig.queue("Work") == []
    [letter] = rig.queue("WorkLetters")
    assert letter["body"] == "a"
    assert json.loads(letter["attributes"]) == {
        "SOURCE_QUEUE": "Work",
        "REASON": "received 3 times without success",
        "ERROR": "Oops: nothing works",
    }
    [told] = letters(rig.database, ["WorkLetters"])
    assert told["reason"] == "received 3 times without success; Oops: nothing works"
    assert told["from"] == "Work"
    rig.close()


def test_only_the_poison_message_becomes_a_dead_letter(tmp_path: Path) -> None:
    rig = Rig(tmp_path, handlers={"Worker": refusing("poison")})
    rig.send(*(f"m{number}" for number in range(9)), "poison")
    exhaust(rig)
    assert [message["body"] for message in rig.queue("WorkLetters")] == ["poison"]
    assert rig.queue("Work") == []
    rig.close()


def test_a_message_in_flight_at_a_crash_is_visible_after_the_restart(rig: Rig) -> None:
    rig.send("a")
    rig.settle()
    rig.restart()
    rig.settle()
    assert handed(rig) == [["a"]]
    [message] = rig.queue("Work")
    assert message["receives"] == 2


def test_a_failed_message_keeps_its_timeout_across_restarts(tmp_path: Path) -> None:
    """Otherwise a few quick restarts would use up its receives."""
    rig = Rig(tmp_path, handlers={"Worker": refusing("poison")})
    rig.send("poison")
    rig.settle()
    for _ in range(RECEIVES + 1):
        rig.restart()
        rig.settle()
    assert [message["receives"] for message in rig.queue("Work")] == [1]
    exhaust(rig)
    [told] = letters(rig.database, ["WorkLetters"])
    assert "reported it as failed" in told["reason"]
    rig.close()


def test_receives_are_counted_across_restarts(rig: Rig) -> None:
    rig.send("deadly")
    for _ in range(RECEIVES + 1):
        rig.settle()
        rig.restart()
    rig.settle()
    assert [message["body"] for message in rig.queue("WorkLetters")] == ["deadly"]


def test_a_consumer_is_called_after_the_commit_of_the_receive(rig: Rig) -> None:
    seen: list[Any] = []
    rig.functions.on_submit = lambda _: seen.append(
        rig.outside("select receives, visible_at from messages")
    )
    rig.send("a")
    rig.settle()
    assert seen == [[(1, NOW + VISIBILITY)]]


def test_a_redriven_message_returns_to_its_queue_with_a_receive_count_of_zero(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, handlers={"Worker": raising})
    rig.send("a")
    exhaust(rig)
    [letter] = rig.queue("WorkLetters")
    rig.handlers["Worker"] = lambda _: {}
    rig.restart()
    [answer] = rig.ask(lambda now: redrive(rig.engine, [letter["id"]], now))
    assert answer["state"] == "running"
    rig.settle()
    assert handed(rig) == [["a"]]
    assert records(rig.functions.calls[0])[0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert rig.queue("Work") + rig.queue("WorkLetters") == []
    rig.close()


def test_messages_past_their_queues_retention_become_dead_letters(
    rig: Rig,
) -> None:
    rig.send("old")
    rig.settle()
    rig.clock.time += DAY - 1
    rig.ask(rig.engine.dead_letters.expire)
    assert len(rig.queue("Work")) == 1
    rig.clock.time += 2
    rig.ask(rig.engine.dead_letters.expire)
    assert rig.queue("Work") == []
    [letter] = letters(rig.database, ["WorkLetters"])
    assert (letter["body"], letter["from"]) == ("old", "Work")
    assert "expired before it was handled" in letter["reason"]


def test_the_sweep_closes_old_dead_letters_which_can_be_restored(rig: Rig) -> None:
    rig.send("letter", queue="WorkLetters")
    rig.settle()
    rig.pass_time(14 * DAY + 1)
    assert rig.queue("WorkLetters") == []
    [closed] = closed_letters(rig.database)
    assert (closed["body"], closed["state"]) == ("letter", "EXPIRED")
    [answer] = rig.ask(lambda now: rig.engine.dead_letters.restore([closed["id"]], "ada", now))
    assert answer["state"] == "restored"
    rig.ask(rig.engine.dead_letters.expire)
    assert [letter["body"] for letter in rig.queue("WorkLetters")] == ["letter"]


def test_a_closed_dead_letter_is_deleted_after_its_retention(rig: Rig) -> None:
    rig.send("letter", queue="WorkLetters")
    rig.settle()
    rig.pass_time(14 * DAY + 1)
    rig.pass_time(14 * DAY + 1)
    assert closed_letters(rig.database) == []


def test_a_sender_gets_the_messages_id_and_digest(rig: Rig) -> None:
    answer = rig.ask(lambda now: rig.engine.queues.send("Work", "hello", {}, now))
    rig.settle()
    assert answer["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert answer["MessageId"] == records(rig.functions.calls[0])[0]["messageId"]


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense",
        [1],
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": "unknown"}]},
        {"batchItemFailures": "nonsense"},
    ],
    ids=str,
)
def test_a_malformed_answer_fails_the_batch(tmp_path: Path, answer: Any) -> None:
    """See: Lambda developer guide, "Handling errors for an SQS event source"."""
    rig = Rig(tmp_path, handlers={"Worker": lambda _: answer})
    rig.send("a")
    rig.settle()
    assert [message["body"] for message in rig.queue("Work")] == ["a"]
    rig.close()
