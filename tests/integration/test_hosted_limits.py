"""The bounds of the hosted console: times, numbers and sizes. A page names the omitted rest."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.console.stack.limits import HOSTED, LOOPBACK
from infra.deployed.bounds import Bounds, TimeLimit
from infra.deployed.dead_letter_runs import WATCH
from infra.deployed.dead_letters import BEGIN, DeployedDeadLetters
from infra.deployed.stack import DeployedStack
from kernel import clock
from kernel.order_status import Status
from orders.dynamodb import DynamoOrders
from tests.fakes.records import order
from tests.fakes.stack_console import StackVisitor, counted_calls, visiting

EVENT = {"id": "e-1", "detail-type": "Order Cancelled", "detail": {"order_id": "A-1"}}
QUARANTINED = {
    "consumer": "order_processing",
    "reason": {"error": "InvalidEvent", "message": "detail.total: is missing"},
    "event": EVENT,
}
ATTENTION = {
    "consumer": "order_processing",
    "execution": "run-1",
    "reason": {"error": "CarrierError", "cause": "no answer"},
    "order_id": "A-1",
}
CALLS = 12
"""Calls of a dead letter that is replaced by a run, as `infra.console.stack.limits` has it."""


def put(stack: DeployedStack, queue: str, body: object) -> str:
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.name(queue), MessageBody=json.dumps(body)
    )
    return str(sent["MessageId"])


def letters_of(stack: DeployedStack, bounds: Bounds | None = None) -> DeployedDeadLetters:
    return DeployedDeadLetters(stack, patience=0, bounds=bounds)


def ids(stack: DeployedStack) -> set[Any]:
    return {letter.id for letter in letters_of(stack).open()}


class Ticking:
    """A clock that advances by a second at each read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def limited(stack: DeployedStack, reads: float) -> DeployedDeadLetters:
    """Return dead letters whose time is over after some looks at the clock."""
    letters = letters_of(stack)
    letters.limit = TimeLimit(reads, Ticking())
    return letters


@pytest.fixture
def hosted(stack: DeployedStack) -> Iterator[StackVisitor]:
    with visiting(stack, replace(HOSTED, wait=0.0, letters=2)) as opened:
        yield opened


# ---- time


def test_a_redrive_begins_no_dead_letter_after_its_time(stack: DeployedStack) -> None:
    sent = [put(stack, "OrderChangesDeadLetterQueue", EVENT) for _ in range(6)]
    answers = limited(stack, 6.0).redrive(sent)["letters"]
    states = [answer["state"] for answer in answers]
    begun = states.count("sent")
    assert 0 < begun < 6
    assert states == ["sent"] * begun + ["refused"] * (6 - begun)
    assert "was not begun" in answers[-1]["message"]
    assert ids(stack) == set(sent[begun:])
    assert [each["state"] for each in letters_of(stack).redrive(sent[begun:])["letters"]] == [
        "sent"
    ] * (6 - begun)
    assert ids(stack) == set()


def test_a_discard_and_an_undo_begin_none_after_their_time(stack: DeployedStack) -> None:
    sent = [put(stack, "QuarantineQueue", QUARANTINED) for _ in range(6)]
    answers = limited(stack, 3.0).discard(sent, "a test")
    gone = [answer["id"] for answer in answers if answer["state"] == "discarded"]
    assert 0 < len(gone) < 6
    assert ids(stack) == set(sent) - set(gone)
    letters_of(stack).discard(sent, "a test")
    back = limited(stack, 3.0).restore(sent)
    restored = [answer["id"] for answer in back if answer["state"] == "restored"]
    assert 0 < len(restored) < 6
    assert ids(stack) == set(restored)
    letters_of(stack).restore(sent)
    assert ids(stack) == set(sent)


@pytest.mark.parametrize("reads", range(1, 16))
def test_a_run_whose_result_was_not_read_in_time_keeps_its_dead_letter(
    stack: DeployedStack, reads: int
) -> None:
    number = put(stack, "QuarantineQueue", QUARANTINED)
    [answer] = limited(stack, reads).redrive([number], wait=0.0)["letters"]
    assert answer["state"] in ("refused", "running")
    assert ids(stack) == {number}


def test_time_counts_a_stop_of_the_process_and_ends() -> None:
    now = [100.0]
    limit = TimeLimit(18.0, lambda: now[0])
    assert (limit.left(), limit.is_over(0.5)) == (18.0, False)
    now[0] += 9.0
    assert (limit.is_over(0.5), limit.is_over()) == (True, False)
    now[0] += 3_600.0  # stopped
    assert (limit.left(), limit.is_over()) == (0.0, True)
    assert not TimeLimit().is_over(0.5)


