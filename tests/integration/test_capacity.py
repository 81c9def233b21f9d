"""More work than fits at once, at the limits that the platform ships with.

All of it ends without new input: room becomes free one by one, and a test takes a turn only while
the engine has a due item.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from infra.local.engine.bus import BATCH
from infra.local.engine.executions import MAX_LOADED
from infra.local.template.functions import CONCURRENCY
from infra.local.workers.invocations import Invocation
from tests.fakes.runtime import NOW, TEMPLATE, Rig, entry, flow, task

MESSAGES = 5
"""Messages of one batch of the queue ``Work`` (see `tests.fakes.runtime`)."""

UNSCHEDULED = TEMPLATE.replace("rate(5 minutes)", "rate(9 days)")
VISIBILITY = 60.0
MANY = 1_500

Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function that opens a rig, which is closed with the test."""
    opened: list[Rig] = []

    def build(**options: Any) -> Rig:
        opened.append(Rig(tmp_path, template=UNSCHEDULED, **options))
        opened[-1].settle()  # the engine has looked everywhere, and found nothing
        return opened[-1]

    yield build
    for rig in opened:
        rig.close()


def put_at_once(rig: Rig, kind: str, count: int) -> None:
    """Put a number of events within one turn."""
    for first in range(0, count, 10):
        entries = [
            entry(kind, orjson.dumps({"n": number}).decode())
            for number in range(first, min(count, first + 10))
        ]
        rig.engine.call(partial(rig.engine.bus.put, entries))
    rig.turn()


def send_at_once(rig: Rig, bodies: Sequence[str]) -> None:
    """Put messages into the queue ``Work`` within one turn."""
    for body in bodies:
        rig.engine.call(partial(rig.engine.queues.send, "Work", body, {}))
    rig.turn()


def run_while_due(rig: Rig) -> None:
    """Take turns while the engine has a due item."""
    for _ in range(10_000):
        if rig.engine.next_due(schedules=False) > rig.clock.now():
            return
        rig.turn()
    raise AssertionError("the engine says for ever that something is due")


def answer_one_by_one(rig: Rig, most: int, answer: Callable[[Invocation], None]) -> int:
    """Let calls return one after the other; return how many there were.

    There are never more than `most` at once.
    """
    returned = 0
    while returned < len(rig.functions.calls):
        assert len(rig.functions.calls) - returned <= most
        answer(rig.functions.calls[returned])
        returned += 1
        rig.turn()  # takes the answer
        run_while_due(rig)
    return returned


def count(rig: Rig, table: str, condition: str = "true") -> int:
    [row] = rig.rows(f"select count(*) as n from {table} where {condition}")
    return int(row["n"])


# ---- deliveries


@pytest.mark.parametrize("events", [BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 1])
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_deliveries_beyond_one_batch_are_made_without_a_wake_up(
    make: Make, events: int, *, restarted: bool
) -> None:
    rig = make(handlers={"Worker": lambda _: None})
    rig.engine.accept_only = restarted
    put_at_once(rig, "Work", events)
    if restarted:
        rig.restart()
    run_while_due(rig)
    assert count(rig, "deliveries") == 0
    assert count(rig, "messages", "queue = 'Untouched'") == events


def test_orders_beyond_max_loaded_begin_one_by_one_as_others_end(make: Make) -> None:
    rig = make()
    put_at_once(rig, "Flow", MANY)
    run_while_due(rig)
    assert (len(rig.functions.calls), count(rig, "deliveries")) == (MAX_LOADED, MANY - MAX_LOADED)
    done = answer_one_by_one(rig, MAX_LOADED, lambda call: rig.functions.answer(call, {}))
    assert done == MANY
    assert count(rig, "deliveries") == 0
    assert count(rig, "executions", "status = 'SUCCEEDED'") == MANY


# ---- executions


def started(rig: Rig, name: str, body: Any) -> Callable[[float], str]:
    return lambda now: rig.engine.executions.start("shop-flow", name, body, now)


