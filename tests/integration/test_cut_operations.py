"""An operation on dead letters that ends at any call, as a function does after 29 seconds.

No dead letter is lost: it is in its queue, or its replacement is stored. A repeat has no second
effect: it may send a message again, and the receiver recognizes the message by its id.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from moto.sqs.models import sqs_backends

from infra.deployed.dead_letters import DeployedDeadLetters
from infra.deployed.operations import act as operate
from infra.deployed.orders import read_story
from infra.deployed.stack import DeployedStack
from kernel.order_status import Status
from orders.dynamodb import DynamoOrders
from tests.fakes.records import order
from tests.faults.scene import Killed
from tests.integration.deployed import REGION

EVENT = {"id": "e-1", "detail-type": "Order Cancelled", "detail": {"order_id": "A-1"}}
RIGHT = {"id": "e-1", "detail-type": "Order Cancelled", "detail": {"order_id": "A-2"}}
QUARANTINED = {
    "consumer": "order_processing",
    "reason": {"error": "InvalidEvent", "message": "detail.total: is missing"},
    "event": EVENT,
}
_call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001


class Cut:
    """The end of a process at its n-th call; every later call is not made either."""

    def __init__(self, at: int, *, answered: bool) -> None:
        self.left, self.answered = at, answered

    def __call__(self, client: Any, operation: str, request: Any) -> Any:
        self.left -= 1
        if self.left == 0 and self.answered:
            _call(client, operation, request)  # takes effect; its answer is lost
        if self.left <= 0:
            raise Killed
        return _call(client, operation, request)

    @property
    def came(self) -> bool:
        """Whether the process ended."""
        return self.left <= 0


@contextmanager
def cut(at: int, *, answered: bool) -> Iterator[Cut]:
    """End the process at a call in the block; then let the visibility timeouts pass."""
    one = Cut(at, answered=answered)

    def calling(client: Any, operation: str, request: Any) -> Any:
        return one(client, operation, request)

    with patch.object(BaseClient, "_make_api_call", calling), suppress(Killed):
        yield one
    for queue in sqs_backends["123456789012"][REGION].queues.values():
        for message in queue._messages:  # noqa: SLF001 - moto has no clock
            message.change_visibility(0)


@pytest.fixture
def letters(stack: DeployedStack) -> DeployedDeadLetters:
    return DeployedDeadLetters(stack, patience=0)


def put(stack: DeployedStack, queue: str, body: object) -> str:
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.name(queue), MessageBody=json.dumps(body)
    )
    time.sleep(0.002)  # a copy is newer by SQS's milliseconds
    return str(sent["MessageId"])


def messages(stack: DeployedStack, queue: str) -> list[Any]:
    url = stack.name(queue)
    taken = stack.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
    )
    return list(taken.get("Messages", []))


def take(stack: DeployedStack, queue: str) -> None:
    """Delete the messages of a queue, as its consumer does."""
    for message in messages(stack, queue):
        receipt = message["ReceiptHandle"]
        stack.client("sqs").delete_message(QueueUrl=stack.name(queue), ReceiptHandle=receipt)


def open_ids(letters: DeployedDeadLetters) -> list[Any]:
    return [letter.id for letter in letters.open()]


def cuts(act: Callable[[int, bool], bool]) -> int:
    """Cut an operation at each of its calls, before and after its effect; return their number."""
    number = 0
    for answered in (False, True):
        at = 1
        while act(at, answered):
            at += 1
            number += 1
    return number


def test_a_redrive_to_a_queue_that_is_cut_loses_nothing_and_a_repeat_is_recognized(
    stack: DeployedStack, letters: DeployedDeadLetters
) -> None:
    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        number = put(stack, "OrderChangesDeadLetterQueue", EVENT)
        with cut(at, answered=answered) as one:
            letters.redrive([number])
        sent = messages(stack, "OrderChangesQueue")
        assert open_ids(letters) == [number] or len(sent) == 1
        if open_ids(letters):
            letters.redrive([number])
        sent = messages(stack, "OrderChangesQueue")
        assert 1 <= len(sent) <= 2
        assert {json.loads(each["Body"])["id"] for each in sent} == {"e-1"}
        marks = {each["MessageAttributes"]["REDRIVEN"]["StringValue"] for each in sent}
        assert (marks, open_ids(letters)) == ({number}, [])
        take(stack, "OrderChangesQueue")
        return one.came

    assert cuts(act) > 10


def test_a_redrive_by_a_run_that_is_cut_starts_one_run_in_all(
    stack: DeployedStack, letters: DeployedDeadLetters
) -> None:
    states, machine = stack.client("stepfunctions"), stack.name("OrderProcessing")
    orders, begun = DynamoOrders(stack.table()), []

    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        number = put(stack, "QuarantineQueue", {**QUARANTINED, "event": {**EVENT, "n": at}})
        with cut(at, answered=answered) as one:
            letters.redrive([number])
        runs = states.list_executions(stateMachineArn=machine)["executions"]
        started = [run for run in runs if run["name"] == f"redrive-{number}"]
        assert open_ids(letters) == [number]
        assert len(started) <= 1
        record = orders.find("A-1") or order(order_id="A-1", version=0)
        until = time.time() + 300
        orders.save(record.change(lease_owner=f"redrive-{number}", lease_until=until))  # its run
        letters.redrive([number])
        runs = states.list_executions(stateMachineArn=machine)["executions"]
        begun.append(number)
        assert sorted(run["name"] for run in runs) == sorted(f"redrive-{each}" for each in begun)
        assert open_ids(letters) == []
        return one.came

    assert cuts(act) > 10


def test_a_discard_that_is_cut_keeps_the_dead_letter_or_its_record(
    stack: DeployedStack, letters: DeployedDeadLetters
) -> None:
    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        number = put(stack, "QuarantineQueue", QUARANTINED)
        with cut(at, answered=answered) as one:
            letters.discard([number], "a test")
        item = letters.records.find(number)
        is_recorded = item is not None and item["state"] == "DISCARDED"
        assert open_ids(letters) == [number] or is_recorded
        if open_ids(letters):
            [answer] = letters.discard([number], "a test")
            assert answer["state"] == "discarded"
        assert open_ids(letters) == []
        [back] = letters.restore([number])
        assert (back["state"], open_ids(letters)) == ("restored", [number])
        letters.discard([number], "a test")
        return one.came

    assert cuts(act) > 10


def test_an_undo_that_is_cut_leaves_one_dead_letter(
    stack: DeployedStack, letters: DeployedDeadLetters
) -> None:
    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        number = put(stack, "QuarantineQueue", QUARANTINED)
        letters.discard([number], "a test")
        with cut(at, answered=answered) as one:
            letters.restore([number])
        letters.restore([number])  # refused if it is back
        assert open_ids(letters) == [number]
        letters.discard([number], "a test")
        assert open_ids(letters) == []  # with all its copies
        return one.came

    assert cuts(act) >= 4


def test_an_edit_that_is_cut_leaves_one_dead_letter_and_a_repeat_has_the_edited_event(
    stack: DeployedStack, letters: DeployedDeadLetters
) -> None:
    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        number = put(stack, "QuarantineQueue", QUARANTINED)
        with cut(at, answered=answered) as one:
            letters.edit(number, RIGHT)
        [seen] = letters.open()
        assert (seen.id, seen.body["event"] in (EVENT, RIGHT)) == (number, True)
        letters.edit(number, RIGHT)
        [edited] = letters.open()
        assert (edited.id, edited.body["event"]) == (number, RIGHT)
        assert len(messages(stack, "QuarantineQueue")) == 1
        letters.discard([number], "a test")
        return one.came

    assert cuts(act) > 10


def test_of_the_copies_of_a_dead_letter_the_newest_is_deleted_last(
    stack: DeployedStack, letters: DeployedDeadLetters
) -> None:
    """An edit was cut before it had deleted the original."""

    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        number = put(stack, "QuarantineQueue", QUARANTINED)
        mark = {"LETTER": {"DataType": "String", "StringValue": number}}
        for event in ({**EVENT, "n": 1}, RIGHT):
            body = json.dumps({**QUARANTINED, "event": event})
            url = stack.name("QuarantineQueue")
            stack.client("sqs").send_message(QueueUrl=url, MessageBody=body, MessageAttributes=mark)
            time.sleep(0.002)
        queue = sqs_backends["123456789012"][REGION].queues["QuarantineQueue"]
        queue._messages.reverse()  # noqa: SLF001 - SQS hands out in any order
        with cut(at, answered=answered) as one:
            letters.discard([number], "a test")
        assert [letter.body["event"] for letter in letters.open()] in ([RIGHT], [])
        letters.discard([number], "a test")
        assert messages(stack, "QuarantineQueue") == []
        return one.came

    assert cuts(act) > 10


def test_an_action_on_a_waiting_order_that_is_cut_is_whole_or_absent(
    stack: DeployedStack,
) -> None:
    orders = DynamoOrders(stack.table())

    def act(at: int, answered: bool) -> bool:  # noqa: FBT001
        order_id = f"C-{at}-{answered}"
        new = order(order_id=order_id, version=0, lease_owner=None, lease_until=0.0)
        orders.save(new.change(status=Status.WAITING, resume_at=time.time() + 300))
        with cut(at, answered=answered) as one:
            operate(stack, "CancelOrder", order_id, "a test", "ada")
        record = orders.read(order_id)
        timeline = read_story(stack, order_id).timeline
        requests = [entry for entry in timeline if entry.what == "CANCEL_REQUESTED"]
        assert len(requests) == record.cancel_requested
        operate(stack, "CancelOrder", order_id, "a test", "ada")
        timeline = read_story(stack, order_id).timeline
        assert [entry.what for entry in timeline].count("CANCEL_REQUESTED") == 1
        return one.came

    assert cuts(act) >= 2