def test_the_time_of_an_operation_ends_before_that_of_the_function() -> None:
    """A call without a response is the last one. Its attempts end before the function does."""
    last = HOSTED.read_timeout * HOSTED.attempts
    assert HOSTED.operation.seconds + last < 29
    assert HOSTED.page < 29
    assert HOSTED.wait <= HOSTED.operation.seconds * (WATCH - BEGIN)


@pytest.mark.parametrize(
    ("queue", "body", "status"),
    [
        ("OrderChangesDeadLetterQueue", EVENT, Status.WAITING),
        ("QuarantineQueue", QUARANTINED, Status.WAITING),  # its run has not ended
        ("QuarantineQueue", QUARANTINED, Status.FAILED),  # and is closed
        ("AttentionQueue", ATTENTION, Status.COMPENSATING),
    ],
)
def test_the_calls_of_a_full_action_fit_into_its_time(
    stack: DeployedStack, queue: str, body: object, status: Status
) -> None:
    now = clock.now()
    times = {"created_at": now, "updated_at": now, "lease_until": now + 300, "resume_at": now}
    record = order(order_id="A-1", version=0, status=status, lease_owner="run-1", **times)
    DynamoOrders(stack.table()).save(record.change())
    with counted_calls() as alone:
        letters_of(stack).redrive(["none"], wait=0.0)
    sent = [put(stack, queue, body) for _ in range(10)]
    with counted_calls() as calls:
        letters_of(stack).redrive(sent, wait=0.0)
    assert 3 <= (len(calls) - len(alone)) / 10 <= CALLS, calls
    assert HOSTED.letters * CALLS * 0.02 <= HOSTED.operation.seconds


# ---- memory


def test_a_queue_is_asked_for_no_more_after_a_size(stack: DeployedStack) -> None:
    large = {**QUARANTINED, "note": "x" * 20_000}
    sent = {put(stack, "QuarantineQueue", large) for _ in range(30)}
    found = letters_of(stack, Bounds(size=100_000)).open()
    assert len(found) == 10  # one request
    assert ids(stack) == sent  # all were released


def test_a_queue_is_asked_for_no_more_after_its_time(stack: DeployedStack) -> None:
    put(stack, "QuarantineQueue", QUARANTINED)
    assert letters_of(stack, Bounds(receiving=0.0)).open() == []


# ---- pages


def test_the_preview_says_how_many_of_all_are_acted_on(hosted: StackVisitor) -> None:
    stack = hosted.source.deployed
    sent = {put(stack, "QuarantineQueue", QUARANTINED) for _ in range(5)}
    page = hosted.acted("/console/dead-letters/look", {})
    group = page.text.partition("/console/dead-letters/groups/reason/")[2].partition('"')[0]
    assert (
        "Redrive the newest 2…" in hosted.get(f"/console/dead-letters/groups/reason/{group}").text
    )
    preview = hosted.get(f"/console/dead-letters/groups/reason/{group}/discard").text
    assert "One action takes at most 2." in preview
    assert "3 older ones of this group stay open" in preview
    named = preview.partition('name="ids" value="')[2].partition('"')[0]
    form = {"ids": named, "reason": "a test"}
    done = hosted.acted("/console/dead-letters/batch/discard", form)
    assert "2 of 2 dead letters were discarded" in done.text
    assert ids(stack) == sent - set(named.split())


def test_more_than_an_action_takes_is_refused_as_a_whole(hosted: StackVisitor) -> None:
    stack = hosted.source.deployed
    sent = [put(stack, "QuarantineQueue", QUARANTINED) for _ in range(3)]
    form = {"ids": " ".join(sent), "reason": "a test"}
    page = hosted.post("/console/dead-letters/batch/discard", form)
    assert (page.status, "name at most 2 dead letters" in page.text) == (400, True)
    page = hosted.post(f"/console/dead-letters/{sent[0]}/undo", form)
    assert (page.status, "name at most 2 dead letters" in page.text) == (400, True)
    assert ids(stack) == set(sent)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/console/orders.csv?status=WAITING", "orders list --status waiting --json"),
        ("/console/dead-letters/list.csv", "orders dead-letters list --json"),
        ("/console/dead-letters/list.ndjson", "orders dead-letters list --json"),
    ],
)
def test_a_file_that_is_too_large_names_the_command_that_has_all(
    stack: DeployedStack, path: str, command: str
) -> None:
    put(stack, "QuarantineQueue", QUARANTINED)
    with visiting(stack, replace(LOOPBACK, file=10)) as visitor:
        visitor.post("/console/dead-letters/look", {})
        page = visitor.get(path)
    assert page.status == 413
    assert f"{command} --stack orderflow-test" in page.text