def begin_at_once(rig: Rig, executions: int) -> None:
    for number in range(executions):
        rig.engine.call(started(rig, f"e{number}", {}))
    rig.turn()


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_executions_beyond_max_loaded_begin_one_by_one_as_others_end(
    make: Make, *, restarted: bool
) -> None:
    rig = make()
    begin_at_once(rig, MANY)
    if restarted:
        rig.restart()
    run_while_due(rig)
    done = answer_one_by_one(rig, MAX_LOADED, lambda call: rig.functions.answer(call, {}))
    assert done == MANY
    assert count(rig, "executions", "status = 'SUCCEEDED'") == MANY


def test_executions_that_wake_together_beyond_max_loaded_continue_one_by_one(make: Make) -> None:
    wait = {"Type": "Wait", "Seconds": 900, "Next": "Step"}
    rig = make(flow=flow(Wait=wait, Step=task()))
    begin_at_once(rig, MANY)
    run_while_due(rig)
    assert rig.engine.next_due(schedules=False) == NOW + 900
    rig.clock.time += 900
    run_while_due(rig)
    done = answer_one_by_one(rig, MAX_LOADED, lambda call: rig.functions.answer(call, {}))
    assert done == MANY
    assert count(rig, "executions", "status = 'SUCCEEDED'") == MANY


def test_the_room_of_an_unloaded_execution_is_used_by_another(make: Make) -> None:
    wait = {"Type": "Wait", "Seconds": 900, "End": True}
    rig = make(flow=flow(Step=task(Next="Wait"), Wait=wait))
    begin_at_once(rig, MAX_LOADED + 50)
    run_while_due(rig)
    done = answer_one_by_one(rig, MAX_LOADED, lambda call: rig.functions.answer(call, {}))
    assert done == MAX_LOADED + 50
    rig.clock.time += 900
    run_while_due(rig)
    assert count(rig, "executions", "status = 'SUCCEEDED'") == MAX_LOADED + 50


MIXED = flow(
    Kind={
        "Type": "Choice",
        "Choices": [{"Variable": f"$.{one}", "IsPresent": True, "Next": one} for one in "SW"],
        "Default": "Ends",
    },
    S=task(),
    W={"Type": "Wait", "Seconds": 4, "End": True},
    Ends={"Type": "Succeed"},
)
"""A flow whose input says whether it calls a function, waits in memory, or ends at once."""


def fill_all_but_one(rig: Rig) -> None:
    """Let executions take all room in memory but for one that waits for four seconds."""
    for number in range(MAX_LOADED - 1):
        rig.engine.call(started(rig, f"s{number}", {"S": 1}))
    rig.engine.call(started(rig, "w", {"W": 1}))
    rig.turn()
    run_while_due(rig)


def test_journalled_executions_use_the_last_room_one_after_the_other(
    make: Make,
) -> None:
    rig = make(flow=MIXED)
    fill_all_but_one(rig)
    for number in range(5):
        rig.engine.call(started(rig, f"e{number}", {}))
    rig.turn()
    run_while_due(rig)
    assert count(rig, "executions", "status = 'SUCCEEDED'") == 0
    rig.clock.time += 4
    run_while_due(rig)
    assert count(rig, "executions", "status = 'SUCCEEDED'") == 6


def test_deliveries_use_the_last_room_one_after_the_other(
    make: Make,
) -> None:
    rig = make(flow=MIXED)
    fill_all_but_one(rig)
    put_at_once(rig, "Flow", 5)
    run_while_due(rig)
    assert count(rig, "deliveries") == 5
    rig.clock.time += 4
    run_while_due(rig)
    assert count(rig, "deliveries") == 0
    assert count(rig, "executions", "status = 'SUCCEEDED'") == 6


def test_an_unloaded_execution_is_loaded_though_nothing_else_is_due(
    make: Make,
) -> None:
    rig = make(flow=flow(Wait={"Type": "Wait", "Seconds": 900, "End": True}))
    rig.start("one")
    assert rig.engine.next_due(schedules=False) == NOW + 900
    rig.clock.time += 900
    run_while_due(rig)
    assert rig.execution("one")["status"] == "SUCCEEDED"


# ---- queues


