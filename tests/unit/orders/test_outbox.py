"""The relay sends outbox messages, retries refused ones, and removes accepted ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kernel.errors import StoreError
from kernel.order_record import Message
from lambda_support.batches import MAX_BYTES
from orders.outbox import ATTEMPTS, RESERVE, OutboxItem, Ports, catch_up, relay
from tests.fakes.outbox import Answer, FakeOutbox, FakePublisher, refusing, throttled
from tests.fakes.records import NOW


def event(name: str, size: int = 0) -> Message:
    return Message("event", {"Source": "s", "DetailType": "d", "Detail": name.ljust(size - 2)})


def message(queue: str) -> Message:
    return Message("message", {"queue": queue, "body": {"text": "x"}})


def run(name: str) -> Message:
    return Message("run", {"name": name, "input": {}})


class Relay:
    """A relay with a fake outbox and a fake publisher."""

    def __init__(self, *answers: Answer, **items: Mapping[str, Message]) -> None:
        self.outbox = FakeOutbox(**items)
        self.publisher = FakePublisher(*answers)
        self.waits: list[float] = []
        self.ports = Ports(
            self.outbox, self.publisher, lambda: NOW, self.waits.append, lambda low, high: high
        )

    def run(self, time_left: Callable[[], float] = lambda: 60.0) -> dict[str, str]:
        return relay(records(self.outbox.pending), self.ports, time_left)

    @property
    def sent(self) -> list[int]:
        return [len(request) for request in self.publisher.requests]


def records(items: Sequence[OutboxItem]) -> list[dict[str, Any]]:
    """Return stream records, numbered from 100."""
    return [
        {"dynamodb": {"SequenceNumber": str(number), "item": item}}
        for number, item in enumerate(items, 100)
    ]


def test_accepted_messages_are_sent_once_and_removed() -> None:
    relayed = Relay(a={"1.0": event("one"), "1.1": event("two")}, b={"1.0": event("three")})
    assert relayed.run() == {}
    assert relayed.publisher.requests == [[event("one"), event("two"), event("three")]]
    assert relayed.outbox.remaining == []


def test_a_write_without_a_message_is_skipped() -> None:
    relayed = Relay()
    assert relay([{"dynamodb": {"SequenceNumber": "1"}}], relayed.ports, lambda: 60.0) == {}
    assert relayed.sent == []


def test_the_same_message_in_two_records_is_sent_once() -> None:
    relayed = Relay(a={"1.0": event("one")})
    twice = records(relayed.outbox.pending * 2)
    assert relay(twice, relayed.ports, lambda: 60.0) == {}
    assert relayed.sent == [1]


def test_ten_events_are_one_request() -> None:
    relayed = Relay(**{f"a{number}": {"1.0": event("x")} for number in range(23)})
    relayed.run()
    assert relayed.sent == [10, 10, 3]


@pytest.mark.parametrize(
    ("size", "requests"), [(MAX_BYTES // 2, [2, 1]), (MAX_BYTES // 2 + 1, [1, 1, 1])]
)
def test_a_request_is_within_the_size_limit_of_the_bus(size: int, requests: list[int]) -> None:
    relayed = Relay(**{name: {"1.0": event("x", size)} for name in "abc"})
    relayed.run()
    assert relayed.sent == requests


def test_messages_are_grouped_by_queue_and_runs_are_single_requests() -> None:
    relayed = Relay(
        a={"1.0": message("q1"), "1.1": run("r1")},
        b={"1.0": message("q2"), "1.1": run("r2")},
        c={"1.0": message("q1"), "1.1": event("x")},
    )
    relayed.run()
    assert relayed.publisher.requests == [
        [message("q1"), message("q1")],
        [run("r1")],
        [run("r2")],
        [message("q2")],
        [event("x")],
    ]
    assert relayed.outbox.remaining == []


def test_only_refused_messages_are_sent_again() -> None:
    """F5."""
    items = {name: {"1.0": event(name)} for name in "abc"}
    relayed = Relay(refusing(0, 2), refusing(1), **items)
    assert relayed.run() == {}
    assert [[one.body["Detail"] for one in request] for request in relayed.publisher.requests] == [
        ["a", "b", "c"],
        ["a", "c"],
        ["c"],
    ]
    assert relayed.outbox.remaining == []


def test_a_message_refused_at_every_attempt_stays_and_its_reason_is_returned() -> None:
    relayed = Relay(*[throttled] * ATTEMPTS, a={"1.0": event("a")}, b={"1.0": event("b")})
    assert relayed.run() == dict.fromkeys(["100", "101"], "ThrottlingException: slow down")
    assert relayed.sent == [2] * ATTEMPTS
    assert relayed.waits == [0.2, 0.4, 0.8]  # the most that jitter may make of them
    assert relayed.outbox.remaining == ["a/1.0", "b/1.0"]


def test_only_the_accepted_messages_of_a_record_are_removed() -> None:
    answers = [refusing(1), *[refusing(0)] * ATTEMPTS]
    relayed = Relay(*answers, a={"1.0": event("one"), "1.1": event("two")})
    assert list(relayed.run()) == ["100"]
    assert relayed.outbox.remaining == ["a/1.1"]


@pytest.mark.parametrize(("seconds", "requests"), [(RESERVE, 3), (RESERVE - 0.1, 2)])
def test_messages_stay_for_the_next_invocation_if_time_is_short(
    seconds: float, requests: int
) -> None:
    relayed = Relay(**{f"a{number:02}": {"1.0": event("x")} for number in range(30)})
    failed = relayed.run(lambda: 60.0 if len(relayed.sent) < 2 else seconds)
    assert relayed.sent == [10] * requests
    assert len(failed) == 30 - 10 * requests == len(relayed.outbox.remaining)
    assert set(failed.values()) <= {"there was no time left"}
    assert relayed.waits == []


def test_a_message_that_could_not_be_removed_is_sent_again() -> None:
    """F7: a duplicate, which every consumer ignores."""
    relayed = Relay(a={"1.0": event("a")}, b={"1.0": event("b")})
    relayed.outbox.broken.append(StoreError("throttled"))
    assert relayed.run() == {"100": "throttled"}
    assert relayed.sent == [2]
    assert relayed.run() == {}
    assert relayed.publisher.requests[1] == [event("a")]


def test_the_reconciler_sends_overdue_messages() -> None:
    """F34."""
    relayed = Relay(a={"1.0": event("a")}, b={"1.0": event("b")})
    assert catch_up(relayed.ports, lambda: 60.0) == (2, [])
    assert relayed.outbox.remaining == []


def test_the_reconciler_returns_the_reason_of_a_failed_send() -> None:
    relayed = Relay(*[throttled] * ATTEMPTS, a={"1.0": event("a")})
    assert catch_up(relayed.ports, lambda: 60.0) == (0, ["ThrottlingException: slow down"])