def test_a_queues_last_batch_slot_is_used(make: Make) -> None:
    rig = make()
    for number in range(1, CONCURRENCY + 1):
        send_at_once(rig, [f"m{number}"])
        run_while_due(rig)
        assert len(rig.functions.calls) == number
    send_at_once(rig, ["late"])
    run_while_due(rig)
    assert len(rig.functions.calls) == CONCURRENCY
    answer_one_by_one(rig, CONCURRENCY, lambda call: rig.functions.answer(call, None))
    assert count(rig, "messages") == 0


def test_a_message_past_its_visibility_timeout_is_received_again(make: Make) -> None:
    rig = make()
    send_at_once(rig, ["slow"])
    run_while_due(rig)
    assert rig.engine.next_due(schedules=False) == NOW + VISIBILITY
    rig.clock.time += VISIBILITY
    run_while_due(rig)
    assert len(rig.functions.calls) == 2


@pytest.mark.parametrize("batches", [CONCURRENCY, CONCURRENCY + 1, 4 * CONCURRENCY])
def test_messages_beyond_all_batch_slots_are_handled_one_batch_after_the_other(
    make: Make, batches: int
) -> None:
    rig = make()
    send_at_once(rig, [f"m{number}" for number in range(batches * MESSAGES)])
    run_while_due(rig)
    done = answer_one_by_one(rig, CONCURRENCY, lambda call: rig.functions.answer(call, None))
    assert done == batches
    assert count(rig, "messages") == 0


def test_a_consumer_that_fails_in_every_batch_slot_still_gets_messages(
    make: Make,
) -> None:
    rig = make()
    for times in range(1, 2 * CONCURRENCY + 1):
        send_at_once(rig, [f"bad {times}"])
        run_while_due(rig)
        assert len(rig.functions.calls) == times
        rig.functions.fail(rig.functions.calls[-1], "Oops")
        rig.turn()
    send_at_once(rig, ["good"])
    run_while_due(rig)
    [record] = orjson.loads(rig.functions.calls[-1].payload)["Records"]
    assert record["body"] == "good"


def test_all_batch_slots_are_free_after_all_batches_failed_at_once(make: Make) -> None:
    rig = make()
    send_at_once(rig, [f"bad {number}" for number in range(CONCURRENCY * MESSAGES)])
    run_while_due(rig)
    for call in rig.functions.calls:
        rig.functions.fail(call, "Oops")
    rig.turn()
    rig.functions.calls.clear()
    send_at_once(rig, [f"good {number}" for number in range(CONCURRENCY * MESSAGES)])
    run_while_due(rig)
    assert len(rig.functions.calls) == CONCURRENCY


def test_messages_that_were_invisible_together_are_all_received_again(make: Make) -> None:
    bodies = [f"m{number}" for number in range(3 * CONCURRENCY * MESSAGES)]
    rig = make()
    send_at_once(rig, bodies)
    run_while_due(rig)
    done = answer_one_by_one(rig, CONCURRENCY, lambda call: rig.functions.fail(call, "Oops"))
    assert done == 3 * CONCURRENCY
    assert rig.engine.next_due(schedules=False) == NOW + VISIBILITY
    rig.functions.calls.clear()
    rig.clock.time += VISIBILITY
    run_while_due(rig)
    answer_one_by_one(rig, CONCURRENCY, lambda call: rig.functions.answer(call, None))
    received = Counter(
        one["body"] for event in rig.functions.of("Worker") for one in event["Records"]
    )
    assert received == Counter(bodies)
    assert count(rig, "messages") == 0


def test_messages_beyond_all_batch_slots_become_dead_letters_together(make: Make) -> None:
    bodies = [f"m{number}" for number in range(2 * CONCURRENCY * MESSAGES)]
    rig = make()
    send_at_once(rig, bodies)
    for _ in range(3):  # as often as the queue lets a message be received
        run_while_due(rig)
        answer_one_by_one(rig, CONCURRENCY, lambda call: rig.functions.fail(call, "Oops"))
        rig.functions.calls.clear()
        rig.clock.time += VISIBILITY
    run_while_due(rig)
    assert rig.functions.calls == []
    assert count(rig, "messages", "queue = 'WorkLetters'") == len(bodies)
    assert rig.engine.next_due(schedules=False) == float("inf")
